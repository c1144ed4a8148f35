"""Pauses between two looks at a job that are over as soon as the process that watches over it has ended."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import IO, Self

# Of one triggerer: each needs an open file, of which a process has a thousand, and many of which are others'.
_MOST_WATCHED = 100
_WATCHED: set[Pauses] = set()


class Pauses:
    """Pauses that the end of a process cuts short, if one is being watched.

    That it has ended is no more than a reason to look now: its number may have been another process's by then.
    """

    def __init__(self) -> None:
        self._process: IO[bytes] | None = None
        self._ended = asyncio.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._unwatch()

    @property
    def can_watch(self) -> bool:
        """Whether one more process may be watched in this triggerer."""
        return len(_WATCHED) < _MOST_WATCHED

    def watch(self, process: IO[bytes]) -> None:
        """Let the end of a process cut the pauses short.

        Args:
            process: becomes readable at its end; it is closed here.
        """
        self._unwatch()
        self._process = process
        _WATCHED.add(self)
        asyncio.get_running_loop().add_reader(process, self._end)

    async def wait(self, seconds: float) -> None:
        """Wait for so many seconds, or for the end of the process, which cuts one pause short."""
        if self._process is None and not self._ended.is_set():
            await asyncio.sleep(seconds)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ended.wait()
        self._ended.clear()

    def _end(self) -> None:
        self._unwatch()
        self._ended.set()

    def _unwatch(self) -> None:
        if self._process is not None:
            asyncio.get_running_loop().remove_reader(self._process)
            self._process.close()
            self._process = None
            _WATCHED.discard(self)
