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

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from srdp.domain.common.errors import IntegrityError, InvalidInput, ServiceUnavailable, SettingsError, SrdpError, quoted
from srdp.domain.ngas.checksums import ChecksumType, checksum_type, unsigned_checksum
from srdp.domain.ngas.client import ConnectionFailed, FileCheck, NgasClient
from srdp.domain.ngas.status import NgasCode, NgasFileAway, NgasFileUnavailable, NgasRefused, StoredFile

_LOGGER = logging.getLogger(__name__)
_MOST_NAMED = 3


@dataclass(frozen=True)
class Recorded:
    """A version of a file, as it must be.

    Attributes:
        file_id: the name under which it is retrieved.
        version: NGAS's version of it.
        size_bytes: its size.
        checksum: its checksum, unsigned.
        kind: the algorithm of the checksum.
    """

    file_id: str
    version: int
    size_bytes: int
    checksum: int
    kind: ChecksumType = ChecksumType.CRC32

    def __str__(self) -> str:
        """Name it in a sentence."""
        return f"{quoted(self.file_id)} version {self.version}"

    def is_described_by(self, record: StoredFile) -> bool:
        """Return whether a record of any version has this size and this checksum."""
        try:
            comparable = checksum_type(record.checksum_type) is self.kind
        except InvalidInput:
            return False
        return comparable and (record.size, record.checksum) == (self.size_bytes, self.checksum)


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

    @property
    def recorded(self) -> Recorded:
        """It as any file of NGAS."""
        return Recorded(self.file_id, self.version, self.size_bytes, self.crc32)


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


class NoGoodCopy(IntegrityError):
    """A file is in NGAS in damaged copies only.

    Attributes:
        damaged: those copies.
    """

    def __init__(self, sentence: str, damaged: tuple[DamagedCopy, ...]) -> None:
        super().__init__(sentence)
        self.damaged = damaged


class NoGoodCopyNow(ServiceUnavailable):
    """No copy of a file is known to be good now, and one that is away may be.

    Attributes:
        damaged: the copies that are not.
    """

    def __init__(self, sentence: str, damaged: tuple[DamagedCopy, ...]) -> None:
        super().__init__(sentence)
        self.damaged = damaged


@dataclass(frozen=True)
class Proof:
    """A file that is in the archive in at least one good copy, and what is known of all its copies.

    Attributes:
        file: the file.
        server: the server that was asked, ``host:port``.
        copies: each copy that was looked at.
    """

    file: ArchivedFile
    server: str
    copies: tuple[Copy, ...]

    def in_state(self, state: CopyState) -> tuple[Copy, ...]:
        """Return the copies that are in a state."""
        return tuple(copy for copy in self.copies if copy.state is state)

    @property
    def damaged(self) -> tuple[DamagedCopy, ...]:
        """The copies that must be repaired."""
        return damaged_copies(self.server, self.file.file_id, self.copies)


@dataclass(frozen=True)
class Unproved:
    """A file that could not be proved to be in the archive.

    Attributes:
        file: the file.
        error: why; a :class:`~srdp.domain.common.errors.ServiceUnavailable` means that the server did not say,
            anything else that the file is missing or wrong.
    """

    file: ArchivedFile
    error: SrdpError

    @property
    def why(self) -> str:
        """The sentence for a person."""
        return str(self.error)

    @property
    def damaged(self) -> tuple[DamagedCopy, ...]:
        """The copies that must be repaired."""
        return self.error.damaged if isinstance(self.error, NoGoodCopy | NoGoodCopyNow) else ()


def prove_archived(client: NgasClient, file: ArchivedFile) -> Proof:
    """Return if, and only if, a file is in the archive at this moment, exactly as it was recorded.

    Args:
        client: a client of a server that has it, or of whose cluster a node has it.
        file: what was recorded when it was archived.

    Returns:
        Its copies; at least one is good. The caller checks the others.

    Raises:
        NgasFileUnavailable: no server of the cluster has a record of it.
        NoGoodCopy: all copies are damaged.
        IntegrityError: its recorded size or checksum, or those of another version, are others.
        ServiceUnavailable: the server did not answer, or no copy is good and one is away: nothing is proved, and
            nothing is known.
        SrdpError: the server refuses, or is not understood.
    """
    name = str(file.recorded)
    records = client.query_files(file.file_id)
    if file.version not in own_versions(client.server, file.file_id, file.size_bytes, file.crc32, records):
        client.health()  # of a server that is offline nothing is known
        raise NgasFileUnavailable(
            f"NGAS server {client.server} does not have the file {name}, nor a record of it: tell the operators of "
            "NGAS.",
            NgasCode.FILE_UNAVAILABLE,
        )
    proof = Proof(file, client.server, check_copies(client, file.recorded, records))
    if proof.in_state(CopyState.GOOD):
        _log_what_is_not_good(proof)
        return proof
    raise _no_good_copy(proof, name)


def prove_all(client: NgasClient, files: Iterable[ArchivedFile]) -> tuple[tuple[Proof, ...], tuple[Unproved, ...]]:
    """Return the proof of each file that is in the archive at this moment, and every file that is not proved.

    Of a server that has once not answered the other files are not asked: one that has stalled would hold up each.

    Args:
        client: a client of the server that has them.
        files: what was recorded when they were archived.
    """
    proofs: list[Proof] = []
    unproved: list[Unproved] = []
    away: ConnectionFailed | None = None
    for file in files:
        if away is not None:
            unproved.append(Unproved(file, away))
            continue
        try:
            proofs.append(prove_archived(client, file))
        except SrdpError as error:
            unproved.append(Unproved(file, error))
            away = error if isinstance(error, ConnectionFailed) else None
    return tuple(proofs), tuple(unproved)


def find_copy(client: NgasClient, file_id: str, size_bytes: int, crc32: int) -> Proof | None:
    """Return what the server holds of a file already, proved; None if it holds nothing under this ID.

    One good copy is enough not to send the file again; the proof lists those that are not good.

    Args:
        client: a client of the server.
        file_id: the name under which it would be stored.
        size_bytes: its size.
        crc32: its CRC-32, unsigned.

    Raises:
        NoGoodCopy: our file is there, in damaged copies only: to send it would make a further version.
        IntegrityError: there is something else under this ID.
        ServiceUnavailable: the server did not answer, or the node that has our file is away.
        SrdpError: the server refuses, or is not understood.
    """
    records = client.query_files(file_id)
    versions = own_versions(client.server, file_id, size_bytes, crc32, records)
    if len(versions) > 1:
        _LOGGER.warning("NGAS server %s holds %s in versions %s, all alike", client.server, quoted(file_id), versions)
    copies: list[Copy] = []
    for version in versions:
        file = ArchivedFile(file_id, version, size_bytes, crc32)
        of_version = check_copies(client, file.recorded, records)
        copies += of_version
        if any(copy.state is CopyState.GOOD for copy in of_version):
            proof = Proof(file, client.server, tuple(copies))
            _log_what_is_not_good(proof)
            return proof
    if not versions:
        return None
    away = next((copy.error for copy in copies if copy.state is CopyState.AWAY), None)
    if away is not None:
        raise away
    raise NoGoodCopy(
        f"NGAS server {client.server} has a record of {quoted(file_id)} (version {versions[0]}), but the stored file "
        f"is corrupt or gone{_on_disks(copies)}, and to send it again would make a further version: tell the operators "
        "of NGAS.",
        damaged_copies(client.server, file_id, copies),
    )


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


def own_versions(
    server: str, file_id: str, size_bytes: int, crc32: int, recorded: Iterable[StoredFile]
) -> tuple[int, ...]:
    """Return the versions that are recorded with our size and CRC-32, the first one first.

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
    ours = Recorded(file_id, 0, size_bytes, crc32)
    others = [record for record in records if not ours.is_described_by(record)]
    if others:
        named = ", ".join(_described(record) for record in others[:_MOST_NAMED])
        raise IntegrityError(
            f"NGAS server {server} holds something else under {quoted(file_id)}: {named}; ours has {size_bytes} bytes "
            f"and the CRC-32 {crc32}. Ask the operators of NGAS who stored it."
        )
    return tuple(dict.fromkeys(record.version for record in records))


def _described(record: StoredFile) -> str:
    checksum = "no checksum" if record.checksum is None else f"the checksum {record.checksum}"
    kind = f" ({quoted(record.checksum_type)})" if record.checksum_type else ""
    return f"version {record.version} with {record.size} bytes and {checksum}{kind}"


def _no_good_copy(proof: Proof, name: str) -> SrdpError:
    """Return the error that no copy of a file is good; transient if one of them may be."""
    errors = [copy.error for copy in proof.copies if copy.error is not None]
    causes = " ".join(dict.fromkeys(str(error) for error in errors[:_MOST_NAMED]))
    if proof.in_state(CopyState.AWAY):
        return NoGoodCopyNow(f"No copy of {name} is known to be good now: {causes}", proof.damaged)
    return NoGoodCopy(f"No copy of {name} is good: {causes}", proof.damaged)


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


def _log_what_is_not_good(proof: Proof) -> None:
    for copy in proof.copies:
        if copy.error is not None:
            _LOGGER.warning("%s", copy.error)


def _on_disk(disk_id: str) -> str:
    return f" on disk {quoted(disk_id)}" if disk_id else ""


def _on_disks(copies: Iterable[Copy]) -> str:
    disks = sorted({copy.disk_id for copy in copies if copy.disk_id})
    return f" on disk {', '.join(map(quoted, disks[:_MOST_NAMED]))}" if disks else ""
