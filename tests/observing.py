"""An archive to observe into, and rows as a test wants them."""

from __future__ import annotations

import itertools
import uuid
from datetime import datetime
from pathlib import Path

import psycopg

from srdp.domain.runs.identifiers import disk_name

_NUMBERS = itertools.count(1)

EXEC_BLOCK = """<?xml version="1.0" encoding="ISO-8859-1"?>
<ExecBlockTable xmlns:excblk="http://Alma/XASDM/ExecBlockTable">
<row> <execBlockId> ExecBlock_0 </execBlockId> <startTime> 4304481555002746368 </startTime>
<endTime> 4304486834998169088 </endTime> <telescopeName> EVLA </telescopeName> </row>
</ExecBlockTable>
"""


def new_name(project: str = "13A-537") -> str:
    """Return the name of an EB that no other test has."""
    return f"{project}.sb24066356.eb{next(_NUMBERS):08d}.56514.05971091435"


def ingest(
    url: str,
    *,
    name: str | None = None,
    locator: str | None = None,
    status: str = "Ready",
    at: datetime | str = "now",
    connection: psycopg.Connection | None = None,
) -> str:
    """Add an SDM without files to the archive, as if ingested at that time; return its name."""
    name = new_name() if name is None else name
    locator = locator or f"uid://evla/execblock/{uuid.uuid4()}"

    def insert(archive: psycopg.Connection) -> None:
        (group,) = archive.execute("INSERT INTO file_group DEFAULT VALUES RETURNING file_group_id").fetchone()
        archive.execute(
            "INSERT INTO execution_block (locator, name, project_code, telescope, calibration_status, file_group_id, "
            "ingested_at) VALUES (%s, %s, '13A-537', 'EVLA', %s, %s, %s)",
            (locator, name, status, group, at),
        )

    if connection is not None:
        insert(connection)
    else:
        with psycopg.connect(url) as own:
            insert(own)
    return name


def ingest_mous(url: str) -> str:
    """Add a MOUS without files to the archive; return its UID."""
    uid = f"uid://A001/X1288/X{next(_NUMBERS):x}"
    with psycopg.connect(url) as archive:
        archive.execute(
            "INSERT INTO mous (mous_uid, disk_name, project_code, telescope) VALUES (%s, %s, '13A-537', 'ALMA')",
            (uid, disk_name(uid)),
        )
    return uid


def make_sdm(folder: Path) -> Path:
    """Make a directory that is enough of an SDM to be observed."""
    (folder / "ASDMBinary").mkdir(parents=True)
    (folder / "ExecBlock.xml").write_text(EXEC_BLOCK)
    (folder / "Main.xml").write_text("<MainTable/>")
    (folder / "ASDMBinary" / "uid___S0_X1_X14").write_bytes(bytes(range(256)) * 700)
    return folder


def small_sdm(sdm: Path, *, bytes_each: int) -> Path:
    """Makes an SDM of some files, enough for the archive, the fetch and the contract's CASA; returns it."""
    (sdm / "ASDMBinary").mkdir(parents=True)
    (sdm / "ExecBlock.xml").write_text(
        "<ExecBlockTable><row><telescopeName>EVLA</telescopeName><startTime>4304399168341000000</startTime>"
        "<endTime>4304402768341000000</endTime></row></ExecBlockTable>"
    )
    (sdm / "ASDM.xml").write_text("<ASDM/>")
    (sdm / "Main.xml").write_text("<MainTable/>")
    for number in range(6):
        # Not compressible and not alike: a mix-up of two files shows.
        content = bytes((number * 37 + position * position) % 251 for position in range(bytes_each + number))
        (sdm / "ASDMBinary" / f"uid____evla_bdf_{number}").write_bytes(content)
    return sdm
