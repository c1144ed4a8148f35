"""Restore of a calibration that was archived."""

from __future__ import annotations

import shutil
from pathlib import Path

from sandbox.pipeline import restore
from sandbox.pipeline.context import Context
from sandbox.pipeline.observation import read_observation
from sandbox.pipeline.results import Score, StageResult, Table
from sandbox.pipeline.stages.flagging import flagged_parts


def hifv_restoredata(context: Context, /, *, copytoraw: bool = True, ocorr_mode: str = "co") -> StageResult:
    """Import the SDM and restores the final flags and the calibrated data from a former run's products.

    Manifest, calibration tables, flag versions and apply list are needed. The weights are not in them: where the run
    had a ``hifv_statwt``, the recipe of the restore has it too, after this stage.

    Args:
        context: the run.
        copytoraw: copy them from the products directory beside the SDM first; else they must be there already.
        ocorr_mode: the correlations to keep, in CASA's words; those that the calibration kept.
    """
    rawdata = context.directories.rawdata
    if copytoraw:
        _copy_beside_the_data(context)
    products = restore.find_products(rawdata)
    if products.vis != context.vis:
        raise restore.RestoreError(f"{products.manifest} is of {products.vis}, and the request names {context.sdm}.")
    return _restore(context, [products], ocorr_mode)


def hifa_restoredata(context: Context, /, *, copytoraw: bool = True, ocorr_mode: str = "ca") -> StageResult:
    """Import a MOUS's ASDMs and restores their final flags and calibrated data from a former run's products.

    Manifest, of each session calibration tables, and of each ASDM flag versions and apply list are needed. The
    request says which session an ASDM is of.

    Args:
        context: the run.
        copytoraw: copy them from the products directory beside the ASDMs first; else they must be there already.
        ocorr_mode: the correlations to keep, in CASA's words; those that the calibration kept.
    """
    if copytoraw:
        _copy_beside_the_data(context)
    return _restore(context, _of_sessions(context, context.directories.rawdata), ocorr_mode)


def _of_sessions(context: Context, directory: Path) -> list[restore.Archived]:
    """Return what each of a MOUS's ASDMs is restored from."""
    request = context.request
    return [restore.find_products(directory, f"{sdm}.ms", request.sessions[sdm]) for sdm in request.sdms]


def _copy_beside_the_data(context: Context) -> None:
    directory = context.directories.products
    found = _of_sessions(context, directory) if context.request.ous else [restore.find_products(directory)]
    for path in {path for products in found for path in products.files}:
        shutil.copyfile(path, context.directories.rawdata / path.name)


def _restore(context: Context, found: list[restore.Archived], ocorr_mode: str) -> StageResult:
    context.ocorr_mode = ocorr_mode
    for products in found:
        rawdata = context.directories.rawdata
        context.applied += restore.restore(rawdata, products, casa=context.casa, ocorr_mode=ocorr_mode)
    context.observation = read_observation(context.vis)
    flagged = max(flagged_parts(context, products.vis).total for products in found)
    files = {path.name: path.stat().st_size for products in found for path in products.files}
    return StageResult(
        score=lambda: Score(1.0, f"Flags and calibration were restored; {flagged:.1%} of the data are flagged."),
        notes=(f"The calibration was made with CASA {found[0].casa_release}, as this restore.",),
        tables=(Table("Restored from", ("Name", "Bytes"), [(name, f"{size:,}") for name, size in files.items()]),),
    )
