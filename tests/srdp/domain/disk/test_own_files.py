from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from srdp.domain.disk.own_files import OwnFiles, own_files
from srdp.domain.runs.ledger_records import SubmittedFile
from srdp.domain.runs.pipeline_run import RunDirectory
from srdp.domain.runs.run_marker import MARKER

LEFT = datetime.now(UTC) + timedelta(hours=1)
BEFORE, AFTER = (LEFT + timedelta(hours=hours) for hours in (-9, 1))


def write(path: Path, when: datetime) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (when.timestamp(), when.timestamp()))


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    """What the pipeline has left."""
    made = RunDirectory(tmp_path / "vla-20261122-182453-4f7k")
    for name in (MARKER, "rawdata/ASDM.xml", "working/PPR.xml", "working/casa.log", "working/x.ms/table.dat"):
        write(made.root / name, BEFORE)
    return made


def named(directory: RunDirectory, *, archived: bool = True) -> tuple[str, ...]:
    return own_files(directory, LEFT, archived=archived).names


def test_files_written_after_the_pipeline_are_named(directory: RunDirectory) -> None:
    assert own_files(directory, LEFT, archived=True) == OwnFiles()
    for name in ("notes.txt", "rawdata/mine", "working/selfcal.py", "working/my.ms/table.dat", "working/my.ms/t.f0"):
        write(directory.root / name, AFTER)
    found = own_files(directory, LEFT, archived=True)
    assert found.names == ("notes.txt", "rawdata/mine", "working/my.ms/ (2 files)", "working/selfcal.py")
    assert "'notes.txt', 'rawdata/mine'" in str(found)
    write(directory.root / "notes.txt", AFTER + timedelta(seconds=1))
    assert own_files(directory, LEFT, archived=True).digest != found.digest


def test_what_nobody_wrote_for_himself_is_not_named(directory: RunDirectory) -> None:
    for name in (
        "products/weblog.tgz", "working/pipeline-20261122T182500/html/qa_notes.html", "working/x.ms/table.lock",
        "working/notes.txt~", "working/PPR.xml", MARKER,
    ):  # fmt: skip
        write(directory.root / name, AFTER)
    assert named(directory) == ()
    assert named(directory, archived=False) == ("working/PPR.xml",)


def test_files_held_by_the_ledger_are_not_named(directory: RunDirectory) -> None:
    given = [SubmittedFile(name="qa_report.txt", content=b"qa_status: pass", source="pasted")]

    def named_with(content: bytes) -> tuple[str, ...]:
        for name in ("qa_report.txt", "working/pipeline-20261122T182500/html/qa_report.txt"):
            write(directory.root / name, AFTER)
            (directory.root / name).write_bytes(content)
            write(directory.root / name, AFTER)
        return own_files(directory, LEFT, archived=True, given=given).names

    assert named_with(b"qa_status: pass") == ()
    assert named_with(b"qa_status: fail") == ("qa_report.txt", "working/pipeline-20261122T182500")


def test_an_old_file_that_was_put_there_since_is_named(directory: RunDirectory) -> None:
    mine = directory.working / "old.fits"
    lying = [path for path in directory.root.rglob("*") if path.is_file()]
    left = datetime.fromtimestamp(max(path.stat().st_ctime for path in lying), UTC) + timedelta(milliseconds=1)
    mine.touch()
    put_there_after(mine, left)
    assert own_files(directory, left, archived=True).names == ("working/old.fits",)
    # In a directory that was copied since, every file has been put there.
    put_there_after(directory.root / MARKER, left)
    assert own_files(directory, left, archived=True) == OwnFiles()


def put_there_after(path: Path, left: datetime) -> None:
    """Leaves a file as ``cp -p`` and ``mv`` do, when the clock of the file system has come so far."""
    os.utime(path, (0, 0))
    while path.stat().st_ctime_ns <= int(left.timestamp() * 10**9):
        os.utime(path, (0, 0))
