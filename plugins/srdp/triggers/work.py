"""Watching, in the triggerer, for work that is due: a DAG is started when there is some, and not before."""

from __future__ import annotations

import asyncio
import contextvars
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, Final

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from srdp.domain.common.errors import ServiceUnavailable, SettingsError

_FIRST_PAUSE_SECONDS: Final = 2.0
# Not longer: an execution block is to be noticed within 30 s as soon as the servers are back.
_LONGEST_PAUSE_SECONDS: Final = 20.0
_LOOKS_BETWEEN_WARNINGS: Final = 20
#: Returns what is due, and after how many seconds to look again. It is called in a thread, with the time in seconds by
#: a clock that nobody sets. Each piece of work is named by its kind, a blank and what distinguishes it. It may raise
#: all.
Look = Callable[[float], tuple[frozenset[str], float]]
# What cannot be looked at for so long is shown to people: the DAG is started, and its tasks are red.
_AWAY_SECONDS: Final = 300.0


class Rhythm:
    """When a DAG is started for what is due: at once for what is new, again and again, but seldom, for what stays due.

    So nothing waits behind something that fails each time, and what fails each time makes no hot loop.

    Args:
        first_pause: seconds after which the same work is asked for again; each further pause is twice as long.
        longest_pause: no pause is longer, in seconds.
    """

    def __init__(self, first_pause: float, longest_pause: float) -> None:
        self._first_pause = first_pause
        self._longest_pause = longest_pause
        self._pause = first_pause
        self._known: frozenset[str] = frozenset()
        self._fired_at = 0.0

    def is_to_start(self, due: frozenset[str], now: float) -> bool:
        """Return whether the DAG is to be started now.

        Args:
            due: what is due; each piece of work has the same name from one look to the next.
            now: the time, in seconds, by a clock that nobody sets.
        """
        new, self._known = due - self._known, due
        if new:
            self._pause = self._first_pause
        elif due and now >= self._fired_at + self._pause:
            self._pause = min(2 * self._pause, self._longest_pause)
        else:
            return False
        self._fired_at = now
        return True


class WorkTrigger(BaseEventTrigger):
    """Check repeatedly whether there is work, and fire each time the DAG is to be started.

    It is the watcher of an asset, so it runs for as long as its DAG is there and is not paused: no task waits, no DAG
    run is open, nothing is written while nothing is due. It never ends by itself, whatever fails, because Airflow would
    start it again at once. It asks no clock that somebody can set.

    It looks in a thread of its own: it waits for nothing else in the triggerer, and nothing else waits for a look at a
    file system that hangs.

    An event holds only which kinds of work are due: the tasks of the DAG look themselves.

    Attributes:
        again: the first and the longest pause, in seconds, after which the DAG is started again for what stays due.
        connections: those to databases, which are kept from one look to the next.
    """

    again: ClassVar[tuple[float, float]]

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.connections: dict[str, Any] = {}
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=type(self).__name__)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the triggerer makes this trigger again from."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {}

    @abstractmethod
    def looker(self) -> Look:
        """Import what looking needs, and return what looks.

        The DAG file that names this trigger does not pay for these imports, and threads of two triggers that import the
        same at once do not stop each other.
        """

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Check forever; yield an event each time the DAG is to be started."""
        clock = asyncio.get_running_loop().time
        rhythm = Rhythm(*self.again)
        failures, since = 0, 0.0
        while True:
            try:
                due, pause = await self.in_its_thread(self.looker(), clock())
                failures = 0
            except Exception as error:  # noqa: BLE001  one that ends it would be raised again at once, and again
                since = since if failures else clock()
                pause = min(_FIRST_PAUSE_SECONDS * 2 ** min(failures, 10), _LONGEST_PAUSE_SECONDS)
                if failures % _LOOKS_BETWEEN_WARNINGS == 0:
                    self._warn(error, pause)
                failures += 1
                due = self._shown(error, clock() - since)
            if rhythm.is_to_start(due, clock()):
                yield TriggerEvent({"due": sorted({work.partition(" ")[0] for work in due})})  # type: ignore[no-untyped-call]
            await asyncio.sleep(pause)

    async def in_its_thread(self, look: Look, now: float) -> tuple[frozenset[str], float]:
        """Return what a look finds, made in this trigger's thread.

        Args:
            look: looks.
            now: the time, in seconds, by a clock that nobody sets.
        """
        # Whose log it is stated in is in the context.
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._thread, context.run, look, now)

    async def cleanup(self) -> None:
        """Close the connections, and let the thread end."""
        self._thread.shutdown(wait=False, cancel_futures=True)
        for connection in self.connections.values():
            connection.close()

    def _warn(self, error: Exception, pause: float) -> None:
        if isinstance(error, ServiceUnavailable | SettingsError):
            self.log.warning("%s Looking again in %.0f s.", error, pause)
        else:
            self.log.error("%s could not look; looking again in %.0f s.", type(self).__name__, pause, exc_info=error)

    @staticmethod
    def _shown(error: Exception, lasts: float) -> frozenset[str]:
        """Return why the DAG is started although the check failed: its tasks then show the failure."""
        if isinstance(error, ServiceUnavailable):
            return frozenset({"outage"}) if lasts >= _AWAY_SECONDS else frozenset()
        # Not by its words, which may differ each time.
        return frozenset({f"fault {type(error).__name__}"})
