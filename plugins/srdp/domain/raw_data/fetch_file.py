"""One file from NGAS to its place: visible there only when its size and checksum are what the archive recorded.

The bytes go to a hidden file first, whose name is made from what is fetched; size and checksum are taken from the
bytes as they pass. When both are right the file is synced, renamed and made read-only. Killed anywhere, the next
attempt continues where the hidden file ends.

NGAS may hold several copies of a file, and serves one of them unread. If what comes is wrong, each copy is checked by
the server and those that may be right are fetched one after the other, by the disk that they are on.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tenacity import RetryCallState
from tenacity.nap import sleep_using_event

from srdp.domain.common.errors import (
    IntegrityError,
    InvalidInput,
    ServiceUnavailable,
    SettingsError,
    SrdpError,
    quoted,
)
from srdp.domain.files.shared_files import RAW_DATA, open_shared, remove_shared
from srdp.domain.files.space import reserve
from srdp.domain.files.storage import StorageUnavailable
from srdp.domain.files.trusted_root import made_folder, open_folder
from srdp.domain.files.write_back import WriteBack
from srdp.domain.ngas.archived_files import Recorded
from srdp.domain.ngas.checksums import RunningChecksum
from srdp.domain.ngas.client import NgasClient
from srdp.domain.ngas.connections import ConnectionFailed, ConnectionStalled
from srdp.domain.ngas.copies import Copy, CopyState, check_copies, damaged_copies, unavailable
from srdp.domain.ngas.locator_report import LocatedFile
from srdp.domain.ngas.retrieval import Retrieval
from srdp.domain.ngas.status import NgasFileUnavailable, NgasRefused
from srdp.domain.raw_data.fetch_control import FetchControl
from srdp.domain.raw_data.partial_file import local_failures, open_partial, partial_name, write_block
from srdp.domain.runs.ledger_records import FetchedFile
from srdp.domain.runs.retry import RequestRetryPolicy

_LOGGER = logging.getLogger(__name__)
_READ_BYTES = 1 << 20
_READ_ONLY = 0o444


class FileFetch:
    """The fetch of one file.

    Args:
        file: what to fetch.
        directory: the directory that the file's destination is relative to.
        unfinished: the directory for files on their way, on the same file system.
        client: a client of the server that has it.
        control: shared by all fetches of the directory.
        retries: the retry policy for errors that may pass.
        on_received: called when the server has nothing more to do; what is left is this machine's.
    """

    def __init__(
        self,
        file: LocatedFile,
        *,
        directory: Path,
        unfinished: Path,
        client: NgasClient,
        control: FetchControl,
        retries: RequestRetryPolicy,
        on_received: Callable[[], None] = lambda: None,
    ) -> None:
        self._file = file
        self._root = directory.parent
        self._destination = directory / file.destination
        self._partial = unfinished / partial_name(file)
        self._client = client
        self._control = control
        self._retries = retries
        self._on_received = on_received
        self._checksum = RunningChecksum()
        self._offset = 0
        self._verdict = "the server could not say whether its own copy is intact"

    def run(self) -> FetchedFile:
        """Fetch the file unless it is already in its place, complete and intact.

        Raises:
            ServiceUnavailable: the server could not be reached or could not serve, as often as was tried.
            IntegrityError: the server has another size or other bytes than the archive recorded.
            UnsafeFile: something else than a file has its name here, or a folder on the way to it is a symbolic link.
            NgasRefused: the server refused; see its subclasses.
            StorageUnavailable: the disk here is full, or away.
            FetchStopped: the fetch was stopped.
        """
        self._control.check()
        with local_failures(self._destination):
            modified = self._modified_in_place()
            if modified is None:
                with open_partial(self._root, self._partial.parent, self._file) as descriptor:
                    self._take_up(descriptor)
                    self._complete(descriptor)
                    self._on_received()
                    os.fsync(descriptor)
                    modified = self._put_in_place(descriptor)
            return self._record(modified)

    def _record(self, modified: int) -> FetchedFile:
        return FetchedFile(
            path=str(self._file.destination),
            size_bytes=self._file.size,
            crc32=self._checksum.crc32,
            ngas_file_id=self._file.ngas_file_id,
            ngas_version=self._file.version,
            mtime_ns=modified,
        )

    def _put_in_place(self, descriptor: int) -> int:
        """Give a complete file its name, and returns when it was modified."""
        name = self._destination.name
        with (
            open_folder(self._root, self._partial.parent) as here,
            made_folder(self._root, self._destination.parent) as there,
        ):
            os.replace(self._partial.name, name, src_dir_fd=here, dst_dir_fd=there)
            # Not before: killed in between, the next try could not open its own hidden file for writing.
            os.fchmod(descriptor, _READ_ONLY)
            found = os.fstat(descriptor)
            if not os.path.samestat(found, os.stat(name, dir_fd=there, follow_symlinks=False)):
                raise StorageUnavailable(f"{self._destination} was replaced while it was fetched: it is fetched again.")
        return found.st_mtime_ns

    def _modified_in_place(self) -> int | None:
        """Return when the file was modified that was fetched before; None if it was not: only its bytes prove it."""
        try:
            with open_shared(self._root, self._destination, RAW_DATA) as found:
                if found.identity.size == self._file.size:
                    self._read(found.descriptor)
                    if self._is_right():
                        os.fchmod(found.descriptor, _READ_ONLY)
                        return found.identity.mtime_ns
                    self._control.add(held=-self._offset)
        except FileNotFoundError:
            return None
        _LOGGER.warning("%s is not what the archive recorded and is fetched again", self._destination)
        return None

    def _read(self, descriptor: int) -> None:
        """Take the checksum of what is in a file, from its beginning to its end."""
        self._checksum, self._offset = RunningChecksum(self._file.checksum_type), 0
        while block := os.read(descriptor, _READ_BYTES):
            self._control.check()
            self._checksum.update(block)
            self._offset += len(block)
            self._control.add(held=len(block))

    def _take_up(self, descriptor: int) -> None:
        """Goes on where an earlier process was killed."""
        if os.fstat(descriptor).st_size > self._file.size:
            os.ftruncate(descriptor, 0)
        self._read(descriptor)
        if self._offset:
            _LOGGER.info("%s: %d of %d bytes are here already", self._destination, self._offset, self._file.size)

    def _begin_again(self, descriptor: int) -> None:
        self._control.add(held=-self._offset)
        os.ftruncate(descriptor, 0)
        reserve(descriptor, self._file.size)
        os.lseek(descriptor, 0, os.SEEK_SET)
        self._checksum, self._offset = RunningChecksum(self._file.checksum_type), 0

    def _is_complete(self) -> bool:
        return self._offset == self._file.size

    def _is_right(self) -> bool:
        return self._is_complete() and self._checksum.value == self._file.checksum

    def _complete(self, descriptor: int) -> None:
        """Receives what is missing, from the copy that the server chooses; if that is wrong, copy by copy."""
        found = self._wrong_from(descriptor, "")
        if found is None:
            return
        wrong = found
        away: ServiceUnavailable | None = None
        for disk_id in self._disks_to_try():
            _LOGGER.warning("%s Fetching it again%s.", wrong, f" from disk {quoted(disk_id)}" if disk_id else "")
            self._begin_again(descriptor)
            try:
                found = self._wrong_from(descriptor, disk_id)
            except ServiceUnavailable as error:
                away = error  # another copy may be served all the same
                continue
            if found is None:
                return
            wrong = found
        if self._is_complete():
            wrong = self._wrong_bytes()  # with what the server found out about its copies meanwhile
        self._begin_again(descriptor)
        remove_shared(self._root, self._partial)
        raise wrong if away is None else away

    def _wrong_from(self, descriptor: int, disk_id: str) -> SrdpError | None:
        """Receives what is missing from one copy; returns what is wrong with it, None if nothing is."""
        try:
            self._receive(descriptor, disk_id)
        except (IntegrityError, NgasRefused) as error:
            return error
        return None if self._is_right() else self._wrong_bytes()

    def _wrong_bytes(self) -> IntegrityError:
        return IntegrityError(
            f"{self._name()} came with the {self._file.checksum_type.value} checksum {self._checksum.value}, but the "
            f"archive recorded {self._file.checksum}: {self._verdict}. Tell the archive's operators."
        )

    def _disks_to_try(self) -> tuple[str, ...]:
        """Return the disks whose copies may be right, those first that the server finds good.

        What the server finds damaged is recorded, to be reported. A server that names no disk is asked again
        for whichever copy it chooses.
        """
        try:
            copies = self._copies()
        except (NgasRefused, SettingsError, InvalidInput, ServiceUnavailable) as error:
            _LOGGER.warning("%s", error)
            return ("",)
        self._control.found_damaged(damaged_copies(self._client.server, self._file.ngas_file_id, copies))
        damaged = [copy.disk_id for copy in copies if copy.state is CopyState.DAMAGED]
        if damaged:
            self._verdict = f"the server finds its own copy corrupt on disk {', '.join(map(quoted, damaged))}"
        elif copies:
            self._verdict = "the server finds its own copy intact, so it changes on the way or was recorded wrongly"
        hopeful = [copy for copy in copies if copy.state is not CopyState.DAMAGED]
        return tuple(copy.disk_id for copy in sorted(hopeful, key=lambda copy: copy.state is not CopyState.GOOD))

    def _copies(self) -> tuple[Copy, ...]:
        return check_copies(self._client, self._recorded, self._client.query_files(self._file.ngas_file_id))

    @property
    def _recorded(self) -> Recorded:
        file = self._file
        return Recorded(file.ngas_file_id, file.version, file.size, file.checksum, file.checksum_type)

    def _receive(self, descriptor: int, disk_id: str = "") -> None:
        retrying = self._retries.retrying(self._log_repetition, sleep=sleep_using_event(self._control.stopping))
        retrying(self._receive_once, descriptor, disk_id)

    def _refuse_if_gone(self) -> None:
        """End the retries if a copy is damaged: a server that has lost a file closes the connection without an answer.

        Raises:
            IntegrityError: a copy is damaged, perhaps the one that the server chooses.
            NgasFileUnavailable: no copy is there.
        """
        copies: tuple[Copy, ...] = ()
        with suppress(ServiceUnavailable, SettingsError, InvalidInput, NgasRefused):
            copies = self._copies()
        for copy in copies:
            if copy.error is not None and copy.state is CopyState.DAMAGED:
                raise copy.error

    def _log_repetition(self, state: RetryCallState) -> None:
        _LOGGER.warning(
            "%s Trying again in %.1f s, attempt %d of %d, from byte %d on.",
            state.outcome.exception() if state.outcome else "",
            state.upcoming_sleep,
            state.attempt_number + 1,
            self._retries.attempts,
            self._offset,
        )

    def _receive_once(self, descriptor: int, disk_id: str) -> None:
        self._control.check()
        # Also a file of 0 bytes: no request could settle what its size and checksum leave open.
        if self._offset == self._file.size:
            return
        with self._retrieval(disk_id) as retrieval, self._control.watched(retrieval):
            self._agree(retrieval, descriptor)
            try:
                self._store(retrieval, descriptor)
            except ServiceUnavailable:
                self._control.check()  # the cut was our own
                raise
        self._control.check()
        if self._offset < self._file.size:
            raise ServiceUnavailable(
                f"NGAS server {self._client.server} cut the connection after {self._offset} of {self._file.size} bytes "
                f"of {quoted(self._file.ngas_file_id)}."
            )

    def _retrieval(self, disk_id: str) -> Retrieval:
        file = self._file
        try:
            return self._client.retrieve(file.ngas_file_id, file.version, offset=self._offset, disk_id=disk_id)
        except NgasFileUnavailable as error:
            raise unavailable(self._client, error, self._recorded, disk_id=disk_id) from None
        except ConnectionStalled:
            raise
        except ConnectionFailed:
            if not self._offset:
                self._refuse_if_gone()
            raise

    def _agree(self, retrieval: Retrieval, descriptor: int) -> None:
        """Find out before the first byte what can be known then."""
        if retrieval.size is not None and retrieval.size != self._file.size:
            raise IntegrityError(
                f"{self._name()} has {retrieval.size} bytes, but the archive recorded {self._file.size}: the stored "
                "file is damaged or another one, tell the archive's operators."
            )
        if retrieval.start == 0 and self._offset:
            self._begin_again(descriptor)
        if retrieval.start != self._offset:
            raise IntegrityError(
                f"{self._name()} came from byte {retrieval.start} on, but was asked for from byte {self._offset} on: "
                "tell the archive's operators."
            )

    def _store(self, retrieval: Retrieval, descriptor: int) -> None:
        write_back = WriteBack(descriptor, self._offset)
        for block in retrieval.blocks():
            self._control.check()
            if self._offset + len(block) > self._file.size:
                raise IntegrityError(
                    f"{self._name()} has more bytes than the {self._file.size} that the archive recorded: tell the "
                    "archive's operators."
                )
            write_block(descriptor, block)
            write_back.wrote(len(block))
            self._checksum.update(block)
            self._offset += len(block)
            self._control.add(held=len(block), received=len(block))

    def _name(self) -> str:
        return (
            f"File {quoted(self._file.destination, 120)} ({quoted(self._file.ngas_file_id)} version "
            f"{self._file.version} of NGAS server {self._client.server})"
        )
