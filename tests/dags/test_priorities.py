"""Which step comes first when more could run than there is room for: every task has the weight of its kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from airflow.sdk import DAG

from srdp.families import families
from srdp.task_chains.priorities import Kind

ROADS = {name for family in families() for name in (family.kind, family.rerun_dag)}
OF_WHAT = {
    "check_settings": Kind.PERSON,
    "expire_processing_area": Kind.HOUSEKEEPING,
    "send_mails_and_reconcile": Kind.EVERYBODY,
    "watch_observations": Kind.OBSERVATIONS,
}


def kind_of(dag: DAG, task: Any) -> Kind:
    if dag.dag_id not in ROADS:
        return OF_WHAT.get(dag.dag_id, Kind.PERSON)
    if task.upstream_task_ids:
        return Kind.STEP
    is_form = dag.dag_id in {family.rerun_dag for family in families()}
    return Kind.PERSON if is_form else Kind.NEW_RUN


def test_every_task_has_the_weight_of_its_kind(dags: Mapping[str, DAG]) -> None:
    for dag in dags.values():
        for task in dag.tasks:
            kind = kind_of(dag, task)
            assert kind <= task.priority_weight < kind + 50, f"{dag.dag_id}.{task.task_id}"
            assert task.weight_rule == "absolute", f"{dag.dag_id}.{task.task_id}"


@pytest.mark.parametrize("dag_id", [*sorted(ROADS), *(family.ingest_dag for family in families())])
def test_a_run_that_was_begun_goes_on_before_the_next_one_is(dags: Mapping[str, DAG], dag_id: str) -> None:
    """Depth first: of two tasks of a chain the later has the larger weight, and the report of a failure the largest."""
    dag = dags[dag_id]
    for task in dag.tasks:
        if task.upstream_task_ids and not dag_id.endswith("_rerun"):
            assert task.priority_weight > max(dag.get_task(name).priority_weight for name in task.upstream_task_ids)
    behind = [task.priority_weight for task in dag.topological_sort() if task.upstream_task_ids]
    assert behind == sorted(set(behind))
    assert dag.get_task("report_failure").priority_weight == max(behind)
