"""A file on its way from an NGAS server."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import requests
import urllib3

from srdp.domain.ngas.connections import ConnectionStalled, connection_errors

_BLOCK_BYTES = 1 << 20
# In bytes a second: less is no transfer, but a server or a line that keeps a connection and a slot forever.
_LOWEST_RATE = 100
_LENGTH = re.compile(r"\d{1,18}", re.ASCII)
_CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})?/(\d{1,18}|\*)", re.ASCII)


class Retrieval:
    """A partial download; a context manager that closes the connection.

    Args:
        response: the reply; only its headers have been read.
        server: the server, for sentences.
        request: what it was asked, likewise.
        stall_seconds: in each span of so many seconds some bytes must come, :data:`_LOWEST_RATE` on average.

    Attributes:
        start: the offset of the first byte that comes. It is 0 where the server did not heed the offset asked for.
        size: the size of the whole file as the server reports it, in bytes; None if it does not.
    """

    def __init__(self, response: requests.Response, server: str, request: str, stall_seconds: float) -> None:
        self._response = response
        self._stall_seconds = stall_seconds
        self._server = server
        self._request = request
        length = response.headers.get("Content-Length", "")
        self.start = 0
        self.size: int | None = int(length) if _LENGTH.fullmatch(length) else None
        if match := _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", "")):
            self.start = int(match[1])
            if match[3] != "*":
                self.size = int(match[3])
            elif self.size is not None:
                self.size += self.start

    def blocks(self) -> Iterator[bytes]:
        """Yield the bytes as they come, at most 1 MiB at once.

        Raises:
            ConnectionFailed: the connection was cut, or stalled.
        """
        began, came = time.monotonic(), 0
        with connection_errors(self._server, self._request):
            while block := self._response.raw.read1(_BLOCK_BYTES):
                yield block
                came += len(block)
                now = time.monotonic()
                if now - began > self._stall_seconds:
                    if came < _LOWEST_RATE * self._stall_seconds:
                        raise ConnectionStalled(
                            f"NGAS server {self._server} failed at {self._request}: {came} bytes came in "
                            f"{now - began:.0f} s."
                        )
                    began, came = now, 0

    def abort(self) -> None:
        """Cuts the connection; may be called from another thread, which then reads its end at once."""
        # It may have come to its end a moment ago, which urllib3 reports in several ways.
        with contextlib.suppress(OSError, ValueError, RuntimeError, urllib3.exceptions.HTTPError):
            self._response.raw.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._response.close()
