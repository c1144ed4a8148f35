"""The end of a DAG run that failed: state, mail, and a red run."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from srdp.domain.common.errors import InvalidInput, Refused, SrdpError
from srdp.domain.runs.states import BEFORE_DELIVERY, RunState, state_after_failure
from srdp.families import family_of_dag
from srdp.operators.base import asked_by
from srdp.operators.failure_record import FAILURE_XCOM
from srdp.operators.left_by_casa import try_to_record_what_casa_left
from srdp.operators.retrying import tried

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import DagRunProtocol

    from srdp.domain.casa.end_report import CasaEnd
    from srdp.domain.common.mail import Mail
    from srdp.domain.runs.ledger_records import CasaAttempt, PipelineRun
    from srdp.domain.runs.pipeline_run import RunDirectory
    from srdp.engines import JobStatus
    from srdp.hooks.ledger import LedgerHook
    from srdp.hooks.verdict_ledger import VerdictLedger
    from srdp.settings import Settings


log = logging.getLogger(__name__)

#: The fields of the forms that say who asks, and where that person can be told of it.
_ASKED_BY = ("asked_by", "asked_by_email")

#: What is told of a step that left no sentence.
NO_CAUSE = (
    "its task was marked failed in Airflow, or its process was killed before it could say why: look at the task's log."
)


class RunFailed(SrdpError):
    """A DAG run ends red; the sentence is that of the step that failed."""


@dataclass(frozen=True)
class StepFailure:
    """Which step failed, and why.

    Attributes:
        step: the task's name as the grid shows it.
        cause: why, in one sentence; None if it could not say.
        task_id: the task in the DAG; None if it is not known.
    """

    step: str
    cause: str | None
    task_id: str | None = None


class ReportFailureOperator(BaseOperator):
    """Sets a failed run's state and queues the mail about it, in one transaction; then fails: the DAG run is to be red.

    A leaf that succeeds when others failed would turn the DAG run green. Give it the trigger rule ``one_failed``.
    When no run was opened there is nothing to report: it only says again why.

    Args:
        pipeline_run_id: the run (templated). Where there is none because the task that opens runs failed, the run is
            looked for by the DAG run: that task may have been killed after it had opened one.

    Note:
        A failure after the delivery changes nothing of the run: it waits for its verdict.
    """

    template_fields: Sequence[str] = ("pipeline_run_id",)

    def __init__(self, *, pipeline_run_id: str | None = None, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self.pipeline_run_id = pipeline_run_id

    def execute(self, context: Context) -> None:
        """Report; always ends with an error.

        Raises:
            AirflowFailException: the sentence of the step that failed.
        """
        with tried(self, context, recorded=False):
            self._report(context)

    def _report(self, context: Context) -> None:
        from srdp.hooks.verdict_ledger import VerdictLedger
        from srdp.notifications.outbox import send_due_mails
        from srdp.settings import load_settings

        settings = load_settings()
        ledger = VerdictLedger(settings)
        failure = failure_of(context)
        run = self._run(ledger, context)
        if run is None:
            cause = failure.cause or NO_CAUSE
            if _would_nobody_hear(context["dag_run"]):
                tell_that_nothing_was_opened(context, failure.step, cause)
            raise RunFailed(f"No pipeline run was opened. {failure.step}: {cause}")
        run = report_failure(settings, ledger, run, failure)
        self.log.info("%s", send_due_mails(ledger, settings, pipeline_run_id=run.pipeline_run_id))
        raise RunFailed(
            f"Pipeline run {run.pipeline_run_id} is {run.state}. {failure.step}: "
            f"{failure.cause or run.failure or NO_CAUSE}"
        )

    def _run(self, ledger: LedgerHook, context: Context) -> PipelineRun | None:
        from srdp.domain.runs.identifiers import pipeline_run_id

        try:
            return ledger.run(pipeline_run_id(self.pipeline_run_id))
        except InvalidInput:
            return ledger.run_of_dag_run(context["ti"].dag_id, context["ti"].run_id)


def tell_that_nothing_was_opened(context: Context, step: str, cause: str) -> None:
    """Send the mail that a DAG run opened no pipeline run, to the analysts and to who asked.

    Args:
        context: the context of one of its tasks.
        step: the task that opened none, as the grid calls it.
        cause: why.
    """
    from srdp.hooks.verdict_ledger import VerdictLedger
    from srdp.notifications.outbox import send_due_mails
    from srdp.notifications.run_mails import run_not_started
    from srdp.settings import load_settings

    settings = load_settings()
    ledger = VerdictLedger(settings)
    dag_run, params = context["dag_run"], context["params"]
    family = family_of_dag(dag_run.dag_id)
    mail = run_not_started(
        settings,
        subject=next((str(params[name]) for name in (family.subject_field, "run") if name in params), ""),
        started_by=asked_by(context),
        asked=[str(params[name]) for name in _ASKED_BY if params.get(name)],
        dag_id=dag_run.dag_id,
        dag_name=context["dag"].dag_display_name,
        dag_run_id=dag_run.run_id,
        step=step,
        cause=cause,
    )
    ledger.queue_mail_without_run(dag_run.dag_id, dag_run.run_id, mail)
    log.info("%s", send_due_mails(ledger, settings))


def _would_nobody_hear(dag_run: DagRunProtocol) -> bool:
    """Whether nobody looks at the DAG run: it was started by another DAG, or by the archive's front end.

    Who starts a run by form sees the refusal. A front end triggers as the form does, over Airflow's REST API, and a
    task is told no difference; so all that comes through its DAG counts as its own.
    """
    family = family_of_dag(dag_run.dag_id)
    return dag_run.run_type != "manual" or (family.asked_by_users and dag_run.dag_id == family.kind)


def failure_of(context: Context) -> StepFailure:
    """Return which of a DAG run's tasks failed first, in the order of the DAG, and the sentence that it left.

    Args:
        context: the context of a task of the same DAG run.
    """
    own = context["ti"]
    states = own.get_task_states(dag_id=own.dag_id, run_ids=[own.run_id]).get(own.run_id, {})
    for task_id, task in context["dag"].task_dict.items():
        if task_id != own.task_id and _has_failed(task_id, states):
            told = _told(own.xcom_pull(task_ids=task_id, key=FAILURE_XCOM), str(task.task_display_name))
            return replace(told, task_id=task_id)
    return StepFailure("A step that was cleared meanwhile", None)


def report_failure(settings: Settings, ledger: VerdictLedger, run: PipelineRun, failure: StepFailure) -> PipelineRun:
    """Set a run's state to what a failure before its delivery makes of it, and queue the mail, in one transaction.

    If its CASA job still lives, then because somebody stopped its task or its DAG run: the job is cancelled first. A
    run whose job was cancelled, for that reason or by its deadline, is cancelled and not failed. What CASA left in the
    place of an analyst's files is recorded.

    Args:
        settings: recipients, addresses and areas.
        ledger: where the state is set.
        run: the run.
        failure: which step failed, and why.

    Returns:
        The run as it is now; unchanged if it had ended or was delivered before.
    """
    from srdp.hooks.metrics import send_failure

    _back_to_the_processing_area(settings, run)
    while run.state in BEFORE_DELIVERY:
        cancelled = _cancellation(settings, ledger, run)
        cause = failure.cause or (f"It was stopped: {cancelled}." if cancelled else NO_CAUSE)
        wanted = RunState.CANCELLED if cancelled else state_after_failure(run.state)
        mail = _mail(settings, ledger, run, failure.step, cause, cancelled=wanted is RunState.CANCELLED)
        # Refused: somebody else was faster since the run was read. Look again; the table decides.
        with suppress(Refused):
            details = {"step": failure.step, "sentence": cause}
            ledger.transition(
                run.pipeline_run_id, wanted, event=str(wanted), details=details, mails=[mail], failure=cause
            )
            send_failure(run.pipeline_run_id, failure.task_id)
        run = ledger.run(run.pipeline_run_id)
    return run


def _back_to_the_processing_area(settings: Settings, run: PipelineRun) -> None:
    """Undoes a delivery that was stopped between the move and its record: what failed lies in the processing area."""
    from srdp.domain.disk.delivery import move_run_directory
    from srdp.domain.runs.pipeline_run import processing_directory, qa_directory

    here, there = (area(settings.areas, run.pipeline_run_id) for area in (processing_directory, qa_directory))
    if run.state in BEFORE_DELIVERY and there.is_there and not here.is_there:
        try:
            move_run_directory(there, here, run.marker)
        except (SrdpError, OSError) as error:
            # The failure must be told all the same; the mail says where the directory lies.
            log.warning("%s", error)


def end_casa_job(settings: Settings, ledger: LedgerHook, attempt: CasaAttempt, cause: str) -> JobStatus:
    """Sees to it that a CASA job does not live, records its end, and returns what is known of it.

    Args:
        settings: the engine and the spool area.
        ledger: where its end is recorded.
        attempt: the start of CASA, as it was recorded.
        cause: why, as the end of a sentence; kept with the job's record if it had not ended by itself.

    Raises:
        JobNotGone: a process could not be ended.
        StorageUnavailable: the spool area is not there: what is not seen in it may be there all the same.
        OSError: the job's records cannot be read or written.
    """
    from srdp.domain.casa.command import casa_job_name
    from srdp.domain.runs.areas import SPOOL, check_area_is_there
    from srdp.domain.runs.pipeline_run import spool_directory
    from srdp.domain.runs.run_marker import make_marked_spool
    from srdp.hooks.engines import engine, engine_of_run

    check_area_is_there(settings.spool_area, SPOOL)
    job_engine = engine(engine_of_run(ledger, attempt.pipeline_run_id))
    name = attempt.job_name or casa_job_name(attempt.pipeline_run_id, attempt.attempt)
    spool = spool_directory(settings.areas, attempt.pipeline_run_id)
    if attempt.ended_at is None:
        if not spool.exists():
            make_marked_spool(spool, ledger.run(attempt.pipeline_run_id).marker)
        job_engine.cancel(name, spool, cause)
    status = job_engine.status(name, spool)
    if attempt.ended_at is None:
        ledger.record_casa(
            attempt.pipeline_run_id,
            attempt.attempt,
            host=status.host,
            started_at=status.started_at,
            # A job that never started leaves no record of its end; without one it would be looked at for ever.
            ended_at=status.ended_at or datetime.now(UTC),
            exit_code=status.exit_code,
            signal=status.signal,
            peak_memory_bytes=status.peak_memory_bytes,
        )
    return status


def _cancellation(settings: Settings, ledger: VerdictLedger, run: PipelineRun) -> str | None:
    """Return why the run's CASA job was cancelled, which it is now if it lives; None if it ended by itself."""
    attempt = next(reversed(ledger.casa_attempts(run.pipeline_run_id)), None)
    if attempt is None:
        return None
    try:
        status = end_casa_job(settings, ledger, attempt, "its task or its DAG run was stopped in Airflow")
    except (SrdpError, OSError) as error:
        # The report must not wait for it: the reconciling DAG goes on trying.
        log.warning("The CASA job of %s could not be ended: %s", run.pipeline_run_id, error)
        return None
    if status.started_at or attempt.started_at:
        try_to_record_what_casa_left(settings, ledger, run, log)
    return (status.cause or "its CASA job was cancelled") if status.cancelled else None


def _has_failed(task_id: str, states: Mapping[str, Any]) -> bool:
    # Airflow calls the instances of a mapped task <task id>_<map index> here.
    return any(
        state == "failed"
        and (name == task_id or (name.startswith(f"{task_id}_") and name[len(task_id) + 1 :].isdigit()))
        for name, state in states.items()
    )


def _told(xcom: object, step: str) -> StepFailure:
    told = next((value for value in (xcom if isinstance(xcom, list) else [xcom]) if isinstance(value, Mapping)), None)
    return StepFailure(step, str(told["sentence"]) if told else None)


def _mail(
    settings: Settings, ledger: VerdictLedger, run: PipelineRun, step: str, cause: str, *, cancelled: bool
) -> Mail:
    from srdp.domain.casa.outcome import find_errorexit
    from srdp.domain.files.storage import LocalFilesError
    from srdp.domain.files.trusted_root import UnsafeFile
    from srdp.domain.runs.pipeline_run import RunDirectoryMissing, find_run_directory, processing_directory
    from srdp.notifications.run_mails import calibration_failed

    try:
        directory = find_run_directory(settings.areas, run.pipeline_run_id)
    except (RunDirectoryMissing, LocalFilesError):
        directory = processing_directory(settings.areas, run.pipeline_run_id)
    casa = next(reversed(ledger.casa_attempts(run.pipeline_run_id)), None)
    try:
        errorexit = find_errorexit(directory, (casa and casa.started_at) or run.created_at)
    except (UnsafeFile, LocalFilesError) as error:
        # The failure must be told all the same.
        log.warning("Whether the pipeline left an errorexit file in %s is not known: %s", directory.root, error)
        errorexit = None
    return calibration_failed(
        settings,
        run,
        step=step,
        cause=cause,
        directory=directory,
        cancelled=cancelled,
        casa=casa,
        said=casa_end_of_run(settings, ledger, directory, casa),
        errorexit=errorexit.name if errorexit else None,
        waiting=[
            other
            for other in ledger.runs_of_request(run.kind, run.subject, run.request_digest)
            if other.state is RunState.AWAITING_QA
        ],
    )


def casa_end_of_run(
    settings: Settings, ledger: LedgerHook, directory: RunDirectory, attempt: CasaAttempt | None
) -> CasaEnd | None:
    """Return what a run's CASA has written of its end; None if it was never started and there is no log.

    Args:
        settings: the spool area.
        ledger: which engine the run has.
        directory: the run's directory, from where it lies now.
        attempt: the start of CASA, if it is known.
    """
    from srdp.domain.casa.command import casa_job_name
    from srdp.domain.casa.end_report import read_casa_end
    from srdp.domain.runs.pipeline_run import spool_directory
    from srdp.hooks.engines import engine, engine_of_run

    run_id = directory.pipeline_run_id
    name = (attempt and attempt.job_name) or casa_job_name(run_id)
    stderr = engine(engine_of_run(ledger, run_id)).stderr(name, spool_directory(settings.areas, run_id))
    said = read_casa_end(directory, stderr)
    return said if attempt is not None or said.log_tail or said.log else None
