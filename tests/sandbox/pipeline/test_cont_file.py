from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox.pipeline.cont_file import (
    EVERYTHING,
    ContFileError,
    FrequencyRange,
    channels_within,
    read_cont_file,
    runs,
    selection,
    write_cont_file,
)
from sandbox.pipeline.stages.findcont import continuum_of

_TEXT = """\
Field: M100

SpectralWindow: 25 X1425361155#ALMA_RB_06#BB_1#SW-01#FULL_RES
Flags: LOWSPREAD
230.1~230.25GHz LSRK
230400~230500MHz LSRK

SpectralWindow: 27
NONE

Field: "NGC 1"
SpectralWindow: 25
ALL
"""


def read(tmp_path: Path, text: str):
    path = tmp_path / "cont.dat"
    path.write_text(text)
    return read_cont_file(path)


def test_ranges_by_field_and_window(tmp_path: Path):
    assert read(tmp_path, _TEXT) == {
        ("M100", 25): (FrequencyRange(230.1, 230.25), FrequencyRange(pytest.approx(230.4), pytest.approx(230.5))),
        ("M100", 27): (),
        ("NGC 1", 25): (EVERYTHING,),
    }


def test_no_file_is_no_range(tmp_path: Path):
    assert read_cont_file(tmp_path / "cont.dat") == {}


@pytest.mark.parametrize(
    "text",
    [
        "230.1~230.2GHz LSRK",
        "Field: a\n230.1~230.2GHz LSRK",
        "Field: a\nSpectralWindow: 0\nField: b\nNONE",
        "Field: a\nSpectralWindow:\nNONE",
        "Field: a\nSpectralWindow: x\nNONE",
        "Field: a\nSpectralWindow: 0\n230.1~230.2GHz",
        "Field: a\nSpectralWindow: 0\n230.1~230.2GHz BARY",
        "Field: a\nSpectralWindow: 0\n230.1 ~ 230.2GHz LSRK",
        "Field: a\nSpectralWindow: 0\n23.0.1~230.2GHz LSRK",
    ],
)
def test_line_without_a_meaning_is_named(tmp_path: Path, text: str):
    with pytest.raises(ContFileError, match=r"cont\.dat, line"):
        read(tmp_path, text)


def test_unknown_line_is_a_fields_name_as_for_the_real_reader(tmp_path: Path):
    assert read(tmp_path, "M83\nSpectralWindow: 1\nNONE") == {("M83", 1): ()}


def test_what_was_written_is_read_again(tmp_path: Path):
    path = tmp_path / "cont.dat"
    continuum = read(tmp_path, _TEXT)
    write_cont_file(path, continuum, {25: "X1#BB_1"})
    assert read_cont_file(path) == continuum
    assert path.read_text().startswith(
        "Field: M100\n\nSpectralWindow: 25 X1#BB_1\n230.1000000000~230.2500000000GHz LSRK\n"
    )


@pytest.mark.parametrize(
    ("channels", "text"), [([], ""), ([3], "3~3"), ([0, 1, 2, 5, 7, 8], "0~2;5~5;7~8")], ids=["none", "one", "three"]
)
def test_selection(channels: list[int], text: str):
    assert selection(channels) == text


@given(st.sets(st.integers(0, 200)))
def test_runs_hold_every_channel_once(channels: set[int]):
    found = [channel for first, last in runs(sorted(channels)) for channel in range(first, last + 1)]
    assert found == sorted(channels)


def test_channels_whose_middle_is_within():
    frequencies = [230.5, 230.4, 230.3, 230.2]  # a lower sideband falls
    assert channels_within(frequencies, [FrequencyRange(230.25, 230.45)]) == [1, 2]
    assert channels_within(frequencies, [EVERYTHING]) == [0, 1, 2, 3]
    assert channels_within(frequencies, []) == []


def spectrum(*line: int) -> np.ndarray:
    values = 1.0 + 0.01 * np.array([1, -1, 0, 1, 0, -1] * 4)
    values[list(line)] += 2.0
    return values


def test_line_and_its_wings_are_no_continuum():
    assert selection(continuum_of(spectrum(10, 11, 12))) == "1~8;14~22"


def test_spectrum_without_a_line_is_continuum_but_for_its_ends():
    assert selection(continuum_of(spectrum())) == "1~22"


def test_absorption_is_a_line_too():
    assert selection(continuum_of(2 - spectrum(5))) == "1~3;7~22"


def test_single_channels_between_lines_are_left_out():
    assert selection(continuum_of(spectrum(10, 14))) == "1~8;16~22"


def test_empty_spectrum_has_no_continuum():
    assert continuum_of(np.zeros(24)) == []
