"""What is kept, and for how long."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg

from srdp.domain.runs.identifiers import PipelineRunId
from srdp.domain.runs.ledger_records import CachedMeasurementSet
from srdp.hooks.ledger.database import Repository, Transaction, unknown_run
from srdp.hooks.postgres import postgres_safe


class MeasurementSets(Repository):
    """Calibrated measurement sets that are kept for users for a while."""

    def record(self, run_id: PipelineRunId, path: str, expires_at: datetime) -> CachedMeasurementSet:
        """Record where a run's calibrated measurement set is kept, before it is put there; the first record stays.

        Args:
            run_id: the run.
            path: where it is kept.
            expires_at: from when on it may be removed.
        """
        stored = {"path": postgres_safe(path), "expires_at": expires_at}

        def work(transaction: Transaction) -> CachedMeasurementSet:
            transaction.change("cached_insert", pipeline_run_id=run_id, **stored)
            return next(_cached(row) for row in transaction.rows("cached_of_run", pipeline_run_id=run_id))

        try:
            return self._database.transact(work)
        except psycopg.errors.ForeignKeyViolation:
            raise unknown_run(run_id) from None

    def of_run(self, run_id: PipelineRunId) -> CachedMeasurementSet | None:
        """Return what was recorded of a run's calibrated measurement set; None if nothing was."""
        row = self._database.row("cached_of_run", pipeline_run_id=run_id)
        return _cached(row) if row else None

    def kept(self) -> list[CachedMeasurementSet]:
        """Return the calibrated measurement sets that were not removed, oldest first."""
        return [_cached(row) for row in self._database.rows("cached_there")]

    def mark_removed(self, run_id: PipelineRunId) -> None:
        """Record that a calibrated measurement set is kept no longer; the first time stays."""
        self._database.change("cached_removed", pipeline_run_id=run_id)


class Retention(Repository):
    """For how long each kind of thing is kept."""

    def in_force(self) -> dict[str, int]:
        """Return for how many days each kind of thing is kept, as the text file was when it was last valid."""
        return {row["kind"]: row["days"] for row in self._database.rows("retention_in_force")}

    def set(self, kind: str, days: int) -> None:
        """Set for how long a kind of thing is kept.

        Args:
            kind: for example ``archived``.
            days: for how many days.
        """
        self._database.change("retention_set", kind=kind, days=days)


def _cached(row: dict[str, Any]) -> CachedMeasurementSet:
    return CachedMeasurementSet(**row | {"pipeline_run_id": PipelineRunId(row["pipeline_run_id"])})
