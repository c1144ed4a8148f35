"""The selection of times."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from srdp.domain.analyst_files.selections.observed import Observed
from srdp.domain.analyst_files.selections.syntax import Fault, empty_piece, pieces

# The archive keeps times in whole seconds, the data do not.
_ROUNDING = timedelta(seconds=1)

_CLOCK = r"(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{1,2}):(?P<second>[0-9]{1,2}(?:\.[0-9]*)?)"
_DATE = r"(?P<year>[0-9]{4})/(?P<month>[0-9]{1,2})/(?P<day>[0-9]{1,2})"
_MOMENT = re.compile(rf"(?:(?:{_DATE}|\*/\*/\*)/)?{_CLOCK}")
_DAY = re.compile(_DATE)
_SPAN = re.compile(_CLOCK)
_SECONDS = re.compile(r"[0-9]{1,6}(?:\.[0-9]*)?")
_TIME_FORMS = "write YYYY/MM/DD/hh:mm:ss~YYYY/MM/DD/hh:mm:ss, or >, < or one time, in UTC"


@dataclass(frozen=True)
class _Moment:
    """A moment as it is in a selection.

    Attributes:
        when: the moment (UTC, without a zone).
        dated: whether the selection names its date.
    """

    when: datetime
    dated: bool


def timerange_faults(text: str, observed: Observed) -> Iterator[Fault]:
    """Yield what is wrong in a selection of times, and each time that is outside the observation.

    Args:
        text: the selection, for example ``2013/08/10/01:25:00~2013/08/10/01:26:30,>02:00:00``.
        observed: the observation. A time without a date is of the day on which it began, as for CASA.
    """
    start, end = _utc(observed.start), _utc(observed.end)
    for offset, piece in pieces(text, ","):
        if not piece:
            yield empty_piece(offset, text)
        elif fault := _without_hours(piece, offset):
            yield fault
        else:
            yield from _piece_faults(piece, offset, (start, end))


def _without_hours(piece: str, offset: int) -> Fault | None:
    """Return that CASA fills up a date: with the hours of the data's first integration."""
    first, sign, second = _parted(piece.lstrip("<>=[ ").rstrip("/] "))
    for text in (first, second if sign == "~" else ""):
        date = _DAY.fullmatch(text.rstrip("/ "))
        day = date and _day(date)
        if day:
            tomorrow = day + timedelta(days=1)
            return Fault(
                offset,
                piece,
                "has a date without hours, to which CASA adds those of one integration",
                f"write {day:%Y/%m/%d}/00:00:00~{tomorrow:%Y/%m/%d}/00:00:00 for the whole day",
            )
    return None


def _piece_faults(piece: str, offset: int, observation: tuple[datetime | None, datetime | None]) -> Iterator[Fault]:
    start, end = observation
    today = start or datetime(2000, 1, 1)  # noqa: DTZ001  any day: only the order of times is looked at then
    moments = _moments(piece, today)
    if moments is None:
        yield Fault(offset, piece, "is no time or range of times", _TIME_FORMS)
        return
    if len(moments) == 2 and moments[0].when >= moments[1].when:
        yield Fault(offset, piece, "does not end after it begins", "put the earlier time first")
        return
    if start and end and (outside := _outside(piece, offset, moments, (start, end))):
        yield outside
    elif len(moments) == 1 and piece[0] not in "<>":
        problem = "is one moment, for which CASA takes the integration around it, or none"
        yield Fault(offset, piece, problem, "write a range of times if more is meant", only_odd=True)


def _moments(piece: str, today: datetime) -> list[_Moment] | None:
    """Return the one or two moments of a range, or None if it is no range."""
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


def _day(match: re.Match[str]) -> datetime | None:
    try:
        return datetime(int(match["year"]), int(match["month"]), int(match["day"]))  # noqa: DTZ001  see _utc
    except ValueError:
        return None


def _clock(match: re.Match[str]) -> timedelta | None:
    minute, second = int(match["minute"]), float(match["second"][:20])
    if minute >= 60 or second >= 60:
        return None
    return timedelta(hours=int(match["hour"]), minutes=minute, seconds=second)


def _length(text: str) -> timedelta | None:
    if _SECONDS.fullmatch(text):
        return timedelta(seconds=float(text))
    match = _SPAN.fullmatch(text)
    return _clock(match) if match else None


def _outside(piece: str, offset: int, moments: list[_Moment], observation: tuple[datetime, datetime]) -> Fault | None:
    start, end = observation
    selected = _selected(piece, moments, observation)
    if selected[0] > end + _ROUNDING or selected[1] < start - _ROUNDING:
        problem, only_odd = "is not inside the observation", False
    elif (selected[0] < start - _ROUNDING) != (selected[1] > end + _ROUNDING):
        problem, only_odd = "is not wholly inside the observation", True
    else:
        return None
    hint = ""
    if end.date() > start.date() and not all(moment.dated for moment in moments):
        hint = ", and name the date of a time behind midnight"
    fix = f"choose times from {start:%Y/%m/%d/%H:%M:%S} to {end:%Y/%m/%d/%H:%M:%S}{hint}"
    return Fault(offset, piece, problem, fix, only_odd)


def _selected(piece: str, moments: list[_Moment], observation: tuple[datetime, datetime]) -> tuple[datetime, datetime]:
    """Return the first and the last moment that are selected."""
    if piece[0] == ">":
        return moments[0].when, max(moments[0].when, observation[1])
    if piece[0] == "<":
        return min(moments[0].when, observation[0]), moments[0].when
    return moments[0].when, moments[-1].when


def _utc(moment: datetime | None) -> datetime | None:
    """Return a moment as CASA writes it: in UTC and without a zone."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment and moment.tzinfo else moment
