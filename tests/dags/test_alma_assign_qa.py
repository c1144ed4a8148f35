from __future__ import annotations

from collections.abc import Mapping

import pytest
from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import DAG

from srdp.domain.runs.assignment import QUESTION_TASK
from srdp.families import families


@pytest.fixture
def dag(dags: Mapping[str, DAG]) -> DAG:
    return dags["alma_assign_qa"]


def test_structure(dag: DAG) -> None:
    assert {task.task_id: task.downstream_task_ids for task in dag.tasks} == {
        "ask_who_reviews_it": {"assign"},
        "assign": {"mail_assigned"},
        "mail_assigned": set(),
    }


def test_the_links_of_mails_lead_to_its_question(dag: DAG) -> None:
    assert [family.assign_dag for family in families() if family.assign_dag] == [dag.dag_id]
    assert isinstance(dag.get_task(QUESTION_TASK), HITLOperator)
    # A mapped task's page would have another address.
    assert not dag.get_task(QUESTION_TASK).is_mapped


def test_many_may_wait_and_none_waits_in_a_pool_or_for_a_time(dag: DAG) -> None:
    question = dag.get_task(QUESTION_TASK)
    assert dag.max_active_runs >= 1000
    assert (dag.dagrun_timeout, question.execution_timeout, question.response_timeout) == (None, None, None)
    assert (question.max_active_tis_per_dag, question.max_active_tis_per_dagrun) == (None, None)


def test_who_may_be_chosen_is_not_known_while_it_is_parsed(dag: DAG) -> None:
    assert not any("@" in option for option in dag.get_task(QUESTION_TASK).options)


def test_the_form_takes_a_run_and_perhaps_somebody(dag: DAG) -> None:
    assert set(dag.params) == {"pipeline_run_id", "data_analyst"}
    assert dag.params["data_analyst"] is None
