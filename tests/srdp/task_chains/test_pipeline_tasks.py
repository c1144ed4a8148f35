"""The tasks as any DAG gets them; what the DAGs make of them is looked at in tests/dags."""

from __future__ import annotations

import itertools

import pytest
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import DAG, TriggerRule

from srdp.families import ALMA, VLA, Family, families
from srdp.task_chains.pipeline_tasks import DEFAULT_ARGS, OPEN_RUN, OPENED_RUN, add_pipeline_tasks

COMMON = [
    "fetch_from_ngas", "write_ppr", "run_casa", "judge_outcome", "deliver_to_qa_area", "mail_ready_for_review",
]  # fmt: skip
STEPS = {VLA.name: ["mail_begun", *COMMON], ALMA.name: [*COMMON[:-1], "ask_for_assignment", COMMON[-1]]}

of_each_family = pytest.mark.parametrize("family", families(), ids=lambda family: family.name)


def chain_of(family: Family) -> DAG:
    with DAG("another", schedule=None, default_args=DEFAULT_ARGS) as dag:
        add_pipeline_tasks(EmptyOperator(task_id=OPEN_RUN), family)
    return dag


@of_each_family
def test_the_steps_follow_the_opening_in_one_line_and_each_may_fail_into_the_report(family: Family) -> None:
    steps = [OPEN_RUN, *STEPS[family.name]]
    # That of the opening is that of the step behind it.
    expected: dict[str, set[str]] = {step: {"report_failure"} for step in steps} | {OPEN_RUN: set()}
    for step, following in itertools.pairwise(steps):
        expected[step].add(following)
    found = {task.task_id: task.downstream_task_ids for task in chain_of(family).tasks}
    assert found == expected | {"report_failure": set()}


@of_each_family
def test_every_step_gets_the_run_that_was_opened(family: Family) -> None:
    dag = chain_of(family)
    assert {
        getattr(dag.get_task(step), "pipeline_run_id", None) for step in (*STEPS[family.name], "report_failure")
    } == {OPENED_RUN}


@of_each_family
def test_only_the_report_waits_for_a_failure(family: Family) -> None:
    rules = {task.task_id: TriggerRule(task.trigger_rule) for task in chain_of(family).tasks}
    assert rules.pop("report_failure") is TriggerRule.ONE_FAILED
    assert set(rules.values()) == {TriggerRule.ALL_SUCCESS}


def test_the_steps_name_who_is_notified() -> None:
    assert [chain_of(family).get_task("mail_ready_for_review").task_display_name for family in families()] == [
        "Tell the analysts it is ready for review",
        "Tell the operations manager it is ready for review",
    ]
