"""Putting what was packed into NGAS."""

from __future__ import annotations

import logging
import time

from srdp.domain.archiving.ingest import as_recorded, place_to_send
from srdp.domain.archiving.upload import FileToArchive, archive
from srdp.domain.ngas.client import NgasClient
from srdp.domain.runs.ledger_records import FileOfIngest
from srdp.hooks.metrics import send_transfer
from srdp.hooks.ngas import NgasHook
from srdp.services.damaged_copies import damage_reported
from srdp.services.ingesting.context import IngestContext

log = logging.getLogger(__name__)


def archive_products(work: IngestContext, *, settle_seconds: float) -> None:
    """Put what was packed into NGAS, each file once, and prove each copy; may be repeated.

    Args:
        work: the ingest.
        settle_seconds: for how long, in seconds, a server may be storing what it received after the connection is gone.

    Raises:
        IntegrityError: a file is not what was packed, or NGAS holds something else.
        ServiceUnavailable: NGAS or the ledger cannot be reached.
    """
    if not work.settings.ngas_ingest:
        log.warning("Nothing is put into NGAS: the setting SRDP_NGAS_INGEST is off.")
        return
    files = as_recorded(work.ledger.archived_files.of_ingest(work.ingest), work.contents)
    waiting = [file for file in files if not file.proved_at]
    if waiting:
        client = NgasHook(work.settings.ngas_connection).receiving_client()
        for file in waiting:
            _archive(work, client, file, settle_seconds)


def _archive(work: IngestContext, client: NgasClient, file: FileOfIngest, settle_seconds: float) -> None:
    root, path = place_to_send(work.settings.areas, work.directory(), work.ingest, file)
    wanted = FileToArchive(
        path=path,
        root=root,
        file_id=file.ngas_file_id,
        size_bytes=file.size_bytes,
        crc32=file.crc32,
        mime_type=file.mime_type,
    )
    work.ledger.archived_files.mark_sent(file.ngas_file_id)
    began = time.monotonic()
    with damage_reported(work, "ingest") as report:
        proof = archive(client, wanted, sent_before=file.sent_at is not None, settle_seconds=settle_seconds)
        # One good copy is an archived file: the ingest is not called failed because a replica is damaged.
        report(proof.damaged)
    stored = proof.file
    work.ledger.archived_files.mark_proved(file.ngas_file_id, stored.version)
    send_transfer("archived", stored.size_bytes, time.monotonic() - began)
    log.info(
        "%s is in NGAS server %s, version %d, proved: %d bytes, CRC-32 %d",
        stored.file_id, client.server, stored.version, stored.size_bytes, stored.crc32,
    )  # fmt: skip
