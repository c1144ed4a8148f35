"""A client of one NGAS server, with everything that the real server is known to do differently from the textbook.

* It speaks HTTP/1.0, one request a connection; an ``Expect`` header would cost a second, HEAD gets no reply.
* Login is Basic and preemptive: a 401 carries no challenge.
* ``Range`` is answered with HTTP **200** and ``Content-Range``.
* ``CHECKFILE`` looks at version 1 unless a version is given, and calls a corrupt file a ``SUCCESS``.
* One version may have several copies, each on a disk: without ``disk_id``, ``CHECKFILE`` and ``RETRIEVE`` each choose
  one by themselves, and not the same one.
* A stalled connection is closed without a word after 60 s, so this client gives up sooner.

The client makes one attempt at everything; its caller decides about more (see :mod:`srdp.domain.raw_data.fetch`
and :mod:`srdp.domain.archiving.upload`), by the class of the error alone:
:class:`~srdp.domain.common.errors.ServiceUnavailable` may be tried again, nothing else.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from http import HTTPStatus
from typing import Protocol
from urllib.parse import SplitResult, quote, unquote, urlencode, urljoin, urlsplit, urlunsplit

import requests
from requests.auth import HTTPBasicAuth

from srdp.domain.common.errors import InvalidInput, ServiceUnavailable, SettingsError, quoted
from srdp.domain.ngas.connections import ConnectionStalled, connection_errors
from srdp.domain.ngas.direct_http import direct_session
from srdp.domain.ngas.retrieval import Retrieval
from srdp.domain.ngas.status import (
    Disk,
    NgasCode,
    NgasRefused,
    NgasStatus,
    StoredFile,
    disk,
    parse_status,
    refusal,
    stored_file,
)
from srdp.domain.site.allowed_hosts import AllowedHosts

_LARGEST_REPLY_BYTES = 64 << 20
# How long a reply that is held as a whole may take from its beginning to its end, however it trickles.
_REPLY_SECONDS = 600.0
# What a server that reads a whole file before it answers is given beyond the time for a stall; slow disks do better.
_READING_BYTES_PER_SECOND = 20e6
_MOST_REDIRECTS = 4
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PORTS = {"http": 80, "https": 443}
_SERVER = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252}[A-Za-z0-9])?:(?P<port>\d{1,5})", re.ASCII)


def ngas_server(value: object) -> str:
    """Return the value as the name of an NGAS server, ``host:port``.

    Raises:
        InvalidInput: it does not have that form.
    """
    if isinstance(value, str) and (match := _SERVER.fullmatch(value)) and 0 < int(match["port"]) < 2**16:
        return value
    raise InvalidInput(f"{quoted(value)} is not the name of an NGAS server: it has the form host:port")


@dataclass(frozen=True)
class NgasLogin:
    """What a server wants to know about us."""

    user: str
    password: str = field(repr=False)


class Body(Protocol):
    """What is to be sent: blocks of bytes, and their total size, which NGAS needs first."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[bytes]: ...


class FileCheck(Enum):
    """What ``CHECKFILE`` found out about a stored file."""

    INTACT = "intact"
    CORRUPT = "corrupt"


class NgasClient:
    """A client of one NGAS server; it holds no connection and may be used from many threads.

    Proxies and ``.netrc`` of the environment are not heeded: archive servers are reached directly. A server may send a
    request on to another whose host is allowed. That server is asked the same: of a redirection nothing but host and
    port is taken, and one that would change more is refused.

    Args:
        server: ``host:port``.
        scheme: ``http`` or ``https``.
        login: sent with every request, also to a server that this one sends us on to; None sends none.
        hosts: the hosts to which anything is sent; None: this server's own.
        connect_seconds: how long a connection may take to be made.
        stall_seconds: how long nothing may come; the server itself closes after 60 s.
        health_seconds: how long the server may take to say how it is, for which it reads no file.
    """

    def __init__(
        self,
        server: str,
        *,
        scheme: str = "http",
        login: NgasLogin | None = None,
        hosts: AllowedHosts | None = None,
        connect_seconds: float = 10.0,
        stall_seconds: float = 50.0,
        health_seconds: float = 5.0,
    ) -> None:
        self.server = ngas_server(server)
        self._base = f"{scheme}://{self.server}/"
        self._hosts = hosts or AllowedHosts([self.server.rpartition(":")[0]])
        self._auth = HTTPBasicAuth(login.user.encode(), login.password.encode()) if login else None
        self._connect_seconds = connect_seconds
        self._stall_seconds = stall_seconds
        self._health_seconds = health_seconds

    def retrieve(self, file_id: str, version: int | None = None, *, offset: int = 0, disk_id: str = "") -> Retrieval:
        """Begins to fetch a file.

        Args:
            file_id: the name under which it is stored.
            version: counted from 1; the latest if it is not given.
            disk_id: the disk whose copy is wanted; empty lets the server choose, which need not choose a good one.
            offset: the first byte that is wanted; look at :attr:`Retrieval.start` for what comes.

        Raises:
            ServiceUnavailable: the server cannot be reached or cannot serve now.
            NgasRefused: it refuses; see the subclasses.
            SettingsError: it does not accept the login.
        """
        request = f"RETRIEVE of {quoted(file_id)}{_on(disk_id)}"
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        response = self._get("RETRIEVE", _file(file_id, version, disk_id), request, headers)
        self._must_be_success(response, request)
        return Retrieval(response, self.server, request, self._stall_seconds)

    def status(self, file_id: str, version: int | None = None) -> NgasStatus:
        """Return what the server has recorded about a file; no proof that its bytes are there.

        Raises:
            NgasFileUnavailable: the server has no record of it.
        """
        return self._status("STATUS", _file(file_id, version), f"STATUS of {quoted(file_id)}")

    def health(self) -> NgasStatus:
        """Return the server's own status.

        Soon, whatever else takes long: ask for it before anything that a server which has stalled would hold up.

        Raises:
            ServiceUnavailable: it cannot be reached, does not answer, or is offline.
        """
        status = self._status("STATUS", {}, "STATUS", self._health_seconds)
        if not status.online:
            raise ServiceUnavailable(f"NGAS server {self.server} is offline.")
        return status

    def archive(self, file_id: str, body: Body, *, mime_type: str, crc32: int) -> NgasStatus:
        """Send a file once and return what the server says that it stored: not yet a proof.

        If there is a file of this ID, another version is made of it, the same bytes or not: use
        :func:`srdp.domain.archiving.upload.archive`, which looks first.

        Args:
            file_id: the name under which it is to be stored.
            body: the file; an error that it raises ends the connection, and the server stores nothing.
            mime_type: one that the server is configured for.
            crc32: the CRC-32 of the whole body; the server refuses other bytes.

        Raises:
            ConnectionFailed: no reply came; the file is stored, or it is not.
            ServiceUnavailable: the server cannot take it now.
            NgasStorageFull: it has no storage for it.
            NgasRefused: it refuses for another reason.
            InvalidInput: what it answers is not understood; the file may be stored.
        """
        request = f"ARCHIVE of {quoted(file_id)}"
        # No versioning=0, which may overwrite what is there.
        parameters = {"filename": file_id, "file_id": file_id, "mime_type": mime_type, "crc_variant": "crc32"}
        response = self._request_once(
            "POST",
            self._url("ARCHIVE", parameters),
            request,
            headers={"Content-Type": mime_type, "NGAS-File-CRC": str(crc32)},
            body=body,
            reply_seconds=self._reading_seconds(len(body)),
        )
        return self._succeeded(response, request)

    def check_file(self, file_id: str, version: int, *, disk_id: str = "", size_bytes: int = 0) -> FileCheck:
        """Return what the server finds when it reads a stored file again and make its checksum.

        Args:
            file_id: the name under which it is stored.
            version: always to be given, because the server's default is the first, not the latest.
            disk_id: the disk whose copy is read; empty lets the server choose, and proves nothing of the other copies.
            size_bytes: the file's size as far as it is known: the server reads all of it before it answers.

        Raises:
            ServiceUnavailable: the server did not answer, or is offline: that says nothing about the file.
            NgasFileUnavailable: the file is not there.
            NgasRefused: the file is not there, or the reply says neither that it is intact nor that it is corrupt.
        """
        request = f"CHECKFILE of {quoted(file_id)} version {version}{_on(disk_id)}"
        parameters = _file(file_id, version, disk_id)
        status = self._status("CHECKFILE", parameters, request, self._reading_seconds(size_bytes))
        if not status.online:
            raise ServiceUnavailable(f"NGAS server {self.server} is offline: its answer to {request} proves nothing.")
        # The reply to a corrupt file is an HTTP 200 with Status="SUCCESS": only the code shows it.
        if NgasCode.FILE_CORRUPT in status.codes:
            return FileCheck.CORRUPT
        if NgasCode.FILE_INTACT in status.codes:
            return FileCheck.INTACT
        raise NgasRefused(f"NGAS server {self.server} answered {request} with {quoted(status.message, 200)}.")

    def query_files(self, file_id: str) -> tuple[StoredFile, ...]:
        """Return all versions, on all disks, of what is stored under a file ID: the way to ask if it is there already.

        Args:
            file_id: the name under which it would be stored, exactly.

        Raises:
            InvalidInput: the reply is not what a query answers.
        """
        request = f"QUERY for {quoted(file_id)}"
        # The server matches with SQL's LIKE, in which an underscore stands for any letter.
        return tuple(
            stored_file(row, self.server)
            for row in self._query({"query": "files_like", "like": file_id}, request)
            if row.get("file_id") == file_id
        )

    def disks(self) -> dict[str, Disk]:
        """Return the disks of all nodes by their IDs; none if the server does not say.

        Raises:
            ServiceUnavailable: the server did not answer.
        """
        try:
            return dict(disk(row) for row in self._query({"query": "disks_list"}, "QUERY for its disks"))
        except (NgasRefused, SettingsError, InvalidInput):
            return {}  # it only makes a sentence clearer

    def _query(self, parameters: Mapping[str, str], request: str) -> list[dict[str, object]]:
        response = self._get("QUERY", {**parameters, "format": "json"}, request)
        self._must_be_success(response, request)
        try:
            records = json.loads(self._content(response, request))
        except (ValueError, RecursionError):
            records = None
        if isinstance(records, list) and all(isinstance(row, dict) for row in records):
            return records
        raise InvalidInput(f"NGAS server {self.server} answered {request} with something else.")

    def _status(
        self, command: str, parameters: Mapping[str, str], request: str, reply_seconds: float | None = None
    ) -> NgasStatus:
        response = self._get(command, parameters, request, reply_seconds=reply_seconds)
        return self._succeeded(response, request, reply_seconds or _REPLY_SECONDS)

    def _succeeded(self, response: requests.Response, request: str, seconds: float = _REPLY_SECONDS) -> NgasStatus:
        self._must_be_success(response, request)
        content = self._content(response, request, seconds)
        status = parse_status(content, self.server)
        if not status.succeeded:
            raise refusal(response.status_code, content, self.server, request)
        return status

    def _reading_seconds(self, size_bytes: int) -> float:
        return self._stall_seconds + size_bytes / _READING_BYTES_PER_SECOND

    def _url(self, command: str, parameters: Mapping[str, str]) -> str:
        query = urlencode(parameters, quote_via=quote)
        return urljoin(self._base, f"{command}?{query}" if query else command)

    def _get(
        self,
        command: str,
        parameters: Mapping[str, str],
        request: str,
        headers: Mapping[str, str] | None = None,
        *,
        reply_seconds: float | None = None,
    ) -> requests.Response:
        url = self._url(command, parameters)
        for _ in range(_MOST_REDIRECTS + 1):
            response = self._request_once("GET", url, request, headers=headers, reply_seconds=reply_seconds)
            if response.status_code not in _REDIRECTS:
                return response
            response.close()
            url = self._sent_on(url, response.headers.get("Location", ""), request)
        raise NgasRefused(f"NGAS server {self.server} sent {request} on to other servers in a circle.")

    def _request_once(
        self,
        method: str,
        url: str,
        request: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body | None = None,
        reply_seconds: float | None = None,
    ) -> requests.Response:
        # A session of its own for each request: sessions are not made for threads, and no connection is used twice.
        session = direct_session(self._hosts)
        reply_seconds = reply_seconds or self._stall_seconds
        connect_seconds = min(self._connect_seconds, reply_seconds)
        if body is not None:
            # The time to connect is also the time in which each block of a body must get away.
            connect_seconds = max(self._connect_seconds, self._stall_seconds)
        with connection_errors(self.server, request):
            return session.request(
                method,
                url,
                data=body,
                headers={"Connection": "close", "Accept-Encoding": "identity", **(headers or {})},
                auth=self._auth,
                timeout=(connect_seconds, reply_seconds),
                stream=True,
                allow_redirects=False,
            )

    def _sent_on(self, url: str, location: str, request: str) -> str:
        """Return the same address on the server to which a redirection leads."""
        sent_on = f"NGAS server {self.server} sent {request} on to {quoted(location)}"
        try:
            asked, target = urlsplit(url), urlsplit(urljoin(url, location))
            port = _PORTS.get(target.scheme) if target.port is None else target.port
            server = ngas_server(f"{target.hostname or ''}:{port}")
            usable = bool(location) and "@" not in target.netloc
        except (ValueError, InvalidInput):
            usable = False
        if not usable:
            raise NgasRefused(f"{sent_on}, which is not the address of an NGAS server.")
        if _question(target) != _question(asked):
            raise NgasRefused(
                f"{sent_on}, which would change more than the server that is asked, and it was not asked: tell the "
                "operators of NGAS."
            )
        self._hosts.check_server(server, f"NGAS server {self.server}, asked for {request},")
        return urlunsplit(asked._replace(netloc=server))

    def _must_be_success(self, response: requests.Response, request: str) -> None:
        if response.status_code in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
            return
        # A busy server resets the connection behind its 503: what it says besides cannot be read.
        busy = response.status_code == HTTPStatus.SERVICE_UNAVAILABLE
        content = b"" if busy else self._content(response, request)
        response.close()
        raise refusal(response.status_code, content, self.server, request)

    def _content(self, response: requests.Response, request: str, seconds: float = _REPLY_SECONDS) -> bytes:
        content = bytearray()
        give_up = time.monotonic() + seconds
        with Retrieval(response, self.server, request, self._stall_seconds) as reply:
            for block in reply.blocks():
                content += block
                if time.monotonic() > give_up:
                    raise ConnectionStalled(
                        f"NGAS server {self.server} failed at {request}: its answer had not come to an end after "
                        f"{seconds:g} s."
                    )
                if len(content) > _LARGEST_REPLY_BYTES:
                    raise InvalidInput(
                        f"NGAS server {self.server} answered {request} with more than {_LARGEST_REPLY_BYTES} bytes."
                    )
        return bytes(content)


def _question(url: SplitResult) -> tuple[str, str, list[str]]:
    """Return all of an address but its server; older servers spell parameters again, without escapes."""
    return url.scheme, url.path, sorted(unquote(parameter) for parameter in url.query.split("&"))


def _file(file_id: str, version: int | None, disk_id: str = "") -> dict[str, str]:
    wanted = {"file_id": file_id, "file_version": None if version is None else str(version), "disk_id": disk_id}
    return {name: value for name, value in wanted.items() if value}


def _on(disk_id: str) -> str:
    return f" on disk {quoted(disk_id)}" if disk_id else ""
