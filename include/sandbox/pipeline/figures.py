"""The weblog's figures: each function returns one that draws its picture to the path it is given."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sandbox.pipeline.measures import CorrectedData, Solutions, read_solutions
from sandbox.pipeline.observation import Antenna, Observation, utc

Draw = Callable[[Path], None]
_POLARIZATIONS = (("R", "tab:blue"), ("L", "tab:orange"))
_COLUMNS = 7
_RESOLUTION = 80


def antennas(observation: Observation) -> Draw:
    """Draws where the antennas stood, as a map."""

    def draw(path: Path) -> None:
        positions = np.array([antenna.position for antenna in observation.antennas])
        east, north = _east_and_north(positions)
        figure, axes = _figure(6, 6)
        axes.plot(east, north, "o", markersize=4)
        for antenna, x, y in zip(observation.antennas, east, north, strict=True):
            axes.annotate(antenna.name, (x, y), fontsize=7, xytext=(3, 3), textcoords="offset points")
        axes.set_aspect("equal", "datalim")
        axes.set(xlabel="east [m]", ylabel="north [m]")
        figure.savefig(path, dpi=_RESOLUTION)

    return draw


def flagged_by_antenna(parts: Mapping[str, float]) -> Draw:
    """Draws the flagged part of each antenna's data."""

    def draw(path: Path) -> None:
        figure, axes = _figure(9, 3)
        names = sorted(parts)
        axes.bar(names, [100 * parts[name] for name in names])
        axes.tick_params("x", rotation=90)
        axes.set(ylabel="flagged [%]", ylim=(0, 100))
        figure.savefig(path, dpi=_RESOLUTION, bbox_inches="tight")

    return draw


def bandpass_amplitude(table: str, antennas: Sequence[Antenna]) -> Draw:
    """Draws the amplitude of a bandpass, one panel an antenna."""
    return _bandpass(table, antennas, np.abs)


def bandpass_phase(table: str, antennas: Sequence[Antenna]) -> Draw:
    """Draws the phase of a bandpass, one panel an antenna."""
    return _bandpass(table, antennas, lambda gains: np.degrees(np.angle(gains)))


def gain_phases(table: str, observation: Observation) -> Draw:
    """Draws the phases of gains against time, one line an antenna, first polarization."""
    return _gains(table, observation, lambda gains: np.degrees(np.angle(gains)), "phase R [deg]")


def gain_amplitudes(table: str, observation: Observation) -> Draw:
    """Draws the amplitudes of gains against time, one line an antenna, first polarization."""
    return _gains(table, observation, np.abs, "amplitude R")


def flux_by_antenna(densities: Mapping[str, float]) -> Draw:
    """Draws the flux density that each antenna alone would give."""

    def draw(path: Path) -> None:
        figure, axes = _figure(9, 3)
        names = sorted(densities)
        axes.plot(names, [densities[name] for name in names], "o")
        axes.tick_params("x", rotation=90)
        axes.set(ylabel="flux density [Jy]")
        axes.grid(visible=True, alpha=0.3)
        figure.savefig(path, dpi=_RESOLUTION, bbox_inches="tight")

    return draw


def corrected_against_baseline(data: CorrectedData) -> Draw:
    """Draws corrected amplitudes and phases against the length of the baseline."""

    def draw(path: Path) -> None:
        figure, axes = _figure(9, 5, rows=2)
        axes[0].plot(data.baseline, data.amplitude, ".", markersize=2)
        axes[0].set(ylabel="amplitude [Jy]", ylim=(0, None))
        axes[1].plot(data.baseline, data.phase, ".", markersize=2)
        axes[1].set(xlabel="baseline [m]", ylabel="phase [deg]")
        figure.savefig(path, dpi=_RESOLUTION)

    return draw


def image(restored: Path, residual: Path) -> Draw:
    """Draws an image and its residual beside each other, with sky coordinates.

    Args:
        restored: FITS file of the image.
        residual: FITS file of the residual.
    """

    def draw(path: Path) -> None:
        from astropy.io import fits
        from astropy.wcs import WCS, FITSFixedWarning
        from matplotlib.figure import Figure

        figure = Figure(figsize=(11, 5))
        for position, (file, title) in enumerate(((restored, "image"), (residual, "residual")), start=1):
            with fits.open(file) as opened:
                header, pixels = opened[0].header, opened[0].data.squeeze()
            with warnings.catch_warnings():
                # CASA's headers give time and place in a way that astropy completes, and says so each time.
                warnings.simplefilter("ignore", FITSFixedWarning)
                coordinates = WCS(header).celestial
            axes = figure.add_subplot(1, 2, position, projection=coordinates)
            drawn = axes.imshow(1e3 * pixels, origin="lower", cmap="inferno")
            figure.colorbar(drawn, ax=axes, label="mJy/beam", shrink=0.8)
            axes.set_title(title)
            axes.set_xlabel("right ascension")
            axes.set_ylabel("declination")
        figure.tight_layout()
        figure.savefig(path, dpi=_RESOLUTION)

    return draw


def spectrum(frequencies: Sequence[float], values: Sequence[float], chosen: Sequence[int]) -> Draw:
    """Draws a spectrum, with the channels that were chosen marked.

    Args:
        frequencies: in GHz.
        values: in Jy/beam.
        chosen: numbers of the channels that hold nothing but continuum.
    """

    def draw(path: Path) -> None:
        figure, axes = _figure(9, 3)
        axes.step(frequencies, [1e3 * value for value in values], where="mid", color="tab:blue")
        axes.plot([frequencies[number] for number in chosen], [0.0] * len(chosen), "s", color="tab:cyan", markersize=4)
        axes.set(xlabel="frequency [GHz]", ylabel="mJy/beam")
        axes.grid(visible=True, alpha=0.3)
        figure.savefig(path, dpi=_RESOLUTION, bbox_inches="tight")

    return draw


def _figure(width: float, height: float, *, rows: int = 1, columns: int = 1) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    return figure, figure.subplots(rows, columns, sharex=True, sharey=rows * columns > 2)


def _bandpass(table: str, antennas: Sequence[Antenna], quantity: Callable[[Any], Any]) -> Draw:
    def draw(path: Path) -> None:
        solutions = read_solutions(table)
        rows = -(-len(antennas) // _COLUMNS)
        figure, axes = _figure(14, 1.8 * rows, rows=rows, columns=_COLUMNS)
        for number, panel in enumerate(axes.flat):
            if number >= len(antennas):
                panel.axis("off")
                continue
            _bandpass_panel(panel, solutions, number, quantity)
            panel.set_title(antennas[number].name, fontsize=8, pad=2, y=1.0)
            panel.locator_params(nbins=4)
        figure.supxlabel("channel")
        # Said here, because matplotlib takes seconds to find out how so many panels fit.
        figure.subplots_adjust(left=0.04, right=0.99, top=0.96, bottom=0.08, wspace=0.05, hspace=0.25)
        figure.savefig(path, dpi=_RESOLUTION)

    return draw


def _bandpass_panel(panel: Any, solutions: Solutions, antenna: int, quantity: Callable[[Any], Any]) -> None:  # noqa: ANN401
    for polarization, (name, colour) in enumerate(_POLARIZATIONS[: len(solutions.gains)]):
        for row in (solutions.antenna == antenna).nonzero()[0]:
            panel.plot(quantity(solutions.gains[polarization, :, row]), color=colour, linewidth=0.8, label=name)


def _gains(table: str, observation: Observation, quantity: Callable[[Any], Any], label: str) -> Draw:
    def draw(path: Path) -> None:
        solutions = read_solutions(table)
        begin = solutions.time.min()
        figure, axes = _figure(11, 5)
        for number, antenna in enumerate(observation.antennas):
            rows = (solutions.antenna == number).nonzero()[0]
            rows = rows[solutions.time[rows].argsort()]
            minutes = (solutions.time[rows] - begin) / 60.0
            axes.plot(minutes, quantity(solutions.gains[0, 0, rows]), ".-", linewidth=0.5, label=antenna.name)
        axes.set(xlabel=f"minutes after {utc(begin):%Y-%m-%d %H:%M:%S} UTC", ylabel=label)
        axes.legend(fontsize=7, ncols=2, bbox_to_anchor=(1.0, 1.0), loc="upper left")
        figure.savefig(path, dpi=_RESOLUTION, bbox_inches="tight")

    return draw


def _east_and_north(positions: Any) -> tuple[Any, Any]:  # noqa: ANN401
    """Turn positions in the terrestrial frame to metres east and north of their middle; a sphere will do."""
    middle = positions.mean(axis=0)
    longitude = np.arctan2(middle[1], middle[0])
    latitude = np.arcsin(middle[2] / np.linalg.norm(middle))
    x, y, z = (positions - middle).T
    east = -np.sin(longitude) * x + np.cos(longitude) * y
    north = -np.sin(latitude) * (np.cos(longitude) * x + np.sin(longitude) * y) + np.cos(latitude) * z
    return east, north
