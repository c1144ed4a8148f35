from __future__ import annotations

import sys

import pytest
from airflow.executors.local_executor import LocalExecutor

from srdp.executors.local import PreloadedLocalExecutor


def test_the_scheduler_has_imported_the_library_before_it_forks_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing else imports this one.
    last_of_all = "srdp.settings_table"
    monkeypatch.delitem(sys.modules, last_of_all, raising=False)
    there_at_the_start: list[bool] = []
    monkeypatch.setattr(LocalExecutor, "start", lambda _self: there_at_the_start.append(last_of_all in sys.modules))
    PreloadedLocalExecutor(parallelism=1).start()
    assert there_at_the_start == [True]
