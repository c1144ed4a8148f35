"""A connection pooler for PostgreSQL, in transaction or session mode, as PgBouncer is: enough of it to meet its traps.

Written from the protocol's documentation (https://www.postgresql.org/docs/16/protocol-message-formats.html) and
PgBouncer's (https://www.pgbouncer.org/features.html). In transaction mode a server connection belongs to a client only
until the server says that no transaction is open; the one that was given back last is given out first. Clients are
given a process number that is the pooler's own. Who connects is not asked for a password.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from types import TracebackType
from typing import Literal

import psycopg

_NO_ENCRYPTION = {80877103, 80877104}  # SSLRequest, GSSENCRequest
_ENDS_A_BATCH = {b"Q", b"S"}  # Query, Sync: what the server answers with ReadyForQuery


class Pooler:
    """A pooler on loopback; a context manager.

    Args:
        url: the database that it leads to.
        mode: when a server connection is given back.

    Attributes:
        port: where it listens.
    """

    def __init__(self, url: str, mode: Literal["transaction", "session"]) -> None:
        self._url = url
        self._mode = mode
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._idle: list[socket.socket] = []
        self._kept: list[psycopg.Connection] = []
        self._clients: list[socket.socket] = []

    def __enter__(self) -> Pooler:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._listener.close()
        for client in self._clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for connection in self._kept:
            connection.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._clients.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        server: socket.socket | None = None
        with client, contextlib.suppress(OSError, EOFError):
            self._welcome(client)
            try:
                while (batch := _batch(client)) is not None:
                    server = server or self._server()
                    server.sendall(batch)
                    if _answer(server, client) == b"I" and self._mode == "transaction":
                        self._give_back(server)
                        server = None
            finally:
                if server is not None:
                    self._give_back(server)

    def _welcome(self, client: socket.socket) -> None:
        while True:
            (length,) = struct.unpack("!i", _exactly(client, 4))
            (code,) = struct.unpack("!i", _exactly(client, length - 4)[:4])
            if code not in _NO_ENCRYPTION:
                break
            client.sendall(b"N")
        server = self._server()
        settings = ("server_version", "server_encoding", "client_encoding", "DateStyle", "TimeZone",
                    "integer_datetimes", "standard_conforming_strings")  # fmt: skip
        said = [(name, self._kept[0].info.parameter_status(name) or "") for name in settings]
        self._give_back(server)
        client.sendall(
            _message(b"R", struct.pack("!i", 0))
            + b"".join(_message(b"S", f"{name}\0{value}\0".encode()) for name, value in said)
            + _message(b"K", struct.pack("!ii", 2_000_000_000 + client.fileno(), 1))
            + _message(b"Z", b"I")
        )

    def _server(self) -> socket.socket:
        with self._lock:
            if self._idle:
                return self._idle.pop()
            # libpq connects and proves the password; from then on its socket is ours.
            connection = psycopg.connect(self._url, sslmode="disable", gssencmode="disable")
            self._kept.append(connection)
            server = socket.socket(fileno=os.dup(connection.fileno()))
            server.setblocking(True)
            return server

    def _give_back(self, server: socket.socket) -> None:
        with self._lock:
            self._idle.append(server)


def _message(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("!i", len(content) + 4) + content


def _exactly(source: socket.socket, number: int) -> bytes:
    received = b""
    while len(received) < number:
        block = source.recv(number - len(received))
        if not block:
            raise EOFError
        received += block
    return received


def _read(source: socket.socket) -> tuple[bytes, bytes]:
    kind, length = _exactly(source, 1), _exactly(source, 4)
    return kind, kind + length + _exactly(source, struct.unpack("!i", length)[0] - 4)


def _batch(client: socket.socket) -> bytes | None:
    """Messages up to the one that has the server answer; None if the client says goodbye."""
    batch = b""
    while True:
        kind, whole = _read(client)
        if kind == b"X":
            return None
        batch += whole
        if kind in _ENDS_A_BATCH:
            return batch


def _answer(server: socket.socket, client: socket.socket) -> bytes:
    """Hands on the server's answer and returns the state of its transaction."""
    while True:
        kind, whole = _read(server)
        client.sendall(whole)
        if kind == b"Z":
            return whole[-1:]
