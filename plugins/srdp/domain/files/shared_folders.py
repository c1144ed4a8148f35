"""What is in folders where others can write: looked at and listed without following a symbolic link."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from srdp.domain.files.storage import LocalFilesError
from srdp.domain.files.trusted_root import Root, UnsafeFile, explained, open_folder, parent_of, shown

# Each level holds a descriptor and a frame; of what CASA and the pipeline make, nothing is nested a tenth as deep.
_DEEPEST: Final = 200


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
    with open_folder(root, folder) as place, explained(folder, action="written"), _for_reading(place) as descriptor:
        os.fsync(descriptor)


def look_at(root: Root, path: Path) -> os.stat_result | None:
    """Return what the operating system knows of a path; of a symbolic link, what it knows of the link.

    Args:
        root: the folder that is trusted.
        path: what is looked at: the root itself, or something below it.

    Returns:
        None if nothing is there.

    Raises:
        UnsafeFile: a folder on the way is a symbolic link, or the path is not below the root.
        LocalFilesError: the operating system refused; away is not gone.
    """
    try:
        if path == root:
            with explained(path):
                return path.lstat()
        with parent_of(root, path) as (parent, name), explained(path):
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
        UnsafeFile: a folder on the way is a symbolic link, or the path is not below the root.
        LocalFilesError: it is none, or the operating system refused.
    """
    with parent_of(root, path) as (parent, name), explained(path):
        return os.readlink(name, dir_fd=parent)


def list_shared(root: Path, folder: Path, pattern: str = "*") -> list[Path]:
    """Return what is in a folder and has a name of a shell pattern, sorted, of every kind; none if it is not there.

    Args:
        root: the folder that is trusted.
        folder: the folder: the root itself, or one below it.
        pattern: the pattern, without a slash. A leading dot is matched like any other character.

    Raises:
        UnsafeFile: the folder, or one on the way to it, is a symbolic link, or it is not below the root.
        LocalFilesError: the operating system refused; away is not gone.
    """
    try:
        with open_folder(root, folder) as descriptor, explained(folder), _for_reading(descriptor) as readable:
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

    with explained(folder):
        for place, folders, files, descriptor in os.fwalk(".", dir_fd=top, onerror=fail):
            folders.sort()
            here = folder / place
            if place.count("/") > _DEEPEST:
                if not unreadable:
                    raise UnsafeFile(f"{shown(here)} is nested deeper than {_DEEPEST} folders: remove it by hand.")
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
def _for_reading(descriptor: int) -> Iterator[int]:
    """Open the folder of an ``O_PATH`` descriptor so that its entries can be read."""
    readable = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=descriptor)
    try:
        yield readable
    finally:
        os.close(readable)
