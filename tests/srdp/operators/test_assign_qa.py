from __future__ import annotations

import uuid
from datetime import UTC, datetime
from types import SimpleNamespace
from unittest import mock

import psycopg
import pytest
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowRuntimeError,
    AirflowSkipException,
    ErrorType,
    TaskAwaitingInput,
)
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import CreateHITLDetailPayload, ErrorResponse, OKResponse, TriggerDagRun
from tests.replacing import replace_everywhere

from srdp.domain.common.errors import InvalidInput
from srdp.domain.runs.pipeline_run import qa_directory
from srdp.domain.runs.states import RunState
from srdp.hooks.ledger import Ledger
from srdp.notifications.imaging_mails import assignment_reminder
from srdp.notifications.run_mails import ready_for_review
from srdp.operators.assign_qa import AskWhoReviewsOperator, AssignQaOperator
from srdp.operators.reconcile_assignments import ReconcileAssignmentsOperator
from srdp.operators.start_assignment import StartAssignmentOperator

pytestmark = pytest.mark.servers

DAG, TASK = "alma_assign_qa", "ask_who_reviews_it"
ONE, TWO = "one@example.org", "two@example.org"


@pytest.fixture
def ledger(ledger, settings, monkeypatch):
    monkeypatch.setattr("srdp.settings.load_settings", lambda: settings)
    replace_everywhere(monkeypatch, "srdp.notifications.outbox:send_due_mails", lambda *_, **__: "")
    return Ledger(settings, retry_seconds=20)


@pytest.fixture
def images(ledger, open_run):
    def opened(**changes):
        number = f"{len(ledger.runs.newest()):064x}"
        run = open_run(kind="alma_imaging", subject="uid://A001/X1288/X3f", request_digest=number, **changes)
        for state in (RunState.FETCHING, RunState.PROCESSING, RunState.AWAITING_QA):
            ledger.runs.transition(run.pipeline_run_id, state, event="x")
        return run.pipeline_run_id

    return opened


class Airflow:
    """Airflow as a task sees it: which DAG runs there are, and in what states their tasks are."""

    def __init__(self) -> None:
        self.sent: list[object] = []
        self.states: dict[str, dict[str, str | None]] = {}
        self.refused: set[str] = set()
        self.xcom_push = mock.Mock()
        self.asked_about: list[list[str]] = []

    def send(self, message=None, *, msg=None):
        message = message or msg
        # Secrets to be masked come this way, too.
        if isinstance(message, TriggerDagRun | CreateHITLDetailPayload):
            self.sent.append(message)
        if not isinstance(message, TriggerDagRun):
            return None
        if message.run_id in self.refused:
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail={"status_code": 400}))
        if message.run_id in self.states and not message.reset_dag_run:
            return ErrorResponse(error=ErrorType.DAGRUN_ALREADY_EXISTS)
        self.states[message.run_id] = {TASK: None, "assign": None}
        return OKResponse(ok=True)

    def get_task_states(self, *, dag_id, run_ids):
        assert dag_id == DAG
        self.asked_about.append(run_ids)
        return {run_id: self.states[run_id] for run_id in run_ids if run_id in self.states}

    @property
    def started(self):
        """What was started, and whether again."""
        return [(each.run_id, each.reset_dag_run) for each in self.sent if isinstance(each, TriggerDagRun)]


@pytest.fixture
def airflow(monkeypatch):
    made = Airflow()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", made, raising=False)
    return made


def context(run_id, airflow=None, person="mia"):
    ti = mock.Mock(id=uuid.UUID(int=7), dag_id=DAG, run_id=run_id, map_index=-1)
    dag_run = SimpleNamespace(dag_id=DAG, run_id=run_id, triggering_user_name=person, run_type="manual")
    return {"ti": airflow or ti, "task_instance": ti, "dag_run": dag_run}


# The start


def start(run_id):
    StartAssignmentOperator(task_id="t", pipeline_run_id=run_id).execute(context("manual__1"))


def test_the_question_is_started_under_the_runs_id_and_once(images, airflow):
    run_id = images()
    start(run_id)
    start(run_id)
    assert airflow.started == [(run_id, False)] * 2
    assert airflow.sent[0].conf == {"pipeline_run_id": run_id}
    assert airflow.sent[0].dag_id == DAG


def test_a_rerun_stays_with_who_had_the_run_that_it_repeats(images, airflow, ledger, settings):
    first = images()
    ledger.assignments.assign(first, ONE, assigned_by="mia", answer="x", dag_id=DAG, dag_run_id="x")
    # The version between them failed before anybody was asked.
    between = images(former_run=first)
    rerun = images(former_run=between)
    start(rerun)
    start(rerun)
    assert airflow.started == []
    (kept,) = ledger.assignments.of_run(rerun)
    assert kept.data_analyst == ONE
    assert kept.assigned_by.endswith(f", with {first}, which it repeats")
    assert [mail.key for mail in ledger.outbox.mails(rerun) if mail.key.startswith("qa_")] == ["qa_assigned_1"]
    ready = ready_for_review(settings, ledger, ledger.runs.get(rerun), qa_directory(settings.areas, rerun))
    for body in (ready.text, ready.html):
        assert "it stays with" in body
        assert ONE in body
        assert first in body
    assert "Assign the QA" not in ready.subject


def test_a_rerun_of_what_nobody_had_or_has_left_is_asked_about(images, airflow, ledger, settings, monkeypatch):
    first = images()
    rerun = images(former_run=first)
    start(rerun)
    ledger.assignments.assign(first, ONE, assigned_by="mia", answer="x", dag_id=DAG, dag_run_id="x")
    without = settings.model_copy(update={"alma_data_analysts": (TWO,)})
    monkeypatch.setattr("srdp.settings.load_settings", lambda: without)
    start(rerun)
    assert airflow.started == [(rerun, False)] * 2
    assert ledger.assignments.of_run(rerun) == []


def test_nothing_is_started_when_the_verdict_is_given(images, airflow, ledger):
    run_id = images()
    ledger.runs.transition(run_id, RunState.REJECTED, event="rejected")
    start(run_id)
    assert airflow.sent == []


def test_what_airflow_does_not_take_is_tried_again(images, airflow):
    run_id = images()
    airflow.refused.add(run_id)
    with pytest.raises(AirflowException) as caught:
        start(run_id)
    assert not isinstance(caught.value, AirflowFailException)


def test_a_calibration_is_not_assigned(ledger, open_run, airflow):
    run_id = open_run().pipeline_run_id
    for state in (RunState.FETCHING, RunState.PROCESSING, RunState.AWAITING_QA):
        ledger.runs.transition(run_id, state, event="x")
    with pytest.raises(AirflowFailException, match="are not assigned"):
        start(run_id)
    assert airflow.sent == []


# The question


def ask(run_id, dag_run_id=None, analyst=None, person="mia"):
    operator = AskWhoReviewsOperator(task_id=TASK, pipeline_run_id=run_id, data_analyst=analyst)
    return operator.execute(context(dag_run_id or run_id, person=person))


def test_it_waits_for_one_of_the_settings(images, airflow, settings):
    run_id = images()
    with pytest.raises(TaskAwaitingInput) as caught:
        ask(run_id, analyst="None")
    assert (caught.value.method_name, caught.value.timeout) == ("execute_complete", None)
    (question,) = airflow.sent
    assert question.options == list(settings.data_analysts)
    assert question.subject == f"Who reviews {run_id}?"
    assert "uid://A001/X1288/X3f" in question.body
    assert f"http://127.0.0.1:8090/runs/{run_id}/" in question.body


def test_who_is_given_by_form_needs_no_question(images, airflow):
    run_id = images()
    answer = ask(run_id, "manual__1", analyst=TWO)
    assert answer == {"data_analyst": TWO, "assigned_by": "mia", "answer": "manual__1"}
    with pytest.raises(AirflowFailException, match="SRDP_ALMA_DATA_ANALYSTS"):
        ask(run_id, "manual__1", analyst="x@example.org")
    assert airflow.sent == []


def test_nobody_is_asked_when_the_verdict_is_given(images, airflow, ledger):
    run_id = images()
    ledger.runs.transition(run_id, RunState.REJECTED, event="rejected")
    with pytest.raises(AirflowSkipException, match="it is rejected"):
        ask(run_id)
    assert airflow.sent == []


def answered(run_id, user, when=datetime(2026, 11, 22, tzinfo=UTC)):
    event = {"chosen_options": [ONE], "params_input": {}, "responded_at": when, "responded_by_user": user}
    operator = AskWhoReviewsOperator(task_id=TASK, pipeline_run_id=run_id)
    return operator.resume_execution("execute_complete", {"event": event}, context(run_id))


def test_an_answer_is_handed_on(images):
    run_id = images()
    answer = answered(run_id, {"id": "7", "name": "mia"})
    assert answer == {"data_analyst": ONE, "assigned_by": "mia", "answer": f"{run_id} 2026-11-22T00:00:00+00:00"}
    assert answered(run_id, {"id": "7", "name": ""})["assigned_by"] == "7"
    assert "does not name" in answered(run_id, None)["assigned_by"]


# The assignment


def assign(run_id, analyst=ONE, answer="a", by="mia"):
    operator = AssignQaOperator(
        task_id="assign", pipeline_run_id=run_id, data_analyst=analyst, assigned_by=by, answer=answer
    )
    return operator.execute(context(run_id))


def test_it_is_recorded_and_reported_and_repeated_without_harm(images, ledger):
    run_id = images()
    assert [assign(run_id), assign(run_id)] == [ONE, ONE]
    assert assign(run_id, TWO, "b") == TWO
    assert [(mail.key, mail.recipients) for mail in ledger.outbox.mails(run_id)] == [
        ("qa_assigned_1", (ONE,)),
        ("qa_assigned_2", (TWO,)),
        ("qa_reassigned_2", (ONE,)),
    ]


def test_an_answer_that_comes_too_late_is_refused_in_a_sentence(images, ledger):
    run_id = images()
    ledger.runs.transition(run_id, RunState.REJECTED, event="rejected")
    with pytest.raises(AirflowFailException, match=f"{run_id} was not assigned: it is rejected; "):
        assign(run_id)


def test_who_left_meanwhile_gets_nothing(images, ledger):
    run_id = images()
    with pytest.raises(AirflowFailException, match="is no data analyst of the settings"):
        assign(run_id, "gone@example.org")
    assert ledger.assignments.of_run(run_id) == []


# Looking after them


def tend(airflow):
    ReconcileAssignmentsOperator(task_id="reconcile_assignments").execute(context("x", airflow))


def test_a_question_that_was_lost_is_asked_again(images, airflow):
    run_id = images()
    tend(airflow)
    tend(airflow)
    assert airflow.started == [(run_id, False)]


@pytest.mark.parametrize(
    ("states", "again"),
    [
        ({TASK: "awaiting_input", "assign": None}, False),
        ({TASK: "success", "assign": "up_for_retry"}, False),
        ({TASK: "running", "assign": None}, False),
        ({TASK: None, "assign": None}, False),
        ({TASK: "success", "assign": "failed"}, True),
        ({TASK: "skipped", "assign": "skipped"}, True),
        ({TASK: "success", "assign": "success"}, True),
        ({TASK: "failed", "assign": "upstream_failed"}, True),
    ],
    ids=lambda value: "-".join(map(str, value.values())) if isinstance(value, dict) else str(value),
)
def test_a_run_that_nobody_has_is_asked_about(images, airflow, ledger, states, again):
    run_id = images()
    airflow.states[run_id] = states
    tend(airflow)
    assert airflow.started == ([(run_id, True)] if again else [])
    # Who answered believes that it is assigned.
    was_answered = again and states[TASK] == "success"
    assert len(reminders(ledger, run_id)) == was_answered


def test_a_run_that_was_just_assigned_is_not_asked_about(images, airflow, monkeypatch):
    run_id = images()

    def ends_meanwhile(**_):
        assign(run_id)
        return {run_id: {TASK: "success", "assign": "success"}}

    monkeypatch.setattr(airflow, "get_task_states", ends_meanwhile)
    tend(airflow)
    assert airflow.started == []


def test_a_run_that_somebody_has_is_not_asked_about(images, airflow):
    run_id = images()
    assign(run_id)
    tend(airflow)
    assert airflow.sent == []


def test_many_are_asked_about_in_few_requests(images, airflow, monkeypatch):
    monkeypatch.setattr("srdp.hooks.abandoned_runs._AT_ONCE", 2)
    run_ids = {images() for _ in range(5)}
    tend(airflow)
    assert {run_id for run_id, _ in airflow.started} == run_ids
    assert [len(some) for some in airflow.asked_about] == [2, 2, 1]


def test_one_that_airflow_refuses_holds_up_no_other(images, airflow):
    first, second = images(), images()
    airflow.refused.add(first)
    with pytest.raises(AirflowException, match=f"Who reviews {first} could not be asked again: Airflow did not start"):
        tend(airflow)
    assert (second, False) in airflow.started


@pytest.mark.parametrize(
    ("states", "cleared", "closed"),
    [
        ({TASK: "awaiting_input", "assign": None}, True, False),
        ({TASK: "success", "assign": "running"}, False, False),
        ({TASK: "success", "assign": "failed"}, False, True),
        (None, False, True),
    ],
    ids=["waits", "is answered just now", "was refused", "is gone"],
)
def test_a_question_that_is_pointless_is_ended(images, airflow, ledger, states, cleared, closed):
    run_id = images()
    with pytest.raises(TaskAwaitingInput):
        ask(run_id, "manual__1")
    ledger.runs.transition(run_id, RunState.REJECTED, event="rejected")
    if states:
        airflow.states["manual__1"] = states
    tend(airflow)
    assert airflow.started == ([("manual__1", True)] if cleared else [])
    assert (ledger.assignments.pointless_questions() == []) is closed
    if cleared:
        with pytest.raises(AirflowSkipException):
            ask(run_id, "manual__1")
        assert ledger.assignments.pointless_questions() == []


def later(url, hours):
    with psycopg.connect(url) as connection:
        for statement in (
            "UPDATE pipeline_run SET state_since = state_since - make_interval(secs => %s)",
            "UPDATE assignment SET assigned_at = assigned_at - make_interval(secs => %s)",
            "UPDATE outbox SET queued_at = queued_at - make_interval(secs => %s)",
        ):
            connection.execute(statement, (3600 * hours,))


def reminders(ledger, run_id):
    return [(mail.key, mail.recipients) for mail in ledger.outbox.mails(run_id) if "reminder" in mail.key]


def test_a_reminder_that_cannot_be_written_delays_no_other(images, airflow, ledger, ledger_url, settings, monkeypatch):
    bad, good = images(), images()
    tend(airflow)
    later(ledger_url, settings.assignment_reminder_hours + 0.1)

    def written(of_settings, waiting, now):
        if waiting.run.pipeline_run_id == bad:
            raise InvalidInput("It has no subject.")
        return assignment_reminder(of_settings, waiting, now)

    replace_everywhere(monkeypatch, "srdp.notifications.imaging_mails:assignment_reminder", written)
    with pytest.raises(AirflowFailException, match=f"Nobody is reminded of {bad}: It has no subject."):
        tend(airflow)
    assert (reminders(ledger, bad), len(reminders(ledger, good))) == ([], 1)


def test_people_are_reminded_once_a_period(images, airflow, ledger, ledger_url, settings):
    run_id = images()
    tend(airflow)
    assert reminders(ledger, run_id) == []
    expected = []
    for number in (1, 2):
        later(ledger_url, settings.assignment_reminder_hours + 0.1)
        expected.append((f"assignment_reminder_0_{number}", settings.operations_managers))
        tend(airflow)
        tend(airflow)
        assert reminders(ledger, run_id) == expected
    assign(run_id)
    tend(airflow)
    assert reminders(ledger, run_id) == expected
    # However long nobody looked: one reminder.
    later(ledger_url, 9 * settings.assignment_reminder_hours)
    tend(airflow)
    tend(airflow)
    expected.append(("assignment_reminder_1_1", (ONE, *settings.operations_managers)))
    assert reminders(ledger, run_id) == expected
