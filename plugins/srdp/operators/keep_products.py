"""What is left to do when a run is archived: its measurement set is kept for users, its directory goes back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from srdp.domain.common.errors import Refused, ServiceUnavailable, SrdpError
from srdp.domain.files.storage import LocalFilesError, StorageUnavailable
from srdp.domain.runs.states import RunState
from srdp.links.run_files import RUN_FILES_LINKS
from srdp.operators.base import BYTES, PipelineRunOperator
from srdp.operators.ingest_step import ingest_work

if TYPE_CHECKING:
    from airflow.sdk import Context

    from srdp.domain.runs.ledger_records import CachedMeasurementSet, PipelineRun
    from srdp.operators.ingest_step import IngestWork


class KeepProductsOperator(PipelineRunOperator):
    """Moves the measurement set into the cache, and the directory, and those it superseded, to the processing area.

    Of images, no measurement set is kept. Where it goes was decided when the run became archived; the archive is told
    when it lies there. The tar in the spool area, which NGAS has now, is removed. A run that is being cleaned up is
    left alone.

    Args:
        pipeline_run_id: the run (templated).
    """

    work_queue = BYTES
    operator_extra_links = RUN_FILES_LINKS

    def run_step(self, context: Context) -> None:
        """Keep and moves.

        Raises:
            Refused: the run is not archived.
            SrdpError: a directory could not be moved; the others are.
        """
        from srdp.domain.runs.states import remedy_for

        work = ingest_work(self.pipeline_run_id, context)
        if not work.done:
            raise Refused(
                f"Nothing of {work.run.pipeline_run_id} is moved: the run is {work.run.state}; "
                f"{remedy_for(work.run.state)}."
            )
        if work.run.state is not RunState.ARCHIVED:
            self.log.info("%s is %s: there is nothing to do here.", work.run.pipeline_run_id, work.run.state)
            return
        if work.contents.calibrates:
            self._keep_measurement_set(work)
        problems = [problem for run in _to_move(work) if (problem := self._move_back(work, run)) is not None]
        if problems:
            heals = any(isinstance(problem, ServiceUnavailable) for problem in problems)
            kind = StorageUnavailable if heals else LocalFilesError
            raise kind(" ".join(str(problem) for problem in problems))
        self._remove_spooled(work)

    def _keep_measurement_set(self, work: IngestWork) -> None:
        from srdp.families import result_locator
        from srdp.hooks.archive import ArchiveHook

        run_id = work.run.pipeline_run_id
        cached = work.ledger.cached_measurement_set(run_id)
        if cached is None:
            self.log.warning("%s has no measurement set that is kept for users.", run_id)
        elif cached.removed_at is None:
            self._put_into_cache(work, cached)
            ArchiveHook(work.settings).record_cached_measurement_set(
                result_locator(run_id, work.ingest.number), cached.path, cached.expires_at
            )
            self.log.info("%s is kept until %s", cached.path, f"{cached.expires_at:%Y-%m-%d %H:%M} UTC")

    @staticmethod
    def _put_into_cache(work: IngestWork, cached: CachedMeasurementSet) -> None:
        from srdp.domain.disk.delivery import move_directory
        from srdp.domain.files.shared_folders import look_at
        from srdp.domain.runs.areas import check_area_is_there
        from srdp.domain.runs.pipeline_run import RunDirectoryMissing
        from srdp.domain.runs.run_marker import check_marked

        target = Path(cached.path)
        try:
            directory = work.directory()
            check_marked(directory.root, work.run.marker, "its measurement set was not moved")
            source = directory.working / target.name
            # From the run's directory on: a link in the place of working/ may lead to another run's measurement set.
            is_in_run = look_at(directory.root, source) is not None
        except RunDirectoryMissing:
            source, is_in_run = None, False
        if not is_in_run and look_at(target.parent, target) is None:
            check_area_is_there(work.settings.cache_area or work.settings.processing_area)
            work.ledger.mark_cached_measurement_set_removed(work.run.pipeline_run_id)
            raise Refused(
                f"The measurement set of {work.run.pipeline_run_id} was to be kept in {target}, but is neither there "
                "nor in the run's directory: it was removed by hand, and the archive is not updated."
            )
        if source is not None:
            KeepProductsOperator._make_cache(work, target.parent)
            move_directory(source, target)

    @staticmethod
    def _make_cache(work: IngestWork, place: Path) -> None:
        """Make the run's directory in the cache; of the cache itself only the folder in the processing area."""
        from srdp.domain.files.storage import local_files
        from srdp.domain.runs.areas import check_area_is_there
        from srdp.domain.runs.run_marker import make_marked

        if work.settings.cache_area is None:
            check_area_is_there(work.settings.processing_area)
            with local_files(place):
                work.settings.measurement_set_cache.mkdir(exist_ok=True)
        make_marked(place, work.run.marker)

    def _move_back(self, work: IngestWork, run: PipelineRun) -> SrdpError | None:
        from srdp.domain.disk.delivery import move_run_directory
        from srdp.domain.runs.pipeline_run import processing_directory, qa_directory

        areas = work.settings.areas
        here, there = qa_directory(areas, run.pipeline_run_id), processing_directory(areas, run.pipeline_run_id)
        if not here.is_there and not there.is_there:
            self.log.warning("%s has no directory any more.", run.pipeline_run_id)
            return None
        try:
            if move_run_directory(here, there, run.marker):
                self.log.info("%s lies in the processing area again.", there.root)
        except SrdpError as error:
            # A sibling whose directory cannot be moved must not keep the others where they are.
            self.log.warning("%s", error)
            return error
        return None

    @staticmethod
    def _remove_spooled(work: IngestWork) -> None:
        from srdp.domain.archiving.casa_input import given_record
        from srdp.domain.archiving.ingest import spooled_tar
        from srdp.domain.files.shared_files import remove_shared
        from srdp.domain.runs.pipeline_run import spool_directory

        areas, run_id, contents = work.settings.areas, work.run.pipeline_run_id, work.contents
        spool = spool_directory(areas, run_id)
        for number in range(1, work.ingest.number + 1):
            template = spool / given_record(contents.template, number)
            for path in (spooled_tar(areas, run_id, number, contents), template):
                remove_shared(areas.spool, path)


def _to_move(work: IngestWork) -> list[PipelineRun]:
    siblings = work.ledger.runs_of_request(work.run.kind, work.run.subject, work.run.request_digest)
    # The run itself last: as long as it lies in the QA area, whoever reconciles sees that something is left to move.
    return [*(run for run in siblings if run.state is RunState.SUPERSEDED), work.run]
