"""Telling the archive's database about a calibration or an image set."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from srdp.domain.archiving.contents import ANCILLARY, SCIENCE
from srdp.domain.archiving.ingest import as_recorded
from srdp.domain.archiving.metadata import ImageMetadata, ResultMetadata, owner, proved_files
from srdp.domain.common.errors import IntegrityError, ServiceUnavailable
from srdp.domain.imaging.fits_header import read_image
from srdp.domain.ngas.archived_files import ArchivedFile
from srdp.domain.ngas.proof import prove_all
from srdp.domain.qa.notes import render_plain
from srdp.domain.qa.verdict import QaFlag
from srdp.domain.runs.ledger_records import FileOfIngest, Ingest
from srdp.families import result_locator
from srdp.hooks.archive import ArchiveHook
from srdp.hooks.ngas import NgasHook
from srdp.notifications.verdict_mails import qa_flag_changed
from srdp.services.damaged_copies import report_damaged_copies
from srdp.services.ingesting.context import IngestContext

log = logging.getLogger(__name__)


def begin_metadata(work: IngestContext) -> None:
    """Prove that NGAS has the files and that the archive can be reached, and say that it will be written.

    Args:
        work: the ingest.

    Raises:
        IntegrityError: NGAS does not have a good copy of each file.
        ServiceUnavailable: NGAS, the archive or the ledger cannot be reached.
    """
    if work.ingest.committed_at is not None:
        return
    if work.settings.ngas_ingest or work.in_ngas:
        _prove(work)
    # A server that is away is found here, where it is certain that nothing was written.
    ArchiveHook(work.settings).now()
    work.ledger.ingests.record_metadata_begun(work.ingest)


def _prove(work: IngestContext) -> None:
    files = proved_files(_files(work))
    copies = [ArchivedFile(file.ngas_file_id, file.version, file.size_bytes, file.crc32) for file in files]
    client = NgasHook(work.settings.ngas_connection).receiving_client()
    client.health()
    proofs, problems = prove_all(client, copies)
    damaged = [copy for found in (proofs, problems) for file in found for copy in file.damaged]
    report_damaged_copies(work, damaged, found_by="ingest")
    if problems:
        away = all(isinstance(problem.error, ServiceUnavailable) for problem in problems)
        sentences = " ".join(dict.fromkeys(problem.why for problem in problems))
        raise (ServiceUnavailable if away else IntegrityError)(sentences)
    log.info("NGAS has read %d files again and found them good.", len(copies))


def commit_metadata(read: Callable[[], IngestContext]) -> None:
    """Write a result's metadata into the archive in one transaction, unless it has them.

    Args:
        read: reads the ingest again; it raises when this DAG run has lost it.

    Raises:
        Refused: the run is not this DAG run's to ingest any more.
        ServiceUnavailable: the archive or the ledger cannot be reached.
    """
    # What took long is over: a process that has lost the run meanwhile must not write.
    work = read()
    if work.done or work.ingest.committed_at is not None:
        log.info("The archive has the metadata already.")
        return
    metadata = _metadata(work)
    # Asked again at the last moment: a process that was taken for dead may have been stuck here for long.
    ArchiveHook(work.settings).commit_result(metadata, still_wanted=read)
    work.ledger.archived_files.mark_committed(work.ingest)
    log.info("The archive has %s; status: %s", metadata.locator, metadata.status or "as it was")


def write_changed_verdict(work: IngestContext) -> None:
    """Bring the archive's verdict of an archived run to the ledger's, if that was changed; may be repeated.

    Args:
        work: the ingest.

    Raises:
        ServiceUnavailable: the archive or the ledger cannot be reached.
    """
    changes = len(work.ledger.verdicts.changes(work.run.pipeline_run_id))
    if not changes:
        log.info("%s is archived with this verdict: there is nothing to do here.", work.run.pipeline_run_id)
        return
    ingest: Ingest | None = work.ingest
    written = None
    # Another change may come between; the archive shall have the last one.
    while ingest is not None and written != ingest.verdict:
        written = ingest.verdict
        _change_verdict(work, ingest)
        log.info("The archive has the QA flag %s.", written.flag)
        ingest = work.ledger.ingests.in_force(work.run.pipeline_run_id)
    _report_change(work, changes)
    # The last of all: the run may be removed after it, and nobody would give the verdict again.
    work.ledger.verdicts.record_written(work.run.pipeline_run_id, changes)


def status_after(work: IngestContext) -> str | None:
    """Return the execution block's status in the archive after an ingest; None for a MOUS, which has none."""
    if not work.contents.calibrates:
        return None
    settings = work.settings
    return {
        QaFlag.PASS: settings.status_after_pass,
        QaFlag.FAIL: settings.status_after_fail,
        QaFlag.NULL: settings.status_after_null,
    }[work.ingest.verdict.flag]


def metadata_begun(work: IngestContext) -> bool:
    """Whether the archive's database may have been written for the ingest that is in force."""
    ingest = work.ledger.ingests.in_force(work.run.pipeline_run_id)
    return ingest is not None and ingest.number == work.ingest.number and ingest.metadata_begun_at is not None


def _files(work: IngestContext) -> list[FileOfIngest]:
    return as_recorded(work.ledger.archived_files.of_ingest(work.ingest), work.contents)


def _metadata(work: IngestContext) -> ResultMetadata:
    settings, ingest = work.settings, work.ingest
    files: Sequence[FileOfIngest] = _files(work) if settings.ngas_ingest or work.in_ngas else ()
    casa = work.last_casa_attempt()
    return ResultMetadata(
        begins=work.family.result_locator,
        pipeline_run_id=work.run.pipeline_run_id,
        ingest_number=ingest.number,
        belongs_to=owner(work.run.locator),
        images=_images(work),
        asked=work.run.asked if work.contents.images else None,
        files=proved_files(files),
        ngas_server=NgasHook(settings.ngas_connection).receiving_server() if files else None,
        verdict=ingest.verdict,
        qa_notes=render_plain(ingest.verdict, when=ingest.claimed_at),
        casa_version=casa.casa_version if casa else None,
        pipeline_version=casa.pipeline_version if casa else None,
        status=status_after(work) if files else None,
    )


def _images(work: IngestContext) -> tuple[ImageMetadata, ...]:
    """Read the details of the images; before the transaction, because it takes seconds for each of them."""
    if not work.contents.images:
        return ()
    directory = work.directory()
    return tuple(
        ImageMetadata(
            relative_path=file.name,
            product=file.kind,
            facts=read_image(directory.root, directory.products / file.product),
        )
        for file in _files(work)
        if file.product is not None and file.kind in {SCIENCE, ANCILLARY}
    )


def _change_verdict(work: IngestContext, ingest: Ingest) -> None:
    run_id = work.run.pipeline_run_id
    ArchiveHook(work.settings).change_qa(
        result_locator(run_id, ingest.number),
        run_id=run_id,
        verdict=ingest.verdict,
        qa_notes=render_plain(ingest.verdict, when=ingest.claimed_at),
        status=status_after(replace(work, ingest=ingest)),
    )


def _report_change(work: IngestContext, number: int) -> None:
    run_id = work.run.pipeline_run_id
    ingest = work.ledger.ingests.in_force(run_id) or work.ingest
    change = work.ledger.verdicts.changes(run_id)[-1]
    mail = qa_flag_changed(
        work.settings,
        work.run,
        ingest,
        number=number,
        calibration=result_locator(run_id, ingest.number),
        by=change.changed_by,
        changes=change.changes,
    )
    reindex = None if work.settings.reindex == "off" else (f"verdict_{number}", work.run.project)
    work.ledger.outbox.queue_follow_up(run_id, mails=[mail], reindex=reindex)
