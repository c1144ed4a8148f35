from __future__ import annotations

import builtins
import runpy
import socket
from datetime import timedelta
from pathlib import Path
from unittest import mock

import pytest

from srdp.triggers.observations import ObservationTrigger

FILE = Path(__file__).parents[2] / "dags" / "watch_observations.py"
NAME = "watch_observations"


@pytest.fixture(scope="module")
def dag():
    return runpy.run_path(str(FILE))[NAME]()


def test_its_steps_follow_one_another(dag):
    assert {task.task_id: task.downstream_task_ids for task in dag.tasks} == {
        "decide": {"start_calibrations"},
        "start_calibrations": set(),
    }
    assert all(task.task_display_name != task.task_id for task in dag.tasks)


def test_a_watcher_starts_it_and_the_clock_in_any_case_one_run_at_a_time(dag):
    (asset,) = dag.schedule.asset_condition.objects
    (watcher,) = asset.watchers
    assert type(watcher.trigger) is ObservationTrigger
    assert (dag.dag_id, dag.schedule.timetable.expression) == (NAME, "*/15 * * * *")
    assert (dag.max_active_runs, dag.catchup, dag.is_paused_upon_creation) == (1, False, False)


def test_it_starts_the_calibration(dag):
    assert dag.get_task("start_calibrations").trigger_dag_id == "vla_calibration"


def test_a_killed_step_is_repeated_at_once(dag):
    for task in dag.tasks:
        assert task.retries >= 3
        assert task.retry_delay <= timedelta(seconds=5)


def test_it_reports_what_it_does(dag):
    assert dag.doc_md
    assert "Do Not Calibrate" in dag.doc_md
    assert dag.tags
    assert all(task.owner == "data analysts" for task in dag.tasks)


def test_reading_it_asks_no_server_and_needs_no_setting(monkeypatch):
    monkeypatch.delenv("SRDP_HOME", raising=False)
    runpy.run_path(str(FILE))  # imports are done
    opened = []
    real_open = builtins.open
    monkeypatch.setattr(builtins, "open", lambda *args, **kwargs: opened.append(args) or real_open(*args, **kwargs))
    with mock.patch.object(socket, "socket", side_effect=AssertionError("a DAG file asks no server")):
        runpy.run_path(str(FILE))
    assert [str(args[0]) for args in opened if str(args[0]) != str(FILE)] == []
