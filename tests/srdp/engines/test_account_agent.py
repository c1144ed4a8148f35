"""What runs under CASA's account for the service, here under the account of the test."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from srdp.engines.account_agent import open_up


def test_folders_that_are_nested_without_end_do_not_keep_the_others_closed(tmp_path: Path) -> None:
    run, late = tmp_path / "run", tmp_path / "run" / "working" / "late"
    late.mkdir(parents=True)
    late.chmod(0o700)
    folder = os.open(run / "working", os.O_RDONLY)
    for _ in range(1200):  # more than the frames that Python has, and the descriptors
        os.mkdir("deep", 0o700, dir_fd=folder)
        inner = os.open("deep", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)
    try:
        open_up(str(run))
        assert stat.S_IMODE(late.stat().st_mode) == 0o770
        assert stat.S_IMODE((run / "working" / "deep").stat().st_mode) == 0o770
    finally:
        _remove(run / "working")


def _remove(folder: Path) -> None:
    """Remove folders that are nested deeper than a path may be long, from below what is moved up step by step."""
    while (deep := folder / "deep").is_dir():
        if (further := deep / "deep").is_dir():
            further.rename(folder / "next")
            shutil.rmtree(deep)
            (folder / "next").rename(deep)
        else:
            shutil.rmtree(deep)
