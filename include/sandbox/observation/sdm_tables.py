"""The XML tables of an SDM, fixed after CASA's ``exportasdm``; needs nothing of CASA.

``exportasdm`` writes all data as one scan without intents, with one binary file for each row of the FIELD table. The
observation is therefore exported with one FIELD row a scan, and its tables are rewritten here: each binary file becomes
a scan with intents of its own, and the fields are brought together again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from xml.etree import ElementTree as ET  # reads only what CASA has just written

_XSI = "http://www.w3.org/2001/XMLSchema-instance"
# The one time stamp in an SDM that is not the observation's: fixed, so that the same data give the same bytes.
_TIME_OF_CREATION = "2025-09-22T00:00:00.000000000"
_FLAG_ENTITY = {
    "entityId": "uid://S0/X1/X1f",
    "entityIdEncrypted": "na",
    "entityTypeName": "FlagTable",
    "schemaVersion": "1",
    "documentVersion": "1",
}
_CONTAINER_ENTITY = _FLAG_ENTITY | {"entityId": "uid://S0/X1/X1", "entityTypeName": "ASDM"}


@dataclass(frozen=True)
class ObservedScan:
    """One scan of the observation.

    Attributes:
        field: number of the field that was observed, from 0.
        field_name: its name.
        intents: what the scan is for, in the SDM's words, for example ``CALIBRATE_PHASE``.
    """

    field: int
    field_name: str
    intents: tuple[str, ...]


@dataclass(frozen=True)
class OnlineFlag:
    """One flag that the observing system set.

    Attributes:
        scan: number of the scan, from 1; the flag begins with it.
        seconds: how long it lasts, in seconds.
        antenna: number of the antenna in the SDM, from 0.
        reason: the observing system's word for what was wrong.
    """

    scan: int
    seconds: int
    antenna: int
    reason: str


def separate_scans(sdm: Path, scans: Sequence[ObservedScan]) -> None:
    """Rewrites Main, Subscan, Scan and Field so that the binary files of each time are a scan with its own intents.

    Args:
        sdm: the SDM, exported with one field for each scan, numbered in the order of the scans.
        scans: the scans in the order of time.
    """
    with _table(sdm, "Main") as main:
        rows = sorted(main.findall("row"), key=lambda row: (int(_get(row, "time")), int(_get(row, "subscanNumber"))))
        # One row, and one binary file, for each spectral window.
        of_scans = [list(group) for _, group in groupby(rows, key=lambda row: int(_get(row, "time")))]
        old_subscans = [_get(of_scan[0], "subscanNumber") for of_scan in of_scans]
        for number, (of_scan, scan) in enumerate(zip(of_scans, scans, strict=True), start=1):
            for row in of_scan:
                _set(row, scanNumber=number, subscanNumber=1, fieldId=f"Field_{scan.field}")
        _replace_rows(main, rows)
    with _table(sdm, "Subscan") as table:
        by_number = {_get(row, "subscanNumber"): row for row in table.findall("row")}
        subscans = [by_number[number] for number in old_subscans]
        for number, (row, scan) in enumerate(zip(subscans, scans, strict=True), start=1):
            _set(row, scanNumber=number, subscanNumber=1, fieldName=scan.field_name)
        _replace_rows(table, subscans)
    with _table(sdm, "Scan") as table:
        first = table.find("row")
        if first is None:
            raise ValueError(f"{sdm} has no row in its Scan table")
        new_scans = [
            _scan_row(first, number, scan, subscan)
            for number, (scan, subscan) in enumerate(zip(scans, subscans, strict=True), start=1)
        ]
        _replace_rows(table, new_scans)
    _join_fields(sdm, scans)
    _write_numbers_of_rows(sdm, {"Main": len(rows), "Subscan": len(scans), "Scan": len(scans)})


def add_online_flags(sdm: Path, flags: Sequence[OnlineFlag]) -> None:
    """Add a Flag table to the SDM.

    Args:
        sdm: the SDM, with its scans already separated.
        flags: the flags, in their order.
    """
    starts = {int(_get(row, "scanNumber")): int(_get(row, "startTime")) for row in _read(sdm, "Scan").iter("row")}
    root = ET.Element("FlagTable", {"schemaVersion": "4", "schemaRevision": "-1"})
    ET.SubElement(root, "Entity", _FLAG_ENTITY)
    ET.SubElement(root, "ContainerEntity", _CONTAINER_ENTITY)
    for number, flag in enumerate(flags):
        row = ET.SubElement(root, "row")
        start = starts[flag.scan]
        for name, value in (
            ("flagId", f"Flag_{number}"),
            ("startTime", start),
            ("endTime", start + flag.seconds * 1_000_000_000),  # nanoseconds, as all times of an SDM
            ("reason", flag.reason),
            ("numAntenna", 1),
            ("antennaId", f"1 1 Antenna_{flag.antenna}"),
        ):
            ET.SubElement(row, name).text = str(value)
    _write(sdm, "Flag", root)
    _write_numbers_of_rows(sdm, {"Flag": len(flags)}, entities={"Flag": _FLAG_ENTITY})


def name_telescope_and_windows(sdm: Path, telescope: str, windows: Sequence[str]) -> None:
    """Give the telescope and the spectral windows the names that the archive's own SDMs have; CASA writes others.

    Args:
        sdm: the SDM.
        telescope: the telescope, for example ``EVLA``.
        windows: a name for each spectral window, in their order, for example ``EVLA_L#A0C0#0``.
    """
    with _table(sdm, "ExecBlock") as table:
        for row in table.findall("row"):
            _set(row, telescopeName=telescope)
    with _table(sdm, "SpectralWindow") as table:
        for row, name in zip(table.findall("row"), windows, strict=True):
            element = row.find("name")
            if element is None:
                # Behind the window's identity, where the schema has it.
                element = ET.Element("name")
                row.insert(1, element)
            element.text = f" {name} "


def fix_time_of_creation(sdm: Path) -> None:
    """Set the SDM's time of creation to a fixed one, so that the same data always give the same bytes."""
    with _table(sdm, "ASDM") as root:
        _set(root, TimeOfCreation=_TIME_OF_CREATION)


def _scan_row(model: ET.Element, number: int, scan: ObservedScan, subscan: ET.Element) -> ET.Element:
    row = deepcopy(model)
    count = len(scan.intents)
    _set(
        row,
        scanNumber=number,
        startTime=_get(subscan, "startTime"),
        endTime=_get(subscan, "endTime"),
        numIntent=count,
        numSubscan=1,
        scanIntent=_array(scan.intents),
        calDataType=_array(["FULL_RESOLUTION_CROSS"] * count),
        calibrationOnLine=_array(["false"] * count),
    )
    return row


def _join_fields(sdm: Path, scans: Sequence[ObservedScan]) -> None:
    with _table(sdm, "Field") as table:
        rows = table.findall("row")
        first_scan_of = {scan.field: number for number, scan in reversed(list(enumerate(scans)))}
        kept = []
        for field, scan_number in sorted(first_scan_of.items()):
            row = rows[scan_number]
            _set(row, fieldId=f"Field_{field}", fieldName=scans[scan_number].field_name)
            kept.append(row)
        _replace_rows(table, kept)
    _write_numbers_of_rows(sdm, {"Field": len(kept)})


def _array(values: Sequence[str]) -> str:
    # A one-dimensional array in an SDM: number of dimensions, length, values.
    return " ".join(["1", str(len(values)), *values])


def _write_numbers_of_rows(
    sdm: Path, numbers: Mapping[str, int], *, entities: Mapping[str, dict[str, str]] | None = None
) -> None:
    with _table(sdm, "ASDM") as root:
        for table in root.iter("Table"):
            name = _get(table, "Name")
            if name in numbers:
                _set(table, NumberRows=numbers[name])
            # A table that has rows and no <Entity> here is not read.
            if entities and name in entities and table.find("Entity") is None:
                ET.SubElement(table, "Entity", entities[name])


def _get(row: ET.Element, name: str) -> str:
    text = row.findtext(name)
    if text is None:
        raise ValueError(f"a <{row.tag}> of the SDM has no <{name}>")
    return text.strip()


def _set(row: ET.Element, **values: object) -> None:
    for name, value in values.items():
        element = row.find(name)
        if element is None:
            raise ValueError(f"a <{row.tag}> of the SDM has no <{name}>")
        element.text = f" {value} "


def _replace_rows(table: ET.Element, rows: Sequence[ET.Element]) -> None:
    for row in table.findall("row"):
        table.remove(row)
    table.extend(rows)


@contextmanager
def _table(sdm: Path, name: str) -> Iterator[ET.Element]:
    root = _read(sdm, name)
    yield root
    _write(sdm, name, root)


def _read(sdm: Path, name: str) -> ET.Element:
    return ET.parse(sdm / f"{name}.xml").getroot()  # noqa: S314  written by exportasdm a moment ago


def _write(sdm: Path, name: str, root: ET.Element) -> None:
    ET.register_namespace("xsi", _XSI)
    ET.ElementTree(root).write(sdm / f"{name}.xml", encoding="UTF-8", xml_declaration=True)
