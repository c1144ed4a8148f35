"""The server: NGAS's commands over HTTP/1.0, one request a connection.

A test runs it in its own process::

    with NgasServer(tmp_path) as ngas:
        ngas.put("a.fits", b"...")
        ngas.faults.add("cut", command="RETRIEVE", bytes=10, times=1)
        fetch(ngas.url)
        assert ngas.requests.count("RETRIEVE", "a.fits") == 2
"""

from __future__ import annotations

import base64
import binascii
import logging
import socket
import socketserver
import struct
import threading
import zlib
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from sandbox.hosts import MISDIRECTED, ON_LOOPBACK, Listening
from sandbox.ngas.call import Call, Configuration, ConnectionDropped, Node
from sandbox.ngas.commands import COMMANDS, file_id_of
from sandbox.ngas.faults import Fault, Faults
from sandbox.ngas.requests import Requests
from sandbox.ngas.status import VERSION, NgasFailure, message
from sandbox.ngas.store import VOLUMES, Received, Store

_LOGGER = logging.getLogger(__name__)
_ACCESS_LOG = "access.jsonl"
# How long a client that is refused may take until its request comes in, in seconds.
_TIMEOUT_SECONDS = 0.5
_BUSY = b"HTTP/1.0 503 Service Unavailable\r\n\r\n"


class NgasServer:
    """An NGAS-compatible server: a context manager that serves from a thread.

    Args:
        root: its directory: volumes, index and access log. What is there from before is served again.
        port: its port; 0 takes a free one.
        listen: where it listens, and what it is called.
        user: user name of the Basic authorization that is demanded; None demands none.
        password: the password that goes with it.
        stall_seconds: after how many seconds without a byte a connection is closed.
        max_requests: how many requests are served at once; a further one gets 503.
        faults_file: a JSON list of faults, read again whenever it changes.
        configuration: replication, rights, mime types and the like.
        volumes: the IDs of its disks; a further node of a cluster needs its own.
        cluster: another node, whose cluster it joins.

    Attributes:
        faults: what the server does wrong.
        requests: what was asked of it.
        store: its files.
    """

    def __init__(
        self,
        root: Path,
        *,
        port: int = 0,
        listen: Listening = ON_LOOPBACK,
        user: str | None = None,
        password: str | None = None,
        stall_seconds: float = 60.0,
        max_requests: int = 10,
        faults_file: Path | None = None,
        configuration: Configuration | None = None,
        volumes: Sequence[str] = VOLUMES,
        cluster: NgasServer | None = None,
    ) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self.max_requests = max_requests
        self.credentials = None if user is None else f"{user}:{password or ''}".encode()
        self.faults = Faults(faults_file)
        self.requests = Requests(root / _ACCESS_LOG)
        self.listen = listen
        self._http = _HttpServer(self, port)
        self.port: int = self._http.server_address[1]
        self.store: Store = Store(root, volumes=volumes, index=None if cluster is None else cluster.store.index_path)
        self._stopping = threading.Event()
        configuration = configuration or Configuration()
        self.node = Node(self.store, listen.name, self.port, stall_seconds, self._stopping, configuration)
        self.store.register(self.node.host_id, self.port)
        self._thread = threading.Thread(
            # Looking often whether it shall stop lets a test end soon.
            target=self._http.serve_forever,
            args=(0.01,),
            name=f"ngas-{self.port}",
            daemon=True,
        )

    @property
    def url(self) -> str:
        """The server's address, without a slash at the end."""
        return f"http://{self.listen.address}:{self.port}"

    def put(
        self,
        file_id: str,
        data: bytes,
        *,
        mime_type: str = "application/octet-stream",
        signed: bool = False,
        copies: int = 1,
    ) -> int:
        """Store a file without asking over HTTP and return its version.

        Args:
            file_id: the file's ID.
            data: its bytes.
            mime_type: its mime type.
            signed: whether the record has the CRC-32 as a signed number, as old records do.
            copies: on how many of its disks.
        """
        value = zlib.crc32(data)
        recorded = value - 2**32 if signed and value >= 2**31 else value
        staged = self.store.staging_path()
        staged.write_bytes(data)
        version = self.store.latest_version(file_id) + 1
        received = Received(staged, len(data), str(recorded), "ngamsGenCrc32", mime_type, 0.0)
        stored = self.store.commit(received, file_id=file_id, version=version, volume=self.store.volumes[0])
        for volume in self.store.volumes[1:copies]:
            self.store.copy(stored, self.store.path(stored), volume)
        return version

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._http.drop_connections()
        self.store.close()

    def serve_forever(self) -> None:
        """Serve until the process is asked to stop."""
        self._http.serve_forever()


class _HttpServer(socketserver.ThreadingTCPServer):
    """Accepts connections, as many at once as the server serves requests."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, ngas: NgasServer, port: int) -> None:
        self.ngas = ngas
        self._served: set[Any] = set()
        self._reset: set[Any] = set()
        self._changed = threading.Condition()
        super().__init__((ngas.listen.address, port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Serve a connection in a thread, or refuses it at once when too many are being served."""
        with self._changed:
            busy = len(self._served) >= self.ngas.max_requests
            if not busy:
                self._served.add(request)
        if not busy:
            super().process_request(request, client_address)
            return
        record = self.ngas.requests.begin("", "")
        record.status, record.message = 503, "more requests at once than are served"
        self.ngas.requests.end(record)
        try:
            request.sendall(_BUSY)
            # What came in stays unread, and therefore the end is a reset.
            request.settimeout(_TIMEOUT_SECONDS)
            request.recv(1, socket.MSG_PEEK)
        except OSError:
            _LOGGER.debug("The refused client had gone, or was in no hurry.")
        self.close_request(request)

    def reset(self, request: socket.socket) -> None:
        """Has a connection end with a reset."""
        request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with self._changed:
            self._reset.add(request)

    def shutdown_request(self, request: Any) -> None:  # noqa: ANN401
        """End a connection; its place is free before the client can see that it ended."""
        with self._changed:
            self._served.discard(request)
            reset = request in self._reset
            self._reset.discard(request)
            self._changed.notify_all()
        if reset:
            self.close_request(request)  # an orderly end first would not be a reset
        else:
            super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002
        """Log an unexpected error; called while the exception is being handled."""
        _LOGGER.error("A request could not be handled.", exc_info=True)  # noqa: LOG014

    def drop_connections(self, deadline: float = 5.0) -> None:
        """End the connections that are left when the server stops.

        Args:
            deadline: how many seconds they have.
        """
        with self._changed:
            for request in self._served:
                try:
                    request.shutdown(socket.SHUT_RDWR)
                except OSError:
                    _LOGGER.debug("A connection had already ended.")
            self._changed.wait_for(lambda: not self._served, timeout=deadline)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.0"
    disable_nagle_algorithm = True
    server: _HttpServer

    def setup(self) -> None:
        """Has the connection time out when it stalls."""
        super().setup()
        self.connection.settimeout(self.server.ngas.node.stall_seconds)

    def version_string(self) -> str:
        """What stands in the header Server."""
        return f"NGAMS/{VERSION}"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401
        """Says nothing: the requests have a log of their own."""

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Close without a reply: what the real server's base class would refuse, it cannot even answer."""
        self.close_connection = True

    def do_GET(self) -> None:
        """Answers any command."""
        self._serve()

    do_POST = do_GET  # noqa: N815
    do_PUT = do_GET  # noqa: N815

    def do_HEAD(self) -> None:
        """Close without a reply, as the real server does."""
        record = self.server.ngas.requests.begin("HEAD", urlsplit(self.path).path.strip("/"))
        record.message = "HEAD is never answered"
        self.server.ngas.requests.end(record)

    def _serve(self) -> None:
        ngas = self.server.ngas
        url = urlsplit(self.path)
        command, parameters = url.path.strip("/"), dict(parse_qsl(url.query, keep_blank_values=True))
        request = ngas.requests.begin(self.command, command, file_id_of(command, parameters))
        faults = ngas.faults.take(command, request.file_id)
        try:
            self._answer(Call(ngas.node, self, request, parameters, faults))
        except ConnectionDropped as dropped:
            request.message = str(dropped)
            if dropped.reset:
                self.server.reset(self.connection)
        except TimeoutError:
            request.message = "stalled"
        except OSError as error:
            # A missing file, a full disk, a broken connection: to the real server all one, it just hangs up. The
            # client sees a reset where something of what it sent was not read.
            request.message = str(error)
            if not isinstance(error, FileNotFoundError):
                self.server.reset(self.connection)
        finally:
            ngas.requests.end(request)
            _LOGGER.info("%s %s %s %s", self.command, self.path, request.status, request.message)

    def _answer(self, call: Call) -> None:
        try:
            self._authorize(call.request.command)
            self._befall(call)
            command = COMMANDS.get(call.request.command)
            if command is None:
                raise NgasFailure("Command not found", http_status=404)
            command(call)
        except NgasFailure as failed:
            call.reply_status(failed.message, success=False, http_status=failed.http_status)

    def _authorize(self, command: str) -> None:
        if refused := self.server.ngas.listen.refusal(self.headers["Host"]):
            raise NgasFailure(refused, http_status=MISDIRECTED)
        credentials = self.server.ngas.credentials
        if credentials is None:
            return
        scheme, _, encoded = self.headers.get("Authorization", "").partition(" ")
        try:
            given = base64.b64decode(encoded.strip(), validate=True)
        except binascii.Error:
            given = b""
        if scheme != "Basic" or given != credentials:
            raise NgasFailure(message(4100), http_status=401)
        allowed = self.server.ngas.node.configuration.commands
        if allowed is not None and command not in allowed:
            raise NgasFailure(message(4100), http_status=403)

    def _befall(self, call: Call) -> None:
        """Lets the faults happen that do not ask what the command is."""
        faults: dict[str, Fault] = dict(call.faults)
        if "delay" in faults:
            call.node.wait(faults["delay"].seconds)
        if "empty_reply" in faults:
            raise ConnectionDropped("empty reply", reset=False)
        if "busy" in faults:
            call.request.status = 503
            self.wfile.write(_BUSY)
            raise ConnectionDropped("busy", reset=True)
        if "refuse" in faults:
            raise NgasFailure(faults["refuse"].message, http_status=faults["refuse"].status)
