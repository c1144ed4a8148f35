"""What it costs that five hundred CASA jobs run, or five hundred questions wait for an answer.

Five hundred DAG runs have deferred to the project's trigger, each with as many steps behind it as a calibration, and
the trigger looks at the records of a job as the local engine leaves them (one job, in place of five hundred processes).
The questions are those of ``alma_assign_qa``. Looked at is what of Airflow is left for others: how soon a step of a
further DAG run follows another, the processor time of the triggerer, and what is queued or runs.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

import psutil

from bench import ROOT
from bench.frame import Case, Figure, Options, Sides
from bench.stack import EMPTY, SENSOR, Stack, stack
from sandbox.stack.environment import AIRFLOW
from srdp.engines.local_records import JOB, LOCK, STARTED, lock, now, this_place, write_once

_NUMBER, _FEW = 500, 20
_SECONDS = 1800.0
_LOOKED_AT_SECONDS = 30.0
_ROUNDS = 2
_CALLERS = 4
_WAITING_DAG = "waits_for_casa"
_QUESTIONS = "alma_assign_qa"
_JOB_NAME = "casa-bench-1"
_DAG = '''\
"""DAG runs that wait for a CASA job."""

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import BaseOperator, chain, dag
from airflow.triggers.base import StartTriggerArgs


class Waits(BaseOperator):
    start_from_trigger = True
    start_trigger_args = StartTriggerArgs(
        trigger_cls="srdp.triggers.casa_job.CasaJobTrigger",
        trigger_kwargs={{
            "engine": "local", "job_name": {job!r}, "spool": {spool!r}, "directory": {directory!r},
            "commands": ["hifv_importdata"], "deadline": {deadline!r},
        }},
        next_method="execute_complete",
        next_kwargs=None,
        timeout=None,
    )

    def execute_complete(self, context, event=None):
        pass


@dag(schedule=None, max_active_runs=1000, is_paused_upon_creation=False)
def {dag}():
    chain(Waits(task_id="wait"), *(EmptyOperator(task_id=f"nothing_{{number}}") for number in range(8)))


{dag}()
'''


class _Waiting:
    """One instance on which much waits.

    Args:
        made: the instance.
        number: how much.
        state: the state of a task that waits.
    """

    def __init__(self, made: Stack, number: int, state: str) -> None:
        self._made, self._number, self._state = made, number, state
        made.airflow.patch(f"dags/{SENSOR}", {"is_paused": True})
        self.status()  # imports, connections
        print(f"    nothing waits: {self.status()}", flush=True)

    def until_all_wait(self) -> None:
        """Return when everything waits.

        Raises:
            TimeoutError: it does not.
        """
        limit, statement = (
            time.monotonic() + _SECONDS,
            "SELECT count(*) AS n FROM task_instance WHERE state = %(state)s",
        )
        while (number := self._made.rows(AIRFLOW, statement, state=self._state)[0]["n"]) < self._number:
            if time.monotonic() > limit:
                raise TimeoutError(f"{number} of {self._number} wait after {_SECONDS:.0f} s")
            time.sleep(2)

    def status(self) -> Mapping[str, float]:
        """Return what of Airflow is left for others now."""
        made = self._made
        lags = [lag for _ in range(_ROUNDS) for lag in self._lags()]
        triggerer = psutil.Process(made.instance.process("triggerer"))
        scheduler = psutil.Process(made.instance.process("scheduler"))
        before = _cpu(triggerer), scheduler.cpu_times()
        time.sleep(_LOOKED_AT_SECONDS)
        after = _cpu(triggerer), scheduler.cpu_times()
        busy = after[1].user + after[1].system - before[1].user - before[1].system
        return {
            "lag": statistics.median(lags),
            "longest lag": max(lags),
            "triggerer": (after[0] - before[0]) / _LOOKED_AT_SECONDS,
            "slots": float(self._slots()),
            "scheduler": busy / _LOOKED_AT_SECONDS,
        }

    def _lags(self) -> list[float]:
        """Return how long each step of a run of empty tasks waited until it was queued, in seconds."""
        run = self._made.airflow.trigger(EMPTY)
        self._made.wait_for(EMPTY, [run], seconds=600)
        rows = self._made.rows(
            AIRFLOW,
            "SELECT extract(epoch FROM t.queued_dttm -"
            " coalesce(lag(t.end_date) OVER (ORDER BY t.start_date), d.queued_at)) AS lag"
            " FROM dag_run d JOIN task_instance t USING (dag_id, run_id)"
            " WHERE d.dag_id = %(dag)s AND d.run_id = %(run)s",
            dag=EMPTY, run=run,
        )  # fmt: skip
        return [float(row["lag"]) for row in rows]

    def _slots(self) -> int:
        statement = (
            "SELECT count(*) AS n FROM task_instance WHERE state IN ('queued', 'running')"
            " AND dag_id IN (%(casa)s, %(questions)s)"
        )
        return int(self._made.rows(AIRFLOW, statement, casa=_WAITING_DAG, questions=_QUESTIONS)[0]["n"])


def _cpu(process: psutil.Process) -> float:
    """Return the processor time of a process and its children, in seconds."""
    times = [each.cpu_times() for each in (process, *process.children(recursive=True))]
    return sum(each.user + each.system for each in times)


@contextmanager
def _jobs(options: Options) -> Iterator[tuple[Stack, Callable[[int], None]]]:
    spool = options.place / "instance" / "areas" / "spool" / "vla-bench"
    directory = options.place / "instance" / "areas" / "processing" / "vla-bench"
    deadline = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    text = _DAG.format(
        job=_JOB_NAME, spool=str(spool), directory=str(directory), deadline=deadline, dag=_WAITING_DAG
    )  # fmt: skip
    with stack(options.place, **{_WAITING_DAG: text}) as made:
        (directory / "working").mkdir(parents=True)
        job = spool / _JOB_NAME
        job.mkdir(parents=True, mode=0o700)
        spool.chmod(0o700)
        write_once(job / JOB, {})
        write_once(job / STARTED, {**this_place(), "started_at": now()})
        assert lock(job / LOCK)

        def begin(number: int) -> None:
            with ThreadPoolExecutor(_CALLERS) as callers:
                list(callers.map(lambda _: made.airflow.trigger(_WAITING_DAG), range(number)))

        yield made, begin


@contextmanager
def _questions(options: Options) -> Iterator[tuple[Stack, Callable[[int], None]]]:
    with stack(options.place) as made:
        made.airflow.wait_for_dag(_QUESTIONS)

        def begin(number: int) -> None:
            program = ROOT / "tests" / "programs" / "images_awaiting_qa.py"
            environment = made.instance.environment() | {"PYTHONPATH": str(ROOT / "plugins")}
            subprocess.run([sys.executable, program, str(number)], env=environment, check=True, capture_output=True)

        yield made, begin


@contextmanager
def _waiting(options: Options, *, name: str, state: str) -> Iterator[Sides]:
    number = _FEW if options.quick else _NUMBER
    with (_jobs if state == "deferred" else _questions)(options) as (made, begin):
        waiting = _Waiting(made, number, state)
        begin(number)
        waiting.until_all_wait()

        def ours() -> Mapping[str, float]:
            seen = waiting.status()
            print(f"    {number} wait: {seen}", flush=True)
            return {f"{name}-{what}": value for what, value in seen.items()}

        yield Sides(ours=ours)


def _case(name: str, what: str, state: str) -> Case:
    figures = (
        Figure(f"{name}-lag", f"{what}: from the end of a step to the next one in the queue", "", 2.0),
        Figure(f"{name}-triggerer", f"{what}: the triggerer", "", 0.1, "cores"),
        Figure(f"{name}-slots", f"{what}: worker slots that they hold", "", 0, "slots"),
    )
    return Case(partial(_waiting, name=name, state=state), figures, rounds=3, warm_up=0, asked_for=True)


CASES = (
    _case("waiting-casa", f"{_NUMBER} CASA jobs that run", "deferred"),
    _case("waiting-questions", f"{_NUMBER} questions who reviews images", "awaiting_input"),
)
