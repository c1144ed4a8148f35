from __future__ import annotations

import itertools
from collections.abc import Mapping

import pytest
from airflow.sdk import DAG, TriggerRule

from srdp.task_chains.forms import value

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
    assert dag.task_dict["report_failure"].claimed_by == ROAD[0]


def test_every_step_works_on_the_run_of_the_form(dag: DAG) -> None:
    for task in dag.tasks:
        if task.task_id != "claim_ingest":
            assert task.pipeline_run_id == "{{ params.pipeline_run_id | trim }}", task.task_id


def test_every_field_of_the_form_reaches_the_claim(dag: DAG) -> None:
    given = dag.task_dict["claim_ingest"].partial_kwargs
    fields = set(dag.params) - {"pipeline_run_id"}
    assert fields >= {"qa_report", "qa_report_text", "flag_template", "flag_template_text"}
    assert {name: given[name] for name in fields} == {name: value(dag.dag_id, name) for name in fields}


def test_of_images_only_a_pass_is_registered(dags: Mapping[str, DAG]) -> None:
    assert dags["alma_ingest"].task_dict["claim_ingest"].partial_kwargs["qa_flag"] == "Pass"
