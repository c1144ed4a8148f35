from __future__ import annotations

import logging
import os
import re
import shutil
import time
from datetime import UTC, datetime
from types import SimpleNamespace

import psutil
import psycopg
import pytest
from airflow.sdk import DAG
from airflow.sdk.api.datamodels._generated import DagRunState
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from tests.areas import entries
from tests.real_run import log_of_a_failed_stage

import srdp.settings
from srdp.domain.analyst_files.names import FLAG_TEMPLATE as TEMPLATE
from srdp.domain.casa.command import casa_job_name
from srdp.domain.common.errors import IntegrityError, InvalidInput, ServiceUnavailable, SrdpError
from srdp.domain.runs.pipeline_run import processing_directory, spool_directory
from srdp.domain.runs.run_marker import put_marker
from srdp.domain.runs.states import RunState
from srdp.engines import Job, JobState
from srdp.hooks.engines import engine
from srdp.hooks.ledger import Ledger
from srdp.hooks.ledger.runs import Runs
from srdp.operators.base import SrdpOperator
from srdp.operators.failure import ReportFailureOperator
from srdp.operators.failure_record import FAILURE_XCOM, record_wait
from srdp.operators.open_imaging_run import OpenImagingRunOperator
from srdp.operators.reconcile import ReconcileRunsOperator
from srdp.services.processing import failure

pytestmark = pytest.mark.servers

NOW = datetime(2026, 11, 29, 13, 0, tzinfo=UTC)
HOSTILE = "13A-537.sb1<script>\nBcc: everybody@example.org"
STEPS = {
    "open_run": "Open the run",
    "fetch_from_ngas": "Fetch raw data from NGAS",
    "run_casa": "Run CASA",
    "mail_ready_for_review": "Tell the analysts it is ready for review",
    "report_failure": "Report the failure",
}


@pytest.fixture(autouse=True)
def own_settings(settings, monkeypatch):
    monkeypatch.setattr(srdp.settings, "load_settings", lambda: settings)


class Airflow:
    """What tasks of one DAG run see of Airflow: XComs, the states of tasks and of DAG runs."""

    def __init__(self, dag_run_id):
        self.dag_run_id = dag_run_id
        self.dag_id = "vla_calibration"
        self.run_type = "manual"
        self.triggered_by = None
        self.params = {"execution_block": HOSTILE}
        self.states = {}
        self.xcoms = {}
        self.dag_runs = {}
        self.looks = 0
        self.between_looks = None

    def context(self, task_id):
        task = SimpleNamespace(
            task_id=task_id,
            dag_id=self.dag_id,
            run_id=self.dag_run_id,
            try_number=1,
            xcom_push=lambda key, value: self.xcoms.__setitem__((task_id, key), value),
            xcom_pull=lambda task_ids, key: self.xcoms.get((task_ids, key), []),
            get_task_states=self._task_states,
            get_dr_count=self._count,
            get_dagrun_state=self._dag_run_state,
        )
        tasks = {name: SimpleNamespace(task_display_name=shown) for name, shown in STEPS.items()}
        dag_run = SimpleNamespace(
            dag_id=self.dag_id,
            run_id=self.dag_run_id,
            run_type=self.run_type,
            triggering_user_name=self.triggered_by,
        )
        return {
            "ti": task,
            "dag": SimpleNamespace(task_dict=tasks, dag_display_name="VLA calibration"),
            "dag_run": dag_run,
            "params": self.params,
        }

    def _task_states(self, dag_id, run_ids):
        assert dag_id == self.dag_id
        return dict.fromkeys(run_ids, self.states)

    def _dag_run_state(self, dag_id, run_id):
        assert dag_id == "vla_calibration"
        # As the Task SDK answers: an Enum that equals its text and is not shown as it.
        return DagRunState(self.dag_runs[run_id])

    def _count(self, dag_id, run_ids):
        assert dag_id == "vla_calibration"
        self.looks += 1
        if self.looks > 1 and self.between_looks:
            self.between_looks()
        return sum(run_id in self.dag_runs for run_id in run_ids)


@pytest.fixture
def airflow(run):
    return Airflow(run.dag_run_id)


@pytest.fixture
def run(open_run):
    return open_run()


@pytest.fixture
def processing(ledger, run, settings):
    ledger.runs.transition(run.pipeline_run_id, RunState.FETCHING, event="begun")
    ledger.runs.transition(run.pipeline_run_id, RunState.PROCESSING, event="fetched")
    directory = processing_directory(settings.areas, run.pipeline_run_id)
    directory.working.mkdir(parents=True)
    put_marker(directory.root, run.marker)
    return run


class Failing(SrdpOperator):
    def __init__(self, *, error, **kwargs):
        super().__init__(**kwargs)
        self.error = error

    def run_step(self, context):  # noqa: ARG002
        raise self.error


def fail(airflow, task_id, error, *, mapped=False):
    shown = AirflowException if isinstance(error, (SrdpError, AirflowException)) else type(error)
    with pytest.raises(shown, match=re.escape(str(error))):
        Failing(task_id=task_id, error=error).execute(airflow.context(task_id))
    airflow.states[f"{task_id}_0" if mapped else task_id] = "failed"


def report(airflow, pipeline_run_id=None):
    with pytest.raises(AirflowFailException) as caught:
        ReportFailureOperator(task_id="report_failure", pipeline_run_id=pipeline_run_id).execute(
            airflow.context("report_failure")
        )
    return str(caught.value)


@pytest.fixture
def start_job(ledger, settings):
    """Start a job for a run and return a function that looks at it; it is ended with the test."""
    started = []

    def start(run, command):
        name, spool = casa_job_name(run.pipeline_run_id, 1), spool_directory(settings.areas, run.pipeline_run_id)
        ledger.casa.record(run.pipeline_run_id, 1, job_name=name)
        started.append((name, spool))
        engine("local").submit(
            Job(
                name=name,
                command=command,
                working_directory=processing_directory(settings.areas, run.pipeline_run_id).working,
                environment={},
                spool=spool,
                cores=1,
                memory_gb=1,
            )
        )
        wait_for(lambda: engine("local").status(name, spool).state is JobState.RUNNING)
        return lambda: engine("local").status(name, spool)

    yield start
    for name, spool in started:
        engine("local").cancel(name, spool, "the test has ended")


def submitted_files(settings, run):
    return Ledger(settings).submitted_files.of_run(run.pipeline_run_id)


def wait_for(condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# How a step leaves its sentence


def test_a_step_leaves_its_sentence_for_the_report_and_in_the_ledger(ledger, run, airflow):
    fail(airflow, "fetch_from_ngas", IntegrityError("File a is broken."))
    assert airflow.xcoms["fetch_from_ngas", FAILURE_XCOM] == {"sentence": "File a is broken.", "kind": "IntegrityError"}
    event = ledger.events.of_run(run.pipeline_run_id)[-1]
    assert (event.event, event.details["task"], event.details["sentence"], event.details["try"]) == (
        "step_failed",
        "fetch_from_ngas",
        "File a is broken.",
        1,
    )


def test_an_error_of_ours_is_reported_too(run, airflow):
    fail(airflow, "fetch_from_ngas", KeyError("a\nb"))
    sentence = airflow.xcoms["fetch_from_ngas", FAILURE_XCOM]["sentence"]
    assert sentence.startswith("KeyError: ")
    assert "\n" not in sentence


def test_a_skipped_step_did_not_fail(ledger, run, airflow):
    fail(airflow, "fetch_from_ngas", AirflowSkipException("not today"))
    assert airflow.xcoms == {}
    assert len(ledger.events.of_run(run.pipeline_run_id)) == 1


def test_a_failure_is_not_hidden_by_a_ledger_that_is_away(monkeypatch, as_connection):
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_LEDGER", as_connection("postgresql://a:b@127.0.0.1:1/ledger"))
    airflow = Airflow("manual__1")
    fail(airflow, "fetch_from_ngas", ServiceUnavailable("NGAS is down."))
    assert airflow.xcoms["fetch_from_ngas", FAILURE_XCOM]["sentence"] == "NGAS is down."


# How a wait is reported


def test_a_wait_is_reported_once_by_mail_with_since_when_and_what_follows(ledger, settings, run, airflow):
    since, until = datetime(2026, 11, 29, 13, 0, 7, tzinfo=UTC), datetime(2026, 11, 30, 13, 0, tzinfo=UTC)
    context = {**airflow.context("fetch_from_ngas"), "task": SimpleNamespace(task_display_name="Fetch raw data")}
    for _ in range(2):
        assert record_wait(context, logging.getLogger(), ServiceUnavailable(f"NGAS is away. {HOSTILE}"), since, until)
    (mail,) = ledger.outbox.mails(run.pipeline_run_id)
    assert mail.subject == f'[SRDP] WAITING since 13:00 UTC at "Fetch raw data": {run.subject} ({run.pipeline_run_id})'
    assert mail.recipients == settings.operations_managers
    for said in ("NGAS is away.", "2026-11-29 13:00:07 UTC", "2026-11-30 13:00 UTC", "continues by itself"):
        assert said in mail.text
        assert said in mail.html
    assert "<script>" not in mail.html


def test_a_wait_of_what_has_opened_no_run_is_reported_too(ledger_url, ledger, airflow):
    airflow.dag_run_id = "manual__not_yet"
    context = {**airflow.context("open_run"), "task": SimpleNamespace(task_display_name="Open the run")}
    assert record_wait(context, logging.getLogger(), ServiceUnavailable("The area is away."), NOW, NOW)
    with psycopg.connect(ledger_url) as connection:
        ((subject,),) = connection.execute("SELECT subject FROM outbox").fetchall()
    assert subject.endswith('at "Open the run": manual__not_yet')


def test_a_wait_that_nobody_can_be_notified_of_is_reported_later(monkeypatch, as_connection):
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_LEDGER", as_connection("postgresql://a:b@127.0.0.1:1/ledger"))
    context = {**Airflow("manual__1").context("open_run"), "task": SimpleNamespace(task_display_name="Open the run")}
    assert not record_wait(context, logging.getLogger(), ServiceUnavailable("The ledger is away."), NOW, NOW)


# The report


def test_a_failed_run_is_reported_with_its_cause(ledger, settings, processing, airflow):
    directory = processing_directory(settings.areas, processing.pipeline_run_id)
    log = directory.working / "casa-20261122-182453.log"
    log.write_text(log_of_a_failed_stage())
    (directory.working / "errorexit-29991122T190000.txt").touch()
    fail(airflow, "run_casa", IntegrityError("The PPR was changed."))
    sentence = report(airflow, processing.pipeline_run_id)
    assert sentence == f"Pipeline run {processing.pipeline_run_id} is failed. Run CASA: The PPR was changed."
    run = ledger.runs.get(processing.pipeline_run_id)
    assert (run.state, run.failure) == (RunState.FAILED, "The PPR was changed.")
    (mail,) = ledger.outbox.mails(run.pipeline_run_id)
    assert mail.subject.startswith('[SRDP] FAILED at "Run CASA": ')
    for words in (
        "The PPR was changed.", "errorexit-29991122T190000.txt", str(log), "Terminating procedure execution",
        "hifv_checkflag (stage 8", "Error executing pipeline task hifv_checkflag.",
    ):  # fmt: skip
        assert words in mail.text
        assert words in mail.html
    assert "standard error" not in mail.text


def test_a_link_in_the_place_of_casas_log_gives_nothing_away(ledger, settings, processing, airflow):
    run_id = processing.pipeline_run_id
    directory = processing_directory(settings.areas, run_id)
    (settings.processing_area / "secrets").write_text("sqlalchemy://srdp:hunter2@db")
    (directory.working / "casa.log").symlink_to(settings.processing_area / "secrets")
    os.mkfifo(directory.processing_request)
    fail(airflow, "run_casa", IntegrityError("The PPR was changed."))
    report(airflow, run_id)
    (mail,) = ledger.outbox.mails(run_id)
    for body in (mail.text, mail.html):
        assert "hunter2" not in body
        assert "is a symbolic link, which is not followed" in body


@pytest.mark.parametrize("folder", ["working", "products"])
def test_a_failure_is_notified_of_a_run_whose_folder_is_a_link(ledger, settings, processing, airflow, folder):
    run_id = processing.pipeline_run_id
    directory = processing_directory(settings.areas, run_id)
    directory.working.rmdir()
    (settings.processing_area / "elsewhere").mkdir()
    (directory.root / folder).symlink_to(settings.processing_area / "elsewhere")
    fail(airflow, "run_casa", IntegrityError("The PPR was changed."))
    report(airflow, run_id)
    assert len(ledger.outbox.mails(run_id)) == 1
    assert ledger.runs.get(run_id).state is RunState.FAILED


def test_what_casa_wrote_before_its_log_began_is_reported(ledger, settings, processing, airflow):
    run_id = processing.pipeline_run_id
    ledger.casa.record(run_id, 1, job_name=casa_job_name(run_id), started_at=processing.created_at, exit_code=1)
    folder = spool_directory(settings.areas, run_id) / casa_job_name(run_id)
    folder.mkdir(parents=True)
    (folder / "stderr").write_text("Traceback (...):\nModuleNotFoundError: No module named 'pipeline'\n")
    (folder / "started.json").write_text('{"host": "x", "started_at": "2026-11-22T18:24:53+00:00"}')
    (folder / "ended.json").write_text('{"exit_code": 1}')
    fail(airflow, "run_casa", IntegrityError("The result is not proved."))
    report(airflow, run_id)
    (mail,) = ledger.outbox.mails(run_id)
    assert "ModuleNotFoundError: No module named 'pipeline'" in mail.text
    assert "before the first stage" in mail.text


def test_the_report_may_be_repeated(ledger, processing, airflow):
    fail(airflow, "run_casa", IntegrityError("The PPR was changed."))
    assert report(airflow, processing.pipeline_run_id) == report(airflow, processing.pipeline_run_id)
    assert len(ledger.outbox.mails(processing.pipeline_run_id)) == 1


def test_a_refusal_is_said_again_without_a_mail(ledger, ledger_url, airflow, run):
    airflow.dag_run_id = "manual__refused"
    fail(airflow, "open_run", IntegrityError("13A-537 was not started: it is active."), mapped=True)
    assert report(airflow, "None") == "No pipeline run was opened. Open the run: 13A-537 was not started: it is active."
    with psycopg.connect(ledger_url) as connection:
        assert connection.execute("SELECT count(*) FROM outbox").fetchone() == (0,)
    assert ledger.runs.get(run.pipeline_run_id).state == RunState.CREATED


@pytest.mark.parametrize("rendered", ["None", "", "[]", None])
def test_a_run_that_its_task_could_not_name_is_found(ledger, run, airflow, rendered):
    airflow.states["open_run_0"] = "failed"
    sentence = report(airflow, rendered)
    assert "Open the run: its task was marked failed in Airflow, or its process was killed" in sentence
    assert ledger.runs.get(run.pipeline_run_id).state == RunState.CANCELLED
    assert ledger.outbox.mails(run.pipeline_run_id)[0].subject.startswith("[SRDP] CANCELLED")


def test_the_first_step_in_the_order_of_the_dag_is_named(processing, airflow):
    airflow.states = {"report_failure": "running", "run_casa": "upstream_failed"}
    fail(airflow, "fetch_from_ngas", IntegrityError("File a is broken."))
    assert "Fetch raw data from NGAS: File a is broken." in report(airflow, processing.pipeline_run_id)


def test_a_delivered_run_stays_delivered(ledger, processing, airflow):
    ledger.runs.transition(processing.pipeline_run_id, RunState.AWAITING_QA, event="delivered")
    fail(airflow, "mail_ready_for_review", ServiceUnavailable("The ledger is away."))
    assert "is awaiting_qa." in report(airflow, processing.pipeline_run_id)
    assert ledger.outbox.mails(processing.pipeline_run_id) == []


def test_a_living_job_of_a_stopped_task_is_cancelled_and_so_is_the_run(ledger, processing, airflow, start_job):
    look = start_job(processing, ("/bin/sleep", "600"))
    airflow.states["run_casa"] = "failed"
    sentence = report(airflow, processing.pipeline_run_id)
    assert "is cancelled. Run CASA: It was stopped: its task or its DAG run was stopped in Airflow." in sentence
    assert look().state is JobState.ENDED
    (attempt,) = ledger.casa.of_run(processing.pipeline_run_id)
    assert attempt.ended_at is not None
    assert ledger.outbox.mails(processing.pipeline_run_id)[0].subject.startswith("[SRDP] CANCELLED")


def test_what_casa_left_until_its_task_was_stopped_is_recorded_once(ledger, settings, processing, airflow, start_job):
    left = processing_directory(settings.areas, processing.pipeline_run_id).working / f"{processing.subject}.{TEMPLATE}"
    # What it writes on its way out is CASA's too.
    writes = 'trap "echo \\# by CASA > $0; exit" TERM; : > $0; while :; do sleep 0.1; done'
    start_job(processing, ("/bin/sh", "-c", writes, str(left)))
    wait_for(left.exists)
    airflow.states["run_casa"] = "failed"
    report(airflow, processing.pipeline_run_id)
    recorded = submitted_files(settings, processing)
    assert [(file.name, file.content, file.source) for file in recorded.values()] == [
        (TEMPLATE, b"# by CASA\n", "CASA's import stage")
    ]
    left.write_text("mode='manual' antenna='ea18'\n")
    report(airflow, processing.pipeline_run_id)
    assert submitted_files(settings, processing) == recorded


@pytest.mark.parametrize("started", [False, True])
def test_what_is_there_before_casa_was_started_is_not_taken_for_casas(ledger, settings, processing, airflow, started):
    directory = processing_directory(settings.areas, processing.pipeline_run_id)
    (directory.working / f"{processing.subject}.{TEMPLATE}").write_text("# somebody's\n")
    name = casa_job_name(processing.pipeline_run_id, 1)
    ledger.casa.record(
        processing.pipeline_run_id, 1, job_name=name, started_at=processing.created_at if started else None
    )
    airflow.states["run_casa"] = "failed"
    report(airflow, processing.pipeline_run_id)
    assert set(submitted_files(settings, processing)) == ({TEMPLATE} if started else set())


def test_a_job_that_cannot_be_ended_may_write_still(ledger, settings, processing, airflow):
    directory = processing_directory(settings.areas, processing.pipeline_run_id)
    (directory.working / f"{processing.subject}.{TEMPLATE}").write_text("# by CASA\n")
    ledger.casa.record(
        processing.pipeline_run_id,
        1,
        job_name=casa_job_name(processing.pipeline_run_id, 1),
        started_at=processing.created_at,
    )
    # A file where the run's spool should be.
    spool_directory(settings.areas, processing.pipeline_run_id).touch()
    airflow.states["run_casa"] = "failed"
    report(airflow, processing.pipeline_run_id)
    assert submitted_files(settings, processing) == {}


def test_what_cannot_be_recorded_does_not_hold_up_the_report(ledger, settings, processing, airflow):
    directory = processing_directory(settings.areas, processing.pipeline_run_id)
    (directory.working / f"{processing.subject}.{TEMPLATE}").mkdir()
    ledger.casa.record(
        processing.pipeline_run_id,
        1,
        job_name=casa_job_name(processing.pipeline_run_id, 1),
        started_at=processing.created_at,
    )
    airflow.states["run_casa"] = "failed"
    assert "is cancelled." in report(airflow, processing.pipeline_run_id)
    assert submitted_files(settings, processing) == {}


def test_a_run_that_somebody_else_has_just_moved_is_looked_at_again(ledger, run, airflow, monkeypatch):
    fail(airflow, "fetch_from_ngas", IntegrityError("File a is broken."))
    real = Runs.get
    stale = ledger.runs.get(run.pipeline_run_id)
    ledger.runs.transition(run.pipeline_run_id, RunState.FETCHING, event="begun")
    answers = [stale]
    monkeypatch.setattr(Runs, "get", lambda hook, run_id: answers.pop() if answers else real(hook, run_id))
    report(airflow, run.pipeline_run_id)
    assert ledger.runs.get(run.pipeline_run_id).state == RunState.CANCELLED


# Nobody is left to tell


def reconcile(airflow):
    ReconcileRunsOperator(task_id="reconcile", confirm_after_seconds=0).execute(airflow.context("reconcile"))


@pytest.mark.parametrize(
    ("fate", "reported"), [("failed", "ended (failed)"), ("success", "ended (success)"), (None, "is gone")]
)
def test_a_run_whose_dag_run_ended_without_telling_is_reported(ledger, processing, airflow, fate, reported):
    ledger.events.record(processing.pipeline_run_id, "step_failed", {"task": "run_casa", "sentence": "CASA was lost."})
    if fate:
        airflow.dag_runs[processing.dag_run_id] = fate
    reconcile(airflow)
    run = ledger.runs.get(processing.pipeline_run_id)
    assert run.state == RunState.FAILED
    assert reported in run.failure
    assert "CASA was lost." in run.failure
    (mail,) = ledger.outbox.mails(run.pipeline_run_id)
    assert mail.key == "calibration_failed"
    reconcile(airflow)
    assert len(ledger.outbox.mails(run.pipeline_run_id)) == 1


def test_a_run_that_has_not_begun_is_cancelled(ledger, run, airflow):
    reconcile(airflow)
    assert ledger.runs.get(run.pipeline_run_id).state == RunState.CANCELLED


@pytest.mark.parametrize("state", ["running", "queued"])
def test_a_run_whose_dag_run_goes_on_is_left_alone(ledger, processing, airflow, state):
    airflow.dag_runs[processing.dag_run_id] = state
    reconcile(airflow)
    assert ledger.runs.get(processing.pipeline_run_id).state == RunState.PROCESSING


def test_a_dag_run_that_was_cleared_meanwhile_is_left_alone(ledger, processing, airflow):
    airflow.dag_runs[processing.dag_run_id] = "failed"
    airflow.between_looks = lambda: airflow.dag_runs.update({processing.dag_run_id: "running"})
    reconcile(airflow)
    assert ledger.runs.get(processing.pipeline_run_id).state == RunState.PROCESSING


def test_a_run_that_is_delivered_meanwhile_is_left_alone(ledger, processing, airflow):
    airflow.dag_runs[processing.dag_run_id] = "failed"
    airflow.between_looks = lambda: ledger.runs.transition(
        processing.pipeline_run_id, RunState.AWAITING_QA, event="delivered"
    )
    reconcile(airflow)
    assert ledger.runs.get(processing.pipeline_run_id).state == RunState.AWAITING_QA
    assert ledger.outbox.mails(processing.pipeline_run_id) == []


def test_a_run_that_waits_for_a_person_is_left_alone(ledger, processing, airflow):
    ledger.runs.transition(processing.pipeline_run_id, RunState.AWAITING_QA, event="delivered")
    ledger.runs.transition(processing.pipeline_run_id, RunState.INGESTING, event="passed")
    reconcile(airflow)
    assert ledger.runs.get(processing.pipeline_run_id).state == RunState.INGESTING


def test_the_job_of_a_run_that_has_ended_is_cancelled(ledger, tmp_path, processing, airflow, start_job):
    pids = tmp_path / "pids"
    look = start_job(processing, ("/bin/sh", "-c", f"sleep 600 & echo $$ $! > {pids}; sleep 600"))
    wait_for(lambda: pids.exists() and pids.read_text())
    ledger.runs.transition(processing.pipeline_run_id, RunState.FAILED, event="failed")
    reconcile(airflow)
    assert look().state is JobState.ENDED
    assert not any(psutil.pid_exists(int(pid)) for pid in pids.read_text().split())
    (attempt,) = ledger.casa.of_run(processing.pipeline_run_id)
    assert attempt.ended_at is not None
    assert ledger.casa.without_task() == []


def test_a_job_that_was_never_started_is_never_started(ledger, settings, processing, airflow):
    name, spool = (
        casa_job_name(processing.pipeline_run_id, 1),
        spool_directory(settings.areas, processing.pipeline_run_id),
    )
    ledger.casa.record(processing.pipeline_run_id, 1, job_name=name)
    ledger.runs.transition(processing.pipeline_run_id, RunState.FAILED, event="failed")
    reconcile(airflow)
    assert engine("local").status(name, spool).state is JobState.ENDED
    assert ledger.casa.without_task() == []


def test_a_run_whose_directory_cannot_be_read_holds_up_no_other(ledger, settings, open_run, airflow, monkeypatch):
    first, second = (open_run() for _ in range(2))
    mail = failure._mail

    def unreadable(context, *args, **kwargs):
        if context.run_id == first.pipeline_run_id:
            raise OSError("Stale file handle")
        return mail(context, *args, **kwargs)

    monkeypatch.setattr(failure, "_mail", unreadable)
    with pytest.raises(AirflowFailException, match=f"{first.pipeline_run_id} could not be reported: Stale file handle"):
        reconcile(airflow)
    assert ledger.runs.get(second.pipeline_run_id).state == RunState.CANCELLED


def test_a_job_that_cannot_be_ended_holds_up_no_other(ledger, settings, open_run, airflow, monkeypatch):
    runs = [open_run() for _ in range(2)]
    for run in runs:
        ledger.casa.record(run.pipeline_run_id, 1, job_name=casa_job_name(run.pipeline_run_id, 1))
        ledger.runs.transition(run.pipeline_run_id, RunState.CANCELLED, event="cancelled")
    first = min(run.pipeline_run_id for run in runs)
    # A file where the first run's spool should be.
    spool_directory(settings.areas, first).touch()
    with pytest.raises(AirflowFailException, match=first):
        reconcile(airflow)
    assert [attempt.pipeline_run_id for attempt in ledger.casa.without_task()] == [first]


def mails_without_run(ledger_url):
    with psycopg.connect(ledger_url) as connection:
        statement = "SELECT subject, recipients, body_text, body_html FROM outbox WHERE pipeline_run_id IS NULL"
        return connection.execute(statement).fetchall()


def test_a_calibration_of_the_sensors_that_could_not_be_opened_is_reported_once_and_to_everybody(
    ledger, ledger_url, settings
):
    airflow = Airflow("of-the-sensor")
    airflow.run_type = "operator_triggered"
    fail(airflow, "open_run", ServiceUnavailable("The archive's database does not answer."), mapped=True)
    for _ in range(2):
        assert "No pipeline run was opened" in report(airflow, "None")
    ((subject, recipients, text, html),) = mails_without_run(ledger_url)
    assert "NOT STARTED" in subject
    assert "\n" not in subject
    assert set(recipients) == {*settings.data_analysts, *settings.operations_managers}
    assert "does not answer" in text
    assert "Started by\n  another DAG\n" in text
    assert "Asked for by" not in text
    assert "<script>" not in html


def test_what_the_front_end_asks_for_and_is_refused_is_reported_to_the_managers_with_who_asked(
    ledger, ledger_url, settings
):
    airflow = Airflow("manual__of-the-front-end")
    airflow.dag_id, airflow.triggered_by = "alma_imaging", "archive-api"
    airflow.params = {
        "mous": "uid://A001/X1/Xdead",
        "asked_by": "Ada <script>\nCause\n  all is well",
        "asked_by_email": "ada@example.edu\nBcc: all@example.org",
    }
    context = airflow.context("open_run")
    context["dag_run"].conf = {**airflow.params, "mous": "uid://A001/X1/Xdead", "field": "TW_Hya"}
    with DAG("alma_imaging", schedule=None):
        opening = OpenImagingRunOperator(
            task_id="open_run", mous="uid://A001/X1/Xdead", fields="None", continuum="True", recipe="alma_imaging"
        )
    for _ in range(2):
        opening.pre_execute(context)
        with pytest.raises(AirflowSkipException, match="did you mean fields"):
            opening.execute(context)
    assert "did you mean fields" in airflow.xcoms["open_run", "refusal"]
    ((subject, recipients, text, html),) = mails_without_run(ledger_url)
    assert subject == "[SRDP] NOT STARTED: uid://A001/X1/Xdead"
    assert tuple(recipients) == settings.operations_managers
    for said in (text, html):
        assert "No field is named" in said
        assert "did you mean fields" in said
        assert "all is well, ada@example.edu Bcc: all@example.org" in said
        assert "archive-api" in said
        assert "tell the requester" in said
    assert "\n  all is well" not in text
    assert "<script>" not in html


def test_nobody_is_notified_of_a_refused_rerun_which_a_person_triggers(ledger, ledger_url):
    airflow = Airflow("manual__rerun")
    airflow.dag_id, airflow.params = "alma_rerun", {"run": "alma-20261122-182453-4f7k"}
    fail(airflow, "open_run", InvalidInput("The ledger holds no such run."), mapped=True)
    report(airflow, "None")
    assert mails_without_run(ledger_url) == []


def test_who_starts_by_form_sees_the_refusal_and_gets_no_mail(ledger, ledger_url):
    airflow = Airflow("by-form")
    fail(airflow, "open_run", IntegrityError("It cannot be."), mapped=True)
    report(airflow, "None")
    assert mails_without_run(ledger_url) == []


def test_a_run_that_was_stopped_between_its_move_and_the_record_goes_back(airflow, ledger, settings, processing):
    run_id = processing.pipeline_run_id
    (settings.processing_area / run_id).rename(settings.qa_area / run_id)
    fail(airflow, "mail_ready_for_review", IntegrityError("made by a test."))
    report(airflow, run_id)
    assert ledger.runs.get(run_id).state is RunState.FAILED
    assert (settings.processing_area / run_id / "working").is_dir()
    assert entries(settings.qa_area) == []


@pytest.mark.parametrize("area", ["processing_area", "qa_area", "spool_area"])
def test_a_failure_is_reported_while_an_area_is_not_mounted_and_no_job_is_taken_for_ended(
    airflow, ledger, settings, processing, area
):
    run_id = processing.pipeline_run_id
    ledger.casa.record(run_id, 1, job_name=f"{run_id}.casa1", started_at=NOW)
    fail(airflow, "run_casa", IntegrityError("made by a test."))
    shutil.rmtree(getattr(settings, area))
    getattr(settings, area).mkdir()
    report(airflow, run_id)
    (attempt,) = ledger.casa.of_run(run_id)
    if area == "spool_area":
        assert ledger.runs.get(run_id).state is RunState.FAILED
        assert attempt.ended_at is None, "nobody knows that it has ended"
        assert list(settings.spool_area.iterdir()) == []
    else:
        assert ledger.runs.get(run_id).state is RunState.CANCELLED
        assert attempt.ended_at is not None
    assert any("made by a test" in mail.text for mail in ledger.outbox.mails(run_id))
