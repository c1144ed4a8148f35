"""Space on a file system that is taken before it is needed, so that those who write at once do not promise it twice.

Linux can give a file blocks beyond its end (``fallocate`` with ``FALLOC_FL_KEEP_SIZE``). They belong to the file: they
survive the process that asked for them, count as used for everybody else, and are free again with the file, or when it
is cut to its own size.
"""

from __future__ import annotations

import ctypes
import errno
import os
from functools import cache
from typing import Any, Final

_KEEP_SIZE: Final = 1
_UNSUPPORTED: Final = frozenset({errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS})
_SECTOR_BYTES: Final = 512  # of st_blocks, whatever the file system's own blocks are


def reserve(descriptor: int, size: int) -> bool:
    """Give a file all the blocks that it needs to become so large; its size and content stay.

    Args:
        descriptor: the file, open for writing.
        size: the size that it will have, in bytes.

    Returns:
        False on a file system that reserves nothing.

    Raises:
        OSError: there is not enough space, or the quota is used up.
    """
    have = os.fstat(descriptor).st_size
    if size <= have:
        return True
    number = _fallocate(descriptor, have, size - have)
    if number in _UNSUPPORTED:
        return False
    if number:
        raise OSError(number, os.strerror(number))
    return True


def release(descriptor: int) -> None:
    """Give back what was reserved for a file beyond its end.

    Args:
        descriptor: the file, open for writing.
    """
    os.ftruncate(descriptor, os.fstat(descriptor).st_size)


def held(facts: os.stat_result) -> int:
    """Return how many bytes a file may hold without taking space, in its size or beyond it."""
    return max(facts.st_size, facts.st_blocks * _SECTOR_BYTES)


@cache
def libc() -> Any:  # noqa: ANN401  what a library offers is known only to itself
    """Return the system's library, for what Python has no function of."""
    return ctypes.CDLL(None, use_errno=True)


def _fallocate(descriptor: int, offset: int, length: int) -> int:
    """Call the system; return the error number, 0 for none."""
    while True:
        done = libc().fallocate(descriptor, _KEEP_SIZE, ctypes.c_int64(offset), ctypes.c_int64(length))
        if done == 0:
            return 0
        if (number := ctypes.get_errno()) != errno.EINTR:
            return number
