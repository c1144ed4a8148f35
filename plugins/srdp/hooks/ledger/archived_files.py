"""The files that ingests put into NGAS, and what of an ingest is proved."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from srdp.domain.archiving.product_changes import ProductFile
from srdp.domain.common.errors import Refused, quoted
from srdp.domain.runs.ledger_records import FileOfIngest, Ingest
from srdp.hooks.ledger.database import Repository, Transaction
from srdp.hooks.ledger.ingests import key_of_ingest, proved_in_ngas
from srdp.hooks.postgres import postgres_safe


class ArchivedFiles(Repository):
    """What ingests put into NGAS."""

    def record(self, ingest: Ingest, files: Iterable[FileOfIngest], products: Iterable[ProductFile]) -> None:
        """Record what is to be put into NGAS, before the first byte of it is sent.

        Args:
            ingest: the ingest.
            files: the files with their ids, sizes and checksums; replaces what was recorded and not sent.
            products: what is in ``products/``.

        Raises:
            Refused: a file that may have been sent already was recorded with other bytes.
        """
        of_ingest = key_of_ingest(ingest)
        wanted = {file.ngas_file_id: file for file in files}
        described = [asdict(product) for product in products]

        def work(transaction: Transaction) -> None:
            transaction.change("ingest_files_remove_unsent", **of_ingest)
            sent = {row["ngas_file_id"]: FileOfIngest(**row) for row in transaction.rows("ingest_files", **of_ingest)}
            for file_id, file in sent.items():
                _refuse_other_bytes(ingest, file, wanted.get(file_id))
            for file_id, file in wanted.items():
                if file_id not in sent:
                    fields = ("ngas_file_id", "kind", "name", "mime_type", "size_bytes", "crc32", "product")
                    stored = {field: getattr(file, field) for field in fields}
                    transaction.change("ingest_file_insert", **of_ingest, **postgres_safe(stored))
            transaction.change("ingest_products_remove", **of_ingest)
            for product in described:
                transaction.change("ingest_product_insert", **of_ingest, **postgres_safe(product))

        self._database.transact(work)

    def of_ingest(self, ingest: Ingest) -> list[FileOfIngest]:
        """Return what an ingest puts into NGAS, by kind; none if it is not recorded yet."""
        found = self._database.rows("ingest_files", **key_of_ingest(ingest))
        return [FileOfIngest(**row) for row in found]

    def products(self, ingest: Ingest) -> list[ProductFile]:
        """Return what was in ``products/`` when it was packed, by path."""
        found = self._database.rows("ingest_products", **key_of_ingest(ingest))
        return [ProductFile(**row) for row in found]

    def are_proved(self, ingest: Ingest) -> bool:
        """Whether every file of an ingest was proved to be in NGAS."""
        return self._database.transact(lambda transaction: proved_in_ngas(transaction, ingest))

    def mark_sent(self, ngas_file_id: str) -> None:
        """Record that from now on bytes of a file may reach NGAS; the first time stays.

        Args:
            ngas_file_id: the file's id in NGAS.
        """
        self._change_file("ingest_file_sent", ngas_file_id)

    def mark_proved(self, ngas_file_id: str, version: int) -> None:
        """Record that NGAS has read its copy again and found it good.

        Args:
            ngas_file_id: the file's id in NGAS.
            version: NGAS's version of it.
        """
        self._change_file("ingest_file_proved", ngas_file_id, version=version)

    def mark_committed(self, ingest: Ingest) -> None:
        """Record that the archive has the metadata; the first time stays."""
        self._database.change("ingest_committed", **key_of_ingest(ingest))

    def _change_file(self, statement: str, ngas_file_id: str, **parameters: object) -> None:
        changed = self._database.change(statement, ngas_file_id=ngas_file_id, **parameters)
        if not changed:
            raise Refused(
                f"The ledger does not know that {quoted(ngas_file_id)} is to be put into NGAS: record it first."
            )


def _refuse_other_bytes(ingest: Ingest, sent: FileOfIngest, wanted: FileOfIngest | None) -> None:
    if wanted is None or (wanted.size_bytes, wanted.crc32) != (sent.size_bytes, sent.crc32):
        raise Refused(
            f"{quoted(sent.name)} of {ingest.pipeline_run_id} has changed since it was sent to NGAS as "
            f"{sent.ngas_file_id} ({sent.size_bytes} bytes, CRC-32 {sent.crc32}): put the products back as they were, "
            "or withdraw the verdict and give it again."
        )
