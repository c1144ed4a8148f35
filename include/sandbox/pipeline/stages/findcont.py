"""The search for the frequencies that hold continuum and no line."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sandbox.pipeline import figures
from sandbox.pipeline.cont_file import FILE_NAME, FrequencyRange, read_cont_file, runs, write_cont_file
from sandbox.pipeline.context import Context
from sandbox.pipeline.results import Figure, Score, StageResult, Table
from sandbox.pipeline.stages.target_data import observed_targets
from sandbox.pipeline.tables import open_table
from sandbox.pipeline.targets import Targets

# What stands out of the noise by this many times its scatter is a source, or a line.
_SIGNIFICANT = 5.0
_LINE = 4.0
# Of a line, the wings: channels that are left out at each of its sides.
_WINGS = 1
_PIXELS = 128


@dataclass(frozen=True)
class _Spectrum:
    """A spectrum of a target: frequencies in GHz (LSRK), values in Jy/beam, and the channels without a line."""

    frequencies: list[float]
    values: list[float]
    continuum: list[int]

    @property
    def ranges(self) -> tuple[FrequencyRange, ...]:
        half = abs(self.frequencies[1] - self.frequencies[0]) / 2
        ends = [sorted((self.frequencies[first], self.frequencies[last])) for first, last in runs(self.continuum)]
        return tuple(FrequencyRange(low - half, high + half) for low, high in ends)


def hif_findcont(context: Context, /, *, field: object = "") -> StageResult:
    """Find the continuum of each target and spectral window and write it to ``cont.dat``.

    What an analyst's ``cont.dat`` says already is used as it is.

    Args:
        context: the run.
        field: the targets, with commas between; all if empty.
    """
    targets = observed_targets(context)
    path = Path(FILE_NAME)
    given = read_cont_file(path)
    found = dict(given)
    rows: list[tuple[str, ...]] = []
    drawn: list[Figure] = []
    for name in targets.choose_fields(field):
        for window in targets.windows:
            if (name, window) in given:
                rows.append((name, str(window), "cont.dat, as it was", _in_words(given[name, window])))
                continue
            spectrum = _spectrum(context, targets, name, window)
            found[name, window] = spectrum.ranges
            drawn.append(_figure(context, name, window, spectrum))
            rows.append((name, str(window), "found", _in_words(spectrum.ranges)))
    if set(found) - set(given):
        _write(path, targets, found)
    bare = [f"{name}, spw {window}" for (name, window), ranges in found.items() if not ranges]
    return StageResult(
        score=lambda: _score(bare),
        notes=(f"{len(given)} entries of {FILE_NAME} were there already.",) if given else (),
        tables=(Table("Continuum", ("Field", "Spectral window", "From", "Ranges"), rows),),
        figures=tuple(drawn),
    )


def _write(path: Path, targets: Targets, found: dict[tuple[str, int], tuple[FrequencyRange, ...]]) -> None:
    first = next(iter(targets.observations))
    with open_table(f"{first}/SPECTRAL_WINDOW") as table:
        names = {window: str(table.getcell("NAME", window)) for window in targets.windows}
    # Fields one after the other, whatever was there first.
    ordered = {
        key: found[key] for field in dict.fromkeys(name for name, _ in found) for key in found if key[0] == field
    }
    write_cont_file(path, ordered, {window: name for window, name in names.items() if len(name.split()) == 1})


def _spectrum(context: Context, targets: Targets, field: str, window: int) -> _Spectrum:
    """Make a dirty cube and take the mean spectrum of what stands out of it."""
    import casatools

    name = f"findcont.{window}"
    context.casa(
        "tclean",
        vis=list(targets.observations),
        imagename=name,
        field=targets.field_numbers(field),
        spw=str(window),
        datacolumn="data",
        specmode="cube",
        outframe="LSRK",
        imsize=_PIXELS,
        cell=f"{targets.geometry().cell:g}arcsec",
        weighting="natural",
        niter=0,
        restoration=False,
        pblimit=-0.1,
        interactive=False,
    )
    image: Any = casatools.image()
    image.open(f"{name}.residual")
    try:
        cube = image.getchunk().squeeze(axis=2)  # east, north, channel
        coordinates = image.coordsys()
        frequencies = [
            float(coordinates.toworld([0, 0, 0, channel], "n")["numeric"][3]) / 1e9 for channel in range(cube.shape[2])
        ]
    finally:
        image.done()
    for leftover in Path().glob(f"{name}.*"):
        shutil.rmtree(leftover)
    noise = 1.4826 * np.median(np.abs(cube - np.median(cube)))
    bright = cube.max(axis=2) > _SIGNIFICANT * noise
    if not bright.any():
        bright = cube.max(axis=2) >= cube.max()
    values = cube[bright].mean(axis=0)
    return _Spectrum(frequencies, [float(value) for value in values], continuum_of(values))


def continuum_of(values: Any) -> list[int]:  # noqa: ANN401  CASA's arrays have no types
    """Return the channels of a spectrum without those of lines, their wings, and those at its ends.

    Args:
        values: the spectrum.
    """
    values = np.asarray(values)
    used = np.isfinite(values) & (values != 0)
    if not used.any():
        return []
    line_free = used.copy()
    for _ in range(values.size):
        middle = np.median(values[line_free])
        scatter = 1.4826 * np.median(np.abs(values[line_free] - middle))
        now = used & (np.abs(values - middle) <= _LINE * scatter)
        if (now == line_free).all() or not now.any():
            break
        line_free = now
    lines = used & ~line_free
    widened = lines.copy()
    for shift in range(1, _WINGS + 1):
        widened[shift:] |= lines[:-shift]
        widened[:-shift] |= lines[shift:]
    free = (used & ~widened).nonzero()[0]
    inner = free[(free > 0) & (free < values.size - 1)]
    return [int(channel) for first, last in runs(inner.tolist()) if last > first for channel in range(first, last + 1)]


def _figure(context: Context, field: str, window: int, spectrum: _Spectrum) -> Figure:
    number = context.targets.fields.index(field)
    return context.figure(
        f"spectrum_{number}_spw{window}.png",
        f"{field}, spectral window {window}: mean spectrum of what stands out, and the channels taken for continuum.",
        figures.spectrum(spectrum.frequencies, spectrum.values, spectrum.continuum),
    )


def _in_words(ranges: tuple[FrequencyRange, ...]) -> str:
    return "; ".join(f"{one.low:.5f} to {one.high:.5f} GHz {one.frame}" for one in ranges) or "none"


def _score(bare: list[str]) -> Score:
    if bare:
        return Score(0.3, f"No continuum is known of {'; '.join(bare)}.")
    return Score(1.0, "Continuum is known of all targets and spectral windows.")
