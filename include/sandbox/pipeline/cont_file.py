"""``cont.dat``: the frequencies that hold continuum and no line, per field and spectral window.

    Field: M100

    SpectralWindow: 25 X1425361155#ALMA_RB_06#BB_1#SW-01#FULL_RES
    230.1000000000~230.2500000000GHz LSRK
    230.4000000000~230.5000000000GHz LSRK

The window's name may be missing. ``NONE`` in the place of ranges says that there is no continuum, ``ALL`` that there is
nothing else. Analysts edit the file; it is read as the observatory's pipeline reads it, in which whatever is neither a
window nor a range is the name of a field.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path

#: Name of the file in the working directory.
FILE_NAME = "cont.dat"
#: The frames that frequencies can be given in.
FRAMES = ("LSRK", "TOPO")

_RANGE = re.compile(r"([\d.]+)~([\d.]+)\s*(GHz|MHz|kHz|Hz)\s+(\w+)")
_TO_GHZ = {"GHz": 1.0, "MHz": 1e-3, "kHz": 1e-6, "Hz": 1e-9}
_NONE, _ALL = ("NONE",), ("ALL", "ALLCONT")


class ContFileError(Exception):
    """A line of ``cont.dat`` cannot be made out."""


@dataclass(frozen=True)
class FrequencyRange:
    """A range of frequencies.

    Attributes:
        low: its lower end in GHz.
        high: its upper end in GHz.
        frame: one of :data:`FRAMES`.
    """

    low: float
    high: float
    frame: str = "LSRK"


#: Everything is continuum.
EVERYTHING = FrequencyRange(0.0, float("inf"), "TOPO")
#: Ranges by field and spectral window; none where there is no continuum.
Continuum = Mapping[tuple[str, int], tuple[FrequencyRange, ...]]


def read_cont_file(path: Path) -> dict[tuple[str, int], tuple[FrequencyRange, ...]]:
    """Read the file; return nothing if it is not there.

    Args:
        path: the file.

    Raises:
        ContFileError: a line has no meaning where it stands.
    """
    if not path.is_file():
        return {}
    found: dict[tuple[str, int], tuple[FrequencyRange, ...]] = {}
    field, window = "", -1
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        text = line.strip()
        where = f"{path.name}, line {number}: {text[:80]!r}"
        if not text or text.startswith("Flags:"):
            continue
        if text.startswith("SpectralWindow:"):
            window = _window(text, where)
            found[field, window] = ()
        elif text in (*_NONE, *_ALL) or "~" in text:
            if (field, window) not in found:
                raise ContFileError(f"{where} is a range, and no SpectralWindow stands above it.")
            found[field, window] += _ranges(text, where)
        else:
            field, window = text.removeprefix("Field:").strip().strip("\"'"), -1
    return found


def write_cont_file(path: Path, continuum: Continuum, window_names: Mapping[int, str]) -> None:
    """Write the file.

    Args:
        path: the file.
        continuum: the ranges by field and spectral window.
        window_names: the spectral windows' names; one that has none may be missing.
    """
    lines = []
    for field, entries in groupby(continuum.items(), key=lambda entry: entry[0][0]):
        lines += [f"Field: {field}", ""]
        for (_, window), ranges in entries:
            lines.append(f"SpectralWindow: {window} {window_names.get(window, '')}".rstrip())
            lines += [_line(one) for one in ranges] or ["NONE"]
            lines.append("")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def channels_within(frequencies: Iterable[float], ranges: Iterable[FrequencyRange]) -> list[int]:
    """Return the numbers of the channels whose middles are in any of the ranges.

    Args:
        frequencies: middles of the channels in GHz.
        ranges: the ranges, in the same frame.
    """
    ranges = tuple(ranges)
    return [
        number
        for number, frequency in enumerate(frequencies)
        if any(one.low <= frequency <= one.high for one in ranges)
    ]


def runs(channels: Iterable[int]) -> list[tuple[int, int]]:
    """Return the first and the last channel of each run of neighbours.

    Args:
        channels: numbers of channels, each larger than the one before.
    """
    numbers = list(channels)
    breaks = [place for place, (one, other) in enumerate(pairwise(numbers), start=1) if other != one + 1]
    bounds = [0, *breaks, len(numbers)] if numbers else []
    return [(numbers[begin], numbers[end - 1]) for begin, end in pairwise(bounds)]


def selection(channels: Iterable[int]) -> str:
    """Return channels as CASA's selection: ``0~5;18~23``."""
    return ";".join(f"{first}~{last}" for first, last in runs(channels))


def _window(text: str, where: str) -> int:
    words = text.split()
    try:
        return int(words[1])
    except (IndexError, ValueError):
        raise ContFileError(f"{where} names no number of a spectral window.") from None


def _ranges(text: str, where: str) -> tuple[FrequencyRange, ...]:
    if text in _NONE:
        return ()
    if text in _ALL:
        return (EVERYTHING,)
    found = []
    for low, high, unit, frame in _RANGE.findall(text):
        if frame not in FRAMES:
            raise ContFileError(f"{where} is in the frame {frame!r}, which must be one of {', '.join(FRAMES)}.")
        try:
            found.append(FrequencyRange(float(low) * _TO_GHZ[unit], float(high) * _TO_GHZ[unit], frame))
        except ValueError:
            raise ContFileError(f"{where} is no range of frequencies.") from None
    if not found:
        raise ContFileError(f"{where} is no range of frequencies, such as 230.1~230.2GHz LSRK.")
    return tuple(found)


def _line(one: FrequencyRange) -> str:
    return "ALL" if one == EVERYTHING else f"{one.low:.10f}~{one.high:.10f}GHz {one.frame}"
