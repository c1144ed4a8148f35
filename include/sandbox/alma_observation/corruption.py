"""What the simulated antennas and the air do to the visibilities, the same in every build; runs in CASA's Python."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sandbox.alma_observation import facts

Array = Any

#: Noise of each of the two parts of a visibility, in Jy.
NOISE = 0.12
#: Largest departure of an antenna's amplitude from 1, of a bandpass's from 1, and of a bandpass's phase from 0.
LARGEST_AMPLITUDE = 0.25
LARGEST_RIPPLE = 0.08
LARGEST_SLOPE_RADIANS = 0.5
#: How far phases wander within the observation, in radians.
LARGEST_WANDERING_RADIANS = 0.7
#: What the incoherent antenna adds: amplitude in Jy, at a phase that is another in each integration.
_INCOHERENT = 1.5

_SEED = 20190100001


@dataclass(frozen=True)
class Gains:
    """The gains that are injected.

    Attributes:
        fixed: complex, of the shape (2 polarisations, antennas).
        drift: radians an observation, of the shape (antennas,).
        waves: radians, of the shape (antennas,): amplitude of a slow wave of the phase.
        bandpass: complex, of the shape (spectral windows, 2 polarisations, channels, antennas).
    """

    fixed: Array
    drift: Array
    waves: Array
    bandpass: Array

    def phases(self, part: Array) -> Array:
        """Return the wandering phases in radians, of the shape (antennas, times).

        Args:
            part: how much of the observation has gone by, from 0 to 1, of the shape (times,).
        """
        return np.outer(self.drift, part) + np.outer(self.waves, np.sin(2 * np.pi * part))


def make_gains(antennas: int, session: int = 1) -> Gains:
    """Return the gains of so many antennas.

    Args:
        antennas: how many.
        session: the session, from 1; each has gains of its own.
    """
    random = np.random.default_rng(_seed(session))
    amplitudes = 1 + random.uniform(-LARGEST_AMPLITUDE, LARGEST_AMPLITUDE, (2, antennas))
    fixed = amplitudes * np.exp(1j * random.uniform(-np.pi, np.pi, (2, antennas)))
    drift, waves = random.uniform(-LARGEST_WANDERING_RADIANS, LARGEST_WANDERING_RADIANS, (2, antennas)) / 2
    place = np.linspace(-1, 1, facts.CHANNELS)[:, np.newaxis]
    shape = (len(facts.SPECTRAL_WINDOWS), 2, 1, antennas)
    ripple = random.uniform(0, LARGEST_RIPPLE, shape) * np.cos(np.pi * place + random.uniform(-np.pi, np.pi, shape))
    slope = random.uniform(-LARGEST_SLOPE_RADIANS, LARGEST_SLOPE_RADIANS, shape) * place
    return Gains(fixed, drift, waves, (1 + ripple) * np.exp(1j * slope))


def corrupt(perfect: Array, gains: Gains, window: int, baselines: tuple[Array, Array], part: Array) -> Array:
    """Return what the array records without noise, of the shape (2 polarisations, channels, rows).

    Args:
        perfect: of the shape (channels, rows).
        gains: those of the antennas.
        window: number of the spectral window.
        baselines: the numbers of the first and the second antenna of each row.
        part: how much of the observation has gone by, of the shape (rows,).
    """
    times, rows = np.unique(part, return_inverse=True)
    phases = gains.phases(times)
    first, second = (
        gains.bandpass[window][:, :, antenna]
        * (gains.fixed[:, antenna] * np.exp(1j * phases[antenna, rows]))[:, np.newaxis, :]
        for antenna in baselines
    )
    return perfect[np.newaxis] * first * second.conj()


def noise(shape: tuple[int, ...], window: int, session: int) -> Array:
    """Return the noise of a spectral window's visibilities, in Jy.

    Args:
        shape: (2 polarisations, channels, rows).
        window: number of the spectral window.
        session: the session, from 1; each has noise of its own.
    """
    random = np.random.default_rng((_seed(session), 1, window))
    return random.normal(0, NOISE, shape) + 1j * random.normal(0, NOISE, shape)


def incoherent(hit: Array, baselines: tuple[Array, Array], times: Array) -> Array:
    """Return what an antenna without coherence adds to the rows that are hit, in Jy, of the shape (rows,).

    Args:
        hit: which rows, true or false.
        baselines: the numbers of the first and the second antenna of each row.
        times: the time of each row; phases are the same in all spectral windows.
    """
    random = np.random.default_rng((_seed(1), 2))
    moments, at = np.unique(times[hit], return_inverse=True)
    antennas = 1 + int(max(numbers.max() for numbers in baselines))
    phases = random.uniform(-np.pi, np.pi, (len(moments), antennas, antennas))
    added = np.zeros(len(times), dtype=complex)
    added[hit] = _INCOHERENT * np.exp(1j * phases[at, baselines[0][hit], baselines[1][hit]])
    return added


def _seed(session: int) -> int:
    return _SEED + session - 1
