"""A burst of observations: many at once, beside as many runs of a DAG of as many empty tasks.

CASA is the contract's, which computes nothing, and the observation has some kilobytes: what is left is the
orchestration. In the middle of the burst somebody gives a verdict; the mails of the burst and the heartbeats of
Airflow's components are looked at. "Alone" is the same on an idle system, just before.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Any

from bench.frame import Case, Figure, Options, Sides
from bench.stack import CALIBRATION, EMPTY, Stack, stack
from sandbox.stack.environment import AIRFLOW, LEDGER

VERDICT = "vla_qa_pass"
_SECONDS_A_RUN = 60.0
_CALLERS = 4


class Burst:
    """One instance on which bursts come.

    Args:
        made: the instance.
        size: how many observations come at once.
    """

    def __init__(self, made: Stack, size: int) -> None:
        self._made = made
        self._size = size
        # As many CASAs as there are workers: the pool is not what is measured.
        made.set_slots("casa", int(made.instance.environment()["AIRFLOW__CORE__PARALLELISM"]))
        self.ours_alone()  # imports, connections, the first answers of the API server

    def ours_alone(self) -> float:
        """Return how long one observation takes from the archive to its delivery, in seconds, on an idle system."""
        began = self._now()
        (block,) = self._made.observe()
        return self._ends([block.name], 1)[0] - began

    def verdict_alone(self) -> float:
        """Return how long a verdict takes on an idle system, in seconds."""
        (block,) = self._made.observe()
        self._ends([block.name], 1)
        return self._verdict(block.name)

    def ours(self) -> dict[str, float]:
        """Let the burst come; return the figures of it."""
        made = self._made
        verdict_alone, alone = self.verdict_alone(), self.ours_alone()
        (judged,) = made.observe()
        self._ends([judged.name], 1)
        with _Silences(made) as silences:
            began = self._now()
            names = [block.name for block in made.observe(self._size)]
            with ThreadPoolExecutor(1) as somebody:
                verdict = somebody.submit(self._verdict_when_it_burns, names, judged.name)
                ends = self._ends(names, self._size)
                in_burst = verdict.result()
            total = max(ends) - began
        self._check_exactly_one_run_each(names)
        print(f"    alone {alone:.1f} s, first {min(ends) - began:.1f} s; verdict alone {verdict_alone:.1f} s,"
              f" in the burst {in_burst:.1f} s; {len(names) / total * 3600:.0f} runs an hour", flush=True)  # fmt: skip
        return {
            "": total,
            "-first": (min(ends) - began) / alone,
            "-verdict": in_burst - verdict_alone,
            "-mail": self._slowest_mail(began),
            **silences.longest,
        }

    def rival(self) -> dict[str, float]:
        """Run as many DAG runs of empty tasks; return how long that took."""
        airflow, began = self._made.airflow, self._now()
        with ThreadPoolExecutor(_CALLERS) as callers:
            ids = list(callers.map(lambda _: airflow.trigger(EMPTY), range(self._size)))
        found = self._made.wait_for(EMPTY, ids, seconds=_SECONDS_A_RUN * self._size)
        return {"": max(_seconds(row["end_date"]) for row in found.values()) - began}

    def _now(self) -> float:
        return _seconds(self._made.rows(AIRFLOW, "SELECT clock_timestamp() AS now")[0]["now"])

    def _ends(self, names: list[str], size: int) -> list[float]:
        found = self._made.wait_for(CALIBRATION, names, seconds=120 + _SECONDS_A_RUN * size)
        return [_seconds(row["end_date"]) for row in found.values()]

    def _verdict_when_it_burns(self, names: list[str], judged: str) -> float:
        while not any(row["state"] == "success" for row in self._made.dag_runs(CALIBRATION, names).values()):
            time.sleep(0.5)
        return self._verdict(judged)

    def _verdict(self, subject: str) -> float:
        made = self._made
        statement = "SELECT pipeline_run_id FROM pipeline_run JOIN request USING (request_id) WHERE subject = %(eb)s"
        (run,) = made.rows(LEDGER, statement, eb=subject)
        conf = {"pipeline_run_id": run["pipeline_run_id"], "qa_flag": "Pass"}
        began = self._now()
        started = made.airflow.trigger(VERDICT, conf)
        (row,) = made.wait_for(VERDICT, [started], seconds=900).values()
        return _seconds(row["end_date"]) - began

    def _check_exactly_one_run_each(self, names: list[str]) -> None:
        rows = self._made.rows(
            LEDGER,
            "SELECT subject, count(*) AS runs, min(state) AS state FROM pipeline_run JOIN request USING (request_id)"
            " WHERE subject = ANY(%(names)s) GROUP BY subject",
            names=names,
        )
        assert {row["subject"] for row in rows} == set(names)
        assert {(row["runs"], row["state"]) for row in rows} == {(1, "awaiting_qa")}

    def _slowest_mail(self, began: float) -> float:
        (row,) = self._made.rows(
            LEDGER,
            "SELECT max(extract(epoch FROM coalesce(done_at, now()) - queued_at)) AS seconds FROM outbox"
            " WHERE queued_at > to_timestamp(%(began)s)",
            began=began,
        )
        return float(row["seconds"])


class _Silences:
    """Looks how long a living component, or the process of a step, does not write its heartbeat."""

    _JOBS = (
        "SELECT job_type AS what, extract(epoch FROM clock_timestamp() - max(latest_heartbeat)) AS seconds FROM job"
        " WHERE job_type IN ('SchedulerJob', 'TriggererJob') GROUP BY job_type"
    )
    _STEPS = (
        "SELECT 'step' AS what, extract(epoch FROM clock_timestamp() - min(last_heartbeat_at)) AS seconds"
        " FROM task_instance WHERE state = 'running'"
    )

    def __init__(self, made: Stack) -> None:
        self._made = made
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.longest = {"-scheduler-silent": 0.0, "-triggerer-silent": 0.0, "-step-silent": 0.0}

    def __enter__(self) -> _Silences:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(1.0):
            for row in [*self._made.rows(AIRFLOW, self._JOBS), *self._made.rows(AIRFLOW, self._STEPS)]:
                name = f"-{str(row['what']).removesuffix('Job').lower()}-silent"
                self.longest[name] = max(self.longest[name], float(row["seconds"] or 0))


def _seconds(moment: datetime) -> float:
    return moment.timestamp()


@contextmanager
def _burst(options: Options, *, name: str, size: int) -> Iterator[Sides]:
    with stack(options.place) as made:
        burst = Burst(made, 6 if options.quick else size)

        def named(taken: dict[str, float]) -> dict[str, float]:
            return {f"{name}{figure}": value for figure, value in taken.items()}

        yield Sides(ours=lambda: named(burst.ours()), rival=lambda: named(burst.rival()))


def _case(size: int, rounds: int) -> Case:
    name = f"burst-{size}"
    numbers: list[tuple[str, str, float, str]] = [
        ("-first", "first run delivered, as a multiple of a run alone", 1.5, "times"),
        ("-verdict", "a verdict in it, longer than alone by", 30, "s"),
        ("-mail", "from queued to sent, the slowest mail", 60, "s"),
        ("-scheduler-silent", "longest silence of the scheduler (dead after 30 s)", 30, "s"),
        ("-triggerer-silent", "longest silence of the triggerer (dead after 20 s)", 20, "s"),
        ("-step-silent", "longest silence of a step (dead after 40 s)", 40, "s"),
    ]
    figures: list[Any] = [
        Figure(name, f"{size} observations at once, one run each", f"{size} runs of as many empty tasks", goal=1.3),
        *(Figure(name + suffix, f"burst of {size}: {what}", "", goal, unit) for suffix, what, goal, unit in numbers),
    ]
    return Case(partial(_burst, name=name, size=size), tuple(figures), rounds=rounds, warm_up=0, asked_for=True)


CASES = (_case(60, 3), _case(200, 1))
