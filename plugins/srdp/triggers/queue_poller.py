"""One question to a batch system for all the triggers of a process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from weakref import WeakKeyDictionary

from srdp.engines import Queue


@dataclass(frozen=True)
class _Asked:
    at: float
    answer: asyncio.Future[Queue]


_LAST: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, _Asked]] = WeakKeyDictionary()


async def queue_of(engine: str, ask: Callable[[], Queue], seconds: float) -> Queue:
    """Return what an engine's queue says: a recent answer, or that of a query under way.

    It is asked in a thread of its own: a batch system that hangs holds up neither the triggerer's loop nor the threads
    in which other triggers look at their jobs.

    Args:
        engine: the engine's name.
        ask: asks it.
        seconds: how old the answer may be.
    """
    loop = asyncio.get_running_loop()
    last = _LAST.setdefault(loop, {})
    asked = last.get(engine)
    if asked is None or (asked.answer.done() and loop.time() - asked.at >= seconds):
        asked = last[engine] = _Asked(loop.time(), loop.run_in_executor(_thread(engine), ask))
    # A trigger that is cancelled takes the answer from no other one.
    return await asyncio.shield(asked.answer)


@cache
def _thread(engine: str) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"queue-{engine}")
