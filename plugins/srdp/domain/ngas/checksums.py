"""The checksums that NGAS records: what they are called, how they are compared, and how they are made in one pass."""

from __future__ import annotations

import zlib
from enum import StrEnum

import google_crc32c

from srdp.domain.common.errors import InvalidInput, quoted
from srdp.domain.common.outside_numbers import whole_number


class ChecksumType(StrEnum):
    """An algorithm; several of NGAS's names stand for the same one."""

    CRC32 = "crc32"
    CRC32C = "crc32c"


# ngamsGenCrc32 and StreamCrc32 are what older servers called zlib's CRC-32, crc32z what some newer ones do.
_ALGORITHMS = {
    "crc32": ChecksumType.CRC32,
    "crc32z": ChecksumType.CRC32,
    "ngamsGenCrc32": ChecksumType.CRC32,
    "StreamCrc32": ChecksumType.CRC32,
    "crc32c": ChecksumType.CRC32C,
}


def checksum_type(name: object) -> ChecksumType:
    """Return the algorithm behind a checksum type or checksum plug-in as NGAS names it.

    Raises:
        InvalidInput: it is none of the names that NGAS servers are known to use.
    """
    if isinstance(name, str) and name in _ALGORITHMS:
        return _ALGORITHMS[name]
    raise InvalidInput(f"checksum type {quoted(name)} is not known; known are {', '.join(_ALGORITHMS)}")


def unsigned_checksum(value: object) -> int:
    """Return a recorded checksum as a number from 0 to 2^32-1.

    Old servers recorded the same 32 bits as a signed number: both are compared modulo 2^32.

    Args:
        value: a decimal number in any spelling, see :func:`srdp.domain.common.outside_numbers.whole_number`.

    Raises:
        InvalidInput: it is not a decimal number of 32 bits.
    """
    try:
        return whole_number(value, lowest=-(2**31), highest=2**32 - 1, what="checksum") % 2**32
    except InvalidInput:
        raise InvalidInput(f"checksum {quoted(value)} is not a decimal number of 32 bits") from None


class RunningChecksum:
    """The checksums of bytes that pass by: CRC-32 always, because the ledger keeps it, and another if it is asked for.

    Attributes:
        crc32: zlib's CRC-32 of what has passed so far, unsigned.
    """

    def __init__(self, wanted: ChecksumType = ChecksumType.CRC32) -> None:
        self.crc32 = 0
        self._wanted = wanted
        self._crc32c = 0

    def update(self, block: bytes) -> None:
        """Lets more bytes pass."""
        self.crc32 = zlib.crc32(block, self.crc32)
        if self._wanted is ChecksumType.CRC32C:
            self._crc32c = google_crc32c.extend(self._crc32c, block)

    @property
    def value(self) -> int:
        """The checksum of the wanted type, unsigned."""
        return self._crc32c if self._wanted is ChecksumType.CRC32C else self.crc32
