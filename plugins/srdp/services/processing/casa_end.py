"""How a CASA job ended: into the ledger, and reported in one sentence if it did not run to its end."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from srdp.domain.common.errors import Refused, ServiceUnavailable, SrdpError
from srdp.domain.files.trusted_root import UnsafeFile
from srdp.domain.ppr.document import request_sha256
from srdp.domain.runs.identifiers import PipelineRunId
from srdp.domain.runs.ledger_records import CasaAttempt
from srdp.domain.runs.pipeline_run import spool_directory
from srdp.engines import Engine, Job, JobState, JobStatus, check_same_job
from srdp.hooks import metrics
from srdp.hooks.engines import engine, engine_of_run
from srdp.services.context import RunContext
from srdp.settings import Settings

log = logging.getLogger(__name__)


class CasaJobFailed(SrdpError):
    """CASA's job did not run to its end, or the PPR changed meanwhile; whatever it left must not be used."""


class CasaJobLost(CasaJobFailed):
    """CASA's job went away without a record of its end; what it left may prove that CASA had come to its end.

    Attributes:
        attempt: what the ledger knows of it now.
    """

    def __init__(self, sentence: str, attempt: CasaAttempt) -> None:
        super().__init__(sentence)
        self.attempt = attempt


class JobRecordsMissing(ServiceUnavailable):
    """The spool area holds nothing of a job that was started; it may be mounted again in a moment."""


def record_casa_end(context: RunContext) -> CasaAttempt:
    """Record how a run's last CASA job ended, and end what a lost one left running; may be repeated at will.

    Args:
        context: the run.

    Returns:
        What the ledger knows of it now.

    Raises:
        Refused: there is no job that has ended.
        CasaJobLost: nobody recorded its end; look what it left.
        CasaJobFailed: it did not run to its end, or its PPR is not the one that it was started with.
        JobRecordsMissing: its end is not known, because its records cannot be found.
        IntegrityError: what is in the spool area is another job than the one that was asked for.
        StorageUnavailable: the records are not the service's own.
    """
    settings, ledger, run_id = context.settings, context.ledger, context.run_id
    attempt = context.last_casa_attempt()
    if attempt is None or attempt.job_name is None:
        raise _not_started(run_id)
    casa = engine(engine_of_run(ledger, run_id))
    name, spool = attempt.job_name, spool_directory(settings.areas, run_id)
    status = casa.status(name, spool)
    if status.state is JobState.ABSENT:
        status = _recorded(settings, attempt)
    else:
        check_asked(context, casa, spool, status)
    if status.state not in {JobState.ENDED, JobState.LOST}:
        raise Refused(
            f"{run_id} cannot be judged: its CASA job {name} is still at work, because the task that waits for its end "
            "was marked success; trigger a new run."
        )
    if status.state is JobState.LOST:
        casa.cancel(name, spool, status.cause or "it was lost")
    directory = context.directory()
    after, unsafe = attempt.ppr_sha256_after, ""
    try:
        after = after or request_sha256(directory)
    except UnsafeFile as error:
        unsafe = f" ({error})"
    ended = replace(
        attempt,
        host=status.host,
        started_at=status.started_at,
        ended_at=status.ended_at or attempt.ended_at or datetime.now(UTC),
        exit_code=status.exit_code,
        signal=status.signal,
        peak_memory_bytes=status.peak_memory_bytes,
        ppr_sha256_after=after,
    )
    ledger.casa.record(
        run_id,
        attempt.attempt,
        host=ended.host,
        started_at=ended.started_at,
        ended_at=ended.ended_at,
        exit_code=ended.exit_code,
        signal=ended.signal,
        peak_memory_bytes=ended.peak_memory_bytes,
        ppr_sha256_after=ended.ppr_sha256_after,
    )
    if ended.started_at is not None and ended.ended_at is not None and attempt.ended_at is None:
        seconds = (ended.ended_at - ended.started_at).total_seconds()
        metrics.send(metrics.CASA_TIME, max(seconds, 0.0), family=context.family.name)
    _log_end(name, status)
    reason = why_it_failed(name, status)
    is_lost = status.state is JobState.LOST and not status.cancelled
    if reason and not is_lost:
        raise CasaJobFailed(reason)
    if ended.ppr_sha256_after != ended.ppr_sha256_before:
        raise CasaJobFailed(
            f"{directory.processing_request} changed while CASA ran{unsafe}, so that nobody knows what CASA did: "
            "start a new run with the PPR that is wanted."
        )
    if reason:
        raise CasaJobLost(reason, ended)
    return ended


def record_asked(context: RunContext, job: Job) -> None:
    """Record which job is asked for, before it is: what is found in the spool area is compared with it.

    Args:
        context: the run; it is recorded once for the same job.
        job: its job.
    """
    asked = {**job.as_record(), "casa_release": context.run.casa_release}
    context.ledger.casa.record_asked(context.run_id, asked)


def check_asked(context: RunContext, casa: Engine, spool: Path, status: JobStatus) -> None:
    """Let a job pass that is one that was asked for: its records say nothing if it is another one.

    It is compared with what the ledger knows, not with what the settings would ask for now: they may have changed while
    CASA runs. Nothing is known of a job that a former release of this project has started.

    Args:
        context: the run.
        casa: the engine.
        spool: the run's folder of records.
        status: the job's status.

    Raises:
        IntegrityError: it is another one.
        StorageUnavailable: the records are not the service's own.
    """
    if status.state is JobState.ENDED and status.started_at is None:
        return  # it was cancelled before there was a job
    asked = [Job.of_record(record, spool) for record in context.ledger.casa.asked(context.run_id)]
    if asked:
        found = casa.submitted(asked[-1].name, spool)
        if found not in asked:
            check_same_job(found, asked[-1])


def why_it_failed(name: str, status: JobStatus) -> str | None:
    """Return, in one sentence, why a job did not run to its end; ``None`` if it did.

    Args:
        name: the job.
        status: its state, which is ``ended`` or ``lost``.
    """
    if status.cancelled:
        return f"CASA job {name} was cancelled: {status.cause}."
    if status.state is JobState.LOST:
        return (
            f"CASA job {name} was lost: {status.cause}; rerun it, which takes its raw data over and fetches nothing "
            "again, or trigger a new run."
        )
    if status.cause:
        return f"CASA job {name} did not run to its end: {status.cause}."
    if status.signal:
        return (
            f"CASA job {name} was killed by {status.signal} on {status.host}, not by this system: look at the end of "
            "CASA's log and at the machine's memory, then trigger a new run."
        )
    return None


def records_missing(settings: Settings, attempt: CasaAttempt) -> JobRecordsMissing:
    """Return what to say when the spool area holds nothing of a job that the ledger knows to have been started.

    Args:
        settings: the areas.
        attempt: the job's start, as it was recorded.
    """
    started = f"on {attempt.host} at {attempt.started_at:%Y-%m-%d %H:%M} UTC" if attempt.started_at else "before"
    return JobRecordsMissing(
        f"CASA job {attempt.job_name} was started {started}, but {settings.spool_area} holds no record of it: see "
        "whether that is mounted. If the records are lost, trigger a new run."
    )


def _not_started(run_id: PipelineRunId) -> Refused:
    return Refused(f"{run_id} cannot be judged: CASA has not been started for it; trigger a new run.")


def _recorded(settings: Settings, attempt: CasaAttempt) -> JobStatus:
    """The end of a job whose own records have been removed."""
    if attempt.started_at is None:
        raise _not_started(attempt.pipeline_run_id)
    if attempt.ended_at is None:
        raise records_missing(settings, attempt)
    return JobStatus(
        JobState.ENDED,
        exit_code=attempt.exit_code,
        signal=attempt.signal,
        host=attempt.host,
        started_at=attempt.started_at,
        ended_at=attempt.ended_at,
        peak_memory_bytes=attempt.peak_memory_bytes,
    )


def _log_end(name: str, status: JobStatus) -> None:
    peak = f"{status.peak_memory_bytes / 1e9:.2f} GB" if status.peak_memory_bytes else "not known"
    log.info(
        "CASA job %s on %s ended at %s: exit status %s, signal %s, largest process %s.",
        name,
        status.host,
        status.ended_at,
        status.exit_code,
        status.signal,
        peak,
    )
