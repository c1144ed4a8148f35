"""Numbers taken from calibration tables and corrected data, for scores and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sandbox.pipeline.observation import Observation
from sandbox.pipeline.tables import open_table


@dataclass(frozen=True)
class Solutions:
    """A calibration table: arrays whose last axis is the table's row.

    Attributes:
        gains: complex gains (polarization, channel, row); not a number where there is no solution.
        antenna: number of the antenna of each row.
        field: number of the field of each row.
        time: time of each row, in seconds of the modified Julian date.
    """

    gains: Any
    antenna: Any
    field: Any
    time: Any


@dataclass(frozen=True)
class CorrectedData:
    """The corrected data of one field, averaged over channels and polarizations.

    Attributes:
        baseline: length of the baseline of each visibility, in metres.
        amplitude: its amplitude in Jy.
        phase: its phase in degrees.
        mean: mean amplitude in Jy.
        scatter: scatter of the amplitudes, as a part of their mean.
    """

    baseline: Any
    amplitude: Any
    phase: Any
    mean: float
    scatter: float


def read_solutions(table: str | Path) -> Solutions:
    """Read a table of complex gains or of a bandpass."""
    with open_table(table) as opened:
        gains = np.where(opened.getcol("FLAG"), np.nan, opened.getcol("CPARAM"))
        return Solutions(gains, opened.getcol("ANTENNA1"), opened.getcol("FIELD_ID"), opened.getcol("TIME"))


def flux_density_by_antenna(gains: str | Path, observation: Observation) -> dict[str, float]:
    """Return the flux density of the phase calibrator as each antenna alone would give it, in Jy.

    Args:
        gains: a table of gains that was solved with the flux density calibrator's true model, and with 1 Jy for the
            phase calibrator.
        observation: the observation.
    """
    solutions = read_solutions(gains)
    known = [field.number for field in observation.flux_calibrators]
    sought = [field.number for field in observation.phase_calibrators]
    densities = {}
    for number, antenna in enumerate(observation.antennas):
        rows = solutions.antenna == number
        reference = np.abs(solutions.gains[..., rows & np.isin(solutions.field, known)])
        transfer = np.abs(solutions.gains[..., rows & np.isin(solutions.field, sought)])
        if np.isfinite(reference).any() and np.isfinite(transfer).any():
            densities[antenna.name] = float((np.nanmean(transfer) / np.nanmean(reference)) ** 2)
    return densities


def natural_noise(vis: str, fields: Sequence[int], channels: Mapping[int, Sequence[int]]) -> float:
    """Return the noise of an image with natural weights, as the scatter from channel to channel makes it, in Jy/beam.

    What is the same in all channels, sources and many faults, does not count.

    Args:
        vis: the measurement set.
        fields: numbers of the fields.
        channels: numbers of the channels, by spectral window.
    """
    with open_table(f"{vis}/DATA_DESCRIPTION") as table:
        windows = [int(window) for window in table.getcol("SPECTRAL_WINDOW_ID")]
    steps, count = [], 0
    for description, window in enumerate(windows):
        if window not in channels:
            continue
        with open_table(vis) as table:
            rows = table.query(f"DATA_DESC_ID == {description} AND NOT FLAG_ROW AND FIELD_ID IN {list(fields)}")
            try:
                data = np.ma.masked_array(rows.getcol("DATA"), rows.getcol("FLAG"))[:, list(channels[window]), :]
            finally:
                rows.close()
        count += int(data.count())
        steps.append(np.diff(data.real, axis=1).compressed())
    scatter = 1.4826 * np.median(np.abs(np.concatenate(steps))) / np.sqrt(2)
    return float(scatter / np.sqrt(count))


def corrected_data(vis: str, field: int) -> CorrectedData:
    """Read the corrected data of one field.

    Args:
        vis: the measurement set.
        field: number of the field.
    """
    with open_table(vis) as table:
        rows = table.query(f"FIELD_ID == {field} AND NOT FLAG_ROW AND ANTENNA1 != ANTENNA2")
        try:
            data = np.ma.masked_array(rows.getcol("CORRECTED_DATA"), rows.getcol("FLAG"))
            baseline = np.hypot(*rows.getcol("UVW")[:2])
        finally:
            rows.close()
    mean = data.mean(axis=(0, 1))
    used = ~np.ma.getmaskarray(mean)
    values = mean.data[used]
    amplitude = np.abs(values)
    return CorrectedData(
        baseline=baseline[used],
        amplitude=amplitude,
        phase=np.degrees(np.angle(values)),
        mean=float(amplitude.mean()),
        scatter=float(amplitude.std() / amplitude.mean()),
    )
