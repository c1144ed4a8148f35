"""Running the CASA pipeline for a pipeline run, once, as a job of an engine."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from srdp.domain.casa.command import casa_command, casa_environment, casa_job_name, link_pipeline_root
from srdp.domain.common.errors import IntegrityError, SrdpError
from srdp.domain.events.names import EventName
from srdp.domain.events.payloads import CasaStarted
from srdp.domain.ppr.document import ProcessingRequest, read_processing_request
from srdp.domain.runs.pipeline_run import RunDirectory, processing_directory, spool_directory
from srdp.domain.runs.run_marker import make_marked_spool
from srdp.domain.site.engine_options import BatchOptions
from srdp.engines import Engine, Job, JobState, JobStatus
from srdp.hooks.engines import engine, engine_of_run
from srdp.services.context import RunContext
from srdp.services.processing.casa_end import check_asked, record_asked, records_missing

log = logging.getLogger(__name__)

# A run has one attempt at CASA: to try again is a new run, with a directory of its own.
_ATTEMPT = 1
# Airflow's own timeout of the deferral calls nothing; it is there for a trigger that could not end the job.
_BEHIND_THE_DEADLINE = timedelta(minutes=15)


@dataclass(frozen=True)
class Waiting:
    """How the end of a CASA job is waited for.

    Attributes:
        trigger: the arguments of the trigger that waits.
        timeout: after what time Airflow gives up waiting.
    """

    trigger: Mapping[str, Any]
    timeout: timedelta


def run_casa(context: RunContext) -> Waiting | None:
    """Do what the state of a run's CASA job asks for; the same after a start, a clear, a retry and an event.

    Args:
        context: the run.

    Returns:
        How its end is waited for; None if it has ended.

    Raises:
        IntegrityError: the PPR is not the recorded one, or what is in the spool area is another job.
        JobRecordsMissing: the job was started, and its records cannot be found.
        SettingsError: the settings do not name the run's CASA.
        ServiceUnavailable: the engine or the ledger cannot be reached.
    """
    ledger, run_id = context.ledger, context.run_id
    engine_name = engine_of_run(ledger, run_id)
    casa = engine(engine_name)
    name, spool = casa_job_name(run_id, _ATTEMPT), spool_directory(context.settings.areas, run_id)
    status = casa.status(name, spool)
    if status.state is JobState.ABSENT:
        _start(context, engine_name, casa)
        status = casa.status(name, spool)
    else:
        check_asked(context, casa, spool, status)
        log.info("CASA job %s is there already (%s); it is not started again.", name, status.state)
    if status.started_at is not None:
        # Here and not after the submission: a task that was killed in between finds the job started.
        started = CasaStarted(job_name=name, host=status.host)
        ledger.events.record(run_id, EventName.CASA_STARTED, started, once=True)
    if status.state in {JobState.ENDED, JobState.LOST}:
        return None
    ledger.casa.record(run_id, _ATTEMPT, host=status.host, started_at=status.started_at)
    return _waiting(context, engine_name, status)


def _start(context: RunContext, engine_name: str, casa: Engine) -> None:
    run, ledger = context.run, context.ledger
    _refuse_second_start(context)
    directory = processing_directory(context.settings.areas, run.pipeline_run_id)
    request = _read_request(directory)
    if run.ppr_sha256 is None:
        ledger.runs.record_ppr(run.pipeline_run_id, request.sha256)
    elif run.ppr_sha256 != request.sha256:
        raise IntegrityError(
            f"{directory.processing_request} is not the PPR that was recorded for {run.pipeline_run_id}: somebody "
            f"changed it (SHA-256 {request.sha256[:12]}..., recorded {run.ppr_sha256[:12]}...); put the recorded "
            "one back, or start a new run with the changed one."
        )
    job = _job(context, engine_name, directory, request)
    # First the ledger, then the action: the reconciler knows of every job that may exist.
    record_asked(context, job)
    ledger.casa.record(run.pipeline_run_id, _ATTEMPT, job_name=job.name, ppr_sha256_before=request.sha256)
    log.info("Starting CASA job %s in %s: %s", job.name, job.working_directory, " ".join(job.command))
    casa.submit(job)


def _refuse_second_start(context: RunContext) -> None:
    """A spool area that is not mounted looks like a job that never was; the ledger knows better."""
    for attempt in context.ledger.casa.of_run(context.run_id):
        if attempt.started_at is not None:
            raise records_missing(context.settings, attempt)


def _job(context: RunContext, engine_name: str, directory: RunDirectory, request: ProcessingRequest) -> Job:
    settings, run = context.settings, context.run
    spool = spool_directory(settings.areas, run.pipeline_run_id)
    make_marked_spool(spool, run.marker)
    installation = settings.casa_installation(run.casa_release)
    processes = settings.engine_options(engine_name).mpi_processes
    return Job(
        name=casa_job_name(run.pipeline_run_id, _ATTEMPT),
        command=casa_command(
            casa=installation.casa,
            arguments=settings.casa_arguments,
            heuristics=installation.scipipe_heuristics,
            runner=context.family.runner,
            processing_request=directory.processing_request,
            mpi_processes=processes,
        ),
        working_directory=directory.working,
        environment=casa_environment(
            heuristics=installation.scipipe_heuristics,
            pipeline_root=link_pipeline_root(spool, request.relative_path, directory),
        ),
        spool=spool,
        cores=run.cores,
        memory_gb=run.memory_gb,
        account=settings.casa_account_of(engine_name),
        processes=processes,
    )


def _waiting(context: RunContext, engine_name: str, status: JobStatus) -> Waiting:
    settings, run_id = context.settings, context.run_id
    now = datetime.now(UTC)
    directory = processing_directory(settings.areas, run_id)
    options = settings.engine_options(engine_name)
    hours = settings.casa_deadline_hours
    if status.started_at is None and isinstance(options, BatchOptions):
        deadline = now + timedelta(hours=options.queue_hours)
        latest = deadline + timedelta(hours=hours)
        log.info(
            "CASA job %s waits in the queue of %s; it is cancelled at %s UTC if it has not begun by then.",
            casa_job_name(run_id, _ATTEMPT), engine_name, f"{deadline:%Y-%m-%d %H:%M}",
        )  # fmt: skip
    else:
        latest = deadline = (status.started_at or now) + timedelta(hours=hours)
        log.info(
            "CASA runs on %s since %s UTC; it is cancelled at %s UTC. Its log is a file casa-<time>.log in %s",
            status.host,
            f"{status.started_at:%Y-%m-%d %H:%M:%S}" if status.started_at else "now",
            f"{deadline:%Y-%m-%d %H:%M}",
            directory.working,
        )
    trigger = {
        "engine": engine_name,
        "job_name": casa_job_name(run_id, _ATTEMPT),
        "spool": str(spool_directory(settings.areas, run_id)),
        "directory": str(directory.root),
        "commands": _commands(directory),
        "deadline": deadline.isoformat(),
        "hours_from_start": hours,
        "poll_seconds": settings.poll_min_seconds,
        "poll_max_seconds": settings.poll_max_seconds_of(engine_name),
    }
    return Waiting(trigger, max(latest - now, timedelta()) + _BEHIND_THE_DEADLINE)


def _commands(directory: RunDirectory) -> tuple[str, ...]:
    """Return the stages to follow; none if the PPR was damaged meanwhile, which is found when CASA has ended."""
    try:
        return _read_request(directory).commands
    except SrdpError as error:
        log.warning("%s", error)
        return ()


def _read_request(directory: RunDirectory) -> ProcessingRequest:
    try:
        return read_processing_request(directory)
    except FileNotFoundError:
        raise IntegrityError(
            f"There is no {directory.processing_request}: somebody removed it; trigger a new run."
        ) from None
