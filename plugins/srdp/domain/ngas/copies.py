"""What an NGAS server holds of a file of ours, copy by copy, and the proof that it is good.

An NGAS server's word is taken for nothing that it has not just read from its disk. ``STATUS`` and ``QUERY`` answer from
records, also for a file that is gone; a corrupt file is a ``SUCCESS``. One version may have a copy on each of several
disks, and which of them ``CHECKFILE`` reads and ``RETRIEVE`` serves is the server's choice, unless ``disk_id`` names
one. So each copy is proved by itself, and is good only if both hold:

* ``CHECKFILE`` of its **exact version on its disk** finds the bytes to be those of the server's record;
* the record has **our** size and CRC-32: a file that was cut off before it was recorded is consistent, and wrong.

Anything else under the same ID is reported as well: a retrieval of the ID without a version returns the latest.

A copy that is not good is *damaged*, or it is *away*: nobody could be asked, or the node that has it is off. What is
damaged stays so until the operators of NGAS repair it; what is away may be good.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from srdp.domain.common.errors import IntegrityError, InvalidInput, ServiceUnavailable, SettingsError, SrdpError, quoted
from srdp.domain.ngas.archived_files import Recorded
from srdp.domain.ngas.client import FileCheck, NgasClient
from srdp.domain.ngas.connections import ConnectionFailed
from srdp.domain.ngas.status import NgasCode, NgasFileAway, NgasFileUnavailable, NgasRefused, StoredFile


class CopyState(Enum):
    """What was found out about a copy."""

    GOOD = "good"
    DAMAGED = "damaged"
    AWAY = "away"


@dataclass(frozen=True)
class Copy:
    """One copy of a version of a file.

    Attributes:
        version: the version.
        disk_id: the disk that it is on; empty if the server does not say.
        state: whether it is good.
        error: why not; None if it is good.
    """

    version: int
    disk_id: str
    state: CopyState
    error: SrdpError | None = None


@dataclass(frozen=True)
class DamagedCopy:
    """A copy that the operators of NGAS must repair.

    Attributes:
        server: the server that was asked, ``host:port``.
        file_id: the file.
        version: its version.
        disk_id: the disk that the copy is on; empty if the server does not say.
        why: what is wrong with it, in one sentence.
    """

    server: str
    file_id: str
    version: int
    disk_id: str
    why: str


def check_copies(client: NgasClient, file: Recorded, records: Iterable[StoredFile]) -> tuple[Copy, ...]:
    """Have the server read each copy of a version again, and return what it found.

    Args:
        client: a client of the server.
        file: the version.
        records: what the server lists under its ID.

    Raises:
        ConnectionFailed: the server did not answer for any of them.
        SettingsError: it does not accept the login, or the account may not use ``CHECKFILE``.
    """
    disks = dict.fromkeys(
        record.disk_id for record in records if (record.file_id, record.version) == (file.file_id, file.version)
    )
    copies = tuple(_check_copy(client, file, disk_id) for disk_id in disks)
    if copies and all(isinstance(copy.error, ConnectionFailed) for copy in copies) and copies[0].error:
        raise copies[0].error
    return copies


def _check_copy(client: NgasClient, file: Recorded, disk_id: str) -> Copy:
    try:
        _read_copy(client, file, disk_id)
    except ServiceUnavailable as error:
        return Copy(file.version, disk_id, CopyState.AWAY, error)
    except (IntegrityError, NgasRefused) as error:
        return Copy(file.version, disk_id, CopyState.DAMAGED, error)
    return Copy(file.version, disk_id, CopyState.GOOD)


def _read_copy(client: NgasClient, file: Recorded, disk_id: str) -> None:
    try:
        check = client.check_file(file.file_id, file.version, disk_id=disk_id, size_bytes=file.size_bytes)
    except NgasFileUnavailable as error:
        raise unavailable(client, error, file, disk_id=disk_id) from None
    if check is not FileCheck.INTACT:
        raise IntegrityError(
            f"NGAS server {client.server} found its copy of {file}{_on_disk(disk_id)} corrupt: tell the operators of "
            "NGAS."
        )


def unavailable(client: NgasClient, error: NgasFileUnavailable, file: Recorded, *, disk_id: str = "") -> SrdpError:
    """Return what a 4019 means: the one place that decides whether a file is not there, or not now.

    A cluster answers 4019 also while the node that has the file is away; its database still lists the file then. So a
    record of our size and checksum means "not now", unless the node that answers has the disk itself: then the file is
    gone from it. Without a record it is "not there".

    Args:
        client: a client of the server that answered.
        error: what it answered.
        file: what was asked for.
        disk_id: the disk that was asked for; empty if none was.

    Returns:
        :class:`NgasFileAway`, which is transient; or a :class:`NgasFileUnavailable`, which is final.

    Raises:
        ServiceUnavailable: the server did not answer what it lists.
    """
    try:
        records = client.query_files(file.file_id)
    except (NgasRefused, SettingsError, InvalidInput):
        return error  # the server's answer is all that is known
    disks = {
        record.disk_id
        for record in records
        if record.version == file.version and disk_id in ("", record.disk_id) and file.is_described_by(record)
    }
    if not disks:
        return error
    known, node = client.disks(), client.health().host_id
    named = ", ".join(quoted(disk) for disk in sorted(disks))
    if node and all(disk in known and known[disk].host_id == node for disk in disks):
        return NgasFileUnavailable(
            f"NGAS server {client.server} lists {file} on disk {named} of its own, but its file is gone from there "
            f"(code {NgasCode.FILE_UNAVAILABLE}): tell the operators of NGAS.",
            NgasCode.FILE_UNAVAILABLE,
        )
    return NgasFileAway(
        f"NGAS server {client.server} lists {file} on disk {named}, but cannot serve it now (code "
        f"{NgasCode.FILE_UNAVAILABLE}): the node that has the disk is away. If it stays so, tell the operators of NGAS."
    )


def damaged_copies(server: str, file_id: str, copies: Iterable[Copy]) -> tuple[DamagedCopy, ...]:
    """Return those of a file's copies that must be repaired, as they are reported.

    Args:
        server: the server that was asked.
        file_id: the file.
        copies: what was found out about its copies.
    """
    return tuple(
        DamagedCopy(server, file_id, copy.version, copy.disk_id, str(copy.error))
        for copy in copies
        if copy.state is CopyState.DAMAGED
    )


def _on_disk(disk_id: str) -> str:
    return f" on disk {quoted(disk_id)}" if disk_id else ""
