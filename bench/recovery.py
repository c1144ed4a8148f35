"""How long the work of a killed component stops: SIGKILL to each, one after the other.

Measured from the kill until work continues: of the scheduler and of a worker until a step that ran runs again, of the
triggerer until a calibration whose CASA ends at that moment has gone on, of the DAG processor until a changed DAG is
known, of the API server until it answers steps.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psutil
import requests

from bench.frame import Case, Figure, Options, Sides
from bench.stack import CALIBRATION, EMPTY, LONG, Stack, stack
from sandbox.stack.environment import AIRFLOW, LEDGER

_LIMIT_SECONDS = 180.0
_GOAL_SECONDS = 60.0
_HELD_STAGE = "hifv_importdata"


def _until(condition: Callable[[], object]) -> None:
    limit = time.monotonic() + _LIMIT_SECONDS
    while not condition():
        if time.monotonic() > limit:
            raise TimeoutError(f"nothing continued for {_LIMIT_SECONDS:.0f} s")
        time.sleep(0.1)


class _Victims:
    """One instance, whose components are killed one after the other."""

    def __init__(self, made: Stack) -> None:
        self._made = made
        self._long = made.airflow.trigger(LONG)
        _until(self._step)

    def take(self) -> dict[str, float]:
        """Kill each; return for how long its work stopped, in seconds."""
        return {
            "recovery-scheduler": self._step_of(lambda: self._made.instance.process("scheduler")),
            "recovery-worker": self._step_of(self._worker),
            "recovery-triggerer": self._triggerer(),
            "recovery-dag-processor": self._dag_processor(),
            **self._api_server(),
        }

    def _step(self) -> int:
        """Return the process of the step that runs; 0 if none does."""
        rows = self._made.rows(
            AIRFLOW,
            "SELECT pid FROM task_instance WHERE dag_id = %(dag)s AND run_id = %(run)s AND state = 'running'",
            dag=LONG, run=self._long,
        )  # fmt: skip
        return int(rows[0]["pid"] or 0) if rows else 0

    def _worker(self) -> int:
        parent = psutil.Process(self._step()).parent()
        assert parent is not None
        return parent.pid

    def _step_of(self, victim: Callable[[], int]) -> float:
        _until(self._step)
        before = self._step()
        os.kill(victim(), signal.SIGKILL)
        began = time.monotonic()
        _until(lambda: self._step() not in (0, before))
        taken = time.monotonic() - began
        _end(before)
        return taken

    def _triggerer(self) -> float:
        made = self._made
        made.casa.behave(hold_at=_HELD_STAGE)
        (block,) = made.observe()
        run = self._waiting_run(block.name)
        os.kill(made.instance.process("triggerer"), signal.SIGKILL)
        began = time.monotonic()
        (Path(run["directory"]) / "working" / "release").touch()
        _until(lambda: self._state(CALIBRATION, block.name, "run_casa") == "success")
        return time.monotonic() - began

    def _waiting_run(self, subject: str) -> dict[str, str]:
        _until(lambda: self._state(CALIBRATION, subject, "run_casa") == "deferred")
        statement = "SELECT pipeline_run_id FROM pipeline_run JOIN request USING (request_id) WHERE subject = %(eb)s"
        (row,) = self._made.rows(LEDGER, statement, eb=subject)
        area = self._made.instance.places.areas["processing"]
        return {"directory": str(area / row["pipeline_run_id"])}

    def _state(self, dag: str, run: str, task: str) -> str | None:
        rows = self._made.rows(
            AIRFLOW,
            "SELECT state FROM task_instance WHERE dag_id = %(dag)s AND run_id = %(run)s AND task_id = %(task)s",
            dag=dag, run=run, task=task,
        )  # fmt: skip
        return rows[0]["state"] if rows else None

    def _dag_processor(self) -> float:
        made, killed = self._made, datetime.now(UTC)
        os.kill(made.instance.process("dag-processor"), signal.SIGKILL)
        began = time.monotonic()
        file = Path(made.instance.environment()["AIRFLOW__CORE__DAGS_FOLDER"], f"{EMPTY}.py")
        file.write_text(f"{file.read_text()}# changed\n")
        statement = "SELECT last_parsed_time > %(killed)s AS known FROM dag WHERE dag_id = %(dag)s"
        _until(lambda: made.rows(AIRFLOW, statement, killed=killed, dag=EMPTY)[0]["known"])
        return time.monotonic() - began

    def _api_server(self) -> dict[str, float]:
        made, step = self._made, self._step()
        os.kill(made.instance.process("api-server"), signal.SIGKILL)
        began = time.monotonic()
        _until(lambda: _answers(f"{made.instance.airflow_url}/execution/health"))
        taken, back = time.monotonic() - began, datetime.now(UTC)
        # Either its heartbeat comes, or it was taken for dead.
        statement = "SELECT last_heartbeat_at > %(back)s AS heard FROM task_instance WHERE dag_id = %(dag)s"
        _until(lambda: made.rows(AIRFLOW, statement, back=back, dag=LONG)[0]["heard"] or self._step() != step)
        return {"recovery-api-server": taken, "recovery-api-server-lost": float(self._step() != step)}


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


def _end(step: int) -> None:
    """End a step whose worker was killed, as the next restart of the machine would."""
    try:
        psutil.Process(step).kill()
    except psutil.NoSuchProcess:
        return


@contextmanager
def _killed(options: Options) -> Iterator[Sides]:
    with stack(options.place) as made:
        yield Sides(ours=_Victims(made).take)


def _figure(name: str, what: str) -> Figure:
    return Figure(f"recovery-{name}", f"{name} killed with SIGKILL: {what}", "", goal=_GOAL_SECONDS)


CASES = (
    Case(
        _killed,
        (
            _figure("scheduler", "a step that ran runs again"),
            _figure("worker", "a step that ran runs again"),
            _figure("triggerer", "a run whose CASA ended just then has gone on"),
            _figure("dag-processor", "a changed DAG is known"),
            _figure("api-server", "steps have its answer"),
            Figure("recovery-api-server-lost", "steps that were taken for dead meanwhile", "", 0, "of 1"),
        ),
        rounds=3,
        warm_up=0,
        asked_for=True,
    ),
)
