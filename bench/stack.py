"""The whole stack with the contract's CASA, and beside the project's DAGs one of empty tasks."""

from __future__ import annotations

import importlib
import shutil
import time
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from bench import ROOT
from sandbox.observe import ObservedBlock, observe
from sandbox.stack import Instance
from sandbox.stack.airflow_api import AirflowApi
from sandbox.stack.environment import AIRFLOW, ARCHIVE, LEDGER

# The contract's CASA is no package: its own files find each other by their folder.
_CONTRACT: Any = importlib.import_module("tests.programs.casa_contract")
_OBSERVING: Any = importlib.import_module("tests.observing")

#: The rival: as many tasks in a row as a calibration has when nothing fails, each a process that does nothing.
EMPTY = "empty_tasks"
CALIBRATION = "vla_calibration"
SENSOR = "watch_observations"
MINUTE = "send_mails_and_reconcile"

_TASKS_OF_A_CALIBRATION = 8
_EMPTY_TASKS = f'''\
"""As many empty tasks in a row as a calibration has."""

from airflow.sdk import chain, dag, task


@dag(schedule=None, max_active_runs=64, is_paused_upon_creation=False)
def {EMPTY}():
    @task
    def nothing():
        pass

    chain(*(nothing.override(task_id=f"nothing_{{number}}")() for number in range({_TASKS_OF_A_CALIBRATION})))


{EMPTY}()
'''
#: One task that does not end, and is tried again whenever its process is lost.
LONG = "long_task"
_LONG_TASK = f'''\
"""A task that does not end."""

import time
from datetime import timedelta

from airflow.sdk import dag, task


@dag(schedule=None, is_paused_upon_creation=False)
def {LONG}():
    @task(retries=1000, retry_delay=timedelta(seconds=5))
    def wait():
        time.sleep(3600)

    wait()


{LONG}()
'''


@dataclass
class Stack:
    """A running instance.

    Attributes:
        instance: the instance.
        casa: its CASA, a ``ContractCasa``.
        sdm: what is observed: a few small files.
    """

    instance: Instance
    casa: Any
    sdm: Path

    @cached_property
    def airflow(self) -> AirflowApi:
        """Airflow's REST API."""
        return self.instance.airflow_api()

    def rows(self, database: str, statement: str, **parameters: object) -> list[dict[str, Any]]:
        """Return what a database answers."""
        with psycopg.connect(self.instance.postgres.url(database), row_factory=dict_row) as connection:
            return connection.execute(statement, parameters).fetchall()

    def observe(self, count: int = 1) -> list[ObservedBlock]:
        """Observe; all are seen by the archive in one instant."""
        return list(
            observe(
                archive=self.instance.postgres.url(ARCHIVE),
                ngas=f"http://127.0.0.1:{self.instance.ports.ngas}",
                sdm=self.sdm,
                count=count,
                at_once=True,
            )
        )

    def dag_runs(self, dag: str, ids: Collection[str]) -> dict[str, dict[str, Any]]:
        """Return DAG runs by their ids, as Airflow's database has them."""
        found = self.rows(
            AIRFLOW,
            "SELECT run_id, state, queued_at, start_date, end_date FROM dag_run WHERE dag_id = %(dag)s"
            " AND run_id = ANY(%(ids)s)",
            dag=dag, ids=list(ids),
        )  # fmt: skip
        return {row["run_id"]: row for row in found}

    def wait_for(self, dag: str, ids: Collection[str], *, seconds: float) -> dict[str, dict[str, Any]]:
        """Wait until DAG runs have ended; return them.

        Raises:
            TimeoutError: they have not, or not well.
        """
        limit = time.monotonic() + seconds
        while True:
            found = self.dag_runs(dag, ids)
            states = Counter(row["state"] for row in found.values())
            if states["success"] == len(ids):
                return found
            if states["failed"] or time.monotonic() > limit:
                raise TimeoutError(f"{dag}: {dict(states)} of {len(ids)} after {seconds:.0f} s")
            time.sleep(0.5)

    def wait_for_sensor(self) -> None:
        """Wait until the sensor watches: what was observed before is history to it."""
        limit = time.monotonic() + 180
        while not self.rows(LEDGER, "SELECT FROM observation_watch"):
            if time.monotonic() > limit:
                raise TimeoutError("The sensor has not begun within 180 s.")
            time.sleep(0.5)

    def set_slots(self, pool: str, slots: int) -> None:
        """Say how much may run at once."""
        kept = self.airflow.get(f"pools/{pool}")
        self.airflow.patch(
            f"pools/{pool}", {key: kept[key] for key in ("name", "description", "include_deferred")} | {"slots": slots}
        )

    def casa_seconds(self) -> Mapping[str, float]:
        """Return how long CASA itself took, by the subject of the run."""
        found = self.rows(
            LEDGER,
            "SELECT subject, extract(epoch FROM sum(ended_at - started_at)) AS seconds FROM casa_attempt"
            " JOIN pipeline_run USING (pipeline_run_id) JOIN request USING (request_id) GROUP BY subject",
        )
        return {row["subject"]: float(row["seconds"]) for row in found}


@contextmanager
def stack(place: Path, **further: str) -> Iterator[Stack]:
    """Yield a stack that is up and whose DAGs Airflow knows; it is stopped at the end.

    Args:
        place: a folder.
        **further: the text of further DAG files by their names.
    """
    dags = place / "dags"
    shutil.copytree(ROOT / "dags", dags)
    (dags / f"{EMPTY}.py").write_text(_EMPTY_TASKS)
    (dags / f"{LONG}.py").write_text(_LONG_TASK)
    for name, text in further.items():
        (dags / f"{name}.py").write_text(text)
    casa = _CONTRACT.install(place / "casa")
    instance = Instance(place / "instance", casa=casa.casa, heuristics=casa.heuristics, dags=dags)
    try:
        instance.up()
        made = Stack(instance, casa, _OBSERVING.small_sdm(place / "sdm", bytes_each=20_000))
        for dag in (EMPTY, LONG, CALIBRATION, SENSOR, MINUTE, *further):
            made.airflow.wait_for_dag(dag)
        made.wait_for_sensor()
        yield made
    finally:
        instance.down()
