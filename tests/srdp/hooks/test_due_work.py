from __future__ import annotations

import psycopg
import pytest
from tests.srdp.hooks.verdicts import claim, finish

from srdp.domain.common.mail import Mail
from srdp.domain.runs.assignment import question_dag_run_id
from srdp.domain.runs.ledger_records import DEFAULT_CASA_RELEASE
from srdp.domain.runs.pipeline_run import qa_directory
from srdp.hooks.due_work import due_in_outboxes, due_of_runs
from srdp.hooks.ledger import Ledger

pytestmark = pytest.mark.servers

MAIL = Mail(key="reported", recipients=("one@example.org",), subject="x", text="x", html="x")


class FakeAirflow:
    """What Airflow says of DAG runs; those that it is not given are not there."""

    def __init__(self):
        self.states = {}
        self.questions = 0

    def get_task_states(self, dag_id, *, run_ids):
        self.questions += 1
        return {run_id: self.states[dag_id, run_id] for run_id in run_ids if (dag_id, run_id) in self.states}


@pytest.fixture
def airflow():
    return FakeAirflow()


@pytest.fixture
def hours_later(ledger_url):
    """Lets so many hours pass for everything that is in the ledger."""

    def passed(hours):
        with psycopg.connect(ledger_url) as connection:
            for statement in (
                "UPDATE outbox SET next_attempt_at = next_attempt_at - make_interval(secs => %s)",
                "UPDATE pipeline_run SET state_since = state_since - make_interval(secs => %s)",
            ):
                connection.execute(statement, (hours * 3600,))

    return passed


def goes_on(airflow, run):
    airflow.states[run.dag_id, run.dag_run_id] = {"open_run": "success", "run_casa": "deferred"}


def has_ended(airflow, run):
    airflow.states[run.dag_id, run.dag_run_id] = {"open_run": "success", "run_casa": "failed", "deliver": "skipped"}


def test_nothing_is_due_of_an_empty_ledger_and_airflow_is_not_asked(settings, ledger, airflow):
    assert due_in_outboxes(settings) == due_of_runs(settings, airflow) == frozenset()
    assert airflow.questions == 0


def test_a_mail_is_due_when_those_who_queued_it_have_not_sent_it(settings, ledger, open_run, hours_later):
    run_id = open_run().pipeline_run_id
    ledger.events.record(run_id, "said", mails=[MAIL])
    assert due_in_outboxes(settings) == frozenset(), "who queued it is sending it"
    hours_later(0.01)
    first = due_in_outboxes(settings)
    assert [work.partition(" ")[0] for work in first] == ["mail"]
    ledger.events.record(
        run_id, "said", mails=[Mail(key="more", recipients=MAIL.recipients, subject="x", text="x", html="x")]
    )
    hours_later(0.01)
    assert due_in_outboxes(settings) - first, "another mail is another piece of work"


def test_a_request_to_the_archive_is_due_unless_it_is_not_to_be_asked(settings, ledger, run_in, hours_later):
    finish(ledger, claim(ledger, run_in("awaiting_qa")), mails=[])
    hours_later(0.01)
    assert [work.partition(" ")[0] for work in due_in_outboxes(settings)] == ["request"]
    assert due_in_outboxes(settings.model_copy(update={"reindex": "off"})) == frozenset()


@pytest.mark.parametrize("state", ["created", "fetching", "processing"])
def test_a_run_is_looked_after_when_its_dag_run_has_ended_or_is_gone(settings, run_in, airflow, state):
    run = run_in(state)
    due = {f"run {run.pipeline_run_id}"}
    assert due_of_runs(settings, airflow) == due, "its DAG run is gone"
    goes_on(airflow, run)
    assert due_of_runs(settings, airflow) == frozenset()
    has_ended(airflow, run)
    assert due_of_runs(settings, airflow) == due


def test_a_run_that_is_ingested_is_looked_after_by_the_dag_run_of_its_verdict(settings, ledger, run_in, airflow):
    run = run_in("awaiting_qa")
    has_ended(airflow, run)
    claim(ledger, run, dag_run_id="manual__pass")
    airflow.states["vla_qa_pass", "manual__pass"] = {"pack_products": "running"}
    assert due_of_runs(settings, airflow) == frozenset()
    airflow.states["vla_qa_pass", "manual__pass"] = {"pack_products": "upstream_failed"}
    assert due_of_runs(settings, airflow) == {f"run {run.pipeline_run_id}"}


def test_an_archived_run_is_looked_after_if_it_was_left_in_the_qa_area_lately(
    settings, ledger, run_in, airflow, hours_later
):
    run = run_in("awaiting_qa")
    finish(ledger, claim(ledger, run), mails=[], reindex_project=None)
    assert due_of_runs(settings, airflow) == frozenset(), "it has left the QA area"
    qa_directory(settings.areas, run.pipeline_run_id).root.mkdir(parents=True)
    assert due_of_runs(settings, airflow) == {f"run {run.pipeline_run_id}"}
    hours_later(49)
    assert due_of_runs(settings, airflow) == frozenset(), "who looks at all of them finds it"


def test_a_casa_job_is_ended_whose_run_has_ended(settings, ledger, run_in, airflow):
    run = run_in("failed")
    ledger.casa.record(run.pipeline_run_id, 1, job_name="job")
    assert due_of_runs(settings, airflow) == {"job job"}


def test_of_images_that_nobody_has_somebody_is_asked_and_reminded(settings, ledger_url, run_in, airflow, hours_later):
    run = run_in("awaiting_qa", kind="alma_imaging", subject="uid://A001/X1288/X3f", casa_release=DEFAULT_CASA_RELEASE)
    question = question_dag_run_id(run.pipeline_run_id)
    assert due_of_runs(settings, airflow) == {f"assignment {run.pipeline_run_id}"}
    airflow.states["alma_assign_qa", question] = {"ask_who_reviews_it": "awaiting_input"}
    assert due_of_runs(settings, airflow) == frozenset()
    hours_later(settings.assignment_reminder_hours)
    assert due_of_runs(settings, airflow) == {f"reminder {run.pipeline_run_id} 0"}
    assignments = Ledger(settings, retry_seconds=20)
    assignments.assignments.ask(run.pipeline_run_id, dag_id="alma_assign_qa", dag_run_id=question)
    with psycopg.connect(ledger_url) as connection:
        connection.execute("UPDATE pipeline_run SET state = 'rejected'")
    assert due_of_runs(settings, airflow) == {f"question {question}"}


def test_fifty_runs_that_wait_are_one_question_to_airflow(settings, open_run, airflow):
    runs = [open_run() for _ in range(60)]
    for run in runs:
        goes_on(airflow, run)
    assert due_of_runs(settings, airflow) == frozenset()
    assert airflow.questions == 2, "fifty with each"
