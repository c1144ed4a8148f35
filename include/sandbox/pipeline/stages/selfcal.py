"""Calibration of the targets' phases with the targets themselves."""

from __future__ import annotations

import shutil
from pathlib import Path

from sandbox.pipeline.cont_file import FILE_NAME, read_cont_file
from sandbox.pipeline.context import Context
from sandbox.pipeline.results import Score, StageResult, Table
from sandbox.pipeline.stages.target_data import continuum_selections, observed_targets
from sandbox.pipeline.targets import Targets

_ITERATIONS = 200


def hif_selfcal(context: Context, /, *, field: object = "", recal: bool = False) -> StageResult:
    """Solves for phases on each target's continuum, and keeps the solutions of those whose images are better for them.

    What was self-calibrated is there beside what it was made of: images are made of it that ask for that type of data,
    or for the best.

    Args:
        context: the run.
        field: the targets, with commas between; all if empty.
        recal: solve again where a former stage has solved already; else its solutions stay.
    """
    targets = observed_targets(context)
    rows: list[tuple[str, ...]] = []
    for name in targets.choose_fields(field):
        if name in targets.self_calibrated and not recal:
            continue
        before = _dynamic_range(context, targets, name, "before", "data")
        tables = {vis: _solve(context, targets, vis, name) for vis in targets.observations}
        after = _dynamic_range(context, targets, name, "after", "corrected")
        targets.self_calibrated -= {name}
        if after > before:
            targets.self_calibrated |= {name}
            for vis, line in targets.line.items():
                _apply(context, targets, line, name, tables[vis])
        rows.append((name, f"{before:.0f}", f"{after:.0f}", "kept" if after > before else "not used"))
    kept = [row[0] for row in rows if row[-1] == "kept"]
    note = (
        f"The dynamic range is better with the phases of {', '.join(kept)}, which are kept."
        if kept
        else ("No dynamic range is better with the phases, which are not used.")
    )
    return StageResult(
        score=lambda: Score(1.0 if len(kept) == len(rows) else 0.9, note),
        notes=(note,),
        tables=(Table("Dynamic range of the continuum", ("Field", "Before", "After", "Phases"), rows),),
    )


def _dynamic_range(context: Context, targets: Targets, field: str, moment: str, column: str) -> float:
    """Make a continuum image, and before the solution leaves its model in the data."""
    name = f"selfcal.{targets.fields.index(field)}.{moment}"
    geometry = targets.geometry()
    context.casa(
        "tclean",
        vis=list(targets.observations),
        imagename=name,
        field=targets.field_numbers(field),
        spw=[_continuum(targets, vis, field) for vis in targets.observations],
        datacolumn=column,
        specmode="mfs",
        imsize=geometry.pixels,
        cell=f"{geometry.cell:g}arcsec",
        weighting="briggs",
        robust=targets.robust,
        niter=_ITERATIONS,
        nsigma=5.0,
        usemask="pb",
        pbmask=0.3,
        savemodel="modelcolumn" if moment == "before" else "none",
        interactive=False,
    )
    peak = context.casa("imstat", imagename=f"{name}.image")["max"][0]
    noise = context.casa("imstat", imagename=f"{name}.residual")["medabsdevmed"][0]
    for leftover in Path().glob(f"{name}.*"):
        shutil.rmtree(leftover)
    return float(peak) / (1.4826 * float(noise))


def _solve(context: Context, targets: Targets, vis: str, field: str) -> str:
    table = f"{vis}.hif_selfcal.s{context.stage_number}_{targets.fields.index(field)}.p.tbl"
    context.casa(
        "gaincal",
        vis=vis,
        caltable=table,
        field=_numbers(targets, vis, field),
        spw=_continuum(targets, vis, field),
        solint="inf",
        gaintype="T",
        calmode="p",
    )
    _apply(context, targets, vis, field, table)
    return table


def _apply(context: Context, targets: Targets, vis: str, field: str, table: str) -> None:
    # The line's measurement set has the fields' numbers of the one that it was made from.
    source = next((one for one, line in targets.line.items() if line == vis), vis)
    context.casa(
        "applycal",
        vis=vis,
        field=_numbers(targets, source, field),
        gaintable=[table],
        calwt=False,
        applymode="calonly",
        flagbackup=False,
    )


def _continuum(targets: Targets, vis: str, field: str) -> str:
    """Return CASA's selection of a field's continuum; all channels if none is known."""
    chosen = continuum_selections(targets.observations[vis], read_cont_file(Path(FILE_NAME)))
    return ",".join(f"{window}:{channels}" for (name, window), channels in chosen.items() if name == field and channels)


def _numbers(targets: Targets, vis: str, field: str) -> str:
    return dict(zip(targets.observations, targets.field_numbers(field), strict=True))[vis]
