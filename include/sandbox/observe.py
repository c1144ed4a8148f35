"""Observes: brings one more execution block into the embedded observatory's archive.

``python -m sandbox.observe --archive URL --ngas URL --sdm DIR`` stores the SDM in a directory, file by file, in NGAS
under names of its own, and then records it in the archive in one transaction: an execution block is visible only when
all its files are stored, and one whose ingestion was killed is not visible at all. Empty files, which NGAS takes from
nobody, are left out.

What is real and what is not: the SDM is handed over as it is, byte for byte, so every execution block "observed" from
one directory holds the same observation, the same time and the same UIDs inside. Made up are its name (the scheduling
block's and the execution block's number; the project code, since the data has none) and its locator. The date in the
name (MJD) and the archive's times of observation are those in the SDM, which counts them without leap seconds.
"""

from __future__ import annotations

import argparse
import base64
import http.client
import secrets
import sys
import time
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlencode, urlsplit

import psycopg

from sandbox.archive import DATABASE_VARIABLE, NGAS_SERVER, database_url, execute, set_ngas_address, transaction
from srdp.domain.common.errors import IntegrityError, InvalidInput, ServiceUnavailable, SrdpError, quoted
from srdp.domain.common.safe_xml import parse_xml
from srdp.domain.ngas.status import NgasCode, parse_status
from srdp.domain.runs.execution_block import READY
from srdp.domain.runs.identifiers import execution_block_name

if TYPE_CHECKING:
    from psycopg.rows import DictRow

PROJECT = "NGC5921"
# The archive of an observatory keeps checksums of old servers, which wrote the 32 bits as a signed number.
CHECKSUM_TYPE = "ngamsGenCrc32"

_NANOSECONDS_A_DAY = 86_400_000_000_000
_MJD_ZERO = datetime(1858, 11, 17, tzinfo=UTC)
_TRIES = 8
_FIRST_PAUSE_SECONDS = 0.2
_TIMEOUT_SECONDS = 90.0  # NGAS itself closes a stalled connection after 60 s


@dataclass(frozen=True)
class Observation:
    """When and with what an SDM was observed, as the SDM itself says.

    Attributes:
        telescope: the telescope's name.
        start: when it began, in nanoseconds since MJD 0.
        end: when it ended, likewise.
    """

    telescope: str
    start: int
    end: int


@dataclass(frozen=True)
class StoredFile:
    """One file of an SDM as NGAS has it; the attributes are the columns of the archive's table."""

    ngas_file_id: str
    version: int
    size: int
    checksum: str
    checksum_type: str
    relative_path: str


@dataclass(frozen=True)
class ObservedBlock:
    """What is new: an execution block whose files NGAS has, and which is not yet in the archive's database."""

    name: str
    locator: str
    project: str
    calibration_status: str
    observation: Observation
    files: tuple[StoredFile, ...]


def read_observation(sdm: Path) -> Observation:
    """Return what an SDM's ``ExecBlock.xml`` says about the observation.

    Raises:
        InvalidInput: the directory is no SDM, or holds no execution block.
    """
    table = sdm / "ExecBlock.xml"
    try:
        root = parse_xml(table.read_bytes(), str(table), root="ExecBlockTable")
    except OSError as error:
        raise InvalidInput(f"{table} cannot be read ({error.strerror}): give the directory of an SDM.") from None
    values = {name: (root.findtext(f"row/{name}") or "").strip() for name in ("telescopeName", "startTime", "endTime")}
    if not (values["telescopeName"] and values["startTime"].isdecimal() and values["endTime"].isdecimal()):
        raise InvalidInput(f"{table} has no row with telescopeName, startTime and endTime: it is no complete SDM.")
    return Observation(values["telescopeName"], int(values["startTime"]), int(values["endTime"]))


def new_name(project: str, observation: Observation) -> str:
    """Return a name for an execution block that no other has, with the date of its observation.

    Args:
        project: the project code.
        observation: for the date, as MJD.

    Raises:
        InvalidInput: the project code cannot be part of a name.
    """
    day, rest = divmod(observation.start, _NANOSECONDS_A_DAY)
    fraction = rest * 10**11 // _NANOSECONDS_A_DAY
    scheduling_block, execution_block = (10_000_000 + secrets.randbelow(90_000_000) for _ in range(2))
    return execution_block_name(f"{project}.sb{scheduling_block}.eb{execution_block}.{day:05d}.{fraction:011d}")


def store(ngas: str, sdm: Path, *, project: str, name: str | None, calibration_status: str) -> ObservedBlock:
    """Store an SDM's files in NGAS; nobody sees them until :func:`publish`.

    Args:
        ngas: the server, ``http://[user:password@]host:port``.
        sdm: the SDM's directory.
        project: the project code.
        name: the name; a new one if it is not given.
        calibration_status: the status to begin with.

    Raises:
        InvalidInput: the directory is no SDM.
        ServiceUnavailable: the server could not be made to take a file.
        SrdpError: the server refused one.
    """
    observation = read_observation(sdm)
    key = uuid.uuid4()
    files = tuple(
        # Names of the product or the SDM's own are not unique and may be longer than NGAS's 64 characters.
        archive_file(ngas, path, f"uid___evla_execblock_{key}.{number}", path.relative_to(sdm).as_posix())
        for number, path in enumerate(sdm_files(sdm), start=1)
    )
    return ObservedBlock(
        name=name or new_name(project, observation),
        locator=f"uid://evla/execblock/{key}",
        project=project,
        calibration_status=calibration_status,
        observation=observation,
        files=files,
    )


@contextmanager
def publishing(archive: str, what: str) -> Iterator[psycopg.Cursor[DictRow]]:
    """Open the transaction that writes what is new into the archive.

    Args:
        archive: the archive's database.
        what: what is written, for the error's sentence.

    Raises:
        ServiceUnavailable: the archive cannot serve now.
        SrdpError: the archive has it already.
    """
    try:
        with transaction(archive) as cursor:
            yield cursor
    except psycopg.errors.UniqueViolation:
        raise SrdpError(f"The archive has {what} already.") from None
    except psycopg.OperationalError as error:
        raise ServiceUnavailable(f"The archive's database cannot serve now: {error}") from error


def publish(cursor: psycopg.Cursor[DictRow], block: ObservedBlock, *, ngas_address: str) -> None:
    """Tells the archive about an execution block; it is visible when the caller's transaction is committed.

    Args:
        cursor: in a transaction on the archive's database.
        block: what NGAS has stored.
        ngas_address: ``host:port`` of the server that has it.
    """
    execute(cursor, "project", {"project_code": block.project})
    set_ngas_address(cursor, ngas_address)
    (group,) = execute(cursor, "file_group")
    for file in block.files:
        place = {"subdirectory": block.name, "ngas_server": NGAS_SERVER}
        execute(cursor, "file", {**group, **place, **vars(file)})
    execute(
        cursor,
        "execution_block",
        {
            **group,
            "locator": block.locator,
            "name": block.name,
            "project_code": block.project,
            "telescope": block.observation.telescope,
            "calibration_status": block.calibration_status,
            "observed_start": _time(block.observation.start),
            "observed_end": _time(block.observation.end),
        },
    )


def observe(
    *,
    archive: str,
    ngas: str,
    sdm: Path,
    project: str = PROJECT,
    count: int = 1,
    name: str | None = None,
    calibration_status: str = READY,
    at_once: bool = False,
) -> Iterator[ObservedBlock]:
    """Observes, and yields each execution block when the archive shows it.

    Args:
        archive: the archive's database.
        ngas: the NGAS server, ``http://[user:password@]host:port``.
        sdm: the directory of the SDM that is observed.
        project: the project code.
        count: how many execution blocks.
        name: the name of the only one; new names if it is not given.
        calibration_status: their status to begin with.
        at_once: whether all become visible in one instant, after the last one is stored.

    Raises:
        InvalidInput: the directory is no SDM, or several are to have one name.
        ServiceUnavailable: NGAS or the archive cannot serve now.
        SrdpError: NGAS refused a file, or the archive has that name already.
    """
    if name is not None and count != 1:
        raise InvalidInput("One name can be given to one execution block only: leave out the name or the count.")
    address = server_address(ngas)
    batches = [count] if at_once else [1] * count
    for size in batches:
        blocks = [
            store(ngas, sdm, project=project, name=name, calibration_status=calibration_status) for _ in range(size)
        ]
        with publishing(archive, f"an execution block {quoted(blocks[0].name)}") as cursor:
            for block in blocks:
                publish(cursor, block, ngas_address=address)
        yield from blocks


def archive_file(ngas: str, path: Path, file_id: str, relative_path: str) -> StoredFile:
    """Store one file in NGAS, trying again while the server is busy.

    A repeated try may make another version of a file whose reply was lost; the archive records the version that the
    server confirmed.

    Args:
        ngas: the server, ``http://[user:password@]host:port``.
        path: the file.
        file_id: the name under which NGAS is to have it, at most 64 characters.
        relative_path: its path in the SDM.

    Raises:
        ServiceUnavailable: the server did not take it after several tries.
        IntegrityError: the server has stored something else.
        SrdpError: the server refused it.
    """
    return archive_content(ngas, path.read_bytes(), file_id, relative_path)


def archive_content(ngas: str, content: bytes, file_id: str, relative_path: str) -> StoredFile:
    """Store bytes in NGAS as :func:`archive_file` stores a file.

    Args:
        ngas: the server.
        content: the bytes, at least one.
        file_id: the name under which NGAS is to have them.
        relative_path: their path where they are unpacked.

    Raises:
        ServiceUnavailable: the server did not take them after several tries.
        IntegrityError: the server has stored something else.
        SrdpError: the server refused them.
    """
    crc = zlib.crc32(content)
    pause = _FIRST_PAUSE_SECONDS
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(pause)
            pause *= 2
        try:
            version = _post(ngas, content, crc, file_id)
        except ServiceUnavailable:
            if attempt == _TRIES - 1:
                raise
        else:
            signed = crc - 2**32 if crc >= 2**31 else crc
            return StoredFile(file_id, version, len(content), str(signed), CHECKSUM_TYPE, relative_path)
    raise AssertionError  # the loop returns or raises


def _post(ngas: str, content: bytes, crc: int, file_id: str) -> int:
    """One try to archive a file; returns the version that the server gave it."""
    address = server_address(ngas)
    query = {"filename": file_id, "file_id": file_id, "mime_type": "application/octet-stream", "crc_variant": "crc32"}
    headers = {"Content-Type": "application/octet-stream", "NGAS-File-CRC": str(crc)} | _login(ngas)
    connection = http.client.HTTPConnection(address, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("POST", f"/ARCHIVE?{urlencode(query)}", body=content, headers=headers)
        response = connection.getresponse()
        status, reply = response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        raise ServiceUnavailable(f"NGAS server {address} did not take {file_id}: {error!r}.") from error
    finally:
        connection.close()
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        raise ServiceUnavailable(f"NGAS server {address} did not take {file_id}: it is busy.")
    answer = parse_status(reply, address)
    if not answer.succeeded:
        problem = ServiceUnavailable if NgasCode.SERVER_OFFLINE in answer.codes else SrdpError
        raise problem(f"NGAS server {address} did not take {file_id}: {quoted(answer.message, 200)}.")
    stored = [file for file in answer.files if file.file_id == file_id]
    if len(stored) != 1 or stored[0].size != len(content) or stored[0].checksum not in (None, crc):
        raise IntegrityError(f"NGAS server {address} has stored {file_id} with another size or checksum than was sent.")
    return stored[0].version


def sdm_files(sdm: Path) -> list[Path]:
    """Return the files of an SDM that NGAS can have: it takes no empty one."""
    return sorted(path for path in sdm.rglob("*") if path.is_file() and path.stat().st_size > 0)


def _time(nanoseconds: int) -> datetime:
    return _MJD_ZERO + timedelta(microseconds=nanoseconds // 1000)


def server_address(ngas: str) -> str:
    """Return ``host:port`` of a server.

    Raises:
        InvalidInput: it is not given as ``http://[user:password@]host:port``.
    """
    parts = urlsplit(ngas)
    if parts.scheme != "http" or not parts.hostname or not parts.port:
        raise InvalidInput(f"{quoted(parts.hostname)} is not an NGAS server: give it as http://host:port.")
    return f"{parts.hostname}:{parts.port}"


def _login(ngas: str) -> dict[str, str]:
    parts = urlsplit(ngas)
    if parts.username is None:
        return {}
    # Sent without being asked: the server's 401 carries no challenge.
    both = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": "Basic " + base64.b64encode(both.encode()).decode()}


def main() -> int:
    """Observes as the command line says; prints a line for each execution block when the archive shows it."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.observe", description="Observe one more execution block.")
    parser.add_argument("--archive", default=database_url(), help=f"the archive's database; else ${DATABASE_VARIABLE}")
    parser.add_argument("--ngas", required=True, help="the NGAS server, http://[user:password@]host:port")
    parser.add_argument("--sdm", type=Path, required=True, help="the directory of the SDM")
    parser.add_argument("--project", default=PROJECT, help="the project code (%(default)s)")
    parser.add_argument("--count", type=int, default=1, help="how many (%(default)s)")
    parser.add_argument("--name", help="the name; it is made up otherwise, as NRAO's are")
    parser.add_argument("--calibration-status", default=READY, help="the status in the archive (%(default)s)")
    parser.add_argument("--at-once", action="store_true", help="let all become visible in one instant")
    options = parser.parse_args()
    if not options.archive:
        parser.error(f"give --archive, or set {DATABASE_VARIABLE}")
    try:
        for block in observe(**vars(options)):
            print(f"{block.name}  {block.locator}", flush=True)
    except SrdpError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
