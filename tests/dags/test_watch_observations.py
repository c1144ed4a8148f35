from __future__ import annotations

import builtins
import runpy
import socket
from datetime import timedelta
from pathlib import Path
from unittest import mock

import pytest

FILE = Path(__file__).parents[2] / "dags" / "watch_observations.py"
NAME = "watch_observations"


@pytest.fixture(scope="module")
def dag():
    return runpy.run_path(str(FILE))[NAME]()


def test_its_steps_follow_one_another(dag):
    assert {task.task_id: task.downstream_task_ids for task in dag.tasks} == {
        "wait_for_observations": {"decide"},
        "decide": {"start_calibrations"},
        "start_calibrations": set(),
    }
    assert all(task.task_display_name != task.task_id for task in dag.tasks)


def test_one_run_follows_the_other_and_the_first_begins_by_itself(dag):
    assert (dag.dag_id, type(dag.timetable).__name__) == (NAME, "ContinuousTimetable")
    assert (dag.max_active_runs, dag.catchup, dag.is_paused_upon_creation) == (1, False, False)


def test_it_starts_the_calibration(dag):
    assert dag.get_task("start_calibrations").trigger_dag_id == "vla_calibration"


def test_a_killed_step_is_repeated_at_once(dag):
    for task in dag.tasks:
        assert task.retries >= 3
        assert task.retry_delay <= timedelta(seconds=5)


def test_it_tells_what_it_does(dag):
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
