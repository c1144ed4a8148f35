from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping
from datetime import timedelta

import pytest
from airflow.sdk import DAG, TriggerRule
from airflow.sdk.exceptions import ParamValidationError

ROAD = [
    "claim_ingest", "write_qa_notes", "pack_products", "archive_products", "write_archive_metadata", "finish_ingest",
    "reindex_project", "keep_products", "mail_archived",
]  # fmt: skip
RUN = "vla-20261122-182453-4f7k"
SAID = {"pipeline_run_id": RUN, "qa_flag": "Pass"}


@pytest.fixture(params=["vla_qa_pass", "alma_ingest"])
def dag(request: pytest.FixtureRequest, dags: Mapping[str, DAG]) -> DAG:
    return dags[request.param]


@pytest.fixture
def vla_dag(dags: Mapping[str, DAG]) -> DAG:
    return dags["vla_qa_pass"]


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
    assert dag.task_dict["report_failure"].claimed_by == ROAD[0]


def test_what_fails_is_told_of_within_a_minute(dag: DAG) -> None:
    waits = [task.retries * task.retry_delay for task in dag.tasks if task.task_id != "report_failure"]
    assert max(waits) <= timedelta(seconds=15)
    assert min(task.retries for task in dag.tasks) >= 1


def test_every_step_works_on_the_run_of_the_form(dag: DAG) -> None:
    for task in dag.tasks:
        if task.task_id != "claim_ingest":
            assert task.pipeline_run_id == "{{ params.pipeline_run_id }}", task.task_id


def test_every_field_of_the_form_reaches_the_claim(dag: DAG) -> None:
    given = dag.task_dict["claim_ingest"].partial_kwargs
    fields = set(dag.params) - {"pipeline_run_id"}
    assert fields >= {"qa_report", "qa_report_text", "flag_template", "flag_template_text"}
    assert {name: given[name] for name in fields} == {name: f"{{{{ params.{name} }}}}" for name in fields}


def test_of_images_only_a_pass_is_registered(dags: Mapping[str, DAG]) -> None:
    assert dags["alma_ingest"].task_dict["claim_ingest"].partial_kwargs["qa_flag"] == "Pass"


def check(dag: DAG, **form: object) -> None:
    params = copy.deepcopy(dag.params)
    params.update(SAID | form)
    params.validate()


@pytest.mark.parametrize("flag", ["Pass", "Fail", "Null"])
def test_a_run_and_a_flag_are_enough(vla_dag: DAG, flag: str) -> None:
    check(vla_dag, qa_flag=flag)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pipeline_run_id", ""),
        ("pipeline_run_id", f"{RUN}/.."),
        ("pipeline_run_id", f"{RUN}; reboot"),
        ("pipeline_run_id", None),
        ("qa_flag", "pass"),
        ("qa_flag", None),
        ("qa_score", "1"),
        ("qa_comments", "x" * 20_001),
        ("qa_report", 7),
    ],
)
def test_the_form_refuses(vla_dag: DAG, name: str, value: object) -> None:
    with pytest.raises(ParamValidationError):
        check(vla_dag, **{name: value})


@pytest.mark.parametrize("family", ["vla", "alma"])
def test_the_withdrawal_wants_a_run_and_a_reason(dags: Mapping[str, DAG], family: str) -> None:
    dag = dags[f"{family}_withdraw_verdict"]
    params = copy.deepcopy(dag.params)
    params.update({"pipeline_run_id": RUN, "reason": "It is to be rerun."})
    params.validate()
    for wrong in ({"reason": ""}, {"reason": None}, {"pipeline_run_id": "vla-1"}):
        params = copy.deepcopy(dag.params)
        with pytest.raises(ParamValidationError):  # noqa: PT012  either of the two may be the one that refuses
            params.update({"pipeline_run_id": RUN, "reason": "Why."} | wrong)
            params.validate()
