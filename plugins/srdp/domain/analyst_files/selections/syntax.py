"""What all selections have in common: lists, ranges, numbers, names, and what is wrong in one."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from srdp.domain.analyst_files.selections.observed import Observed


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

INTEGER = re.compile(r"[0-9]+")
RANGE = re.compile(r"([0-9]+) *~ *([0-9]+)")
REAL = r"[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?"


def pieces(text: str, separators: str, *, enclosing: str = "") -> Iterator[tuple[int, str]]:
    """Yield each text between separators, without blanks around it, and its position.

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
    """Return the fault that a required value is missing."""
    return Fault(offset, text, "has nothing where an item must stand", "remove the separator or name what is meant")


def reversed_range(offset: int, piece: str) -> Fault | None:
    """Return the fault that a range ends before it begins; none if it is no such range."""
    match = RANGE.fullmatch(piece)
    if match and number_of(match[1]) > number_of(match[2]):
        return Fault(offset, piece, "ends before it begins", f"write {match[2][:20]}~{match[1][:20]}")
    return None


def number_of(digits: str) -> int:
    """Return the number, or one that is too large for anything; Python refuses to read thousands of digits."""
    return int(digits) if len(digits) < 20 else 10**20


def numbers_in(piece: str) -> list[int]:
    """Return every number in a text."""
    return [number_of(digits) for digits in INTEGER.findall(piece)]


def beyond_count(offset: int, piece: str, count: int, what: str) -> Fault | None:
    """Return the fault that a number or a range goes beyond the last number; none if the count is not known."""
    if not count or all(number < count for number in numbers_in(piece)):
        return None
    return Fault(offset, piece, f"goes beyond the {count} {what} of this observation", f"count from 0 to {count - 1}")


def known_names(names: Iterable[str]) -> str:
    """Return names as a list for people, without doubles, and not all if there are many."""
    listed = list(dict.fromkeys(name for name in names if name))
    return ", ".join([*listed[:40], *(["..."] if len(listed) > 40 else [])])


def is_matched(pattern: str, names: Iterable[str]) -> bool:
    """Return whether one of the names has a shell pattern."""
    return any(fnmatch.fnmatchcase(name, pattern) for name in names)


def is_found(expression: str, names: Iterable[str]) -> bool:
    """Return whether a regular expression, without its slashes, is the whole of a name; none that is none."""
    try:
        return any(re.fullmatch(expression, name) for name in names)
    except re.error:
        return False
