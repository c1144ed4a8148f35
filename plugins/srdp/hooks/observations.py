"""The memory of ``watch_observations``: which execution blocks are new, and what was decided about each.

The archive says what there is, the ledger what is known. A decision is committed to the ledger before anything is
started, and a calibration has a DAG run id that follows from the EB's name: killed anywhere, the next look finds what
was decided and not started, and starting again starts nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from srdp.domain.common.errors import ServiceUnavailable
from srdp.domain.runs.execution_block import IngestedSdm
from srdp.domain.runs.identifiers import ExecutionBlockName, execution_block_name
from srdp.domain.runs.observations import (
    HISTORY,
    LONGEST_OVERLAP,
    Noticed,
    backlog_start,
    decide,
    decide_backlog,
    decide_history,
    look_from,
)
from srdp.families import VLA
from srdp.hooks.archive import ArchiveHook
from srdp.hooks.heartbeat import ARCHIVE_ASKED, WATCH, beat
from srdp.hooks.postgres import Cursor, repeated, rows, transaction

if TYPE_CHECKING:
    from srdp.settings import Settings

_T = TypeVar("_T")

_NEW = "new observations"
_BACKLOG_PAGE = 500
_WHAT = "The ledger's database"
# A DAG run opens its run within seconds; what has none after so long keeps no place.
_OPENED_WITHIN_MINUTES = 10


@dataclass(frozen=True)
class _Watch:
    """A row of ``observation_watch``."""

    first_started_at: datetime
    watermark: datetime


@dataclass(frozen=True)
class _View:
    """What the ledger knows at one moment.

    Attributes:
        watermark: of what is new.
        to_start: the names of the execution blocks whose calibration was decided and may be started now.
        backlog: the span of ingestion times that is left of the backlog; None if none may be started now.
    """

    watermark: datetime
    to_start: frozenset[str]
    backlog: tuple[datetime, datetime] | None


class ObservationWatch:
    """Finds what is new in the archive, decides about it once, and remembers what was started.

    Args:
        settings: the Connections, the watch's limits, and where the statements are.

    Note:
        The archive's clock decides what is new, not this machine's. A row that is committed later than the overlap
        (24 hours at most) after its time of ingestion is not noticed.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._archive = ArchiveHook(settings)
        self._statements = settings.sql / "ledger"

    def begin(self) -> None:
        """Set the watermark to the present if it was never set; what is in the archive by then is history.

        Raises:
            ServiceUnavailable: the archive or the ledger cannot be reached.
            SettingsError: a Connection or a statement is wrong.
        """
        if self._transact(lambda cursor: self._watch(cursor, _NEW)) is not None:
            return
        now = self._archive.now()
        sdms = self._archive.ingested_since(now - LONGEST_OVERLAP).sdms
        history = decide_history(sdm for sdm in sdms if sdm.ingested_at <= now)

        def work(cursor: Cursor) -> None:
            if self._begin_watch(cursor, _NEW, now, now):
                self._record(cursor, history, replaced_reason=None)

        self._transact(work)

    def due(self) -> frozenset[str]:
        """Return what there is to decide or to start, by name; only the first start and a sign of life are written.

        What waits for a place is not named: it is to be started when there is one.

        Raises:
            ServiceUnavailable: the archive or the ledger cannot be reached.
            SettingsError: a Connection or a statement is wrong.
        """
        view = self._transact(self._view)
        if view is None:
            self.begin()
            return frozenset()
        try:
            due = view.to_start | self._undecided(view)
        except ServiceUnavailable:
            if not view.to_start:
                raise
            return view.to_start  # what was decided is started without the archive
        beat(self._settings, ARCHIVE_ASKED)
        return due

    def _undecided(self, view: _View) -> frozenset[str]:
        sdms = self._archive.ingested_since(self._look_from(view.watermark)).sdms
        decided = self._transact(lambda cursor: self._decided(cursor, sdms)) if sdms else {}
        names = {f"block {sdm.ledger_key}" for sdm in sdms if sdm.ledger_key not in decided}
        if view.backlog is not None and self._archive.ingested_between(*view.backlog, at_least=1):
            names.add("backlog")
        return frozenset(names)

    def decide(self) -> list[Noticed]:
        """Decides about everything that is new, in one transaction of the ledger, and returns what was decided.

        Raises:
            ServiceUnavailable: the archive or the ledger cannot be reached.
            SettingsError: a Connection or a statement is wrong.
        """
        self.begin()

        def work(cursor: Cursor) -> list[Noticed]:
            watch = self._locked_watch(cursor, _NEW)
            found = self._archive.ingested_since(self._look_from(watch.watermark))
            noticed = decide(
                found.sdms, decided=self._decided(cursor, found.sdms), existing_runs=self._runs(cursor, found.sdms)
            )
            self._record(cursor, noticed, replaced_reason=None)
            self._move(cursor, _NEW, found.asked_at)
            return noticed + self._decide_backlog(cursor, watch)

        noticed = self._transact(work)
        beat(self._settings, WATCH)
        return noticed

    def to_start(self) -> list[ExecutionBlockName]:
        """Return the execution blocks whose calibration was decided and is to be started now, oldest first.

        They are as many as there are places. What has a run already, because somebody could not wait, say, is recorded
        as started and not among them.
        """

        def work(cursor: Cursor) -> list[ExecutionBlockName]:
            rows(cursor, self._statements, "observations_begun", {"kind": VLA.kind})
            return [execution_block_name(name) for name in self._to_start(cursor)]

        return self._transact(work)

    def waiting(self) -> int:
        """Return how many calibrations were decided and are not started."""
        (found,) = self._transact(lambda cursor: rows(cursor, self._statements, "observations_waiting"))
        return int(found["waiting"])

    def mark_started(self, name: ExecutionBlockName, dag_run_id: str) -> None:
        """Record that an execution block's calibration was started; a repeat changes nothing.

        Args:
            name: the execution block.
            dag_run_id: the DAG run that calibrates it.
        """
        parameters = {"eb_name": name, "dag_run_id": dag_run_id}
        self._transact(lambda cursor: rows(cursor, self._statements, "observations_started", parameters))

    # What due and decide are made of

    def _view(self, cursor: Cursor) -> _View | None:
        watch = self._watch(cursor, _NEW)
        if watch is None:
            return None
        date = self._settings.watch_backlog_from
        backlog = None
        if date and self._allowance(cursor, watch) > 0:
            begun = self._watch(cursor, self._backlog)
            backlog = (begun.watermark if begun else backlog_start(date), watch.first_started_at)
        to_start = frozenset(f"block {name}" for name in self._to_start(cursor))
        return _View(watch.watermark, to_start, backlog)

    def _look_from(self, watermark: datetime) -> datetime:
        return look_from(watermark, self._settings.watch_overlap_minutes)

    def _decide_backlog(self, cursor: Cursor, watch: _Watch) -> list[Noticed]:
        date = self._settings.watch_backlog_from
        if not date:
            return []
        self._begin_watch(cursor, self._backlog, watch.first_started_at, backlog_start(date))
        reached = self._locked_watch(cursor, self._backlog).watermark
        noticed: list[Noticed] = []
        while (allowance := self._allowance(cursor, watch)) > 0:
            sdms = self._archive.ingested_between(reached, watch.first_started_at, at_least=_BACKLOG_PAGE)
            if not sdms:
                break
            page = decide_backlog(
                sdms,
                date=date,
                allowance=allowance,
                decided=self._decided(cursor, sdms),
                existing_runs=self._runs(cursor, sdms),
            )
            self._record(cursor, page.noticed, replaced_reason=HISTORY)
            noticed += page.noticed
            reached = page.reached
        self._move(cursor, self._backlog, reached)
        return noticed

    @property
    def _backlog(self) -> str:
        # Another date is another backlog, which begins at its own beginning.
        return f"backlog from {self._settings.watch_backlog_from}"

    # One statement each

    def _transact(self, work: Callable[[Cursor], _T]) -> _T:
        def attempt() -> _T:
            with transaction(self._settings.ledger_connection, what=_WHAT) as cursor:
                return work(cursor)

        return repeated(attempt)

    def _watch(self, cursor: Cursor, name: str) -> _Watch | None:
        found = rows(cursor, self._statements, "observations_watch_read", {"name": name})
        return _Watch(**found[0]) if found else None

    def _locked_watch(self, cursor: Cursor, name: str) -> _Watch:
        found = rows(cursor, self._statements, "observations_watch_lock", {"name": name})
        if not found:
            # The table was emptied since; the next try begins again.
            raise ServiceUnavailable(f"The ledger has no watermark for the {name}: trying again sets it.")
        return _Watch(**found[0])

    def _begin_watch(self, cursor: Cursor, name: str, first_started_at: datetime, watermark: datetime) -> bool:
        parameters = {"name": name, "first_started_at": first_started_at, "watermark": watermark}
        return bool(rows(cursor, self._statements, "observations_watch_begin", parameters))

    def _move(self, cursor: Cursor, name: str, watermark: datetime) -> None:
        rows(cursor, self._statements, "observations_watch_move", {"name": name, "watermark": watermark})

    def _decided(self, cursor: Cursor, sdms: Sequence[IngestedSdm]) -> dict[str, str]:
        names = [sdm.ledger_key for sdm in sdms]
        found = rows(cursor, self._statements, "observations_decided", {"names": names})
        return {row["eb_name"]: row["reason"] for row in found}

    def _runs(self, cursor: Cursor, sdms: Sequence[IngestedSdm]) -> dict[str, str]:
        parameters = {"kind": VLA.kind, "names": [sdm.name for sdm in sdms]}
        found = rows(cursor, self._statements, "observations_existing_runs", parameters)
        return {row["subject"]: row["pipeline_run_id"] for row in found}

    def _to_start(self, cursor: Cursor) -> list[str]:
        parameters: dict[str, object] = {"kind": VLA.kind, "minutes": _OPENED_WITHIN_MINUTES}
        (found,) = rows(cursor, self._statements, "observations_under_way", parameters)
        places = max(0, self._settings.watch_runs_at_once - int(found["under_way"]))
        parameters = {"kind": VLA.kind, "places": places}
        return [row["eb_name"] for row in rows(cursor, self._statements, "observations_to_start", parameters)]

    def _allowance(self, cursor: Cursor, watch: _Watch) -> int:
        parameters = {"first_started_at": watch.first_started_at}
        (found,) = rows(cursor, self._statements, "observations_backlog_started", parameters)
        return max(0, self._settings.watch_backlog_per_day - int(found["started"]))

    def _record(self, cursor: Cursor, noticed: Iterable[Noticed], *, replaced_reason: str | None) -> None:
        for one in noticed:
            parameters = {
                "eb_name": one.sdm.ledger_key,
                "locator": one.sdm.locator,
                "ingested_at": one.sdm.ingested_at,
                "decision": one.verdict.decision,
                "reason": one.verdict.reason,
                "replaced_reason": replaced_reason,
            }
            rows(cursor, self._statements, "observations_record", parameters)
