"""The selection of antennas, baselines and pads."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator

from srdp.domain.analyst_files.selections.observed import Observed
from srdp.domain.analyst_files.selections.syntax import (
    INTEGER,
    RANGE,
    REAL,
    Fault,
    beyond_count,
    empty_piece,
    is_found,
    is_matched,
    known_names,
    numbers_in,
    pieces,
    reversed_range,
)

_BASELINE = re.compile(r"(?P<first>[^&]*)(?:(?P<sign>&{1,3})(?P<second>[^&]*))?")
_CLASS = r"\[[A-Za-z0-9-]+\]"
_ANTENNA = re.compile(rf"(?:[A-Za-z_*?]|{_CLASS})(?:[A-Za-z0-9_:*?]|{_CLASS})*")
_STATION = re.compile(rf"(?:[A-Za-z0-9_:*?]|{_CLASS})+")
_BOUND = re.compile(rf"[<>]=? *{REAL} *(?P<unit>m|km|cm)?")
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
    if INTEGER.fullmatch(name) or RANGE.fullmatch(name):
        return reversed_range(0, name) or _antenna_number_fault(name, observed)
    if bound := _BOUND.fullmatch(name):
        if bound["unit"]:
            return None
        return Fault(0, name, "is a length in metres for CASA, and no number of antennas", f"write {name}m or a range")
    if expression := re.fullmatch("/([^/]+)/", name):
        return _unknown_antenna(name, observed, matches=lambda names: is_found(expression[1], names))
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
    if fault := beyond_count(0, name, len(observed.antennas), "antennas"):
        return fault
    if not observed.antennas:
        return None
    meant = "~".join(observed.antennas[number] for number in numbers_in(name))
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
    if (matches or (lambda names: is_matched(name, names)))([*known, *pads]):
        return None
    pad = _PAD if any(antenna.startswith("ea") for antenna in known) else _ALMA_PAD
    if not pads and pad.fullmatch(name):
        return None
    return Fault(0, name, "is no antenna of this observation", f"choose from {known_names(known)}")


def _not_on_pad(name: str, antenna: str, station: str, observed: Observed) -> Fault | None:
    there = [
        pair
        for pair in observed.stations
        if fnmatch.fnmatchcase(pair[0], antenna or "*") and fnmatch.fnmatchcase(pair[1], station)
    ]
    if there:
        return None
    listed = known_names(f"{one}@{pad}" for one, pad in observed.stations)
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
