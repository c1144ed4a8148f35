"""What reading each DAG file costs, above an empty one: processor seconds, in a process that has what Airflow's has."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import ROOT
from bench.frame import Case, Figure, Options, Sides

EMPTY = "from airflow.sdk import dag\n\n\n@dag(schedule=None)\ndef empty() -> None:\n    pass\n\n\nempty()\n"
# The DAG processor imports Airflow once, lets the garbage collector pass over that, and reads each file in a child.
PROGRAM = """
import gc, os, runpy, sys, time
import airflow.dag_processing.manager, airflow.dag_processing.processor, airflow.sdk
gc.freeze()
for file in sys.argv[1:]:
    sys.stdout.flush()
    if os.fork() == 0:
        began = time.process_time()
        runpy.run_path(file)
        print("read", time.process_time() - began, file, flush=True)
        os._exit(0)
    os.wait()
"""


def above_empty(empty: Path) -> dict[str, float]:
    """Return the processor seconds that each DAG file takes more than an empty one."""
    files = [empty, *sorted((ROOT / "dags").glob("*.py"))]
    program = f"import sys\nsys.path.insert(0, {str(ROOT / 'plugins')!r})\n{PROGRAM}"
    done = subprocess.run([sys.executable, "-c", program, *map(str, files)], check=True, capture_output=True, text=True)
    lines = (line.split(" ", 2) for line in done.stdout.splitlines() if line.startswith("read "))
    taken = {Path(file).name: float(seconds) for _read, seconds, file in lines}
    least = taken.pop(empty.name)
    return {name: seconds - least for name, seconds in taken.items()}


@contextmanager
def arranged(options: Options) -> Iterator[Sides]:
    empty = options.place / "empty.py"
    empty.write_text(EMPTY)

    def ours() -> dict[str, float]:
        taken = above_empty(empty)
        print("    " + ", ".join(f"{name} {1000 * seconds:.0f} ms" for name, seconds in taken.items()), flush=True)
        return {"parsing": max(taken.values())}

    yield Sides(ours=ours, rival=None)


CASES = (
    Case(arranged, (Figure("parsing", "the most expensive DAG file above an empty one", "", goal=0.05, unit="CPU s"),)),
)
