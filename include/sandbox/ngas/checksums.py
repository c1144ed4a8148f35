"""The checksums that NGAS computes while it receives a file, under all the names that it gives them."""

from __future__ import annotations

import zlib
from collections.abc import Callable

from sandbox.ngas.status import NgasFailure

#: Takes bytes and the checksum so far, gives the checksum including them.
Checksum = Callable[[bytes | memoryview, int], int]


def _castagnoli_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_CASTAGNOLI = _castagnoli_table()


def _crc32c(data: bytes | memoryview, value: int = 0) -> int:
    value ^= 0xFFFFFFFF
    for byte in data:
        value = _CASTAGNOLI[(value ^ byte) & 0xFF] ^ (value >> 8)
    return value ^ 0xFFFFFFFF


# Variants are numbers or names; the plug-in names are what NGAS up to release 8 wrote into its records.
_VARIANTS: dict[str, tuple[str, Checksum]] = {
    "0": ("crc32", zlib.crc32),
    "crc32": ("crc32", zlib.crc32),
    "ngamsGenCrc32": ("crc32", zlib.crc32),
    "StreamCrc32": ("crc32", zlib.crc32),
    "1": ("crc32c", _crc32c),
    "crc32c": ("crc32c", _crc32c),
    "2": ("crc32z", zlib.crc32),
    "crc32z": ("crc32z", zlib.crc32),
}


def checksum(variant: str) -> tuple[str, Checksum]:
    """Return the name that a record carries for a checksum variant, and the function that computes it.

    Args:
        variant: the value of ``crc_variant``, or what a record has under ``ChecksumPlugIn``.

    Raises:
        NgasFailure: the variant is unknown.
    """
    if variant not in _VARIANTS:
        raise NgasFailure(f"Unknown CRC variant: {variant!r}")
    return _VARIANTS[variant]


def same_checksum(one: str, other: str) -> bool:
    """Whether two decimal checksums are the same number modulo 2^32 (old records are signed)."""
    return (int(one) - int(other)) % 2**32 == 0
