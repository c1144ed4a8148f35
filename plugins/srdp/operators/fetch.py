"""The step that brings a run's raw data from NGAS."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

from srdp.domain.errors import ServiceUnavailable, SrdpError
from srdp.domain.fetch import Fetch
from srdp.domain.fetch_file import FetchStopped
from srdp.domain.identifiers import locator
from srdp.domain.pipeline_run import RunDirectoryMissing, processing_directory
from srdp.domain.states import RunState, check_transition
from srdp.hooks.ledger import LedgerHook
from srdp.hooks.locator import LocatorHook
from srdp.hooks.ngas import NgasHook
from srdp.operators.base import PipelineRunOperator
from srdp.settings import Settings, load_settings

if TYPE_CHECKING:
    from airflow.sdk import Context

    from srdp.domain.ledger_records import PipelineRun


class FetchFromNgasOperator(PipelineRunOperator):
    """Fetches all files of a run's execution block into its ``rawdata/`` and hands the run on to processing.

    Built so that it may die at any instant: files appear by rename when their size and checksum are right, what had
    arrived of the others is kept in a hidden directory, and the next try goes on from there. A run that is already in
    processing is left alone.

    Args:
        pipeline_run_id: the run (templated).
        pool: the pool that limits how many runs fetch at once, and so leaves workers for everything else.

    Note:
        One try keeps a worker slot for as long as the transfer takes. Files of one server are fetched
        ``SRDP_FETCH_STREAMS_PER_SERVER`` at once *by each run*: with many runs fetching at once an NGAS server may
        answer that it is busy, which delays and does not fail them.
    """

    retryable_errors: ClassVar[tuple[type[SrdpError], ...]] = (ServiceUnavailable, FetchStopped)

    _fetch: Fetch | None = None
    _killed = False

    def __init__(self, *, pipeline_run_id: str, pool: str = "fetch", **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(pipeline_run_id=pipeline_run_id, pool=pool, **kwargs)

    def run_step(self, context: Context) -> None:  # noqa: ARG002
        """Fetches what is missing and records it; see the class."""
        settings = load_settings()
        ledger = LedgerHook(settings)
        run = ledger.run(self.pipeline_run_id)
        if run.state is RunState.PROCESSING:
            self.log.info("The raw data of pipeline run %s are complete already.", run.pipeline_run_id)
            return
        check_transition(run.pipeline_run_id, run.state, RunState.PROCESSING)

        started = time.monotonic()
        self._fetch = self._prepare(settings, run)
        if self._killed:
            raise FetchStopped
        files = self._fetch.run()
        ledger.record_fetched_files(run.pipeline_run_id, files)
        ledger.transition(
            run.pipeline_run_id,
            RunState.PROCESSING,
            event="fetched",
            details={
                "files": len(files),
                "bytes": sum(file.size_bytes for file in files),
                "seconds": round(time.monotonic() - started, 1),
            },
        )

    def on_kill(self) -> None:
        """Stops the transfer; what has arrived is kept."""
        self._killed = True  # Airflow's signal handler only calls this: the step has to end by itself
        if self._fetch is not None:
            self._fetch.stop()

    def _prepare(self, settings: Settings, run: PipelineRun) -> Fetch:
        directory = processing_directory(settings.areas, run.pipeline_run_id)
        if not directory.root.is_dir():
            raise RunDirectoryMissing(
                f"Pipeline run {run.pipeline_run_id} has no directory {directory.root}: it was removed, or the areas "
                "in the settings are not those that it was made with."
            )
        report = LocatorHook(settings.locator_connection).report(locator(run.locator))
        servers = ", ".join(sorted(report.servers))
        gigabytes = report.aggregate_size / 1e9
        self.log.info("%s has %d files, %.3f GB, on %s", run.subject, len(report.files), gigabytes, servers)
        return Fetch(
            report,
            directory.rawdata,
            clients=NgasHook(settings.ngas_connection).clients(report.servers),
            streams_per_server=settings.fetch_streams_per_server,
            spare_bytes=int(settings.fetch_spare_gb * 1e9),
            on_progress=lambda progress: self.log.info("Fetched %s", progress),
        )
