"""The SDM's tables after exportasdm, rewritten; without CASA."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree

from sandbox.observation.sdm_tables import (
    ObservedScan,
    OnlineFlag,
    add_online_flags,
    fix_time_of_creation,
    name_telescope_and_windows,
    separate_scans,
)

_SCANS = (
    ObservedScan(0, "3C286", ("CALIBRATE_FLUX", "CALIBRATE_BANDPASS")),
    ObservedScan(1, "1445", ("CALIBRATE_PHASE",)),
    ObservedScan(0, "3C286", ("CALIBRATE_FLUX", "CALIBRATE_BANDPASS")),
)


def row(**values: object) -> str:
    return "<row>" + "".join(f"<{name}> {value} </{name}>" for name, value in values.items()) + "</row>"


@pytest.fixture
def sdm(tmp_path: Path) -> Path:
    """As exportasdm leaves it: one scan, one field a binary file, rows in no order."""

    def write(name: str, *rows: str) -> None:
        (tmp_path / f"{name}.xml").write_text(f"<{name}Table><Entity/>{''.join(rows)}</{name}Table>")

    write(
        "Main",
        *(
            row(time=time, scanNumber=1, subscanNumber=n, fieldId=f"Field_{n - 1}")
            for n, time in ((2, 200), (1, 100), (3, 300))
        ),
    )
    write(
        "Subscan",
        *(
            row(scanNumber=1, subscanNumber=n, startTime=n * 100, endTime=n * 100 + 50, fieldName=f"x@{n}")
            for n in (3, 1, 2)
        ),
    )
    write(
        "Scan",
        row(
            scanNumber=1,
            startTime=100,
            endTime=350,
            numIntent=1,
            numSubscan=3,
            scanIntent="1 1 OTHER",
            calDataType="1 1 NONE",
            calibrationOnLine="1 1 false",
        ),
    )
    write("Field", *(row(fieldId=f"Field_{n}", fieldName=f"x@{n}") for n in range(3)))
    tables = "".join(
        f"<Table><Name> {name} </Name><NumberRows> 9 </NumberRows></Table>"
        for name in ("Main", "Subscan", "Scan", "Field", "Flag")
    )
    (tmp_path / "ASDM.xml").write_text(f"<ASDM><TimeOfCreation> now </TimeOfCreation>{tables}</ASDM>")
    return tmp_path


def values(sdm: Path, table: str, column: str) -> list[str]:
    return [(element.text or "").strip() for element in etree.parse(sdm / f"{table}.xml").iter(column)]


def numbers_of_rows(sdm: Path) -> dict[str, int]:
    root = etree.parse(sdm / "ASDM.xml").getroot()
    return {table.findtext("Name", "").strip(): int(table.findtext("NumberRows", "")) for table in root.iter("Table")}


def test_each_binary_file_becomes_a_scan_in_the_order_of_time(sdm: Path):
    separate_scans(sdm, _SCANS)
    assert values(sdm, "Main", "time") == ["100", "200", "300"]
    assert values(sdm, "Main", "scanNumber") == values(sdm, "Scan", "scanNumber") == ["1", "2", "3"]
    assert values(sdm, "Main", "fieldId") == ["Field_0", "Field_1", "Field_0"]
    assert values(sdm, "Subscan", "startTime") == values(sdm, "Scan", "startTime") == ["100", "200", "300"]
    assert values(sdm, "Subscan", "fieldName") == ["3C286", "1445", "3C286"]


def test_scans_get_their_intents(sdm: Path):
    separate_scans(sdm, _SCANS)
    intents = "1 2 CALIBRATE_FLUX CALIBRATE_BANDPASS"
    assert values(sdm, "Scan", "scanIntent") == [intents, "1 1 CALIBRATE_PHASE", intents]
    assert values(sdm, "Scan", "numIntent") == ["2", "1", "2"]
    assert values(sdm, "Scan", "calibrationOnLine")[0] == "1 2 false false"


def test_fields_are_brought_together(sdm: Path):
    separate_scans(sdm, _SCANS)
    assert values(sdm, "Field", "fieldName") == ["3C286", "1445"]
    assert values(sdm, "Field", "fieldId") == ["Field_0", "Field_1"]
    assert numbers_of_rows(sdm) == {"Main": 3, "Subscan": 3, "Scan": 3, "Field": 2, "Flag": 9}


def test_online_flags_begin_with_their_scans(sdm: Path):
    separate_scans(sdm, _SCANS)
    add_online_flags(sdm, [OnlineFlag(scan=2, seconds=60, antenna=7, reason="SUBREFLECTOR_ERROR")])
    assert values(sdm, "Flag", "startTime") == ["200"]
    assert values(sdm, "Flag", "endTime") == ["60000000200"]
    assert values(sdm, "Flag", "antennaId") == ["1 1 Antenna_7"]
    assert numbers_of_rows(sdm)["Flag"] == 1
    flag_table = [t for t in etree.parse(sdm / "ASDM.xml").iter("Table") if "Flag" in t.findtext("Name", "")]
    assert flag_table[0].find("Entity") is not None


def test_time_of_creation_is_fixed(sdm: Path):
    fix_time_of_creation(sdm)
    assert values(sdm, "ASDM", "TimeOfCreation") == ["2025-09-22T00:00:00.000000000"]


def test_the_binary_files_of_two_spectral_windows_are_one_scan(sdm: Path):
    def write(name: str, *rows: str) -> None:
        (sdm / f"{name}.xml").write_text(f"<{name}Table><Entity/>{''.join(rows)}</{name}Table>")

    # exportasdm gives each spectral window of a scan a subscan of its own.
    write(
        "Main",
        *(
            row(time=time, scanNumber=1, subscanNumber=n, fieldId=f"Field_{time // 100 - 1}")
            for n, time in ((4, 100), (3, 300), (1, 100), (2, 200), (6, 300), (5, 200))
        ),
    )
    write(
        "Subscan",
        *(
            row(scanNumber=1, subscanNumber=n, startTime=start, endTime=start + 50, fieldName="x")
            for n, start in ((1, 100), (2, 200), (3, 300), (4, 100), (5, 200), (6, 300))
        ),
    )
    separate_scans(sdm, _SCANS)
    assert values(sdm, "Main", "time") == ["100", "100", "200", "200", "300", "300"]
    assert values(sdm, "Main", "scanNumber") == ["1", "1", "2", "2", "3", "3"]
    assert set(values(sdm, "Main", "subscanNumber")) == {"1"}
    assert values(sdm, "Main", "fieldId") == ["Field_0", "Field_0", "Field_1", "Field_1", "Field_0", "Field_0"]
    assert values(sdm, "Subscan", "startTime") == values(sdm, "Scan", "startTime") == ["100", "200", "300"]
    assert numbers_of_rows(sdm) == {"Main": 6, "Subscan": 3, "Scan": 3, "Field": 2, "Flag": 9}


def test_number_of_scans_must_fit(sdm: Path):
    with pytest.raises(ValueError, match="zip"):
        separate_scans(sdm, _SCANS[:2])


def test_telescope_and_windows_are_called_as_in_the_archives_own(tmp_path: Path):
    windows = row(spectralWindowId="SpectralWindow_0", numChan=63) + row(spectralWindowId="SpectralWindow_1", name="x")
    (tmp_path / "ExecBlock.xml").write_text(f"<ExecBlockTable>{row(telescopeName='VLA')}</ExecBlockTable>")
    (tmp_path / "SpectralWindow.xml").write_text(f"<SpectralWindowTable>{windows}</SpectralWindowTable>")
    names = ["EVLA_L#A0C0#0", "EVLA_L#A0C0#1"]
    name_telescope_and_windows(tmp_path, "EVLA", names)
    assert etree.parse(tmp_path / "ExecBlock.xml").findtext("row/telescopeName") == " EVLA "
    assert [name.text.strip() for name in etree.parse(tmp_path / "SpectralWindow.xml").iterfind("row/name")] == names
    with pytest.raises(ValueError):
        name_telescope_and_windows(tmp_path, "EVLA", names[:1])
