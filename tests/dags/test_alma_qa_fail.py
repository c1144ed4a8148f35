from __future__ import annotations

from collections.abc import Mapping

import jinja2
import pytest
from airflow.sdk import DAG, TriggerRule

RUN = "alma-20261122-182453-4f7k"
MOUS = "uid://A001/X1288/X3f"


@pytest.fixture
def dag(dags: Mapping[str, DAG]) -> DAG:
    return dags["alma_qa_fail"]


def test_it_is_the_vlas_without_an_execution_block_to_mark(dag: DAG, dags: Mapping[str, DAG]) -> None:
    assert {task.task_id: task.downstream_task_ids for task in dag.tasks} == {
        "fail_qa": {"remove_directories", "mail_rejected"},
        "mail_rejected": set(),
        "remove_directories": set(),
    }
    assert {TriggerRule(task.trigger_rule) for task in dag.tasks} == {TriggerRule.ALL_SUCCESS}
    assert dag.max_active_runs == 1
    of_vla = dags["vla_qa_fail"].task_dict
    assert all(of_vla[task.task_id].task_type == task.task_type for task in dag.tasks)
    assert dag.get_task("remove_directories").pipeline_run_ids == of_vla["remove_directories"].pipeline_run_ids


def test_it_says_which_runs_it_is_for(dag: DAG, dags: Mapping[str, DAG]) -> None:
    kinds = [dags[name].get_task("fail_qa").partial_kwargs["kind"] for name in ("alma_qa_fail", "vla_qa_fail")]
    assert kinds == ["alma_imaging", "vla_calibration"]
    given = dag.get_task("fail_qa").partial_kwargs
    assert (given["subject"], given["reason"]) == ("{{ params.mous | trim }}", "{{ params.reason | trim }}")
    assert not {"project", "number"} & given.keys()


@pytest.mark.parametrize(
    ("params", "shown"),
    [
        ({"pipeline_run_id": RUN, "mous": None}, RUN),
        ({"pipeline_run_id": None, "mous": MOUS}, MOUS),
        ({"pipeline_run_id": None, "mous": None}, ""),
    ],
)
def test_the_grid_shows_what_fails(dag: DAG, params: dict[str, str | None], shown: str) -> None:
    template = dag.get_task("fail_qa").partial_kwargs["map_index_template"]
    assert jinja2.Environment(autoescape=False).from_string(template).render(params=params) == shown  # noqa: S701
