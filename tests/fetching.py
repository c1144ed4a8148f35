"""What the tests of the fetch share: files in an NGAS server, their locator report, and an impatient fetch of it."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sandbox.ngas.server import NgasServer
from srdp.domain.ngas.client import NgasClient
from srdp.domain.ngas.locator_report import UNFINISHED, LocatorReport, parse_locator_report
from srdp.domain.raw_data.fetch import Fetch
from srdp.domain.runs.retry import RequestRetryPolicy

LOCATOR = "uid://evla/execblock/00000000-0000-0000-0000-000000000001"
EB = "13A-537.sb24066356.eb24324502.56514.05971091435"


def pattern(size: int) -> bytes:
    """Bytes of which no two stretches are alike, so that a wrong offset is seen."""
    return b"".join(hashlib.sha256(number.to_bytes(8)).digest() for number in range(size // 32 + 1))[:size]


def file_id_of(path: str) -> str:
    return path.replace("/", "_")


def report_document(files: Mapping[str, bytes], server: str) -> dict[str, Any]:
    """The locator report of files that are on a server, as the archive would send it: checksums are signed."""
    return {
        "files": [
            {
                "ngas_file_id": file_id_of(path),
                "subdirectory": EB,
                "relative_path": path,
                "version": 1,
                "size": len(data),
                "checksum": str(signed(zlib.crc32(data))),
                "checksum_type": "ngamsGenCrc32",
                "server": {"server": server, "location": "DSOC", "cluster": "DSOC"},
            }
            for path, data in files.items()
        ],
        "aggregate_size": sum(len(data) for data in files.values()),
    }


def signed(checksum: int) -> int:
    return checksum - 2**32 if checksum >= 2**31 else checksum


class StallingServer:
    """A server that takes every connection and, when it has answered the first requests, never answers again.

    Attributes:
        name: its address.
        asked: the commands that it was asked, in their order.
    """

    ONLINE = b'<NgamsStatus><Status Status="SUCCESS" State="ONLINE" Message=""/></NgamsStatus>'

    def __init__(self, *answers: bytes) -> None:
        self.asked: list[str] = []
        self._answers = list(answers)
        self._open: list[socket.socket] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.name = f"127.0.0.1:{self.port}"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._open.append(connection)
            head = b""
            while b"\r\n\r\n" not in head and (block := connection.recv(65536)):
                head += block
            self.asked.append(head.split(b"?")[0].split()[1].decode().lstrip("/"))
            if self._answers:
                body = self._answers.pop(0)
                connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for open_socket in (self._socket, *self._open):
            open_socket.close()


class OneAnswer:
    """A server that gives one answer to everything and keeps what it was asked.

    Where the answer has ``{target}``, it tells what was asked for, path and parameters.

    Attributes:
        name: its address.
        asked: what was sent to it over each connection, as it came.
    """

    def __init__(self, answer: bytes = b"", *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.asked: list[bytes] = []
        self._answer = answer
        self._socket = socket.create_server((host, port))
        self.port = self._socket.getsockname()[1]
        self.name = f"{host}:{self.port}"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                head = b""
                while b"\r\n\r\n" not in head and (block := connection.recv(65536)):
                    head += block
                self.asked.append(head)
                with suppress(OSError):
                    connection.sendall(self._answer.replace(b"{target}", b"".join(head.split()[1:2])))

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.close()


def server_name(ngas: NgasServer) -> str:
    return f"127.0.0.1:{ngas.port}"


def stored(ngas: NgasServer, files: Mapping[str, bytes], *, server: NgasServer | None = None) -> LocatorReport:
    """Put files into a server and return the report that leads to them, at another node of its cluster if given."""
    for path, data in files.items():
        if data:  # a real server takes no empty file
            ngas.put(file_id_of(path), data, signed=True)
    return parse_locator_report(json.dumps(report_document(files, server_name(server or ngas))).encode(), LOCATOR)


def fetch_of(
    report: LocatorReport,
    directory: Path,
    *,
    client_of: Callable[[str], NgasClient] | None = None,
    stall_seconds: float = 5.0,
    **options: Any,
) -> Fetch:
    """A fetch that waits for nothing longer than a test should."""
    make = client_of or (lambda server: NgasClient(server, stall_seconds=stall_seconds))
    settings: dict[str, Any] = {
        "streams_per_server": 4,
        "spare_bytes": 0,
        "retries": RequestRetryPolicy(attempts=3, first_wait_seconds=0.01, longest_wait_seconds=0.05),
        "clients": {server: make(server) for server in report.servers},
    }
    return Fetch(report, directory, **(settings | options))


def visible(directory: Path) -> dict[str, bytes]:
    """Everything that a person sees below a directory, by path; not what is hidden."""
    return {
        str(path.relative_to(directory / EB)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and UNFINISHED not in path.parts
    }


def hidden(directory: Path) -> list[Path]:
    """The files on their way."""
    return sorted((directory / UNFINISHED).glob("*.part"))


def hidden_sizes(directory: Path) -> list[int]:
    """How much of the files on their way is there, in bytes."""
    sizes = []
    for path in hidden(directory):
        with suppress(FileNotFoundError):  # renamed a moment ago
            sizes.append(path.stat().st_size)
    return sizes
