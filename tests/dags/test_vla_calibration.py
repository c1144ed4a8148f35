from __future__ import annotations

import itertools
from collections.abc import Mapping

import pytest
from airflow.sdk import DAG, TriggerRule

ROAD = [
    "open_run", "mail_begun", "fetch_from_ngas", "write_ppr", "run_casa", "judge_outcome", "deliver_to_qa_area",
    "mail_ready_for_review",
]  # fmt: skip
EB = "13A-537.sb24066356.eb24324502.56514.05971091435"


@pytest.fixture
def dag(dags: Mapping[str, DAG]) -> DAG:
    return dags["vla_calibration"]


def test_the_task_chain_is_one_line_and_every_step_may_fail_into_the_report(dag: DAG) -> None:
    downstream = {task.task_id: set(task.downstream_task_ids) for task in dag.tasks}
    # The first by the step behind it: at each look at a mapped task the scheduler asks its database.
    expected = {step: set() if step == ROAD[0] else {"report_failure"} for step in ROAD}
    for step, following in itertools.pairwise(ROAD):
        expected[step].add(following)
    assert downstream == expected | {"report_failure": set()}


def test_only_the_report_runs_when_something_failed(dag: DAG) -> None:
    rules = {task.task_id: TriggerRule(task.trigger_rule) for task in dag.tasks}
    assert rules.pop("report_failure") == "one_failed"
    assert set(rules.values()) == {"all_success"}


def test_casa_and_the_fetch_wait_in_their_pools_and_everything_is_tried_again(dag: DAG) -> None:
    assert {task.task_id: task.pool for task in dag.tasks if task.pool != "default_pool"} == {
        "run_casa": "casa",
        "fetch_from_ngas": "fetch",
    }
    assert all(task.retries >= 3 for task in dag.tasks if task.task_id != "report_failure")


def test_nothing_in_it_is_the_sandboxs(dag: DAG) -> None:
    assert "sandbox" not in (dag.doc_md or "")
