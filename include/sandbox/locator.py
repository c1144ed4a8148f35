"""The archive's locator service: which files belong to a locator, and on which NGAS server they are.

``python -m sandbox.locator --port N`` answers ``GET /location?locator=uid://evla/execblock/...`` (at the root too) with
the report as the observatory's service gives it, and ``GET /health``. Located are execution blocks, the ASDMs of ALMA's
MOUSs (``uid://A002/...``), and calibrations.
"""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import psycopg

from sandbox.archive import DATABASE_VARIABLE, database_url, execute, set_ngas_address, transaction
from sandbox.hosts import MISDIRECTED, ON_LOOPBACK, Listening, add_listening_options, listening

if TYPE_CHECKING:
    from types import FrameType

_LOG = logging.getLogger(__name__)
_PATHS = frozenset({"/", "/location"})


class LocatorServer(ThreadingHTTPServer):
    """The service.

    Args:
        database: the archive's database.
        port: the port to listen on; 0 takes a free one.
        listen: where it listens, and what it is called.
    """

    daemon_threads = True

    def __init__(self, database: str, *, port: int, listen: Listening = ON_LOOPBACK) -> None:
        self.database = database
        self.listen = listen
        super().__init__((listen.address, port), _Handler)

    @property
    def url(self) -> str:
        """Where locators are asked for."""
        return f"http://{self.listen.address}:{self.server_port}/location"


class _Handler(BaseHTTPRequestHandler):
    server: LocatorServer
    # A client that says nothing does not keep its thread forever.
    timeout = 30.0

    def do_GET(self) -> None:
        """Answers one question."""
        if refused := self.server.listen.refusal(self.headers["Host"]):
            self._answer(MISDIRECTED, {"error": refused})
            return
        target = urlsplit(self.path)
        try:
            if target.path == "/health":
                with transaction(self.server.database) as cursor:
                    cursor.execute("SELECT 1")
                self._answer(HTTPStatus.OK, {"status": "ok"})
            elif target.path not in _PATHS:
                self._answer(HTTPStatus.NOT_FOUND, {"error": "ask /location?locator="})
            else:
                self._report(parse_qs(target.query).get("locator", []))
        except psycopg.Error as error:
            _LOG.warning("The archive's database cannot serve: %s", error)
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, {"error": "the archive's database cannot serve now"})

    def _report(self, locators: list[str]) -> None:
        # PostgreSQL takes no NUL in a text.
        if len(locators) != 1 or "\0" in locators[0]:
            self._answer(HTTPStatus.BAD_REQUEST, {"error": "give one parameter locator"})
            return
        report = location(self.server.database, locators[0])
        if report is None:
            self._answer(HTTPStatus.NOT_FOUND, {"error": "no such locator"})
        else:
            self._answer(HTTPStatus.OK, report)

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        content = json.dumps(document, indent=2).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  http.server's name
        """Says what was asked, one line a request."""
        _LOG.info(format, *args)


def location(database: str, locator: str) -> dict[str, Any] | None:
    """Return the locator report of an execution block, an ASDM or a calibration; None if the archive has none such.

    Args:
        database: the archive's database.
        locator: what was asked for.
    """
    with transaction(database) as cursor:
        found = execute(cursor, "located_files", {"locator": locator})
    if not found:
        return None
    files = [
        {
            "ngas_file_id": row["ngas_file_id"],
            "subdirectory": row["subdirectory"],
            "relative_path": row["relative_path"],
            "version": row["version"],
            "size": row["size"],
            "checksum": row["checksum"],
            "checksum_type": row["checksum_type"],
            "server": {"server": row["address"], "location": row["location"], "cluster": row["cluster"]},
        }
        for row in found
        if row["ngas_file_id"] is not None
    ]
    return {"files": files, "aggregate_size": sum(file["size"] for file in files)}


def _exit(signal_number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise SystemExit(0)


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.locator", description="The archive's locator service.")
    parser.add_argument("--port", type=int, required=True, help="its port; 0 takes a free one")
    add_listening_options(parser)
    parser.add_argument("--database", default=database_url(), help=f"the archive's database; else ${DATABASE_VARIABLE}")
    parser.add_argument("--ngas", metavar="HOST:PORT", help="where the sandbox's NGAS server is now, if that changed")
    options = parser.parse_args()
    if not options.database:
        parser.error(f"give --database, or set {DATABASE_VARIABLE}")
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit)
    if options.ngas:
        with transaction(options.database) as cursor:
            set_ngas_address(cursor, options.ngas)
    server = LocatorServer(options.database, port=options.port, listen=listening(options))
    _LOG.info("The locator service listens on %s", server.url)
    server.serve_forever()


if __name__ == "__main__":
    main()
