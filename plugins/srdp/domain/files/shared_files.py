"""The only way in which this project opens, makes and removes files that are where others can write.

A run's directory is shared with people and with a pipeline that runs what people gave it. Nothing there is what its
name says: a log may be a link to a file of secrets, a report a named pipe that nobody writes to, a manifest a sparse
file of 40 GB, a folder a link to another run. So every path is resolved as :mod:`srdp.domain.files.trusted_root` does;
only a regular file is opened, without waiting for anybody; what is read has a limit for its kind; and what was looked
at is what is read.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, NamedTuple

from srdp.domain.files.storage import StorageUnavailable
from srdp.domain.files.trusted_root import Root, UnsafeFile, explained, parent_of, shown

_BLOCK: Final = 1 << 20
# Not blocking: a named pipe would be waited for. No terminal becomes this process's own.
_FILE: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


@dataclass(frozen=True)
class FileKind:
    """What a file is to this project.

    Attributes:
        name: what people call it, with its article.
        largest_bytes: a larger one is refused, in bytes; None if the size is no sign of a fault: such a file is read
            in blocks and never held as a whole.
    """

    name: str
    largest_bytes: int | None = None


_MEGABYTE: Final = 1 << 20
PPR: Final = FileKind("the PPR", 8 * _MEGABYTE)
ANALYST_FILE: Final = FileKind("an analyst's file", 8 * _MEGABYTE)
QA_REPORT: Final = FileKind("the QA report", _MEGABYTE)
AQUA_REPORT: Final = FileKind("the AQUA report", 64 * _MEGABYTE)
MANIFEST: Final = FileKind("the manifest", 16 * _MEGABYTE)
FETCH_LOCK: Final = FileKind("the lock of a fetch")
CASA_LOG: Final = FileKind("CASA's log")
RAW_DATA: Final = FileKind("a file of raw data")
PRODUCT: Final = FileKind("a product")
SDM_TABLE: Final = FileKind("a table of the SDM", 32 * _MEGABYTE)
APPLY_LIST: Final = FileKind("an apply list", 16 * _MEGABYTE)


class FileIdentity(NamedTuple):
    """What distinguishes one file, as it was at one moment, from every other one.

    Attributes:
        device: the file system's number.
        inode: the file's number in it.
        size: its length, in bytes.
        mtime_ns: when it was written last, in nanoseconds since 1970.
    """

    device: int
    inode: int
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, found: os.stat_result) -> FileIdentity:
        """Return the identity of what was looked at."""
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


@dataclass(frozen=True)
class SharedFile:
    """A regular file that is open for reading.

    Attributes:
        path: where it was found.
        kind: what it is.
        descriptor: its descriptor; closed when the block of :func:`open_shared` ends.
        identity: what it was when it was opened.
    """

    path: Path
    kind: FileKind
    descriptor: int
    identity: FileIdentity

    def stream(self) -> IO[bytes]:
        """Return a buffered stream over the file, which leaves the descriptor open."""
        return os.fdopen(self.descriptor, "rb", closefd=False)

    def raw_stream(self) -> io.RawIOBase:
        """Return a stream over the file without a buffer of its own, which leaves the descriptor open."""
        return io.FileIO(self.descriptor, closefd=False)

    def blocks(self, size: int = _BLOCK) -> Iterator[bytes]:
        """Yield the content from the descriptor's position, in blocks of at most ``size`` bytes.

        Raises:
            LocalFilesError: the file cannot be read.
        """
        with explained(self.path):
            while block := os.read(self.descriptor, size):
                yield block

    def read_at(self, begin: int, size: int) -> bytes:
        """Return at most ``size`` bytes from a place on; fewer at the file's end.

        Raises:
            LocalFilesError: the file cannot be read.
        """
        content = bytearray()
        with explained(self.path):
            while len(content) < size and (block := os.pread(self.descriptor, size - len(content), begin)):
                content += block
                begin += len(block)
        return bytes(content)

    def check_unchanged(self) -> None:
        """Let a file pass that is still what it was when it was opened.

        Raises:
            StorageUnavailable: it was written meanwhile.
        """
        if FileIdentity.of(os.fstat(self.descriptor)) != self.identity:
            raise StorageUnavailable(f"{shown(self.path)} was being written while it was read: it is read again.")


@contextmanager
def open_shared(root: Root, path: Path, kind: FileKind, expected: FileIdentity | None = None) -> Iterator[SharedFile]:
    """Open a regular file for reading.

    Args:
        root: the folder that is trusted, for example a run's directory.
        path: the file, below the root.
        kind: what it is.
        expected: what it was when it was looked at.

    Raises:
        FileNotFoundError: it is not there.
        UnsafeFile: it is no regular file, larger than its kind may be, behind a symbolic link, or not below the root.
        StorageUnavailable: it is not the file that was looked at any more.
        LocalFilesError: the operating system refused.
    """
    with parent_of(root, path) as (parent, name), explained(path, kind.name):
        descriptor = os.open(name, os.O_RDONLY | _FILE, dir_fd=parent)
    try:
        found = os.fstat(descriptor)
        _check_regular(path, kind, found)
        if kind.largest_bytes is not None and found.st_size > kind.largest_bytes:
            raise UnsafeFile(
                f"{shown(path)} is larger than {kind.name} may be, {found.st_size} bytes of at most "
                f"{kind.largest_bytes}: see what it is, and put the right file there."
            )
        identity = FileIdentity.of(found)
        if expected is not None and identity != expected:
            raise StorageUnavailable(f"{shown(path)} changed after it was looked at: it is looked at again.")
        yield SharedFile(path, kind, descriptor, identity)
    finally:
        os.close(descriptor)


@contextmanager
def open_to_write(root: Path, path: Path, kind: FileKind, *, make: bool = True) -> Iterator[int]:
    """Open a file of this service's own for reading and writing; what it holds stays.

    Args:
        root: the folder that is trusted, for example a run's directory.
        path: the file, below the root; its folder must exist.
        kind: what it is.
        make: whether to make it if it is not there.

    Yields:
        Its descriptor.

    Raises:
        FileNotFoundError: it, or its folder, is not there.
        UnsafeFile: it is no regular file, has another name beside this one, or is behind a symbolic link or not
            below the root.
        LocalFilesError: the operating system refused.
    """
    flags = os.O_RDWR | _FILE | (os.O_CREAT if make else 0)
    with parent_of(root, path) as (parent, name), explained(path, kind.name, "written"):
        descriptor = os.open(name, flags, 0o644, dir_fd=parent)
    try:
        found = os.fstat(descriptor)
        _check_regular(path, kind, found)
        if found.st_nlink > 1:
            raise UnsafeFile(f"{shown(path)} is a hard link to a file elsewhere, which is not written: remove it.")
        yield descriptor
    finally:
        os.close(descriptor)


def remove_shared(root: Path, path: Path) -> None:
    """Remove a file, or a symbolic link itself, if it is there.

    Args:
        root: the folder that is trusted.
        path: the file, below the root.

    Raises:
        UnsafeFile: a folder on the way is a symbolic link, or the path is not below the root.
        LocalFilesError: the operating system refused.
    """
    with suppress(FileNotFoundError), parent_of(root, path) as (parent, name), explained(path, action="removed"):
        os.unlink(name, dir_fd=parent)


def read_shared(root: Path, path: Path, kind: FileKind, expected: FileIdentity | None = None) -> bytes:
    """Return the content of a file.

    Args:
        root: the folder that is trusted.
        path: the file, below the root.
        kind: what it is; of a kind with a limit.
        expected: what it was when it was looked at.

    Raises:
        FileNotFoundError: see :func:`open_shared`.
        UnsafeFile: likewise.
        StorageUnavailable: likewise, or it was written meanwhile.
        LocalFilesError: likewise.
    """
    with open_shared(root, path, kind, expected) as file:
        content = bytearray()
        for block in file.blocks():
            content += block
            if len(content) > file.identity.size:
                break
        file.check_unchanged()
        return bytes(content)


def _check_regular(path: Path, kind: FileKind, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise UnsafeFile(
            f"{shown(path)} is {_KINDS.get(stat.S_IFMT(found.st_mode), 'no regular file')}, which {kind.name} may "
            "not be: put the file itself there."
        )


_KINDS: Final = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
