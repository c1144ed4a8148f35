from __future__ import annotations

from datetime import UTC, datetime
from unittest import mock

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse, OKResponse, TriggerDagRun

from srdp.domain.common.errors import ServiceUnavailable, SettingsError
from srdp.domain.runs.execution_block import Decision, IngestedSdm, Verdict
from srdp.domain.runs.observations import Noticed
from srdp.hooks import observations as hooks
from srdp.hooks.observations import ObservationWatch
from srdp.operators.dag_runs import start_dag_run
from srdp.operators.observations import DecideObservationsOperator, StartCalibrationsOperator
from srdp.operators.retrying import retries

NAMES = [f"13A-537.sb1.eb{number}.56514.05971091435" for number in range(3)]


@pytest.fixture
def watch(settings, monkeypatch):
    spec = mock.create_autospec(ObservationWatch, instance=True)
    spec.waiting.return_value = 0
    monkeypatch.setattr(hooks, "ObservationWatch", mock.create_autospec(ObservationWatch, return_value=spec))
    monkeypatch.setattr("srdp.settings.load_settings", lambda: settings)
    return spec


def noticed(name: str, decision: Decision, reason: str = "newly ingested") -> Noticed:
    sdm = IngestedSdm(locator="", name=name, calibration_status="", ingested_at=datetime.now(UTC))
    return Noticed(sdm, Verdict(decision, reason))


# Deciding


def test_decisions_are_the_tasks_result_and_stand_in_its_log(watch):
    watch.decide.return_value = [
        noticed(NAMES[0], Decision.CALIBRATE),
        noticed("sysstartS.58955.8\n\x1b[2J", Decision.LEFT_ALONE, "its name is not that of an EB"),
    ]
    with mock.patch.object(DecideObservationsOperator, "log") as log:
        result = DecideObservationsOperator(task_id="decide").execute({})
    harmless = r"sysstartS.58955.8\n\x1b[2J"
    assert result == {
        "calibrate": [NAMES[0]],
        "left alone": {harmless: "its name is not that of an EB"},
        "decided": 2,
    }
    log.info.assert_any_call("%s: calibrate (%s)", NAMES[0], "newly ingested")
    log.warning.assert_any_call("%s: left alone, %s", harmless, "its name is not that of an EB")


def test_the_result_stays_small_when_a_backlog_is_long(watch):
    watch.decide.return_value = [noticed(f"sys{number}", Decision.LEFT_ALONE) for number in range(5000)]
    result = DecideObservationsOperator(task_id="decide").execute({})
    assert len(result["left alone"]) == 100
    assert result["decided"] == 5000


@pytest.mark.parametrize("error", [ServiceUnavailable("The ledger is down"), SettingsError("Wrong")])
def test_what_may_heal_is_tried_again(watch, error):
    watch.decide.side_effect = error
    with pytest.raises(AirflowException) as caught:
        DecideObservationsOperator(task_id="decide", **retries("continuous")).execute({})
    assert not isinstance(caught.value, AirflowFailException)


# Starting


@pytest.fixture
def airflow(monkeypatch):
    """Airflow as a task sees it: an id that was used is refused; ``runs`` holds what was started."""
    supervisor = mock.Mock(spec=["send"])
    supervisor.runs = {}

    def send(message):
        if message.run_id in supervisor.runs:
            return ErrorResponse(error=ErrorType.DAGRUN_ALREADY_EXISTS)
        supervisor.runs[message.run_id] = message
        return OKResponse(ok=True)

    supervisor.send.side_effect = send
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    return supervisor


@pytest.fixture
def start():
    return StartCalibrationsOperator(task_id="start_calibrations", trigger_dag_id="vla_calibration")


def test_each_is_started_under_its_name_and_recorded_afterwards(watch, airflow, start):
    watch.to_start.return_value = NAMES
    order = mock.Mock()
    order.attach_mock(airflow.send, "send")
    order.attach_mock(watch.mark_started, "mark")
    assert start.execute({}) == {"started": NAMES, "found started": [], "waiting": 0}
    assert [call[0] for call in order.mock_calls] == ["send", "mark"] * 3
    assert list(airflow.runs) == NAMES
    assert airflow.runs[NAMES[0]] == TriggerDagRun(
        dag_id="vla_calibration", run_id=NAMES[0], conf={"execution_block": NAMES[0]}
    )
    assert airflow.runs[NAMES[0]].logical_date is None


@pytest.mark.parametrize("died_after", ["send", "mark"])
def test_killed_anywhere_the_next_try_starts_the_rest_and_nothing_twice(watch, airflow, start, died_after):
    marked = []
    watch.to_start.side_effect = lambda: [name for name in NAMES if name not in marked]

    def mark(name, _dag_run_id):
        if died_after == "send" and name == NAMES[1] and len(airflow.runs) == 2:
            raise SystemExit
        marked.append(name)
        if died_after == "mark" and name == NAMES[1]:
            raise SystemExit

    watch.mark_started.side_effect = mark
    with pytest.raises(SystemExit):
        start.execute({})
    watch.mark_started.side_effect = lambda name, _dag_run_id: marked.append(name)
    result = start.execute({})
    assert list(airflow.runs) == NAMES == sorted(marked)
    assert result["found started"] == ([NAMES[1]] if died_after == "send" else [])


def test_one_that_airflow_does_not_take_does_not_hold_up_the_others(watch, airflow, start):
    watch.to_start.return_value = NAMES
    take = airflow.send.side_effect

    def refuse_the_first(message):
        if message.run_id == NAMES[0]:
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 404}))
        return take(message)

    airflow.send.side_effect = refuse_the_first
    with pytest.raises(
        AirflowException, match=r"1 of 3 calibrations were not started: .*vla_calibration.*404"
    ) as caught:
        start.execute({})
    assert not isinstance(caught.value, AirflowFailException)
    assert list(airflow.runs) == NAMES[1:]
    assert [call.args for call in watch.mark_started.mock_calls] == [(name, name) for name in NAMES[1:]]


def test_what_airflow_did_not_take_is_reported_in_one_sentence(airflow):
    detail = {"detail": {"message": "Dag with dag_id: 'x' not found\n" * 50}}
    airflow.send.side_effect = AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=detail))
    with pytest.raises(ServiceUnavailable) as caught:
        start_dag_run("vla_calibration", NAMES[0], {})
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_how_many_wait_for_a_place_is_said(watch, airflow, start):
    watch.to_start.return_value = NAMES[:1]
    watch.waiting.return_value = 52
    with mock.patch.object(StartCalibrationsOperator, "log") as log:
        assert start.execute({})["waiting"] == 52
    log.info.assert_any_call("%d wait for a place: no more than %d at once", 52, 3)


def test_nothing_to_start_is_no_error(watch, airflow, start):
    watch.to_start.return_value = []
    assert start.execute({}) == {"started": [], "found started": [], "waiting": 0}
    airflow.send.assert_not_called()
