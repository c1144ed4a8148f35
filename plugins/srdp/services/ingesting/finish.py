"""The end of an ingest: the run is archived, and everything that follows from it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from srdp.domain.archiving.ingest import cache_place, measurement_set
from srdp.domain.common.errors import Refused
from srdp.domain.common.mail import Mail
from srdp.domain.events.payloads import Archived
from srdp.domain.qa.verdict import QaFlag
from srdp.domain.retention.kinds import CALIBRATED_MEASUREMENT_SETS, MEASUREMENT_SETS
from srdp.domain.runs.identifiers import PipelineRunId, execution_block_name
from srdp.domain.runs.ledger_records import CachedMeasurementSet
from srdp.domain.runs.pipeline_run import RunDirectoryMissing, processing_directory
from srdp.domain.runs.states import RunState
from srdp.families import result_locator
from srdp.hooks.ledger.requests import SUPERSEDED_BY_A_PASS
from srdp.notifications.verdict_mails import archived
from srdp.services.ingesting.archive_metadata import status_after
from srdp.services.ingesting.context import IngestContext


def finish_ingest(work: IngestContext) -> list[PipelineRunId]:
    """Mark a run as archived whose metadata the archive has; may be repeated.

    Args:
        work: the run and its ingest.

    Returns:
        The siblings that are superseded.

    Raises:
        Refused: the archive does not have the metadata, as far as the ledger knows.
    """
    ingest, settings = work.ingest, work.settings
    if ingest.committed_at is None:
        raise Refused(
            f"{work.run.pipeline_run_id} is not archived: the archive does not have its metadata, because the step "
            "that writes it was marked successful by hand; give the verdict again."
        )
    is_in_ngas = work.in_ngas
    passes = is_in_ngas and ingest.verdict.flag is QaFlag.PASS
    cached = plan_cache(work) if is_in_ngas else None
    return work.ledger.ingests.finish(
        ingest,
        mails=[_mail(work, cached, is_in_ngas=is_in_ngas, passes=passes)],
        details=Archived(qa_flag=str(ingest.verdict.flag), number=ingest.number, in_ngas=is_in_ngas),
        supersede=passes,
        seal=passes,
        reindex_project=work.run.project if is_in_ngas and settings.reindex != "off" else None,
    )


def plan_cache(work: IngestContext) -> CachedMeasurementSet | None:
    """Decide where a run's measurement set is kept for users, and until when; the first decision stays.

    Args:
        work: the run and its ingest.

    Returns:
        What is decided; None if there is no measurement set to keep, and for images.
    """
    if not work.contents.calibrates:
        return None
    run_id, block = work.run.pipeline_run_id, execution_block_name(work.run.subject)
    known = work.ledger.measurement_sets.of_run(run_id)
    if known is not None:
        return known
    try:
        source = measurement_set(work.directory(), block)
    except RunDirectoryMissing:
        source = None
    if source is None:
        return None
    by_default = MEASUREMENT_SETS.default_days
    days = work.ledger.retention.in_force().get(CALIBRATED_MEASUREMENT_SETS, by_default)
    return work.ledger.measurement_sets.record(
        run_id,
        str(cache_place(work.settings.measurement_set_cache, run_id, block)),
        datetime.now(UTC) + timedelta(days=days),
    )


def _mail(work: IngestContext, cached: CachedMeasurementSet | None, *, is_in_ngas: bool, passes: bool) -> Mail:
    run, run_id = work.run, work.run.pipeline_run_id
    siblings = work.runs_of_request() if passes else []
    ends = SUPERSEDED_BY_A_PASS | {RunState.SUPERSEDED}
    # One mail a key: of a run that was archived before without NGAS, this is another.
    before = any(
        other.committed_at is not None for other in work.ledger.ingests.of_run(run_id)[: work.ingest.number - 1]
    )
    mail = archived(
        work.settings,
        run,
        work.ingest,
        files=work.ledger.archived_files.of_ingest(work.ingest) if is_in_ngas else (),
        calibration=result_locator(run_id, work.ingest.number),
        status=status_after(work) if is_in_ngas else None,
        directory=processing_directory(work.settings.areas, run_id),
        cached=cached,
        superseded=[sibling.pipeline_run_id for sibling in siblings if sibling.state in ends],
        casa=work.last_casa_attempt(),
    )
    return replace(mail, key=f"{mail.key}_{work.ingest.number}") if before else mail
