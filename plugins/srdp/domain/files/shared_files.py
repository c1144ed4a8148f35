"""The only way in which this project opens, looks at, lists, makes and removes what is where others can write.

A run's directory is shared with people and with a pipeline that runs what people gave it. Nothing there is what its
name says: a log may be a link to a file of secrets, a report a named pipe that nobody writes to, a manifest a sparse
file of 40 GB, a folder a link to another run. So every path is resolved one component after the other, each relative
to the descriptor of the one before, without following a symbolic link; only a regular file is opened, without waiting
for anybody; what is read has a limit for its kind; and what was looked at is what is read.

The root that a path is below is trusted (an area of the settings and the run's name in it), what is below is not.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Final, NamedTuple

from srdp.domain.common.errors import InvalidInput, quoted
from srdp.domain.files.storage import LocalFilesError, StorageUnavailable, storage_error

_BLOCK: Final = 1 << 20
# Each level holds a descriptor and a frame; of what CASA and the pipeline make, nothing is nested a tenth as deep.
_DEEPEST: Final = 200
_FOLDER: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Not blocking: a named pipe would be waited for. No terminal becomes this process's own.
_FILE: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class UnsafeFile(InvalidInput):
    """Something has the name of a file or folder and is not what may be opened: a link, a named pipe, far too large."""


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
        """Yield the content from where the descriptor stands, in blocks of at most ``size`` bytes.

        Raises:
            LocalFilesError: the file cannot be read.
        """
        with _explained(self.path):
            while block := os.read(self.descriptor, size):
                yield block

    def read_at(self, begin: int, size: int) -> bytes:
        """Return at most ``size`` bytes from a place on; fewer at the file's end.

        Raises:
            LocalFilesError: the file cannot be read.
        """
        content = bytearray()
        with _explained(self.path):
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
            raise StorageUnavailable(f"{_shown(self.path)} was being written while it was read: it is read again.")


class OpenRoot:
    """A folder that is trusted, below which many files are opened one after the other.

    The folders on the way to the last file stay open until it is left, so that the way to the next one is gone from
    where the two part. It takes the place of the root in the functions here, and is for one thread alone.

    Args:
        root: the folder.
        make: whether to make the folders below it that are not there.
    """

    def __init__(self, root: Path, *, make: bool = False) -> None:
        self.root = root
        self._make = make
        self._action = "written" if make else "read"
        self._path: Path | None = None
        self._folders: list[str] = []
        self._descriptors: list[int] = []

    def __enter__(self) -> OpenRoot:
        """Begin; the folder itself is opened when the first path is asked for."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close every folder."""
        while self._descriptors:
            os.close(self._descriptors.pop())

    def parent_of(self, path: Path) -> tuple[int, str]:
        """Return a descriptor of the folder that a path is in, and the path's last name.

        Args:
            path: a path below the root.

        Returns:
            The descriptor, for ``dir_fd``, which stays open until another path is asked for.

        Raises:
            FileNotFoundError: the root, or a folder on the way, is not there.
            UnsafeFile: one is a symbolic link, or the path does not be below the root.
            LocalFilesError: the operating system refused.
        """
        if path is self._path:
            return self._descriptors[-1], path.name
        self._path = None
        *folders, name = _below(self.root, path)
        if not self._descriptors:
            with _explained(self.root, action=self._action):
                self._descriptors.append(os.open(self.root, _FOLDER))
        kept = 0
        while kept < min(len(folders), len(self._folders)) and folders[kept] == self._folders[kept]:
            kept += 1
        while len(self._folders) > kept:
            self._folders.pop()
            os.close(self._descriptors.pop())
        for folder in folders[kept:]:
            self._open(folder)
        self._path = path
        return self._descriptors[-1], name

    def _open(self, folder: str) -> None:
        place = self.root.joinpath(*self._folders, folder)
        with _explained(place, action=self._action):
            if self._make:
                with suppress(FileExistsError):
                    os.mkdir(folder, dir_fd=self._descriptors[-1])
            self._descriptors.append(os.open(folder, _FOLDER, dir_fd=self._descriptors[-1]))
        self._folders.append(folder)


#: The folder that is trusted: its path, or the folder itself if much of what is below it is opened.
Root = Path | OpenRoot


@contextmanager
def open_folder(root: Path, folder: Path) -> Iterator[int]:
    """Open a folder, without following a symbolic link on the way from its root.

    Args:
        root: the folder that is trusted.
        folder: the folder: the root itself, or one below it.

    Yields:
        A descriptor of the folder, for ``dir_fd``; not for reading its entries.

    Raises:
        FileNotFoundError: it is not there.
        UnsafeFile: it, or a folder on the way to it, is a symbolic link, or it does not be below the root.
        LocalFilesError: the operating system refused.
    """
    with _parent_of(root, folder / "_") as (descriptor, _):
        yield descriptor


@contextmanager
def made_folder(root: Path, folder: Path) -> Iterator[int]:
    """Open a folder as :func:`open_folder` does, and make it, and those on the way to it, if they are not there.

    Args:
        root: the folder that is trusted; it is not made.
        folder: the folder, below the root.

    Yields:
        A descriptor of the folder, for ``dir_fd``; not for reading its entries.

    Raises:
        FileNotFoundError: the root is not there.
        UnsafeFile: see :func:`open_folder`.
        LocalFilesError: the operating system refused, or something else than a folder has its name.
    """
    with _parent_of(root, folder / "_", make=True) as (descriptor, _):
        yield descriptor


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
    with _parent_of(root, path) as (parent, name), _explained(path, kind):
        descriptor = os.open(name, os.O_RDONLY | _FILE, dir_fd=parent)
    try:
        found = os.fstat(descriptor)
        _check_regular(path, kind, found)
        if kind.largest_bytes is not None and found.st_size > kind.largest_bytes:
            raise UnsafeFile(
                f"{_shown(path)} is larger than {kind.name} may be, {found.st_size} bytes of at most "
                f"{kind.largest_bytes}: see what it is, and put the right file there."
            )
        identity = FileIdentity.of(found)
        if expected is not None and identity != expected:
            raise StorageUnavailable(f"{_shown(path)} changed after it was looked at: it is looked at again.")
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
    with _parent_of(root, path) as (parent, name), _explained(path, kind, "written"):
        descriptor = os.open(name, flags, 0o644, dir_fd=parent)
    try:
        found = os.fstat(descriptor)
        _check_regular(path, kind, found)
        if found.st_nlink > 1:
            raise UnsafeFile(f"{_shown(path)} is a hard link to a file elsewhere, which is not written: remove it.")
        yield descriptor
    finally:
        os.close(descriptor)


def remove_shared(root: Path, path: Path) -> None:
    """Remove a file, or a symbolic link itself, if it is there.

    Args:
        root: the folder that is trusted.
        path: the file, below the root.

    Raises:
        UnsafeFile: a folder on the way is a symbolic link, or the path does not be below the root.
        LocalFilesError: the operating system refused.
    """
    with suppress(FileNotFoundError), _parent_of(root, path) as (parent, name), _explained(path, action="removed"):
        os.unlink(name, dir_fd=parent)


def sync_folder(root: Path, folder: Path) -> None:
    """Make the names in a folder survive a crash of the machine.

    Args:
        root: the folder that is trusted.
        folder: the folder: the root itself, or one below it.

    Raises:
        FileNotFoundError: it is not there.
        UnsafeFile: see :func:`open_folder`.
        LocalFilesError: the operating system refused.
    """
    with open_folder(root, folder) as place, _explained(folder, action="written"), _for_reading(place) as descriptor:
        os.fsync(descriptor)


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


def look_at(root: Root, path: Path) -> os.stat_result | None:
    """Return what the operating system knows of a path; of a symbolic link, what it knows of the link.

    Args:
        root: the folder that is trusted.
        path: what is looked at: the root itself, or something below it.

    Returns:
        None if nothing is there.

    Raises:
        UnsafeFile: a folder on the way is a symbolic link, or the path does not be below the root.
        LocalFilesError: the operating system refused; away is not gone.
    """
    try:
        if path == root:
            with _explained(path):
                return path.lstat()
        with _parent_of(root, path) as (parent, name), _explained(path):
            return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None


def has_content(root: Path, path: Path) -> bool:
    """Whether a path is a regular file with something in it; see :func:`look_at`."""
    found = look_at(root, path)
    return found is not None and stat.S_ISREG(found.st_mode) and found.st_size > 0


def is_folder(root: Path, path: Path) -> bool:
    """Whether a path is a folder, and no symbolic link to one; see :func:`look_at`."""
    found = look_at(root, path)
    return found is not None and stat.S_ISDIR(found.st_mode)


def link_target(root: Root, path: Path) -> str:
    """Return what a symbolic link leads to, as it is written in it.

    Args:
        root: the folder that is trusted.
        path: the link, below the root.

    Raises:
        FileNotFoundError: it is not there.
        UnsafeFile: a folder on the way is a symbolic link, or the path does not be below the root.
        LocalFilesError: it is none, or the operating system refused.
    """
    with _parent_of(root, path) as (parent, name), _explained(path):
        return os.readlink(name, dir_fd=parent)


def list_shared(root: Path, folder: Path, pattern: str = "*") -> list[Path]:
    """Return what is in a folder and has a name of a shell pattern, sorted, of every kind; none if it is not there.

    Args:
        root: the folder that is trusted.
        folder: the folder: the root itself, or one below it.
        pattern: the pattern, without a slash. A leading dot is matched like any other character.

    Raises:
        UnsafeFile: the folder, or one on the way to it, is a symbolic link, or it does not be below the root.
        LocalFilesError: the operating system refused; away is not gone.
    """
    try:
        with open_folder(root, folder) as descriptor, _explained(folder), _for_reading(descriptor) as readable:
            names = os.listdir(readable)  # noqa: PTH208  by its descriptor
    except FileNotFoundError:
        return []
    return [folder / name for name in sorted(names) if fnmatchcase(name, pattern)]


def walk_shared(root: Path, folder: Path, *, unreadable: bool = False) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield everything below a folder, sorted in each folder, of every kind; nothing if the folder is not there.

    A symbolic link is yielded as what it is and not followed. What is removed meanwhile is left out.

    Args:
        root: the folder that is trusted.
        folder: the folder: the root itself, or one below it.
        unreadable: whether to leave out what cannot be looked into, for example to count or to list what is there.

    Raises:
        UnsafeFile: see :func:`list_shared`; or folders are nested deeper than any program nests them.
        LocalFilesError: see :func:`list_shared`.
    """
    try:
        with open_folder(root, folder) as top:
            yield from _walked(folder, top, unreadable=unreadable)
    except FileNotFoundError:
        return
    except (UnsafeFile, LocalFilesError):
        if not unreadable:
            raise


def _walked(folder: Path, top: int, *, unreadable: bool) -> Iterator[tuple[Path, os.stat_result]]:
    def fail(error: OSError) -> None:
        if not (unreadable or isinstance(error, FileNotFoundError)):
            raise error

    with _explained(folder):
        for place, folders, files, descriptor in os.fwalk(".", dir_fd=top, onerror=fail):
            folders.sort()
            here = folder / place
            if place.count("/") > _DEEPEST:
                if not unreadable:
                    raise UnsafeFile(f"{_shown(here)} is nested deeper than {_DEEPEST} folders: remove it by hand.")
                folders.clear()
                continue
            for name in sorted((*folders, *files)):
                try:
                    found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                except OSError as error:
                    fail(error)
                    continue
                yield here / name, found


@contextmanager
def _parent_of(root: Root, path: Path, *, make: bool = False) -> Iterator[tuple[int, str]]:
    """Open the folder that a path is in, and give its last name."""
    if isinstance(root, OpenRoot):
        yield root.parent_of(path)
        return
    with OpenRoot(root, make=make) as opened:
        yield opened.parent_of(path)


def _below(root: Path, path: Path) -> tuple[str, ...]:
    parts, top = path.parts, root.parts
    below = parts[len(top) :]
    if parts[: len(top)] != top or not below or ".." in below or "\0" in str(path):
        raise UnsafeFile(f"{_shown(path)} is no path below {_shown(root)}: give one that is.")
    return below


@contextmanager
def _for_reading(descriptor: int) -> Iterator[int]:
    """Open the folder of an ``O_PATH`` descriptor so that its entries can be read."""
    readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=descriptor)
    try:
        yield readable
    finally:
        os.close(readable)


def _check_regular(path: Path, kind: FileKind, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise UnsafeFile(
            f"{_shown(path)} is {_KINDS.get(stat.S_IFMT(found.st_mode), 'no regular file')}, which {kind.name} may "
            "not be: put the file itself there."
        )


@contextmanager
def _explained(path: Path, kind: FileKind | None = None, action: str = "read") -> Iterator[None]:
    """Turn what the operating system says into one sentence; what is not there stays a ``FileNotFoundError``."""
    what = kind.name if kind else "it"
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        is_no_folder = error.errno == errno.ENOTDIR  # what a symbolic link in a folder's place is refused with, too
        if error.errno == errno.ELOOP or (is_no_folder and path.is_symlink()):
            raise UnsafeFile(_is_a_link(path, what)) from None
        if is_no_folder and action == "read":
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from None
        if error.errno in {errno.ENXIO, errno.EISDIR} and kind:  # a socket; a device without a driver
            raise UnsafeFile(f"{_shown(path)} is no regular file: put {what} itself there.") from None
        raise storage_error(error, f"{_shown(path)} could not be {action}") from None


def _is_a_link(path: Path, what: str) -> str:
    return f"{_shown(path)} is a symbolic link, which is not followed: put {what} itself there."


def _shown(path: Path) -> str:
    return quoted(path, 300)


_KINDS: Final = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
