"""The road as any DAG gets it; what vla_calibration makes of it is looked at in tests/dags."""

from __future__ import annotations

import itertools

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TriggerRule

from srdp.task_groups.calibration_road import DEFAULT_ARGS, OPEN_RUN, OPENED_RUN, calibration_road

STEPS = [
    "mail_begun", "fetch_from_ngas", "write_ppr", "run_casa", "judge_outcome", "deliver_to_qa_area",
    "mail_ready_for_review",
]  # fmt: skip


def road() -> DAG:
    with DAG("another", schedule=None, default_args=DEFAULT_ARGS) as dag:
        calibration_road(EmptyOperator(task_id=OPEN_RUN))
    return dag


def test_the_steps_follow_the_opening_in_one_line_and_each_may_fail_into_the_report() -> None:
    expected = {step: {"report_failure"} for step in (OPEN_RUN, *STEPS)}
    for step, following in itertools.pairwise((OPEN_RUN, *STEPS)):
        expected[step].add(following)
    assert {task.task_id: task.downstream_task_ids for task in road().tasks} == expected | {"report_failure": set()}


def test_every_step_is_told_the_run_that_was_opened() -> None:
    assert {getattr(road().get_task(step), "pipeline_run_id", None) for step in (*STEPS, "report_failure")} == {
        OPENED_RUN
    }


def test_only_the_report_waits_for_a_failure() -> None:
    rules = {task.task_id: TriggerRule(task.trigger_rule) for task in road().tasks}
    assert rules.pop("report_failure") is TriggerRule.ONE_FAILED
    assert set(rules.values()) == {TriggerRule.ALL_SUCCESS}
