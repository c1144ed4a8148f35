"""What a locator report of very many files costs: seconds, and memory at its highest, in a process of its own.

    python bench/locator_report.py [--files 300000]

Less than 10 s and 300 MB are wanted for 300,000 files, with the document's own 100 MB where all of it is here before
it is read (``whole``); the hook reads it as it comes (``stream``).
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "plugins")]

from srdp.domain.locator_report import parse_locator_report  # noqa: E402

FILE = {
    "ngas_file_id": "uid____evla_bdf_",
    "subdirectory": "13A-537.sb24066356.eb24324502.56514.05971091435",
    "relative_path": "ASDMBinary/uid____evla_bdf_",
    "version": 1,
    "size": 108677120,
    "checksum": "-1848259250",
    "checksum_type": "ngamsGenCrc32",
    "server": {"server": "nmngas01.aoc.nrao.edu:7777", "location": "DSOC", "cluster": "DSOC"},
}


def write(path: Path, files: int) -> None:
    with path.open("w") as document:
        document.write('{"files": [')
        for number in range(files):
            named = {name: f"{FILE[name]}{10**12 + number}" for name in ("ngas_file_id", "relative_path")}
            document.write(f"{', ' if number else ''}{json.dumps(FILE | named)}")
        document.write(f'], "aggregate_size": {files * 108677120}}}')


def blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as document:
        while block := document.read(1 << 20):
            yield block


def measure(path: Path, how: str) -> None:
    began = time.monotonic()
    report = parse_locator_report(path.read_bytes() if how == "whole" else blocks(path), "a locator")
    seconds = time.monotonic() - began
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{how:<7} {len(report.files)} files: {seconds:.1f} s, {highest:.0f} MB at the highest")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=300_000)
    parser.add_argument("--measure", nargs=2, metavar=("PATH", "HOW"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(Path(arguments.measure[0]), arguments.measure[1])
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "report.json")
        write(path, arguments.files)
        for how in ("whole", "stream"):
            subprocess.run([sys.executable, __file__, "--measure", str(path), how], check=True)


if __name__ == "__main__":
    main()
