"""One file into NGAS, exactly once: look, send, prove.

NGAS makes another version of a file that is sent again, also if only the reply was lost. So every try begins with the
question what the server holds under the ID (:func:`srdp.domain.ngas.proof.find_copy`): our bytes, proved, end the
matter; nothing lets the file be sent; anything else is refused. A server may still be storing what it has received when
the connection is gone; therefore nothing is sent again for a while after a reply that did not come.

**One writer for each file ID** is the caller's to hold, by the claim in the ledger: an ID is derived from a pipeline
run ID, and at most one run of a request is being ingested. The lock on the file here is only a second guard, against an
old try of the same task that still lives.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tenacity import RetryCallState

from srdp.domain.common.errors import IntegrityError, InvalidInput, ServiceUnavailable, SrdpError, quoted
from srdp.domain.files.shared_files import PRODUCT, open_shared
from srdp.domain.files.storage import local_files
from srdp.domain.ngas.checksums import RunningChecksum, unsigned_checksum
from srdp.domain.ngas.client import NgasClient
from srdp.domain.ngas.connections import ConnectionFailed, ConnectionStalled
from srdp.domain.ngas.proof import Proof, find_copy, own_versions
from srdp.domain.ngas.status import NgasStorageFull
from srdp.domain.runs.retry import RECEIVER, RequestRetryPolicy

_LOGGER = logging.getLogger(__name__)
_BLOCK_BYTES = 1 << 20
# NGAS keeps an ID in a column of 64 characters; without %, _ and \ no two IDs are alike to its QUERY by accident.
_FILE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}", re.ASCII)
_MIME_TYPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]{0,62}/[A-Za-z0-9][A-Za-z0-9.+_-]{0,62}", re.ASCII)
_NO_LOCKS = frozenset({errno.ENOTSUP, errno.ENOSYS, errno.ENOLCK, errno.EBADF})


@dataclass(frozen=True)
class FileToArchive:
    """A complete file, and its ID, size and type for NGAS.

    Attributes:
        path: where it is.
        file_id: the name under which it is to be stored; derived from the pipeline run ID.
        size_bytes: its size, as recorded in the ledger.
        crc32: its CRC-32, unsigned, as recorded in the ledger.
        mime_type: one that the server is configured for.
        root: the folder that is trusted, below which it is; None: the one that it is in.

    Raises:
        InvalidInput: a value has not the form that NGAS needs.
    """

    path: Path
    file_id: str
    size_bytes: int
    crc32: int
    mime_type: str
    root: Path | None = None

    def __post_init__(self) -> None:
        if not _FILE_ID.fullmatch(self.file_id):
            raise InvalidInput(
                f"{quoted(self.file_id)} cannot be an id in NGAS: it has 1 to 64 letters, digits, dots, underscores, "
                "plus and minus signs, and begins with a letter or digit."
            )
        if not _MIME_TYPE.fullmatch(self.mime_type):
            raise InvalidInput(f"{quoted(self.mime_type)} is not a mime type, which has the form application/x-tar.")
        if self.size_bytes <= 0:
            raise InvalidInput(f"{self.path} is empty, and NGAS takes no empty file: find out why it is empty.")
        object.__setattr__(self, "crc32", unsigned_checksum(self.crc32))


def archive(
    client: NgasClient,
    file: FileToArchive,
    *,
    sent_before: bool = False,
    retries: RequestRetryPolicy | None = None,
    settle_seconds: float = 30.0,
) -> Proof:
    """Send a file to NGAS unless it is there already, and proves that it is there.

    Args:
        client: a client of the server that receives what is archived.
        file: the file, its ID, and its size and checksum, which the ledger holds already.
        sent_before: whether an earlier try may have sent it (the ledger knows): then a server that lists nothing is
            asked again for `settle_seconds` before the file is sent.
        retries: the retry policy for errors that may pass.
        settle_seconds: for how long a server may be storing what it received, after the connection is gone.

    Returns:
        The file as it is stored: the server read each copy of this version again, found one at least good, and has
        recorded our size and checksum for it. A copy that is not good is the caller's to report; it is no reason to
        send the file again.

    Raises:
        ServiceUnavailable: the server could not be reached or could not serve, as often as was tried, or another
            process is sending the file. Try again, with `sent_before`.
        IntegrityError: the file here is not the recorded one, or the server holds something else under its ID.
        NgasStorageFull: the server has no storage for it.
        NgasRefused: the server refuses.
        SettingsError: the server does not accept the login.
        UnsafeFile: what is here is no file, or behind a symbolic link.
        LocalFilesError: the file here cannot be read.
    """
    with _opened(file) as descriptor:
        upload = _Upload(client, file, descriptor, settle_seconds=settle_seconds, unsure=sent_before)
        attempts = retries or RECEIVER
        return attempts.retrying(lambda state: _log_repetition(state, attempts.attempts))(upload.attempt)


class _Upload:
    def __init__(
        self, client: NgasClient, file: FileToArchive, descriptor: int, *, settle_seconds: float, unsure: bool
    ) -> None:
        self._client = client
        self._file = file
        self._descriptor = descriptor
        self._settle_seconds = settle_seconds
        self._unsure = unsure

    def attempt(self) -> Proof:
        """Look, sends if nothing is there, and looks again."""
        # A server that has stalled would hold up each of those for as long as one that reads a large file may take.
        self._client.health()
        found = self._look(wait=self._unsure)
        if found:
            _LOGGER.info(
                "NGAS server %s holds %s already, version %d",
                self._client.server,
                found.file.file_id,
                found.file.version,
            )
            return found
        self._unsure = False
        self._send()
        found = self._look(wait=True)
        if not found:
            raise IntegrityError(
                f"NGAS server {self._client.server} said that it has stored {quoted(self._file.file_id)}, but does not "
                "list it: tell the operators of NGAS, and send nothing until they know."
            )
        return found

    def _look(self, *, wait: bool) -> Proof | None:
        """Return our copy, if need be when it has appeared."""
        until = time.monotonic() + (self._settle_seconds if wait else 0.0)
        while True:
            found = find_copy(self._client, self._file.file_id, self._file.size_bytes, self._file.crc32)
            if found or time.monotonic() >= until:
                return found
            time.sleep(min(1.0, self._settle_seconds / 10))

    def _send(self) -> None:
        body = _Body(self._descriptor, self._file)
        file_id, size, crc32 = self._file.file_id, self._file.size_bytes, self._file.crc32
        try:
            status = self._client.archive(file_id, body, mime_type=self._file.mime_type, crc32=crc32)
        except ConnectionFailed as error:
            # What has not been given out to its end cannot be stored.
            self._unsure = body.complete
            raise (error if isinstance(error, ConnectionStalled) else self._why_cut(error)) from None
        if not body.complete:
            raise IntegrityError(
                f"NGAS server {self._client.server} said that it has stored {quoted(file_id)} before it was sent to "
                "its end: tell the operators of NGAS."
            )
        own_versions(self._client.server, file_id, size, crc32, status.files)

    def _why_cut(self, error: ConnectionFailed) -> SrdpError:
        """Return what a connection that ended during an upload means.

        A full volume ends it without a word, while the server's status is ONLINE; what is free on its disks the server
        reports by QUERY.
        """
        try:
            node = self._client.health().host_id
            disks = [disk for disk in self._client.disks().values() if disk.host_id == node]
        except ServiceUnavailable:
            return error
        free = [disk.free_bytes for disk in disks if disk.free_bytes is not None]
        if free and len(free) == len(disks) and max(free) < self._file.size_bytes:
            return NgasStorageFull(
                f"The volumes of NGAS server {self._client.server} are full: {quoted(self._file.file_id)} has "
                f"{self._file.size_bytes / 1e9:.3f} GB, and {max(free) / 1e9:.3f} GB are free on the emptiest. Tell "
                "the operators of NGAS; the server took none of it."
            )
        return ConnectionFailed(
            f"{error} Its status is ONLINE: if this stays so, its volumes may be full, which it does not report; "
            "ask the operators of NGAS."
        )


class _Body:
    """A file's bytes, read once; the last block is given out only if size and checksum of them all are right.

    A file that is not the recorded one thus ends the connection before the server has all of it, and is not stored.

    Attributes:
        complete: whether the last block was given out.
    """

    def __init__(self, descriptor: int, file: FileToArchive) -> None:
        self.complete = False
        self._descriptor = descriptor
        self._file = file

    def __len__(self) -> int:
        return self._file.size_bytes

    def __iter__(self) -> Iterator[bytes]:
        checksum, size, held = RunningChecksum(), 0, b""
        while size <= len(self) and (block := self._read(size)):
            if held:
                yield held
            checksum.update(block)
            size += len(block)
            held = block
        if (size, checksum.crc32) != (self._file.size_bytes, self._file.crc32):
            raise _changed(self._file)
        self.complete = True
        yield held

    def _read(self, offset: int) -> bytes:
        with local_files(self._file.path):
            return os.pread(self._descriptor, _BLOCK_BYTES, offset)


@contextmanager
def _opened(file: FileToArchive) -> Iterator[int]:
    """Open the file for this process alone, as far as the file system has locks."""
    with ExitStack() as opened:
        with local_files(file.path):
            found = opened.enter_context(open_shared(file.root or file.path.parent, file.path, PRODUCT))
        if found.identity.size != file.size_bytes:
            raise _changed(file)
        _lock(found.descriptor, file)
        yield found.descriptor


def _lock(descriptor: int, file: FileToArchive) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ServiceUnavailable(f"Another process is sending {file.path} to NGAS: wait until it has ended.") from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        _LOGGER.warning("This file system has no locks: make sure that no other process sends %s", file.path)


def _changed(file: FileToArchive) -> IntegrityError:
    return IntegrityError(
        f"{file.path} is not the file of {file.size_bytes} bytes with the CRC-32 {file.crc32} that was recorded to be "
        "archived: find out who changed it; none of it was stored."
    )


def _log_repetition(state: RetryCallState, attempts: int) -> None:
    _LOGGER.warning(
        "%s Looking again in %.1f s, attempt %d of %d.",
        state.outcome.exception() if state.outcome else "",
        state.upcoming_sleep,
        state.attempt_number + 1,
        attempts,
    )
