"""The syntax in which CASA selects data: antennas, spectral windows, scans, times and the rest.

Each rule was held against the MSSelection of casatools 6.7. What is refused there stops the task, or selects nothing;
the range ``3~1`` of antennas even ends CASA's process.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

# The archive keeps times in whole seconds, the data do not.
_ROUNDING = timedelta(seconds=1)


@dataclass(frozen=True)
class Observed:
    """What is known of the observation that is to be selected from.

    Attributes:
        start: when it began (UTC); None if that is not known.
        end: when it ended (UTC); likewise.
        antennas: the names of its antennas, for example ``ea01``; empty if they are not known.
    """

    start: datetime | None = None
    end: datetime | None = None
    antennas: tuple[str, ...] = ()


def observed_together(observations: Iterable[Observed]) -> Observed:
    """Returns what is known of several observations that are selected from by one file.

    Args:
        observations: each of them; a time that one does not know is not known of all.
    """
    each = tuple(observations)
    starts, ends = ([getattr(one, name) for one in each] for name in ("start", "end"))
    known = bool(each) and all(one.antennas for one in each)
    return Observed(
        start=None if None in starts else min(starts, default=None),
        end=None if None in ends else max(ends, default=None),
        antennas=tuple(dict.fromkeys(name for one in each for name in one.antennas)) if known else (),
    )


@dataclass(frozen=True)
class Fault:
    """What is wrong in a value.

    Attributes:
        offset: where it is, in characters from the value's beginning.
        value: the part that is wrong.
        problem: how the sentence goes on behind the part.
        fix: what to do, beginning with a verb.
    """

    offset: int
    value: str
    problem: str
    fix: str


Check = Callable[[str, Observed], Iterator[Fault]]

_INTEGER = re.compile(r"[0-9]+")
_RANGE = re.compile(r"([0-9]+) *~ *([0-9]+)")


def _pieces(text: str, separators: str, *, patterns: bool = False) -> Iterator[tuple[int, str]]:
    """Yields what stands between separators, without blanks around it, and where it begins.

    Args:
        text: what is to be taken apart.
        separators: the characters that part.
        patterns: whether ``/.../`` is a regular expression, in which nothing parts.
    """
    begin, inside = 0, False
    for position, character in enumerate(text + separators[0]):
        inside ^= patterns and character == "/" and position < len(text)
        if character in separators and (not inside or position == len(text)):
            piece = text[begin:position]
            yield begin + len(piece) - len(piece.lstrip(" ")), piece.strip(" ")
            begin = position + 1


def _empty(offset: int, text: str) -> Fault:
    return Fault(offset, text, "has nothing where an item must stand", "remove the separator or name what is meant")


def _reversed(offset: int, piece: str) -> Fault | None:
    match = _RANGE.fullmatch(piece)
    if match and _number(match[1]) > _number(match[2]):
        return Fault(offset, piece, "ends before it begins", f"write {match[2][:20]}~{match[1][:20]}")
    return None


def _number(digits: str) -> int:
    """Returns the number, or one that is too large for anything; Python refuses to read thousands of digits."""
    return int(digits) if len(digits) < 20 else 10**20


# --- antennas -----------------------------------------------------------------------------------------------------

_BASELINE = re.compile(r"(?P<first>[^&]*)(?:(?P<sign>&{1,3})(?P<second>[^&]*))?")
_ANTENNA = re.compile(r"[A-Za-z_*?][A-Za-z0-9_:*?]*")
_STATION = re.compile(r"[A-Za-z0-9_:*?]+")
_BOUND = re.compile(r"[<>] *[0-9]+(?:\.[0-9]*)?(?:m|km|cm)?")
# A pad, which CASA takes in place of the antenna that stood on it: of the VLA, whose antennas are ea01 and so on, or
# of ALMA.
_PAD = re.compile(r"(?:[A-Z]+:)?(?:[NEW][0-9]{1,2}|MPD|OUT)|.*:.*")
_ALMA_PAD = re.compile(r"[AJNPSTW][0-9]{3}")


def antenna_faults(text: str, observed: Observed) -> Iterator[Fault]:
    """Yields what is wrong in a selection of antennas and baselines, such as ``ea01;ea02&ea03,ea04;!ea05``.

    Args:
        text: the selection.
        observed: the observation, of which the antennas are looked at.
    """
    for offset, baseline in _pieces(text, ";", patterns=True):
        if not baseline:
            yield _empty(offset, text)
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
    elif match["sign"] == "&" and _ANTENNA.fullmatch(match["first"]) and not set("*?") & set(match["first"]):
        name = match["first"]
        yield Fault(
            offset, f"{name}&", "selects the baselines of an antenna with itself and nothing else", f"write {name}&*"
        )


def _antenna_list_faults(text: str, offset: int, observed: Observed) -> Iterator[Fault]:
    for inner, name in _pieces(text, ",", patterns=True):
        fault = _antenna_fault(name, observed)
        if fault:
            yield Fault(offset + inner, fault.value or text, fault.problem, fault.fix)


def _antenna_fault(name: str, observed: Observed) -> Fault | None:
    if not name:
        return _empty(0, "")
    if _INTEGER.fullmatch(name) or _RANGE.fullmatch(name):
        return _reversed(0, name) or _unknown_number(name, observed)
    if _BOUND.fullmatch(name) or re.fullmatch("/[^/]+/", name):
        return None
    antenna, at, station = name.partition("@")
    if (antenna and not _ANTENNA.fullmatch(antenna)) or (at and not _STATION.fullmatch(station)):
        return Fault(
            0, name, "is not how CASA names antennas", "write names such as ea01 with , or ; between them, or numbers"
        )
    return _unknown_antenna(antenna, observed) if antenna else None


def _unknown_number(name: str, observed: Observed) -> Fault | None:
    count = len(observed.antennas)
    if not count or all(_number(digits) < count for digits in _INTEGER.findall(name)):
        return None
    return Fault(0, name, f"goes beyond the {count} antennas of this observation", f"count from 0 to {count - 1}")


def _unknown_antenna(name: str, observed: Observed) -> Fault | None:
    known = observed.antennas
    pad = _PAD if any(antenna.startswith("ea") for antenna in known) else _ALMA_PAD
    if not known or pad.fullmatch(name) or any(fnmatch.fnmatchcase(antenna, name) for antenna in known):
        return None
    return Fault(0, name, "is no antenna of this observation", f"choose from {', '.join(known)}")


def reference_antenna_faults(text: str, observed: Observed) -> Iterator[Fault]:
    """Yields what is wrong with the name of one antenna.

    Args:
        text: the name.
        observed: the observation, of which the antennas are looked at.
    """
    if not _ANTENNA.fullmatch(text) or set("*?") & set(text):
        yield Fault(0, text, "is not the name of one antenna", "name one, for example ea01")
    elif (fault := _unknown_antenna(text, observed)) is not None:
        yield fault


# --- spectral windows ---------------------------------------------------------------------------------------------

_FREQUENCY = r"[0-9]+(?:\.[0-9]*)?"
_UNIT = r"(?:Hz|kHz|MHz|GHz|THz|m/s|km/s)"
_FREQUENCIES = re.compile(rf"{_FREQUENCY}(?: *~ *{_FREQUENCY})? *{_UNIT}")
_WINDOW_NAME = re.compile(r"[A-Za-z_*?][A-Za-z0-9_#*?.\-]*|/[^/]+/")
_WINDOW_BOUND = re.compile(r"[<>] *[0-9]+")
_CHANNELS = re.compile(r"(?:[0-9]+(?: *~ *[0-9]+)?)?(?:\^[0-9]+)?")


def spectral_window_faults(text: str, observed: Observed) -> Iterator[Fault]:  # noqa: ARG001
    """Yields what is wrong in a selection of spectral windows and channels, such as ``0:5~20;30,2,16~31``.

    Args:
        text: the selection.
        observed: not looked at: the windows of an observation are not known before its data are imported.
    """
    for offset, piece in _pieces(text, ",", patterns=True):
        if not piece:
            yield _empty(offset, text)
            continue
        windows, colon, channels = piece.partition(":")
        for inner, window in _pieces(windows, ";"):
            yield from _window_faults(window, offset + inner, piece)
        if colon:
            for inner, channel in _pieces(channels, ";"):
                yield from _channel_faults(channel, offset + len(windows) + 1 + inner, piece)


def _window_faults(window: str, offset: int, piece: str) -> Iterator[Fault]:
    if not window:
        yield _empty(offset, piece)
    elif fault := _reversed(offset, window):
        yield fault
    elif not any(
        pattern.fullmatch(window) for pattern in (_INTEGER, _RANGE, _FREQUENCIES, _WINDOW_NAME, _WINDOW_BOUND)
    ):
        yield Fault(offset, window, "is no spectral window", "write a number, 16~31, <4, * or 1.4~1.5GHz")


def _channel_faults(channel: str, offset: int, piece: str) -> Iterator[Fault]:
    if not channel:
        yield _empty(offset, piece)
    elif fault := _reversed(offset, channel.partition("^")[0]):
        yield fault
    elif not _CHANNELS.fullmatch(channel) and not _FREQUENCIES.fullmatch(channel):
        yield Fault(offset, channel, "is no channel", "write a number, 5~20, 5~20^2 or 1.412~1.413GHz")


# --- numbers, fields, intents, lengths, correlations --------------------------------------------------------------

_NUMBERS = re.compile(r"[0-9]+|[0-9]+ *~ *[0-9]+|[<>]=? *[0-9]+")
_LENGTHS = re.compile(r"(?:[<>] *)?{0} *(?:{1})?|{0} *~ *{0} *(?:{1})?".format(_FREQUENCY, "[kMG]?lambda|k?m"))
_CORRELATIONS = frozenset({"RR", "RL", "LR", "LL", "XX", "XY", "YX", "YY"})
_OPERATOR = re.compile(r"(?:ABS|ARG|REAL|IMAG|NORM)[_ ]")


def number_faults(text: str, observed: Observed) -> Iterator[Fault]:  # noqa: ARG001
    """Yields what is wrong in a list of numbers such as ``1,4~7,>20``: of scans, arrays, observations, feeds.

    Args:
        text: the selection.
        observed: not looked at.
    """
    for offset, piece in _pieces(text, ","):
        if not piece:
            yield _empty(offset, text)
        elif fault := _reversed(offset, piece):
            yield fault
        elif not _NUMBERS.fullmatch(piece):
            yield Fault(offset, piece, "is no number or range of numbers", "write for example 3, 4~7 or >20")


def name_faults(text: str, observed: Observed) -> Iterator[Fault]:  # noqa: ARG001
    """Yields what is wrong in a list of names or numbers, of fields or intents: only what no name can be.

    Args:
        text: the selection.
        observed: not looked at.
    """
    for offset, piece in _pieces(text, ",", patterns=True):
        if not piece:
            yield _empty(offset, text)
        elif fault := _reversed(offset, piece):
            yield fault


def length_faults(text: str, observed: Observed) -> Iterator[Fault]:  # noqa: ARG001
    """Yields what is wrong in a selection of baseline lengths, such as ``<1klambda`` or ``100~500m``.

    Args:
        text: the selection.
        observed: not looked at.
    """
    for offset, piece in _pieces(text, ","):
        if not piece:
            yield _empty(offset, text)
            continue
        numbers = [float(number[:300]) for number in re.findall(_FREQUENCY, piece)]
        if not _LENGTHS.fullmatch(piece):
            yield Fault(offset, piece, "is no length", "write for example <1klambda or 100~500m")
        elif len(numbers) > 1 and numbers[0] > numbers[1]:
            yield Fault(offset, piece, "ends before it begins", "write the shorter length first")


def correlation_faults(text: str, observed: Observed) -> Iterator[Fault]:  # noqa: ARG001
    """Yields what is wrong in a list of correlations such as ``RR,LL`` or ``ABS_ALL``.

    Args:
        text: the selection.
        observed: not looked at.
    """
    upper = text.upper()
    operator = _OPERATOR.match(upper)
    begin = operator.end() if operator else 0
    if upper[begin:] == "ALL":
        return
    for offset, piece in _pieces(upper[begin:], ","):
        if piece not in _CORRELATIONS:
            yield Fault(
                begin + offset,
                text[begin + offset :][: len(piece)],
                "is no correlation",
                "write RR, LL, RL or LR (XX, YY, XY or YX for linear feeds) with , between them, or ABS_ALL",
            )


# --- times --------------------------------------------------------------------------------------------------------

_CLOCK = r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{1,2}):(?P<second>[0-9]{1,2}(?:\.[0-9]*)?)"
_DATE = r"(?P<year>[0-9]{4})/(?P<month>[0-9]{1,2})/(?P<day>[0-9]{1,2})"
_MOMENT = re.compile(rf"(?:(?:{_DATE}|\*/\*/\*)/)?{_CLOCK}")
_DAY = re.compile(_DATE)
_SPAN = re.compile(_CLOCK)
_TIME_FORMS = "write YYYY/MM/DD/hh:mm:ss~YYYY/MM/DD/hh:mm:ss, or >, < or one time, in UTC"


@dataclass(frozen=True)
class _Moment:
    """A moment as it stands in a selection.

    Attributes:
        when: the moment (UTC, without a zone).
        dated: whether the selection names its date.
    """

    when: datetime
    dated: bool


def timerange_faults(text: str, observed: Observed) -> Iterator[Fault]:
    """Yields what is wrong in a selection of times, and each time that lies outside the observation.

    Args:
        text: the selection, for example ``2013/08/10/01:25:00~2013/08/10/01:26:30,>02:00:00``.
        observed: the observation. A time without a date is of the day on which it began, as for CASA.
    """
    start, end = _utc(observed.start), _utc(observed.end)
    today = start or datetime(2000, 1, 1)  # noqa: DTZ001  any day: only the order of times is looked at then
    for offset, piece in _pieces(text, ","):
        if not piece:
            yield _empty(offset, text)
            continue
        moments = _moments(piece, today)
        if moments is None:
            yield Fault(offset, piece, "is no time or range of times", _TIME_FORMS)
        elif len(moments) == 2 and moments[0].when >= moments[1].when:
            yield Fault(offset, piece, "does not end after it begins", "put the earlier time first")
        elif start and end:
            yield from _outside(piece, offset, moments, (start, end))


def _moments(piece: str, today: datetime) -> list[_Moment] | None:
    """Returns the one or two moments of a range, or None if it is no range."""
    if day := _DAY.fullmatch(piece):
        return _whole_day(day)
    if piece[0] in "<>":
        only = _moment(piece[1:].strip(" "), today)
        return [only] if only else None
    first_text, sign, second_text = _parted(piece)
    first = _moment(first_text, today)
    if first is None or not sign:
        return [first] if first else None
    if sign == "+":
        length = _length(second_text)
        return [first, _Moment(first.when + length, first.dated)] if length is not None else None
    second = _moment(second_text, first.when)
    return [first, _Moment(second.when, second.dated or first.dated)] if second else None


def _parted(piece: str) -> tuple[str, str, str]:
    for sign in "~+":
        first, found, second = piece.partition(sign)
        if found:
            return first.strip(" "), sign, second.strip(" ")
    return piece, "", ""


def _moment(text: str, today: datetime) -> _Moment | None:
    match = _MOMENT.fullmatch(text)
    clock = match and _clock(match)
    if match is None or clock is None or clock >= timedelta(days=1):
        return None
    dated = match["year"] is not None
    try:
        date = datetime(int(match["year"]), int(match["month"]), int(match["day"])) if dated else today  # noqa: DTZ001
        return _Moment(datetime.combine(date.date(), datetime.min.time()) + clock, dated)
    except (ValueError, OverflowError):
        return None


def _whole_day(match: re.Match[str]) -> list[_Moment] | None:
    try:
        day = datetime(int(match["year"]), int(match["month"]), int(match["day"]))  # noqa: DTZ001  see _utc
    except ValueError:
        return None
    return [_Moment(day, dated=True)]


def _clock(match: re.Match[str]) -> timedelta | None:
    minute, second = int(match["minute"]), float(match["second"][:20])
    if minute >= 60 or second >= 60:
        return None
    return timedelta(hours=int(match["hour"]), minutes=minute, seconds=second)


def _length(text: str) -> timedelta | None:
    match = _SPAN.fullmatch(text)
    return _clock(match) if match else None


def _outside(
    piece: str, offset: int, moments: list[_Moment], observation: tuple[datetime, datetime]
) -> Iterator[Fault]:
    start, end = observation
    if _DAY.fullmatch(piece):
        inside = start.date() <= moments[0].when.date() <= end.date()
    else:
        inside = all(start - _ROUNDING <= moment.when <= end + _ROUNDING for moment in moments)
    if inside:
        return
    hint = ""
    if end.date() > start.date() and not all(moment.dated for moment in moments):
        hint = ", and name the date of a time behind midnight"
    yield Fault(
        offset,
        piece,
        "lies not inside the observation",
        f"choose times from {start:%Y/%m/%d/%H:%M:%S} to {end:%Y/%m/%d/%H:%M:%S}{hint}",
    )


def _utc(moment: datetime | None) -> datetime | None:
    """Returns a moment as CASA writes it: in UTC and without a zone."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment and moment.tzinfo else moment
