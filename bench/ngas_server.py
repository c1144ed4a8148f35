"""How fast the sandbox's NGAS takes and gives files, beside a plain http.server on the same machine at the same time.

    PYTHONPATH=include python bench/ngas_server.py [--megabytes 128] [--rounds 6]

Both servers run in processes of their own and write to the same disk; the client sends from memory and throws away
what it gets. The rounds alternate, and the best of each counts, so that a busy machine hurts both alike. Rates are
printed for orientation; the ratios (1.0 = as fast as the plain server, which computes no checksum and keeps no
index) are what can be compared between machines. Ends with 1 when a ratio falls below its floor.
"""

from __future__ import annotations

import argparse
import http.client
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path

from sandbox.ngas.server import NgasServer

BLOCK = 2**20
# Beneath these something is wrong with the server and not with the machine.
FLOORS = {"upload": 0.4, "download": 0.6}


class PlainHandler(BaseHTTPRequestHandler):
    """The least that can be called a file server."""

    def do_POST(self) -> None:
        left = int(self.headers["Content-Length"])
        # A new file each time, as an archive has it: to overwrite what lies in the cache would be faster.
        with Path(f"upload-{time.time_ns()}").open("wb") as file:
            while left:
                block = self.rfile.read(min(BLOCK, left))
                file.write(block)
                left -= len(block)
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:
        with max(Path().glob("upload-*")).open("rb") as file:
            self.send_response(200)
            self.send_header("Content-Length", str(os.fstat(file.fileno()).st_size))
            self.end_headers()
            shutil.copyfileobj(file, self.wfile, BLOCK)

    def log_message(self, *_: object) -> None:
        pass


def serve_plain(folder: str, ready: Connection) -> None:
    os.chdir(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), PlainHandler)
    ready.send(server.server_address[1])
    server.serve_forever()


def serve_ngas(folder: str, ready: Connection) -> None:
    server = NgasServer(Path(folder))
    ready.send(server.port)
    server.serve_forever()


def upload(port: int, target: str, data: bytes) -> float:
    started = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", target, body=memoryview(data))
    reply = connection.getresponse()
    reply.read()
    assert reply.status == 200, reply.status
    return time.perf_counter() - started


def download(port: int, target: str, size: int) -> float:
    started = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", target)
    reply = connection.getresponse()
    buffer, received = bytearray(BLOCK), 0
    while count := reply.readinto(buffer):
        received += count
    assert received == size, received
    return time.perf_counter() - started


def measure(ports: dict[str, int], data: bytes, rounds: int) -> dict[str, dict[str, float]]:
    """The best time in seconds of each direction and server."""
    targets = {
        "plain": ("/", "/"),
        "ngas": ("/ARCHIVE?filename=bench.dat&mime_type=application/octet-stream", "/RETRIEVE?file_id=bench.dat"),
    }
    times: dict[str, dict[str, float]] = {"upload": {}, "download": {}}
    for _ in range(rounds):
        for name, (put, get) in targets.items():
            took = {
                "upload": upload(ports[name], put, data),
                "download": download(ports[name], get, len(data)),
            }
            for direction, seconds in took.items():
                times[direction][name] = min(seconds, times[direction].get(name, seconds))
    return times


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=128, help="size of the file")
    parser.add_argument("--rounds", type=int, default=6)
    options = parser.parse_args()
    data = os.urandom(BLOCK) * options.megabytes
    slow = False
    with tempfile.TemporaryDirectory() as folder:
        servers, ports = [], {}
        for name, serve in (("plain", serve_plain), ("ngas", serve_ngas)):
            (Path(folder) / name).mkdir()
            ours, theirs = multiprocessing.Pipe()
            server = multiprocessing.Process(target=serve, args=(f"{folder}/{name}", theirs), daemon=True)
            server.start()
            servers.append(server)
            ports[name] = ours.recv()
        try:
            times = measure(ports, data, options.rounds)
        finally:
            for server in servers:
                server.terminate()
                server.join()
        for direction, took in times.items():
            ratio = took["plain"] / took["ngas"]
            rates = ", ".join(f"{name} {options.megabytes / seconds:.0f} MiB/s" for name, seconds in took.items())
            print(f"{direction:8} ngas/plain = {ratio:.2f} (floor {FLOORS[direction]})   {rates}")
            slow |= ratio < FLOORS[direction]
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
