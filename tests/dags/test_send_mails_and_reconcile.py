from __future__ import annotations

from collections.abc import Mapping

from airflow.sdk import DAG

from srdp.triggers.due_work import DueMailTrigger, DueRunsTrigger


def test_structure(dags: Mapping[str, DAG]) -> None:
    dag = dags["send_mails_and_reconcile"]
    assert {task.task_id: task.downstream_task_ids for task in dag.tasks} == {
        "send_mails": set(),
        "reconcile": set(),
        "reindex": set(),
        "reconcile_assignments": set(),
    }


def test_two_watchers_start_it_and_the_clock_in_any_case_one_run_at_a_time(dags: Mapping[str, DAG]) -> None:
    dag = dags["send_mails_and_reconcile"]
    (asset,) = dag.schedule.asset_condition.objects
    assert [type(watcher.trigger) for watcher in asset.watchers] == [DueMailTrigger, DueRunsTrigger]
    assert dag.schedule.timetable.expression == "*/15 * * * *"
    assert (dag.catchup, dag.max_active_runs, dag.is_paused_upon_creation) == (False, 1, False)
