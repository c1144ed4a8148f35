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
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from srdp.domain.common.errors import IntegrityError, InvalidInput, SrdpError, quoted
from srdp.domain.files.shared_files import RAW_DATA, open_shared
from srdp.domain.files.shared_folders import look_at
from srdp.domain.files.storage import AccessDenied, DiskFull, LocalFilesError
from srdp.domain.files.trusted_root import OpenRoot, UnsafeFile, open_folder
from srdp.domain.ngas.locator_report import UNFINISHED, raw_data_path
from srdp.domain.raw_data.fetch import filled_by_one, remove_unfinished, sync_directories
from srdp.domain.raw_data.partial_file import local_failures
from srdp.domain.runs.ledger_records import FetchedFile
from srdp.domain.runs.pipeline_run import RunDirectory

_LOGGER = logging.getLogger(__name__)
_BLOCK: Final = 1 << 20
_READ_ONLY: Final = 0o444
_WRITABLE: Final = 0o222
_ON_ITS_WAY: Final = "copy"
#: Another file system, too many links to a file, no links on this one, or none to what belongs to somebody else.
_LINK_IMPOSSIBLE: Final = frozenset({errno.EXDEV, errno.EMLINK, errno.EPERM, errno.EROFS, errno.ENOTSUP, errno.ENOSYS})
_SHOWN: Final = 3


class RawDataUnusable(SrdpError):
    """The raw data of a former run cannot serve a new one: they are fetched again."""


@dataclass(frozen=True)
class LinkedRawData:
    """Raw data that a run has from a former one.

    Attributes:
        files: all files, as they are in the new run.
        copied: how many of them are copies, because they could not be linked.
    """

    files: tuple[FetchedFile, ...]
    copied: int


def raw_data_differences(directory: RunDirectory, files: Iterable[FetchedFile]) -> tuple[str, ...]:
    """Compare raw data with what was recorded of them, by size and time of modification; reads no byte.

    Args:
        directory: the run's directory.
        files: what was recorded. A time that was not recorded is not compared.

    Returns:
        A sentence for each file that is not what it was; none if all are.

    Raises:
        StorageUnavailable: a file cannot be looked at now.
    """
    return tuple(
        f"{quoted(file.path, 200)} in rawdata/ {difference}."
        for file in files
        if (difference := _difference(directory, file)) is not None
    )


def check_raw_data(former: RunDirectory, files: Sequence[FetchedFile]) -> None:
    """Check that the raw data of a former run can be used for a new one; read no byte.

    Args:
        former: the former run's directory, at its present place.
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
    """Give a new run the raw data of a former one, by hard links; by copies where links are impossible.

    The files become read-only, in the former run too: they are the same files. Their times of modification stay. A
    copy is made under a hidden name, and its checksum compared. Killed anywhere, the next call completes what is
    there.

    Args:
        former: the former run's directory, at its present place. It may vanish meanwhile.
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
        SrdpError: the file system refused; the message says what.
    """
    with local_failures(new.rawdata), filled_by_one(new.rawdata):
        check_raw_data(former, files)
        with OpenRoot(former.root) as source, OpenRoot(new.root, make=True) as target:
            done = [_Transfer(source, target, file, spare_bytes, check).run() for file in files]
        linked = LinkedRawData(tuple(file for file, _ in done), sum(is_copy for _, is_copy in done))
        sync_directories(new.rawdata, linked.files)
    remove_unfinished(new.rawdata)
    return linked


def _unusable(rawdata: Path, why: str) -> RawDataUnusable:
    return RawDataUnusable(f"The raw data in {rawdata} cannot be used again: {why}")


def _difference(directory: RunDirectory, file: FetchedFile) -> str | None:
    """What is wrong with a file, as a sentence continues behind its name."""
    try:
        path = directory.rawdata / raw_data_path(file.path)
    except InvalidInput:
        return "is not the path of a raw file"
    try:
        found = look_at(directory.root, path)
    except (UnsafeFile, AccessDenied) as error:
        return f"cannot be used: {str(error).removesuffix('.')}"
    return "is missing" if found is None else _difference_of(found, file)


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
        former: the former run's directory.
        new: the new run's.
        file: what was recorded of the file.
        spare_bytes: see :func:`link_raw_data`.
        check: likewise.
    """

    def __init__(
        self, former: OpenRoot, new: OpenRoot, file: FetchedFile, spare_bytes: int, check: Callable[[], None]
    ) -> None:
        self._former = former
        self._new = new
        self._file = file
        self._rawdata = RunDirectory(former.root).rawdata
        self._source = self._rawdata / raw_data_path(file.path)
        self._target = RunDirectory(new.root).rawdata / raw_data_path(file.path)
        self._spare_bytes = spare_bytes
        self._check = check

    def run(self) -> tuple[FetchedFile, bool]:
        """Return the file in the new run, and whether it is a copy."""
        self._check()
        with self._opened() as (source, found):
            folder, name = self._new.parent_of(self._target)
            is_copy = self._transfer(source, found, folder)
            modified = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime_ns
        return replace(self._file, mtime_ns=modified), is_copy

    def _transfer(self, source: int, found: os.stat_result, folder: int) -> bool:
        """Put the file in its place unless it is there; return whether it is a copy."""
        if (lying := look_at(self._new, self._target)) is not None:
            if self._is_linked(source, found, lying):
                return False
            if self._is_copied():
                return True
            os.unlink(self._target.name, dir_fd=folder)
        if self._link(source, found, folder):
            return False
        self._copy(source, folder)
        return True

    @contextmanager
    def _opened(self) -> Iterator[tuple[int, os.stat_result]]:
        with ExitStack() as opened:
            with self._of_former():
                source = opened.enter_context(open_shared(self._former, self._source, RAW_DATA)).descriptor
            found = os.fstat(source)
            if difference := _difference_of(found, self._file):
                raise self._unusable(f"{difference}.")
            yield source, found

    @contextmanager
    def _of_former(self) -> Iterator[None]:
        """What the former run's directory refuses is no failure: it may be removed at this moment."""
        try:
            yield
        except OSError as error:
            raise self._unusable(f"cannot be read: {error.strerror}.") from None
        except (UnsafeFile, LocalFilesError) as error:
            raise self._unusable(f"cannot be read: {error}") from None

    def _unusable(self, why: str) -> RawDataUnusable:
        return _unusable(self._rawdata, f"{quoted(self._file.path, 200)} {why}")

    def _is_linked(self, source: int, found: os.stat_result, lying: os.stat_result) -> bool:
        if not stat.S_ISREG(lying.st_mode):
            raise IntegrityError(
                f"{self._target} is not a regular file, but a raw file belongs there: somebody put it there, move it "
                "away and start again."
            )
        if not os.path.samestat(lying, found):
            return False
        if lying.st_mode & _WRITABLE:
            os.fchmod(source, _READ_ONLY)
        return True

    def _is_copied(self) -> bool:
        """Whether an earlier call, or a fetch that was given up, has put the right bytes there."""
        with open_shared(self._new, self._target, RAW_DATA) as lying:
            checksum = 0
            for block in self._blocks(lying.descriptor):
                checksum = zlib.crc32(block, checksum)
            if checksum != self._file.crc32 or lying.identity.size != self._file.size_bytes:
                return False
            os.fchmod(lying.descriptor, _READ_ONLY)
            return True

    def _link(self, source: int, found: os.stat_result, folder: int) -> bool:
        """Links the file; returns False where links are impossible."""
        name = self._target.name
        try:
            # Not after the link: killed in between, the new run would have a file that CASA may write.
            if found.st_mode & _WRITABLE:
                os.fchmod(source, _READ_ONLY)
            place, _ = self._former.parent_of(self._source)
            os.link(name, name, src_dir_fd=place, dst_dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            raise self._unusable("was removed meanwhile.") from None
        except OSError as error:
            if error.errno not in _LINK_IMPOSSIBLE:
                raise
            _LOGGER.info("%s cannot be linked (%s) and is copied", self._source, error.strerror)
            return False
        if not os.path.samestat(os.stat(name, dir_fd=folder, follow_symlinks=False), found):
            os.unlink(name, dir_fd=folder)
            raise self._unusable("was replaced meanwhile.")
        return True

    def _copy(self, source: int, folder: int) -> None:
        self._check_space()
        with open_folder(self._new.root, RunDirectory(self._new.root).rawdata / UNFINISHED) as aside:
            with suppress(FileNotFoundError):
                os.unlink(_ON_ITS_WAY, dir_fd=aside)
            hidden = os.open(_ON_ITS_WAY, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=aside)
            try:
                self._write(source, hidden)
            finally:
                os.close(hidden)
            os.replace(_ON_ITS_WAY, self._target.name, src_dir_fd=aside, dst_dir_fd=folder)

    def _check_space(self) -> None:
        free = shutil.disk_usage(self._target.parent).free
        if self._file.size_bytes + self._spare_bytes > free:
            raise DiskFull(
                f"{self._target.parent} has {free / 1e9:.3f} GB free, but {self._file.size_bytes / 1e9:.3f} GB are to "
                f"be copied and {self._spare_bytes / 1e9:.3f} GB must stay free (SRDP_FETCH_SPARE_GB): free space, "
                "the fetch continues by itself."
            )

    def _write(self, source: int, hidden: int) -> None:
        checksum, modified = 0, os.fstat(source).st_mtime_ns
        for block in self._blocks(source):
            checksum = zlib.crc32(block, checksum)
            view = memoryview(block)
            while view:
                view = view[os.write(hidden, view) :]
        if checksum != self._file.crc32:
            raise self._unusable("does not have the checksum that it was fetched with.")
        os.utime(hidden, ns=(modified, modified))
        os.fchmod(hidden, _READ_ONLY)
        os.fsync(hidden)

    def _blocks(self, descriptor: int) -> Iterator[bytes]:
        os.lseek(descriptor, 0, os.SEEK_SET)
        while True:
            self._check()
            with self._of_former():
                block = os.read(descriptor, _BLOCK)
            if not block:
                return
            yield block
