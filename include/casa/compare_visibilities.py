"""Compares two measurement sets: ``python compare_visibilities.py ONE.ms OTHER.ms``, with CASA's Python.

Says where they differ, one sentence a line, and exits with 0 if they do not, with 1 if they do and with 2 if they could
not be compared, as ``diff`` does. Equal means bit for bit, flagged data included: the same rows in the same order, and
in each of them the same data, calibrated data, flags, weights and coordinates. The model is not compared: it belongs to
the way that led to a calibration.

``CASASITECONFIG`` names the site configuration beside this file. CASA's log is where this is started.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# What identifies which visibility a row is.
_KEYS = ("TIME", "ANTENNA1", "ANTENNA2", "DATA_DESC_ID", "FIELD_ID", "SCAN_NUMBER", "FEED1", "FEED2", "STATE_ID")
# What must be there, and what may be missing in both.
_REQUIRED = ("CORRECTED_DATA", "DATA", "FLAG", "FLAG_ROW", "WEIGHT", "SIGMA", "UVW")
_OPTIONAL = ("WEIGHT_SPECTRUM", "SIGMA_SPECTRUM", "FLOAT_DATA")
_ROWS_AT_ONCE = 4096


@dataclass
class _Difference:
    """What is known of a column's differences."""

    column: str
    values: int = 0
    different: int = 0
    largest: float = 0.0
    first: str = ""

    def __str__(self) -> str:
        largest = f", by up to {self.largest:.6g}" if self.largest else ""
        return f"{self.column} differs in {self.different:,} of {self.values:,} values{largest}; first in {self.first}."


def differences(one: str, other: str) -> list[str]:
    """Return where two measurement sets differ, in sentences; none if they hold the same.

    Args:
        one: a measurement set.
        other: another.
    """
    with ExitStack() as opened:
        pair = tuple(_open(path, opened) for path in (one, other))
        rows = [int(table.nrows()) for table in pair]
        if rows[0] != rows[1]:
            return [f"One has {rows[0]:,} rows, the other {rows[1]:,}."]
        if not rows[0]:
            return ["Neither has rows: there is nothing to compare."]
        keys = [str(difference) for difference in _compare_keys(pair)]
        if keys:
            return [*keys, "Their rows are not the same visibilities in the same order; nothing else was compared."]
        return [*_columns_missing(pair), *_compare_columns(pair, rows[0])]


def _open(path: str, opened: ExitStack) -> Any:  # noqa: ANN401  CASA's tools have no types
    import casatools

    table = casatools.table()
    table.open(path, nomodify=True)
    opened.callback(table.close)
    return table


def _compare_keys(pair: tuple[Any, ...]) -> Iterator[_Difference]:
    for column in _KEYS:
        difference = _Difference(column)
        _note(difference, [table.getcol(column) for table in pair], pair[0], 0)
        if difference.different:
            yield difference


def _columns_missing(pair: tuple[Any, ...]) -> Iterator[str]:
    names = [set(table.colnames()) for table in pair]
    for column in (*_REQUIRED, *_OPTIONAL):
        lacking = [which for which, known in zip(("one", "other"), names, strict=True) if column not in known]
        if lacking and (column in _REQUIRED or len(lacking) == 1):
            yield f"There is no {column} in the {' and the '.join(lacking)}."


def _compare_columns(pair: tuple[Any, ...], rows: int) -> Iterator[str]:
    names = set(pair[0].colnames()) & set(pair[1].colnames())
    kinds = pair[0].getcol("DATA_DESC_ID")
    for column in (name for name in (*_REQUIRED, *_OPTIONAL) if name in names):
        difference = _Difference(column)
        for first, number in _runs(kinds, rows):
            values = [_values(table, column, first, number) for table in pair]
            _note(difference, values, pair[0], first)
        if difference.different:
            yield str(difference)


def _runs(kinds: Any, rows: int) -> Iterator[tuple[int, int]]:  # noqa: ANN401
    """Yield first row and number of rows; all of one shape, and few enough for the memory."""
    first = 0
    for row in range(1, rows + 1):
        if row == rows or kinds[row] != kinds[first] or row - first == _ROWS_AT_ONCE:
            yield first, row - first
            first = row


def _values(table: Any, column: str, first: int, rows: int) -> Any:  # noqa: ANN401
    """Return a column's values, or ``None`` where it has none."""
    if not table.isvarcol(column):
        return table.getcol(column, first, rows)
    defined = {bool(table.iscelldefined(column, row)) for row in range(first, first + rows)}
    if defined == {False}:
        return None
    if defined == {True}:
        return table.getcol(column, first, rows)
    raise ValueError(f"{column} has values in some of the rows {first} to {first + rows - 1} only")


def _note(difference: _Difference, values: list[Any], table: Any, first: int) -> None:  # noqa: ANN401
    one, other = values
    if one is None and other is None:
        return
    if one is None or other is None or one.shape != other.shape:
        size = max(1 if array is None else int(array.size) for array in values)
        difference.values += size
        difference.different += size
        difference.first = difference.first or f"{_row(table, first)}, where their shapes differ"
        return
    # Not a number is the same as not a number.
    unequal = (one != other) & ~((one != one) & (other != other))
    difference.values += int(unequal.size)
    if not unequal.any():
        return
    difference.different += int(unequal.sum())
    if one.dtype != bool:
        apart = np.abs(one[unequal] - other[unequal])
        difference.largest = max(difference.largest, float(np.nanmax(np.append(apart, 0.0))))
    at = int(np.nonzero(unequal)[-1].min())
    difference.first = difference.first or _row(table, first + at)


def _row(table: Any, row: int) -> str:  # noqa: ANN401
    scan, one, other = (int(table.getcell(name, row)) for name in ("SCAN_NUMBER", "ANTENNA1", "ANTENNA2"))
    return f"row {row:,} (scan {scan}, antennas {one} and {other})"


def main(arguments: list[str]) -> int:
    """Compare what the command line names; return the exit status."""
    if len(arguments) != 2 or not all(Path(path).is_dir() for path in arguments):
        print("usage: compare_visibilities.py ONE.ms OTHER.ms", file=sys.stderr)
        return 2
    # CASA talks on the standard output, too: there only the sentences are wanted.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answer:
        os.dup2(2, 1)
        try:
            found = differences(*(str(Path(path).resolve()) for path in arguments))
        except (RuntimeError, ValueError) as error:
            print(f"They cannot be compared: {error}", file=sys.stderr)
            return 2
        answer.writelines(f"{sentence}\n" for sentence in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
