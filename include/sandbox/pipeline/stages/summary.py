"""Figures of the calibrated data."""

from __future__ import annotations

from sandbox.pipeline import figures
from sandbox.pipeline.context import Context, StageOrderError
from sandbox.pipeline.measures import corrected_data
from sandbox.pipeline.results import Score, StageResult, Table, falling


def hifv_plotsummary(context: Context, /) -> StageResult:
    """Show the calibrators' corrected data: a point source has one amplitude and no phase at every baseline.

    Args:
        context: the run.
    """
    if not context.applied:
        raise StageOrderError("There are no calibrated data: the PPR names no hifv_applycals before this stage.")
    drawn, rows, scatters = [], [], []
    for field in context.observation.calibrators:
        data = corrected_data(context.vis, field.number)
        scatters.append(data.scatter)
        rows.append((field.name, f"{data.mean:.4f}", f"{data.scatter:.2%}"))
        drawn.append(
            context.figure(
                f"corrected_{field.number}.png",
                f"{field.name}: corrected amplitude and phase against the length of the baseline.",
                figures.corrected_against_baseline(data),
            )
        )
    worst = max(scatters)
    return StageResult(
        score=lambda: Score(
            falling(worst, good=0.05, bad=0.30),
            f"The calibrators' corrected amplitudes scatter by at most {worst:.1%}.",
        ),
        tables=(Table("Corrected data (mean over channels)", ("Field", "Amplitude [Jy]", "Scatter"), rows),),
        figures=tuple(drawn),
    )
