"""One request in hand: what was asked, what is to go wrong with it, and how it is answered."""

from __future__ import annotations

import errno
import fcntl
import http.client
import os
import termios
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from sandbox.ngas.checksums import Checksum
from sandbox.ngas.faults import Fault
from sandbox.ngas.requests import Request
from sandbox.ngas.status import VERSION, NgasFailure, document, element, failure, timestamp
from sandbox.ngas.store import Store

BLOCK = 2**20
_GLANCE = 0.005
# The faults that befall a file while it is sent.
_CHANGING = frozenset({"cut", "stall", "slow", "corrupt", "wrong_size"})


class ConnectionDropped(Exception):
    """The connection ends without a reply, or in the middle of one.

    Attributes:
        reset: whether the client sees a reset; else the connection is just closed.
    """

    def __init__(self, why: str, *, reset: bool) -> None:
        super().__init__(why)
        self.reset = reset


@dataclass(frozen=True)
class Configuration:
    """What a site configures of a node.

    Attributes:
        replication: whether ARCHIVE puts a second copy onto another of its disks.
        numeric_sizes: whether its database keeps sizes as NUMERIC, as the schemas of PostgreSQL, MySQL and Sybase do.
        proxy_mode: whether it fetches from other nodes what a client asks of it; else it sends the client on (303).
        commands: the commands that its account may use; None for all.
        refused_mime_types: mime types that it does not take, and what it says then; one that it has no stream for is
            refused with 4047, another one with what its plug-in ended with.
    """

    replication: bool = False
    numeric_sizes: bool = False
    proxy_mode: bool = False
    commands: frozenset[str] | None = None
    refused_mime_types: Mapping[str, str | None] = field(default_factory=dict)


#: What the server's sample configuration does with the mime types that products have, on Python 3.11 and later: the
#: plug-in for tar files is not where it looks for it, the one for FITS files wants an ARCFILE keyword.
SAMPLE_MIME_TYPES: Mapping[str, str | None] = {
    "application/x-tar": "No module named 'ngasTarBallPlugIn'",
    "image/x-fits": "cannot access local variable 'filename' where it is not associated with a value",
    "application/x-gzip": None,
}


@dataclass(frozen=True)
class Node:
    """The server that the commands work on.

    Attributes:
        store: its files.
        host: its name.
        port: its port.
        stall_seconds: after how long without a byte a connection is closed.
        stopping: set when the server stops.
        configuration: how it is configured.
    """

    store: Store
    host: str
    port: int
    stall_seconds: float
    stopping: threading.Event
    configuration: Configuration

    @property
    def host_id(self) -> str:
        """The server's name in its own records."""
        return f"{self.host}:{self.port}"

    def wait(self, seconds: float) -> None:
        """Lets time pass, but not while the server stops.

        Raises:
            ConnectionDropped: the server stops.
        """
        if self.stopping.wait(seconds):
            raise ConnectionDropped("the server stops", reset=True)


class Call:
    """A request with its parameters, its faults and the way back to the client.

    Args:
        node: the server.
        handler: the connection.
        request: the record of the request.
        parameters: what the address says after the question mark.
        faults: what is to go wrong, by kind.
    """

    def __init__(
        self,
        node: Node,
        handler: BaseHTTPRequestHandler,
        request: Request,
        parameters: Mapping[str, str],
        faults: Mapping[str, Fault],
    ) -> None:
        self.node = node
        self.request = request
        self.parameters = parameters
        self.faults = faults
        self._handler = handler

    @property
    def offline(self) -> bool:
        """Whether the server is to answer as one that is offline."""
        return "offline" in self.faults

    @property
    def disk_id(self) -> str:
        """The disk that was asked for; empty if none was."""
        return self.parameters.get("disk_id", "")

    def relay(self, port: int) -> None:
        """Asks another node the same, and sends its answer on as it comes.

        Args:
            port: where the other node is reached.

        Raises:
            ConnectionDropped: it ended in the middle.
            OSError: it cannot be reached.
        """
        wanted = {name: value for name in ("Authorization", "Range") if (value := self.header(name))}
        connection = http.client.HTTPConnection(self.node.host, port, timeout=self.node.stall_seconds)
        try:
            connection.request("GET", self.target, headers=wanted)
            reply = connection.getresponse()
            kept = ("Content-Type", "Content-Length", "Content-Range", "Content-Disposition", "Accept-Ranges")
            self.reply_headers(reply.status, {name: value for name in kept if (value := reply.getheader(name))})
            while block := reply.read1(BLOCK):
                self._handler.wfile.write(block)
                self.request.sent += len(block)
            if reply.length:
                raise ConnectionDropped("the other node ended", reset=False)
        except http.client.HTTPException as error:
            raise ConnectionDropped(f"the other node ended: {error!r}", reset=False) from error
        finally:
            connection.close()

    def reaches(self, port: int) -> bool:
        """Return whether another node answers."""
        connection = http.client.HTTPConnection(self.node.host, port, timeout=self.node.stall_seconds)
        try:
            wanted = {name: value for name in ("Authorization",) if (value := self.header(name))}
            connection.request("GET", "/STATUS", headers=wanted)
            return b'State="ONLINE"' in connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def header(self, name: str) -> str | None:
        """Return a header of the request, or None."""
        return self._handler.headers.get(name)

    @property
    def target(self) -> str:
        """The address that was asked for, without the server."""
        return self._handler.path

    def version(self) -> int | None:
        """Return the ``file_version`` that was asked for; None if there is none, or -1, which NGAS takes for none.

        Raises:
            NgasFailure: it is not a number.
        """
        text = self.parameters.get("file_version", "")
        if not text:
            return None
        try:
            version = int(text)
        except ValueError as error:
            raise NgasFailure(str(error)) from error
        self.request.version = version
        return None if version == -1 else version

    def reply_status(
        self, message: str, *, success: bool = True, http_status: int = 200, elements: Sequence[str] = ()
    ) -> None:
        """Answers with an NgamsStatus document.

        Args:
            message: the ``Message``.
            success: whether ``Status`` is SUCCESS or FAILURE.
            http_status: the HTTP status.
            elements: what follows ``Status``.
        """
        status = element(
            "Status",
            {
                "Date": timestamp(),
                "HostId": self.node.host_id,
                "Message": message,
                "State": "OFFLINE" if self.offline else "ONLINE",
                "Status": "SUCCESS" if success else "FAILURE",
                "SubState": "IDLE",
                "Version": VERSION,
            },
        )
        self.request.message = message
        self.reply(http_status, "text/xml", document(self.node.host, self.node.port, [status, *elements]))

    def reply(self, http_status: int, content_type: str, body: bytes) -> None:
        """Answers with a body that is at hand."""
        self.reply_headers(http_status, {"Content-Type": content_type, "Content-Length": str(len(body))})
        self._handler.wfile.write(body)

    def reply_headers(self, http_status: int, headers: Mapping[str, str]) -> None:
        """Send the head of a reply.

        Raises:
            ConnectionDropped: the fault ``reply_lost`` befalls the request.
        """
        if "reply_lost" in self.faults:
            raise ConnectionDropped("the reply is lost", reset=False)
        self.request.status = http_status
        self._handler.send_response(http_status)
        for name, value in headers.items():
            self._handler.send_header(name, value)
        self._handler.end_headers()

    def receive(self, file: BinaryIO, length: int, checksum: Checksum) -> int:
        """Receives an upload into a file, block by block, and returns its checksum.

        Args:
            file: where the bytes go.
            length: how many there are.
            checksum: computes the checksum on the way.

        Raises:
            NgasFailure: the client ended before it had sent all.
            ConnectionDropped: a fault says so.
            OSError: the disk is full, or the connection broke.
        """
        buffer = memoryview(bytearray(min(BLOCK, length)))
        source = self._handler.rfile
        interruption, end = self._interruption(("cut", "stall", "disk_full"), length)
        value = 0
        while self.request.received < end:
            wanted = min(self._block(), end - self.request.received)
            count = source.readinto(buffer[:wanted])
            if not count:
                raise failure(4070, self.parameters.get("filename", ""), length, self.request.received)
            block = buffer[:count]
            self._corrupt(block, self.request.received)
            value = checksum(block, value)
            file.write(block)
            self.request.received += count
            self._pace(count)
        self._interrupt(interruption)
        return value

    def send_file(self, path: Path, content_type: str) -> None:
        """Send a stored file from the byte that was asked for, as long as it is now, whatever the index says.

        Args:
            path: the file.
            content_type: its mime type.

        Raises:
            OSError: the file is not there, or the connection broke.
            ConnectionDropped: a fault says so.
        """
        size, start = path.stat().st_size, self.request.range_start
        if "wrong_size" in self.faults:
            size = self.faults["wrong_size"].bytes
        headers = {
            "Content-Disposition": f'attachment; filename="{path.name}"',
            "Content-Type": content_type,
            # Beyond the end this is negative, there too as the real server does it.
            "Content-Length": str(size - start),
        }
        if start:
            headers |= {"Accept-Ranges": "bytes", "Content-Range": f"bytes {start}-{size - 1}/{size}"}
        with path.open("rb") as file:
            self.reply_headers(200, headers)
            if size > start:
                file.seek(start)
                self._send(file, size - start)

    def _send(self, file: BufferedReader, length: int) -> None:
        if not _CHANGING.isdisjoint(self.faults):
            self._send_in_blocks(file, length)
            return
        # By the system itself: a server in Python is else slower than the disks and networks that it stands for.
        begin = file.tell()
        try:
            self._handler.connection.sendfile(file, begin, length)
        finally:
            self.request.sent += file.tell() - begin

    def _send_in_blocks(self, file: BufferedReader, length: int) -> None:
        buffer = memoryview(bytearray(min(BLOCK, length)))
        interruption, end = self._interruption(("cut", "stall"), length)
        while self.request.sent < end:
            block = buffer[: min(self._block(), end - self.request.sent)]
            count = file.readinto(block)
            # A file that is served as longer than it is ends in zeros.
            block[count:] = bytes(len(block) - count)
            self._corrupt(block, self.request.range_start + self.request.sent)
            self._handler.wfile.write(block)
            self.request.sent += len(block)
            self._pace(len(block))
        self._interrupt(interruption)

    def _interruption(self, kinds: Sequence[str], length: int) -> tuple[Fault | None, int]:
        """Return the fault that ends a body first, and the number of bytes that pass until then."""
        found = [self.faults[kind] for kind in kinds if kind in self.faults and self.faults[kind].bytes < length]
        first = min(found, key=lambda fault: fault.bytes, default=None)
        return first, length if first is None else first.bytes

    def _interrupt(self, fault: Fault | None) -> None:
        if fault is None:
            return
        if fault.kind == "disk_full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if fault.kind == "stall":
            self.node.wait(self.node.stall_seconds)
            raise ConnectionDropped("stalled", reset=False)
        self._wait_until_delivered()
        raise ConnectionDropped(f"cut after {fault.bytes} bytes", reset=True)

    def _wait_until_delivered(self) -> None:
        """Wait until the client's side has what was sent: a reset would overtake what is still under way."""
        waited = 0.0
        while waited < self.node.stall_seconds and any(
            fcntl.ioctl(self._handler.connection, termios.TIOCOUTQ, bytes(4))
        ):
            self.node.wait(_GLANCE)
            waited += _GLANCE

    def _block(self) -> int:
        slow = self.faults.get("slow")
        return BLOCK if slow is None else min(BLOCK, max(1, slow.rate // 10))

    def _pace(self, count: int) -> None:
        slow = self.faults.get("slow")
        if slow is not None:
            self.node.wait(count / slow.rate)

    def _corrupt(self, block: memoryview, offset: int) -> None:
        fault = self.faults.get("corrupt")
        if fault is not None and offset <= fault.bytes < offset + len(block):
            block[fault.bytes - offset] ^= 0xFF
