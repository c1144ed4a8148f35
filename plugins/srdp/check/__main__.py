"""``python -m srdp.check``: see :mod:`srdp.check`."""

from __future__ import annotations

import argparse
import os
import sys
import time

_BEGAN = time.monotonic()
# In all, with the imports, which take longest on a machine whose cores are taken; and what a system is given at least.
_IN_ALL_SECONDS, _AT_LEAST_SECONDS = 19.0, 8.0


def main() -> int:
    """Do what the command line says; return 0 if all is right."""
    parser = argparse.ArgumentParser(prog="python -m srdp.check", description="Check the settings of this environment.")
    parser.add_argument("--prepare-areas", action="store_true", help="mark the folders of the settings as areas, once")
    parser.add_argument("--force", action="store_true", help="mark a folder although it holds something else than runs")
    options = parser.parse_args()
    if options.force and not options.prepare_areas:
        parser.error("--force goes with --prepare-areas")
    return _prepare(force=options.force) if options.prepare_areas else _check()


def _prepare(*, force: bool) -> int:
    """Mark the areas; print a line for each."""
    from srdp.domain.common.errors import SrdpError
    from srdp.domain.runs.areas import prepare_areas
    from srdp.settings import load_settings

    try:
        for line in prepare_areas(load_settings().named_areas(), force=force):
            print(line)
    except SrdpError as problem:
        print(f"WRONG {problem}", file=sys.stderr)
        return 1
    return 0


def _check() -> int:
    """Print every finding; return 0 if all are right."""
    # Airflow's servers read connections from its database too, and not from the environment alone.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    from srdp.check.concurrently import LIMIT_SECONDS
    from srdp.check.services import check_everything

    left = _IN_ALL_SECONDS - (time.monotonic() - _BEGAN)
    seconds = min(LIMIT_SECONDS, max(left, _AT_LEAST_SECONDS))
    all_right = True
    for finding in check_everything(with_pool=True, report=lambda line: print(line, flush=True), seconds=seconds):
        print(finding, flush=True)
        all_right &= finding.is_right
    return 0 if all_right else 1


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # Not through the interpreter's end, which waits for what waits for a system that hangs.
    os._exit(code)
