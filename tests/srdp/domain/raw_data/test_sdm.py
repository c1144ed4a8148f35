from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.observing import make_sdm

from srdp.domain.analyst_files.selections.observed import Observed
from srdp.domain.raw_data.sdm import observed_in

ANTENNAS = """<?xml version="1.0" encoding="ISO-8859-1"?>
<AntennaTable xmlns:antnn="http://Alma/XASDM/AntennaTable">
<Entity entityId="uid://S0/X1/X3"/>
<row> <antennaId> Antenna_0 </antennaId> <name> ea01 </name> </row>
<row> <antennaId> Antenna_1 </antennaId> <name> ea02 </name> </row>
<row> <antennaId> Antenna_2 </antennaId> <name> ea02 </name> </row>
<row> <antennaId> Antenna_3 </antennaId> </row>
</AntennaTable>
"""


@pytest.fixture
def sdm(tmp_path: Path) -> Path:
    folder = make_sdm(tmp_path / "sdm")
    (folder / "Antenna.xml").write_text(ANTENNAS)
    return folder


def test_times_and_antennas_are_read(sdm: Path) -> None:
    observed = observed_in(sdm.parent, sdm)
    assert observed.antennas == ("ea01", "ea02")
    assert observed.start is not None
    assert observed.end is not None
    assert abs(observed.start - datetime(1995, 4, 13, 9, 19, 15, tzinfo=UTC)) < timedelta(seconds=1)
    assert abs(observed.end - datetime(1995, 4, 13, 10, 47, 15, tzinfo=UTC)) < timedelta(seconds=1)


def test_of_several_execution_blocks_the_whole_time_counts(sdm: Path) -> None:
    table = sdm / "ExecBlock.xml"
    later = "<row> <startTime> 4304486834998169088 </startTime> <endTime> 4304486934998169088 </endTime> </row>"
    before = observed_in(sdm.parent, sdm)
    table.write_text(table.read_text().replace("</ExecBlockTable>", f"{later}</ExecBlockTable>"))
    after = observed_in(sdm.parent, sdm)
    assert after.start == before.start
    assert after.end is not None
    assert before.end is not None
    assert after.end - before.end == timedelta(seconds=100)


@pytest.mark.parametrize(
    "damage",
    [
        lambda sdm: (sdm / "ExecBlock.xml").unlink(),
        lambda sdm: (sdm / "ExecBlock.xml").write_text("<ExecBlockTable><row>"),
        lambda sdm: (sdm / "ExecBlock.xml").write_text("<AntennaTable/>"),
        lambda sdm: (sdm / "ExecBlock.xml").write_text("<ExecBlockTable><row/></ExecBlockTable>"),
        lambda sdm: (sdm / "ExecBlock.xml").write_text(
            f"<ExecBlockTable><row><startTime>{'9' * 5000}</startTime><endTime>-1</endTime></row></ExecBlockTable>"
        ),
        lambda sdm: (
            (sdm / "ExecBlock.xml").rename(sdm.parent / "out.xml") and (sdm / "ExecBlock.xml").symlink_to("../out.xml")
        ),
    ],
)
def test_unreadable_table_is_ignored_for_the_other(sdm: Path, damage: object) -> None:
    damage(sdm)  # type: ignore[operator]
    assert replace(observed_in(sdm.parent, sdm), observations=0) == Observed(antennas=("ea01", "ea02"))


def test_what_is_no_sdm_says_nothing(tmp_path: Path) -> None:
    assert observed_in(tmp_path, tmp_path / "missing") == Observed()


def test_a_table_that_is_a_link_or_a_pipe_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("<AntennaTable><row><name>ea01</name></row></AntennaTable>")
    sdm = tmp_path / "run" / "rawdata" / "sdm"
    sdm.mkdir(parents=True)
    (sdm / "Antenna.xml").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(sdm / "Field.xml")
    assert observed_in(tmp_path / "run", sdm) == Observed()
    (sdm / "Antenna.xml").unlink()
    (tmp_path / "elsewhere").rename(sdm / "Antenna.xml")
    assert observed_in(tmp_path / "run", sdm).antennas == ("ea01",)
    sdm.parent.rename(tmp_path / "rawdata")
    sdm.parent.symlink_to(tmp_path / "rawdata")
    assert observed_in(tmp_path / "run", sdm) == Observed()
