"""CASA tables, opened for the length of a ``with`` block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def open_table(path: str | Path, *, writable: bool = False) -> Iterator[Any]:
    """Open a table of a measurement set, or a calibration table, and close it whatever happens.

    Args:
        path: the table's directory.
        writable: open it for changes.
    """
    import casatools

    table = casatools.table()
    table.open(str(path), nomodify=not writable)
    try:
        yield table
    finally:
        table.close()
        table.done()
