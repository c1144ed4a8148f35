"""What an NGAS server holds of a file of ours, and the proof that it is good.

An NGAS server's word is taken for nothing that it has not just read from its disk. ``STATUS`` and ``QUERY`` answer from
records, also for a file that is gone; a corrupt file is a ``SUCCESS``. So a copy counts only if both hold:

* ``CHECKFILE`` of its **exact version** finds the bytes to be those of the server's record;
* the record has **our** size and CRC-32: a file that was cut off before it was recorded is consistent, and wrong.

Anything else under the same ID is reported as well: whoever retrieves the ID without a version gets the latest.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from srdp.domain.checksums import ChecksumType, checksum_type, unsigned_checksum
from srdp.domain.errors import IntegrityError, InvalidInput, SrdpError, quoted
from srdp.domain.ngas import ConnectionFailed, FileCheck, NgasClient
from srdp.domain.ngas_status import NgasFileUnavailable, StoredFile

_LOGGER = logging.getLogger(__name__)
_MOST_NAMED = 3


@dataclass(frozen=True)
class ArchivedFile:
    """One file of ours in NGAS: what was recorded when it was archived.

    Attributes:
        file_id: the name under which it is retrieved.
        version: NGAS's version of it.
        size_bytes: its size.
        crc32: zlib's CRC-32 of its bytes; a signed record counts as the unsigned number of the same 32 bits.
    """

    file_id: str
    version: int
    size_bytes: int
    crc32: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "crc32", unsigned_checksum(self.crc32))


@dataclass(frozen=True)
class Unproved:
    """A file that could not be proved to be in the archive.

    Attributes:
        file: the file.
        error: why; a :class:`~srdp.domain.errors.ServiceUnavailable` means that the server did not tell, anything else
            that the file is missing or wrong.
    """

    file: ArchivedFile
    error: SrdpError

    @property
    def why(self) -> str:
        """The sentence for a person."""
        return str(self.error)


def prove_archived(client: NgasClient, file: ArchivedFile) -> None:
    """Returns if, and only if, a file is in the archive at this moment, exactly as it was recorded.

    Args:
        client: a client of the server that has it.
        file: what was recorded when it was archived.

    Raises:
        NgasFileUnavailable: the server does not have it.
        IntegrityError: its bytes, its size or its checksum are others, or another version has other bytes.
        ServiceUnavailable: the server did not answer, or is offline: nothing is proved, and nothing is known.
        SrdpError: the server refuses, or is not understood.
    """
    name = f"{quoted(file.file_id)} version {file.version}"
    if client.check_file(file.file_id, file.version, size_bytes=file.size_bytes) is not FileCheck.INTACT:
        raise IntegrityError(
            f"NGAS server {client.server} found its copy of {name} corrupt: tell the operators of NGAS."
        )
    versions = own_versions(client.server, file.file_id, file.size_bytes, file.crc32, client.query_files(file.file_id))
    if file.version not in versions:
        raise IntegrityError(f"NGAS server {client.server} has no record of {name}: tell the operators of NGAS.")


def unproved(client: NgasClient, files: Iterable[ArchivedFile]) -> tuple[Unproved, ...]:
    """Returns every file that is not proved to be in the archive at this moment; none means that all of them are.

    Of a server that has once not answered the other files are not asked: one that has stalled would hold up each.

    Args:
        client: a client of the server that has them.
        files: what was recorded when they were archived.
    """
    found = []
    away: ConnectionFailed | None = None
    for file in files:
        if away is not None:
            found.append(Unproved(file, away))
            continue
        try:
            prove_archived(client, file)
        except SrdpError as error:
            found.append(Unproved(file, error))
            away = error if isinstance(error, ConnectionFailed) else None
    return tuple(found)


def find_copy(client: NgasClient, file_id: str, size_bytes: int, crc32: int) -> ArchivedFile | None:
    """Returns the copy of a file that the server holds already, proved; None if it holds nothing under this ID.

    Args:
        client: a client of the server.
        file_id: the name under which it would be stored.
        size_bytes: its size.
        crc32: its CRC-32, unsigned.

    Raises:
        IntegrityError: there is something else under this ID, or our file in no readable copy. To send it would make a
            further version.
        ServiceUnavailable: the server did not answer.
        SrdpError: the server refuses, or is not understood.
    """
    versions = own_versions(client.server, file_id, size_bytes, crc32, client.query_files(file_id))
    if len(versions) > 1:
        _LOGGER.warning("NGAS server %s holds %s in versions %s, all alike", client.server, quoted(file_id), versions)
    for version in versions:
        try:
            if client.check_file(file_id, version, size_bytes=size_bytes) is FileCheck.INTACT:
                return ArchivedFile(file_id, version, size_bytes, crc32)
        except NgasFileUnavailable as error:
            _LOGGER.warning("%s", error)
    if not versions:
        return None
    raise IntegrityError(
        f"NGAS server {client.server} has a record of {quoted(file_id)} (version {versions[0]}), but the stored file "
        "is corrupt or gone, and to send it again would make a further version: tell the operators of NGAS."
    )


def own_versions(
    server: str, file_id: str, size_bytes: int, crc32: int, recorded: Iterable[StoredFile]
) -> tuple[int, ...]:
    """Returns the versions that are recorded with our size and CRC-32, the first one first.

    Args:
        server: ``host:port``, for the sentence of an error.
        file_id: our file's ID; other files are left out.
        size_bytes: our file's size.
        crc32: our file's CRC-32, unsigned.
        recorded: all versions on all disks.

    Raises:
        IntegrityError: a version has another size or checksum: somebody else stored it, or it was damaged before it
            was recorded.
    """
    records = sorted((record for record in recorded if record.file_id == file_id), key=lambda record: record.version)
    others = [record for record in records if not _is_ours(record, size_bytes, crc32)]
    if others:
        named = ", ".join(_described(record) for record in others[:_MOST_NAMED])
        raise IntegrityError(
            f"NGAS server {server} holds something else under {quoted(file_id)}: {named}; ours has {size_bytes} bytes "
            f"and the CRC-32 {crc32}. Ask the operators of NGAS who stored it."
        )
    return tuple(dict.fromkeys(record.version for record in records))


def _is_ours(record: StoredFile, size_bytes: int, crc32: int) -> bool:
    try:
        comparable = checksum_type(record.checksum_type) is ChecksumType.CRC32
    except InvalidInput:
        return False
    return comparable and (record.size, record.checksum) == (size_bytes, crc32)


def _described(record: StoredFile) -> str:
    checksum = "no checksum" if record.checksum is None else f"the checksum {record.checksum}"
    kind = f" ({quoted(record.checksum_type)})" if record.checksum_type else ""
    return f"version {record.version} with {record.size} bytes and {checksum}{kind}"
