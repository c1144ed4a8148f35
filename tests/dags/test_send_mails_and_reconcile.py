from __future__ import annotations

from collections.abc import Mapping

from airflow.sdk import DAG


def test_structure(dags: Mapping[str, DAG]) -> None:
    dag = dags["send_mails_and_reconcile"]
    assert {task.task_id: task.downstream_task_ids for task in dag.tasks} == {
        "send_mails": set(),
        "reconcile": set(),
        "reindex": set(),
        "tend_assignments": set(),
    }


def test_it_runs_by_itself_and_one_at_a_time(dags: Mapping[str, DAG]) -> None:
    dag = dags["send_mails_and_reconcile"]
    assert dag.schedule == "* * * * *"
    assert (dag.catchup, dag.max_active_runs, dag.is_paused_upon_creation) == (False, 1, False)
