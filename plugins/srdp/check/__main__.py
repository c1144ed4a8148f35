"""``python -m srdp.check``: see :mod:`srdp.check`."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Print every finding; return 0 if all are right."""
    # Airflow's servers read connections from its database too, and not from the environment alone.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    from srdp.check.services import check_everything

    all_right = True
    for finding in check_everything(with_pool=True, tell=lambda line: print(line, flush=True)):
        print(finding, flush=True)
        all_right &= finding.is_right
    return 0 if all_right else 1


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # Not through the interpreter's end, which waits for what waits for a system that hangs.
    os._exit(code)
