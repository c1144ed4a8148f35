"""Packing what is to be archived."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from srdp.domain.errors import ServiceUnavailable, SrdpError
from srdp.domain.whole_file import LocalFilesError
from srdp.operators.ingest_step import IngestStepOperator

if TYPE_CHECKING:
    from srdp.domain.ledger_records import FileOfIngest
    from srdp.domain.packing import Member, PackedFile
    from srdp.domain.pipeline_run import RunDirectory
    from srdp.domain.product_changes import ProductFile
    from srdp.operators.ingest_step import IngestWork


class PackProductsOperator(IngestStepOperator):
    """Packs the calibration's tar in the spool area, and records what goes into NGAS before a byte of it is sent.

    A tar that was recorded and lies there unchanged is kept. Packed again, it has the same bytes as long as the
    products are the same; if they are not, and something was sent already, the step refuses.

    Args:
        pipeline_run_id: the run (templated).
    """

    retryable_errors: ClassVar[tuple[type[SrdpError], ...]] = (ServiceUnavailable, LocalFilesError)

    def ingest_step(self, work: IngestWork) -> None:
        """Packs and records."""
        from srdp.domain.ingest import check_unchanged, is_packed
        from srdp.domain.product_changes import describe_products

        ledger, ingest, directory = work.ledger, work.ingest, work.directory()
        files, products = ledger.files_of_ingest(ingest), ledger.products_of_ingest(ingest)
        if files and is_packed(work.settings.areas, directory, ingest, files, products):
            self.log.info("What was packed before lies there unchanged.")
            return
        check_unchanged(directory, files, products)
        # Described first: what is changed while it is packed then shows as a change, and is never cleaned up unseen.
        described = describe_products(directory)
        packed = self._pack(work, directory)
        wanted = _files(work, directory, packed, described)
        ledger.record_files_of_ingest(ingest, wanted, described)
        for file in wanted:
            self.log.info(
                "%s is to be %s in NGAS: %d bytes, CRC-32 %d", file.name, file.ngas_file_id, file.size_bytes, file.crc32
            )

    @staticmethod
    def _pack(work: IngestWork, directory: RunDirectory) -> PackedFile:
        from srdp.domain.ingest import CALIBRATION, path_to_send
        from srdp.domain.packing import pack
        from srdp.domain.products import calibration_members
        from srdp.domain.whole_file import local_files

        target = path_to_send(work.settings.areas, directory, work.ingest, CALIBRATION)
        with local_files(target.parent):
            target.parent.mkdir(parents=True, exist_ok=True)
        return pack(calibration_members(directory, _added(work, directory)), target)


def _added(work: IngestWork, directory: RunDirectory) -> list[Member]:
    from srdp.domain.ingest import casa_flag_template, given_flag_template, given_template_record

    given = work.ledger.given_files(work.run.pipeline_run_id).get(given_template_record(work.ingest.number))
    return [
        *casa_flag_template(directory, work.execution_block),
        *given_flag_template(
            work.settings.areas, directory, work.execution_block, work.ingest, given.content if given else None
        ),
    ]


def _files(
    work: IngestWork, directory: RunDirectory, packed: PackedFile, described: tuple[ProductFile, ...]
) -> list[FileOfIngest]:
    from srdp.domain.errors import Refused
    from srdp.domain.ingest import CALIBRATION, WEBLOG, ngas_ids, weblog_name
    from srdp.domain.ledger_records import FileOfIngest
    from srdp.domain.products import calibration_tar_name

    settings, run_id = work.settings, work.run.pipeline_run_id
    ids = ngas_ids(run_id, work.ingest.number)
    weblog = next((product for product in described if product.path == weblog_name(directory)), None)
    if weblog is None:
        raise Refused(
            f"products/ of {run_id} holds no {weblog_name(directory)}: the step that makes it was marked successful by "
            "hand; give the verdict again."
        )
    return [
        FileOfIngest(
            ngas_file_id=ids[CALIBRATION],
            kind=CALIBRATION,
            name=calibration_tar_name(
                settings.calibration_tar_name,
                execution_block=work.execution_block,
                run_id=run_id,
                when=work.ingest.claimed_at,
            ),
            mime_type=settings.tar_mime_type,
            size_bytes=packed.size_bytes,
            crc32=packed.crc32,
        ),
        FileOfIngest(
            ngas_file_id=ids[WEBLOG],
            kind=WEBLOG,
            name=weblog.path,
            mime_type=settings.weblog_mime_type,
            size_bytes=weblog.size_bytes,
            crc32=weblog.crc32,
        ),
    ]
