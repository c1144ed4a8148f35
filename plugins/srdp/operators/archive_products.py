"""Putting what was packed into NGAS."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from srdp.operators.base import BYTES
from srdp.operators.ingest_step import IngestStepOperator

if TYPE_CHECKING:
    from srdp.domain.ngas.client import NgasClient
    from srdp.domain.runs.ledger_records import FileOfIngest
    from srdp.operators.ingest_step import IngestWork


class ArchiveProductsOperator(IngestStepOperator):
    """Puts tar, images and weblog into NGAS, each once, and proves each copy by the server's own CHECKFILE.

    A file is archived if one copy of it is good. Another copy that is damaged is reported to the operators.

    What is recorded as proved is not looked at again. Before the first byte of a file is sent the ledger says so; a try
    that finds it said looks for the file, for a while, before it sends anything.

    Args:
        pipeline_run_id: the run (templated).
        settle_seconds: for how long, in seconds, a server may be storing what it received after the connection is gone.

    Note:
        With the setting ``ngas_ingest`` off it does nothing.
    """

    work_queue = BYTES

    def __init__(self, *, pipeline_run_id: str, settle_seconds: float = 30.0, **kwargs: object) -> None:
        super().__init__(pipeline_run_id=pipeline_run_id, **kwargs)
        self.settle_seconds = settle_seconds

    def ingest_step(self, work: IngestWork) -> None:
        """Send and proves."""
        from srdp.domain.archiving.ingest import as_recorded
        from srdp.hooks.ngas import NgasHook

        if not work.settings.ngas_ingest:
            self.log.warning("Nothing is put into NGAS: the setting SRDP_NGAS_INGEST is off.")
            return
        files = as_recorded(work.ledger.files_of_ingest(work.ingest), work.contents)
        waiting = [file for file in files if not file.proved_at]
        if waiting:
            client = NgasHook(work.settings.ngas_connection).receiving_client()
            for file in waiting:
                self._archive(work, client, file)

    def _archive(self, work: IngestWork, client: NgasClient, file: FileOfIngest) -> None:
        from srdp.domain.archiving.ingest import place_to_send
        from srdp.domain.archiving.upload import FileToArchive, archive
        from srdp.hooks.metrics import send_transfer
        from srdp.operators.damaged_copies import damage_reported

        root, path = place_to_send(work.settings.areas, work.directory(), work.ingest, file)
        wanted = FileToArchive(
            path=path,
            root=root,
            file_id=file.ngas_file_id,
            size_bytes=file.size_bytes,
            crc32=file.crc32,
            mime_type=file.mime_type,
        )
        work.ledger.mark_sent(file.ngas_file_id)
        began = time.monotonic()
        with damage_reported(work.settings, work.ledger, work.run, "ingest") as report:
            proof = archive(
                client,
                wanted,
                sent_before=file.sent_at is not None,
                settle_seconds=self.settle_seconds,
            )
            # One good copy is an archived file: the ingest is not called failed because a replica is damaged.
            report(proof.damaged)
        stored = proof.file
        work.ledger.mark_proved(file.ngas_file_id, stored.version)
        send_transfer("archived", stored.size_bytes, time.monotonic() - began)
        self.log.info(
            "%s is in NGAS server %s, version %d, proved: %d bytes, CRC-32 %d",
            stored.file_id, client.server, stored.version, stored.size_bytes, stored.crc32,
        )  # fmt: skip
