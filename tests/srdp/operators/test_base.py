from __future__ import annotations

import errno
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from unittest import mock

import pytest
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

import srdp.settings
from srdp.domain.common.errors import (
    IntegrityError,
    InvalidInput,
    Refused,
    ServiceUnavailable,
    SettingsError,
    SrdpError,
)
from srdp.domain.ngas.status import NgasStorageFull
from srdp.domain.runs.retry import MOST_KILLED, POLICIES
from srdp.operators import base, retrying
from srdp.operators.base import SrdpOperator, asked_by
from srdp.operators.retrying import RetryByTime, TryAgain, retries, tried


class Step(SrdpOperator):
    needs_areas = False

    def run_step(self, context):
        if error := context.get("error"):
            raise error
        return "done"

    def execute_complete(self, context, event):
        return (event, self.run_step(context))


def first():
    with DAG("d", schedule=None):
        return Step(task_id="t")


def later():
    with DAG("d", schedule=None):
        before, step = Step(task_id="first"), Step(task_id="t")
        before.set_downstream(step)
    return step


def started(run_type="manual", **context):
    return {"dag_run": SimpleNamespace(dag_id="d", run_id="r", run_type=run_type), "ti": mock.Mock(), **context}


@pytest.fixture(autouse=True)
def opened(monkeypatch):
    """Whether the DAG run has opened a run or is ingesting one."""
    has_opened = mock.Mock(return_value=False)
    monkeypatch.setattr(base, "works_on_a_run", has_opened)
    return has_opened


class Store:
    """Airflow's task state store: what a task leaves for its next try."""

    def __init__(self):
        self.values = {}

    def get(self, key):
        return self.values.get(key)

    def set(self, key, value):
        self.values[key] = json.loads(json.dumps(value))

    def delete(self, key):
        self.values.pop(key, None)


class Tries:
    """The tries of one task, by a clock that is moved by hand."""

    def __init__(self, monkeypatch, policy="step"):
        self.now = datetime(2026, 11, 29, 13, 0, tzinfo=UTC)
        self.number = 0
        self.store = Store()
        self.reported = []
        monkeypatch.setattr(retrying, "_now", lambda: self.now)
        monkeypatch.setattr(retrying, "record_failure", lambda *_args, **_: None)
        monkeypatch.setattr(retrying, "record_wait", self._tell)
        self.step = Step(task_id="t", **retries(policy))

    def _tell(self, _context, _log, error, since, until):
        self.reported.append((str(error), since, until))
        return True

    def context(self, error=None):
        return {"error": error, "task_state_store": self.store, "ti": SimpleNamespace(try_number=self.number)}

    def attempt(self, error=None):
        """Return what a try ended with: None, or the error and the pause that Airflow gets."""
        self.number += 1
        try:
            self.step.execute(self.context(error))
        except Exception as raised:  # noqa: BLE001  whatever Airflow gets
            decision = self.step.retry_policy.evaluate(raised, self.number, 1000)
            return raised, decision.retry_delay
        return None

    def killed(self):
        self.number += 1
        attempt = retrying._Attempt(self.step, self.context(), POLICIES["step"], recorded=True)
        attempt.begin()


AWAY = ServiceUnavailable("NGAS is away.")


@pytest.mark.parametrize("error", [IntegrityError("File a is broken"), SettingsError("Set it"), SrdpError("No")])
def test_an_explained_error_fails_the_task_without_a_retry(error):
    with pytest.raises(AirflowFailException, match=str(error)) as caught:
        Step(task_id="t").execute(started(error=error))
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("error", [InvalidInput("No run is called so"), Refused("It is active")])
def test_what_the_first_task_refuses_is_an_answer_and_no_failure(error):
    context = started(error=error, map_index_template="{{ task.run }}")
    with pytest.raises(AirflowSkipException, match=str(error)):
        first().execute(context)
    # The grid's name of the task; the sentence is no part of the template, whatever stands in it.
    assert context["map_index_template"] == "Refused: {{ refusal }}"
    assert context["refusal"] == str(error)
    # For programs.
    context["ti"].xcom_push.assert_called_once_with(key="refusal", value=str(error))


def test_what_is_not_mapped_has_no_name_to_tell_it_in():
    context = started(error=Refused("It is active"))
    with pytest.raises(AirflowSkipException):
        first().execute(context)
    assert "map_index_template" not in context


def test_what_a_later_task_refuses_is_a_failure():
    with pytest.raises(AirflowFailException):
        later().execute(started(error=Refused("No")))


@pytest.mark.parametrize("run_type", ["scheduled", "operator_triggered"])
def test_a_refusal_that_nobody_asked_for_is_a_failure(run_type):
    with pytest.raises(AirflowFailException):
        first().execute(started(run_type, error=Refused("No")))


def test_a_refusal_of_a_dag_run_that_has_opened_a_run_is_a_failure(opened):
    """... else a DAG run whose pipeline run failed would turn green when its first task is cleared."""
    opened.return_value = True
    with pytest.raises(AirflowFailException):
        first().execute(started(error=Refused("It is not begun again")))


def test_faults_of_the_form_are_refused_before_the_step(monkeypatch):
    monkeypatch.setattr(Step, "run_step", mock.Mock())
    step = first()
    dag_run = SimpleNamespace(dag_id="expire_processing_area", run_type="manual", conf={"dryrun": True})
    context = {"dag_run": dag_run, "ti": mock.Mock()}
    step.pre_execute(context)
    with pytest.raises(AirflowSkipException, match="did you mean dry_run"):
        step.execute(context)
    assert not Step.run_step.called


def test_only_the_first_task_looks_at_the_form():
    step = later()
    step.pre_execute({"dag_run": SimpleNamespace(dag_id="expire_processing_area", conf={"dryrun": True})})
    assert step.faults.sentences == []


def test_the_sentence_stands_in_the_log_once_and_without_frames():
    step = Step(task_id="t")
    with mock.patch.object(Step, "log") as log, pytest.raises(AirflowFailException), tried(step, {}, recorded=False):
        raise Refused("Not 100% right")
    assert log.mock_calls == [mock.call.error("%s", "Not 100% right")]


def test_what_is_away_is_waited_for_with_growing_pauses_and_says_since_when(monkeypatch):
    tries = Tries(monkeypatch)
    pauses = []
    for _ in range(4):
        raised, pause = tries.attempt(AWAY)
        assert isinstance(raised, TryAgain)
        pauses.append(pause.total_seconds())
        tries.now += pause
    assert pauses == [5, 10, 20, 40]
    assert str(raised) == (
        "NGAS is away. Waiting since 2026-11-29 13:00:00 UTC (try 4); the next try is at 13:01:15 UTC, the last at "
        "2026-11-30 13:00 UTC."
    )
    assert tries.attempt() is None
    assert tries.store.values == {}, "what comes after a success is another wait"


@pytest.mark.parametrize(("policy", "after"), [("step", 600), ("ingest", 60), ("report", None)])
def test_a_person_is_notified_once_of_a_wait(monkeypatch, policy, after):
    tries = Tries(monkeypatch, policy)
    began, waited = tries.now, None
    for _ in range(12):
        _, pause = tries.attempt(AWAY)
        if tries.reported and waited is None:
            waited = (tries.now - began).total_seconds()
        tries.now += pause
    assert [since for _, since, _ in tries.reported] == ([began] if after else [])
    if after:
        assert after <= waited <= 2 * after + 10


def test_where_somebody_must_act_a_person_is_notified_at_once(monkeypatch):
    tries = Tries(monkeypatch)
    assert isinstance(tries.attempt(NgasStorageFull("NGAS is full."))[0], TryAgain)
    assert len(tries.reported) == 1


def test_a_wait_ends_after_its_hours_however_many_tries_never_started(monkeypatch):
    monkeypatch.setattr(srdp.settings, "load_settings", lambda: SimpleNamespace(retry_hours=2))
    tries = Tries(monkeypatch)
    tries.attempt(AWAY)
    tries.number += 900  # queued, and taken back when the scheduler was restarted
    tries.now += timedelta(hours=1, minutes=59)
    assert isinstance(tries.attempt(AWAY)[0], TryAgain)
    tries.now += timedelta(minutes=1)
    raised, _ = tries.attempt(AWAY)
    assert isinstance(raised, AirflowFailException)
    assert str(raised) == "NGAS is away. It was tried since 2026-11-29 13:00 UTC, 3 times."
    assert tries.store.values == {}
    assert isinstance(tries.attempt(AWAY)[0], TryAgain), "cleared by a person, it begins to wait again"


def test_a_step_whose_process_is_killed_again_and_again_is_given_up(monkeypatch):
    tries = Tries(monkeypatch)
    for _ in range(MOST_KILLED + 1):  # the first try leaves no trace
        tries.killed()
    raised, _ = tries.attempt()
    assert isinstance(raised, AirflowFailException)
    assert "was killed 10 times" in str(raised)
    for _ in range(3):
        for _ in range(MOST_KILLED - 1):
            tries.killed()
        assert isinstance(tries.attempt(AWAY)[0], TryAgain), "a try that could say something was not killed"


def test_what_nobody_foresaw_is_tried_three_times(monkeypatch):
    tries = Tries(monkeypatch)
    ended = [type(tries.attempt(KeyError("ours"))[0]) for _ in range(3)]
    assert ended == [KeyError, KeyError, AirflowFailException]


def test_a_file_system_that_is_away_is_the_same_to_every_step(monkeypatch):
    raised, pause = Tries(monkeypatch).attempt(OSError(errno.ESTALE, "Stale file handle", "/area/x"))
    assert isinstance(raised, TryAgain)
    assert pause == timedelta(seconds=5)
    assert str(raised).startswith("A file could not be read or written: Stale file handle ('/area/x').")


def test_a_store_that_does_not_answer_hides_nothing(monkeypatch):
    tries = Tries(monkeypatch)
    tries.number = 1
    for action in ("get", "set", "delete"):
        monkeypatch.setattr(tries.store, action, mock.Mock(side_effect=RuntimeError("no API")))
    assert isinstance(tries.attempt(AWAY)[0], TryAgain)
    assert tries.attempt() is None


def test_the_policy_survives_the_serialization_of_a_dag():
    policy = retries("ingest")["retry_policy"]
    assert RetryByTime.deserialize(policy.serialize()).policy is POLICIES["ingest"]


def test_a_resumed_task_follows_the_same_rules():
    step = Step(task_id="t")
    with pytest.raises(AirflowFailException, match="Never"):
        step.resume_execution("execute_complete", {"event": 1}, started(error=SrdpError("Never")))
    assert step.resume_execution("execute_complete", {"event": 1}, {}) == (1, "done")


def test_what_is_not_explained_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        Step(task_id="t").execute(started(error=ZeroDivisionError()))


def test_the_result_is_what_the_step_returned():
    assert Step(task_id="t").execute({}) == "done"


@pytest.mark.parametrize(
    ("person", "run_type", "said"),
    [
        ("ada", "manual", "ada"),
        (None, "operator_triggered", "another DAG"),
        (None, "scheduled", "its schedule"),
        (None, "manual", "manual"),
    ],
)
def test_who_asked_is_said_in_words(person, run_type, said):
    assert asked_by({"dag_run": SimpleNamespace(triggering_user_name=person, run_type=run_type)}) == said
