"""What goes wrong on a file system: one table says what each error means, whether it heals, and what to do.

Every step that reads or writes a shared file system turns its ``OSError`` into one sentence here, so that a full disk,
a file server that is away and a missing right are the same to all of them.
"""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from srdp.domain.common.errors import ServiceUnavailable, SrdpError, quoted

_GO_ON: Final = "the step continues by itself"


class LocalFilesError(SrdpError):
    """The file system here refused; trying again ends the same way."""


class StorageUnavailable(LocalFilesError, ServiceUnavailable):
    """The file system here cannot serve now: it is full, away or not writable, or a file changed while it was read."""


class DiskFull(StorageUnavailable):
    """There is not enough space, or the quota is used up."""


class AccessDenied(StorageUnavailable):
    """The account that runs the workflows has not the right."""


@dataclass(frozen=True)
class Trouble:
    """A kind of trouble that goes away, by itself or when a person has done something.

    Attributes:
        kind: the error that it becomes.
        words: what is wrong, as the beginning of a sentence; empty if the system's own words say it.
        remedy: what to do, as a sentence.
    """

    kind: type[StorageUnavailable]
    words: str
    remedy: str


_FULL: Final = Trouble(DiskFull, "The disk is full: ", f"Free space: {_GO_ON}.")
_AWAY: Final = Trouble(StorageUnavailable, "", f"See whether the file server answers and is mounted: {_GO_ON}.")
_READ_ONLY: Final = Trouble(
    StorageUnavailable, "The file system is mounted read-only: ", f"Mount it so that it can be written: {_GO_ON}."
)
_RIGHTS: Final = Trouble(AccessDenied, "", f"Give this account the right: {_GO_ON}.")
_MACHINE: Final = Trouble(StorageUnavailable, "", f"The machine is short of something: {_GO_ON}.")

#: The errors that heal. Any other one, of a name that is too long, say, ends the same way again.
HEALING: Final[dict[int, Trouble]] = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), _FULL),
    **dict.fromkeys(
        (
            errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.ESHUTDOWN, errno.ETIMEDOUT, errno.EHOSTDOWN,
            errno.EHOSTUNREACH, errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET, errno.ECONNRESET,
            errno.ECONNREFUSED, errno.ECONNABORTED, errno.EPIPE, errno.EREMOTEIO, errno.ENOLINK, errno.ECOMM,
            errno.EPROTO, errno.ENODEV, errno.ENXIO, errno.ENOMEDIUM, errno.EBUSY, errno.EAGAIN, errno.EINTR,
            errno.ETXTBSY, errno.ENOLCK, errno.EDEADLK, errno.ECANCELED, errno.EUCLEAN,
        ),
        _AWAY,
    ),
    errno.EROFS: _READ_ONLY,
    # Also what a file server answers that has lost its accounts or tickets for a moment.
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.ENOKEY, errno.EKEYEXPIRED), _RIGHTS),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS), _MACHINE),
}  # fmt: skip


def heals(error: OSError) -> bool:
    """Whether nothing must be concluded from an error about what was to be looked at: away is not gone.

    A missing right to read one file is a mistake that a person must fix; it is not retried.
    """
    trouble = HEALING.get(error.errno or 0)
    return trouble is not None and trouble is not _RIGHTS


def raise_if_it_heals(error: OSError, place: Path) -> None:
    """Pass on an error that allows a conclusion.

    Args:
        error: the error.
        place: what was being looked at.

    Raises:
        StorageUnavailable: it heals.
    """
    if heals(error):
        raise storage_error(error, f"{place} could not be looked at") from None


def storage_error(error: OSError, action: str) -> LocalFilesError:
    """Return the error that says what the operating system refused; its class says whether a retry may help.

    Args:
        error: what the operating system reported. Of the many of a ``shutil.Error``, whose numbers are lost, the first
            is reported.
        action: what could not be done, as a clause, for example ``/area/x could not be written``.
    """
    trouble = HEALING.get(error.errno or 0)
    where = f" ({quoted(error.filename, 300)})" if error.filename and str(error.filename) not in action else ""
    message = f"{action}: {_message_of(error)}{where}."
    if trouble is None:
        return LocalFilesError(f"{message} Fix the cause and try again.")
    return trouble.kind(f"{trouble.words}{message} {trouble.remedy}")


def _message_of(error: OSError) -> str:
    if isinstance(error, shutil.Error) and error.args and isinstance(error.args[0], list) and error.args[0]:
        first, more = error.args[0][0], len(error.args[0]) - 1
        return f"{quoted(first[-1], 300)}, and {more} more" if more else quoted(first[-1], 300)
    return error.strerror or quoted(error, 300)


@contextmanager
def local_files(place: Path) -> Iterator[None]:
    """Turn what goes wrong on the file system here into one sentence.

    Args:
        place: the file or directory that is being read or written.

    Raises:
        StorageUnavailable: the operating system refused, and may not the next time; see :data:`HEALING`.
        LocalFilesError: the operating system refused.
    """
    try:
        yield
    except OSError as error:
        raise storage_error(error, f"{place} could not be finished") from None


def check_area(area: Path) -> None:
    """Check that an area is there and can be written, with an empty directory.

    Args:
        area: a root of run directories or records.

    Raises:
        StorageUnavailable: it is not there, or cannot be written now.
        LocalFilesError: it cannot be written.
    """
    check_there(area)
    try:
        with tempfile.TemporaryDirectory(prefix=".check-", dir=area):
            pass
    except OSError as error:
        raise storage_error(error, f"{area} could not be written") from None


def check_there(area: Path) -> None:
    """Check that an area is there: the content of one that is not mounted is not known.

    Raises:
        StorageUnavailable: it is not there.
    """
    try:
        is_there = area.is_dir()
    except OSError as error:
        raise storage_error(error, f"{area} could not be looked into") from None
    if not is_there:
        raise StorageUnavailable(
            f"{area} is not there: see whether its file system is mounted and the setting names the right place: "
            f"{_GO_ON}."
        )
