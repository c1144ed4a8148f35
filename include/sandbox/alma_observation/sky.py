"""Visibilities of the simulated sky, computed from its few sources; runs in CASA's Python."""

from __future__ import annotations

from typing import Any

import numpy as np

from sandbox.alma_observation import facts

# What is at hand only in CASA's Python is Any to the type checker.
Array = Any

_SPEED_OF_LIGHT = 299_792_458.0  # m/s
_DISH = 10.7  # m: what CASA's primary beam of a 12 m antenna of ALMA is that of
_ARCSECOND = 4.848136811095e-6  # radians


def visibilities(field: str, window: int, uvw: Array) -> Array:
    """Return what a perfect array would see, in Jy.

    Args:
        field: name of the field, which is the phase centre.
        window: number of the spectral window.
        uvw: metres, of the shape (3, rows).

    Returns:
        Complex numbers of the shape (channels, rows); the same for XX and YY, as nothing is polarised.
    """
    frequencies = facts.SPECTRAL_WINDOWS[window] + facts.CHANNEL_WIDTH * np.arange(facts.CHANNELS)
    # In wavelengths, of the shape (3, channels, rows).
    waves = uvw[:, np.newaxis, :] * (frequencies / _SPEED_OF_LIGHT)[np.newaxis, :, np.newaxis]
    calibrators = {
        facts.BANDPASS_CALIBRATOR: facts.BANDPASS_CALIBRATOR_FLUX,
        facts.PHASE_CALIBRATOR: facts.PHASE_CALIBRATOR_FLUX,
    }
    if field in calibrators:
        return np.full(waves.shape[1:], calibrators[field], dtype=complex)
    seen = facts.CENTRAL_FLUX + facts.OTHER_FLUX * _primary_beam(facts.OTHER_OFFSET, frequencies)[:, np.newaxis] * (
        _shift(waves, facts.OTHER_OFFSET)
    )
    if window == facts.LINE_WINDOW:
        first, last = facts.LINE_CHANNELS
        middle = (first + last) / 2
        for channel in range(first, last + 1):
            seen[channel] += _line(waves[:, channel : channel + 1], channel - middle)[0]
    return seen


def _line(waves: Array, from_middle: float) -> Array:
    strength = facts.LINE_FLUX * np.exp(-4 * np.log(2) * (from_middle / 3.5) ** 2)  # 3.5 channels at half power
    size = facts.LINE_SIZE * _ARCSECOND
    extended = np.exp(-((np.pi * size) ** 2) * (waves[0] ** 2 + waves[1] ** 2) / (4 * np.log(2)))
    return strength * extended * _shift(waves, (from_middle * facts.LINE_DRIFT, 0.0))


def _shift(waves: Array, offset: tuple[float, float]) -> Array:
    east, north = (coordinate * _ARCSECOND for coordinate in offset)
    third = np.sqrt(1 - east**2 - north**2) - 1
    return np.exp(2j * np.pi * (waves[0] * east + waves[1] * north + waves[2] * third))


def _primary_beam(offset: tuple[float, float], frequencies: Array) -> Array:
    distance = np.hypot(*offset) * _ARCSECOND
    width = 1.02 * _SPEED_OF_LIGHT / frequencies / _DISH  # at half power
    return np.exp(-4 * np.log(2) * (distance / width) ** 2)
