"""All files of a locator report from their NGAS servers into a run's ``rawdata/``.

Files of one server are fetched a few at once, servers beside each other, the largest files first. The first failure
that repeating does not fix stops the whole fetch at once. Files on their way are in one hidden directory, which is
gone when the fetch is complete.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from srdp.domain.common.errors import ServiceUnavailable
from srdp.domain.files.shared_files import FETCH_LOCK, open_to_write
from srdp.domain.files.shared_folders import look_at, sync_folder
from srdp.domain.files.space import held, release, reserve
from srdp.domain.files.storage import DiskFull
from srdp.domain.files.trusted_root import OpenRoot, made_folder, open_folder
from srdp.domain.ngas.client import NgasClient
from srdp.domain.ngas.copies import DamagedCopy
from srdp.domain.ngas.locator_report import UNFINISHED, LocatedFile, LocatorReport
from srdp.domain.raw_data.fetch_control import FetchControl, FetchStopped
from srdp.domain.raw_data.fetch_file import FileFetch
from srdp.domain.raw_data.partial_file import local_failures, open_partial, partial_name
from srdp.domain.runs.ledger_records import FetchedFile
from srdp.domain.runs.retry import SERVER, RequestRetryPolicy

_LOGGER = logging.getLogger(__name__)
_LOCK = "lock"
_GIGABYTE = 1e9
# A thread that waits for a server's first answer cannot be woken; it finds the order to stop when the answer comes.
_STOP_SECONDS = 5.0
# So many files of a server may be on their way to the disk or into their places while others come: a sync waits for a
# disk, and leaves the connection to others meanwhile. The syncs of a few files at once cost a journal as much as one.
_AT_THE_DISK = 8


@dataclass(frozen=True)
class Progress:
    """How far a fetch is.

    Attributes:
        files_done: files that are in their places.
        files: files in all.
        bytes_done: bytes that are here, those of unfinished files included.
        bytes_total: bytes in all.
        bytes_per_second: what came over the network since the last report.
    """

    files_done: int
    files: int
    bytes_done: int
    bytes_total: int
    bytes_per_second: float

    @property
    def seconds_remaining(self) -> float | None:
        """How long the rest takes at this rate; None while nothing comes."""
        if self.bytes_per_second <= 0:
            return None
        return (self.bytes_total - self.bytes_done) / self.bytes_per_second

    def __str__(self) -> str:
        remaining = self.seconds_remaining
        return (
            f"{self.bytes_done / _GIGABYTE:.3f} of {self.bytes_total / _GIGABYTE:.3f} GB, {self.files_done} of "
            f"{self.files} files, {self.bytes_per_second / 1e6:.1f} MB/s"
            + ("" if remaining is None else f", {remaining:.0f} s remain")
        )


class Fetch:
    """The fetch of a locator report into a directory; made once, run once.

    Args:
        report: what to fetch.
        directory: the run's ``rawdata/``; made if its parent is there.
        clients: a client for each server of the report.
        streams_per_server: how many files are fetched at once from one server; a server refuses more than 10.
        spare_bytes: how much space must be left on the file system when everything is there.
        retries: the retry policy for errors that may pass.
        on_progress: called from the thread that runs the fetch.
        progress_seconds: how often, in seconds.
    """

    def __init__(
        self,
        report: LocatorReport,
        directory: Path,
        *,
        clients: Mapping[str, NgasClient],
        streams_per_server: int,
        spare_bytes: int,
        retries: RequestRetryPolicy | None = None,
        on_progress: Callable[[Progress], None] | None = None,
        progress_seconds: float = 5.0,
    ) -> None:
        self._report = report
        self._root = directory.parent
        self._directory = directory
        self._unfinished = directory / UNFINISHED
        self._clients = clients
        self._streams = streams_per_server
        self._spare_bytes = spare_bytes
        self._retries = retries or SERVER
        self._on_progress = on_progress or (lambda progress: _LOGGER.info("Fetched %s", progress))
        self._progress_seconds = progress_seconds
        self._control = FetchControl(report.servers, streams_per_server)
        self._first_failure: BaseException | None = None
        self._failure_lock = threading.Lock()
        self._last = (time.monotonic(), 0)

    def stop(self) -> None:
        """Stop the fetch, from any thread or from a signal handler; :meth:`run` then raises ``FetchStopped``."""
        # Connections are cut by the thread that runs the fetch: a signal handler must not wait for its lock.
        self._control.stopping.set()

    @property
    def damaged(self) -> tuple[DamagedCopy, ...]:
        """The copies in NGAS that turned out damaged; a good copy was taken instead, if there was one."""
        return self._control.damaged

    def run(self) -> tuple[FetchedFile, ...]:
        """Fetch everything that is not there yet and return all files, in the report's order.

        Raises:
            ServiceUnavailable: a server could not serve, as often as was tried, or another process is fetching this.
            DiskFull: there is not enough space; nothing was written, or the disk filled up meanwhile.
            FetchStopped: :meth:`stop` was called.
            SrdpError: what repeating does not fix; the sentence names the file.
        """
        with local_failures(self._directory), filled_by_one(self._directory):
            self._reserve_space()
            fetched = self._fetch_all()
            sync_directories(self._directory, fetched)
        remove_unfinished(self._directory)
        return fetched

    def _reserve_space(self) -> None:
        """Take the space of all files at once, or none: of two fetches that begin together, one waits."""
        with OpenRoot(self._root) as root:
            wanted = [(file, self._missing_bytes(root, file)) for file in self._report.files]
        missing = sum(size for _, size in wanted)
        if missing and missing + self._spare_bytes > shutil.disk_usage(self._directory).free:
            raise self._too_little_space(missing)
        try:
            for file, size in wanted:
                if size and not self._reserve(file):
                    _LOGGER.info("%s: this file system reserves no space for files to come", self._directory)
                    return
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            self._release_space()
            raise self._too_little_space(missing) from None
        if missing and shutil.disk_usage(self._directory).free < self._spare_bytes:
            self._release_space()
            raise self._too_little_space(missing)

    def _reserve(self, file: LocatedFile) -> bool:
        with open_partial(self._root, self._unfinished, file) as descriptor:
            return reserve(descriptor, file.size)

    def _release_space(self) -> None:
        for file in self._report.files:
            with (
                suppress(FileNotFoundError),
                open_partial(self._root, self._unfinished, file, make=False) as descriptor,
            ):
                release(descriptor)

    def _too_little_space(self, missing: int) -> DiskFull:
        free = shutil.disk_usage(self._directory).free
        return DiskFull(
            f"{self._directory} has {free / _GIGABYTE:.3f} GB free, but {missing / _GIGABYTE:.3f} GB are to be "
            f"fetched and {self._spare_bytes / _GIGABYTE:.3f} GB must stay free (SRDP_FETCH_SPARE_GB): free space, "
            "the fetch continues by itself."
        )

    def _missing_bytes(self, root: OpenRoot, file: LocatedFile) -> int:
        for place in (self._directory / file.destination, self._unfinished / partial_name(file)):
            if (found := look_at(root, place)) is not None:
                return max(0, file.size - held(found))
        return file.size

    def _fetch_all(self) -> tuple[FetchedFile, ...]:
        waiting: dict[str, deque[LocatedFile]] = {server: deque() for server in self._report.servers}
        for file in sorted(self._report.files, key=lambda file: file.size, reverse=True):
            waiting[file.server].append(file)
        self._last = (time.monotonic(), 0)
        fetched: dict[str, FetchedFile] = {}
        threads = self._streams + _AT_THE_DISK
        pools = [ThreadPoolExecutor(threads, thread_name_prefix=f"ngas-{server}") for server in waiting]
        streams: set[Future[None]] = set()
        try:
            for pool, (server, files) in zip(pools, waiting.items(), strict=True):
                streams |= {pool.submit(self._fetch_each, server, files, fetched) for _ in range(threads)}
            self._wait_for(streams, fetched)
            return tuple(fetched[file.path] for file in self._report.files)
        finally:
            self._control.stop()
            for pool in pools:
                pool.shutdown(wait=False, cancel_futures=True)
            begun = [stream for stream in streams if not stream.cancelled()]
            hanging = wait(begun, timeout=_STOP_SECONDS).not_done
            for pool in pools:
                pool.shutdown(wait=not hanging)

    def _wait_for(self, streams: set[Future[None]], fetched: Mapping[str, FetchedFile]) -> None:
        pending = streams
        next_report = time.monotonic() + self._progress_seconds
        while pending:
            # Short, so that a stop that a signal handler asked for is seen soon.
            _, pending = wait(pending, timeout=0.2, return_when=FIRST_EXCEPTION)
            if self._control.stopping.is_set():
                # A thread that fails says why before it stops the others.
                raise self._first_failure or FetchStopped()
            if time.monotonic() >= next_report or not pending:
                next_report = time.monotonic() + self._progress_seconds
                self._report_progress(len(fetched), len(self._report.files))
        for stream in streams:
            stream.result()

    def _report_progress(self, done: int, total: int) -> None:
        now, received = time.monotonic(), self._control.received_bytes
        since, before = self._last
        self._last = (now, received)
        self._on_progress(
            Progress(
                files_done=done,
                files=total,
                bytes_done=self._control.held_bytes,
                bytes_total=self._report.aggregate_size,
                bytes_per_second=(received - before) / max(now - since, 1e-3),
            )
        )

    def _fetch_each(self, server: str, files: deque[LocatedFile], fetched: dict[str, FetchedFile]) -> None:
        """Fetch what waits at a server, one file after the other; several threads do this beside each other."""
        while files:
            with ExitStack() as connection:
                connection.enter_context(self._control.connection(server))
                try:
                    file = files.popleft()
                except IndexError:
                    return
                fetched[file.path] = self._fetch_one(file, connection.close)

    def _fetch_one(self, file: LocatedFile, on_received: Callable[[], None]) -> FetchedFile:
        try:
            return FileFetch(
                file,
                directory=self._directory,
                unfinished=self._unfinished,
                client=self._clients[file.server],
                control=self._control,
                retries=self._retries,
                on_received=on_received,
            ).run()
        except FetchStopped:
            raise
        except BaseException as error:
            with self._failure_lock:
                self._first_failure = self._first_failure or error
            self._control.stop()
            raise


@contextmanager
def filled_by_one(directory: Path) -> Iterator[None]:
    """Let only one process fill a ``rawdata/``: an old try of the task may still run.

    Args:
        directory: the ``rawdata/``; made if its parent is there, with the hidden directory for files on their way.

    Raises:
        UnsafeFile: one of them, or the lock, is a symbolic link or something else that it must not be.
        ServiceUnavailable: another process is at it.
    """
    root, unfinished = directory.parent, directory / UNFINISHED
    with made_folder(root, unfinished), open_to_write(root, unfinished / _LOCK, FETCH_LOCK) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ServiceUnavailable(
                f"Another process is fetching into {directory}: wait until it has ended."
            ) from None
        except OSError as error:
            if error.errno not in (errno.ENOTSUP, errno.ENOSYS, errno.ENOLCK):
                raise
            _LOGGER.warning("This file system has no locks: make sure that no other process fetches this run")
        yield


def sync_directories(directory: Path, files: Iterable[FetchedFile]) -> None:
    """Make new names below a directory survive a crash of the machine.

    Args:
        directory: the ``rawdata/``.
        files: what was put below it.
    """
    for place in {parent for file in files for parent in (directory / file.path).parents}:
        if place == directory or directory in place.parents:
            sync_folder(directory.parent, place)


def remove_unfinished(directory: Path) -> None:
    """Remove the hidden directory for partial downloads, as far as the system allows.

    Args:
        directory: the ``rawdata/``.
    """
    with open_folder(directory.parent, directory) as place:
        shutil.rmtree(UNFINISHED, ignore_errors=True, dir_fd=place)
