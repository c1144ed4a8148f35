"""New execution blocks within a transaction: how far the archive was read, and what was decided about each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from srdp.domain.common.errors import ServiceUnavailable
from srdp.domain.runs.execution_block import IngestedSdm
from srdp.domain.runs.observations import Noticed
from srdp.hooks.ledger.database import Transaction, only


@dataclass(frozen=True)
class Watch:
    """How far the archive was read.

    Attributes:
        first_started_at: when it was first read; what was in the archive by then is history.
        watermark: up to which time of ingestion it was read.
    """

    first_started_at: datetime
    watermark: datetime


class Observations:
    """The tables of execution blocks and of how far they were read, in one transaction.

    Args:
        transaction: the transaction.
        kind: what is made of an execution block, for example ``vla_calibration``.
    """

    def __init__(self, transaction: Transaction, kind: str) -> None:
        self._transaction = transaction
        self._kind = kind

    def watch(self, name: str) -> Watch | None:
        """Return how far the archive was read; None if it was not begun."""
        row = self._transaction.row("observations_watch_read", name=name)
        return None if row is None else Watch(**row)

    def locked_watch(self, name: str) -> Watch:
        """Return how far the archive was read, which nobody else changes meanwhile.

        Raises:
            ServiceUnavailable: it was not begun.
        """
        row = self._transaction.row("observations_watch_lock", name=name)
        if row is None:
            # The table was emptied since; the next try begins again.
            raise ServiceUnavailable(f"The ledger has no watermark for the {name}: trying again sets it.")
        return Watch(**row)

    def begin_watch(self, name: str, first_started_at: datetime, watermark: datetime) -> bool:
        """Record from where on the archive is read; return whether it was not begun before."""
        parameters = {"name": name, "first_started_at": first_started_at, "watermark": watermark}
        return bool(self._transaction.rows("observations_watch_begin", **parameters))

    def move_watch(self, name: str, watermark: datetime) -> None:
        """Record up to where the archive was read; it never goes back."""
        self._transaction.change("observations_watch_move", name=name, watermark=watermark)

    def decided(self, sdms: Sequence[IngestedSdm]) -> dict[str, str]:
        """Return those of some SDMs about which was decided, by name, each with the reason."""
        found = self._transaction.rows("observations_decided", names=[sdm.ledger_key for sdm in sdms])
        return {row["eb_name"]: row["reason"] for row in found}

    def existing_runs(self, sdms: Sequence[IngestedSdm]) -> dict[str, str]:
        """Return the newest run of each execution block that has one, by name."""
        names = [sdm.name for sdm in sdms]
        found = self._transaction.rows("observations_existing_runs", kind=self._kind, names=names)
        return {row["subject"]: row["pipeline_run_id"] for row in found}

    def record(self, noticed: Iterable[Noticed], *, replaced_reason: str | None) -> None:
        """Record decisions; each is made once.

        Args:
            noticed: the execution blocks, each with its decision.
            replaced_reason: decisions with this reason are replaced; None: none are.
        """
        for one in noticed:
            self._transaction.rows(
                "observations_record",
                eb_name=one.sdm.ledger_key,
                locator=one.sdm.locator,
                ingested_at=one.sdm.ingested_at,
                decision=one.verdict.decision,
                reason=one.verdict.reason,
                replaced_reason=replaced_reason,
            )

    def under_way(self, minutes: int) -> int:
        """Return how many calibrations are under way to their delivery, or were started and have no run yet.

        Args:
            minutes: for how long what was started counts without a run.
        """
        return int(only(self._transaction.row("observations_under_way", kind=self._kind, minutes=minutes))["under_way"])

    def to_start(self, places: int) -> list[str]:
        """Return the names of the oldest that were decided to be calibrated and are not started.

        Args:
            places: how many at most.
        """
        found = self._transaction.rows("observations_to_start", kind=self._kind, places=places)
        return [row["eb_name"] for row in found]

    def record_begun(self) -> None:
        """Record as started what has a run already."""
        self._transaction.change("observations_begun", kind=self._kind)

    def record_started(self, name: str, dag_run_id: str) -> None:
        """Record that a calibration was started; a repeat changes nothing."""
        self._transaction.change("observations_started", eb_name=name, dag_run_id=dag_run_id)

    def backlog_started(self, first_started_at: datetime) -> int:
        """Return how many of the backlog were started in the last 24 hours, or are about to be.

        Args:
            first_started_at: what was ingested up to then is the backlog.
        """
        row = only(self._transaction.row("observations_backlog_started", first_started_at=first_started_at))
        return int(row["started"])

    def waiting(self) -> int:
        """Return how many calibrations were decided and are not started."""
        return int(only(self._transaction.row("observations_waiting"))["waiting"])
