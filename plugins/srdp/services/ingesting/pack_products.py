"""Packing what is to be archived."""

from __future__ import annotations

import logging

from srdp.domain.archiving.casa_input import check_what_casa_read, given_flag_template, submitted_record, templates_read
from srdp.domain.archiving.contents import ANCILLARY, SCIENCE, WEBLOG
from srdp.domain.archiving.ingest import check_unchanged, files_of_products, is_packed, spooled_tar
from srdp.domain.archiving.product_changes import ProductFile, describe_products
from srdp.domain.archiving.products import tar_members, tar_name
from srdp.domain.common.errors import quoted
from srdp.domain.files.leftovers import left_over_files
from srdp.domain.files.packing import Member, PackedFile, pack
from srdp.domain.runs.ledger_records import FileOfIngest
from srdp.domain.runs.pipeline_run import RunDirectory
from srdp.domain.runs.run_marker import make_marked_spool
from srdp.services.ingesting.context import IngestContext

log = logging.getLogger(__name__)


def pack_products(work: IngestContext) -> None:
    """Pack the ingest's tar in the spool area, and record what goes into NGAS; may be repeated.

    Args:
        work: the ingest.

    Raises:
        Refused: the products are not what they were when something of them was sent.
    """
    ledger, ingest, directory = work.ledger, work.ingest, work.directory()
    files, products = ledger.archived_files.of_ingest(ingest), ledger.archived_files.products(ingest)
    if files and is_packed(work.settings.areas, directory, ingest, files, products):
        log.info("What was packed before is there unchanged.")
        return
    check_unchanged(directory, files, products)
    # Described first: what is changed while it is packed then shows as a change, and is never cleaned up unseen.
    described = describe_products(directory)
    for path in left_over_files(directory.root):
        log.warning("%s was left by an editor or the file server, and is not archived.", quoted(path, 300))
    packed = _pack(work, directory)
    # Compared after it: a template that somebody edits between the claim and the tar is in the tar.
    check_what_casa_read(
        directory, work.contents, work.family.inputs, work.run, ledger.submitted_files.of_run(ingest.pipeline_run_id)
    )
    wanted = [_tar(work, packed), *_products(work, directory, described)]
    ledger.archived_files.record(ingest, wanted, described)
    for file in wanted:
        log.info(
            "%s is to be %s in NGAS: %d bytes, CRC-32 %d", file.name, file.ngas_file_id, file.size_bytes, file.crc32
        )


def _pack(work: IngestContext, directory: RunDirectory) -> PackedFile:
    run_id, number = work.run.pipeline_run_id, work.ingest.number
    target = spooled_tar(work.settings.areas, run_id, number, work.contents)
    make_marked_spool(target.parent, work.run.marker)
    return pack(tar_members(directory, _added(work, directory)), work.settings.areas.spool, target)


def _added(work: IngestContext, directory: RunDirectory) -> list[Member]:
    contents, subject = work.contents, work.run.subject
    record = submitted_record(contents.template, work.ingest.number)
    given = work.ledger.submitted_files.of_run(work.run.pipeline_run_id).get(record)
    content = given.content if given else None
    return [
        *templates_read(directory, contents, subject),
        *given_flag_template(work.settings.areas, directory, contents, subject, work.ingest, content),
    ]


def _tar(work: IngestContext, packed: PackedFile) -> FileOfIngest:
    settings, run, contents = work.settings, work.run, work.contents
    return FileOfIngest(
        ngas_file_id=packed.path.name,
        kind=contents.tar,
        name=tar_name(
            getattr(settings, work.family.tar_name),
            subject=run.subject,
            project=run.project,
            run_id=run.pipeline_run_id,
            when=work.ingest.claimed_at,
        ),
        mime_type=settings.tar_mime_type,
        size_bytes=packed.size_bytes,
        crc32=packed.crc32,
    )


def _products(work: IngestContext, directory: RunDirectory, described: tuple[ProductFile, ...]) -> list[FileOfIngest]:
    settings = work.settings
    return files_of_products(
        work.contents,
        work.ingest,
        directory,
        described,
        mime_types={
            WEBLOG: settings.weblog_mime_type,
            SCIENCE: settings.fits_mime_type,
            ANCILLARY: settings.fits_mime_type,
        },
        science_patterns=work.family.science_patterns(settings) or (),
    )
