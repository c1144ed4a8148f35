"""Files in the spool area, which is the service's own: the owner of each is checked whenever it is used.

What is there decides whether CASA is started, what is believed of its end, and what goes into the archive. So every
path is resolved from the spool area, one folder after the other, without following a symbolic link; each folder, and
the file itself, must belong to this process's account and be writable by nobody else. What is not so is refused and
never believed. New folders and files get modes that no umask widens.

The standard library only: the processes that watch over CASA use it.
"""

from __future__ import annotations

import errno
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from srdp.domain.common.errors import quoted
from srdp.domain.files.storage import StorageUnavailable

_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# Not blocking: a named pipe would be waited for.
_FILE: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
#: Folders that CASA passes through, under whatever account it runs, on its way to the run's directory.
PASSED_THROUGH: Final = 0o711
#: Folders that nobody else may look into.
PRIVATE: Final = 0o700


class NotTheServicesOwn(StorageUnavailable):
    """Something in the spool area belongs to another account, or others can write it; it is not believed."""


@contextmanager
def spool_folder(area: Path, *names: str) -> Iterator[int]:
    """Open a folder of the spool area, for ``dir_fd``.

    Args:
        area: the spool area.
        names: the folders on the way to it, beginning with the run's; none for the area itself.

    Raises:
        FileNotFoundError: it is not there.
        NotTheServicesOwn: it or a folder on the way is not the service's own, or is a symbolic link.
        OSError: the operating system refused.
    """
    descriptor = os.open(area, _FOLDER)
    try:
        _check(descriptor, area)
        for place, name in _steps(area, names):
            descriptor = _entered(descriptor, place, name)
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def made_spool_folder(area: Path, *names: str, mode: int = PASSED_THROUGH) -> Iterator[int]:
    """Open a folder of the spool area, which is made if it is not there; the area itself is not made.

    Args:
        area: the spool area.
        names: the folders on the way to it, beginning with the run's.
        mode: the folder's mode; those on the way to it can be passed through.

    Raises:
        FileNotFoundError: there is no spool area.
        NotTheServicesOwn: see :func:`spool_folder`.
        OSError: the operating system refused.
    """
    descriptor = os.open(area, _FOLDER)
    try:
        _check(descriptor, area)
        for number, (place, name) in enumerate(_steps(area, names), 1):
            with suppress(FileExistsError):
                os.mkdir(name, PRIVATE, dir_fd=descriptor)
            descriptor = _entered(descriptor, place, name)
            wanted = mode if number == len(names) else PASSED_THROUGH
            found = stat.S_IMODE(os.fstat(descriptor).st_mode)
            if found & wanted != wanted:
                os.fchmod(descriptor, found | wanted)
        yield descriptor
    finally:
        os.close(descriptor)


def open_in_spool(folder: int, place: Path, flags: int, mode: int = 0o600) -> int:
    """Open a regular file that is the service's own.

    Args:
        folder: the descriptor of its folder, from :func:`spool_folder`.
        place: its path, whose last part is its name in the folder.
        flags: as for ``os.open``.
        mode: its mode if it is made.

    Returns:
        A descriptor.

    Raises:
        FileNotFoundError: it is not there.
        NotTheServicesOwn: it is a symbolic link or no regular file, belongs to somebody else, or others can write it.
        OSError: the operating system refused.
    """
    try:
        descriptor = os.open(place.name, flags | _FILE, mode & ~_WRITABLE_BY_OTHERS, dir_fd=folder)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO, errno.EISDIR}:
            raise _refused(place, "is no regular file") from None
        raise
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise _refused(place, "is no regular file")
        _check(descriptor, place)
        os.set_blocking(descriptor, True)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _steps(area: Path, names: tuple[str, ...]) -> Iterator[tuple[Path, str]]:
    place = area
    for name in names:
        place = place / name
        yield place, name


def _entered(parent: int, place: Path, name: str) -> int:
    """Return a descriptor of a folder inside another one, which is closed."""
    try:
        descriptor = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=parent)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENOTDIR}:
            raise _refused(place, "is a symbolic link, or no folder") from None
        raise
    try:
        _check(descriptor, place)
    except BaseException:
        os.close(descriptor)
        raise
    os.close(parent)
    return descriptor


def _check(descriptor: int, place: Path) -> None:
    found = os.fstat(descriptor)
    if found.st_uid != os.geteuid():
        raise _refused(place, f"belongs to {_account(found.st_uid)}")
    if found.st_mode & _WRITABLE_BY_OTHERS:
        raise _refused(place, f"can be written by others (mode {stat.S_IMODE(found.st_mode):04o})")


def _refused(place: Path, fault: str) -> NotTheServicesOwn:
    me = _account(os.geteuid())
    return NotTheServicesOwn(
        f"{quoted(place, 300)} {fault}, but what is in the spool area belongs to {me}, and nobody else may write "
        f"it; so it is not used. Find out who made it, then remove it, or give it back with chown {me} and chmod go-w: "
        "the step continues by itself."
    )


def _account(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"account {uid}"
