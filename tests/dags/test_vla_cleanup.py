from __future__ import annotations

from collections.abc import Mapping

import pytest
from airflow.sdk import DAG

from srdp.domain.runs.states import RunState
from srdp.families import families
from srdp.services.removal.archive_proof import NOT_IN_ARCHIVE

RUN = "vla-20261122-182453-4f7k"


@pytest.fixture(params=families(), ids=lambda family: family.name)
def dag(dags: Mapping[str, DAG], request: pytest.FixtureRequest) -> DAG:
    return dags[request.param.cleanup_dag]


def test_its_one_step_shows_which_run_it_is(dag: DAG) -> None:
    (task,) = dag.tasks
    assert (task.task_id, task.is_mapped) == ("clean_up", True)
    assert task.partial_kwargs["map_index_template"] == "{{ task.pipeline_run_id }}"
    assert task.expand_input.value == {"pipeline_run_id": ["{{ params.pipeline_run_id | trim }}"]}


def test_its_page_says_what_is_deleted_and_the_sentence(dag: DAG) -> None:
    page = " ".join((dag.doc_md or "").split())
    assert NOT_IN_ARCHIVE in page
    for state in (RunState.ARCHIVED, RunState.REJECTED, RunState.SUPERSEDED, RunState.CLEANING, RunState.CLEANED):
        assert f"`{state}`" in page
