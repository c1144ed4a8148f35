"""``python -m sandbox.run_files --port N --area DIR --area DIR``: the server in a process of its own."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from pathlib import Path
from types import FrameType

from sandbox.hosts import add_listening_options, listening
from sandbox.run_files.server import RunFilesServer


def _exit(signal_number: int, frame: FrameType | None) -> None:  # noqa: ARG001
    raise SystemExit(0)


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.run_files", description="Serves run directories and the weblogs in them, read only."
    )
    parser.add_argument("--port", type=int, required=True, help="its port; 0 takes a free one")
    add_listening_options(parser)
    parser.add_argument(
        "--area", type=Path, action="append", required=True, help="a root of run directories; give it for each one"
    )
    options = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(message)s")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _exit)
    server = RunFilesServer(options.area, port=options.port, listen=listening(options))
    logging.getLogger(__name__).info("Run directories are served on %s", server.url)
    server.serve_forever()


if __name__ == "__main__":
    main()
