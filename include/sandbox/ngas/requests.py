"""What was asked of the server: the record by which "exactly once" is counted at the receiver."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass
class Request:
    """One request.

    Attributes:
        time: when it came, in seconds since 1970.
        method: GET, POST or another.
        command: NGAS command, for example ``RETRIEVE``; empty where the server refused before it read that far.
        file_id: the file it is about, or nothing.
        version: the version that was asked for or made; None where none was named.
        range_start: first byte asked for with ``Range``.
        status: HTTP status of the reply; 0 if none was sent.
        received: bytes of the upload that came in.
        sent: bytes of the file that went out.
        message: ``Message`` of the reply, or why there was none.
        seconds: how long it took; 0 while it runs.
    """

    time: float
    method: str
    command: str
    file_id: str = ""
    version: int | None = None
    range_start: int = 0
    status: int = 0
    received: int = 0
    sent: int = 0
    message: str = ""
    seconds: float = 0.0


class Requests:
    """All requests since the start, in order; each one also becomes a line of JSON in the access log.

    A request is in the list from the moment it is read, and in the log when it has ended.

    Args:
        log: the access log; lines are appended.
    """

    def __init__(self, log: Path) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._requests: list[Request] = []

    def begin(self, method: str, command: str, file_id: str = "") -> Request:
        """Enters a request."""
        request = Request(time.time(), method, command, file_id)
        with self._lock:
            self._requests.append(request)
        return request

    def end(self, request: Request) -> None:
        """Write the request's line into the access log."""
        request.seconds = round(time.time() - request.time, 6)
        line = json.dumps(asdict(request)) + "\n"
        with self._lock, self._log.open("a", encoding="utf-8") as log:
            log.write(line)

    def __iter__(self) -> Iterator[Request]:
        with self._lock:
            return iter(list(self._requests))

    def __len__(self) -> int:
        with self._lock:
            return len(self._requests)

    def count(self, command: str, file_id: str | None = None, status: int | None = None) -> int:
        """Return how many requests there were of a command, for a file, with a status; None means any."""
        return sum(
            request.command == command and file_id in (None, request.file_id) and status in (None, request.status)
            for request in self
        )

    def clear(self) -> None:
        """Forgets the requests so far; the access log keeps them."""
        with self._lock:
            self._requests.clear()
