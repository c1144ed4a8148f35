"""Whether NGAS lets this project do what it will have to do, found out by doing it with files of a few bytes.

A missing right, a mime type without a stream or a plug-in that changes what it stores show themselves nowhere but at
the first use. So for each mime type a tiny file under a fixed ID is archived, checked on each disk and retrieved from
each disk. The file is archived **once in the life of an NGAS**: what ``QUERY`` lists is not sent again, and without the
right to ``QUERY`` nothing is sent at all.
"""

from __future__ import annotations

import io
import re
import struct
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from srdp.domain.common.errors import SrdpError, quoted
from srdp.domain.ngas.archived_files import ArchivedFile
from srdp.domain.ngas.client import FileCheck, NgasClient
from srdp.domain.ngas.copies import unavailable
from srdp.domain.ngas.proof import own_versions
from srdp.domain.ngas.status import (
    NgasFileUnavailable,
    NgasLoginRefused,
    NgasRefused,
    NgasRightMissing,
    NgasStorageFull,
    StoredFile,
)

if TYPE_CHECKING:
    from srdp.hooks.ngas import NgasHook

#: The commands that the account of the NGAS connection must be allowed to use.
RIGHTS = ("STATUS", "QUERY", "ARCHIVE", "CHECKFILE", "RETRIEVE")
_FILE_ID = "srdp-probe"
_NOT_IN_AN_ID = re.compile(r"[^A-Za-z0-9]+")
_SECONDS = 5.0
# A server refuses more than ten requests at once, and others use it too.
_AT_ONCE = 3
_WHAT_IS_NEEDED = (
    "In the configuration of NGAS this mime type needs a <MimeTypeMap> and a <Stream> whose plug-in keeps bytes and "
    "file ID, ngamsGenDapi, on each node that archives"
)


@dataclass(frozen=True)
class NgasProblem:
    """Something that must be changed before a run can be archived or fetched.

    Attributes:
        about: the command that may not be used, the mime type that is not taken, or the server.
        sentence: what is wrong, and what to do.
    """

    about: str
    sentence: str


@dataclass(frozen=True)
class NgasProbe:
    """What was found out about an NGAS server.

    Attributes:
        server: the server that was asked, ``host:port``.
        node: the node that answered, as NGAS calls it; empty if it did not say.
        disks: by mime type, the disks on which its file was checked and from which it came back as it was sent.
        archived: the mime types whose file was archived now, for the first time.
        problems: everything that is wrong; none means that the project can work with this server.
    """

    server: str
    node: str = ""
    disks: dict[str, tuple[str, ...]] = field(default_factory=dict)
    archived: tuple[str, ...] = ()
    problems: tuple[NgasProblem, ...] = ()

    @property
    def is_right(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def __str__(self) -> str:
        """Say it in a line."""
        if self.problems:
            return " ".join(dict.fromkeys(problem.sentence for problem in self.problems))
        copies = ", ".join(f"{mime_type} on {len(disks)} disk(s)" for mime_type, disks in sorted(self.disks.items()))
        node = f" (node {quoted(self.node)})" if self.node else ""
        return f"NGAS server {self.server}{node} archives, checks and serves {copies}."


def probe_ngas(hook: NgasHook, mime_types: Sequence[str]) -> NgasProbe:
    """Find out whether the receiving server of an NGAS connection can be worked with; see the module.

    Args:
        hook: the hook of the connection; it is read here, in the thread that calls.
        mime_types: every mime type that the project archives with.

    Raises:
        SettingsError: the connection is missing, wrong, or names no server.
    """
    client = hook.receiving_client(at_most_seconds=_SECONDS)
    probe = _Probe(client)
    with probe.explained("STATUS", client.server):
        probe.node = client.health().host_id
    # Nobody answers, or not to this account: the rest would say the same again.
    if not probe.problems or isinstance(probe.first_error, NgasRightMissing):
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="ngas-probe") as pool:
            list(pool.map(probe.try_mime_type, dict.fromkeys(mime_types)))
    return NgasProbe(
        client.server, probe.node, dict(sorted(probe.disks.items())), tuple(sorted(probe.archived)), probe.found()
    )


class _Probe:
    def __init__(self, client: NgasClient) -> None:
        self.node = ""
        self.disks: dict[str, tuple[str, ...]] = {}
        self.archived: list[str] = []
        self.problems: list[NgasProblem] = []
        self.first_error: SrdpError | None = None
        self._client = client

    def found(self) -> tuple[NgasProblem, ...]:
        """Return each problem once, in the order of the commands."""
        order = {about: place for place, about in enumerate(RIGHTS)}
        return tuple(
            sorted(dict.fromkeys(self.problems), key=lambda problem: (order.get(problem.about, 99), problem.about))
        )

    @contextmanager
    def explained(self, command: str, about: str) -> Iterator[None]:
        """Have an error become a problem: of the command if it is a right that is missing, else of what it is about."""
        try:
            yield
        except NgasRightMissing as error:
            self._add(error, command, f"The account of the NGAS connection lacks the right to {command} (HTTP 403): "
                      f"have the operators of NGAS give it {', '.join(RIGHTS)}.")  # fmt: skip
        except NgasLoginRefused as error:
            self._add(error, self._client.server, f"NGAS server {self._client.server} does not accept the login of the "
                      "NGAS connection (HTTP 401): set the right user and password there.")  # fmt: skip
        except SrdpError as error:
            self._add(error, about, str(error))

    def _add(self, error: SrdpError, about: str, sentence: str) -> None:
        self.first_error = self.first_error or error
        self.problems.append(NgasProblem(about, sentence))

    def try_mime_type(self, mime_type: str) -> None:
        """Archive the file of a mime type unless it is there, and check and retrieve each of its copies."""
        file_id, data = probe_file(mime_type)
        records: tuple[StoredFile, ...] | None = None
        with self.explained("QUERY", mime_type):
            records = self._client.query_files(file_id)
        if records == ():
            records = self._archived(mime_type, file_id, data)
        if records:
            with self.explained("QUERY", mime_type):
                self._try_copies(mime_type, data, records)

    def _archived(self, mime_type: str, file_id: str, data: bytes) -> tuple[StoredFile, ...]:
        records: tuple[StoredFile, ...] = ()
        with self.explained("ARCHIVE", mime_type):
            try:
                self._client.archive(file_id, _Bytes(data), mime_type=mime_type, crc32=zlib.crc32(data))
            except NgasStorageFull:
                raise
            except NgasRefused as error:
                # Some refusals come from a plug-in that failed, with a sentence of Python's own.
                raise NgasRefused(f"{error} {mime_type} is not taken. {_WHAT_IS_NEEDED}.") from None
            self.archived.append(mime_type)
            records = self._client.query_files(file_id)
            if not records:
                raise NgasRefused(
                    f"NGAS server {self._client.server} said that it has stored {quoted(file_id)}, but does not list "
                    f"it: the plug-in for {mime_type} gave it another ID. {_WHAT_IS_NEEDED}."
                )
        return records

    def _try_copies(self, mime_type: str, data: bytes, records: tuple[StoredFile, ...]) -> None:
        file_id, size, crc32 = records[0].file_id, len(data), zlib.crc32(data)
        try:
            version = own_versions(self._client.server, file_id, size, crc32, records)[-1]
        except SrdpError as error:
            raise NgasRefused(f"{error} Or the plug-in for {mime_type} changed it. {_WHAT_IS_NEEDED}.") from None
        file = ArchivedFile(file_id, version, size, crc32)
        good = []
        for disk_id in dict.fromkeys(record.disk_id for record in records if record.version == version):
            done = []
            with self.explained("CHECKFILE", mime_type):
                done.append(self._check(file, disk_id))
            with self.explained("RETRIEVE", mime_type):
                done.append(self._retrieve(file, disk_id, data))
            good += [disk_id] if len(done) == 2 else []
        self.disks[mime_type] = tuple(good)

    def _check(self, file: ArchivedFile, disk_id: str) -> str:
        with self._explained(file, disk_id):
            if self._client.check_file(file.file_id, file.version, disk_id=disk_id) is not FileCheck.INTACT:
                raise NgasRefused(f"{self._copy(file, disk_id)} is corrupt: tell the operators of NGAS.")
        return disk_id

    def _retrieve(self, file: ArchivedFile, disk_id: str, data: bytes) -> str:
        with (
            self._explained(file, disk_id),
            self._client.retrieve(file.file_id, file.version, disk_id=disk_id) as reply,
        ):
            if b"".join(reply.blocks()) != data:
                raise NgasRefused(
                    f"{self._copy(file, disk_id)} does not come back as it was sent: tell the operators of NGAS."
                )
        return disk_id

    @contextmanager
    def _explained(self, file: ArchivedFile, disk_id: str) -> Iterator[None]:
        try:
            yield
        except NgasFileUnavailable as error:
            raise unavailable(self._client, error, file.recorded, disk_id=disk_id) from None

    def _copy(self, file: ArchivedFile, disk_id: str) -> str:
        return f"The copy of {quoted(file.file_id)} on disk {quoted(disk_id)} of NGAS server {self._client.server}"


class _Bytes:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def __len__(self) -> int:
        return len(self._data)

    def __iter__(self) -> Iterator[bytes]:
        yield self._data


def probe_file(mime_type: str) -> tuple[str, bytes]:
    """Return the ID and the bytes of the file for a mime type: the same forever, and a valid file of its kind.

    Args:
        mime_type: the mime type.
    """
    name = _NOT_IN_AN_ID.sub("-", mime_type).strip("-").lower()
    file_id = f"{_FILE_ID}.{name}"[:50] + f".{zlib.crc32(mime_type.encode()):08x}"
    text = f"srdp-workflows: a probe, archived once, to prove that NGAS takes {mime_type}.\n".encode()
    if "fits" in name:
        cards = (
            "SIMPLE  =                    T",
            "BITPIX  =                    8",
            "NAXIS   =                    0",
            "END",
        )
        return file_id, "".join(card.ljust(80) for card in cards).ljust(2880).encode()
    if "gz" in name:
        return file_id, _gzip(text)
    return file_id, _tar(text) if "tar" in name else text


def _gzip(text: bytes) -> bytes:
    # By hand (RFC 1952, one stored block of RFC 1951): what a library writes differs from one release to the next.
    stored = struct.pack("<BHH", 1, len(text), len(text) ^ 0xFFFF) + text
    return b"\x1f\x8b\x08" + bytes(6) + b"\xff" + stored + struct.pack("<II", zlib.crc32(text), len(text))


def _tar(text: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        member = tarfile.TarInfo("probe.txt")
        member.size = len(text)
        tar.addfile(member, io.BytesIO(text))
    return buffer.getvalue()
