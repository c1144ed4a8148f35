"""How fast a calibration's tar is packed, beside the plainest way: the ``tar`` command, then a pass for the checksum.

Both read the same files, write to the same disk and sync what they wrote; ours looks at every file before and after,
and makes the same bytes each time. The ratio says what that costs and what reading once gains; absolute rates depend
on the machine.

    python bench/packing.py [--megabytes 1000] [--files 40] [--rounds 3]
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "plugins"))

from srdp.domain.packing import pack, tree  # noqa: E402

SLOWEST_ACCEPTED = 0.8
BLOCK = 1 << 20


def plain(folder: Path, target: Path) -> int:
    tar = shutil.which("tar")
    assert tar, "there is no tar command to compare with"
    subprocess.run([tar, "-C", folder, "-cf", target, "."], check=True)
    checksum = 0
    with target.open("rb") as stream:
        os.fsync(stream.fileno())
        while block := stream.read(BLOCK):
            checksum = zlib.crc32(block, checksum)
    return checksum


def ours(folder: Path, target: Path) -> int:
    return pack(tree(folder, folder), target.parent, target).crc32


def seconds(function: Callable[[Path, Path], int], folder: Path, target: Path) -> float:
    os.sync()  # neither pays for what the other has not written yet
    started = time.monotonic()
    function(folder, target)
    taken = time.monotonic() - started
    target.unlink()
    return taken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--files", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="bench-packing-") as name:
        folder, target = Path(name) / "products", Path(name) / "run.tar"
        folder.mkdir()
        for number in range(options.files):
            (folder / f"file{number}").write_bytes(os.urandom(options.megabytes * 1_000_000 // options.files))
        times = []
        for number in range(options.rounds):
            order = (plain, ours) if number % 2 == 0 else (ours, plain)
            taken = {function: seconds(function, folder, target) for function in order}
            times.append((taken[plain], taken[ours]))
    for plainly, packed in times:
        print(f"tar + checksum {options.megabytes / plainly:6.0f} MB/s   pack {options.megabytes / packed:6.0f} MB/s")
    ratio = statistics.median(plainly / packed for plainly, packed in times)
    print(f"pack / (tar + checksum) = {ratio:.2f} (median of {len(times)} rounds; below {SLOWEST_ACCEPTED} fails)")
    return 0 if ratio >= SLOWEST_ACCEPTED else 1


if __name__ == "__main__":
    sys.exit(main())
