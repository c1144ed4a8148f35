from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import pytest

from srdp.domain.common.errors import ServiceUnavailable
from srdp.triggers.due_work import DueMailTrigger, DueRunsTrigger


@pytest.fixture
def ledger(settings, monkeypatch):
    """What looking finds in the ledger, by the function that looks."""
    monkeypatch.setattr("srdp.settings.load_settings", lambda: settings)
    found = mock.Mock()
    found.due_in_outboxes.return_value = frozenset()
    found.due_of_runs.return_value = frozenset()
    monkeypatch.setattr("srdp.hooks.due_work.due_in_outboxes", found.due_in_outboxes)
    monkeypatch.setattr("srdp.hooks.due_work.due_of_runs", found.due_of_runs)
    monkeypatch.setattr("srdp.notifications.gauges.send_gauges", found.send_gauges)
    return found


def test_a_mail_is_found_while_the_qa_area_and_other_triggers_hang(ledger):
    hangs, goes_on = threading.Event(), threading.Event()

    def hang(*_):
        hangs.set()
        assert goes_on.wait(30)
        return frozenset()

    ledger.due_of_runs.side_effect = hang
    ledger.due_in_outboxes.return_value = frozenset({"mail 1"})

    async def beside():
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(1))
        another = loop.run_in_executor(None, goes_on.wait, 30)
        runs = asyncio.create_task(anext(DueRunsTrigger().run()))
        try:
            await asyncio.wait_for(asyncio.create_task(_until(hangs)), 10)
            return (await asyncio.wait_for(anext(DueMailTrigger().run()), 10)).payload
        finally:
            runs.cancel()
            goes_on.set()
            await another

    assert asyncio.run(beside()) == {"due": ["mail"]}


async def _until(event):
    while not event.is_set():  # noqa: ASYNC110  one of threads
        await asyncio.sleep(0.01)


def test_mails_leave_while_sending_metrics_fails(ledger, watched):
    ledger.send_gauges.side_effect = ServiceUnavailable("The ledger's database is away.")
    ledger.due_in_outboxes.return_value = frozenset({"mail 1"})
    (first, *_) = watched(DueMailTrigger(), looks=3)
    assert first == (2, {"due": ["mail"]})


def test_what_is_to_be_looked_after_starts_the_dag_each_thing_once(ledger, watched):
    one, two = frozenset({"run a"}), frozenset({"run a", "reminder b 0"})
    ledger.due_of_runs.side_effect = [frozenset(), one, one, two]
    assert watched(DueRunsTrigger(), looks=4) == [(30, {"due": ["run"]}), (90, {"due": ["reminder", "run"]})]
