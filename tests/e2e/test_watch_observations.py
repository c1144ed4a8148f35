"""The ingestion sensor on a real scheduler; what it starts is counted in Airflow, not in the ledger.

`vla_calibration` is paused meanwhile: what is started waits, and thirty calibrations need not be made for a test.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime

import psutil
import psycopg
import pytest
import requests

from sandbox.observe import observe
from sandbox.ports import LOOPBACK
from sandbox.stack import Instance
from sandbox.stack.airflow_api import AirflowApi
from sandbox.stack.environment import AIRFLOW, ARCHIVE, LEDGER

pytestmark = pytest.mark.airflow

DEADLINE = 120.0
PROMISED_SECONDS = 30.0


@pytest.fixture
def watched(stack: Instance, airflow: AirflowApi) -> Iterator[Instance]:
    """The stack with a waiting sensor and a paused calibration; what was started is taken away at the end."""
    airflow.wait_for_dag("watch_observations")
    airflow.wait_for_dag("vla_calibration")
    airflow.patch("dags/vla_calibration", {"is_paused": True})
    before = set(calibrations(stack))
    wait_until(lambda: rows(stack, LEDGER, "SELECT count(*) FROM observation_watch") != [(0,)])
    yield stack
    stack.up()
    for name in set(calibrations(stack)) - before:
        with suppress(requests.HTTPError):
            airflow.request("DELETE", f"dags/vla_calibration/dagRuns/{name}")
    airflow.patch("dags/vla_calibration", {"is_paused": False})


@pytest.fixture
def observed(watched: Instance, small_sdm) -> Callable[..., dict[str, datetime]]:
    """Observes; returns when each execution block came into the archive."""

    def do(count: int = 1, **options) -> dict[str, datetime]:
        blocks = observe(
            archive=watched.postgres.url(ARCHIVE),
            ngas=f"http://{LOOPBACK}:{watched.ports.ngas}",
            sdm=small_sdm,
            count=count,
            **options,
        )
        names = [block.name for block in blocks]
        with psycopg.connect(watched.postgres.url(ARCHIVE)) as archive:
            return dict(
                archive.execute(
                    "SELECT name, ingested_at FROM execution_block WHERE name = ANY(%s)", (names,)
                ).fetchall()
            )

    return do


def rows(stack: Instance, database: str, statement: str, *parameters) -> list[tuple]:
    with psycopg.connect(stack.postgres.url(database)) as connection:
        return connection.execute(statement, parameters).fetchall()


def calibrations(stack: Instance) -> dict[str, datetime]:
    """The DAG runs that there are, with the time at which each was started."""
    return dict(rows(stack, AIRFLOW, "SELECT run_id, queued_at FROM dag_run WHERE dag_id = 'vla_calibration'"))


def wait_until(condition: Callable[[], object], seconds: float = DEADLINE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def started_once(stack: Instance, names: set[str]) -> dict[str, datetime]:
    """Wait until all are started and recorded, and returns when each was; none may have a second run."""
    wait_until(lambda: names <= calibrations(stack).keys())
    wait_until(
        lambda: (
            rows(
                stack,
                LEDGER,
                "SELECT count(*) FROM observation WHERE eb_name = ANY(%s) AND started_at IS NULL",
                list(names),
            )
            == [(0,)]
        )
    )
    confs = [str(conf) for (conf,) in rows(stack, AIRFLOW, "SELECT conf FROM dag_run WHERE dag_id = 'vla_calibration'")]
    for name in names:
        assert sum(name in conf for conf in confs) == 1
    return {name: at for name, at in calibrations(stack).items() if name in names}


def test_thirty_at_once_are_each_started_once_within_thirty_seconds(watched, observed):
    ingested = observed(30, at_once=True)
    started = started_once(watched, set(ingested))
    delays = [(started[name] - at).total_seconds() for name, at in ingested.items()]
    assert max(delays) < PROMISED_SECONDS
    assert min(delays) > 0


def test_what_came_while_airflow_was_down_is_started_when_it_is_back(watched, observed):
    for name in ("scheduler", "triggerer"):
        watched.stop_component(name)
    names = set(observed(3))
    for name in ("scheduler", "triggerer"):
        watched.start_component(name)
    started_once(watched, names)


def test_a_killed_triggerer_loses_nothing(watched, observed):
    os.kill(watched.process("triggerer"), signal.SIGKILL)
    started_once(watched, set(observed(2)))


def test_killed_between_two_starts_the_rest_is_started_and_nothing_twice(watched, observed):
    count = 30
    (already,) = rows(watched, LEDGER, "SELECT count(started_at) FROM observation")[0]
    names = set(observed(count, at_once=True))

    def is_halfway() -> bool:
        (now,) = rows(watched, LEDGER, "SELECT count(started_at) FROM observation")[0]
        assert now - already < count, "it was over before it could be killed"
        return now > already

    wait_until(is_halfway)
    kill_running_tasks(watched)
    started_once(watched, names)


def kill_running_tasks(stack: Instance) -> None:
    """SIGKILL to the processes in which tasks run: the children of the scheduler's workers."""
    for worker in psutil.Process(stack.process("scheduler")).children():
        for task in worker.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                task.kill()


def test_what_is_not_to_be_calibrated_is_left_alone_where_people_can_see_it(watched, observed, airflow):
    marked = {
        **observed(name=f"sysstartS.58955.{time.time_ns()}"),
        **observed(calibration_status="Do Not Calibrate"),
        **observed(calibration_status="Something New"),
    }
    (wanted,) = observed()
    started_once(watched, {wanted})
    decisions = rows(watched, LEDGER, "SELECT decision, reason FROM observation WHERE eb_name = ANY(%s)", list(marked))
    assert [decision for decision, _ in decisions] == ["left alone"] * 3
    assert all(reason for _, reason in decisions)
    assert not calibrations(watched).keys() & marked.keys()
    shown = {}
    for (run_id,) in rows(watched, AIRFLOW, "SELECT run_id FROM dag_run WHERE dag_id = 'watch_observations'"):
        path = f"dags/watch_observations/dagRuns/{run_id}/taskInstances/decide/xcomEntries/return_value"
        with suppress(requests.HTTPError):
            shown |= airflow.get(path, deserialize="true")["value"]["left alone"]
    assert shown.keys() >= marked.keys()


def test_while_nothing_comes_no_run_is_open(watched):
    def open_runs() -> list[tuple]:
        return rows(
            watched,
            AIRFLOW,
            "SELECT run_id FROM dag_run WHERE dag_id IN ('watch_observations', 'send_mails_and_reconcile') "
            "AND state IN ('queued', 'running')",
        )

    wait_until(lambda: not open_runs())
