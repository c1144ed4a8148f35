"""What an NGAS server says: ``NgamsStatus`` documents, their error codes, and what may be tried again.

An NGAS server answers nearly every failure with HTTP 400; only the code in the document's ``Message``, for example
``NGAMS_ER_UNAVAIL_FILE:4019``, tells them apart. A code is also found in replies that call themselves a success.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from http import HTTPStatus

from srdp.domain.checksums import unsigned_checksum
from srdp.domain.errors import InvalidInput, ServiceUnavailable, SettingsError, SrdpError, quoted
from srdp.domain.safe_xml import XmlElement, parse_xml


class NgasCode(IntEnum):
    """The codes that decide something here; every other code is a refusal."""

    NO_STORAGE_SET = 3014
    SERVER_OFFLINE = 4015
    FILE_UNAVAILABLE = 4019
    FILE_INTACT = 4056
    FILE_CORRUPT = 4057


_CODE = re.compile(r"\bNGAMS_[A-Z0-9_]+:(\d{4})\b", re.ASCII)


class NgasRefused(SrdpError):
    """An NGAS server refused a request, and would refuse it again.

    Attributes:
        code: the first code of its message; None if it has none.
    """

    def __init__(self, sentence: str, code: int | None = None) -> None:
        super().__init__(sentence)
        self.code = code


class NgasFileUnavailable(NgasRefused):
    """The server does not have the file (4019)."""


class NgasStorageFull(NgasRefused):
    """The server has no storage that could take the file (3014): its operators must act."""


@dataclass(frozen=True)
class StoredFile:
    """One version of a file as an NGAS server has recorded it; not a proof that its bytes are there.

    Attributes:
        file_id: the name under which it is retrieved.
        version: counted from 1.
        size: in bytes, as it is stored.
        checksum: unsigned, or None if the server has recorded none.
        checksum_type: as the server names it; empty if it has recorded none.
    """

    file_id: str
    version: int
    size: int
    checksum: int | None
    checksum_type: str


@dataclass(frozen=True)
class NgasStatus:
    """A ``NgamsStatus`` document.

    Attributes:
        succeeded: whether it says ``SUCCESS``; read :attr:`codes` too, a corrupt file is a success.
        message: the server's own words; hostile, to be quoted.
        online: False if the server says that it is offline.
        codes: all codes of the message, in their order.
        files: the files that it describes.
    """

    succeeded: bool
    message: str
    online: bool
    codes: tuple[int, ...]
    files: tuple[StoredFile, ...]


def parse_status(content: bytes, server: str) -> NgasStatus:
    """Returns a ``NgamsStatus`` document; its document type, which it names by a URL, is never loaded.

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
        files=tuple(_stored_file(element, server) for element in document.iter("FileStatus")),
    )


def _stored_file(element: XmlElement, server: str) -> StoredFile:
    return stored_file(
        {
            "file_id": element.get("FileId"),
            "file_version": element.get("FileVersion"),
            "file_size": element.get("FileSize"),
            "checksum": element.get("Checksum"),
            "checksum_plugin": element.get("ChecksumPlugIn"),
        },
        server,
    )


def stored_file(record: dict[str, object], server: str) -> StoredFile:
    """Returns a file from a record with the names of NGAS's own table ``ngas_files``.

    Args:
        record: ``file_id``, ``file_version``, ``file_size``, ``checksum`` and ``checksum_plugin``; others are ignored.
        server: ``host:port`` of the server, for the sentence of an error.

    Raises:
        InvalidInput: a value is missing or not a number where it must be one.
    """
    checksum = record.get("checksum")
    try:
        return StoredFile(
            file_id=str(record["file_id"]),
            version=int(str(record["file_version"])),
            size=int(str(record["file_size"])),
            checksum=None if checksum in (None, "") else unsigned_checksum(checksum),
            checksum_type=str(record.get("checksum_plugin") or ""),
        )
    except (KeyError, ValueError, InvalidInput) as error:
        raise InvalidInput(
            f"NGAS server {server} describes file {quoted(record.get('file_id'))} in a form that is not understood: "
            f"{quoted(error)}."
        ) from None


def refusal(http_status: int, content: bytes, server: str, request: str) -> SrdpError:
    """Returns the error that a reply means which is no success.

    Only what heals by itself is a :class:`ServiceUnavailable`: HTTP 503 (more requests at once than the server takes)
    and a server that is offline.

    Args:
        http_status: the status of the HTTP reply.
        content: its body.
        server: ``host:port``.
        request: what was asked, for the sentence, for example ``RETRIEVE of 'a-file'``.
    """
    if http_status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        return SettingsError(
            f"NGAS server {server} refused {request} with HTTP {http_status}: set the right login and password in the "
            "NGAS connection."
        )
    if http_status == HTTPStatus.SERVICE_UNAVAILABLE:
        return ServiceUnavailable(f"NGAS server {server} has too many requests at once (HTTP 503) for {request}.")
    try:
        status = parse_status(content, server)
    except InvalidInput:
        return NgasRefused(f"NGAS server {server} answered {request} with HTTP {http_status} and no explanation.")
    return _refusal_by_code(status, http_status, server, request)


def _refusal_by_code(status: NgasStatus, http_status: int, server: str, request: str) -> SrdpError:
    if not status.online or NgasCode.SERVER_OFFLINE in status.codes:
        return ServiceUnavailable(f"NGAS server {server} is offline and did not serve {request}.")
    if NgasCode.FILE_UNAVAILABLE in status.codes:
        return NgasFileUnavailable(
            f"NGAS server {server} does not have the file ({request}, code {NgasCode.FILE_UNAVAILABLE}): ask the "
            "archive's operators where it is.",
            NgasCode.FILE_UNAVAILABLE,
        )
    if NgasCode.NO_STORAGE_SET in status.codes:
        return NgasStorageFull(
            f"NGAS server {server} has no storage left for {request} (code {NgasCode.NO_STORAGE_SET}): tell the "
            "archive's operators.",
            NgasCode.NO_STORAGE_SET,
        )
    return NgasRefused(
        f"NGAS server {server} refused {request} with HTTP {http_status}: {quoted(status.message, 200)}.",
        status.codes[0] if status.codes else None,
    )
