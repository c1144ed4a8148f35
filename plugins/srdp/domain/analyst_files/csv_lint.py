"""What the linters of CSV files share: header, columns, blank lines, and the position of each value."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from srdp.domain.common.lint import Notes, numbered_lines

_INTEGER = re.compile(r"[0-9]+")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_CONTROL_CHARACTER = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_LARGEST_DIGITS = 9


@dataclass(frozen=True)
class Cell:
    """A value of a row.

    Attributes:
        line: counted from 1.
        column: where the value begins in its line, in characters from 1; not the column of the table.
        name: the header of its column.
        value: what stands there.
    """

    line: int
    column: int
    name: str
    value: str


def rows(text: str, header: Sequence[str], notes: Notes, *, by_name: bool = False) -> Iterator[Mapping[str, Cell]]:
    """Yield the rows behind the header that have as many values as it; all others are noted.

    Args:
        text: the whole file; its header is not looked at.
        header: the names of the columns, as the file has them.
        notes: where findings go.
        by_name: whether the pipeline reads the values by the names of their columns: then it passes over blank lines
            and over values behind the last column.
    """
    for number, line in numbered_lines(text):
        control = _CONTROL_CHARACTER.search(line)
        if control:
            notes.error(number, control.start() + 1, control[0], "is a control character", "remove it")
        elif number > 1:
            if by_name and not line:
                continue
            cells = _cells(number, line, header, notes, by_name=by_name)
            if cells:
                yield {cell.name: cell for cell in cells}


def _cells(number: int, line: str, header: Sequence[str], notes: Notes, *, by_name: bool) -> list[Cell]:
    if not line.strip():
        notes.error(number, 1, line, "is a blank line", "remove it")
        return []
    try:
        values = next(csv.reader([line], strict=True))
    except csv.Error:
        quote = line.find('"') + 1
        notes.error(
            number, quote, line[quote - 1 :], "is not closed as CSV asks", 'write "..." and "" for a quote inside'
        )
        return []
    starts = list(_starts(line))
    if len(values) > len(header):
        behind = starts[len(header)] if len(header) < len(starts) else len(line) + 1
        note, passed_over = (notes.warn, ", and is passed over") if by_name else (notes.error, "")
        note(
            number,
            behind,
            line[behind - 1 :],
            f"is more than the {len(header)} columns{passed_over}",
            f'put a {header[-1]} that has a comma into double quotes, "..."',
        )
        values = values[: len(header)] if by_name else []
        starts = starts[: len(values)]
    if values and len(values) < len(header):
        missing = ", ".join(header[len(values) :])
        notes.error(number, len(line) + 1, line, f"has {len(values)} columns of {len(header)}", f"add {missing}")
        return []
    return [Cell(number, *place) for place in zip(starts, header, values, strict=bool(values))]


def _starts(line: str) -> Iterator[int]:
    """Yield where each value of a line begins, its quote included; the line is good CSV."""
    begins, inside = True, False
    for column, character in enumerate(line, start=1):
        if begins:
            yield column
            inside = character == '"'
        elif character == '"' and inside:
            inside = False
        elif character == '"' and line[column - 2] == '"':
            inside = True  # two quotes stand for one
        begins = character == "," and not inside
    if begins:
        yield len(line) + 1


def check_measurement_set(cell: Cell, execution_block: str, notes: Notes) -> None:
    """Note a row of another measurement set: CASA would drop it without a word."""
    wanted = f"{execution_block}.ms"
    if cell.value != wanted:
        notes.error(
            cell.line, cell.column, cell.value, "is not this execution block's measurement set", f"write {wanted}"
        )


def check_index(cell: Cell, notes: Notes) -> int | None:
    """Return the number of a field or a spectral window, or None, noted, if it is none."""
    value = cell.value.strip(" ")  # Python's numbers may have blanks around them
    if _INTEGER.fullmatch(value) and len(value) <= _LARGEST_DIGITS:
        return int(value)
    notes.error(
        cell.line, cell.column, cell.value, f"is not the number of a {cell.name}", "write a whole number from 0 on"
    )
    return None


def check_number(cell: Cell, unit: str, notes: Notes) -> float | None:
    """Return a number, or None, noted, if there is none or it is infinite.

    Args:
        cell: the value.
        unit: in what it is to be given, for the sentence; empty if it has no unit.
        notes: where findings go.
    """
    if _NUMBER.fullmatch(cell.value.strip(" ")) and math.isfinite(value := float(cell.value)):
        return value
    in_unit = f" in {unit}, without the unit" if unit else ""
    notes.error(cell.line, cell.column, cell.value, f"is not a number for {cell.name}", f"write a number{in_unit}")
    return None


def first_difference(line: str, wanted: str) -> int:
    """Return the column in which a line begins to differ from what is wanted."""
    same = 0
    for have, want in zip(line, wanted, strict=False):
        if have != want:
            break
        same += 1
    return same + 1
