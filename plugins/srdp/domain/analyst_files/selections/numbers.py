"""The selection of what is only counted: scans, observations, arrays, feeds."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from srdp.domain.analyst_files.selections.observed import Observed
from srdp.domain.analyst_files.selections.syntax import (
    RANGE,
    Fault,
    empty_piece,
    number_of,
    numbers_in,
    pieces,
    reversed_range,
)

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
        elif fault := reversed_range(offset, piece):
            yield fault
        elif (ends := RANGE.fullmatch(piece)) and number_of(ends[1]) == number_of(ends[2]):
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
        numbers = numbers_in(piece)
        plain = piece[0] not in "<>"
        ends = range(min(there), max(there) + 1)
        if plain and not all(number in (there if len(numbers) == 1 else ends) for number in numbers):
            reach = f"from {min(there)} to {max(there)}"
            yield Fault(offset, piece, f"is no {what} of this observation", f"choose numbers {reach}")
        elif not any(takes(piece, number) for number in there):
            yield Fault(offset, piece, f"selects no {what} of this observation", "choose other numbers")


def takes(piece: str, number: int) -> bool:
    """Return whether a number is within a number, a range or a bound."""
    numbers = numbers_in(piece)
    if "~" in piece:
        return numbers[0] <= number <= numbers[1]
    if piece[0] not in "<>":
        return number == numbers[0]
    if "&" in piece:
        return numbers[0] < number < numbers[1]
    if "=" in piece and number == numbers[0]:
        return True
    return number < numbers[0] if piece[0] == "<" else number > numbers[0]
