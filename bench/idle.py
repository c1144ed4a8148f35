"""What the stack costs while nothing happens: processor seconds a minute of each component, and rows a day.

Two stacks are measured, one after the other: the project, and an Airflow of the same settings whose only DAG is an
empty one that nothing starts. The default of fifteen minutes holds each thing that happens by the clock once.

    python bench/idle.py [--minutes 15] [--settle 60]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "plugins"), str(ROOT / "include")]

from sandbox.stack import Instance  # noqa: E402
from sandbox.stack.components import AIRFLOW as COMPONENTS  # noqa: E402
from sandbox.stack.components import DATABASES  # noqa: E402
from sandbox.stack.environment import AIRFLOW  # noqa: E402

MEASURED = (*COMPONENTS, DATABASES)
EMPTY = """from airflow.sdk import dag


@dag(schedule=None)
def empty() -> None:
    pass


empty()
"""
TABLES = "SELECT relname FROM pg_stat_user_tables ORDER BY relname"


def seconds(instance: Instance) -> dict[str, float]:
    """Returns the processor time of each component so far, with that of all processes that it has started."""
    taken = {}
    for name in MEASURED:
        root = psutil.Process(instance.process(name))
        times = [process.cpu_times() for process in (root, *root.children(recursive=True))]
        taken[name] = sum(each.user + each.system + each.children_user + each.children_system for each in times)
    return taken


def rows(instance: Instance) -> dict[str, int]:
    """Returns how many rows each table of Airflow has."""
    with psycopg.connect(instance.postgres.url(AIRFLOW)) as connection:
        return {
            name: connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))).fetchone()[0]  # type: ignore[index]
            for (name,) in connection.execute(TABLES).fetchall()
        }


def measure(dags: Path, dag: str, *, settle: float, minutes: float) -> tuple[dict[str, float], dict[str, float]]:
    """Returns the processor seconds a minute by component, and the rows a day by table."""
    with tempfile.TemporaryDirectory() as folder:
        instance = Instance(Path(folder) / "instance", dags=dags)
        try:
            instance.up()
            instance.airflow_api().wait_for_dag(dag)
            time.sleep(settle)
            before, rows_before, began = seconds(instance), rows(instance), time.monotonic()
            time.sleep(60 * minutes)
            after, rows_after, lasted = seconds(instance), rows(instance), time.monotonic() - began
        finally:
            instance.down()
    per_day = {name: (count - rows_before.get(name, 0)) * 86400 / lasted for name, count in rows_after.items()}
    return {name: (after[name] - before[name]) * 60 / lasted for name in MEASURED}, per_day


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--settle", type=float, default=60.0)
    parser.add_argument("--only", choices=("project", "empty"))
    options = parser.parse_args()
    window = {"settle": options.settle, "minutes": options.minutes}
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "empty.py").write_text(EMPTY)
        for name, dags, dag in (("project", ROOT / "dags", "vla_calibration"), ("empty", Path(folder), "empty")):
            if options.only in (None, name):
                found[name] = measure(dags, dag, **window)
    print(f"{'':24s}", *(f"{name:>10s}" for name in found), "  CPU seconds a minute")
    for component in MEASURED:
        print(f"{component:24s}", *(f"{cpu[component]:10.2f}" for cpu, _rows in found.values()))
    print(f"{'all':24s}", *(f"{sum(cpu.values()):10.2f}" for cpu, _rows in found.values()))
    print(f"{'':24s}", *(f"{name:>10s}" for name in found), "  rows a day in Airflow's database")
    for table in sorted({table for _cpu, by_table in found.values() for table in by_table}):
        if any(by_table.get(table, 0) > 0 for _cpu, by_table in found.values()):
            print(f"{table:24s}", *(f"{by_table.get(table, 0):10.0f}" for _cpu, by_table in found.values()))
    print(f"{'all':24s}", *(f"{sum(each for each in by_table.values()):10.0f}" for _cpu, by_table in found.values()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
