"""The linter of ``flux.csv``: flux densities of calibrators, which the CASA pipeline's import stage reads."""

from __future__ import annotations

from collections.abc import Mapping

from srdp.domain.analyst_files.csv_lint import (
    Cell,
    check_index,
    check_measurement_set,
    check_number,
    first_difference,
    rows,
)
from srdp.domain.common.lint import Notes, Report, numbered_lines, read_text
from srdp.domain.runs.identifiers import ExecutionBlockName

#: The header that the pipeline wants, to the letter.
COLUMNS = ("ms", "field", "spw", "I", "Q", "U", "V", "spix", "uvmin", "uvmax", "comment")
_OLD_COLUMNS = tuple(name for name in COLUMNS if name not in {"uvmin", "uvmax"})


def lint_flux_densities(content: bytes, *, execution_block: ExecutionBlockName, file: str = "flux.csv") -> Report:
    """Lints a ``flux.csv``.

    Args:
        content: the file's bytes.
        execution_block: the EB; every row is of its measurement set.
        file: what the person calls the file.
    """
    text, notes = read_text(content, file)
    if text is None:
        return notes.report()
    header = _header(text, notes)
    if text and not text.endswith("\n"):
        *_, (number, line) = numbered_lines(text)
        notes.error(number, len(line) + 1, line, "has no newline behind it", "end the last line with one")
    if header is None:
        return notes.report()
    seen: dict[tuple[int, int], int] = {}
    count = 0
    for row in rows(text, header, notes, by_name=True):
        count += 1
        _row(row, execution_block, seen, notes)
    if not count and not notes.report().findings:
        notes.warn(1, 1, file, "holds no flux density", "add a row, or leave the file out")
    return notes.report()


def _header(text: str, notes: Notes) -> tuple[str, ...] | None:
    """Return the columns by which the rows can be read, or None; note a header that is not the wanted one."""
    wanted = ",".join(COLUMNS)
    _, line = next(numbered_lines(text), (1, ""))
    if line == wanted:
        return COLUMNS
    if line == ",".join(_OLD_COLUMNS):
        notes.error(
            1,
            first_difference(line, wanted),
            line,
            "is the old header with 9 columns: the pipeline silently drops every row",
            f"write {wanted} and add uvmin and uvmax to each row, 0.0 where there is no limit",
        )
        return _OLD_COLUMNS
    notes.error(1, first_difference(line, wanted), line, "is not the header of a flux.csv", f"write {wanted}")
    return None


def _row(
    row: Mapping[str, Cell], execution_block: ExecutionBlockName, seen: dict[tuple[int, int], int], notes: Notes
) -> None:
    check_measurement_set(row["ms"], execution_block, notes)
    field, spw = check_index(row["field"], notes), check_index(row["spw"], notes)
    if field is not None and spw is not None:
        first = seen.setdefault((field, spw), row["ms"].line)
        if first != row["ms"].line:
            cell = row["field"]
            notes.error(
                cell.line, cell.column, f"{field},{spw}", f"is the field and spw of line {first} again", "keep one row"
            )
    flux = check_number(row["I"], "Jy", notes)
    if flux is not None and flux <= 0:
        cell = row["I"]
        notes.error(cell.line, cell.column, cell.value, "is not a flux density above zero", "write I in Jy")
    for name in "QUV":
        part = check_number(row[name], "Jy", notes)
        if part is not None and flux is not None and abs(part) > flux > 0:
            cell = row[name]
            notes.warn(cell.line, cell.column, cell.value, f"is more {name} than I", "check which column is which")
    check_number(row["spix"], "", notes)
    _uv_limits(row, notes)


def _uv_limits(row: Mapping[str, Cell], notes: Notes) -> None:
    limits = [check_number(row[name], "wavelengths", notes) for name in ("uvmin", "uvmax") if name in row]
    for name, limit in zip(("uvmin", "uvmax"), limits, strict=False):
        if limit is not None and limit < 0:
            cell = row[name]
            notes.error(cell.line, cell.column, cell.value, f"is no {name}", "write 0.0 where there is no limit")
    # An upper limit of zero is none.
    if len(limits) == len(("uvmin", "uvmax")) and None not in limits and 0 < (limits[1] or 0) < (limits[0] or 0):
        cell = row["uvmax"]
        notes.error(cell.line, cell.column, cell.value, "is less than uvmin", "write the larger limit as uvmax")
