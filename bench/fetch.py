"""How fast the fetch is, beside the plainest download there is, of the same files from the same server in the same run.

The plain one asks for one file after the other with ``urllib`` and writes it; it verifies nothing, syncs nothing and
shows half a file under its final name. The ratio says what verification costs and what concurrency gains; absolute
rates depend on the machine. Both share it with the server, which runs in a process of its own on loopback.

    python bench/fetch.py [--megabytes 400] [--files 8] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "plugins"), str(ROOT / "include")]

from sandbox.ngas.server import NgasServer  # noqa: E402
from sandbox.ports import free_ports  # noqa: E402
from srdp.domain.fetch import Fetch  # noqa: E402
from srdp.domain.locator_report import LocatorReport, parse_locator_report  # noqa: E402
from srdp.domain.ngas import NgasClient  # noqa: E402

SLOWEST_ACCEPTED = 0.5


def report_of(files: dict[str, bytes], server: str) -> LocatorReport:
    described = [
        {
            "ngas_file_id": name,
            "subdirectory": "EB",
            "relative_path": name,
            "version": 1,
            "size": len(data),
            "checksum": str(zlib.crc32(data)),
            "checksum_type": "ngamsGenCrc32",
            "server": {"server": server},
        }
        for name, data in files.items()
    ]
    document = {"files": described, "aggregate_size": sum(len(data) for data in files.values())}
    return parse_locator_report(json.dumps(document).encode(), "bench")


def plain(report: LocatorReport, directory: Path) -> None:
    for file in report.files:
        path = directory / file.destination
        path.parent.mkdir(parents=True, exist_ok=True)
        url = f"http://{file.server}/RETRIEVE?file_id={file.ngas_file_id}"
        with urllib.request.urlopen(url) as reply, path.open("wb") as target:
            shutil.copyfileobj(reply, target, 1 << 20)


def ours(report: LocatorReport, directory: Path) -> None:
    clients = {server: NgasClient(server) for server in report.servers}
    Fetch(report, directory, clients=clients, streams_per_server=4, spare_bytes=0, on_progress=lambda _: None).run()


def seconds(function, report: LocatorReport, parent: Path) -> float:  # noqa: ANN001
    os.sync()  # neither pays for what the other has not written yet
    with tempfile.TemporaryDirectory(dir=parent) as directory:
        started = time.monotonic()
        function(report, Path(directory))
        return time.monotonic() - started


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=400)
    parser.add_argument("--files", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="bench-fetch-") as name:
        place = Path(name)
        data = os.urandom(options.megabytes * 1_000_000 // options.files)
        files = {f"file{number}": data for number in range(options.files)}
        with NgasServer(place / "ngas") as store:
            for file_id, content in files.items():
                store.put(file_id, content)
        port = free_ports(1)[0]
        command = [sys.executable, "-m", "sandbox.ngas", "--root", place / "ngas", "--port", str(port)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "include")}
        server = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        try:
            wait_for(f"http://127.0.0.1:{port}/STATUS")
            report = report_of(files, f"127.0.0.1:{port}")
            times = [(seconds(plain, report, place), seconds(ours, report, place)) for _ in range(options.rounds)]
        finally:
            server.terminate()
            server.wait()
    megabytes = report.aggregate_size / 1e6
    for plainly, fetched in times:
        print(f"plain {megabytes / plainly:6.0f} MB/s   fetch {megabytes / fetched:6.0f} MB/s")
    ratio = statistics.median(plainly / fetched for plainly, fetched in times)
    print(f"fetch / plain = {ratio:.2f} (median of {len(times)} rounds; below {SLOWEST_ACCEPTED} fails)")
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
