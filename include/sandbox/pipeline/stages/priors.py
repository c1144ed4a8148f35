"""Corrections that are known without the calibrators."""

from __future__ import annotations

from sandbox.pipeline.context import Calibration, Context
from sandbox.pipeline.results import Score, StageResult, nothing_to_do
from sandbox.pipeline.tables import open_table


def hifv_priorcals(context: Context, /) -> StageResult:
    """Makes the table of gain curves, which say how an antenna's gain depends on its elevation.

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


def hifv_syspower(context: Context, /) -> StageResult:
    """Looks for the switched power.

    Args:
        context: the run.
    """
    with open_table(f"{context.observation.vis}/SYSPOWER") as table:
        rows = int(table.nrows())
    if rows:
        return nothing_to_do(f"The data hold {rows} rows of switched power; this pipeline does not use them.")
    return nothing_to_do("Nothing to do: the data hold no switched power.")
