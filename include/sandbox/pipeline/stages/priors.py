"""Corrections that are known without the calibrators."""

from __future__ import annotations

import csv
from pathlib import Path

from sandbox.pipeline.context import Calibration, Context
from sandbox.pipeline.results import Score, StageResult, nothing_to_do
from sandbox.pipeline.tables import open_table


def hifv_priorcals(context: Context, /) -> StageResult:
    """Make the table of gain curves, which say how an antenna's gain depends on its elevation.

    Args:
        context: the run.
    """
    table = context.table_name("gc")
    context.casa("gencal", vis=context.vis, caltable=table, caltype="gc")
    with open_table(table) as curves:
        antennas = int(curves.nrows())
    context.calibration["gain curve"] = Calibration(table)
    return StageResult(
        score=lambda: Score(
            1.0 if antennas else 0.0, f"The gain curves of {antennas} antennas were found in CASA's tables."
        ),
        notes=(
            "No opacity is corrected: the data hold no weather, and at this frequency it is far below a percent.",
            "No antenna positions are corrected: the table of corrections is online, and this pipeline stays offline.",
        ),
    )


def hif_antpos(
    context: Context,
    /,
    *,
    hm_antpos: str = "manual",
    antposfile: str = "antennapos.csv",
    antenna: str = "",
    offsets: object = (),
) -> StageResult:
    """Make the table of corrections of antenna positions; none if there is nothing to correct.

    Args:
        context: the run.
        hm_antpos: ``file``, or ``manual`` for the antennas and offsets that are given.
        antposfile: the file: its first line is skipped whatever it says, and each other has the measurement set, the
            antenna, three offsets in metres and a comment. One that is not there is as one without rows.
        antenna: names of antennas, with commas between.
        offsets: three offsets in metres for each of them.
    """
    if hm_antpos == "file":
        antenna, offsets = _offsets_of(Path(antposfile), context.vis)
    if not antenna:
        return nothing_to_do("No antenna position is corrected.")
    table = context.table_name("ants")
    context.casa("gencal", vis=context.vis, caltable=table, caltype="antpos", antenna=antenna, parameter=offsets)
    context.calibration["antenna positions"] = Calibration(table)
    return StageResult(score=lambda: Score(1.0, f"The positions of {antenna} are corrected."))


def _offsets_of(path: Path, vis: str) -> tuple[str, list[float]]:
    """Return antennas and offsets of a measurement set's rows."""
    if not path.exists():
        return "", []
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))[1:]
    for number, row in enumerate(rows, start=2):
        if len(row) != 6:
            raise ValueError(f"Cannot read antenna position file: {path}. Row {number} is not correctly formatted.")
    own = [row for row in rows if row[0] == vis]
    return ",".join(row[1] for row in own), [float(value) for row in own for value in row[2:5]]


def hifv_syspower(context: Context, /) -> StageResult:
    """Look for the switched power.

    Args:
        context: the run.
    """
    with open_table(f"{context.observation.vis}/SYSPOWER") as table:
        rows = int(table.nrows())
    if rows:
        return nothing_to_do(f"The data hold {rows} rows of switched power; this pipeline does not use them.")
    return nothing_to_do("Nothing to do: the data hold no switched power.")
