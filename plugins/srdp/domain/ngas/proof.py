"""The proof that a file of ours is in NGAS, exactly as it was recorded, in at least one good copy.

One version may have a copy on each of several disks. Each copy is proved by itself (:mod:`srdp.domain.ngas.copies`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from srdp.domain.common.errors import IntegrityError, ServiceUnavailable, SrdpError, quoted
from srdp.domain.ngas.archived_files import ArchivedFile, Recorded
from srdp.domain.ngas.client import NgasClient
from srdp.domain.ngas.connections import ConnectionFailed
from srdp.domain.ngas.copies import Copy, CopyState, DamagedCopy, check_copies, damaged_copies
from srdp.domain.ngas.status import NgasCode, NgasFileUnavailable, StoredFile

_LOGGER = logging.getLogger(__name__)
_MOST_NAMED = 3


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


def _log_what_is_not_good(proof: Proof) -> None:
    for copy in proof.copies:
        if copy.error is not None:
            _LOGGER.warning("%s", copy.error)


def _on_disks(copies: Iterable[Copy]) -> str:
    disks = sorted({copy.disk_id for copy in copies if copy.disk_id})
    return f" on disk {', '.join(map(quoted, disks[:_MOST_NAMED]))}" if disks else ""
