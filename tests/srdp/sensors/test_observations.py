from __future__ import annotations

from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException, TaskDeferred

from srdp.domain.errors import ServiceUnavailable, SettingsError
from srdp.hooks import observations as hooks
from srdp.hooks.observations import ObservationWatch
from srdp.operators.retrying import retries
from srdp.sensors.observations import ObservationSensor
from srdp.triggers.observations import ObservationTrigger


@pytest.fixture
def watch(settings, monkeypatch):
    spec = mock.create_autospec(ObservationWatch, instance=True)
    monkeypatch.setattr(hooks, "ObservationWatch", mock.create_autospec(ObservationWatch, return_value=spec))
    monkeypatch.setattr("srdp.settings.load_settings", lambda: settings)
    return spec


@pytest.fixture
def sensor():
    return ObservationSensor(task_id="wait", lifetime=timedelta(minutes=30), **retries("continuous"))


def test_what_is_there_already_is_not_waited_for(watch, sensor):
    watch.has_work.return_value = True
    assert sensor.execute({}) is None


@pytest.mark.parametrize("answer", [False, ServiceUnavailable("The archive is down")])
def test_it_waits_in_the_triggerer_for_its_lifetime(watch, sensor, answer):
    watch.has_work.side_effect = [answer]
    with pytest.raises(TaskDeferred) as deferred:
        sensor.execute({})
    assert isinstance(deferred.value.trigger, ObservationTrigger)
    assert deferred.value.method_name == "execute_complete"
    left = datetime.fromisoformat(deferred.value.trigger.until) - datetime.now(UTC)
    assert timedelta(minutes=29) < left <= timedelta(minutes=30)
    assert deferred.value.timeout > timedelta(hours=1)


def test_a_server_that_is_down_is_named_in_the_log(watch, sensor):
    error = ServiceUnavailable("The archive is down")
    watch.has_work.side_effect = error
    with mock.patch.object(ObservationSensor, "log") as log, pytest.raises(TaskDeferred):
        sensor.execute({})
    log.warning.assert_any_call("%s Waiting for it.", error)


def test_a_wrong_setting_is_one_sentence_and_is_tried_again(watch, sensor):
    watch.has_work.side_effect = SettingsError("The Airflow Connection srdp_archive is missing: add it.")
    with pytest.raises(AirflowException, match="srdp_archive is missing") as caught:
        sensor.execute({})
    assert not isinstance(caught.value, AirflowFailException)


def resume(sensor, event):
    return sensor.resume_execution("execute_complete", {"event": event}, {})


def test_the_event_new_ends_the_wait(sensor):
    assert resume(sensor, {"status": "new"}) is None


def test_a_quiet_hour_is_skipped_so_that_nothing_follows(sensor):
    with pytest.raises(AirflowSkipException, match="0:30:00"):
        resume(sensor, {"status": "quiet"})


def test_a_wrong_setting_of_the_triggerer_is_told_and_tried_again(sensor):
    with pytest.raises(AirflowException, match="SRDP_HOME: is not set") as caught:
        resume(sensor, {"status": "wrong setting", "sentence": "SRDP_HOME: is not set."})
    assert not isinstance(caught.value, AirflowFailException)


def test_an_event_of_another_version_is_refused(sensor):
    with pytest.raises(AirflowFailException, match="'later'"):
        resume(sensor, {"status": "later"})
