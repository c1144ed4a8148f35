"""A run's raw data after the fetch: compared with what was recorded, and hard-linked into the directory of a rerun.

A rerun's ``rawdata/`` names the same files as that of the run before it: no byte is fetched or copied. Whoever wrote
into one would change both, so the files are read-only and are compared again when CASA has ended.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
import stat
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from srdp.domain.errors import IntegrityError, InvalidInput, SrdpError, quoted
from srdp.domain.fetch import filled_by_one, sync_directories
from srdp.domain.fetch_file import local_failures
from srdp.domain.ledger_records import FetchedFile
from srdp.domain.locator_report import UNFINISHED, raw_data_path
from srdp.domain.pipeline_run import RunDirectory
from srdp.domain.storage import DiskFull, heals, local_files

_LOGGER = logging.getLogger(__name__)
_BLOCK: Final = 1 << 20
_READ_ONLY: Final = 0o444
_WRITABLE: Final = 0o222
_ON_ITS_WAY: Final = "copy"
#: Another file system, too many links to a file, no links on this one, or none to what belongs to somebody else.
_LINK_IMPOSSIBLE: Final = frozenset({errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EROFS, errno.ENOTSUP, errno.ENOSYS})
_SHOWN: Final = 3


class RawDataUnusable(SrdpError):
    """The raw data of a former run cannot serve a new one: they are fetched anew."""


@dataclass(frozen=True)
class LinkedRawData:
    """Raw data that a run has from a former one.

    Attributes:
        files: all files, as they lie in the new run.
        copied: how many of them are copies, because they could not be linked.
    """

    files: tuple[FetchedFile, ...]
    copied: int


def raw_data_differences(directory: RunDirectory, files: Iterable[FetchedFile]) -> tuple[str, ...]:
    """Compares raw data with what was recorded of them, by size and time of modification; reads no byte.

    Args:
        directory: the run's directory.
        files: what was recorded. A time that was not recorded is not compared.

    Returns:
        A sentence for each file that is not what it was; none if all are.

    Raises:
        StorageUnavailable: a file cannot be looked at now.
    """
    with local_files(directory.rawdata):
        return tuple(
            f"{quoted(file.path, 200)} in rawdata/ {difference}."
            for file in files
            if (difference := _difference(directory.rawdata, file)) is not None
        )


def check_raw_data(former: RunDirectory, files: Sequence[FetchedFile]) -> None:
    """Lets the raw data of a former run pass that a new one can be given; reads no byte.

    Args:
        former: the former run's directory, from where it lies now.
        files: what was recorded of its raw data: all of it.

    Raises:
        RawDataUnusable: nothing was recorded, or a file is missing or is not what was recorded.
    """
    if not files:
        raise _unusable(former.rawdata, "no complete fetch of them is recorded.")
    if any(file.mtime_ns is None for file in files):
        raise _unusable(former.rawdata, "it was not recorded when the files were last modified.")
    differences = raw_data_differences(former, files)
    if differences:
        more = f" And {len(differences) - _SHOWN} more." if len(differences) > _SHOWN else ""
        raise _unusable(former.rawdata, " ".join(differences[:_SHOWN]) + more)


def link_raw_data(
    former: RunDirectory,
    new: RunDirectory,
    files: Sequence[FetchedFile],
    *,
    spare_bytes: int = 0,
    check: Callable[[], None] = lambda: None,
) -> LinkedRawData:
    """Gives a new run the raw data of a former one, by hard links; by copies where links are impossible.

    The files become read-only, in the former run too: they are the same files. Their times of modification stay. A
    copy is made under a hidden name, and its checksum compared. Killed anywhere, the next call completes what is
    there.

    Args:
        former: the former run's directory, from where it lies now. It may vanish meanwhile.
        new: the new run's directory, which must exist.
        files: what was recorded of the former run's raw data: all of it.
        spare_bytes: how much space must be left on the file system after a copy.
        check: called often; what it raises ends the call.

    Returns:
        The new run's files.

    Raises:
        RawDataUnusable: a file is missing or is not what was recorded; what was linked by then stays, for the fetch to
            look at.
        ServiceUnavailable: another process is filling this directory.
        DiskFull: there is not enough space for a copy.
        SrdpError: the file system refused; the sentence says what.
    """
    with local_failures(new.rawdata), filled_by_one(new.rawdata):
        check_raw_data(former, files)
        done = [_Transfer(former.rawdata, new.rawdata, file, spare_bytes, check).run() for file in files]
        linked = LinkedRawData(tuple(file for file, _ in done), sum(is_copy for _, is_copy in done))
        sync_directories(new.rawdata, linked.files)
    shutil.rmtree(new.rawdata / UNFINISHED, ignore_errors=True)
    return linked


def _unusable(rawdata: Path, why: str) -> RawDataUnusable:
    return RawDataUnusable(f"The raw data in {rawdata} cannot be used again: {why}")


def _difference(rawdata: Path, file: FetchedFile) -> str | None:
    """What is wrong with a file, as a sentence goes on behind its name."""
    try:
        path = rawdata / raw_data_path(file.path)
        # Not only the file: a folder that is a symbolic link leads out as well.
        for folder in (rawdata, *(rawdata / parent for parent in path.relative_to(rawdata).parents)):
            if not stat.S_ISDIR(folder.lstat().st_mode):
                return f"cannot be used, because {folder} is not a folder"
        return _difference_of(path.lstat(), file)
    except FileNotFoundError:
        return "is missing"
    except InvalidInput:
        return "is not the path of a raw file"
    except OSError as error:
        if heals(error):
            raise
        return f"cannot be looked at ({error.strerror})"


def _difference_of(found: os.stat_result, file: FetchedFile) -> str | None:
    if not stat.S_ISREG(found.st_mode):
        return "is not a regular file"
    if found.st_size != file.size_bytes:
        return f"has {found.st_size} bytes, but {file.size_bytes} were recorded when it was fetched"
    if file.mtime_ns is not None and found.st_mtime_ns != file.mtime_ns:
        return "was modified after it was fetched"
    return None


class _Transfer:
    """One file's way from the former run into the new one.

    Args:
        former: the former run's ``rawdata/``.
        new: the new run's.
        file: what was recorded of the file.
        spare_bytes: see :func:`link_raw_data`.
        check: likewise.
    """

    def __init__(self, former: Path, new: Path, file: FetchedFile, spare_bytes: int, check: Callable[[], None]) -> None:
        self._rawdata = former
        self._file = file
        self._source = former / raw_data_path(file.path)
        self._target = new / raw_data_path(file.path)
        self._hidden = new / UNFINISHED / _ON_ITS_WAY
        self._spare_bytes = spare_bytes
        self._check = check

    def run(self) -> tuple[FetchedFile, bool]:
        """Returns the file in the new run, and whether it is a copy."""
        self._check()
        with self._opened() as (source, found):
            self._target.parent.mkdir(parents=True, exist_ok=True)
            is_copy = self._transfer(source, found)
        return replace(self._file, mtime_ns=self._target.lstat().st_mtime_ns), is_copy

    def _transfer(self, source: int, found: os.stat_result) -> bool:
        """Puts the file in its place unless it is there; returns whether it is a copy."""
        if self._is_linked(found):
            return False
        if self._is_copied():
            return True
        if self._link(source, found):
            return False
        self._copy(source)
        return True

    @contextmanager
    def _opened(self) -> Iterator[tuple[int, os.stat_result]]:
        with self._of_former():
            source = os.open(self._source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            found = os.fstat(source)
            if difference := _difference_of(found, self._file):
                raise _unusable(self._rawdata, f"{quoted(self._file.path, 200)} {difference}.")
            yield source, found
        finally:
            os.close(source)

    @contextmanager
    def _of_former(self) -> Iterator[None]:
        """What the former run's directory refuses is no failure: it may be removed at this moment."""
        try:
            yield
        except OSError as error:
            raise _unusable(self._rawdata, f"{quoted(self._file.path, 200)}: {error.strerror}.") from None

    def _is_linked(self, source: os.stat_result) -> bool:
        try:
            found = self._target.lstat()
        except FileNotFoundError:
            return False
        if not stat.S_ISREG(found.st_mode):
            raise IntegrityError(
                f"{self._target} is not a regular file, but a raw file belongs there: somebody put it there, move it "
                "away and start again."
            )
        if not os.path.samestat(found, source):
            return False
        if found.st_mode & _WRITABLE:
            self._target.chmod(_READ_ONLY)
        return True

    def _is_copied(self) -> bool:
        """Whether an earlier call, or a fetch that was given up, has put the right bytes there; others are removed."""
        if not self._target.exists():
            return False
        with self._target.open("rb", buffering=0) as stream:
            checksum = 0
            for block in self._blocks(stream.fileno()):
                checksum = zlib.crc32(block, checksum)
            if checksum == self._file.crc32 and os.fstat(stream.fileno()).st_size == self._file.size_bytes:
                os.fchmod(stream.fileno(), _READ_ONLY)
                return True
        self._target.unlink()
        return False

    def _link(self, source: int, found: os.stat_result) -> bool:
        """Links the file; returns False where links are impossible."""
        try:
            # Not after the link: killed in between, the new run would have a file that CASA may write.
            if found.st_mode & _WRITABLE:
                os.fchmod(source, _READ_ONLY)
            os.link(self._source, self._target, follow_symlinks=False)
        except FileNotFoundError:
            raise _unusable(self._rawdata, f"{quoted(self._file.path, 200)} was removed meanwhile.") from None
        except OSError as error:
            if error.errno not in _LINK_IMPOSSIBLE:
                raise
            _LOGGER.info("%s cannot be linked (%s) and is copied", self._source, error.strerror)
            return False
        if not os.path.samestat(self._target.lstat(), found):
            self._target.unlink()
            raise _unusable(self._rawdata, f"{quoted(self._file.path, 200)} was replaced meanwhile.")
        return True

    def _copy(self, source: int) -> None:
        free = shutil.disk_usage(self._target.parent).free
        if self._file.size_bytes + self._spare_bytes > free:
            raise DiskFull(
                f"{self._target.parent} has {free / 1e9:.3f} GB free, but {self._file.size_bytes / 1e9:.3f} GB are to "
                f"be copied and {self._spare_bytes / 1e9:.3f} GB must stay free (SRDP_FETCH_SPARE_GB): free space, "
                "the fetch goes on by itself."
            )
        self._hidden.unlink(missing_ok=True)
        hidden = os.open(self._hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            checksum, modified = 0, os.fstat(source).st_mtime_ns
            for block in self._blocks(source):
                checksum = zlib.crc32(block, checksum)
                view = memoryview(block)
                while view:
                    view = view[os.write(hidden, view) :]
            if checksum != self._file.crc32:
                raise _unusable(
                    self._rawdata, f"{quoted(self._file.path, 200)} has not the checksum that it was fetched with."
                )
            os.utime(hidden, ns=(modified, modified))
            os.fchmod(hidden, _READ_ONLY)
            os.fsync(hidden)
        finally:
            os.close(hidden)
        self._hidden.replace(self._target)

    def _blocks(self, descriptor: int) -> Iterator[bytes]:
        os.lseek(descriptor, 0, os.SEEK_SET)
        while True:
            self._check()
            with self._of_former():
                block = os.read(descriptor, _BLOCK)
            if not block:
                return
            yield block
