from __future__ import annotations

import asyncio
import itertools
import time
from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest

from srdp.domain.errors import ServiceUnavailable, SettingsError
from srdp.hooks.observations import ObservationWatch
from srdp.triggers import observations as module
from srdp.triggers.observations import ObservationTrigger

DOWN = ServiceUnavailable("The archive's database cannot serve now: refused")


@pytest.fixture
def watch(settings, monkeypatch):
    """The watch that the trigger asks; ``watch.has_work`` gives its answers."""
    spec = mock.create_autospec(ObservationWatch, instance=True)
    monkeypatch.setattr(module, "ObservationWatch", mock.create_autospec(ObservationWatch, return_value=spec))
    monkeypatch.setattr(module, "load_settings", lambda: settings)
    return spec


@pytest.fixture
def pauses(monkeypatch):
    """The pauses that the trigger makes, in seconds; they take no time."""
    made = []

    async def sleep(seconds):
        made.append(seconds)

    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    return made


def in_an_hour() -> str:
    return (datetime.now(UTC) + timedelta(hours=1)).isoformat()


def events(trigger: ObservationTrigger) -> list:
    async def collect():
        return [event.payload async for event in trigger.run()]

    return asyncio.run(collect())


def test_it_fires_when_there_is_something_and_polls_until_then(watch, pauses, settings):
    watch.has_work.side_effect = [False, False, True]
    assert events(ObservationTrigger(until=in_an_hour())) == [{"status": "new"}]
    assert pauses == [settings.watch_poll_seconds] * 2


def test_it_ends_quietly_when_its_time_is_over(watch, pauses):
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    assert events(ObservationTrigger(until=past)) == [{"status": "quiet"}]
    watch.has_work.assert_not_called()


def test_it_waits_for_a_server_that_is_down_and_says_so(watch, pauses, settings):
    watch.has_work.side_effect = [*[DOWN] * 6, False, DOWN, True]
    trigger = ObservationTrigger(until=in_an_hour())
    with mock.patch.object(type(trigger), "log") as log:
        assert events(trigger) == [{"status": "new"}]
    assert pauses == [2, 4, 8, 16, 20, 20, settings.watch_poll_seconds, 2]
    assert log.warning.call_args_list[0] == mock.call("%s Asking again in %.0f s.", DOWN, 2)


def test_an_outage_never_makes_it_blind_for_longer_than_the_30_seconds(watch, pauses):
    watch.has_work.side_effect = [*[DOWN] * 50, True]
    events(ObservationTrigger(until=in_an_hour()))
    assert max(pauses) <= 20


def test_an_outage_outlives_neither_the_trigger_nor_its_time(watch, monkeypatch):
    watch.has_work.side_effect = DOWN
    soon = (datetime.now(UTC) + timedelta(seconds=0.2)).isoformat()
    monkeypatch.setattr(module, "_FIRST_PAUSE_SECONDS", 0.01)
    assert events(ObservationTrigger(until=soon)) == [{"status": "quiet"}]


@pytest.mark.parametrize("where", ["settings", "watch"])
def test_a_wrong_setting_is_told_in_its_sentence(watch, pauses, monkeypatch, where):
    wrong = SettingsError("SRDP_HOME: is not set.")
    if where == "settings":
        monkeypatch.setattr(module, "load_settings", mock.Mock(side_effect=wrong))
    else:
        watch.has_work.side_effect = wrong
    assert events(ObservationTrigger(until=in_an_hour())) == [
        {"status": "wrong setting", "sentence": "SRDP_HOME: is not set."}
    ]


def test_it_does_not_hold_up_the_triggers_beside_it(watch):
    def slow():
        time.sleep(0.2)
        return True

    watch.has_work.side_effect = slow

    async def both():
        ticks = itertools.count()

        async def beside():
            while True:
                next(ticks)
                await asyncio.sleep(0.01)

        task = asyncio.create_task(beside())
        found = [event.payload async for event in ObservationTrigger(until=in_an_hour()).run()]
        task.cancel()
        return found, next(ticks)

    found, ticks = asyncio.run(both())
    assert found == [{"status": "new"}]
    assert ticks > 4


def test_it_is_made_again_from_what_it_serializes():
    path, arguments = ObservationTrigger(until="2026-11-22T12:00:00+00:00").serialize()
    assert path == "srdp.triggers.observations.ObservationTrigger"
    assert ObservationTrigger(**arguments).until == "2026-11-22T12:00:00+00:00"
