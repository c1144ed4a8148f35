"""The linter of ``antennapos.csv``: corrections of antenna positions.

The form is that of the CASA pipeline (``pipeline/hif/tasks/antpos/antpos.py``, ``_read_antpos_csvfile``, and the help
of ``hif_antpos``): six columns, offsets in metres in the ITRF frame. That reader takes the first line for the header
whatever it says, passes over rows of other measurement sets, and stops at any row that has not six columns, a blank
line included.
"""

from __future__ import annotations

from collections.abc import Mapping

from srdp.domain.analyst_files.csv_lint import Cell, check_measurement_set, check_number, first_difference, rows
from srdp.domain.analyst_files.selections.antennas import reference_antenna_faults
from srdp.domain.analyst_files.selections.observed import Observed
from srdp.domain.common.lint import Notes, Report, numbered_lines, read_text
from srdp.domain.runs.identifiers import ExecutionBlockName

#: What the columns are. The pipeline's help and its guides begin the header with different words.
COLUMNS = ("ms", "antenna", "xoffset", "yoffset", "zoffset", "comment")
_HEADERS = ("ms,antenna,", "name,antenna,")
# Corrections are of millimetres to centimetres; one of metres is a position, or in the wrong unit.
_LARGEST_OFFSET_METRES = 1.0


def lint_antenna_positions(
    content: bytes,
    *,
    execution_block: ExecutionBlockName,
    file: str = "antennapos.csv",
    observed: Observed | None = None,
) -> Report:
    """Lints an ``antennapos.csv``.

    Args:
        content: the file's bytes.
        execution_block: the EB; every row is of its measurement set.
        file: what the person calls the file.
        observed: the observation; without its antennas their names are compared with nothing.
    """
    text, notes = read_text(content, file, mark_matters=False)
    if text is None:
        return notes.report()
    _, first = next(numbered_lines(text), (1, ""))
    wanted = ",".join(COLUMNS)
    if first.startswith(f"{execution_block}.ms,"):
        problem = "is a row, but the pipeline takes the first line as the header"
        notes.error(1, 1, first, problem, f"write {wanted} before it")
    elif not text.strip():
        notes.error(1, 1, file, "has no header, and the pipeline stops at that", f"write {wanted} and a row")
    elif not first.startswith(_HEADERS):
        problem = "is not the usual header; the line is skipped in any case"
        notes.warn(1, first_difference(first, wanted), first, problem, f"see whether the columns are {wanted}")
    seen: dict[str, int] = {}
    count = 0
    for row in rows(text, COLUMNS, notes):
        count += 1
        _row(row, execution_block, observed or Observed(), seen, notes)
    if not count and not notes.report().findings:
        notes.warn(1, 1, file, "holds no correction", "add a row, or leave the file out")
    return notes.report()


def _row(
    row: Mapping[str, Cell],
    execution_block: ExecutionBlockName,
    observed: Observed,
    seen: dict[str, int],
    notes: Notes,
) -> None:
    check_measurement_set(row["ms"], execution_block, notes)
    antenna = row["antenna"]
    for fault in reference_antenna_faults(antenna.value, observed):
        notes.error(antenna.line, antenna.column + fault.offset, fault.value, fault.problem, fault.fix)
    first = seen.setdefault(antenna.value, antenna.line)
    if first != antenna.line:
        notes.error(
            antenna.line, antenna.column, antenna.value, f"is the antenna of line {first} again", "keep one row"
        )
    for name in ("xoffset", "yoffset", "zoffset"):
        cell = row[name]
        offset = check_number(cell, "metres", notes)
        if offset is not None and abs(offset) > _LARGEST_OFFSET_METRES:
            notes.error(
                cell.line,
                cell.column,
                cell.value,
                f"is an offset of more than {_LARGEST_OFFSET_METRES:g} m",
                "write the correction in metres, not the position",
            )
