"""What is derived from the description of an observation."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sandbox.pipeline.observation import (
    Antenna,
    Field,
    Observation,
    Scan,
    SpectralWindow,
    choose_reference_antenna,
    names,
    utc,
)

_ANTENNAS = (
    Antenna("ea01", "W1", (-1000.0, 0.0, 0.0)),
    Antenna("ea02", "N1", (10.0, 0.0, 0.0)),
    Antenna("ea03", "N2", (0.0, 0.0, 0.0)),
    Antenna("ea04", "E1", (30.0, 0.0, 0.0)),
    Antenna("ea05", "E9", (-20.0, 0.0, 0.0)),
)
_OBSERVATION = Observation(
    vis="a.ms",
    telescope="VLA",
    integration=30.0,
    fields=(
        Field(0, "3C286", frozenset({"CALIBRATE_FLUX", "CALIBRATE_BANDPASS"})),
        Field(1, "1445", frozenset({"CALIBRATE_PHASE"})),
        Field(2, "N5921", frozenset({"OBSERVE_TARGET"})),
    ),
    scans=(Scan(1, 0, 4.3e9, 4.3e9 + 60), Scan(2, 2, 4.3e9 + 90, 4.3e9 + 150)),
    antennas=_ANTENNAS,
    spectral_windows=(SpectralWindow(0, 63, 1.413e9, 24414.0),),
)


def test_reference_antenna_is_the_one_in_the_middle():
    assert choose_reference_antenna(_ANTENNAS, {}) == "ea03"


def test_reference_antenna_has_lost_little_data():
    assert choose_reference_antenna(_ANTENNAS, {"ea03": 0.4}) == "ea02"


def test_fields_by_what_they_are_for():
    assert names(_OBSERVATION.calibrators) == "3C286,1445"
    assert names(_OBSERVATION.flux_calibrators) == names(_OBSERVATION.bandpass_calibrators) == "3C286"
    assert names(_OBSERVATION.phase_calibrators) == "1445"
    assert names(_OBSERVATION.targets) == "N5921"


def test_inner_channels_leave_a_tenth_at_each_edge():
    assert _OBSERVATION.inner_channels == "0:6~56"


def test_sizes_for_imaging():
    assert _OBSERVATION.longest_baseline == 1030.0
    assert _OBSERVATION.synthesized_beam == pytest.approx(42.5, abs=0.1)
    assert _OBSERVATION.primary_beam == pytest.approx(1911, abs=1)


def test_times_are_utc():
    assert utc(49820.5 * 86400) == datetime(1995, 4, 13, 12, tzinfo=UTC)
