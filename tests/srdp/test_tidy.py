from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from srdp.tidy import BY_THEMSELVES, remove_logs

NOW = datetime(2026, 11, 29, tzinfo=UTC)


@pytest.fixture
def logs(tmp_path):
    def made(path, days):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("said")
        written = (NOW - timedelta(days=days)).timestamp()
        for each in (file, *file.parents[: len(Path(path).parents) - 1]):
            os.utime(each, (written, written))
        return file

    return made


def test_log_files_are_removed_when_nobody_has_written_them_for_long_enough(logs, tmp_path):
    old = logs("dag_id=vla_calibration/run_id=a/task_id=fetch/attempt=1.log", 91)
    read = logs("dag_processor/2026-08-01/dags-folder/vla_qa_pass.py.log", 91)
    new = logs("dag_id=vla_calibration/run_id=b/task_id=run_casa/attempt=1.log.trigger.7.log", 89)
    assert remove_logs(tmp_path, NOW - timedelta(days=90)) == 2
    assert not old.parents[1].exists(), "nor are folders left in which nothing is"
    assert not read.exists()
    assert new.exists()


def test_a_folder_that_a_task_is_about_to_write_into_stays(logs, tmp_path):
    logs("dag_id=vla_calibration/run_id=a/task_id=fetch/attempt=1.log", 91)
    made = tmp_path / "dag_id=vla_calibration/run_id=b/task_id=fetch"
    made.mkdir(parents=True)
    assert remove_logs(tmp_path, NOW - timedelta(days=90)) == 1
    assert made.is_dir()


def test_no_other_dag_loses_a_log_and_no_link_is_followed(logs, tmp_path):
    others = logs("dag_id=of_the_site/run_id=a/task_id=x/attempt=1.log", 1000)
    secret = logs("elsewhere/file", 1000)
    (tmp_path / "dag_id=vla_cleanup").symlink_to(tmp_path / "elsewhere")
    linked = logs("dag_id=vla_rerun/run_id=a/attempt=1.log", 1000)
    (linked.parent / "latest").symlink_to(secret)
    (linked.parent / "folder").symlink_to(secret.parent)
    assert remove_logs(tmp_path, NOW) == 1
    assert others.exists()
    assert secret.exists()


def test_what_works_by_itself_are_dags_of_the_workflows():
    from srdp.families.forms import FORMS

    assert set(BY_THEMSELVES) < set(FORMS)
