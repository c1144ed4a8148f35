"""``python -m sandbox.ngas --root DIR --port N``: the server in a process of its own."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from pathlib import Path
from types import FrameType

from sandbox.hosts import add_listening_options, listening
from sandbox.ngas.call import Configuration
from sandbox.ngas.server import NgasServer


def _exit(signal_number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise SystemExit(0)


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.ngas", description="An NGAS-compatible archive server.")
    parser.add_argument("--root", type=Path, required=True, help="directory of files, index and access log")
    parser.add_argument("--port", type=int, required=True, help="its port; 0 takes a free one")
    add_listening_options(parser)
    parser.add_argument("--user", help="user name of the Basic authorization that clients must send")
    parser.add_argument("--password", help="the password that goes with it")
    parser.add_argument("--faults", type=Path, help="JSON list of faults, read again whenever it changes")
    parser.add_argument("--stall-seconds", type=float, default=60.0, help="when a silent connection is closed")
    parser.add_argument("--replication", action="store_true", help="put a second copy of what is archived onto a disk")
    options = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit)
    server = NgasServer(
        options.root,
        port=options.port,
        listen=listening(options),
        user=options.user,
        password=options.password,
        stall_seconds=options.stall_seconds,
        faults_file=options.faults,
        configuration=Configuration(replication=options.replication),
    )
    logging.getLogger(__name__).info("NGAS listens on %s", server.url)
    server.serve_forever()


if __name__ == "__main__":
    main()
