"""Takes figures, prints them and keeps them in ``docs/benchmarks.md``.

python -m bench                      # all but those that are taken only when they are named
python -m bench fetch-large pack     # these alone
python -m bench --quick fetch-large  # tries it with little data; keeps nothing
python -m bench --list
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib
import pkgutil
import shutil
import signal
import sys
import tempfile
import time
import traceback
from datetime import UTC, datetime
from pathlib import Path

import bench
from bench import ROOT, table
from bench.frame import Case, Options, Result, take
from bench.machine import commit, machine

PAGE = ROOT / "docs" / "benchmarks.md"


def all_cases() -> list[Case]:
    """Return the cases of all modules of this package."""
    names = sorted(module.name for module in pkgutil.iter_modules(bench.__path__) if module.name != "__main__")
    modules = [importlib.import_module(f"bench.{name}") for name in names]
    return [case for module in modules for case in getattr(module, "CASES", ())]


def chosen(cases: list[Case], names: list[str]) -> list[Case]:
    """Return the cases that have a figure of these names or patterns; without names those that need not be named."""
    if not names:
        return [case for case in cases if not case.asked_for]
    known = [figure.name for case in cases for figure in case.figures]
    for name in names:
        if not fnmatch.filter(known, name):
            raise SystemExit(f"There is no figure {name!r}; there are: {', '.join(known)}.")
    return [case for case in cases if any(fnmatch.fnmatchcase(f.name, n) for f in case.figures for n in names)]


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="figures by name or pattern ('fetch-*')")
    parser.add_argument("--list", action="store_true", help="say which there are")
    parser.add_argument("--all", action="store_true", help="also those that are taken only when they are named")
    parser.add_argument("--quick", action="store_true", help="little data, two rounds; nothing is kept")
    parser.add_argument("--rounds", type=int, help="how many rounds count, in place of each case's own number")
    parser.add_argument("--ngas", metavar="HOST:PORT", help="a real NGAS in place of the sandbox's")
    parser.add_argument("--place", type=Path, help="where files are made: the disk that counts (default: TMPDIR)")
    options = parser.parse_args()
    cases = all_cases()
    if options.list:
        for figure in (figure for case in cases for figure in case.figures):
            print(f"{figure.name:24} {figure.what}; against {figure.against or 'a number'}, at most {figure.goal:g}")
        return 0
    results: list[Result] = []
    failed: list[str] = []
    # What ends it politely is an exception, so that servers are stopped and files removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    place = Path(tempfile.mkdtemp(prefix="srdp-bench-", dir=options.place))
    order = [figure.name for case in cases for figure in case.figures]
    try:
        described = machine(place)
        print(described, flush=True)
        for case in chosen(cases, options.names or (["*"] if options.all else [])):
            began = time.monotonic()
            here = Path(tempfile.mkdtemp(dir=place))
            try:
                taken = _take(case, Options(here, quick=options.quick, ngas=options.ngas), options.rounds)
            except Exception:  # noqa: BLE001  the other figures are wanted all the same
                traceback.print_exc()
                failed += [figure.name for figure in case.figures]
            else:
                results += taken
                if not options.quick:
                    table.write(PAGE, taken, taken=_when(), machine=described, order=order)
            finally:
                shutil.rmtree(here, ignore_errors=True)
            print(f"  {time.monotonic() - began:.0f} s in all", flush=True)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    print("", *(table.summary(result, _when()).strip() for result in results), sep="\n")
    if failed:
        print(f"Not taken: {', '.join(failed)}; see above.", file=sys.stderr)
    return 1 if failed else 0


def _when() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}, {commit(ROOT)}"


def _take(case: Case, options: Options, rounds: int | None) -> list[Result]:
    return take(case, options, rounds=rounds, report=lambda line: print(f"  {line}", flush=True))


if __name__ == "__main__":
    raise SystemExit(main())
