"""Bringing a run its raw data: those of the run that it repeats, else from NGAS."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field

from srdp.domain.events.names import EventName
from srdp.domain.events.payloads import RawDataOrigin, RawDataThere
from srdp.domain.files.shared_folders import is_folder
from srdp.domain.raw_data.fetch import Fetch
from srdp.domain.raw_data.fetch_control import FetchStopped
from srdp.domain.raw_data.linking import RawDataUnusable, link_raw_data
from srdp.domain.runs.areas import check_area_is_there
from srdp.domain.runs.ledger_records import FetchedFile
from srdp.domain.runs.pipeline_run import RunDirectory, RunDirectoryMissing, processing_directory
from srdp.domain.runs.states import RunState, check_transition
from srdp.hooks.metrics import send_transfer
from srdp.hooks.ngas import NgasHook
from srdp.services.context import RunContext
from srdp.services.damaged_copies import report_damaged_copies
from srdp.services.processing.family_site import HookSite
from srdp.services.processing.former_raw_data import former_raw_data

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _RawData:
    """What a run has, and how it came to it.

    Attributes:
        event: ``linked`` or ``fetched``.
        files: all files.
        details: what else the ledger's event says.
    """

    event: EventName
    files: tuple[FetchedFile, ...]
    details: RawDataOrigin = field(default_factory=RawDataOrigin)


class RawDataTransfer:
    """Brings all raw data of a run into its ``rawdata/`` and hands the run on to processing; may be repeated.

    Args:
        context: the run.
    """

    def __init__(self, context: RunContext) -> None:
        self._context = context
        self._fetch: Fetch | None = None
        self._stopped = False

    def stop(self) -> None:
        """Stop the transfer, from another thread or a signal handler; what has arrived is kept."""
        self._stopped = True
        if self._fetch is not None:
            self._fetch.stop()

    def run(self) -> None:
        """Bring what is missing and record it.

        Raises:
            Refused: the run's state does not allow it.
            RunDirectoryMissing: the run has no directory.
            FetchStopped: :meth:`stop` was called.
            ServiceUnavailable: NGAS, the locator service, an area or the ledger cannot be reached.
            IntegrityError: a file is not what NGAS says of it, or a file of the calibration is missing.
        """
        context, ledger, run = self._context, self._context.ledger, self._context.run
        if run.state is RunState.PROCESSING:
            log.info("The raw data of pipeline run %s are complete already.", run.pipeline_run_id)
            return
        if run.state is RunState.CREATED:  # where no mail says that it has begun
            ledger.runs.transition(run.pipeline_run_id, RunState.FETCHING, event=EventName.BEGUN)
        else:
            check_transition(run.pipeline_run_id, run.state, RunState.PROCESSING)

        started = time.monotonic()
        directory = processing_directory(context.settings.areas, run.pipeline_run_id)
        check_area_is_there(directory.root.parent)
        if not is_folder(directory.root, directory.root):
            raise RunDirectoryMissing(
                f"Pipeline run {run.pipeline_run_id} has no directory {directory.root}: it was removed, or the areas "
                "in the settings are not those that it was made with."
            )
        raw_data = self._obtain(directory)
        context.family.check_raw_data(HookSite(context), run, directory.rawdata, raw_data.files)
        ledger.fetched_files.record(run.pipeline_run_id, raw_data.files)
        ledger.runs.transition(
            run.pipeline_run_id,
            RunState.PROCESSING,
            event=raw_data.event,
            details=RawDataThere(
                files=len(raw_data.files),
                bytes=sum(file.size_bytes for file in raw_data.files),
                seconds=round(time.monotonic() - started, 1),
                **raw_data.details,
            ),
        )

    def _obtain(self, directory: RunDirectory) -> _RawData:
        context, former_run = self._context, self._context.run.former_run
        if former_run is None:
            return _RawData(EventName.FETCHED, self._fetched(directory))
        try:
            return self._linked(context.of_run(context.ledger.runs.get(former_run)), directory)
        except (RawDataUnusable, RunDirectoryMissing) as reason:
            log.warning("%s They are fetched.", reason)
            not_linked = RawDataOrigin(former_run=former_run, not_linked=str(reason))
            return _RawData(EventName.FETCHED, self._fetched(directory), not_linked)

    def _linked(self, former: RunContext, directory: RunDirectory) -> _RawData:
        lying, files = former_raw_data(former)
        self._context.family.check_same_raw_data(HookSite(self._context), self._context.run, former.run)
        linked = link_raw_data(
            lying,
            directory,
            files,
            spare_bytes=int(former.settings.fetch_spare_gb * 1e9),
            check=self._check_not_stopped,
        )
        log.info(
            "%d files are linked to those of %s, %d copied.",
            len(linked.files) - linked.copied,
            former.run_id,
            linked.copied,
        )
        return _RawData(EventName.LINKED, linked.files, RawDataOrigin(former_run=former.run_id, copied=linked.copied))

    def _fetched(self, directory: RunDirectory) -> tuple[FetchedFile, ...]:
        context, settings, subject = self._context, self._context.settings, self._context.run.subject
        report = context.family.raw_data(HookSite(context), context.run)
        servers = ", ".join(sorted(report.servers))
        gigabytes = report.aggregate_size / 1e9
        log.info("%s has %d files, %.3f GB, on %s", subject, len(report.files), gigabytes, servers)
        self._fetch = Fetch(
            report,
            directory.rawdata,
            clients=NgasHook(settings.ngas_connection).clients(
                report.servers,
                named_by=lambda server: f"the locator report of {subject} {report.named_for(server)}",
            ),
            streams_per_server=settings.fetch_streams_per_server,
            spare_bytes=int(settings.fetch_spare_gb * 1e9),
            on_progress=lambda progress: log.info("Fetched %s", progress),
        )
        self._check_not_stopped()
        began = time.monotonic()
        try:
            files = self._fetch.run()
        finally:
            report_damaged_copies(context, self._fetch.damaged, found_by="fetch")
        send_transfer("fetched", sum(file.size_bytes for file in files), time.monotonic() - began)
        return files

    def _check_not_stopped(self) -> None:
        if self._stopped:
            raise FetchStopped
