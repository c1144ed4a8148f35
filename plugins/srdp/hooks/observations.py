"""The memory of ``watch_observations``: which execution blocks are new, and what was decided about each.

The archive has what there is, the ledger what is known. A decision is committed to the ledger before anything is
started, and a calibration has a DAG run id that follows from the EB's name: killed anywhere, the next look finds what
was decided and not started, and starting again starts nothing twice.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from srdp.domain.common.errors import ServiceUnavailable
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
from srdp.hooks.ledger.database import Transaction
from srdp.hooks.ledger.observations import Observations, Watch
from srdp.hooks.postgres import repeated, transaction

if TYPE_CHECKING:
    from srdp.settings import Settings

_T = TypeVar("_T")

_NEW = "new observations"
_BACKLOG_PAGE = 500
_WHAT = "The ledger's database"
# A DAG run opens its run within seconds; what has none after so long keeps no place.
_OPENED_WITHIN_MINUTES = 10


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

    def begin(self) -> None:
        """Set the watermark to the present if it was never set; what is in the archive by then is history.

        Raises:
            ServiceUnavailable: the archive or the ledger cannot be reached.
            SettingsError: a Connection or a statement is wrong.
        """
        if self._transact(lambda observations: observations.watch(_NEW)) is not None:
            return
        now = self._archive.now()
        sdms = self._archive.ingested_since(now - LONGEST_OVERLAP).sdms
        history = decide_history(sdm for sdm in sdms if sdm.ingested_at <= now)

        def work(observations: Observations) -> None:
            if observations.begin_watch(_NEW, now, now):
                observations.record(history, replaced_reason=None)

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
        decided = self._transact(lambda observations: observations.decided(sdms)) if sdms else {}
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

        def work(observations: Observations) -> list[Noticed]:
            watch = observations.locked_watch(_NEW)
            found = self._archive.ingested_since(self._look_from(watch.watermark))
            noticed = decide(
                found.sdms,
                decided=observations.decided(found.sdms),
                existing_runs=observations.existing_runs(found.sdms),
            )
            observations.record(noticed, replaced_reason=None)
            observations.move_watch(_NEW, found.asked_at)
            return noticed + self._decide_backlog(observations, watch)

        noticed = self._transact(work)
        beat(self._settings, WATCH)
        return noticed

    def to_start(self) -> list[ExecutionBlockName]:
        """Return the execution blocks whose calibration was decided and is to be started now, oldest first.

        They are as many as there are places. What has a run already, because somebody could not wait, say, is recorded
        as started and not among them.
        """

        def work(observations: Observations) -> list[ExecutionBlockName]:
            observations.record_begun()
            return [execution_block_name(name) for name in self._to_start(observations)]

        return self._transact(work)

    def waiting(self) -> int:
        """Return how many calibrations were decided and are not started."""
        return self._transact(lambda observations: observations.waiting())

    def mark_started(self, name: ExecutionBlockName, dag_run_id: str) -> None:
        """Record that an execution block's calibration was started; a repeat changes nothing.

        Args:
            name: the execution block.
            dag_run_id: the DAG run that calibrates it.
        """
        self._transact(lambda observations: observations.record_started(name, dag_run_id))

    # What due and decide are made of

    def _view(self, observations: Observations) -> _View | None:
        watch = observations.watch(_NEW)
        if watch is None:
            return None
        date = self._settings.watch_backlog_from
        backlog = None
        if date and self._allowance(observations, watch) > 0:
            begun = observations.watch(self._backlog)
            backlog = (begun.watermark if begun else backlog_start(date), watch.first_started_at)
        to_start = frozenset(f"block {name}" for name in self._to_start(observations))
        return _View(watch.watermark, to_start, backlog)

    def _look_from(self, watermark: datetime) -> datetime:
        return look_from(watermark, self._settings.watch_overlap_minutes)

    def _decide_backlog(self, observations: Observations, watch: Watch) -> list[Noticed]:
        date = self._settings.watch_backlog_from
        if not date:
            return []
        observations.begin_watch(self._backlog, watch.first_started_at, backlog_start(date))
        reached = observations.locked_watch(self._backlog).watermark
        noticed: list[Noticed] = []
        while (allowance := self._allowance(observations, watch)) > 0:
            sdms = self._archive.ingested_between(reached, watch.first_started_at, at_least=_BACKLOG_PAGE)
            if not sdms:
                break
            page = decide_backlog(
                sdms,
                date=date,
                allowance=allowance,
                decided=observations.decided(sdms),
                existing_runs=observations.existing_runs(sdms),
            )
            observations.record(page.noticed, replaced_reason=HISTORY)
            noticed += page.noticed
            reached = page.reached
        observations.move_watch(self._backlog, reached)
        return noticed

    @property
    def _backlog(self) -> str:
        # Another date is another backlog, which begins at its own beginning.
        return f"backlog from {self._settings.watch_backlog_from}"

    def _to_start(self, observations: Observations) -> list[str]:
        places = self._settings.watch_runs_at_once - observations.under_way(_OPENED_WITHIN_MINUTES)
        return observations.to_start(max(0, places))

    def _allowance(self, observations: Observations, watch: Watch) -> int:
        started = observations.backlog_started(watch.first_started_at)
        return max(0, self._settings.watch_backlog_per_day - started)

    def _transact(self, work: Callable[[Observations], _T]) -> _T:
        def attempt() -> _T:
            with transaction(self._settings.ledger_connection, what=_WHAT) as cursor:
                return work(Observations(Transaction(cursor, self._settings), VLA.kind))

        return repeated(attempt)
