"""The path from a trusted folder to what is below it, where others can write.

A path is resolved one component after the other, each relative to the descriptor of the one before, without following
a symbolic link. The root that a path is below is trusted (an area of the settings and the run's name in it), what
is below is not.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from srdp.domain.common.errors import InvalidInput, quoted
from srdp.domain.files.storage import storage_error

_FOLDER: Final = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class UnsafeFile(InvalidInput):
    """Something has the name of a file or folder and is not what may be opened: a link, a named pipe, far too large."""


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
            UnsafeFile: one is a symbolic link, or the path is not below the root.
            LocalFilesError: the operating system refused.
        """
        if path is self._path:
            return self._descriptors[-1], path.name
        self._path = None
        *folders, name = _below(self.root, path)
        if not self._descriptors:
            with explained(self.root, action=self._action):
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
        with explained(place, action=self._action):
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
        UnsafeFile: it, or a folder on the way to it, is a symbolic link, or it is not below the root.
        LocalFilesError: the operating system refused.
    """
    with parent_of(root, folder / "_") as (descriptor, _):
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
    with parent_of(root, folder / "_", make=True) as (descriptor, _):
        yield descriptor


@contextmanager
def parent_of(root: Root, path: Path, *, make: bool = False) -> Iterator[tuple[int, str]]:
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
        raise UnsafeFile(f"{shown(path)} is no path below {shown(root)}: give one that is.")
    return below


@contextmanager
def explained(path: Path, what: str = "", action: str = "read") -> Iterator[None]:
    """Turn an error of the operating system into one sentence; a missing file stays a ``FileNotFoundError``."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        is_no_folder = error.errno == errno.ENOTDIR  # what a symbolic link in a folder's place is refused with, too
        if error.errno == errno.ELOOP or (is_no_folder and path.is_symlink()):
            raise UnsafeFile(_is_a_link(path, what or "it")) from None
        if is_no_folder and action == "read":
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from None
        if error.errno in {errno.ENXIO, errno.EISDIR} and what:  # a socket; a device without a driver
            raise UnsafeFile(f"{shown(path)} is no regular file: put {what} itself there.") from None
        raise storage_error(error, f"{shown(path)} could not be {action}") from None


def _is_a_link(path: Path, what: str) -> str:
    return f"{shown(path)} is a symbolic link, which is not followed: put {what} itself there."


def shown(path: Path) -> str:
    """Return a path as it is written in a sentence."""
    return quoted(path, 300)
