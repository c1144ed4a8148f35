"""The end of a run that failed before its delivery: state, mail, and no CASA job that lives on."""

from __future__ import annotations

import logging
from contextlib import suppress
from datetime import UTC, datetime

from srdp.domain.casa.command import casa_job_name
from srdp.domain.casa.end_report import CasaEnd, read_casa_end
from srdp.domain.casa.outcome import find_errorexit
from srdp.domain.common.errors import Refused, SrdpError
from srdp.domain.common.mail import Mail
from srdp.domain.disk.delivery import move_run_directory
from srdp.domain.events.names import EventName
from srdp.domain.events.payloads import Ended
from srdp.domain.files.storage import LocalFilesError
from srdp.domain.files.trusted_root import UnsafeFile
from srdp.domain.runs.areas import SPOOL, check_area_is_there
from srdp.domain.runs.ledger_records import CasaAttempt, PipelineRun
from srdp.domain.runs.pipeline_run import (
    RunDirectory,
    RunDirectoryMissing,
    processing_directory,
    qa_directory,
    spool_directory,
)
from srdp.domain.runs.run_marker import make_marked_spool
from srdp.domain.runs.states import BEFORE_DELIVERY, RunState, state_after_failure
from srdp.domain.runs.steps import NO_CAUSE, StepFailure
from srdp.engines import JobStatus
from srdp.hooks.engines import engine, engine_of_run
from srdp.hooks.metrics import send_failure
from srdp.notifications.outbox import send_due_mails
from srdp.notifications.run_mails import calibration_failed
from srdp.services.context import RunContext, SiteContext
from srdp.services.processing.left_by_casa import try_to_record_what_casa_left

log = logging.getLogger(__name__)


def report_failure(context: RunContext, failure: StepFailure) -> PipelineRun:
    """Set a run's state to what a failure before its delivery makes of it, and queue the mail, in one transaction.

    If its CASA job still lives, then because somebody stopped its task or its DAG run: the job is cancelled first. A
    run whose job was cancelled, for that reason or by its deadline, is cancelled and not failed. What CASA left in the
    place of an analyst's files is recorded.

    Args:
        context: the run.
        failure: which step failed, and why.

    Returns:
        The run as it is now; unchanged if it had ended or was delivered before.
    """
    _back_to_the_processing_area(context)
    while context.run.state in BEFORE_DELIVERY:
        run, cancelled = context.run, _cancellation(context)
        cause = failure.cause or (f"It was stopped: {cancelled}." if cancelled else NO_CAUSE)
        wanted = RunState.CANCELLED if cancelled else state_after_failure(run.state)
        mail = _mail(context, failure.step, cause, cancelled=wanted is RunState.CANCELLED)
        # Refused: somebody else was faster since the run was read. Look again; the table decides.
        with suppress(Refused):
            details = Ended(step=failure.step, sentence=cause)
            event = EventName.CANCELLED if cancelled else EventName.FAILED
            context.ledger.runs.transition(
                run.pipeline_run_id, wanted, event=event, details=details, mails=[mail], failure=cause
            )
            send_failure(run.pipeline_run_id, failure.task_id)
        context = context.read_again()
    return context.run


def send_mails_of_run(context: RunContext) -> None:
    """Send the queued mails about a run that are due.

    Args:
        context: the run.
    """
    log.info("%s", send_due_mails(context.ledger, context.settings, pipeline_run_id=context.run_id))


def _back_to_the_processing_area(context: RunContext) -> None:
    """Undo a delivery that was stopped between the move and its record: what failed is in the processing area."""
    run, areas = context.run, context.settings.areas
    here, there = (area(areas, run.pipeline_run_id) for area in (processing_directory, qa_directory))
    if run.state in BEFORE_DELIVERY and there.is_there and not here.is_there:
        try:
            move_run_directory(there, here, run.marker)
        except (SrdpError, OSError) as error:
            # The failure must be reported all the same; the mail says where the directory is.
            log.warning("%s", error)


def end_casa_job(site: SiteContext, attempt: CasaAttempt, cause: str) -> JobStatus:
    """End a CASA job if it lives, record its end, and return what is known of it.

    Args:
        site: the engine, the spool area, and the ledger, where its end is recorded.
        attempt: the start of CASA, as it was recorded.
        cause: why, as the end of a sentence; kept with the job's record if it had not ended by itself.

    Raises:
        JobNotGone: a process could not be ended.
        StorageUnavailable: the spool area is not there: what is not seen in it may be there all the same.
        OSError: the job's records cannot be read or written.
    """
    settings, ledger = site.settings, site.ledger
    check_area_is_there(settings.spool_area, SPOOL)
    job_engine = engine(engine_of_run(ledger, attempt.pipeline_run_id))
    name = attempt.job_name or casa_job_name(attempt.pipeline_run_id, attempt.attempt)
    spool = spool_directory(settings.areas, attempt.pipeline_run_id)
    if attempt.ended_at is None:
        if not spool.exists():
            make_marked_spool(spool, ledger.runs.get(attempt.pipeline_run_id).marker)
        job_engine.cancel(name, spool, cause)
    status = job_engine.status(name, spool)
    if attempt.ended_at is None:
        ledger.casa.record(
            attempt.pipeline_run_id,
            attempt.attempt,
            host=status.host,
            started_at=status.started_at,
            # A job that never started leaves no record of its end; without one it would be looked at forever.
            ended_at=status.ended_at or datetime.now(UTC),
            exit_code=status.exit_code,
            signal=status.signal,
            peak_memory_bytes=status.peak_memory_bytes,
        )
    return status


def _cancellation(context: RunContext) -> str | None:
    """Return why the run's CASA job was cancelled, which it is now if it lives; None if it ended by itself."""
    attempt = context.last_casa_attempt()
    if attempt is None:
        return None
    try:
        status = end_casa_job(context, attempt, "its task or its DAG run was stopped in Airflow")
    except (SrdpError, OSError) as error:
        # The report must not wait for it: the reconciling DAG continues trying.
        log.warning("The CASA job of %s could not be ended: %s", context.run_id, error)
        return None
    if status.started_at or attempt.started_at:
        try_to_record_what_casa_left(context)
    return (status.cause or "its CASA job was cancelled") if status.cancelled else None


def _mail(context: RunContext, step: str, cause: str, *, cancelled: bool) -> Mail:
    settings, run = context.settings, context.run

    try:
        directory = context.directory()
    except (RunDirectoryMissing, LocalFilesError):
        directory = processing_directory(settings.areas, run.pipeline_run_id)
    casa = context.last_casa_attempt()
    try:
        errorexit = find_errorexit(directory, (casa and casa.started_at) or run.created_at)
    except (UnsafeFile, LocalFilesError) as error:
        # The failure must be reported all the same.
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
        said=casa_end_of_run(context, directory, casa),
        errorexit=errorexit.name if errorexit else None,
        waiting=[other for other in context.runs_of_request() if other.state is RunState.AWAITING_QA],
    )


def casa_end_of_run(site: SiteContext, directory: RunDirectory, attempt: CasaAttempt | None) -> CasaEnd | None:
    """Return what a run's CASA has written of its end; None if it was never started and there is no log.

    Args:
        site: the spool area, and the ledger, which knows which engine the run has.
        directory: the run's directory, at its present place.
        attempt: the start of CASA, if it is known.
    """
    run_id = directory.pipeline_run_id
    name = (attempt and attempt.job_name) or casa_job_name(run_id)
    stderr = engine(engine_of_run(site.ledger, run_id)).stderr(name, spool_directory(site.settings.areas, run_id))
    said = read_casa_end(directory, stderr)
    return said if attempt is not None or said.log_tail or said.log else None
