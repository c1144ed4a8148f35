"""Frequencies of channels as they are in the frame of the local standard of rest; with CASA's measures."""

from __future__ import annotations

from typing import Any

from sandbox.pipeline.cont_file import FrequencyRange, channels_within
from sandbox.pipeline.observation import Observation
from sandbox.pipeline.tables import open_table

# The frames by the numbers that a measurement set has for them.
_FRAMES = {1: "LSRK", 5: "TOPO"}


def continuum_channels(
    observation: Observation, field: str, window: int, ranges: tuple[FrequencyRange, ...]
) -> list[int]:
    """Return the channels of a measurement set that are in ranges of frequencies.

    Args:
        observation: what the measurement set holds.
        field: the field's name.
        window: the spectral window's number.
        ranges: the ranges, in any of their frames.
    """
    within: set[int] = set()
    for frame in {one.frame for one in ranges}:
        frequencies = channel_frequencies(observation, field, window, frame)
        within |= set(channels_within(frequencies, [one for one in ranges if one.frame == frame]))
    return sorted(within)


def channel_frequencies(observation: Observation, field: str, window: int, frame: str) -> list[float]:
    """Return the middles of a spectral window's channels in GHz, in the middle of the observation.

    Args:
        observation: what the measurement set holds.
        field: the field's name.
        window: the spectral window's number.
        frame: the frame, in CASA's word.

    Raises:
        ValueError: the data's own frame is one that this pipeline does not know.
    """
    with open_table(f"{observation.vis}/SPECTRAL_WINDOW") as table:
        frequencies = [float(frequency) / 1e9 for frequency in table.getcell("CHAN_FREQ", window)]
        number = int(table.getcell("MEAS_FREQ_REF", window))
    if number not in _FRAMES:
        raise ValueError(
            f"spectral window {window} of {observation.vis} is in the frame number {number}, not TOPO or LSRK"
        )
    if _FRAMES[number] == frame:
        return frequencies
    factor = _doppler(observation, field, _FRAMES[number], frame)
    return [factor * frequency for frequency in frequencies]


def _doppler(observation: Observation, field: str, frame: str, other: str) -> float:
    import casatools

    measures: Any = casatools.measures()
    quanta: Any = casatools.quanta()
    (number, *_) = [one.number for one in observation.targets if one.name == field]
    with open_table(f"{observation.vis}/FIELD") as table:
        longitude, latitude = (float(angle[0]) for angle in table.getcell("PHASE_DIR", number))
    middle = (min(scan.start for scan in observation.scans) + max(scan.end for scan in observation.scans)) / 2
    measures.doframe(measures.observatory(observation.telescope))
    measures.doframe(measures.epoch("utc", quanta.quantity(middle, "s")))
    measures.doframe(measures.direction("J2000", quanta.quantity(longitude, "rad"), quanta.quantity(latitude, "rad")))
    asked = measures.frequency(frame, quanta.quantity(100.0, "GHz"))
    answer = quanta.convert(measures.measure(asked, other)["m0"], "GHz")["value"]
    measures.done()
    return float(answer) / 100.0
