"""Fixtures for tests of triggers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from srdp.triggers.work import WorkTrigger


class _Over(BaseException):
    """Ends a trigger that never ends."""


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[float, Any]]]:
    """Lets a trigger look so many times, with pauses that take no time; returns when it fired, in seconds, and what."""

    def do(trigger: WorkTrigger, *, looks: int) -> list[tuple[float, Any]]:
        now, left, fired = 0.0, looks, []

        async def sleep(seconds: float) -> None:
            nonlocal now
            now += seconds

        async def in_no_thread(_trigger: WorkTrigger, work: Callable[..., Any], _now: float) -> object:
            nonlocal left
            if not left:
                raise _Over
            left -= 1
            return work(now)

        async def collect() -> None:
            monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)
            async for event in trigger.run():
                fired.append((now, event.payload))  # noqa: PERF401  what it has fired counts when it is ended

        monkeypatch.setattr("srdp.triggers.work.asyncio.sleep", sleep)
        monkeypatch.setattr(WorkTrigger, "in_its_thread", in_no_thread)
        try:
            asyncio.run(collect())
        except _Over:
            return fired
        raise AssertionError("the trigger ended")

    return do
