"""How a figure is taken: ours and a rival's in turn, in rotated order, until both have as many rounds.

A module of this package that measures something has a tuple ``CASES``; ``python -m bench`` finds it by itself::

    @contextmanager
    def arranged(options: Options) -> Iterator[Sides]:
        ...                                            # servers, files: made once, not timed
        yield Sides(ours=ours, rival=rival)            # each called once a round, and timed

    CASES = (Case(arranged, (Figure("fetch-large", "fetch, 1 file of 2 GB", "curl, then sync", goal=1.1),)),)

A side that takes its figures by itself, or several at once, returns them by the figures' names; of one that returns
nothing the seconds that it took count. Lower is better, always.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

Round = Callable[[], Mapping[str, float] | None]
_ROUNDS = 5
_QUICK_ROUNDS = 2


@dataclass(frozen=True)
class Options:
    """The options of the benchmarks.

    Attributes:
        place: a directory that a case may fill, on the disk that counts.
        quick: whether to try the case with little data and few rounds: nothing that is kept.
        ngas: the server, ``host:port``, that takes the sandbox's place where one is wanted; None for the sandbox's.
    """

    place: Path
    quick: bool = False
    ngas: str | None = None


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        name: what it is called on the command line and in the table; different from every other one's.
        what: what is measured of ours.
        against: what it is compared with; empty if it is held to a number.
        goal: the highest ratio of ours to the rival's; without a rival, the highest value.
        unit: of both sides.
    """

    name: str
    what: str
    against: str
    goal: float
    unit: str = "s"


def settle() -> None:
    """Let neither side pay for what was not yet written when it began."""
    os.sync()


@dataclass(frozen=True)
class Sides:
    """What a case compares.

    Attributes:
        ours: does it once.
        rival: does it once in the rival's way; None if the figures are held to numbers.
        before: called before each of them, not timed.
    """

    ours: Round
    rival: Round | None = None
    before: Callable[[], None] = settle


@dataclass(frozen=True)
class Case:
    """Figures that are taken together.

    Attributes:
        arrange: makes what both sides need, and removes it.
        figures: what is taken.
        rounds: how many count.
        warm_up: how many are done before, and do not count.
        asked_for: whether it is done only when it is named.
    """

    arrange: Callable[[Options], AbstractContextManager[Sides]]
    figures: tuple[Figure, ...]
    rounds: int = _ROUNDS
    warm_up: int = 1
    asked_for: bool = False


@dataclass
class Result:
    """The raw values of a figure, round by round.

    Attributes:
        figure: what was measured.
        ours: ours.
        rival: the rival's, in the same rounds; empty without one.
        load: the machine's load when it began: of others, as far as nothing else ran before.
    """

    figure: Figure
    ours: list[float] = field(default_factory=list)
    rival: list[float] = field(default_factory=list)
    load: float = 0.0

    @property
    def judged(self) -> list[float]:
        """What is held to the goal, round by round: the ratio of what was measured close to each other, or ours."""
        if not self.rival:
            return self.ours
        return [ours / rival for ours, rival in zip(self.ours, self.rival, strict=True)]

    @property
    def value(self) -> float:
        """The median of what is held to the goal."""
        return statistics.median(self.judged)

    @property
    def is_met(self) -> bool:
        """Whether the goal is reached by the figure itself, not by what is shown of it."""
        return self.value <= self.figure.goal


def take(
    case: Case, options: Options, *, rounds: int | None = None, report: Callable[[str], None] = print
) -> list[Result]:
    """Take a case's figures.

    Args:
        case: the case.
        options: passed to it.
        rounds: how many rounds count, in place of the case's own number.
        report: is given a line for each round.
    """
    rounds = rounds or (min(_QUICK_ROUNDS, case.rounds) if options.quick else case.rounds)
    results = {figure.name: Result(figure, load=os.getloadavg()[0]) for figure in case.figures}
    with case.arrange(options) as sides:
        for number in range(-case.warm_up, rounds):
            values = _once(sides, case.figures, rival_first=number % 2 == 1)
            for name, result in results.items():
                report(_line(number, result.figure, values[name]))
                if number >= 0:
                    result.ours.append(values[name][0])
                    result.rival += values[name][1:]
    return list(results.values())


def _once(sides: Sides, figures: Sequence[Figure], *, rival_first: bool) -> dict[str, list[float]]:
    """Take ours and the rival's once; return by figure ours, then the rival's."""
    rounds = [sides.ours] if sides.rival is None else [sides.ours, sides.rival]
    order = list(reversed(range(len(rounds)))) if rival_first else list(range(len(rounds)))
    values: dict[int, Mapping[str, float]] = {}
    for side in order:
        sides.before()
        began = time.perf_counter()
        taken = rounds[side]()
        seconds = time.perf_counter() - began
        values[side] = {figures[0].name: seconds} if taken is None else taken
    # Of several figures that are taken together some may be held to a number: the rival has none of them.
    sides_of = {f.name: [side for side in range(len(rounds)) if side == 0 or f.name in values[side]] for f in figures}
    return {name: [values[side][name] for side in sides] for name, sides in sides_of.items()}


def _line(number: int, figure: Figure, values: Sequence[float]) -> str:
    begin = f"{figure.name}, {'warm-up' if number < 0 else f'round {number + 1}'}: ours {values[0]:.3f} {figure.unit}"
    if len(values) == 1:
        return begin
    return f"{begin}, rival {values[1]:.3f} {figure.unit}, ratio {values[0] / values[1]:.2f}"
