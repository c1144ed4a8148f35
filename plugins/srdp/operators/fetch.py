"""The step that brings a run its raw data: those of the run that it repeats, else from NGAS."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from srdp.families import family_of
from srdp.operators.base import BYTES, PipelineRunOperator
from srdp.operators.family_site import HookSite

if TYPE_CHECKING:
    from airflow.sdk import Context

    from srdp.domain.raw_data.fetch import Fetch
    from srdp.domain.runs.ledger_records import FetchedFile, PipelineRun
    from srdp.domain.runs.pipeline_run import RunDirectory
    from srdp.hooks.verdict_ledger import VerdictLedger
    from srdp.settings import Settings


@dataclass(frozen=True)
class _RawData:
    """What a run has, and how it came to it.

    Attributes:
        event: ``linked`` or ``fetched``.
        files: all files.
        details: what else the ledger's event says.
    """

    event: str
    files: tuple[FetchedFile, ...]
    details: dict[str, Any] = field(default_factory=dict)


class FetchFromNgasOperator(PipelineRunOperator):
    """Brings all raw data of a run into its ``rawdata/`` and hands the run on to processing.

    Of a VLA run these are the files of its execution block; of an ALMA run those of all ASDMs of its MOUS, and the
    products of the calibration that the pipeline restores, without which CASA is not started.

    The raw data of a rerun are hard links to those of the run that it repeats, if that one's fetch was complete and
    every file is what was recorded; no byte is fetched again. Those of a run that failed QA or was removed are not
    used, nor those of an ALMA run that has another calibration. Everything else is fetched.

    Built so that it may die at any instant: files appear under their names when their size and checksum are right,
    what had arrived of the others is kept in a hidden directory, and the next try goes on from there. A run that is
    already in processing is left alone. The files are read-only, so that CASA does not write them.

    Args:
        pipeline_run_id: the run (templated).
        pool: the pool that limits how many runs fetch at once, and so leaves workers for everything else.

    Note:
        One try keeps a worker slot for as long as the transfer takes. Files of one server are fetched
        ``SRDP_FETCH_STREAMS_PER_SERVER`` at once *by each run*: with many runs fetching at once an NGAS server may
        answer that it is busy, which delays and does not fail them.
    """

    work_queue = BYTES
    _fetch: Fetch | None = None
    _killed = False

    def __init__(self, *, pipeline_run_id: str, pool: str = "fetch", **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(pipeline_run_id=pipeline_run_id, pool=pool, **kwargs)

    def run_step(self, context: Context) -> None:  # noqa: ARG002
        """Brings what is missing and records it; see the class."""
        from srdp.domain.files.shared_folders import is_folder
        from srdp.domain.runs.areas import check_area_is_there
        from srdp.domain.runs.pipeline_run import RunDirectoryMissing, processing_directory
        from srdp.domain.runs.states import RunState, check_transition
        from srdp.hooks.verdict_ledger import VerdictLedger
        from srdp.settings import load_settings

        settings = load_settings()
        ledger = VerdictLedger(settings)
        run = ledger.run(self.pipeline_run_id)
        if run.state is RunState.PROCESSING:
            self.log.info("The raw data of pipeline run %s are complete already.", run.pipeline_run_id)
            return
        if run.state is RunState.CREATED:  # where no mail says that it has begun
            ledger.transition(run.pipeline_run_id, RunState.FETCHING, event="begun")
        else:
            check_transition(run.pipeline_run_id, run.state, RunState.PROCESSING)

        started = time.monotonic()
        directory = processing_directory(settings.areas, run.pipeline_run_id)
        check_area_is_there(directory.root.parent)
        if not is_folder(directory.root, directory.root):
            raise RunDirectoryMissing(
                f"Pipeline run {run.pipeline_run_id} has no directory {directory.root}: it was removed, or the areas "
                "in the settings are not those that it was made with."
            )
        raw_data = self._obtain(settings, ledger, run, directory)
        site = HookSite(settings, ledger, self.log)
        family_of(run.kind).check_raw_data(site, run, directory.rawdata, raw_data.files)
        ledger.record_fetched_files(run.pipeline_run_id, raw_data.files)
        ledger.transition(
            run.pipeline_run_id,
            RunState.PROCESSING,
            event=raw_data.event,
            details={
                "files": len(raw_data.files),
                "bytes": sum(file.size_bytes for file in raw_data.files),
                "seconds": round(time.monotonic() - started, 1),
                **raw_data.details,
            },
        )

    def on_kill(self) -> None:
        """Stop the transfer; what has arrived is kept."""
        self._killed = True  # Airflow's signal handler only calls this: the step has to end by itself
        if self._fetch is not None:
            self._fetch.stop()

    def _obtain(self, settings: Settings, ledger: VerdictLedger, run: PipelineRun, directory: RunDirectory) -> _RawData:
        from srdp.domain.raw_data.linking import RawDataUnusable
        from srdp.domain.runs.pipeline_run import RunDirectoryMissing

        if run.former_run is None:
            return _RawData("fetched", self._fetched(settings, ledger, run, directory))
        try:
            return self._linked(settings, ledger, run, ledger.run(run.former_run), directory)
        except (RawDataUnusable, RunDirectoryMissing) as reason:
            self.log.warning("%s They are fetched.", reason)
            not_linked = {"former_run": run.former_run, "not_linked": str(reason)}
            return _RawData("fetched", self._fetched(settings, ledger, run, directory), not_linked)

    def _linked(
        self, settings: Settings, ledger: VerdictLedger, run: PipelineRun, former: PipelineRun, directory: RunDirectory
    ) -> _RawData:
        from srdp.domain.raw_data.linking import link_raw_data
        from srdp.operators.former_raw_data import former_raw_data

        former_run = former.pipeline_run_id
        lying, files = former_raw_data(settings, ledger, former)
        family_of(run.kind).check_same_raw_data(HookSite(settings, ledger, self.log), run, former)
        linked = link_raw_data(
            lying,
            directory,
            files,
            spare_bytes=int(settings.fetch_spare_gb * 1e9),
            check=self._check_not_killed,
        )
        self.log.info(
            "%d files are linked to those of %s, %d copied.",
            len(linked.files) - linked.copied,
            former_run,
            linked.copied,
        )
        return _RawData("linked", linked.files, {"former_run": former_run, "copied": linked.copied})

    def _fetched(
        self, settings: Settings, ledger: VerdictLedger, run: PipelineRun, directory: RunDirectory
    ) -> tuple[FetchedFile, ...]:
        from srdp.domain.raw_data.fetch import Fetch
        from srdp.hooks.metrics import send_transfer
        from srdp.hooks.ngas import NgasHook
        from srdp.operators.damaged_copies import report_damaged_copies

        report = family_of(run.kind).raw_data(HookSite(settings, ledger, self.log), run)
        servers = ", ".join(sorted(report.servers))
        gigabytes = report.aggregate_size / 1e9
        self.log.info("%s has %d files, %.3f GB, on %s", run.subject, len(report.files), gigabytes, servers)
        self._fetch = Fetch(
            report,
            directory.rawdata,
            clients=NgasHook(settings.ngas_connection).clients(
                report.servers,
                named_by=lambda server: f"the locator report of {run.subject} {report.named_for(server)}",
            ),
            streams_per_server=settings.fetch_streams_per_server,
            spare_bytes=int(settings.fetch_spare_gb * 1e9),
            on_progress=lambda progress: self.log.info("Fetched %s", progress),
        )
        self._check_not_killed()
        began = time.monotonic()
        try:
            files = self._fetch.run()
        finally:
            report_damaged_copies(settings, ledger, run, self._fetch.damaged, found_by="fetch")
        send_transfer("fetched", sum(file.size_bytes for file in files), time.monotonic() - began)
        return files

    def _check_not_killed(self) -> None:
        from srdp.domain.raw_data.fetch_control import FetchStopped

        if self._killed:
            raise FetchStopped
