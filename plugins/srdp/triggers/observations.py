"""Waiting for the archive to show something new, in the triggerer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from srdp.domain.errors import ServiceUnavailable, SettingsError
from srdp.hooks.observations import ObservationWatch
from srdp.settings import load_settings

NEW = "new"
QUIET = "quiet"
WRONG_SETTING = "wrong setting"

_FIRST_PAUSE_SECONDS = 2.0
# Not longer: an execution block is to be noticed within 30 s as soon as the servers are back.
_LONGEST_PAUSE_SECONDS = 20.0


class ObservationTrigger(BaseTrigger):
    """Asks archive and ledger again and again until there is something to decide or to start.

    It fires one event: ``{"status": "new"}``; ``{"status": "quiet"}`` when its time is over; or ``{"status": "wrong
    setting", "sentence": ...}``. Servers that cannot be reached are waited for, and named in the log.

    Args:
        until: when to give up, as an ISO 8601 time with its zone. It survives a restart of the triggerer.
    """

    def __init__(self, *, until: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.until = until

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Returns what the triggerer makes this trigger again from."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {"until": self.until}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Polls, and yields one event."""
        until = datetime.fromisoformat(self.until)
        failures = 0
        while datetime.now(UTC) < until:
            try:
                settings = load_settings()
                # psycopg blocks: not in the loop, where every other trigger would wait with it.
                if await asyncio.to_thread(ObservationWatch(settings).has_work):
                    yield TriggerEvent({"status": NEW})  # type: ignore[no-untyped-call]
                    return
                pause = settings.watch_poll_seconds
                failures = 0
            except ServiceUnavailable as error:
                pause = min(_FIRST_PAUSE_SECONDS * 2**failures, _LONGEST_PAUSE_SECONDS)
                failures += 1
                self.log.warning("%s Asking again in %.0f s.", error, pause)
            except SettingsError as error:
                yield TriggerEvent({"status": WRONG_SETTING, "sentence": str(error)})  # type: ignore[no-untyped-call]
                return
            await asyncio.sleep(pause)
        yield TriggerEvent({"status": QUIET})  # type: ignore[no-untyped-call]
