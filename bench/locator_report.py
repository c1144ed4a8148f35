"""What a locator report of very many files costs a process that reads it as it comes: seconds, and memory."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench import ROOT
from bench.frame import Case, Figure, Options, Sides

_FILE = {
    "ngas_file_id": "uid____evla_bdf_",
    "subdirectory": "13A-537.sb24066356.eb24324502.56514.05971091435",
    "relative_path": "ASDMBinary/uid____evla_bdf_",
    "version": 1,
    "size": 108677120,
    "checksum": "-1848259250",
    "checksum_type": "ngamsGenCrc32",
    "server": {"server": "nmngas01.aoc.nrao.edu:7777", "location": "DSOC", "cluster": "DSOC"},
}
# In a process of its own, whose highest memory is this report's.
_READ = """
import json, re, sys, time
from srdp.domain.ngas.locator_report import parse_locator_report
with open(sys.argv[1], "rb") as document:
    parse_locator_report(iter(lambda: document.read(1 << 20), b""), "bench")
highest = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
print(json.dumps([time.process_time(), highest]))
"""


@contextmanager
def _reports(options: Options) -> Iterator[Sides]:
    path, files = options.place / "report.json", 3_000 if options.quick else 300_000
    _write(path, files)

    def ours() -> Mapping[str, float]:
        command = [sys.executable, "-c", _READ, str(path)]
        environment = {"PYTHONPATH": str(ROOT / "plugins")}
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
        seconds, megabytes = json.loads(done.stdout)
        return {"locator-report-time": seconds, "locator-report-memory": megabytes}

    yield Sides(ours=ours)


def _write(path: Path, files: int) -> None:
    with path.open("w") as document:
        document.write('{"files": [')
        for number in range(files):
            named = {name: f"{_FILE[name]}{10**12 + number}" for name in ("ngas_file_id", "relative_path")}
            document.write(f"{', ' if number else ''}{json.dumps(_FILE | named)}")
        document.write(f'], "aggregate_size": {files * 108677120}}}')


CASES = (
    Case(
        _reports,
        (
            Figure("locator-report-time", "a locator report of 300,000 files: time of a core", "", goal=10),
            Figure("locator-report-memory", "memory of the process that reads it", "", goal=300, unit="MB"),
        ),
        warm_up=0,
    ),
)
