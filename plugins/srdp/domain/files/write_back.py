"""Bytes that go to the disk while a file grows, and not all at its end.

The system keeps what is written in memory, and writes it to the disk when there is much of it, or after half a minute.
A file that is synced when it is complete then waits for the disk for as long as it took to come. Linux can be asked to
begin sooner (``sync_file_range``). It is no promise: only the sync at the end proves that everything is on the disk.
"""

from __future__ import annotations

import ctypes
from typing import Final

from srdp.domain.files.space import libc

_BEGIN: Final = 2  # SYNC_FILE_RANGE_WRITE: begin to write what is not being written, wait for nothing
_STEP_BYTES: Final = 8 << 20


class WriteBack:
    """Has the system write a growing file to its disk, some megabytes at a time.

    Args:
        descriptor: the file, open for writing.
        offset: where it begins to grow, in bytes.
    """

    def __init__(self, descriptor: int, offset: int = 0) -> None:
        self._descriptor = descriptor
        self._begun = offset
        self._written = offset

    def wrote(self, count: int) -> None:
        """Count bytes that were written at the file's end."""
        self._written += count
        if self._written - self._begun >= _STEP_BYTES:
            self._begin()

    def _begin(self) -> None:
        length = self._written - self._begun
        # A file system that cannot, or a disk that cannot be written, shows at the sync, which is asked what it did.
        libc().sync_file_range(
            self._descriptor, ctypes.c_int64(self._begun), ctypes.c_int64(length), ctypes.c_uint(_BEGIN)
        )
        self._begun = self._written
