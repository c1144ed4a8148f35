"""Restore of a calibration that was archived."""

from __future__ import annotations

import shutil

from sandbox.pipeline import restore
from sandbox.pipeline.context import Context
from sandbox.pipeline.observation import read_observation
from sandbox.pipeline.results import Score, StageResult, Table
from sandbox.pipeline.stages.flagging import flagged_parts


def hifv_restoredata(context: Context, /, *, copytoraw: bool = True, ocorr_mode: str = "co") -> StageResult:
    """Imports the SDM and restores the final flags and the calibrated data from a former run's products.

    Manifest, calibration tables, flag versions and apply list are needed. The weights are not in them: where the run
    had a ``hifv_statwt``, the recipe of the restore has it too, after this stage.

    Args:
        context: the run.
        copytoraw: copy them from the products directory beside the SDM first; else they must lie there already.
        ocorr_mode: the correlations to keep, in CASA's words; those that the calibration kept.
    """
    rawdata = context.directories.rawdata
    if copytoraw:
        for path in restore.find_products(context.directories.products).files:
            shutil.copyfile(path, rawdata / path.name)
    products = restore.find_products(rawdata)
    if products.vis != context.vis:
        raise restore.RestoreError(f"{products.manifest} is of {products.vis}, and the request names {context.sdm}.")
    context.applied = list(restore.restore(rawdata, products, casa=context.casa, ocorr_mode=ocorr_mode))
    context.ocorr_mode = ocorr_mode
    context.observation = read_observation(context.vis)
    parts = flagged_parts(context)
    return StageResult(
        score=lambda: Score(1.0, f"Flags and calibration were restored; {parts.total:.1%} of the data are flagged."),
        notes=(f"The calibration was made with CASA {products.casa_release}, as this restore.",),
        tables=(
            Table(
                "Restored from", ("Name", "Bytes"), [(path.name, f"{path.stat().st_size:,}") for path in products.files]
            ),
        ),
    )
