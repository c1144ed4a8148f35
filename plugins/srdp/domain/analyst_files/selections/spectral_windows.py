"""The selection of spectral windows, frequencies and channels."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Sequence
from typing import Final

from srdp.domain.analyst_files.selections.observed import Observed, Window
from srdp.domain.analyst_files.selections.syntax import (
    INTEGER,
    RANGE,
    REAL,
    Fault,
    beyond_count,
    empty_piece,
    known_names,
    number_of,
    numbers_in,
    pieces,
    reversed_range,
)

_HZ: Final = {"Hz": 1.0, "kHz": 1e3, "MHz": 1e6, "GHz": 1e9, "THz": 1e12}
_UNIT = f"(?:{'|'.join(_HZ)})"
_FREQUENCIES = re.compile(rf"(?P<low>{REAL}) *(?P<first>{_UNIT})? *~ *(?P<high>{REAL}) *(?P<unit>{_UNIT})")
_FREQUENCY = re.compile(rf"(?P<low>{REAL}) *(?P<unit>{_UNIT})")
_FREQUENCY_BOUND = re.compile(rf"(?P<sign>[<>]) *(?P<low>{REAL}) *(?P<unit>{_UNIT})")
_WINDOW_BOUND = re.compile(r"(?P<sign>[<>]) *(?P<number>[0-9]+)")
_WINDOW_NAME = re.compile(r"[A-Za-z_*?][A-Za-z0-9_#*?.\- ]*")
_CHANNELS = re.compile(r"[0-9]+(?: *~ *[0-9]+ *(?:\^ *[0-9]+)?)?|\^ *[0-9]+")


def spectral_window_faults(text: str, observed: Observed) -> Iterator[Fault]:
    """Yield what is wrong in a selection of spectral windows and channels, such as ``0:5~20;30,2,16~31``.

    Args:
        text: the selection.
        observed: the observation, for its spectral windows.
    """
    for offset, piece in pieces(text, ","):
        if not piece:
            yield empty_piece(offset, text)
            continue
        windows, colon, channels = piece.partition(":")
        named = list(pieces(windows, ";"))
        for inner, window in named:
            yield from _window_faults(window, offset + inner, piece, observed, alone=len(named) == 1)
        if colon:
            selected = _selected([window for _, window in named], observed)
            for inner, channel in pieces(channels, ";"):
                yield from _channel_faults(channel, offset + len(windows) + 1 + inner, piece, selected)


def _window_faults(window: str, offset: int, piece: str, observed: Observed, *, alone: bool) -> Iterator[Fault]:
    if not window:
        yield empty_piece(offset, piece)
    elif fault := reversed_range(offset, window):
        yield fault
    elif INTEGER.fullmatch(window) or RANGE.fullmatch(window):
        if beyond := beyond_count(offset, window, len(observed.windows), "spectral windows"):
            yield beyond
    elif _FREQUENCY.fullmatch(window):
        yield Fault(offset, window, "is one frequency, which selects no spectral window", "write a range of them")
    elif not _is_window(window, alone=alone):
        yield Fault(offset, window, "is no spectral window", "write a number, 16~31, <4, * or 1.4~1.5GHz")
    elif observed.windows and not _selected([window], observed):
        listed = known_names(each.name for each in observed.windows)
        yield Fault(offset, window, "is no spectral window of this observation", f"choose from {listed} or numbers")


def _is_window(window: str, *, alone: bool) -> bool:
    if _FREQUENCIES.fullmatch(window):
        return True
    # CASA takes no ; beside names and bounds.
    return alone and any(form.fullmatch(window) for form in (_WINDOW_BOUND, _FREQUENCY_BOUND, _WINDOW_NAME))


def _selected(windows: Sequence[str], observed: Observed) -> list[Window]:
    """Return the spectral windows that are selected, as far as they are known."""
    if not observed.windows_in_order and any(INTEGER.match(text) for text in windows):
        return list(observed.windows)
    return [
        each for number, each in enumerate(observed.windows) if any(_selects(text, number, each) for text in windows)
    ]


def _selects(text: str, number: int, window: Window) -> bool:
    if INTEGER.fullmatch(text):
        return number == number_of(text)
    if ends := RANGE.fullmatch(text):
        return number_of(ends[1]) <= number <= number_of(ends[2])
    if bound := _WINDOW_BOUND.fullmatch(text):
        limit = number_of(bound["number"])
        return number < limit if bound["sign"] == "<" else number > limit
    if match := _FREQUENCY_BOUND.fullmatch(text):
        edge = _in_hz(match["low"], match["unit"])
        return window.lowest_hz < edge if match["sign"] == "<" else window.lowest_hz >= edge
    if frequencies := _FREQUENCIES.fullmatch(text):
        return _overlaps(frequencies, window)
    return fnmatch.fnmatchcase(window.name, text)


def _in_hz(number: str, unit: str) -> float:
    return float(number[:300]) * _HZ[unit]


def _overlaps(frequencies: re.Match[str], window: Window) -> bool:
    low = _in_hz(frequencies["low"], frequencies["first"] or frequencies["unit"])
    return low <= window.highest_hz and _in_hz(frequencies["high"], frequencies["unit"]) >= window.lowest_hz


def _channel_faults(channel: str, offset: int, piece: str, windows: Sequence[Window]) -> Iterator[Fault]:
    if not channel:
        yield empty_piece(offset, piece)
    elif fault := reversed_range(offset, channel.partition("^")[0].strip(" ")):
        yield fault
    elif _CHANNELS.fullmatch(channel):
        yield from _missing_channels(channel, offset, windows)
    elif frequencies := _FREQUENCIES.fullmatch(channel):
        yield from _missing_frequencies(frequencies, offset, windows)
    elif single := _FREQUENCY.fullmatch(channel):
        edge = _in_hz(single["low"], single["unit"])
        if windows and not any(window.lowest_hz <= edge <= window.highest_hz for window in windows):
            yield _outside_window(offset, channel, windows)
    else:
        yield Fault(offset, channel, "is no channel", "write a number, 5~20, 5~20^2 or 1.412~1.413GHz")


def _missing_channels(channel: str, offset: int, windows: Sequence[Window]) -> Iterator[Fault]:
    last = max((window.channels for window in windows), default=10**20) - 1
    numbers = numbers_in(channel.partition("^")[0])
    if numbers and numbers[0] > last:
        problem = f"is beyond the last channel, {last}, which CASA takes in its place"
        yield Fault(offset, channel, problem, f"count from 0 to {last}")
    elif numbers and numbers[-1] > last:
        yield Fault(offset, channel, f"goes beyond the last channel, {last}", f"count from 0 to {last}", only_odd=True)


def _missing_frequencies(frequencies: re.Match[str], offset: int, windows: Sequence[Window]) -> Iterator[Fault]:
    low = _in_hz(frequencies["low"], frequencies["first"] or frequencies["unit"])
    high = _in_hz(frequencies["high"], frequencies["unit"])
    if low > high:
        yield Fault(offset, frequencies[0], "ends before it begins", "write the lower frequency first")
    elif windows and not any(_overlaps(frequencies, window) for window in windows):
        yield _outside_window(offset, frequencies[0], windows)


def _outside_window(offset: int, value: str, windows: Sequence[Window]) -> Fault:
    low, high = min(window.lowest_hz for window in windows), max(window.highest_hz for window in windows)
    fix = f"choose frequencies from {low / 1e9:.6g}GHz to {high / 1e9:.6g}GHz"
    return Fault(offset, value, "is outside the spectral windows that are selected", fix)
