"""What is left to do when a run is archived: its measurement set is kept for users, its directory goes back."""

from __future__ import annotations

import logging
from pathlib import Path

from srdp.domain.archiving.casa_input import submitted_record
from srdp.domain.archiving.ingest import spooled_tar
from srdp.domain.common.errors import Refused, ServiceUnavailable, SrdpError
from srdp.domain.disk.delivery import move_directory, move_run_directory
from srdp.domain.files.shared_files import remove_shared
from srdp.domain.files.shared_folders import look_at
from srdp.domain.files.storage import LocalFilesError, StorageUnavailable, local_files
from srdp.domain.runs.areas import check_area_is_there
from srdp.domain.runs.ledger_records import CachedMeasurementSet, PipelineRun
from srdp.domain.runs.pipeline_run import RunDirectoryMissing, processing_directory, qa_directory, spool_directory
from srdp.domain.runs.run_marker import check_marked, make_marked
from srdp.domain.runs.states import RunState, remedy_for
from srdp.families import result_locator
from srdp.hooks.archive import ArchiveHook
from srdp.services.ingesting.context import IngestContext

log = logging.getLogger(__name__)


def keep_products(work: IngestContext) -> None:
    """Move the measurement set into the cache, and the directory, and those it superseded, to the processing area.

    Args:
        work: the ingest.

    Raises:
        Refused: the run is not archived.
        SrdpError: a directory could not be moved; the others are.
    """
    if not work.done:
        raise Refused(
            f"Nothing of {work.run.pipeline_run_id} is moved: the run is {work.run.state}; "
            f"{remedy_for(work.run.state)}."
        )
    if work.run.state is not RunState.ARCHIVED:
        log.info("%s is %s: there is nothing to do here.", work.run.pipeline_run_id, work.run.state)
        return
    if work.contents.calibrates:
        _keep_measurement_set(work)
    problems = [problem for run in _to_move(work) if (problem := _move_back(work, run)) is not None]
    if problems:
        heals = any(isinstance(problem, ServiceUnavailable) for problem in problems)
        kind = StorageUnavailable if heals else LocalFilesError
        raise kind(" ".join(str(problem) for problem in problems))
    _remove_spooled(work)


def _keep_measurement_set(work: IngestContext) -> None:
    run_id = work.run.pipeline_run_id
    cached = work.ledger.measurement_sets.of_run(run_id)
    if cached is None:
        log.warning("%s has no measurement set that is kept for users.", run_id)
    elif cached.removed_at is None:
        _put_into_cache(work, cached)
        ArchiveHook(work.settings).record_cached_measurement_set(
            result_locator(run_id, work.ingest.number), cached.path, cached.expires_at
        )
        log.info("%s is kept until %s", cached.path, f"{cached.expires_at:%Y-%m-%d %H:%M} UTC")


def _put_into_cache(work: IngestContext, cached: CachedMeasurementSet) -> None:
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
        work.ledger.measurement_sets.mark_removed(work.run.pipeline_run_id)
        raise Refused(
            f"The measurement set of {work.run.pipeline_run_id} was to be kept in {target}, but is neither there "
            "nor in the run's directory: it was removed by hand, and the archive is not updated."
        )
    if source is not None:
        _make_cache(work, target.parent)
        move_directory(source, target)


def _make_cache(work: IngestContext, place: Path) -> None:
    """Make the run's directory in the cache; of the cache itself only the folder in the processing area."""
    if work.settings.cache_area is None:
        check_area_is_there(work.settings.processing_area)
        with local_files(place):
            work.settings.measurement_set_cache.mkdir(exist_ok=True)
    make_marked(place, work.run.marker)


def _move_back(work: IngestContext, run: PipelineRun) -> SrdpError | None:
    areas = work.settings.areas
    here, there = qa_directory(areas, run.pipeline_run_id), processing_directory(areas, run.pipeline_run_id)
    if not here.is_there and not there.is_there:
        log.warning("%s has no directory any more.", run.pipeline_run_id)
        return None
    try:
        if move_run_directory(here, there, run.marker):
            log.info("%s is in the processing area again.", there.root)
    except SrdpError as error:
        # A sibling whose directory cannot be moved must not keep the others where they are.
        log.warning("%s", error)
        return error
    return None


def _remove_spooled(work: IngestContext) -> None:
    areas, run_id, contents = work.settings.areas, work.run.pipeline_run_id, work.contents
    spool = spool_directory(areas, run_id)
    for number in range(1, work.ingest.number + 1):
        template = spool / submitted_record(contents.template, number)
        for path in (spooled_tar(areas, run_id, number, contents), template):
            remove_shared(areas.spool, path)


def _to_move(work: IngestContext) -> list[PipelineRun]:
    siblings = work.runs_of_request()
    # The run itself last: as long as it is in the QA area, the reconciler sees that something is left to move.
    return [*(run for run in siblings if run.state is RunState.SUPERSEDED), work.run]
