"""Reading archives of others: some megabytes can unpack to more than any disk or memory holds.

What is compressed is unpacked in pieces, up to a limit. Libraries that read a whole at once (astropy a tile of a
compressed image, tarfile an extended header) are given a limit of memory.
"""

from __future__ import annotations

import bz2
import lzma
import re
import resource
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

from srdp.domain.common.errors import InvalidInput, quoted
from srdp.domain.files.shared_files import SharedFile

#: More of one file is not unpacked, in bytes. The largest products, images and the flags of a run, have a fifth of it.
MOST_UNPACKED: Final = 256 << 30
#: How much memory a library may take beyond what the process has, in bytes.
MOST_MEMORY: Final = 1 << 30

_BLOCK: Final = 1 << 20
_LARGEST_DICTIONARY: Final = 256 << 20
_memory_is_limited = threading.Lock()


class Damaged(InvalidInput):
    """A compressed file is damaged, or was not written to its end."""


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gunzip:
    """What :mod:`bz2` and :mod:`lzma` have, for one member of a gzip file."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=31)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)


# What a compressed file begins with, and what unpacks it.
_KINDS: Final[tuple[tuple[re.Pattern[bytes], Callable[[], _Decompressor]], ...]] = (
    (re.compile(rb"\x1f\x8b"), _Gunzip),
    (re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"), bz2.BZ2Decompressor),
    (re.compile(rb"\xfd7zXZ\0"), lambda: lzma.LZMADecompressor(memlimit=_LARGEST_DICTIONARY)),
)
_LONGEST_BEGINNING: Final = 10


def is_packed(file: SharedFile) -> bool:
    """Whether a file is compressed as a whole, by its first bytes."""
    return _decompressor(file.read_at(0, _LONGEST_BEGINNING)) is not None


def unpacked(file: SharedFile) -> Iterator[bytes]:
    """Yield what a file unpacks to, in pieces; one that is not compressed, as it is.

    Args:
        file: the file, from its beginning on: gzip, bzip2 or xz.

    Raises:
        Damaged: it is damaged, or was not written to its end.
        InvalidInput: it unpacks to more than :data:`MOST_UNPACKED`.
        LocalFilesError: it cannot be read.
    """
    if not is_packed(file):
        yield from file.blocks()
        return
    length = 0
    try:
        for piece in _unpacked(file.blocks()):
            length += len(piece)
            if length > MOST_UNPACKED:
                raise InvalidInput(
                    f"{quoted(file.path, 300)} unpacks to more than {MOST_UNPACKED} bytes, which no product has: see "
                    "what it is."
                )
            yield piece
    except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
        cause = quoted(" ".join(str(error).split()) or type(error).__name__, 120)
        raise Damaged(f"{quoted(file.path, 300)} is damaged or was not written to its end ({cause}).") from None


def _decompressor(begins: bytes) -> _Decompressor | None:
    return next((make() for pattern, make in _KINDS if pattern.match(begins)), None)


def _unpacked(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the content of one member after the other."""
    rest = next(blocks, b"")
    while True:
        member = _decompressor(rest)
        if member is None:
            raise EOFError("something else stands behind its end")
        while not member.eof:
            piece = member.decompress(rest, _BLOCK)
            rest = b""
            if piece:
                yield piece
            elif not member.eof:
                rest = next(blocks, b"")
                if not rest:
                    raise EOFError("it ends before its content does")
        rest = member.unused_data or next(blocks, b"")
        # Some programs fill the last block of a tape with zeros.
        if not rest.strip(b"\0"):
            if next(blocks, b""):
                raise EOFError("many zeros stand behind its end")
            return
        if len(rest) < _LONGEST_BEGINNING:
            rest += next(blocks, b"")


@contextmanager
def limited_memory() -> Iterator[None]:
    """Let the process take no more than :data:`MOST_MEMORY` beyond what it has.

    It holds for all threads of the process, so that one at a time may do this; there is room for the others.

    Raises:
        MemoryError: from what asks for more.
    """
    with _memory_is_limited:
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        wanted = pages * resource.getpagesize() + MOST_MEMORY
        if soft in range(wanted):  # RLIM_INFINITY is -1
            wanted = soft
        resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
