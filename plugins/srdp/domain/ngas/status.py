"""What an NGAS server says: ``NgamsStatus`` documents, their error codes, and what may be tried again.

An NGAS server answers nearly every failure with HTTP 400; only the code in the document's ``Message``, for example
``NGAMS_ER_UNAVAIL_FILE:4019``, distinguishes them. A code is also found in replies that call themselves a success.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from http import HTTPStatus

from srdp.domain.common.errors import (
    InvalidInput,
    OperatorsNeeded,
    ServiceUnavailable,
    SettingsError,
    SrdpError,
    quoted,
)
from srdp.domain.common.outside_numbers import real_number, whole_number
from srdp.domain.common.safe_xml import XmlElement, parse_xml
from srdp.domain.ngas.checksums import unsigned_checksum


class NgasCode(IntEnum):
    """The codes that decide something here; every other code is a refusal."""

    NO_STORAGE_SET = 3014
    MISSING_URI = 4013
    SERVER_OFFLINE = 4015
    FILE_UNAVAILABLE = 4019
    UNKNOWN_MIME_TYPE = 4047
    FILE_INTACT = 4056
    FILE_CORRUPT = 4057


_CODE = re.compile(r"\bNGAMS_[A-Z0-9_]+:(\d{4})\b", re.ASCII)
_LARGEST_FILE_BYTES = 2**53
_LARGEST_VERSION = 2**31 - 1


class NgasRefused(SrdpError):
    """An NGAS server refused a request, and would refuse it again.

    Attributes:
        code: the first code of its message; None if it has none.
    """

    def __init__(self, sentence: str, code: int | None = None) -> None:
        super().__init__(sentence)
        self.code = code


class NgasFileUnavailable(NgasRefused):
    """The server does not serve the file (4019): it does not have it, or not now.

    No reply says which of them it is: see :func:`srdp.domain.ngas.copies.unavailable`.
    """


class NgasMimeTypeRefused(NgasRefused):
    """The server has no stream for this mime type (4047)."""


class NgasStorageFull(NgasRefused, OperatorsNeeded):
    """The server has no storage that could take the file: its operators must act."""


class NgasRightMissing(SettingsError):
    """The account may not use this command (403)."""


class NgasLoginRefused(SettingsError):
    """The server does not know the account, or its password is another (401)."""


class NgasFileAway(ServiceUnavailable):
    """The file is in NGAS, and cannot be had now: the node that has it is away."""


@dataclass(frozen=True)
class _Answer:
    """What a reply means that is no success.

    Attributes:
        error: the class of the error.
        sentence: its sentence, with ``{server}``, ``{request}`` and ``{code}`` to be filled in.
    """

    error: type[SrdpError]
    sentence: str


#: Everything that NGAS answers and that is no success, by HTTP status or by the code in its message. What is not here
#: is :class:`NgasRefused`. A connection that fails, is reset or closed without a reply is
#: :class:`srdp.domain.ngas.connections.ConnectionFailed`, which is transient too.
ANSWERS: Mapping[HTTPStatus | NgasCode, _Answer] = {
    HTTPStatus.UNAUTHORIZED: _Answer(
        NgasLoginRefused,
        "NGAS server {server} refused {request} with HTTP {code}: set the right login and password in the NGAS "
        "connection.",
    ),
    HTTPStatus.FORBIDDEN: _Answer(
        NgasRightMissing,
        "NGAS server {server} refused {request} with HTTP {code}: the account of the NGAS connection lacks the right "
        "to this command. Use the right login and password, or have the operators of NGAS give the account STATUS, "
        "QUERY, ARCHIVE, CHECKFILE and RETRIEVE.",
    ),
    HTTPStatus.SERVICE_UNAVAILABLE: _Answer(
        ServiceUnavailable, "NGAS server {server} has too many requests at once (HTTP {code}) for {request}."
    ),
    NgasCode.SERVER_OFFLINE: _Answer(
        ServiceUnavailable, "NGAS server {server} is offline and did not serve {request}."
    ),
    NgasCode.FILE_UNAVAILABLE: _Answer(
        NgasFileUnavailable,
        "NGAS server {server} does not have the file ({request}, code {code}): ask the archive's operators where it "
        "is.",
    ),
    NgasCode.NO_STORAGE_SET: _Answer(
        NgasStorageFull,
        "NGAS server {server} has no storage left for {request} (code {code}): its volumes are full, or none takes a "
        "file of this size and mime type; tell the archive's operators.",
    ),
    NgasCode.UNKNOWN_MIME_TYPE: _Answer(
        NgasMimeTypeRefused,
        "NGAS server {server} refused {request}: it has no stream for this mime type (code {code}). Have the operators "
        "of NGAS configure one with the plug-in ngamsGenDapi, or set another mime type.",
    ),
}


@dataclass(frozen=True)
class StoredFile:
    """One version of a file as an NGAS server has recorded it; not a proof that its bytes are there.

    Attributes:
        file_id: the name under which it is retrieved.
        version: counted from 1.
        size: in bytes, as it is stored.
        checksum: unsigned, or None if the server has recorded none.
        checksum_type: as the server names it; empty if it has recorded none.
        disk_id: the disk that it is on; empty if the server does not say.
    """

    file_id: str
    version: int
    size: int
    checksum: int | None
    checksum_type: str
    disk_id: str = ""


@dataclass(frozen=True)
class Disk:
    """A disk of an NGAS cluster, as its database has it.

    Attributes:
        host_id: the node that it is in; empty if none has it.
        free_bytes: what is free on it, as far as NGAS has looked; None if it does not say.
    """

    host_id: str
    free_bytes: float | None


@dataclass(frozen=True)
class NgasStatus:
    """A ``NgamsStatus`` document.

    Attributes:
        succeeded: whether it says ``SUCCESS``; read :attr:`codes` too, a corrupt file is a success.
        message: the server's own words; hostile, to be quoted.
        online: False if the server says that it is offline.
        codes: all codes of the message, in their order.
        files: the files that it describes.
        host_id: the node that answers, as its database calls it; empty if it does not say.
    """

    succeeded: bool
    message: str
    online: bool
    codes: tuple[int, ...]
    files: tuple[StoredFile, ...]
    host_id: str = ""


def parse_status(content: bytes, server: str) -> NgasStatus:
    """Return a ``NgamsStatus`` document; its document type, which it names by a URL, is never loaded.

    Args:
        content: the document's bytes.
        server: ``host:port`` of the server, for the sentence of an error.

    Raises:
        InvalidInput: it is not such a document.
    """
    document = parse_xml(content, f"The reply of NGAS server {server}", root="NgamsStatus", doctype_allowed=True)
    status = document.find("Status")
    if status is None:
        raise InvalidInput(f"The reply of NGAS server {server} holds no <Status>: it is not an NGAS server's reply.")
    message = status.get("Message", "")
    return NgasStatus(
        succeeded=status.get("Status") == "SUCCESS",
        message=message,
        online=status.get("State") != "OFFLINE",
        codes=tuple(int(code) for code in _CODE.findall(message)),
        files=tuple(_stored_files(document, server)),
        host_id=status.get("HostId", ""),
    )


def _stored_files(document: XmlElement, server: str) -> Iterator[StoredFile]:
    for disk in document.iter("DiskStatus"):
        for element in disk.iter("FileStatus"):
            yield _stored_file(element, disk.get("DiskId", ""), server)


def _stored_file(element: XmlElement, disk_id: str, server: str) -> StoredFile:
    return stored_file(
        {
            "disk_id": disk_id,
            "file_id": element.get("FileId"),
            "file_version": element.get("FileVersion"),
            "file_size": element.get("FileSize"),
            "checksum": element.get("Checksum"),
            "checksum_plugin": element.get("ChecksumPlugIn"),
        },
        server,
    )


def stored_file(record: dict[str, object], server: str) -> StoredFile:
    """Return a file from a record with the names of NGAS's own table ``ngas_files``.

    Args:
        record: ``disk_id``, ``file_id``, ``file_version``, ``file_size``, ``checksum`` and ``checksum_plugin``; others
            are ignored. Numbers may have any spelling.
        server: ``host:port`` of the server, for the sentence of an error.

    Raises:
        InvalidInput: a value is missing or not a number where it must be one.
    """
    checksum = record.get("checksum")
    try:
        return StoredFile(
            file_id=str(record["file_id"]),
            version=whole_number(record["file_version"], lowest=1, highest=_LARGEST_VERSION, what="version"),
            size=whole_number(record["file_size"], lowest=0, highest=_LARGEST_FILE_BYTES, what="size in bytes"),
            checksum=None if checksum in (None, "") else unsigned_checksum(checksum),
            checksum_type=str(record.get("checksum_plugin") or ""),
            disk_id=str(record.get("disk_id") or ""),
        )
    except (KeyError, InvalidInput) as error:
        raise InvalidInput(
            f"NGAS server {server} describes file {quoted(record.get('file_id'))} in a form that is not understood: "
            f"{error}."
        ) from None


def disk(record: Mapping[str, object]) -> tuple[str, Disk]:
    """Return the ID of a disk, and the disk, from a record with the names of NGAS's own table ``ngas_disks``.

    Args:
        record: ``disk_id``, ``host_id`` and ``available_mb``; others are ignored.
    """
    try:
        free = real_number(record.get("available_mb"), what="free space in MB") * 2**20
    except InvalidInput:
        free = None
    return str(record.get("disk_id") or ""), Disk(str(record.get("host_id") or ""), free)


def refusal(http_status: int, content: bytes, server: str, request: str) -> SrdpError:
    """Return the error that a reply means which is no success.

    Which class it has is in one table, :data:`ANSWERS`.

    Args:
        http_status: the status of the HTTP reply.
        content: its body.
        server: ``host:port``.
        request: what was asked, for the sentence, for example ``RETRIEVE of 'a-file'``.
    """
    if http_status in ANSWERS:
        return _error(HTTPStatus(http_status), server, request)
    try:
        status = parse_status(content, server)
    except InvalidInput:
        return NgasRefused(f"NGAS server {server} answered {request} with HTTP {http_status} and no explanation.")
    if not status.online:
        return _error(NgasCode.SERVER_OFFLINE, server, request)
    known = next((NgasCode(code) for code in status.codes if code in ANSWERS), None)
    if known is not None:
        return _error(known, server, request)
    return NgasRefused(
        f"NGAS server {server} refused {request} with HTTP {http_status}: {quoted(status.message, 200)}.",
        status.codes[0] if status.codes else None,
    )


def _error(key: HTTPStatus | NgasCode, server: str, request: str) -> SrdpError:
    answer = ANSWERS[key]
    sentence = answer.sentence.format(server=server, request=request, code=int(key))
    return answer.error(sentence, int(key)) if issubclass(answer.error, NgasRefused) else answer.error(sentence)
