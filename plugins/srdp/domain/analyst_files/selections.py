"""The syntax in which CASA selects data: antennas, spectral windows, fields, scans and the rest.

Each rule was held against the MSSelection of casatools 6.7, by
``tests/srdp/domain/analyst_files/test_flag_commands_in_casa.py``. What is refused here stops the task, selects nothing,
or selects something else than it says; the range ``3~1`` of antennas or fields even ends CASA's process. Times have a
module of their own, :mod:`srdp.domain.analyst_files.time_selection`.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

_SPEED_OF_LIGHT_M_S: Final = 299_792_458.0


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
    """What is known of the observation that is to be selected from; what is empty is not known.

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


@dataclass(frozen=True)
class Fault:
    """What is wrong, or odd, in a value.

    Attributes:
        offset: where it is, in characters from the value's beginning.
        value: the part that is wrong.
        problem: how the sentence continues after the part.
        fix: what to do, beginning with a verb.
        only_odd: whether CASA takes it, and it may be meant.
    """

    offset: int
    value: str
    problem: str
    fix: str
    only_odd: bool = False


Check = Callable[[str, Observed], Iterator[Fault]]

_INTEGER = re.compile(r"[0-9]+")
_RANGE = re.compile(r"([0-9]+) *~ *([0-9]+)")
_REAL = r"[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?"


def pieces(text: str, separators: str, *, enclosing: str = "") -> Iterator[tuple[int, str]]:
    """Yield what stands between separators, without blanks around it, and where it begins.

    Args:
        text: what is to be taken apart.
        separators: the characters that part.
        enclosing: the characters between which nothing separates, such as ``/`` of regular expressions.
    """
    begin, inside = 0, ""
    for position, character in enumerate(text + separators[0]):
        if character in enclosing and inside in {"", character} and position < len(text):
            inside = "" if inside else character
        if character in separators and (not inside or position == len(text)):
            piece = text[begin:position]
            yield begin + len(piece) - len(piece.lstrip(" ")), piece.strip(" ")
            begin = position + 1


def empty_piece(offset: int, text: str) -> Fault:
    """Return the fault that nothing stands where something must."""
    return Fault(offset, text, "has nothing where an item must stand", "remove the separator or name what is meant")


def _reversed(offset: int, piece: str) -> Fault | None:
    match = _RANGE.fullmatch(piece)
    if match and number_of(match[1]) > number_of(match[2]):
        return Fault(offset, piece, "ends before it begins", f"write {match[2][:20]}~{match[1][:20]}")
    return None


def number_of(digits: str) -> int:
    """Return the number, or one that is too large for anything; Python refuses to read thousands of digits."""
    return int(digits) if len(digits) < 20 else 10**20


def _numbers_in(piece: str) -> list[int]:
    return [number_of(digits) for digits in _INTEGER.findall(piece)]


def _beyond(offset: int, piece: str, count: int, what: str) -> Fault | None:
    """Return the fault that a number or a range goes beyond the last number; none if the count is not known."""
    if not count or all(number < count for number in _numbers_in(piece)):
        return None
    return Fault(offset, piece, f"goes beyond the {count} {what} of this observation", f"count from 0 to {count - 1}")


def _known(names: Iterable[str]) -> str:
    listed = list(dict.fromkeys(name for name in names if name))
    return ", ".join([*listed[:40], *(["..."] if len(listed) > 40 else [])])


def _is_matched(pattern: str, names: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for name in names)


def _is_found(expression: str, names: Iterable[str]) -> bool:
    """Return whether a regular expression, without its slashes, is the whole of a name; none that is none."""
    try:
        return any(re.fullmatch(expression, name) for name in names)
    except re.error:
        return False


# --- antennas -----------------------------------------------------------------------------------------------------

_BASELINE = re.compile(r"(?P<first>[^&]*)(?:(?P<sign>&{1,3})(?P<second>[^&]*))?")
_CLASS = r"\[[A-Za-z0-9-]+\]"
_ANTENNA = re.compile(rf"(?:[A-Za-z_*?]|{_CLASS})(?:[A-Za-z0-9_:*?]|{_CLASS})*")
_STATION = re.compile(rf"(?:[A-Za-z0-9_:*?]|{_CLASS})+")
_BOUND = re.compile(rf"[<>]=? *{_REAL} *(?P<unit>m|km|cm)?")
# A pad, which CASA takes in place of the antenna that stood on it: of the VLA, whose antennas are ea01 and so on, or
# of ALMA. Only where the pads of the observation are not known.
_PAD = re.compile(r"(?:[A-Z]+:)?(?:[NEW][0-9]{1,2}|MPD|OUT)|.*:.*")
_ALMA_PAD = re.compile(r"[AJNPSTW][0-9]{3}")


def antenna_faults(text: str, observed: Observed) -> Iterator[Fault]:
    """Yield what is wrong in a selection of antennas and baselines, such as ``ea01;ea02&ea03,ea04;!ea05``.

    Args:
        text: the selection.
        observed: the observation, for its antennas and their pads.
    """
    for offset, baseline in pieces(text, ";", enclosing="/"):
        if not baseline:
            yield empty_piece(offset, text)
            continue
        negated = baseline.startswith("!")
        match = _BASELINE.fullmatch(baseline[negated:])
        if match is None:
            yield Fault(offset, baseline, "has too many & signs", "write one pair of antennas, and ; between pairs")
            continue
        yield from _baseline_faults(match, offset + negated, observed)


def _baseline_faults(match: re.Match[str], offset: int, observed: Observed) -> Iterator[Fault]:
    yield from _antenna_list_faults(match["first"], offset, observed)
    if match["second"]:
        yield from _antenna_list_faults(match["second"], offset + match.start("second"), observed)
    name = match["first"].partition(",")[0].strip(" ")
    if match["sign"] == "&" and _is_one_antenna(match["first"]) and (match["second"] or "").strip(" ") in {"", name}:
        problem = "selects the baselines of an antenna with itself and nothing else"
        yield Fault(offset, match[0], problem, f"write {name}&*")


def _is_one_antenna(text: str) -> bool:
    """Return whether a list names one antenna, once or more often."""
    return len({name for _, name in pieces(text, ",")}) == 1 and not set("*?[/~<>") & set(text)


def _antenna_list_faults(text: str, offset: int, observed: Observed) -> Iterator[Fault]:
    names = list(pieces(text, ",", enclosing="/"))
    for inner, name in names:
        fault = _antenna_fault(name, observed)
        if not fault and len(names) > 1 and name[0] in "<>":
            fault = Fault(0, name, "is a length beside names of antennas", "write ; in the place of the comma")
        if fault:
            yield Fault(offset + inner, fault.value or text, fault.problem, fault.fix, only_odd=fault.only_odd)


def _antenna_fault(name: str, observed: Observed) -> Fault | None:
    if not name:
        return empty_piece(0, "")
    if _INTEGER.fullmatch(name) or _RANGE.fullmatch(name):
        return _reversed(0, name) or _antenna_number_fault(name, observed)
    if bound := _BOUND.fullmatch(name):
        if bound["unit"]:
            return None
        return Fault(0, name, "is a length in metres for CASA, and no number of antennas", f"write {name}m or a range")
    if expression := re.fullmatch("/([^/]+)/", name):
        return _unknown_antenna(name, observed, matches=lambda names: _is_found(expression[1], names))
    antenna, at, station = name.partition("@")
    if (antenna and not _ANTENNA.fullmatch(antenna)) or (at and not _STATION.fullmatch(station)):
        return Fault(
            0, name, "is not how CASA names antennas", "write names such as ea01 with , or ; between them, or numbers"
        )
    if at and observed.stations:
        return _not_on_pad(name, antenna, station, observed)
    return _unknown_antenna(antenna, observed) if antenna else None


def _antenna_number_fault(name: str, observed: Observed) -> Fault | None:
    if re.fullmatch("0[0-9]+", name):
        return Fault(0, name, "is the number of an antenna for CASA, counted from 0", "write its name, such as ea01")
    if fault := _beyond(0, name, len(observed.antennas), "antennas"):
        return fault
    if not observed.antennas:
        return None
    meant = "~".join(observed.antennas[number] for number in _numbers_in(name))
    return Fault(
        0, name, f"is counted from 0: here it means {meant}", "write names if these are not meant", only_odd=True
    )


def _unknown_antenna(
    name: str, observed: Observed, *, matches: Callable[[Iterable[str]], bool] | None = None
) -> Fault | None:
    known = observed.antennas
    if not known:
        return None
    pads = [station for _, station in observed.stations]
    if (matches or (lambda names: _is_matched(name, names)))([*known, *pads]):
        return None
    pad = _PAD if any(antenna.startswith("ea") for antenna in known) else _ALMA_PAD
    if not pads and pad.fullmatch(name):
        return None
    return Fault(0, name, "is no antenna of this observation", f"choose from {_known(known)}")


def _not_on_pad(name: str, antenna: str, station: str, observed: Observed) -> Fault | None:
    there = [
        pair
        for pair in observed.stations
        if fnmatch.fnmatchcase(pair[0], antenna or "*") and fnmatch.fnmatchcase(pair[1], station)
    ]
    if there:
        return None
    listed = _known(f"{one}@{pad}" for one, pad in observed.stations)
    return Fault(0, name, "is no antenna on a pad of this observation", f"choose from {listed}")


def reference_antenna_faults(text: str, observed: Observed) -> Iterator[Fault]:
    """Yield what is wrong with the name of one antenna.

    Args:
        text: the name.
        observed: the observation, for its antennas.
    """
    if not _ANTENNA.fullmatch(text) or set("*?[") & set(text):
        yield Fault(0, text, "is not the name of one antenna", "name one, for example ea01")
    elif (fault := _unknown_antenna(text, observed)) is not None:
        yield fault


# --- spectral windows ---------------------------------------------------------------------------------------------

_HZ: Final = {"Hz": 1.0, "kHz": 1e3, "MHz": 1e6, "GHz": 1e9, "THz": 1e12}
_UNIT = f"(?:{'|'.join(_HZ)})"
_FREQUENCIES = re.compile(rf"(?P<low>{_REAL}) *(?P<first>{_UNIT})? *~ *(?P<high>{_REAL}) *(?P<unit>{_UNIT})")
_FREQUENCY = re.compile(rf"(?P<low>{_REAL}) *(?P<unit>{_UNIT})")
_FREQUENCY_BOUND = re.compile(rf"(?P<sign>[<>]) *(?P<low>{_REAL}) *(?P<unit>{_UNIT})")
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
    elif fault := _reversed(offset, window):
        yield fault
    elif _INTEGER.fullmatch(window) or _RANGE.fullmatch(window):
        if beyond := _beyond(offset, window, len(observed.windows), "spectral windows"):
            yield beyond
    elif _FREQUENCY.fullmatch(window):
        yield Fault(offset, window, "is one frequency, which selects no spectral window", "write a range of them")
    elif not _is_window(window, alone=alone):
        yield Fault(offset, window, "is no spectral window", "write a number, 16~31, <4, * or 1.4~1.5GHz")
    elif observed.windows and not _selected([window], observed):
        listed = _known(each.name for each in observed.windows)
        yield Fault(offset, window, "is no spectral window of this observation", f"choose from {listed} or numbers")


def _is_window(window: str, *, alone: bool) -> bool:
    if _FREQUENCIES.fullmatch(window):
        return True
    # CASA takes no ; beside names and bounds.
    return alone and any(form.fullmatch(window) for form in (_WINDOW_BOUND, _FREQUENCY_BOUND, _WINDOW_NAME))


def _selected(windows: Sequence[str], observed: Observed) -> list[Window]:
    """Return the spectral windows that are selected, as far as they are known."""
    if not observed.windows_in_order and any(_INTEGER.match(text) for text in windows):
        return list(observed.windows)
    return [
        each for number, each in enumerate(observed.windows) if any(_selects(text, number, each) for text in windows)
    ]


def _selects(text: str, number: int, window: Window) -> bool:
    if _INTEGER.fullmatch(text):
        return number == number_of(text)
    if ends := _RANGE.fullmatch(text):
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
    elif fault := _reversed(offset, channel.partition("^")[0].strip(" ")):
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
    numbers = _numbers_in(channel.partition("^")[0])
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


# --- scans, arrays, observations, feeds ---------------------------------------------------------------------------

_NUMBERS = re.compile(r"[0-9]+|[0-9]+ *~ *[0-9]+|[<>]=? *[0-9]+|> *[0-9]+ *& *< *[0-9]+")


def number_faults(text: str, observed: Observed) -> Iterator[Fault]:  # noqa: ARG001
    """Yield what is wrong in a list of numbers such as ``1,4~7,>20``, whatever they count.

    Args:
        text: the selection.
        observed: not looked at.
    """
    for offset, piece in pieces(text, ","):
        if not piece:
            yield empty_piece(offset, text)
        elif fault := _reversed(offset, piece):
            yield fault
        elif (ends := _RANGE.fullmatch(piece)) and number_of(ends[1]) == number_of(ends[2]):
            yield Fault(offset, piece, "ends where it begins, which CASA does not take", f"write {ends[1][:20]}")
        elif not _NUMBERS.fullmatch(piece):
            yield Fault(offset, piece, "is no number or range of numbers", "write for example 3, 4~7 or >20")


def scan_faults(text: str, observed: Observed) -> Iterator[Fault]:
    """Yield what is wrong in a list of scans.

    Args:
        text: the selection.
        observed: the observation, for its scans.
    """
    yield from number_faults(text, observed) if not observed.scans else _not_among(text, observed.scans, "scan")


def observation_faults(text: str, observed: Observed) -> Iterator[Fault]:
    """Yield what is wrong in a list of observations; see :func:`scan_faults`."""
    there = range(observed.observations)
    yield from number_faults(text, observed) if not there else _not_among(text, there, "observation")


def array_faults(text: str, observed: Observed) -> Iterator[Fault]:
    """Yield what is wrong in a list of arrays, one for each execution block; see :func:`scan_faults`."""
    there = range(1 if observed.observations else 0)
    yield from number_faults(text, observed) if not there else _not_among(text, there, "array")


def _not_among(text: str, there: Collection[int], what: str) -> Iterator[Fault]:
    faults = list(number_faults(text, Observed()))
    yield from faults
    for offset, piece in () if faults else pieces(text, ","):
        numbers = _numbers_in(piece)
        plain = piece[0] not in "<>"
        ends = range(min(there), max(there) + 1)
        if plain and not all(number in (there if len(numbers) == 1 else ends) for number in numbers):
            reach = f"from {min(there)} to {max(there)}"
            yield Fault(offset, piece, f"is no {what} of this observation", f"choose numbers {reach}")
        elif not any(_takes(piece, number) for number in there):
            yield Fault(offset, piece, f"selects no {what} of this observation", "choose other numbers")


def _takes(piece: str, number: int) -> bool:
    numbers = _numbers_in(piece)
    if "~" in piece:
        return numbers[0] <= number <= numbers[1]
    if piece[0] not in "<>":
        return number == numbers[0]
    if "&" in piece:
        return numbers[0] < number < numbers[1]
    if "=" in piece and number == numbers[0]:
        return True
    return number < numbers[0] if piece[0] == "<" else number > numbers[0]


# --- fields and intents -------------------------------------------------------------------------------------------

_NUMBER_BOUND = re.compile(r"[<>] *[0-9]+")
# What the scanner takes in a name without quotes, seen with every character; the others it takes for something else.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_+\-.:;=@#%$!'{},*? ]+")
# What no quotes keep from its meaning.
_NEVER_IN_QUOTES = re.compile(r'["\\\[\]{}]')


def field_selection(name: str) -> str:
    """Return a field's name as CASA and its pipeline select it: in double quotes where it would be something else.

    So does the pipeline itself (``utils.fieldname_for_casa``).

    Args:
        name: the name as the data have it.
    """
    return name if re.fullmatch(r"(?!\d+$)[A-Za-z0-9_+-]+", name) else f'"{name}"'


def field_faults(text: str, observed: Observed) -> Iterator[Fault]:
    """Yield what is wrong in a list of names or numbers of fields, such as ``3C286,"W3(OH)",NGC*,2~4``.

    Args:
        text: the selection.
        observed: the observation, for its fields.
    """
    for offset, piece in pieces(text, ",", enclosing='/"'):
        around = text[max(offset - 1, 0) : offset]
        around += text[offset + len(piece) : offset + len(piece) + 1] if piece[:1] in {'"', "/"} else ""
        if not piece:
            yield empty_piece(offset, text)
        elif piece[0] in '"/<>' and " " in around:
            yield Fault(offset, piece, "has a blank beside it, which CASA does not take there", "remove the blank")
        elif fault := _reversed(offset, piece) or _field_number_fault(piece, offset, observed):
            yield fault
        elif not (_INTEGER.fullmatch(piece) or _RANGE.fullmatch(piece) or _NUMBER_BOUND.fullmatch(piece)):
            yield from _field_name_faults(piece, offset, observed)


def _field_number_fault(piece: str, offset: int, observed: Observed) -> Fault | None:
    if piece in observed.fields and _INTEGER.fullmatch(piece):
        problem = "is the number of a field for CASA, and not the field that is called so"
        return Fault(offset, piece, problem, f"write '\"{piece}\"' for the name")
    if _INTEGER.fullmatch(piece) or _RANGE.fullmatch(piece):
        return _beyond(offset, piece, len(observed.fields), "fields")
    if _NUMBER_BOUND.fullmatch(piece) and observed.fields:
        if any(_takes(piece, number) for number in range(len(observed.fields))):
            return None
        return Fault(offset, piece, "selects no field of this observation", "choose another number")
    return None


def _field_name_faults(piece: str, offset: int, observed: Observed) -> Iterator[Fault]:
    quoted = re.fullmatch('"([^"]*)"', piece)
    if expression := re.fullmatch("/([^/]+)/", piece):
        if observed.fields and not _is_found(expression[1], observed.fields):
            yield _unknown_field(piece, offset, observed)
        return
    name = quoted[1].strip(" ") if quoted else piece
    if '"' in name or (_NEVER_IN_QUOTES.search(name) if quoted else not _PLAIN_NAME.fullmatch(piece)):
        fix = "write the number of the field" if _NEVER_IN_QUOTES.search(name) else f"write '\"{name[:60]}\"'"
        yield Fault(offset, piece, "has a character in it that CASA takes for something else", fix)
        return
    matched = [field for field in dict.fromkeys(observed.fields) if fnmatch.fnmatchcase(field.strip(" "), name)]
    if observed.fields and not matched:
        yield _unknown_field(piece, offset, observed)
    elif name in observed.fields and len(matched) > 1:
        also = ", ".join(field for field in matched if field != name)
        exact = re.sub(r"[*?]", r"[\g<0>]", name)
        yield Fault(offset, piece, f"selects {also[:100]} too", f"write the number of the field, or '/{exact}/'")


def _unknown_field(piece: str, offset: int, observed: Observed) -> Fault:
    return Fault(offset, piece, "is no field of this observation", f"choose from {_known(observed.fields)}")


def intent_faults(text: str, observed: Observed) -> Iterator[Fault]:
    """Yield what is wrong in a list of intents, such as ``*BANDPASS*,OBSERVE_TARGET#UNSPECIFIED``.

    Args:
        text: the selection.
        observed: the observation, for its intents.
    """
    for offset, piece in pieces(text, ",", enclosing="/"):
        if not piece:
            yield empty_piece(offset, text)
        elif fault := _reversed(offset, piece):
            yield fault
        elif _INTEGER.fullmatch(piece) or _RANGE.fullmatch(piece) or _NUMBER_BOUND.fullmatch(piece):
            # How many states the data will have, nobody knows: as many as there are intents at least.
            is_there = not observed.intents or any(_takes(piece, number) for number in range(len(observed.intents)))
            fix = "write the intent, for example *BANDPASS*"
            yield Fault(offset, piece, "is the number of a state, not an intent", fix, only_odd=is_there)
        else:
            yield from _intent_name_faults(piece, offset, observed)


def _intent_name_faults(piece: str, offset: int, observed: Observed) -> Iterator[Fault]:
    if re.fullmatch("/[^/]+/", piece):
        if observed.intents and not _is_found(piece[1:-1], observed.intents):
            yield _unknown_intent(piece, offset, observed)
    elif not re.fullmatch(r"[A-Za-z0-9_#*?.\-]+", piece):
        yield Fault(offset, piece, "is no intent", "write for example *BANDPASS*")
    elif observed.intents and not _is_matched(piece, observed.intents):
        yield _unknown_intent(piece, offset, observed)


def _unknown_intent(piece: str, offset: int, observed: Observed) -> Fault:
    intents = {part for each in observed.intents for part in each.split(",")}
    problem = "is no intent of a scan of this observation, as the data have it"
    return Fault(offset, piece, problem, f"write one of {_known(sorted(intents))} with * before and behind it")


# --- lengths and correlations -------------------------------------------------------------------------------------

_LENGTH_UNIT = "[kKM]?(?i:lambda)|k?m"
_LENGTHS = re.compile(rf"[<>] *{_REAL} *(?:{_LENGTH_UNIT})?|{_REAL} *~ *{_REAL} *(?:{_LENGTH_UNIT})?")
_LENGTH = re.compile(rf"{_REAL} *(?:{_LENGTH_UNIT})?")
_OPERATOR = re.compile(r"(?:ABS|ARG|REAL|IMAG|NORM)[_ ]")
_CORRELATIONS = frozenset({"RR", "RL", "LR", "LL", "XX", "XY", "YX", "YY"})


def length_faults(text: str, observed: Observed) -> Iterator[Fault]:
    """Yield what is wrong in a selection of baseline lengths, such as ``<1klambda`` or ``100~500m``.

    Args:
        text: the selection.
        observed: the observation, for its longest baseline.
    """
    for offset, piece in pieces(text, ","):
        if not piece:
            yield empty_piece(offset, text)
            continue
        numbers = [float(number[:300]) for number in re.findall(_REAL, piece)]
        if _LENGTH.fullmatch(piece):
            yield Fault(offset, piece, "is one length, which no baseline has exactly", "write a range such as 100~500m")
        elif not _LENGTHS.fullmatch(piece):
            fix = "write for example <1klambda or 100~500m, with lambda, klambda, Mlambda, m or km"
            yield Fault(offset, piece, "is no length", fix)
        elif len(numbers) > 1 and numbers[0] > numbers[1]:
            yield Fault(offset, piece, "ends before it begins", "write the shorter length first")
        elif not piece.startswith("<") and (longest := _longest(piece, observed)) and numbers[0] > longest:
            yield Fault(offset, piece, "is longer than every baseline of this observation", f"go to {longest:.4g}")


def _longest(piece: str, observed: Observed) -> float:
    """Return the longest baseline of the observation in the unit of a selection; 0 if it is not known."""
    unit = piece.lstrip("<>~ .eE+-0123456789")
    if not unit.lower().endswith("lambda"):
        return observed.longest_baseline_m / (1e3 if unit == "km" else 1.0)
    prefix = {"k": 1e3, "K": 1e3, "M": 1e6}.get(unit[0], 1.0)
    highest = max((window.highest_hz for window in observed.windows), default=0.0)
    return observed.longest_baseline_m * highest / _SPEED_OF_LIGHT_M_S / prefix


def correlation_faults(text: str, observed: Observed) -> Iterator[Fault]:
    """Yield what is wrong in a list of correlations such as ``RR,LL`` or ``ABS_ALL``.

    Args:
        text: the selection.
        observed: the observation, for its correlations.
    """
    upper = text.upper()
    operator = _OPERATOR.match(upper)
    begin = operator.end() if operator else 0
    if upper[begin:] == "ALL":
        return
    known = observed.correlations or _CORRELATIONS
    for offset, piece in pieces(upper[begin:], ","):
        if piece not in known:
            of_this = " of this observation" if observed.correlations else ""
            fix = f"write {', '.join(sorted(known))} with , between them, or ABS_ALL"
            yield Fault(begin + offset, text[begin + offset :][: len(piece)], f"is no correlation{of_this}", fix)
