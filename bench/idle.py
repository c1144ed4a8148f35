"""What a whole stack costs while nothing happens: processor seconds a minute of each component, and rows a day.

Two stacks run side by side, and are measured over the same minutes: the project, and an Airflow of the same settings
with no DAG but an empty one that nothing starts. A round is as long as what happens by the clock takes to happen once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

import psutil
import psycopg
from psycopg import sql

from bench import ROOT
from bench.frame import Case, Figure, Options, Sides
from sandbox.stack import Instance
from sandbox.stack.components import AIRFLOW as COMPONENTS
from sandbox.stack.components import DATABASES
from sandbox.stack.environment import AIRFLOW

MEASURED = (*COMPONENTS, DATABASES)
SETTLE_SECONDS, QUICK_SETTLE_SECONDS = 120, 20
ROUND_SECONDS, QUICK_ROUND_SECONDS = 900, 60
PROJECT, EMPTY_STACK = "project", "empty"
# A quarter of what it was when two DAGs ran each minute: 1,440 DAG runs and 5,760 task instances.
MOST_ROWS_A_DAY = 1800.0
EMPTY = """from airflow.sdk import dag


@dag(schedule=None)
def empty() -> None:
    pass


empty()
"""
TABLES = "SELECT relname FROM pg_stat_user_tables ORDER BY relname"


def seconds(instance: Instance) -> dict[str, float]:
    """Return the processor time of each component so far, with that of all processes that it has started."""
    taken = {}
    for name in MEASURED:
        root = psutil.Process(instance.process(name))
        times = [process.cpu_times() for process in (root, *root.children(recursive=True))]
        taken[name] = sum(each.user + each.system + each.children_user + each.children_system for each in times)
    return taken


def rows(instance: Instance) -> int:
    """Return how many rows Airflow's database has."""
    with psycopg.connect(instance.postgres.url(AIRFLOW)) as connection:
        tables = [name for (name,) in connection.execute(TABLES).fetchall()]
        counts = [
            connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))) for name in tables
        ]
        return sum(row[0] for cursor in counts if (row := cursor.fetchone()))


class Pair:
    """Two stacks that are measured over the same time, and asked for it one after the other."""

    def __init__(self, instances: Mapping[str, Instance], window: float) -> None:
        self._instances = instances
        self._window = window
        self._left: dict[str, dict[str, float]] = {}

    def take(self, name: str) -> Mapping[str, float]:
        """Return the figures of one stack; the first call waits for both."""
        if name not in self._left:
            self._left = self._measured()
        return self._left.pop(name)

    def _measured(self) -> dict[str, dict[str, float]]:
        before = {name: (seconds(instance), rows(instance)) for name, instance in self._instances.items()}
        began = time.monotonic()
        time.sleep(self._window)
        found = {}
        for name, instance in self._instances.items():
            (cpu, count), lasted = before[name], time.monotonic() - began
            by_component = {part: (now - cpu[part]) * 60 / lasted for part, now in seconds(instance).items()}
            per_day = (rows(instance) - count) * 86400 / lasted
            parts = ", ".join(f"{part} {taken:.2f}" for part, taken in by_component.items())
            print(f"    {name}: {parts}; {per_day:.0f} rows a day", flush=True)
            found[name] = {"idle-cpu": sum(by_component.values()), "idle-rows": per_day}
        found[PROJECT]["idle-rows"] -= found[EMPTY_STACK].pop("idle-rows")
        return found


@contextmanager
def arranged(options: Options) -> Iterator[Sides]:
    (options.place / "dags").mkdir()
    (options.place / "dags" / "empty.py").write_text(EMPTY)
    with ExitStack() as ends:
        stacks = {}
        for name, dags, dag in (
            (PROJECT, ROOT / "dags", "vla_calibration"),
            (EMPTY_STACK, options.place / "dags", "empty"),
        ):
            stacks[name] = Instance(options.place / name, dags=dags)
            ends.callback(stacks[name].down)
            stacks[name].up()
            stacks[name].airflow_api().wait_for_dag(dag)
        time.sleep(QUICK_SETTLE_SECONDS if options.quick else SETTLE_SECONDS)
        pair = Pair(stacks, QUICK_ROUND_SECONDS if options.quick else ROUND_SECONDS)
        yield Sides(ours=lambda: pair.take(PROJECT), rival=lambda: pair.take(EMPTY_STACK))


CASES = (
    Case(
        arranged,
        (
            Figure(
                "idle-cpu", "the whole stack with nothing to do", "an Airflow with an empty DAG", goal=1.3,
                unit="CPU s a minute",
            ),
            Figure(
                "idle-rows", "rows in Airflow's database, more than with an empty DAG", "", goal=MOST_ROWS_A_DAY,
                unit="rows a day",
            ),
        ),
        warm_up=0,
        asked_for=True,
    ),
)  # fmt: skip
