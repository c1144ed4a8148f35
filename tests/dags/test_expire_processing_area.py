from __future__ import annotations

import copy
from collections.abc import Mapping
from datetime import timedelta

import pytest
from airflow.sdk import DAG


@pytest.fixture
def dag(dags: Mapping[str, DAG]) -> DAG:
    return dags["expire_processing_area"]


def test_structure(dag: DAG) -> None:
    assert {task.task_id: task.downstream_task_ids for task in dag.tasks} == {"expire": set()}
    assert dag.get_task("expire").only_report == "{{ params.dry_run | trim }}"
    assert "only_report" in dag.get_task("expire").template_fields


def test_it_runs_every_morning_by_itself_and_one_at_a_time(dag: DAG) -> None:
    assert dag.schedule.expression == "30 5 * * *"
    assert (dag.catchup, dag.max_active_runs, dag.is_paused_upon_creation) == (False, 1, False)
    # One that hangs ends before the next is due.
    assert dag.dagrun_timeout < timedelta(days=1)
    assert dag.get_task("expire").retries >= 3


def test_it_removes_unless_a_dry_run_is_asked_for(dag: DAG) -> None:
    params = copy.deepcopy(dag.params)
    params.validate()
    assert params["dry_run"] is False
