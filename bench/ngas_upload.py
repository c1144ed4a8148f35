"""How fast a file is archived, beside the plainest upload there is: same file, same server, same run.

The plain one is ``requests.post(data=file)``: it neither looks before nor has anything proved after. Ours asks what is
there, takes the checksum of what it sends in the same read, and waits until the server has read the stored file again.
The ratio says what that costs; absolute rates depend on the machine. Both share it with the server, which runs in a
process of its own on loopback. The rounds alternate and the best of each counts: a busy machine hurts both alike.

    python bench/ngas_upload.py [--megabytes 200] [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
import zlib
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "plugins"), str(ROOT / "include")]

from sandbox.ports import free_ports  # noqa: E402
from srdp.domain.archive_upload import FileToArchive, archive  # noqa: E402
from srdp.domain.ngas import FileCheck, NgasClient  # noqa: E402

SLOWEST_ACCEPTED = 0.3


def plain(server: str, file: FileToArchive) -> None:
    parameters = {"filename": file.file_id, "mime_type": file.mime_type, "crc_variant": "crc32"}
    with file.path.open("rb") as data:
        requests.post(f"http://{server}/ARCHIVE", params=parameters, data=data, timeout=60).raise_for_status()


def sent_only(server: str, file: FileToArchive) -> None:
    """Our upload without the proof: what the server's reading the file again costs is the rest."""
    client = NgasClient(server)
    client.check_file = lambda *_, **__: FileCheck.INTACT  # type: ignore[method-assign]
    archive(client, file)


def ours(server: str, file: FileToArchive) -> None:
    archive(NgasClient(server), file)


def seconds(function, server: str, file: FileToArchive) -> float:  # noqa: ANN001
    os.sync()  # neither pays for what the other has not written yet
    started = time.monotonic()
    function(server, file)
    return time.monotonic() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="bench-ngas-upload-") as name:
        place = Path(name)
        data = os.urandom(options.megabytes * 1_000_000)
        path, crc32 = place / "calibration.tar", zlib.crc32(data)
        path.write_bytes(data)

        def named(file_id: str) -> FileToArchive:
            return FileToArchive(path, file_id, len(data), crc32, "application/x-tar")

        port = free_ports(1)[0]
        command = [sys.executable, "-m", "sandbox.ngas", "--root", place / "ngas", "--port", str(port)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "include")}
        server = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        try:
            wait_for(f"http://127.0.0.1:{port}/STATUS")
            address = f"127.0.0.1:{port}"
            times = []
            for number in range(options.rounds):
                times.append(
                    tuple(
                        seconds(function, address, named(f"{function.__name__}{number}"))
                        for function in (plain, sent_only, ours)
                    )
                )
                for stored in (place / "ngas").rglob("afiles/**/*"):
                    if stored.is_file():
                        stored.unlink()  # the disk must hold one round, not all
        finally:
            server.terminate()
            server.wait()
    megabytes = len(data) / 1e6
    for plainly, sent, proved in times:
        print(
            f"plain {megabytes / plainly:5.0f} MB/s   ours without the proof {megabytes / sent:5.0f} MB/s   "
            f"ours {megabytes / proved:5.0f} MB/s"
        )
    plainly, sent, proved = (min(column) for column in zip(*times, strict=True))
    ratio = plainly / proved
    print(f"without the proof / plain = {plainly / sent:.2f}")
    print(f"archive / plain = {ratio:.2f} (best of {len(times)} rounds each; below {SLOWEST_ACCEPTED} fails)")
    return 0 if ratio >= SLOWEST_ACCEPTED else 1


def wait_for(url: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(url, timeout=1):  # noqa: S310
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
