"""What is known of the observation that a selection selects from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

SPEED_OF_LIGHT_M_S: Final = 299_792_458.0


@dataclass(frozen=True)
class Window:
    """A spectral window.

    Attributes:
        name: its name; empty if it has none.
        channels: how many it has.
        lowest_hz: its lower edge (Hz, as observed).
        highest_hz: its upper edge (Hz, as observed).
    """

    name: str
    channels: int
    lowest_hz: float
    highest_hz: float


@dataclass(frozen=True)
class Observed:
    """What is known of the observation that is selected from; empty means unknown.

    Attributes:
        start: when it began (UTC); None if that is not known.
        end: when it ended (UTC); likewise.
        antennas: the names of its antennas, for example ``ea01``, in the order of their numbers.
        stations: pairs of an antenna and the pad on which it stood.
        fields: the names of its fields, in the order of their numbers; several may have the same name.
        scans: the numbers of its scans.
        windows: its spectral windows.
        windows_in_order: whether these are in the order of their numbers.
        intents: the intents of its scans, as a measurement set has them: those of one scan with commas between them.
        correlations: its correlations, for example ``RR``.
        observations: how many observations there are, whose numbers begin with 0.
        longest_baseline_m: how far apart two antennas can be seen at most (m).
    """

    start: datetime | None = None
    end: datetime | None = None
    antennas: tuple[str, ...] = ()
    stations: tuple[tuple[str, str], ...] = ()
    fields: tuple[str, ...] = ()
    scans: tuple[int, ...] = ()
    windows: tuple[Window, ...] = ()
    windows_in_order: bool = False
    intents: tuple[str, ...] = ()
    correlations: tuple[str, ...] = ()
    observations: int = 0
    longest_baseline_m: float = 0.0


_T = TypeVar("_T")


def observed_together(observations: Iterable[Observed]) -> Observed:
    """Return what is known of several observations that are selected from by one file.

    Args:
        observations: each of them; what one does not know is not known of all.
    """
    each = tuple(observations)
    if not each:
        return Observed()
    starts, ends = ([getattr(one, name) for one in each] for name in ("start", "end"))
    return Observed(
        start=None if None in starts else min(starts),
        end=None if None in ends else max(ends),
        antennas=_united([one.antennas for one in each]),
        stations=_united([one.stations for one in each]),
        fields=_longest_first([one.fields for one in each]),
        scans=_united([one.scans for one in each]),
        windows=_longest_first([one.windows for one in each]),
        windows_in_order=all(one.windows_in_order for one in each) and len({one.windows for one in each}) == 1,
        intents=_united([one.intents for one in each]),
        correlations=_united([one.correlations for one in each]),
        observations=_greatest([one.observations for one in each]),
        longest_baseline_m=_greatest([one.longest_baseline_m for one in each]),
    )


def _united(parts: Sequence[tuple[_T, ...]]) -> tuple[_T, ...]:
    return tuple(dict.fromkeys(item for part in parts for item in part)) if all(parts) else ()


def _longest_first(parts: Sequence[tuple[_T, ...]]) -> tuple[_T, ...]:
    """Return a list that has as many numbers as the longest at least, and every item of each."""
    longest = max(parts, key=len)
    return longest + tuple(item for item in _united(parts) if item not in longest) if all(parts) else ()


def _greatest(values: Sequence[float]) -> int:
    return int(max(values)) if all(values) else 0
