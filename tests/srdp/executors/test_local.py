from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from airflow.executors.local_executor import LocalExecutor
from tests.e2e.site_tools import until

import srdp.settings
from srdp.domain.common.mail import _environment
from srdp.executors.local import MessageQueue, PreloadedLocalExecutor
from srdp.settings import Settings

_SECONDS = 30.0


@pytest.fixture
def executor(monkeypatch: pytest.MonkeyPatch) -> Iterator[PreloadedLocalExecutor]:
    """One with four workers that wait for work."""
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda: "fork")
    made = PreloadedLocalExecutor(parallelism=4)
    made.start()
    for worker in made.workers:
        until("it waits", lambda worker=worker: psutil.Process(worker).status() == psutil.STATUS_SLEEPING)
    yield made
    for worker in made.workers.values():
        worker.kill()
        worker.join()


def test_the_scheduler_has_imported_the_library_before_it_forks_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    # Nothing else imports this one.
    last_of_all = "srdp.settings_table"
    monkeypatch.delitem(sys.modules, last_of_all, raising=False)
    there_at_the_start: list[bool] = []
    spawn = "_spawn_workers_with_gc_freeze"
    monkeypatch.setattr(LocalExecutor, spawn, lambda *_: there_at_the_start.append(last_of_all in sys.modules))
    PreloadedLocalExecutor(parallelism=1).start()
    assert there_at_the_start == [True]


@pytest.mark.parametrize("fault", [None, "{% nonsense %}", b"\xff"])
def test_the_scheduler_has_compiled_the_mails_before_it_forks_a_worker(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: Settings, fault: str | bytes | None
) -> None:
    (tmp_path / "include" / "templates" / "mail").mkdir(parents=True)
    (tmp_path / "include" / "templates" / "mail" / "a_mail.txt").write_text("It is {{ what }}.\n")
    if fault:
        (tmp_path / "include" / "templates" / "mail" / "wrong.txt").write_bytes(
            fault if isinstance(fault, bytes) else fault.encode()
        )
    monkeypatch.setattr(srdp.settings, "load_settings", lambda: settings.model_copy(update={"home": tmp_path}))
    compiled: list[str] = []
    monkeypatch.setattr(
        LocalExecutor,
        "_spawn_workers_with_gc_freeze",
        lambda *_: compiled.extend(name for _, name in _environment(tmp_path / "include" / "templates").cache or ()),
    )
    PreloadedLocalExecutor(parallelism=1).start()
    assert "a_mail.txt" in compiled, "a template that is wrong is for who sends that mail"


def test_workers_that_are_killed_while_they_wait_keep_no_work_from_the_others(executor: PreloadedLocalExecutor) -> None:
    *killed, last = executor.workers.values()
    for worker in killed:
        worker.kill()
        worker.join(_SECONDS)
    executor.activity_queue.put(None)  # the message that ends a worker in order
    last.join(_SECONDS)
    assert last.exitcode == 0


def test_workers_end_when_the_scheduler_is_gone(executor: PreloadedLocalExecutor) -> None:
    executor.activity_queue.close()
    for worker in executor.workers.values():
        worker.join(_SECONDS)
        assert worker.exitcode == 0


def test_a_message_is_taken_whole_and_one_that_would_not_be_is_refused() -> None:
    queue = MessageQueue()
    assert queue.empty()
    queue.put("x" * 100_000)
    assert not queue.empty()
    assert queue.get() == "x" * 100_000
    with pytest.raises(ValueError, match="more than the 131072"):
        queue.put("x" * 200_000)
    assert queue.empty()
    queue.close()
