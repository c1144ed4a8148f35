"""Running the CASA pipeline for a pipeline run."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from srdp.domain.common.errors import SrdpError
from srdp.links.run_files import RUNNING_LINKS
from srdp.operators.base import CASA, PipelineRunOperator, check_processing
from srdp.operators.casa_end import check_asked, record_asked, records_missing

if TYPE_CHECKING:
    from airflow.sdk import Context

    from srdp.domain.ppr.document import ProcessingRequest
    from srdp.domain.runs.identifiers import PipelineRunId
    from srdp.domain.runs.ledger_records import PipelineRun
    from srdp.domain.runs.pipeline_run import RunDirectory
    from srdp.engines import Engine, Job, JobStatus
    from srdp.hooks.ledger import LedgerHook
    from srdp.settings import Settings

# A run has one attempt at CASA: to try again is a new run, with a directory of its own.
_ATTEMPT = 1
# Airflow's own timeout of the deferral calls nothing; it is there for a trigger that could not end the job.
_BEHIND_THE_DEADLINE = timedelta(minutes=15)


class RunCasaPipelineOperator(PipelineRunOperator):
    """Runs the CASA pipeline on a run's PPR, once, and waits for its end without holding a worker.

    It is the CASA of the release that the run was opened with, and the pipeline of the run's family.

    Built so that it may die at any moment and be run again: CASA runs as a job of an engine, under a name that is
    derived from the run. The task looks for the job before it starts one. A task that is cleared or retried while CASA
    runs attaches to it, and no retry starts CASA twice.

    The task ends when the job has ended, however that was: the next step, which judges, finds out and records it. The
    trigger ends the task without a worker, because a task that resumes on one needs a slot of the pool again, and would
    wait for it behind the next CASA jobs, for days.

    While CASA runs, the task's log shows each stage as it begins, with the end of CASA's log.

    Args:
        pipeline_run_id: the run, in state ``processing`` (templated).
        pool: the pool that limits how many CASA jobs run at once; it must count deferred tasks.

    Note:
        Marking the task failed cancels the job with all its processes, within seconds if the triggerer is alive, else
        when the reconciling DAG next runs. Clearing it, or marking it successful, does not. After
        ``SRDP_CASA_DEADLINE_HOURS`` from its start the job is cancelled.
    """

    work_queue = CASA
    operator_extra_links = RUNNING_LINKS

    def __init__(self, *, pipeline_run_id: str, pool: str = "casa", **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(pipeline_run_id=pipeline_run_id, pool=pool, **kwargs)

    def run_step(self, context: Context) -> None:  # noqa: ARG002
        """Start CASA, or find it started, and defers until its end."""
        settings, ledger, run = self._place()
        check_processing(run, "CASA is not run")
        self._follow(settings, ledger, run)

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Start the job, which the trigger did not find: it was claimed and never started.

        Args:
            context: Airflow's context of the task.
            event: what the trigger saw. It is not believed: the job is looked at again.
        """
        self.log.info("CASA job %s: %s", event.get("job_name"), event.get("state"))
        self._follow(*self._place())

    def _place(self) -> tuple[Settings, LedgerHook, PipelineRun]:
        from srdp.domain.runs.identifiers import pipeline_run_id
        from srdp.hooks.ledger import LedgerHook
        from srdp.settings import load_settings

        settings = load_settings()
        ledger = LedgerHook(settings)
        return settings, ledger, ledger.run(pipeline_run_id(self.pipeline_run_id))

    def _follow(self, settings: Settings, ledger: LedgerHook, run: PipelineRun) -> None:
        """Do what the job's state asks for; the same after a start, a clear, a retry and an event."""
        from srdp.domain.casa.command import casa_job_name
        from srdp.domain.runs.pipeline_run import spool_directory
        from srdp.engines import JobState
        from srdp.hooks.engines import engine, engine_of_run

        engine_name = engine_of_run(ledger, run.pipeline_run_id)
        casa = engine(engine_name)
        name, spool = casa_job_name(run.pipeline_run_id, _ATTEMPT), spool_directory(settings.areas, run.pipeline_run_id)
        status = casa.status(name, spool)
        if status.state is JobState.ABSENT:
            self._start(settings, ledger, run, engine_name, casa)
            status = casa.status(name, spool)
        else:
            check_asked(ledger, run.pipeline_run_id, casa, spool, status)
            self.log.info("CASA job %s is there already (%s); it is not started again.", name, status.state)
        if status.started_at is not None:
            # Here and not after the submission: a task that was killed in between finds the job started.
            ledger.record(run.pipeline_run_id, "casa_started", {"job_name": name, "host": status.host}, once=True)
        if status.state not in {JobState.ENDED, JobState.LOST}:
            ledger.record_casa(run.pipeline_run_id, _ATTEMPT, host=status.host, started_at=status.started_at)
            self._wait(settings, run.pipeline_run_id, engine_name, status)

    def _start(self, settings: Settings, ledger: LedgerHook, run: PipelineRun, engine_name: str, casa: Engine) -> None:
        from srdp.domain.common.errors import IntegrityError
        from srdp.domain.runs.pipeline_run import processing_directory

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
        job = self._job(settings, run, engine_name, directory, request)
        # First the ledger, then the action: whoever reconciles knows of every job that may exist.
        record_asked(ledger, run, job)
        ledger.record_casa(run.pipeline_run_id, _ATTEMPT, job_name=job.name, ppr_sha256_before=request.sha256)
        self.log.info("Starting CASA job %s in %s: %s", job.name, job.working_directory, " ".join(job.command))
        casa.submit(job)

    def _refuse_second_start(self, settings: Settings, ledger: LedgerHook, run: PipelineRun) -> None:
        """A spool area that is not mounted looks like a job that never was; the ledger knows better."""
        for attempt in ledger.casa_attempts(run.pipeline_run_id):
            if attempt.started_at is not None:
                raise records_missing(settings, attempt)

    def _job(
        self,
        settings: Settings,
        run: PipelineRun,
        engine_name: str,
        directory: RunDirectory,
        request: ProcessingRequest,
    ) -> Job:
        from srdp.domain.casa.command import casa_command, casa_environment, casa_job_name, link_pipeline_root
        from srdp.domain.runs.pipeline_run import spool_directory
        from srdp.domain.runs.run_marker import make_marked_spool
        from srdp.engines import Job
        from srdp.families import family_of

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
                runner=family_of(run.kind).runner,
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

    def _wait(self, settings: Settings, run_id: PipelineRunId, engine_name: str, status: JobStatus) -> None:
        from srdp.domain.casa.command import casa_job_name
        from srdp.domain.runs.pipeline_run import processing_directory, spool_directory
        from srdp.domain.site.engine_options import BatchOptions
        from srdp.triggers.casa_job import CasaJobTrigger

        now = datetime.now(UTC)
        directory = processing_directory(settings.areas, run_id)
        options = settings.engine_options(engine_name)
        hours = settings.casa_deadline_hours
        if status.started_at is None and isinstance(options, BatchOptions):
            deadline = now + timedelta(hours=options.queue_hours)
            latest = deadline + timedelta(hours=hours)
            self.log.info(
                "CASA job %s waits in the queue of %s; it is cancelled at %s UTC if it has not begun by then.",
                casa_job_name(run_id, _ATTEMPT), engine_name, f"{deadline:%Y-%m-%d %H:%M}",
            )  # fmt: skip
        else:
            latest = deadline = (status.started_at or now) + timedelta(hours=hours)
            self.log.info(
                "CASA runs on %s since %s UTC; it is cancelled at %s UTC. Its log is a file casa-<time>.log in %s",
                status.host,
                f"{status.started_at:%Y-%m-%d %H:%M:%S}" if status.started_at else "now",
                f"{deadline:%Y-%m-%d %H:%M}",
                directory.working,
            )
        self.defer(
            trigger=CasaJobTrigger(
                engine=engine_name,
                job_name=casa_job_name(run_id, _ATTEMPT),
                spool=str(spool_directory(settings.areas, run_id)),
                directory=str(directory.root),
                commands=self._commands(directory),
                deadline=deadline.isoformat(),
                hours_from_start=hours,
                poll_seconds=settings.poll_min_seconds,
                poll_max_seconds=settings.poll_max_seconds_of(engine_name),
            ),
            method_name="execute_complete",
            timeout=max(latest - now, timedelta()) + _BEHIND_THE_DEADLINE,
        )

    def _commands(self, directory: RunDirectory) -> tuple[str, ...]:
        """Return the stages to follow; none if the PPR was spoilt meanwhile, which is found when CASA has ended."""
        try:
            return _read_request(directory).commands
        except SrdpError as error:
            self.log.warning("%s", error)
            return ()


def _read_request(directory: RunDirectory) -> ProcessingRequest:
    from srdp.domain.common.errors import IntegrityError
    from srdp.domain.ppr.document import read_processing_request

    try:
        return read_processing_request(directory)
    except FileNotFoundError:
        raise IntegrityError(
            f"There is no {directory.processing_request}: somebody removed it; trigger a new run."
        ) from None
