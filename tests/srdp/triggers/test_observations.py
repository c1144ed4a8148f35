from __future__ import annotations

import itertools
from unittest import mock

import pytest

from srdp.domain.common.errors import ServiceUnavailable, SettingsError
from srdp.hooks import observations as hooks
from srdp.hooks.observations import ObservationWatch
from srdp.triggers.observations import ObservationTrigger


@pytest.fixture
def watch(settings, monkeypatch):
    """The watch that the trigger asks; ``watch.due`` gives its answers."""
    spec = mock.create_autospec(ObservationWatch, instance=True)
    monkeypatch.setattr(hooks, "ObservationWatch", mock.create_autospec(ObservationWatch, return_value=spec))
    monkeypatch.setattr("srdp.settings.load_settings", lambda: settings)
    return spec


def test_it_fires_at_once_for_each_new_execution_block_and_asks_as_often_as_the_settings_say(watch, watched, settings):
    one, two = frozenset({"block a"}), frozenset({"block a", "block b"})
    watch.due.side_effect = [frozenset(), one, one, two, two, frozenset(), one]
    assert watched(ObservationTrigger(), looks=7) == [
        (1 * settings.watch_poll_seconds, {"due": ["block"]}),
        (3 * settings.watch_poll_seconds, {"due": ["block"]}),
        (6 * settings.watch_poll_seconds, {"due": ["block"]}),
    ]


def test_what_cannot_be_started_is_tried_less_and_less_often_and_holds_up_nothing_new(watch, watched):
    stuck = frozenset({"block stuck"})
    watch.due.side_effect = [stuck] * 361 + [stuck | {"block new"}]
    fired = [at for at, _event in watched(ObservationTrigger(), looks=362)]
    assert fired[:5] == [0, 30, 90, 210, 450]
    assert {later - earlier for earlier, later in itertools.pairwise(fired[4:-1])} == {300}
    assert fired[-1] == 3610, "what is new waits for nothing"


def test_an_outage_never_makes_it_blind_for_longer_than_20_seconds(watch, watched):
    watch.due.side_effect = [ServiceUnavailable("The archive's database cannot serve now")] * 8 + [
        frozenset({"block a"})
    ]
    assert watched(ObservationTrigger(), looks=9) == [(2 + 4 + 8 + 16 + 4 * 20, {"due": ["block"]})]


def test_an_outage_is_said_now_and_then_and_shown_by_a_red_task_when_it_lasts(watch, watched):
    watch.due.side_effect = ServiceUnavailable("The archive's database cannot serve now")
    with mock.patch.object(ObservationTrigger, "log") as log:
        fired = watched(ObservationTrigger(), looks=41)
    assert [call.args[0] % call.args[1:] for call in log.warning.call_args_list] == [
        "The archive's database cannot serve now Looking again in 2 s.",
        "The archive's database cannot serve now Looking again in 20 s.",
        "The archive's database cannot serve now Looking again in 20 s.",
    ]
    assert fired[0] == (310, {"due": ["outage"]})
    assert len(fired) < 6


@pytest.mark.parametrize("where", ["settings", "watch"])
def test_a_wrong_setting_is_shown_by_a_task_that_says_it(watch, watched, monkeypatch, where):
    wrong = SettingsError("SRDP_HOME: is not set.")
    if where == "settings":
        monkeypatch.setattr("srdp.settings.load_settings", mock.Mock(side_effect=wrong))
    watch.due.side_effect = wrong
    assert watched(ObservationTrigger(), looks=1) == [(0, {"due": ["fault"]})]


def test_a_fault_of_the_program_does_not_end_it_and_makes_no_hot_loop(watch, watched):
    watch.due.side_effect = [*(ValueError(str(number)) for number in range(1000)), frozenset({"block a"})]
    fired = watched(ObservationTrigger(), looks=1001)
    assert fired[-1][1] == {"due": ["block"]}
    assert len(fired) < fired[-1][0] / 300 + 6
