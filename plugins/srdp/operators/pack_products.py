"""Packing what is to be archived."""

from __future__ import annotations

from typing import TYPE_CHECKING

from srdp.domain.common.errors import quoted
from srdp.operators.base import BYTES
from srdp.operators.ingest_step import IngestStepOperator

if TYPE_CHECKING:
    from srdp.domain.archiving.product_changes import ProductFile
    from srdp.domain.files.packing import Member, PackedFile
    from srdp.domain.runs.ledger_records import FileOfIngest
    from srdp.domain.runs.pipeline_run import RunDirectory
    from srdp.operators.ingest_step import IngestWork


class PackProductsOperator(IngestStepOperator):
    """Packs the ingest's tar in the spool area, and records what goes into NGAS before a byte of it is sent.

    A tar that was recorded and lies there unchanged is kept. Packed again, it has the same bytes as long as the
    products are the same; if they are not, and something was sent already, the step refuses.

    Args:
        pipeline_run_id: the run (templated).
    """

    work_queue = BYTES

    def ingest_step(self, work: IngestWork) -> None:
        """Packs and records."""
        from srdp.domain.archiving.casa_input import check_what_casa_read
        from srdp.domain.archiving.ingest import check_unchanged, is_packed
        from srdp.domain.archiving.product_changes import describe_products
        from srdp.domain.files.leftovers import left_over_files

        ledger, ingest, directory = work.ledger, work.ingest, work.directory()
        files, products = ledger.files_of_ingest(ingest), ledger.products_of_ingest(ingest)
        if files and is_packed(work.settings.areas, directory, ingest, files, products):
            self.log.info("What was packed before lies there unchanged.")
            return
        check_unchanged(directory, files, products)
        # Described first: what is changed while it is packed then shows as a change, and is never cleaned up unseen.
        described = describe_products(directory)
        for path in left_over_files(directory.root):
            self.log.warning("%s was left by an editor or the file server, and is not archived.", quoted(path, 300))
        packed = self._pack(work, directory)
        # Compared after it: a template that somebody edits between the claim and the tar is in the tar.
        check_what_casa_read(
            directory, work.contents, work.family.inputs, work.run, ledger.submitted_files(ingest.pipeline_run_id)
        )
        wanted = [_tar(work, packed), *_products(work, directory, described)]
        ledger.record_files_of_ingest(ingest, wanted, described)
        for file in wanted:
            self.log.info(
                "%s is to be %s in NGAS: %d bytes, CRC-32 %d", file.name, file.ngas_file_id, file.size_bytes, file.crc32
            )

    @staticmethod
    def _pack(work: IngestWork, directory: RunDirectory) -> PackedFile:
        from srdp.domain.archiving.ingest import spooled_tar
        from srdp.domain.archiving.products import tar_members
        from srdp.domain.files.packing import pack
        from srdp.domain.runs.run_marker import make_marked_spool

        run_id, number = work.run.pipeline_run_id, work.ingest.number
        target = spooled_tar(work.settings.areas, run_id, number, work.contents)
        make_marked_spool(target.parent, work.run.marker)
        return pack(tar_members(directory, _added(work, directory)), work.settings.areas.spool, target)


def _added(work: IngestWork, directory: RunDirectory) -> list[Member]:
    from srdp.domain.archiving.casa_input import given_flag_template, given_record, templates_read

    contents, subject = work.contents, work.run.subject
    record = given_record(contents.template, work.ingest.number)
    given = work.ledger.submitted_files(work.run.pipeline_run_id).get(record)
    content = given.content if given else None
    return [
        *templates_read(directory, contents, subject),
        *given_flag_template(work.settings.areas, directory, contents, subject, work.ingest, content),
    ]


def _tar(work: IngestWork, packed: PackedFile) -> FileOfIngest:
    from srdp.domain.archiving.products import tar_name
    from srdp.domain.runs.ledger_records import FileOfIngest

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


def _products(work: IngestWork, directory: RunDirectory, described: tuple[ProductFile, ...]) -> list[FileOfIngest]:
    from srdp.domain.archiving.contents import ANCILLARY, SCIENCE, WEBLOG
    from srdp.domain.archiving.ingest import files_of_products

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
