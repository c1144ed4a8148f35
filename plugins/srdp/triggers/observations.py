"""Watching the archive for new execution blocks, in the triggerer."""

from __future__ import annotations

from typing import ClassVar

from srdp.triggers.work import Look, WorkTrigger


class ObservationTrigger(WorkTrigger):
    """Fires when the archive has something that is not decided, or the ledger something that is not started."""

    again: ClassVar[tuple[float, float]] = (30.0, 300.0)

    def looker(self) -> Look:
        """Return what asks archive and ledger."""
        from srdp.hooks.observations import ObservationWatch
        from srdp.hooks.postgres import connections_kept
        from srdp.settings import load_settings

        def look(_now: float) -> tuple[frozenset[str], float]:
            settings = load_settings()
            with connections_kept(self.connections):
                return ObservationWatch(settings).due(), settings.watch_poll_seconds

        return look
