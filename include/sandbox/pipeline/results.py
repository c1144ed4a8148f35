"""What a stage hands back: its score, its numbers, its figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

#: A score that says that the scorer itself failed.
SCORER_FAILED = -0.1


@dataclass(frozen=True)
class Score:
    """How good a stage's result is.

    Attributes:
        value: from 0 to 1; None if the stage had nothing to do on these data.
        reason: why, in one sentence with the number that decided.
    """

    value: float | None
    reason: str

    @property
    def band(self) -> str:
        """The name of the score's band, as the weblog colours it."""
        if self.value is None:
            return "none"
        if self.value <= 0.33:
            return "error"
        if self.value <= 0.66:
            return "warning"
        return "suboptimal" if self.value <= 0.90 else "good"


@dataclass(frozen=True)
class Figure:
    """A picture in the weblog.

    Attributes:
        file: its name in the stage's folder.
        caption: what it shows.
    """

    file: str
    caption: str


@dataclass(frozen=True)
class Table:
    """Numbers in the weblog.

    Attributes:
        title: what they are.
        header: the names of the columns, with units.
        rows: the cells, as text.
    """

    title: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


@dataclass(frozen=True)
class StageResult:
    """What a stage has done.

    Attributes:
        score: computes the score; called after the stage has ended, and may fail without making the stage fail.
        notes: sentences for the weblog.
        tables: numbers for the weblog.
        figures: pictures for the weblog.
    """

    score: Callable[[], Score]
    notes: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()


@dataclass(frozen=True)
class StageRecord:
    """One stage of a run, after it has run.

    Attributes:
        number: its place in the run, from 1.
        task: its name.
        parameters: what the PPR gave it.
        seconds: how long it took.
        score: its score; that of a failed stage is 0.
        result: what it handed back; None if it failed.
        failure: the traceback, if it failed.
        casa_calls: the CASA tasks that it called, as Python calls.
    """

    number: int
    task: str
    parameters: dict[str, object]
    seconds: float
    score: Score
    result: StageResult | None = None
    failure: str = ""
    casa_calls: tuple[str, ...] = field(default=())


def nothing_to_do(reason: str) -> StageResult:
    """Return the result of a stage that finds nothing on these data that it could work on."""
    return StageResult(score=lambda: Score(None, reason), notes=(reason,))


def falling(value: float, *, good: float, bad: float) -> float:
    """Return 1 up to ``good``, 0 from ``bad`` on, and what is on the line between them.

    Args:
        value: the measured value; the smaller, the better.
        good: up to here the score is 1.
        bad: from here on the score is 0.
    """
    return min(1.0, max(0.0, (bad - value) / (bad - good)))
