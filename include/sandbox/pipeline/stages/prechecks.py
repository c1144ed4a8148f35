"""What is looked at before images are made: the angular resolution that the data allow, and the products' sizes."""

from __future__ import annotations

import re
import shutil
from math import sqrt
from pathlib import Path

from sandbox.pipeline.context import Context
from sandbox.pipeline.results import Score, StageResult, Table
from sandbox.pipeline.sizes import Geometry, ProductSizes, mitigate, product_sizes
from sandbox.pipeline.stages.target_data import observed_targets
from sandbox.pipeline.targets import Targets

#: Briggs' parameters that are tried.
_ROBUST = (0.0, 0.5, 1.0, 2.0)
_DEFAULT_ROBUST = 0.5
# A beam that is not further off than this part is what was desired.
_TOLERANCE = 0.2
_ARCSECONDS = {"": 1.0, "arcsec": 1.0, "mas": 1e-3, "arcmin": 60.0, "deg": 3600.0}


def hifa_imageprecheck(context: Context, /, *, desired_angular_resolution: object = "") -> StageResult:
    """Measures the beam for several weightings and chooses the one that comes nearest to what is desired.

    Args:
        context: the run.
        desired_angular_resolution: in arcseconds, or with its unit: ``0.5arcsec``; empty for no desire.
    """
    targets = observed_targets(context)
    desired = angular_resolution(desired_angular_resolution)
    beams = {robust: _measure_beam(context, targets, robust) for robust in _ROBUST}
    targets.robust, targets.taper, targets.beam = choose_weighting(beams, desired)
    off = abs(targets.beam / desired - 1) if desired else 0.0
    note = (
        f"The beam will be {targets.beam:.3g} arcsec, with robust {targets.robust:g}"
        f"{f' and a taper of {targets.taper}' if targets.taper else ''}"
        f"{f'; {desired:.3g} arcsec are desired' if desired else ''}."
    )
    rows = [(f"{robust:g}", f"{beam:.3f}") for robust, beam in beams.items()]
    return StageResult(
        score=lambda: Score(1.0 if off <= _TOLERANCE else 0.25, note),
        notes=(note,),
        tables=(Table("Beams that were measured", ("Robust", "Beam [arcsec]"), rows),),
    )


def hif_checkproductsize(
    context: Context, /, *, maxcubesize: float = -1, maxcubelimit: float = -1, maxproductsize: float = -1
) -> StageResult:
    """Compute the sizes of all targets' cubes at full spectral resolution, and gives something up if they are large.

    Args:
        context: the run.
        maxcubesize: what the largest cube ought to have at most, in GB; -1 for no limit.
        maxcubelimit: what it may have at most, in GB; if it is larger whatever is given up, the stage fails.
        maxproductsize: what all images together may have at most, in GB; the same.
    """
    targets = observed_targets(context)

    def predict(pixels_per_beam: float, level: float) -> ProductSizes:
        targets.pixels_per_beam, targets.level = pixels_per_beam, level
        channels = [window.channels for window in targets.windows.values()]
        return product_sizes(targets.geometry(), channels, len(targets.fields))

    done = mitigate(predict, max_cube_size=maxcubesize, max_cube_limit=maxcubelimit, max_product_size=maxproductsize)
    targets.pixels_per_beam, targets.level = done.pixels_per_beam, done.level
    geometry = targets.geometry()
    rows = [
        (name, f"{before:.4g}", f"{after:.4g}", f"{limit:g}" if limit >= 0 else "none")
        for name, before, after, limit in (
            ("Largest cube", done.before.largest_cube, done.after.largest_cube, maxcubesize),
            ("All images", done.before.products, done.after.products, maxproductsize),
        )
    ]
    return StageResult(
        score=lambda: _score(done.needed, done.within_goal, done.after),
        notes=(_note(geometry, done.pixels_per_beam, done.level),),
        tables=(Table("Sizes [GB]", ("What", "Predicted", "After mitigation", "Goal"), rows),),
    )


def angular_resolution(value: object) -> float:
    """Return an angular resolution in arcseconds; 0 for none.

    Args:
        value: as a PPR gives it: number or text, with or without a unit.

    Raises:
        ValueError: it is no angle.
    """
    text = str(value).strip()
    if text in {"", "None", "0", "0.0"}:
        return 0.0
    found = re.fullmatch(r"(\d*\.?\d+(?:[eE][+-]?\d+)?)\s*([a-z]*)", text)
    if not found or found[2] not in _ARCSECONDS:
        raise ValueError(f"desired_angular_resolution is {text!r}, it must be an angle such as 0.5arcsec")
    return float(found[1]) * _ARCSECONDS[found[2]]


def choose_weighting(beams: dict[float, float], desired: float) -> tuple[float, str, float]:
    """Return robust parameter, taper and beam that come nearest to an angular resolution.

    Args:
        beams: the beams that were measured in arcseconds, by Briggs' parameter.
        desired: the angular resolution in arcseconds; 0 for no desire.
    """
    if not desired:
        return _DEFAULT_ROBUST, "", beams[_DEFAULT_ROBUST]
    robust = min(beams, key=lambda one: abs(beams[one] - desired))
    beam = beams[robust]
    if desired <= beam * (1 + _TOLERANCE):
        return robust, "", beam
    # Coarser than the data are: a Gaussian taper makes up the difference.
    return robust, f"{sqrt(desired**2 - beam**2):.4f}arcsec", desired


def _measure_beam(context: Context, targets: Targets, robust: float) -> float:
    """Make a dirty image of one plane, small as only its middle counts, and return the mean width of its beam."""
    name = f"precheck.robust{robust:g}"
    field, window = targets.fields[0], next(iter(targets.windows))
    geometry = targets.geometry()
    context.casa(
        "tclean",
        vis=list(targets.observations),
        imagename=name,
        field=targets.field_numbers(field),
        spw=str(window),
        datacolumn="data",
        specmode="mfs",
        imsize=128,
        cell=f"{geometry.cell:g}arcsec",
        weighting="briggs",
        robust=robust,
        niter=0,
        pblimit=-0.1,
        interactive=False,
    )
    beam = context.casa("imhead", imagename=f"{name}.image", mode="summary", verbose=False)["restoringbeam"]
    for leftover in Path().glob(f"{name}.*"):
        shutil.rmtree(leftover)
    return sqrt(float(beam["major"]["value"]) * float(beam["minor"]["value"]))


def _score(needed: bool, within_goal: bool, sizes: ProductSizes) -> Score:  # noqa: FBT001
    note = f"The largest cube will have {sizes.largest_cube:.4g} GB, all images {sizes.products:.4g} GB"
    if not needed:
        return Score(1.0, f"{note}.")
    if within_goal:
        return Score(0.85, f"{note}, as pixels or field of view were given up.")
    return Score(0.5, f"{note}: more than the goal, whatever is given up, but within the limits.")


def _note(geometry: Geometry, pixels_per_beam: float, level: float) -> str:
    return (
        f"Images will have {geometry.pixels} pixels of {geometry.cell:g} arcsec: {pixels_per_beam:g} a beam of "
        f"{geometry.beam:.3g} arcsec, out to where the primary beam's gain is {level:g}."
    )
