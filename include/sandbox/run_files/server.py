"""The server: GET and HEAD of files in run directories, and nothing else."""

from __future__ import annotations

import contextlib
import logging
import os
import socketserver
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from sandbox.hosts import MISDIRECTED, ON_LOOPBACK, Listening
from sandbox.run_files.locate import Located, NotServed, index_of, locate, parts_of, runs
from sandbox.run_files.pages import content_type, directory_page, runs_page
from srdp.domain.common.errors import SrdpError
from srdp.domain.files.shared_files import PRODUCT, open_shared

_LOGGER = logging.getLogger(__name__)
_SNIFFED = 8192
_BLOCK = 2**20
#: What every reply carries. A weblog runs its own scripts, of whatever age; they get at nothing but this server.
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-site",
    "Content-Security-Policy": (
        "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; object-src 'none'; base-uri 'self'; "
        "form-action 'none'"
    ),
    # An analyst's note must be seen as soon as it is written.
    "Cache-Control": "no-cache",
}


class RunFilesServer:
    """A server of run directories: a context manager that serves from a thread.

    Args:
        areas: the roots that run directories are in, in the order in which a run is looked for.
        port: its port; 0 takes a free one.
        listen: where it listens, and what it is called.
    """

    def __init__(self, areas: Sequence[Path], *, port: int = 0, listen: Listening = ON_LOOPBACK) -> None:
        self.areas = tuple(areas)
        self._listen = listen
        self._http = _HttpServer(self.areas, port, listen)
        self.port: int = self._http.server_address[1]
        self._thread = threading.Thread(
            # Looking often whether it shall stop lets a test end soon.
            target=self._http.serve_forever,
            args=(0.01,),
            name=f"run-files-{self.port}",
            daemon=True,
        )

    @property
    def url(self) -> str:
        """The server's address, without a slash at the end."""
        return f"http://{self._listen.address}:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()

    def serve_forever(self) -> None:
        """Serve until the process is asked to stop."""
        self._http.serve_forever()


class _HttpServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, areas: Sequence[Path], port: int, listen: Listening) -> None:
        self.areas = areas
        self.listen = listen
        super().__init__((listen.address, port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002
        """Log an unexpected error; called while the exception is being handled."""
        _LOGGER.error("A request could not be answered.", exc_info=True)  # noqa: LOG014


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    timeout = 60
    disable_nagle_algorithm = True
    server: _HttpServer

    def version_string(self) -> str:
        """What stands in the header Server."""
        return "run-files"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401
        """Log one line a request."""
        # The request line is the client's: escaped, so that it stays one line.
        _LOGGER.info("%s", ascii(format % args))

    def end_headers(self) -> None:
        """Add what every reply carries."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def do_GET(self) -> None:
        """Answers with a file, a listing, or one sentence."""
        if refused := self.server.listen.refusal(self.headers["Host"]):
            self._send(MISDIRECTED, "text/plain; charset=utf-8", f"{refused}\n".encode())
            return
        try:
            self._answer(parts_of(self.path))
        except NotServed as problem:
            self._send(404, "text/plain; charset=utf-8", f"{problem}\n".encode(errors="replace"))
        except (ConnectionError, TimeoutError):
            _LOGGER.info("The client of %s went away.", ascii(self.path))

    do_HEAD = do_GET  # noqa: N815

    def _answer(self, parts: list[str]) -> None:
        if not parts:
            self._send(200, "text/html; charset=utf-8", runs_page(runs(self.server.areas)))
            return
        found = locate(self.server.areas, parts)
        if not found.path.is_dir():
            self._send_file(found)
            return
        path, _, rest = self.path.partition("?")
        if not path.endswith("/"):
            # Relative addresses in a page are only right when the directory's own ends with a slash.
            self._redirect("/" + "/".join(quote(part, safe="", errors="surrogateescape") for part in parts) + "/", rest)
            return
        page = index_of(self.server.areas, parts)
        if page is None:
            self._send(200, "text/html; charset=utf-8", self._listing("/".join(parts), found.path))
        else:
            self._send_file(page)

    def _listing(self, title: str, directory: Path) -> bytes:
        try:
            return directory_page(title, directory)
        except OSError as error:
            raise NotServed("This directory cannot be read.") from error

    def _redirect(self, path: str, query: str) -> None:
        self.send_response(301)
        self.send_header("Location", f"{path}?{query}" if query else path)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def _send_file(self, found: Located) -> None:
        with contextlib.ExitStack() as opened:
            try:
                # Resolved a moment ago, so nothing on the way is a link, unless somebody has just put one there.
                shared = opened.enter_context(open_shared(found.run, found.path, PRODUCT))
            except (FileNotFoundError, SrdpError) as error:
                raise NotServed("This is not a file that can be shown.") from error
            file, state = opened.enter_context(shared.stream()), os.fstat(shared.descriptor)
            kind = content_type(found.path.name, file.read(_SNIFFED))
            file.seek(0)
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(state.st_size))
            self.send_header("Last-Modified", self.date_time_string(state.st_mtime))
            self.end_headers()
            if self.command == "GET":
                # A log grows while it is read: no more than was announced.
                self._copy(file, state.st_size)

    def _copy(self, file: Any, length: int) -> None:  # noqa: ANN401
        while length and (block := file.read(min(_BLOCK, length))):
            self.wfile.write(block)
            length -= len(block)
