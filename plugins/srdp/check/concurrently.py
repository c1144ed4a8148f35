"""Asks many systems at once, each for a limited time: one that hangs delays no other."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from srdp.domain.common.errors import ServiceUnavailable, SrdpError, quoted

#: How long one system has for its answer, in seconds, at most.
LIMIT_SECONDS = 15.0
_PROGRESS_SECONDS = 5.0


@dataclass(frozen=True)
class Check:
    """One thing to find out.

    Attributes:
        name: what is checked.
        look: finds it out; returns a sentence, or raises an :class:`SrdpError` with what to set.
        on_silence: what to look at if no answer comes; the end of a sentence.
        seconds: how long it may take.
    """

    name: str
    look: Callable[[], str]
    on_silence: str
    seconds: float


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        name: what was checked.
        is_right: whether it is as it must be.
        sentence: what was found; if it is not right, what to set.
        seconds: how long the answer took.
        may_heal: whether it may be right when it is asked again, with nothing set otherwise.
    """

    name: str
    is_right: bool
    sentence: str
    seconds: float = 0.0
    may_heal: bool = False

    def __str__(self) -> str:
        """Return the finding as one line."""
        return f"{'OK   ' if self.is_right else 'WRONG'} {self.seconds:5.1f} s  {self.name}: {self.sentence}"


def findings(checks: Sequence[Check], report: Callable[[str], None] = lambda _line: None) -> Iterator[Finding]:
    """Look at everything at once, and yield each finding when it is there.

    Each check has a thread of its own. One that does not end in time is left behind: a thread that waits for a file
    system that is away cannot be ended, and does not keep the process from ending.

    Args:
        checks: what to find out; each has another name.
        report: receives a line, every five seconds, that says what is waited for.

    Yields:
        A finding for each check, none later than its check may take.
    """
    answers: queue.SimpleQueue[Finding] = queue.SimpleQueue()
    began = time.monotonic()
    for check in checks:
        threading.Thread(target=_look, args=(check, answers.put), name=f"check {check.name}", daemon=True).start()
    waiting = {check.name: check for check in checks}
    progress = _PROGRESS_SECONDS
    while waiting:
        next_limit = min(check.seconds for check in waiting.values())
        elapsed = time.monotonic() - began
        try:
            finding = answers.get(timeout=max(0.0, min(next_limit, progress) - elapsed))
        except queue.Empty:
            elapsed = time.monotonic() - began
            for check in [check for check in waiting.values() if check.seconds <= elapsed]:
                del waiting[check.name]
                yield _silence(check, elapsed)
            if elapsed >= progress and waiting:
                report(f"...   {elapsed:5.1f} s  waiting for: {', '.join(waiting)}")
                progress += _PROGRESS_SECONDS
        else:
            # An answer that comes too late was reported as a timeout.
            if waiting.pop(finding.name, None) is not None:
                yield finding


def _look(check: Check, answer: Callable[[Finding], None]) -> None:
    began, may_heal = time.monotonic(), False
    try:
        is_right, sentence = True, check.look()
    except SrdpError as problem:
        is_right, sentence, may_heal = False, str(problem), isinstance(problem, ServiceUnavailable)
    except Exception as error:  # noqa: BLE001  whatever a system makes a library raise is a finding about that system
        is_right, sentence = False, f"{type(error).__name__}: {quoted(error, 300)}; {check.on_silence}."
    answer(Finding(check.name, is_right, sentence, time.monotonic() - began, may_heal))


def _silence(check: Check, elapsed: float) -> Finding:
    sentence = f"no answer within {check.seconds:.1f} seconds; {check.on_silence}."
    return Finding(check.name, is_right=False, sentence=sentence, seconds=elapsed, may_heal=True)
