"""What a calibration costs besides CASA and bytes: one run, beside one of as many empty tasks.

The observation has some kilobytes, and CASA is the contract's, made to last longer than it takes to hand the wait for
it to the triggerer, as any CASA does; the time between its start and its end is taken out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

from bench.frame import Case, Figure, Options, Sides
from bench.stack import CALIBRATION, EMPTY, SENSOR, Stack, stack
from sandbox.stack.environment import AIRFLOW

_NAME = "orchestration"
_SECONDS_A_STAGE = 1.0


class _Runs:
    def __init__(self, made: Stack) -> None:
        self._made = made
        made.airflow.patch(f"dags/{SENSOR}", {"is_paused": True})
        made.casa.behave(seconds_per_stage=_SECONDS_A_STAGE)

    def ours(self) -> Mapping[str, float]:
        (block,) = self._made.observe()
        taken = self._taken(CALIBRATION, {"execution_block": block.name})
        return {_NAME: taken - self._made.casa_seconds()[block.name]}

    def rival(self) -> Mapping[str, float]:
        return {_NAME: self._taken(EMPTY, {})}

    def _taken(self, dag: str, conf: dict[str, str]) -> float:
        made = self._made
        started = made.airflow.trigger(dag, conf)
        (run,) = made.wait_for(dag, [started], seconds=600).values()
        rows = made.rows(
            AIRFLOW,
            "SELECT task_id, start_date AS started, end_date AS ended FROM task_instance"
            " WHERE dag_id = %(dag)s AND run_id = %(run)s AND start_date IS NOT NULL ORDER BY start_date",
            dag=dag, run=started,
        )  # fmt: skip
        before: datetime = run["queued_at"]
        for row in rows:
            begun, waited = row["started"], (row["started"] - before).total_seconds()
            print(
                f"    {row['task_id']:24s} waited {waited:5.2f} s, took {(row['ended'] - begun).total_seconds():5.2f} s"
            )
            before = row["ended"]
        print(f"    {'end':24s} waited {(run['end_date'] - before).total_seconds():5.2f} s", flush=True)
        return float((run["end_date"] - run["queued_at"]).total_seconds())


@contextmanager
def _arranged(options: Options) -> Iterator[Sides]:
    with stack(options.place) as made:
        runs = _Runs(made)
        yield Sides(ours=runs.ours, rival=runs.rival)


CASES = (
    Case(
        _arranged,
        (Figure(_NAME, "a calibration without CASA's time and bytes", "a run of as many empty tasks", goal=1.3),),
        asked_for=True,
    ),
)
