"""The header of flux.csv decides whether its rows count."""

from __future__ import annotations

from pathlib import Path

import pytest

from sandbox.pipeline.flux_file import FluxDensity, read_flux_file, write_flux_file

_HEADER = "ms,field,spw,I,Q,U,V,spix,uvmin,uvmax,comment"


def read(tmp_path: Path, text: str) -> tuple[FluxDensity, ...]:
    path = tmp_path / "flux.csv"
    path.write_text(text)
    return read_flux_file(path, "a.ms")


def test_what_is_written_is_read(tmp_path: Path):
    densities = (FluxDensity("a.ms", 0, 1, (15.0, 0.1, 0.2, 0.3), -0.5, "3C286, the standard"),)
    path = tmp_path / "flux.csv"
    write_flux_file(path, densities)
    assert path.read_text().splitlines()[0] == _HEADER
    assert path.read_text().endswith("\n")
    assert read_flux_file(path, "a.ms") == densities


def test_rows_of_other_measurement_sets_are_not_looked_at(tmp_path: Path):
    text = f"{_HEADER}\na.ms,0,0,15,0,0,0,0,0,0,\nb.ms,zero,0,1,0,0,0,0,0,0,\n"
    assert [density.ms for density in read(tmp_path, text)] == ["a.ms"]


def test_rows_under_the_old_header_are_silently_dropped(tmp_path: Path):
    assert read(tmp_path, "ms,field,spw,I,Q,U,V,spix,comment\na.ms,0,0,15,0,0,0,0,old\n") == ()


@pytest.mark.parametrize("header", ["", "ms,field", _HEADER.replace("I", "i"), _HEADER + ",more", " " + _HEADER])
def test_any_other_header_raises(tmp_path: Path, header: str):
    with pytest.raises(ValueError, match=r"flux\.csv"):
        read(tmp_path, f"{header}\na.ms,0,0,15,0,0,0,0,0,0,\n")


def test_a_number_that_is_none_raises(tmp_path: Path):
    with pytest.raises(ValueError, match="bright"):
        read(tmp_path, f"{_HEADER}\na.ms,0,0,bright,0,0,0,0,0,0,\n")
