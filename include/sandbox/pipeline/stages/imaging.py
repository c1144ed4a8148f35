"""Images of calibrators, or of targets if the PPR asks for them."""

from __future__ import annotations

from math import ceil
from pathlib import Path

from sandbox.pipeline import figures
from sandbox.pipeline.context import Context, ImageRequest, StageOrderError
from sandbox.pipeline.results import Score, StageResult, Table, falling

# What the PPR calls an intent, as the data call it, and as it stands in the names of products.
_INTENTS = {
    "PHASE": ("CALIBRATE_PHASE", "ph"),
    "BANDPASS": ("CALIBRATE_BANDPASS", "bp"),
    "AMPLITUDE": ("CALIBRATE_FLUX", "flux"),
    "CHECK": ("OBSERVE_CHECK_SOURCE", "chk"),
    "TARGET": ("OBSERVE_TARGET", "sci"),
}
# Sizes that CASA's Fourier transforms are fast with.
_EASY_SIZES = (128, 160, 192, 256, 320, 384, 512, 640, 768, 1024, 1280, 1536, 2048)
_PIXELS_A_BEAM = 5
# Radius of the central region, as a part of the image's width.
_MASK_PART = 0.375
_MASKS = ("centralregion", "none")


def hif_makeimlist(context: Context, /, *, intent: str = "TARGET", specmode: str = "cont") -> StageResult:
    """List the images that are to be made.

    Args:
        context: the run.
        intent: what the fields were observed for, separated by commas.
        specmode: ``cont`` is the only one that this pipeline makes.
    """
    if specmode != "cont":
        raise ValueError(f"specmode is {specmode!r}: this pipeline makes continuum images (cont) only")
    observation = context.observation
    cell = max(1.0, float(int(observation.synthesized_beam / _PIXELS_A_BEAM)))
    pixels = next((size for size in _EASY_SIZES if size * cell >= observation.primary_beam), _EASY_SIZES[-1])
    requests = []
    for word in (part.strip() for part in intent.split(",")):
        if word not in _INTENTS:
            raise ValueError(f"intent is {intent!r}, its words must be of {', '.join(_INTENTS)}")
        name, suffix = _INTENTS[word]
        requests += [ImageRequest(field.name, suffix, pixels, cell) for field in observation.fields_for(name)]
    context.image_requests = requests
    rows = [(item.field, item.suffix, str(item.pixels), f"{item.cell:g}") for item in requests]
    return StageResult(
        score=lambda: Score(1.0 if requests else 0.0, f"Images to be made: {len(requests)}."),
        tables=(Table("Images", ("Field", "Kind", "Pixels", "Cell [arcsec]"), rows),),
    )


def hif_makeimages(context: Context, /, *, hm_masking: str = "centralregion") -> StageResult:
    """Make the images of the list.

    Args:
        context: the run.
        hm_masking: ``centralregion`` looks for sources in the middle of the image only, ``none`` everywhere.
    """
    if hm_masking not in _MASKS:
        raise ValueError(f"hm_masking is {hm_masking!r}, it must be one of {', '.join(_MASKS)}")
    if not context.image_requests:
        raise StageOrderError(
            "No images are listed: the PPR names no hif_makeimlist before this stage, or it found none."
        )
    rows, drawn, ratios = [], [], []
    for request in context.image_requests:
        band = context.observation.band
        name = f"oussid.{request.field}_{request.suffix}.{band}_band.cont.regcal.I"
        peak, residual = _make_image(context, request, name, hm_masking)
        ratios.append(residual / peak)
        rows.append((request.field, request.suffix, f"{peak:.4f}", f"{1e3 * residual:.3f}", f"{peak / residual:.0f}"))
        drawn.append(
            context.figure(
                f"{request.field}_{request.suffix}.png",
                f"{request.field}: the image, and what is left when the model is taken away.",
                figures.image(Path(f"{name}.fits"), Path(f"{name}.residual.fits")),
            )
        )
    worst = max(ratios)
    return StageResult(
        score=lambda: Score(
            falling(worst, good=0.001, bad=0.008), f"The residuals' rms is at most {worst:.3%} of an image's peak."
        ),
        tables=(
            Table(
                "Images",
                ("Field", "Kind", "Peak [Jy/beam]", "Residual rms [mJy/beam]", "Dynamic range"),
                rows,
            ),
        ),
        figures=tuple(drawn),
    )


def _make_image(context: Context, request: ImageRequest, name: str, masking: str) -> tuple[float, float]:
    middle = request.pixels // 2
    circle = f"circle[[{middle}pix,{middle}pix],{ceil(_MASK_PART * request.pixels)}pix]"
    context.casa(
        "tclean",
        vis=context.vis,
        imagename=name,
        field=request.field,
        spw=context.observation.inner_channels,
        datacolumn="corrected",
        specmode="mfs",
        imsize=request.pixels,
        cell=f"{request.cell:g}arcsec",
        weighting="briggs",
        robust=0.5,
        niter=200,
        threshold="10mJy",
        usemask="user",
        mask=circle if masking == "centralregion" else "",
        pbcor=True,
        interactive=False,
    )
    for extension, product in (("image.pbcor", "tt0.pbcor.fits"), ("pb", "pb.tt0.fits")):
        path = Path(f"{name}.{product}")
        context.casa("exportfits", imagename=f"{name}.{extension}", fitsimage=str(path), overwrite=True)
        context.images.append(path)
    for extension, file in (("image", f"{name}.fits"), ("residual", f"{name}.residual.fits")):
        context.casa("exportfits", imagename=f"{name}.{extension}", fitsimage=file, overwrite=True)
    peak = context.casa("imstat", imagename=f"{name}.image")
    residual = context.casa("imstat", imagename=f"{name}.residual")
    return float(peak["max"][0]), float(residual["rms"][0])
