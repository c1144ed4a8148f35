"""What was recorded of a file of ours when it was put into NGAS."""

from __future__ import annotations

from dataclasses import dataclass

from srdp.domain.common.errors import InvalidInput, quoted
from srdp.domain.ngas.checksums import ChecksumType, checksum_type, unsigned_checksum
from srdp.domain.ngas.status import StoredFile


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
