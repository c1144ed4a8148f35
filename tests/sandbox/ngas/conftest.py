"""An NGAS in the test's own process, and a client that is no more than a socket."""

from __future__ import annotations

import base64
import json
import os
import socket
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pytest

from sandbox.ngas.server import NgasServer

DEADLINE = 10.0


@dataclass
class Answer:
    """What came back over a socket until the server ended it.

    Attributes:
        raw: every byte.
        reset: whether the end was a reset and not an orderly close.
    """

    raw: bytes
    reset: bool = False
    head: str = field(init=False)
    body: bytes = field(init=False)

    def __post_init__(self) -> None:
        head, _, self.body = self.raw.partition(b"\r\n\r\n")
        self.head = head.decode("latin-1")

    @property
    def status(self) -> int:
        return int(self.head.split()[1]) if self.head else 0

    @property
    def protocol(self) -> str:
        return self.head.split()[0]

    @property
    def headers(self) -> dict[str, str]:
        return dict(line.split(": ", 1) for line in self.head.splitlines()[1:])

    def element(self, name: str) -> Mapping[str, str]:
        """The attributes of an element of the NgamsStatus document; expat loads no external DTD by itself."""
        found = ET.fromstring(self.body).find(f".//{name}")  # noqa: S314
        assert found is not None, self.body
        return found.attrib

    @property
    def message(self) -> str:
        return self.element("Status")["Message"]


class Client:
    """Speaks to a server byte by byte."""

    def __init__(self, port: int, host: str = "127.0.0.1", authorization: str = "") -> None:
        self.port = port
        self._host = host
        self._authorization = authorization

    def connect(self) -> socket.socket:
        return socket.create_connection((self._host, self.port), timeout=DEADLINE)

    @staticmethod
    def head(method: str, target: str, headers: Mapping[str, str]) -> bytes:
        lines = [
            f"{method} {target} HTTP/1.1",
            "Host: 127.0.0.1",
            *(f"{key}: {value}" for key, value in headers.items()),
        ]
        return "\r\n".join([*lines, "", ""]).encode()

    def ask(self, method: str, target: str, body: bytes | None = None, **headers: str) -> Answer:
        """Send a request whole and read until the end; `Content_Length=""` leaves that header out."""
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        if self._authorization:
            named.setdefault("Authorization", self._authorization)
        if body is not None:
            named.setdefault("Content-Length", str(len(body)))
        named = {key: value for key, value in named.items() if value}
        with self.connect() as connection:
            try:
                connection.sendall(self.head(method, target, named) + (body or b""))
            except (ConnectionResetError, BrokenPipeError):
                # The server did not wait for the whole request; what it said before it reset can still be read.
                return replace(self.read_all(connection), reset=True)
            return self.read_all(connection)

    @staticmethod
    def read_all(connection: socket.socket) -> Answer:
        """Read until the server ends the connection."""
        received = bytearray()
        try:
            while block := connection.recv(65536):
                received += block
        except ConnectionResetError:
            return Answer(bytes(received), reset=True)
        return Answer(bytes(received))

    def get(self, target: str, **headers: str) -> Answer:
        return self.ask("GET", target, **headers)

    def rows(self, file_id: str) -> list[dict[str, object]]:
        """What QUERY lists under this ID and no other."""
        answer = self.get(f"/QUERY?query=files_like&like={quote(file_id, safe='')}&format=json")
        return [row for row in json.loads(answer.body) if row["file_id"] == file_id]

    def archive(self, file_id: str, data: bytes, *, command: str = "ARCHIVE", more: str = "", **headers: str) -> Answer:
        target = f"/{command}?filename=/from/here/{file_id}&mime_type=application/octet-stream&crc_variant=crc32{more}"
        return self.ask("POST", target, data, **headers)


@pytest.fixture
def ngas(tmp_path: Path) -> Iterator[NgasServer]:
    with NgasServer(tmp_path / "ngas", stall_seconds=DEADLINE) as server:
        yield server


@pytest.fixture(scope="module")
def any_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of the server that ``SRDP_TEST_NGAS_URL`` names, or else of the embedded one."""
    if url := os.environ.get("SRDP_TEST_NGAS_URL"):
        parts = urlsplit(url)
        login = unquote(f"{parts.username}:{parts.password or ''}") if parts.username else ""
        basic = "Basic " + base64.b64encode(login.encode()).decode() if login else ""
        yield Client(parts.port or 7777, parts.hostname or "", basic)
        return
    with NgasServer(tmp_path_factory.mktemp("ngas"), stall_seconds=DEADLINE) as server:
        yield Client(server.port)


@pytest.fixture
def client(ngas: NgasServer) -> Client:
    return Client(ngas.port)


@pytest.fixture
def client_of() -> Callable[[NgasServer | int], Client]:
    """A client for a server that a test starts by itself, or for a port."""
    return lambda server: Client(server if isinstance(server, int) else server.port)
