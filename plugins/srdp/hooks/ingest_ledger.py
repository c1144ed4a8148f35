"""The ledger's part in an ingest: what it puts into NGAS, what the archive is asked after it, and what is kept.

As in :mod:`srdp.hooks.ledger`, every method is one transaction that may be repeated without harm, and is repeated when
the connection breaks. What is decided about a run is in :mod:`srdp.hooks.verdict_ledger`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg

from srdp.domain.archiving.product_changes import ProductFile
from srdp.domain.common.errors import Refused, quoted
from srdp.domain.qa.verdict import QaFlag, QaVerdict
from srdp.domain.runs.identifiers import PipelineRunId
from srdp.domain.runs.ledger_records import CachedMeasurementSet, FileOfIngest, Ingest, ReindexRequest
from srdp.hooks.ledger import LedgerHook, LedgerTransaction, once_a_run, postgres_safe, unknown_run

if TYPE_CHECKING:
    from srdp.domain.common.mail import Mail

_FIRST_REINDEX_RETRY = timedelta(seconds=15)
_LAST_REINDEX_RETRY = timedelta(minutes=10)


class IngestLedger(LedgerHook):
    """The ledger with what an ingest leaves in it; see :class:`~srdp.hooks.ledger.LedgerHook`."""

    # What NGAS and the archive get

    def ingest(self, run_id: PipelineRunId) -> Ingest | None:
        """Return the ingest of a run that is in force; None if it has none, or none that was not withdrawn."""
        return self._transact(lambda ledger: ingest_in_force(ledger, run_id))

    def ingests(self, run_id: PipelineRunId) -> list[Ingest]:
        """Return all ingests of a run, those that were withdrawn too, oldest first."""
        found = self._transact(lambda ledger: ledger.rows("ingests_of_run", pipeline_run_id=run_id))
        return [_ingest(row) for row in found]

    def is_in_ngas(self, ingest: Ingest) -> bool:
        """Whether every file of an ingest was proved to be in NGAS."""
        return self._transact(lambda ledger: proved_in_ngas(ledger, ingest))

    def record_files_of_ingest(
        self, ingest: Ingest, files: Iterable[FileOfIngest], products: Iterable[ProductFile]
    ) -> None:
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

        def work(ledger: LedgerTransaction) -> None:
            ledger.change("ingest_files_remove_unsent", **of_ingest)
            sent = {row["ngas_file_id"]: FileOfIngest(**row) for row in ledger.rows("ingest_files", **of_ingest)}
            for file_id, file in sent.items():
                _refuse_other_bytes(ingest, file, wanted.get(file_id))
            for file_id, file in wanted.items():
                if file_id not in sent:
                    fields = ("ngas_file_id", "kind", "name", "mime_type", "size_bytes", "crc32", "product")
                    stored = {field: getattr(file, field) for field in fields}
                    ledger.change("ingest_file_insert", **of_ingest, **postgres_safe(stored))
            ledger.change("ingest_products_remove", **of_ingest)
            for product in described:
                ledger.change("ingest_product_insert", **of_ingest, **postgres_safe(product))

        self._transact(work)

    def files_of_ingest(self, ingest: Ingest) -> list[FileOfIngest]:
        """Return what an ingest puts into NGAS, by kind; none if it is not recorded yet."""
        found = self._transact(lambda ledger: ledger.rows("ingest_files", **key_of_ingest(ingest)))
        return [FileOfIngest(**row) for row in found]

    def products_of_ingest(self, ingest: Ingest) -> list[ProductFile]:
        """Return what was in ``products/`` when it was packed, by path."""
        found = self._transact(lambda ledger: ledger.rows("ingest_products", **key_of_ingest(ingest)))
        return [ProductFile(**row) for row in found]

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
        self._transact(lambda ledger: ledger.change("ingest_committed", **key_of_ingest(ingest)))

    # The outbox of what the archive is asked

    def reindex_requests(self, run_id: PipelineRunId) -> list[ReindexRequest]:
        """Return what the archive was asked for a run, done or not."""
        return [
            _reindex(row)
            for row in self._transact(lambda ledger: ledger.rows("reindex_of_run", pipeline_run_id=run_id))
        ]

    def deliver_next_reindex(
        self, send: Callable[[ReindexRequest], str | None], *, run_id: PipelineRunId | None = None
    ) -> tuple[ReindexRequest, str | None] | None:
        """Lets the archive be asked what it is to be asked next, and records what came of it.

        To index a project twice does no harm: what is not known to have arrived is asked again.

        Args:
            send: asks; returns None, or why it did not succeed, in one sentence; must not raise.
            run_id: only for this run.

        Returns:
            The request and what came of it; None if none is due.
        """

        def work(ledger: LedgerTransaction) -> tuple[ReindexRequest, str | None] | None:
            row = ledger.row("reindex_claim", pipeline_run_id=run_id)
            if row is None:
                return None
            request = _reindex(row)
            error = send(request)
            wait = min(_FIRST_REINDEX_RETRY * 2 ** min(request.attempts, 10), _LAST_REINDEX_RETRY)
            ledger.change(
                "reindex_tried",
                reindex_id=request.reindex_id,
                error=postgres_safe(error),
                retry_seconds=wait.total_seconds(),
            )
            return request, error

        return self._transact(work)

    def report_reindex(self, request: ReindexRequest, mail: Mail, *, cause: str, for_all: bool) -> None:
        """Queues the mail that says that the archive has not taken a request: once for each request.

        Args:
            request: the request.
            mail: the mail.
            cause: why, in one sentence.
            for_all: whether the cause concerns the requests of all projects; then one mail is enough as long as the
                request that it reports waits.
        """
        run_id = request.pipeline_run_id
        event_id = once_a_run(run_id, f"reindex_not_taken {request.reindex_id}")
        details = {"project": request.project, "sentence": cause, "for_all": for_all}

        def work(ledger: LedgerTransaction) -> None:
            if for_all and ledger.row("reindex_told"):
                return
            self._insert_event(ledger, event_id, run_id, "reindex_not_taken", details)
            self._queue(ledger, run_id, mail)

        self._transact(work)

    def queue_follow_up(
        self,
        run_id: PipelineRunId,
        *,
        mails: Sequence[Mail] = (),
        reindex: tuple[str, str] | None = None,
    ) -> None:
        """Queues what follows from something that changed no state; each key is queued once a run.

        Args:
            run_id: the run.
            mails: mails about it.
            reindex: a key, and the project that the archive is to index again; None for no such request.
        """

        def work(ledger: LedgerTransaction) -> None:
            for mail in mails:
                self._queue(ledger, run_id, mail)
            if reindex is not None:
                ledger.change("reindex_queue", pipeline_run_id=run_id, key=reindex[0], project=reindex[1])

        try:
            self._transact(work)
        except psycopg.errors.ForeignKeyViolation:
            raise unknown_run(run_id) from None

    # What is kept for how long

    def record_cached_measurement_set(
        self, run_id: PipelineRunId, path: str, expires_at: datetime
    ) -> CachedMeasurementSet:
        """Record where a run's calibrated measurement set is kept, before it is put there; the first record stays.

        Args:
            run_id: the run.
            path: where it is kept.
            expires_at: from when on it may be removed.
        """
        stored = {"path": postgres_safe(path), "expires_at": expires_at}

        def work(ledger: LedgerTransaction) -> CachedMeasurementSet:
            ledger.change("cached_insert", pipeline_run_id=run_id, **stored)
            return next(_cached(row) for row in ledger.rows("cached_of_run", pipeline_run_id=run_id))

        try:
            return self._transact(work)
        except psycopg.errors.ForeignKeyViolation:
            raise unknown_run(run_id) from None

    def cached_measurement_set(self, run_id: PipelineRunId) -> CachedMeasurementSet | None:
        """Return what was recorded of a run's calibrated measurement set; None if nothing was."""
        row = self._transact(lambda ledger: ledger.row("cached_of_run", pipeline_run_id=run_id))
        return _cached(row) if row else None

    def cached_measurement_sets(self) -> list[CachedMeasurementSet]:
        """Return the calibrated measurement sets that were not removed, oldest first."""
        return [_cached(row) for row in self._transact(lambda ledger: ledger.rows("cached_there"))]

    def mark_cached_measurement_set_removed(self, run_id: PipelineRunId) -> None:
        """Record that a calibrated measurement set is kept no longer; the first time stays."""
        self._transact(lambda ledger: ledger.change("cached_removed", pipeline_run_id=run_id))

    def retention_in_force(self) -> dict[str, int]:
        """Return for how many days each kind of thing is kept, as the text file was when it was last valid."""
        return {row["kind"]: row["days"] for row in self._transact(lambda ledger: ledger.rows("retention_in_force"))}

    def set_retention(self, kind: str, days: int) -> None:
        """Set for how long a kind of thing is kept.

        Args:
            kind: for example ``archived``.
            days: for how many days.
        """
        self._transact(lambda ledger: ledger.change("retention_set", kind=kind, days=days))

    # How it is done

    def _change_file(self, statement: str, ngas_file_id: str, **parameters: object) -> None:
        changed = self._transact(lambda ledger: ledger.change(statement, ngas_file_id=ngas_file_id, **parameters))
        if not changed:
            raise Refused(
                f"The ledger does not know that {quoted(ngas_file_id)} is to be put into NGAS: record it first."
            )


def key_of_ingest(ingest: Ingest) -> dict[str, object]:
    """Return what a statement names an ingest by."""
    return {"pipeline_run_id": ingest.pipeline_run_id, "number": ingest.number}


def ingest_in_force(ledger: LedgerTransaction, run_id: PipelineRunId) -> Ingest | None:
    """Return the ingest of a run that is in force, within a transaction; see :meth:`IngestLedger.ingest`."""
    row = ledger.row("ingest_in_force", pipeline_run_id=run_id)
    return None if row is None else _ingest(row)


def _ingest(row: dict[str, Any]) -> Ingest:
    verdict = QaVerdict(**row["verdict"] | {"flag": QaFlag(row["verdict"]["flag"])})
    return Ingest(**row | {"pipeline_run_id": PipelineRunId(row["pipeline_run_id"]), "verdict": verdict})


def proved_in_ngas(ledger: LedgerTransaction, ingest: Ingest) -> bool:
    """Whether an ingest is in NGAS, within a transaction; see :meth:`IngestLedger.is_in_ngas`."""
    files = ledger.rows("ingest_files", **key_of_ingest(ingest))
    return bool(files) and all(file["proved_at"] is not None for file in files)


def _refuse_other_bytes(ingest: Ingest, sent: FileOfIngest, wanted: FileOfIngest | None) -> None:
    if wanted is None or (wanted.size_bytes, wanted.crc32) != (sent.size_bytes, sent.crc32):
        raise Refused(
            f"{quoted(sent.name)} of {ingest.pipeline_run_id} has changed since it was sent to NGAS as "
            f"{sent.ngas_file_id} ({sent.size_bytes} bytes, CRC-32 {sent.crc32}): put the products back as they were, "
            "or withdraw the verdict and give it again."
        )


def _reindex(row: dict[str, Any]) -> ReindexRequest:
    return ReindexRequest(**row | {"pipeline_run_id": PipelineRunId(row["pipeline_run_id"])})


def _cached(row: dict[str, Any]) -> CachedMeasurementSet:
    return CachedMeasurementSet(**row | {"pipeline_run_id": PipelineRunId(row["pipeline_run_id"])})
