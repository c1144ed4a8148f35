from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping

import pytest
from airflow.sdk import DAG, TriggerRule
from airflow.sdk.exceptions import ParamValidationError

ROAD = [
    "open_run", "mail_begun", "fetch_from_ngas", "write_ppr", "run_casa", "judge_outcome", "deliver_to_qa_area",
    "mail_ready_for_review",
]  # fmt: skip
EB = "13A-537.sb24066356.eb24324502.56514.05971091435"


@pytest.fixture
def dag(dags: Mapping[str, DAG]) -> DAG:
    return dags["vla_calibration"]


def test_the_road_is_one_line_and_every_step_may_fail_into_the_report(dag: DAG) -> None:
    downstream = {task.task_id: set(task.downstream_task_ids) for task in dag.tasks}
    expected = {step: {"report_failure"} for step in ROAD}
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


@pytest.mark.parametrize("value", [EB, "uid://evla/execblock/00000000-0000-0000-0000-000000000007"])
def test_the_form_takes_a_name_or_a_locator(dag: DAG, value: str) -> None:
    params = copy.deepcopy(dag.params)
    params.update({"execution_block": value})
    params.validate()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("execution_block", ""),
        ("execution_block", "../" + EB),
        ("execution_block", EB + "; reboot"),
        ("execution_block", "uid://A001/X1288/X3f"),
        ("execution_block", "x" * 10_000),
        ("execution_block", 7),
        ("recipe", "../vla_calibration"),
        ("recipe", ""),
        ("cores", 0),
        ("cores", "many"),
        ("memory_gb", -1),
        ("memory_gb", 1.5),
    ],
)
def test_the_form_refuses(dag: DAG, name: str, value: object) -> None:
    params = copy.deepcopy(dag.params)
    params.update({"execution_block": EB})
    params.validate()
    with pytest.raises(ParamValidationError):  # noqa: PT012  either of the two may be the one that refuses
        params.update({name: value})
        params.validate()
