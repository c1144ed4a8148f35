"""Copying a directory tree and comparing two of them, without following a symbolic link on either side."""

from __future__ import annotations

import errno
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from srdp.domain.common.errors import IntegrityError, Refused, quoted
from srdp.domain.files.leftovers import is_kept_by_nfs
from srdp.domain.files.shared_files import FileIdentity, FileKind, open_shared, open_to_write
from srdp.domain.files.shared_folders import link_target, sync_folder, walk_shared
from srdp.domain.files.trusted_root import OpenRoot, made_folder, open_folder

_ANY_FILE: Final = FileKind("a file of the directory")


def copy_tree(source: Path, target: Path, *, without: str = "") -> None:
    """Copy what a directory holds into another one: names, bytes, links as such, modes and times.

    No copy of a file runs as its owner or group. What NFS keeps of a file that was removed is left out. The first error
    ends it.

    Args:
        source: the directory.
        target: the other one, which is there and holds nothing of these names.
        without: what is not copied, by its name in the source itself.

    Raises:
        Refused: something is neither a file, a directory nor a symbolic link.
        FileNotFoundError: the source is not there.
        UnsafeFile: a directory became a symbolic link.
        StorageUnavailable: a file was written while it was copied.
        LocalFilesError: the operating system refused.
    """
    folders = [source]
    with OpenRoot(source) as reading, OpenRoot(target, make=True) as writing:
        for path, found in walk_shared(source, source):
            place = target / path.relative_to(source)
            if path == source / without or is_kept_by_nfs(path.name):
                continue
            if stat.S_ISDIR(found.st_mode):
                with made_folder(target, place):
                    folders.append(path)
            elif stat.S_ISLNK(found.st_mode):
                folder, name = writing.parent_of(place)
                os.symlink(link_target(reading, path), name, dir_fd=folder)
                os.utime(name, ns=(found.st_atime_ns, found.st_mtime_ns), dir_fd=folder, follow_symlinks=False)
            elif stat.S_ISREG(found.st_mode):
                _copy_file(reading, path, FileIdentity.of(found), target, place)
            else:
                raise Refused(
                    f"{quoted(path, 300)} is neither a file, a directory nor a link: remove it and try again."
                )
    # The last first: a directory's own times change with what is put into it.
    for path in reversed(folders):
        with open_folder(source, path) as mine, open_folder(target, target / path.relative_to(source)) as copied:
            _copy_status(mine, copied)


def _copy_file(reading: OpenRoot, path: Path, seen: FileIdentity, target: Path, place: Path) -> None:
    with open_shared(reading, path, _ANY_FILE, seen) as file, open_to_write(target, place, _ANY_FILE) as descriptor:
        for block in file.blocks():
            left = memoryview(block)
            while left:
                left = left[os.write(descriptor, left) :]
        file.check_unchanged()
        _copy_status(file.descriptor, descriptor)
        os.fsync(descriptor)


def _copy_status(source: int, target: int) -> None:
    """Copy modes, times and extended attributes from one descriptor to another.

    The copy of a file belongs to this process's account, not to the file's owner: it never runs as its owner or group.
    """
    found = os.fstat(source)
    here, there = f"/proc/self/fd/{source}", f"/proc/self/fd/{target}"  # folders' descriptors have no rights themselves
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISDIR(found.st_mode):
        mode &= ~(stat.S_ISUID | stat.S_ISGID)
    os.utime(there, ns=(found.st_atime_ns, found.st_mtime_ns))
    with _if_allowed():
        # What the machine's policy says of a file is not its owner's to pass on.
        for name in (name for name in os.listxattr(here) if not name.startswith("security.")):
            with _if_allowed():
                os.setxattr(there, name, os.getxattr(here, name))
    os.chmod(there, mode)  # noqa: PTH101


@contextmanager
def _if_allowed() -> Iterator[None]:
    """Let extended attributes be that a file system does not have."""
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.ENODATA, errno.EINVAL}:
            raise


def compare_trees(one: Path, other: Path) -> None:
    """Make sure that two directories hold the same names, kinds, sizes, bytes and link targets.

    Args:
        one: a directory.
        other: the other one.

    Raises:
        IntegrityError: they differ; the sentence names the first difference.
        UnsafeFile: a directory became a symbolic link.
        LocalFilesError: the operating system refused.
    """
    mine, theirs = dict(_entries(one)), dict(_entries(other))
    for name in sorted(mine.keys() ^ theirs.keys()):
        lacking = other if name in mine else one
        raise IntegrityError(f"{_named(lacking / name)} is missing: {one} and {other} are not the same. Both are kept.")
    with OpenRoot(one) as first, OpenRoot(other) as second:
        for name, description in sorted(mine.items()):
            if theirs[name] != description or (
                stat.S_ISREG(description[0]) and checksum(first, one / name) != checksum(second, other / name)
            ):
                raise IntegrityError(
                    f"{_named(other / name)} differs from {_named(one / name)}: both are kept; find out which is right."
                )


def _named(path: Path) -> str:
    return quoted(path, 600)[1:-1]


def _entries(root: Path) -> Iterator[tuple[Path, tuple[int, int, str]]]:
    with OpenRoot(root) as opened:
        for path, found in walk_shared(root, root):
            if is_kept_by_nfs(path.name) and not stat.S_ISDIR(found.st_mode):
                continue
            kind = stat.S_IFMT(found.st_mode)
            size = found.st_size if stat.S_ISREG(kind) else 0
            yield path.relative_to(root), (kind, size, link_target(opened, path) if stat.S_ISLNK(kind) else "")


def checksum(root: Path | OpenRoot, path: Path) -> int:
    """Return the CRC-32 of a file.

    Args:
        root: the folder that is trusted.
        path: the file, below the root.

    Raises:
        FileNotFoundError: it is not there.
        UnsafeFile: it is no regular file, or is behind a symbolic link.
        LocalFilesError: the operating system refused.
    """
    value = 0
    with open_shared(root, path, _ANY_FILE) as file:
        for block in file.blocks():
            value = zlib.crc32(block, value)
    return value


def sync_tree(root: Path) -> None:
    """Have the names in a directory, and in every one below it, written to the disk.

    Args:
        root: the directory.

    Raises:
        UnsafeFile: a directory became a symbolic link.
        LocalFilesError: the operating system refused.
    """
    for folder in [root, *(path for path, found in walk_shared(root, root) if stat.S_ISDIR(found.st_mode))]:
        sync_folder(root, folder)
