"""Running the CASA pipeline for a pipeline run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from srdp.domain.errors import SrdpError
from srdp.links.run_files import RUN_FILES_LINKS
from srdp.operators.base import PipelineRunOperator, check_processing

if TYPE_CHECKING:
    from airflow.sdk import Context

    from srdp.domain.identifiers import PipelineRunId
    from srdp.domain.ledger_records import PipelineRun
    from srdp.domain.pipeline_run import RunDirectory
    from srdp.domain.ppr import ProcessingRequest
    from srdp.engines import Engine, Job, JobStatus
    from srdp.hooks.ledger import LedgerHook
    from srdp.settings import Settings

# A run has one attempt at CASA: to try again is a new run, with a directory of its own.
_ATTEMPT = 1
# Airflow's own timeout of the deferral calls nothing; it is there for a trigger that could not end the job.
_BEHIND_THE_DEADLINE = timedelta(minutes=15)


class CasaJobFailed(SrdpError):
    """CASA's job did not run to its end, or the PPR changed meanwhile; whatever it left must not be used."""


class RunCasaPipelineOperator(PipelineRunOperator):
    """Runs the CASA pipeline on a run's PPR, once, and waits for its end without holding a worker.

    Built so that it may die at any moment and be run again: CASA runs as a job of an engine, under a name that is
    derived from the run. The task looks for the job before it starts one. A task that is cleared or retried while CASA
    runs attaches to it; a job that was killed, lost or cancelled fails the task, and no retry starts CASA twice.

    CASA's exit status is recorded and decides nothing: that is the next step's, which judges what CASA left.

    While CASA runs, the task's log shows its stage and the end of its log, every 15 s.

    Args:
        pipeline_run_id: the run, in state ``processing`` (templated).
        runner: the script in ``$SCIPIPE_HEURISTICS/pipeline/``: ``runvlapipeline.py`` or ``runpipeline.py``.
        pool: the pool that limits how many CASA jobs run at once; it must count deferred tasks.

    Note:
        Marking the task failed cancels the job with all its processes, within seconds if the triggerer is alive, else
        when the reconciling DAG next runs. Clearing it, or marking it successful, does not. After
        ``SRDP_CASA_DEADLINE_HOURS`` from its start the job is cancelled and the task fails.
    """

    operator_extra_links = RUN_FILES_LINKS

    def __init__(self, *, pipeline_run_id: str, runner: str, pool: str = "casa", **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(pipeline_run_id=pipeline_run_id, pool=pool, **kwargs)
        self.runner = runner

    def run_step(self, context: Context) -> None:  # noqa: ARG002
        """Starts CASA, or finds it started, and defers until its end."""
        settings, ledger, run = self._place()
        check_processing(run, "CASA is not run")
        self._follow(settings, ledger, run)

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Records the job's end, and fails if it did not run to its end.

        Args:
            context: Airflow's context of the task.
            event: what the trigger saw. It is not believed: the job is looked at again.
        """
        self.log.info("CASA job %s: %s", event.get("job_name"), event.get("state"))
        self._follow(*self._place())

    def _place(self) -> tuple[Settings, LedgerHook, PipelineRun]:
        from srdp.domain.identifiers import pipeline_run_id
        from srdp.hooks.ledger import LedgerHook
        from srdp.settings import load_settings

        settings = load_settings()
        ledger = LedgerHook(settings)
        return settings, ledger, ledger.run(pipeline_run_id(self.pipeline_run_id))

    def _follow(self, settings: Settings, ledger: LedgerHook, run: PipelineRun) -> None:
        """Does what the job's state asks for; the same after a start, a clear, a retry and an event."""
        from srdp.domain.casa_command import casa_job_name
        from srdp.domain.pipeline_run import spool_directory
        from srdp.engines import JobState, engine

        casa = engine(settings.engine)
        name, spool = casa_job_name(run.pipeline_run_id, _ATTEMPT), spool_directory(settings.areas, run.pipeline_run_id)
        status = casa.look(name, spool)
        if status.state is JobState.ABSENT:
            self._start(settings, ledger, run, casa)
            status = casa.look(name, spool)
        else:
            self.log.info("CASA job %s is there already (%s); it is not started again.", name, status.state)
        if status.started_at is not None:
            # Here and not after the submission: a task that was killed in between finds the job started.
            ledger.record(run.pipeline_run_id, "casa_started", {"job_name": name, "host": status.host}, once=True)
        if status.state in {JobState.ENDED, JobState.LOST}:
            self._finish(settings, ledger, run, casa, status)
        else:
            ledger.record_casa(run.pipeline_run_id, _ATTEMPT, host=status.host, started_at=status.started_at)
            self._wait(settings, run.pipeline_run_id, status)

    def _start(self, settings: Settings, ledger: LedgerHook, run: PipelineRun, casa: Engine) -> None:
        from srdp.domain.errors import IntegrityError
        from srdp.domain.pipeline_run import processing_directory

        self._refuse_second_start(settings, ledger, run)
        directory = processing_directory(settings.areas, run.pipeline_run_id)
        request = _read_request(directory)
        if run.ppr_sha256 is None:
            ledger.record_ppr(run.pipeline_run_id, request.sha256)
        elif run.ppr_sha256 != request.sha256:
            raise IntegrityError(
                f"{directory.processing_request} is not the PPR that was recorded for {run.pipeline_run_id}: somebody "
                f"changed it (SHA-256 {request.sha256[:12]}..., recorded {run.ppr_sha256[:12]}...); put the recorded "
                "one back, or start a new run with the changed one."
            )
        job = self._job(settings, run, directory, request)
        # First the ledger, then the deed: whoever reconciles knows of every job that may exist.
        ledger.record_casa(run.pipeline_run_id, _ATTEMPT, job_name=job.name, ppr_sha256_before=request.sha256)
        self.log.info("Starting CASA job %s in %s: %s", job.name, job.working_directory, " ".join(job.command))
        casa.submit(job)

    def _refuse_second_start(self, settings: Settings, ledger: LedgerHook, run: PipelineRun) -> None:
        """A spool area that is not mounted looks like a job that never was; the ledger knows better."""
        for attempt in ledger.casa_attempts(run.pipeline_run_id):
            if attempt.started_at is not None:
                raise CasaJobFailed(
                    f"CASA job {attempt.job_name} was started on {attempt.host} at {attempt.started_at:%Y-%m-%d %H:%M} "
                    f"UTC, but {settings.spool_area} holds no record of it: see whether that is mounted, then trigger "
                    "a new run."
                )

    def _job(self, settings: Settings, run: PipelineRun, directory: RunDirectory, request: ProcessingRequest) -> Job:
        from srdp.domain.casa_command import casa_command, casa_environment, casa_job_name, link_pipeline_root
        from srdp.domain.pipeline_run import spool_directory
        from srdp.engines import Job

        spool = spool_directory(settings.areas, run.pipeline_run_id)
        return Job(
            name=casa_job_name(run.pipeline_run_id, _ATTEMPT),
            command=casa_command(
                casa=settings.casa,
                arguments=settings.casa_arguments,
                heuristics=settings.scipipe_heuristics,
                runner=self.runner,
                processing_request=directory.processing_request,
            ),
            working_directory=directory.working,
            environment=casa_environment(
                heuristics=settings.scipipe_heuristics,
                pipeline_root=link_pipeline_root(spool, request.relative_path, directory),
            ),
            spool=spool,
            cores=run.cores,
            memory_gb=run.memory_gb,
        )

    def _wait(self, settings: Settings, run_id: PipelineRunId, status: JobStatus) -> None:
        from srdp.domain.casa_command import casa_job_name
        from srdp.domain.pipeline_run import processing_directory, spool_directory
        from srdp.triggers.casa_job import CasaJobTrigger

        now = datetime.now(UTC)
        directory = processing_directory(settings.areas, run_id)
        deadline = (status.started_at or now) + timedelta(hours=settings.casa_deadline_hours)
        self.log.info(
            "CASA runs on %s since %s UTC; it is cancelled at %s UTC. Its log: %s",
            status.host,
            f"{status.started_at:%Y-%m-%d %H:%M:%S}" if status.started_at else "now",
            f"{deadline:%Y-%m-%d %H:%M}",
            directory.casa_log,
        )
        self.defer(
            trigger=CasaJobTrigger(
                engine=settings.engine,
                job_name=casa_job_name(run_id, _ATTEMPT),
                spool=str(spool_directory(settings.areas, run_id)),
                directory=str(directory.root),
                commands=self._commands(directory),
                deadline=deadline.isoformat(),
            ),
            method_name="execute_complete",
            timeout=max(deadline - now, timedelta()) + _BEHIND_THE_DEADLINE,
        )

    def _commands(self, directory: RunDirectory) -> tuple[str, ...]:
        """Returns the stages to follow; none if the PPR was spoilt meanwhile, which is found when CASA has ended."""
        try:
            return _read_request(directory).commands
        except SrdpError as error:
            self.log.warning("%s", error)
            return ()

    def _finish(
        self, settings: Settings, ledger: LedgerHook, run: PipelineRun, casa: Engine, status: JobStatus
    ) -> None:
        from srdp.domain.casa_command import casa_job_name
        from srdp.domain.pipeline_run import find_run_directory, spool_directory
        from srdp.domain.ppr import sha256_of
        from srdp.engines import JobState

        name = casa_job_name(run.pipeline_run_id, _ATTEMPT)
        if status.state is JobState.LOST:
            cause = status.cause or "it was lost"
            casa.cancel(name, spool_directory(settings.areas, run.pipeline_run_id), cause)
        request = find_run_directory(settings.areas, run.pipeline_run_id).processing_request
        after = sha256_of(request) if request.is_file() else None
        ledger.record_casa(
            run.pipeline_run_id,
            _ATTEMPT,
            job_name=name,
            host=status.host,
            started_at=status.started_at,
            ended_at=status.ended_at or datetime.now(UTC),
            exit_code=status.exit_code,
            signal=status.signal,
            peak_memory_bytes=status.peak_memory_bytes,
            ppr_sha256_after=after,
        )
        self._log_end(name, status)
        if reason := why_it_failed(name, status):
            raise CasaJobFailed(reason)
        before = next((a.ppr_sha256_before for a in ledger.casa_attempts(run.pipeline_run_id)), None) or run.ppr_sha256
        if after != before:
            raise CasaJobFailed(
                f"{request} changed while CASA ran, so that nobody knows what CASA did: start a new run with the PPR "
                "that is wanted."
            )

    def _log_end(self, name: str, status: JobStatus) -> None:
        peak = f"{status.peak_memory_bytes / 1e9:.2f} GB" if status.peak_memory_bytes else "not known"
        self.log.info(
            "CASA job %s on %s ended at %s: exit status %s, signal %s, largest process %s.",
            name,
            status.host,
            status.ended_at,
            status.exit_code,
            status.signal,
            peak,
        )


def why_it_failed(name: str, status: JobStatus) -> str | None:
    """Returns, in one sentence, why a job did not run to its end; ``None`` if it did.

    Args:
        name: the job.
        status: its state, which is ``ended`` or ``lost``.
    """
    from srdp.engines import JobState

    if status.cancelled:
        return f"CASA job {name} was cancelled: {status.cause}."
    if status.state is JobState.LOST:
        return f"CASA job {name} was lost: {status.cause}; trigger a new run."
    if status.cause:
        return f"CASA job {name} did not run to its end: {status.cause}."
    if status.signal:
        return (
            f"CASA job {name} was killed by {status.signal} on {status.host}, not by this system: look at the end of "
            "CASA's log and at the machine's memory, then trigger a new run."
        )
    return None


def _read_request(directory: RunDirectory) -> ProcessingRequest:
    from srdp.domain.errors import IntegrityError
    from srdp.domain.ppr import read_processing_request

    try:
        return read_processing_request(directory.processing_request)
    except FileNotFoundError:
        raise IntegrityError(
            f"There is no {directory.processing_request}: somebody removed it; trigger a new run."
        ) from None
