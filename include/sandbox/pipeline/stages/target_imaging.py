"""Images of the targets: their continuum, and cubes of lines."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import sqrt
from pathlib import Path
from typing import Any

from sandbox.pipeline import figures
from sandbox.pipeline.cont_file import EVERYTHING, FILE_NAME, Continuum, read_cont_file, selection
from sandbox.pipeline.context import Context
from sandbox.pipeline.frequencies import continuum_channels
from sandbox.pipeline.measures import natural_noise
from sandbox.pipeline.observation import Observation
from sandbox.pipeline.ppr import on_disk
from sandbox.pipeline.results import Figure, Score, StageResult, Table, falling, nothing_to_do
from sandbox.pipeline.sizes import Geometry, easy_size
from sandbox.pipeline.stages.target_data import observed_targets
from sandbox.pipeline.targets import DATATYPES, MODES, CleanTarget, Targets, image_name

_NO_ROBUST = -999.0  # the pipeline's word for "not given"
_MASKS = ("auto", "centralregion", "none")
_MASK_PART = 0.375
# With few antennas the beam's sidelobes are half as high as the beam itself: a mask that is drawn around what stands
# out above them finds nothing, or too much. So all is cleaned where the primary beam's gain is larger than this.
_MASK_LEVEL = 0.3
# From this part of the middle frequency on, the continuum's slope can be measured.
_WIDE = 0.1
_ITERATIONS = {"cont": 500, "mfs": 500, "cube": 5000}
# CASA's words for each product: what it is in, and how the FITS file ends.
_CONTINUUM_PRODUCTS = (
    ("image.tt0.pbcor", "tt0.pbcor.fits", "image"),
    ("pb.tt0", "pb.fits", "pb"),
    ("mask", "mask.fits", "mask"),
)
_CUBE_PRODUCTS = (("image.pbcor", "pbcor.fits", "image"), ("pb", "pb.fits", "pb"), ("mask", "mask.fits", "mask"))


def hif_makeimlist(
    context: Context,
    /,
    *,
    intent: str = "TARGET",
    specmode: str = "cont",
    field: object = "",
    spw: object = "",
    robust: float = _NO_ROBUST,
    datatype: str = "",
) -> StageResult:
    """List images of the targets.

    Args:
        context: the run.
        intent: ``TARGET``: the targets' data are all that this recipe has.
        specmode: ``cont`` (all spectral windows together), ``mfs`` (each for itself) or ``cube``.
        field: the fields, with commas between; all targets if empty.
        spw: the spectral windows, with commas between; all if empty.
        robust: Briggs' parameter; what the precheck found, if not given.
        datatype: ``regcal`` or ``selfcal``: nothing is listed of a target that has no such data; the best if empty.
    """
    targets = observed_targets(context)
    if intent != "TARGET":
        raise ValueError(f"intent is {intent!r}: this recipe has data of targets (TARGET) only")
    _check_mode(specmode)
    windows = targets.choose_windows(spw)
    for name in targets.choose_fields(field):
        for group in [windows] if specmode == "cont" else [(window,) for window in windows]:
            _list(context, name, group, specmode, robust, datatype)
    return _listed(targets)


def hif_editimlist(
    context: Context,
    /,
    *,
    imaging_mode: str = "",
    datatype: str = "",
    specmode: str = "cube",
    field: object = "",
    spw: object = "",
    restfreq: object = "",
    start: object = "",
    width: object = "",
    nbin: int = -1,
    nchan: int = -1,
    robust: float = _NO_ROBUST,
    cell: object = "",
    imsize: object = "",
) -> StageResult:
    """Add one image to the list.

    Args:
        context: the run.
        imaging_mode: ``ALMA``. Without it the observatory's stage takes the heuristics of VLASS's quick looks and
            stops, or makes 7290 by 7290 pixels of an arcsecond; this one stops.
        datatype: as of :func:`hif_makeimlist`.
        specmode: ``cube``, ``mfs`` or ``cont``.
        field: the field.
        spw: the spectral window; of a continuum image, several with commas between.
        restfreq: rest frequency of the line with its unit, for example ``230.538GHz``.
        start: a cube's first channel: frequency or velocity with its unit, or a number; empty for the window's first.
        width: of a cube's channels, likewise; empty for the data's own.
        nbin: how many channels of the data make one of a cube that has no width; -1 for one.
        nchan: how many channels a cube has; -1 for all.
        robust: Briggs' parameter; what the precheck found, if not given.
        cell: size of a pixel, for example ``0.5arcsec``; what the beam needs, if empty.
        imsize: width and height in pixels; what the primary beam needs, if empty.
    """
    targets = observed_targets(context)
    if imaging_mode != "ALMA":
        raise ValueError(
            f"imaging_mode={imaging_mode or 'VLASS-QL'!r}: its heuristics need a phasecenter and know no field of "
            "these data"
        )
    _check_mode(specmode)
    if width not in ("", None) and nbin != -1:
        raise ValueError(f"width={width!r} and nbin={nbin!r} are mutually exclusive")
    fields, windows = targets.choose_fields(field), targets.choose_windows(spw)
    if len(fields) != 1 or (specmode == "cube" and len(windows) != 1):
        raise ValueError("hif_editimlist adds one image: name one field, and for a cube one spw")
    if _list(context, fields[0], windows, specmode, robust, datatype):
        target = targets.listed.pop()
        targets.listed.append(
            replace(
                target,
                geometry=_geometry(target.geometry, cell, imsize),
                rest_frequency=_with_unit("restfreq", restfreq),
                start=_channel("start", start),
                width=nbin if nbin != -1 else _channel("width", width),
                channels=int(nchan),
            )
        )
    return _listed(targets)


def hif_makeimages(context: Context, /, *, hm_masking: str = "auto", overwrite_on_export: bool = True) -> StageResult:
    """Make the images of the list, which is empty then; nothing if it is.

    Args:
        context: the run.
        hm_masking: ``auto`` cleans the inner part of the primary beam, ``centralregion`` the middle of the image,
            ``none`` everything.
        overwrite_on_export: an image takes the place of a former one of the same name; else it is exported beside that,
            with a version: ``….pbcor.v2.fits``.
    """
    targets = observed_targets(context)
    if hm_masking not in _MASKS:
        raise ValueError(f"hm_masking is {hm_masking!r}, it must be one of {', '.join(_MASKS)}")
    if not targets.listed:
        return nothing_to_do("No images are listed: none is made.")
    rows: list[tuple[str, ...]] = []
    drawn: list[Figure] = []
    scores = []
    for number, target in enumerate(targets.listed):
        image = _Image(target, f"s{context.stage_number}_{number}", _version(context, target, overwrite_on_export))
        _clean(context, image, hm_masking)
        peak, noise, left = _measure(context, image)
        scores += _scores(context, target, noise, left)
        rows.append(
            (target.name, f"{1e3 * peak:.3f}", f"{1e3 * noise:.3f}", f"{peak / noise:.0f}", f"{left / noise:.1f}")
        )
        drawn += _figures(context, image, len(drawn))
    targets.listed = []
    return StageResult(
        score=lambda: min(scores, key=lambda score: score.value if score.value is not None else 1.0),
        tables=(
            Table(
                "Images",
                ("Name", "Peak [mJy/beam]", "Noise [mJy/beam]", "Dynamic range", "Residual peak by noise"),
                rows,
            ),
        ),
        figures=tuple(drawn),
    )


def _check_mode(mode: str) -> None:
    if mode not in MODES:
        raise ValueError(f"specmode is {mode!r}, it must be one of {', '.join(MODES)}")


def _with_unit(name: str, value: object) -> str:
    text = str(value)
    if text and not text[-1].isalpha():
        raise ValueError(f"{name} is {text!r}: it needs a unit, as 230.538GHz has one")
    return text


def _channel(name: str, value: object) -> str | int:
    """Return what CASA takes for a cube's start or width: a channel's number, or a quantity."""
    return value if isinstance(value, int) else _with_unit(name, value)


def _geometry(geometry: Geometry, cell: object, imsize: object) -> Geometry:
    if cell:
        geometry = replace(geometry, cell=float(str(cell).removesuffix("arcsec")))
    if imsize:
        geometry = replace(geometry, pixels=easy_size(float(str(imsize))))
    return geometry


@dataclass(frozen=True)
class _Image:
    """An image that is made.

    Attributes:
        target: what it shows.
        stage: the part of its name in the working directory that distinguishes it from all others.
        version: how many images of this name are exported, with this one.
    """

    target: CleanTarget
    stage: str
    version: int

    @property
    def name(self) -> str:
        """What it is called in the working directory."""
        mous, _, others = self.target.name.partition(".")
        return f"{mous}.{self.stage}.{others}"

    def fits(self, ending: str) -> Path:
        """Return what one of its products is called.

        Args:
            ending: how the name ends, for example ``pbcor.fits``.
        """
        versioned = ending if self.version == 1 else ending.removesuffix("fits") + f"v{self.version}.fits"
        return Path(f"{self.target.name}.{versioned}")


def _version(context: Context, target: CleanTarget, overwrite: bool) -> int:  # noqa: FBT001
    """Return 1, or if the image may not take the place of another of its name, the next number that is free."""
    ending = _products(target)[0][1]
    version = 1
    while not overwrite and _Image(target, "", version).fits(ending) in context.images:
        version += 1
    return version


def _list(context: Context, field: str, windows: tuple[int, ...], mode: str, robust: float, datatype: object) -> bool:
    """Add an image to the list unless the field has no data of that type; return whether it did."""
    targets = context.targets
    chosen = targets.choose_datatype(datatype, field)
    if chosen is None:
        return False
    targets.listed.append(
        CleanTarget(
            name=image_name(on_disk(context.request.ous), field, windows, mode, chosen),
            field=field,
            windows=windows,
            mode=mode,
            geometry=targets.geometry(),
            robust=targets.robust if robust == _NO_ROBUST else robust,
            datatype=chosen,
        )
    )
    return True


def _listed(targets: Targets) -> StageResult:
    count = len(targets.listed)
    rows = [
        (
            item.name,
            item.rest_frequency,
            str(item.start),
            str(item.width),
            str(item.channels) if item.mode == "cube" else "",
            str(item.geometry.pixels),
            f"{item.geometry.cell:g}",
            f"{item.robust:g}",
        )
        for item in targets.listed
    ]
    header = ("Name", "Rest frequency", "Start", "Width", "Channels", "Pixels", "Cell [arcsec]", "Robust")
    return StageResult(
        score=lambda: Score(1.0 if count else 0.0, f"Images to be made: {count}."),
        tables=(Table("Images", header, rows),),
    )


def _clean(context: Context, image: _Image, masking: str) -> None:
    target = image.target
    geometry = target.geometry
    middle = geometry.pixels // 2
    circle = f"circle[[{middle}pix,{middle}pix],{int(_MASK_PART * geometry.pixels)}pix]"
    numbers = context.targets.field_numbers(target.field)
    arguments: dict[str, object] = {
        "imagename": image.name,
        "field": numbers,
        "datacolumn": DATATYPES[target.datatype],
        "imsize": geometry.pixels,
        "cell": f"{geometry.cell:g}arcsec",
        "gridder": "mosaic" if any("," in one for one in numbers) else "standard",
        "weighting": "briggs",
        "robust": target.robust,
        "uvtaper": [context.targets.taper] if context.targets.taper else [],
        "niter": _ITERATIONS[target.mode],
        "nsigma": 4.0,
        **({"usemask": "pb", "pbmask": _MASK_LEVEL} if masking == "auto" else {"usemask": "user"}),
        "mask": circle if masking == "centralregion" else "",
        "pbcor": True,
        "interactive": False,
    }
    special = _cube_arguments(context, target) if target.mode == "cube" else _continuum_arguments(context, target)
    context.casa("tclean", **special, **arguments)
    for extension, ending, kind in _products(target):
        path = image.fits(ending)
        _label(context, target, f"{image.name}.{extension}", kind)
        context.casa("exportfits", imagename=f"{image.name}.{extension}", fitsimage=str(path), overwrite=True)
        if path not in context.images:
            context.images.append(path)


def _scores(context: Context, target: CleanTarget, noise: float, left: float) -> list[Score]:
    ratio = left / noise
    note = f"What is left of the sources in {target.name} is {ratio:.1f} times the noise."
    scores = [Score(falling(ratio, good=8.0, bad=20.0), note)]
    if target.mode != "cube":
        expected = _expected_noise(context, target)
        times = noise / expected
        note = f"The noise of {target.name} is {times:.1f} times what the data's scatter from channel to channel makes."
        scores.append(Score(falling(times, good=2.0, bad=20.0), note))
    return scores


def _expected_noise(context: Context, target: CleanTarget) -> float:
    """Return the noise that a continuum image would have if the data had none but that of each channel, in Jy/beam."""
    continuum = read_cont_file(Path(FILE_NAME))
    targets = context.targets
    variances: list[float] = []
    for observation in targets.observations.values():
        chosen = chosen_channels(observation, continuum, target)
        numbers = [one.number for one in observation.targets if one.name == target.field]
        variances.append(natural_noise(observation.vis, numbers, chosen) ** 2)
    return sqrt(1.0 / sum(1.0 / variance for variance in variances))


def _cube_arguments(context: Context, target: CleanTarget) -> dict[str, object]:
    targets = context.targets
    return {
        "vis": [targets.line.get(vis, vis) for vis in targets.observations],
        "spw": str(target.windows[0]),
        "specmode": "cube",
        "outframe": "LSRK",
        "veltype": "radio",
        "restfreq": target.rest_frequency,
        "start": target.start,
        "width": target.width,
        "nchan": target.channels,
        "perchanweightdensity": True,
        "restoringbeam": "common",
    }


def _continuum_arguments(context: Context, target: CleanTarget) -> dict[str, object]:
    targets = context.targets
    continuum = read_cont_file(Path(FILE_NAME))
    selections = [
        ",".join(f"{window}:{selection(channels)}" for window, channels in chosen.items())
        for chosen in (chosen_channels(one, continuum, target) for one in targets.observations.values())
    ]
    middles = [targets.windows[window].centre for window in target.windows]
    return {
        "vis": list(targets.observations),
        "spw": selections,
        "specmode": "mfs",
        "deconvolver": "mtmfs",
        "nterms": 2 if (max(middles) - min(middles)) / max(middles) > _WIDE else 1,
    }


def chosen_channels(observation: Observation, continuum: Continuum, target: CleanTarget) -> dict[int, list[int]]:
    """Return the channels that a continuum image is made of, by spectral window.

    A window without an entry is taken as a whole, and so are all of them if none has continuum.

    Args:
        observation: a measurement set of targets.
        continuum: the ranges of ``cont.dat``.
        target: the image.
    """
    everything = dict.fromkeys(target.windows, (EVERYTHING,))
    ranges = {window: continuum.get((target.field, window), (EVERYTHING,)) for window in target.windows}
    for offered in (ranges, everything):
        found = {window: continuum_channels(observation, target.field, window, offered[window]) for window in offered}
        chosen = {window: channels for window, channels in found.items() if channels}
        if chosen:
            return chosen
    return {}


def _products(target: CleanTarget) -> tuple[tuple[str, str, str], ...]:
    return _CUBE_PRODUCTS if target.mode == "cube" else _CONTINUUM_PRODUCTS


def _label(context: Context, target: CleanTarget, image: str, kind: str) -> None:
    """Write into an image what its FITS header is to say beside beam, frequency and object."""
    import casatools

    tool: Any = casatools.image()
    tool.open(image)
    try:
        facts = {
            "propcode": context.request.proposal_code,
            "member": context.request.ous,
            "field": target.field,
            "spw": ",".join(map(str, target.windows)),
            "specmode": target.mode,
            "type": kind,
            "robust": target.robust,
        }
        tool.setmiscinfo(tool.miscinfo() | facts)
    finally:
        tool.done()


def _measure(context: Context, made: _Image) -> tuple[float, float, float]:
    """Return an image's peak, its noise, and the peak of what is left of it, in Jy/beam."""
    target = made.target
    term = "" if target.mode == "cube" else ".tt0"
    image = context.casa("imstat", imagename=f"{made.name}.image{term}")
    residual = context.casa("imstat", imagename=f"{made.name}.residual{term}")
    if not len(image["max"]) or not residual["medabsdevmed"][0]:
        raise ValueError(f"{target.name} is empty: its channels are outside of the data")
    left = max(abs(float(residual["max"][0])), abs(float(residual["min"][0])))
    return float(image["max"][0]), 1.4826 * float(residual["medabsdevmed"][0]), left


def _figures(context: Context, made: _Image, number: int) -> list[Figure]:
    """Draws an image, or of a cube the brightest channel at each place, beside what is left without the model."""
    target = made.target
    term = "" if target.mode == "cube" else ".tt0"
    files = []
    for kind in ("image", "residual"):
        source, fits = f"{made.name}.{kind}{term}", Path(f"{made.name}.{kind}.figure.fits")
        if target.mode == "cube":
            context.casa("immoments", imagename=source, moments=[8], outfile=f"{source}.peak")
            source = f"{source}.peak"
        context.casa("exportfits", imagename=source, fitsimage=str(fits), overwrite=True)
        files.append(fits)
    what = "the brightest channel at each place" if target.mode == "cube" else "the image"
    drawn = context.figure(
        f"image_{number}.png",
        f"{target.name}: {what}, and what is left when the model is taken away.",
        figures.image(*files),
    )
    for file in files:
        file.unlink()
    return [drawn]
