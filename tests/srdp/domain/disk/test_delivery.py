from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.killing import killed_at_each_file_operation
from tests.mounts import rename_as_between_mounts

from srdp.domain.common.errors import IntegrityError, Refused, SrdpError
from srdp.domain.disk.delivery import can_rename, move_run_directory
from srdp.domain.files import tree_copy
from srdp.domain.files.storage import LocalFilesError, StorageUnavailable
from srdp.domain.files.tree_copy import compare_trees
from srdp.domain.runs.identifiers import PipelineRunId
from srdp.domain.runs.pipeline_run import RunDirectory
from srdp.domain.runs.run_marker import MARKER, RunMarker, Standing, opened, standing_of

RUN = "vla-20261122-182453-4f7k"
OWN = RunMarker(PipelineRunId(RUN), uuid.uuid4())


@pytest.fixture(params=["one file system", "two file systems", "two mounts of one file system"])
def areas(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, Path]]:
    processing = tmp_path / "processing"
    processing.mkdir()
    if request.param != "two file systems":
        qa = tmp_path / "qa"
        qa.mkdir()
        if request.param == "two mounts of one file system":
            monkeypatch.setattr(Path, "rename", rename_as_between_mounts)
        yield processing, qa
        return
    # /dev/shm is a tmpfs on every Linux: a rename out of the test's directory into it is impossible.
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        assert Path(other).stat().st_dev != processing.stat().st_dev
        yield processing, Path(other)


@pytest.fixture
def other_file_system() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        yield Path(other)


def make_run(processing: Path) -> RunDirectory:
    run = RunDirectory(processing / RUN)
    html = run.working / "pipeline-20261122T182500" / "html"
    html.mkdir(parents=True)
    (run.root / MARKER).write_bytes(OWN.content)
    run.products.mkdir()
    run.rawdata.mkdir()
    (html / "t1-1.html").write_text("weblog")
    (html / "index.html").symlink_to("t1-1.html")
    (run.products / "weblog.tgz").write_bytes(b"tar" * 1000)
    raw = run.rawdata / "ASDM.xml"
    raw.write_text("<ASDM/>")
    raw.chmod(0o444)
    return run


def assert_delivered(processing: Path, qa: Path) -> None:
    delivered = RunDirectory(qa / RUN)
    assert (delivered.products / "weblog.tgz").read_bytes() == b"tar" * 1000
    assert (delivered.rawdata / "ASDM.xml").read_text() == "<ASDM/>"
    assert (delivered.rawdata / "ASDM.xml").stat().st_mode & 0o777 == 0o444
    index = delivered.working / "pipeline-20261122T182500" / "html" / "index.html"
    assert str(index.readlink()) == "t1-1.html"
    assert list(processing.iterdir()) == []
    assert [path.name for path in qa.iterdir()] == [RUN]


def test_moves_and_says_so_once(areas: tuple[Path, Path]) -> None:
    processing, qa = areas
    run = make_run(processing)
    assert move_run_directory(run, RunDirectory(qa / RUN), OWN) is True
    assert_delivered(processing, qa)
    assert move_run_directory(run, RunDirectory(qa / RUN), OWN) is False
    assert_delivered(processing, qa)


@pytest.mark.parametrize("areas", ["one file system", "two file systems"], indirect=True)
def test_killed_delivery_is_whole_and_finished_next_time(
    areas: tuple[Path, Path],
) -> None:
    processing, qa = areas
    run, target = RunDirectory(processing / RUN), RunDirectory(qa / RUN)
    reference = processing.parent / "reference"
    make_run(reference)

    def prepare() -> None:
        for area in areas:
            shutil.rmtree(area)
            area.mkdir()
        make_run(processing)

    kills = 0
    for number in killed_at_each_file_operation(prepare, lambda: move_run_directory(run, target, OWN)):
        kills = number
        whole = [place.root for place in (run, target) if place.root.exists()]
        assert whole, f"killed at operation {number}, the run is nowhere"
        for left in (path for area in areas for path in area.iterdir()):
            with opened(left) as descriptor:
                assert standing_of(descriptor, OWN) is not Standing.FOREIGN
        for root in whole:
            compare_trees(reference / RUN, root)
        move_run_directory(run, target, OWN)
        assert_delivered(processing, qa)
    assert kills >= 1


def change(run: RunDirectory) -> None:
    (run.working / "late.log").write_text("late")
    (run.products / "weblog.tgz").write_bytes(b"TAR" * 1000)


@pytest.mark.parametrize("areas", ["two file systems", "two mounts of one file system"], indirect=True)
@pytest.mark.parametrize("moment", ["before the source is hidden", "when it is"])
def test_what_is_written_while_it_is_moved_is_kept_and_reported(
    areas: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    processing, qa = areas
    run, hidden = make_run(processing), RunDirectory(processing / f".{RUN}.moved")
    rename = Path.rename

    def written_meanwhile(source: Path, target: Path) -> Path:
        if target == hidden.root and moment.startswith("before"):
            change(run)
        renamed = rename(source, target)
        if target == hidden.root and moment.startswith("when"):
            change(hidden)
        return renamed

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", written_meanwhile)
        with pytest.raises(IntegrityError, match=r"weblog\.tgz', .*late\.log': written in .* it is kept in .*moved\."):
            move_run_directory(run, RunDirectory(qa / RUN), OWN)
    assert (hidden.working / "late.log").read_text() == "late"
    assert (hidden.products / "weblog.tgz").read_bytes() == b"TAR" * 1000
    kept = {path.name for path in hidden.root.rglob("*") if path.is_file()}
    assert kept == {"late.log", "weblog.tgz", MARKER}
    assert (qa / RUN / "products" / "weblog.tgz").read_bytes() == b"tar" * 1000
    shutil.rmtree(hidden.root)
    assert move_run_directory(run, RunDirectory(qa / RUN), OWN) is False
    assert_delivered(processing, qa)


@pytest.mark.parametrize("where", ["source", "target", "what a killed move has hidden"])
def test_unmarked_namesake_is_not_moved_or_removed(areas: tuple[Path, Path], where: str) -> None:
    processing, qa = areas
    run, target = make_run(processing), RunDirectory(qa / RUN)
    foreign = {"source": run, "target": target}.get(where) or RunDirectory(processing / f".{RUN}.moved")
    if where != "source":
        shutil.copytree(run.root, foreign.root)
    if where.startswith("what"):
        shutil.copytree(run.root, target.root)
        shutil.rmtree(run.root)
    (foreign.root / MARKER).write_bytes(RunMarker(PipelineRunId(RUN), uuid.uuid4()).content)
    with pytest.raises(SrdpError, match="is missing or is another run's"):
        move_run_directory(run, target, OWN)
    assert (foreign.products / "weblog.tgz").exists()


def test_directory_swapped_before_rename_keeps_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for area in ("processing", "qa"):
        (tmp_path / area).mkdir()
    run, target = make_run(tmp_path / "processing"), RunDirectory(tmp_path / "qa" / RUN)
    rename = Path.rename

    def swapped(source: Path, new: Path) -> Path:
        monkeypatch.undo()
        (source / MARKER).unlink()
        return rename(source, new)

    monkeypatch.setattr(Path, "rename", swapped)
    with pytest.raises(Refused, match="it has its name again"):
        move_run_directory(run, target, OWN)
    assert (run.products / "weblog.tgz").exists()
    assert not target.root.exists()


def test_two_different_directories_of_one_run_are_both_kept(areas: tuple[Path, Path]) -> None:
    processing, qa = areas
    run = make_run(processing)
    other = make_run(qa)
    (other.products / "weblog.tgz").write_bytes(b"TAR" * 1000)
    with pytest.raises(IntegrityError, match=r"weblog\.tgz differs from"):
        move_run_directory(run, other, OWN)
    assert (run.products / "weblog.tgz").exists()
    assert (other.products / "weblog.tgz").exists()


def test_a_name_with_a_line_end_in_it_makes_no_second_line(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    (one / "a\nAll well").touch()
    with pytest.raises(IntegrityError, match="is missing") as reported:
        compare_trees(one, other)
    assert str(reported.value).isprintable()


def test_a_copy_that_is_not_equal_is_not_delivered(
    tmp_path: Path, other_file_system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path)
    copy_status = tree_copy._copy_status

    def flip_a_byte(source: int, target: int) -> None:
        if stat.S_ISREG(os.fstat(source).st_mode) and os.pread(source, 3, 0) == b"tar":
            os.pwrite(target, b"X", 0)
        copy_status(source, target)

    monkeypatch.setattr(tree_copy, "_copy_status", flip_a_byte)
    with pytest.raises(IntegrityError, match=r"weblog\.tgz differs from"):
        move_run_directory(run, RunDirectory(other_file_system / RUN), OWN)
    assert (run.products / "weblog.tgz").read_bytes() == b"tar" * 1000
    assert list(other_file_system.iterdir()) == []


@pytest.mark.parametrize("side", ["source", "copy"])
def test_link_swapped_in_during_a_copy_is_not_followed(
    tmp_path: Path, other_file_system: Path, monkeypatch: pytest.MonkeyPatch, side: str
) -> None:
    run, elsewhere = make_run(tmp_path), tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "weblog.tgz").write_bytes(b"secret")
    arriving = other_file_system / f".{RUN}.arriving"
    swapped = run.products if side == "source" else arriving / "products"
    look, seen = tree_copy.walk_shared, []

    def swap_behind_the_look(root: Path, folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
        for path, found in look(root, folder):
            if path.name == "weblog.tgz" and not seen:
                seen.append(path)
                swapped.rename(swapped.with_name("before"))
                swapped.symlink_to(elsewhere)
            yield path, found

    if side == "copy":
        (run.products / "another").write_bytes(b"")  # so that the copy's folder is there
    monkeypatch.setattr(tree_copy, "walk_shared", swap_behind_the_look)
    with pytest.raises(SrdpError, match="products' is a symbolic link"):
        move_run_directory(run, RunDirectory(other_file_system / RUN), OWN)
    assert {path.name: path.read_bytes() for path in elsewhere.iterdir()} == {"weblog.tgz": b"secret"}
    assert list(other_file_system.iterdir()) == []


@pytest.mark.parametrize(("error", "heals"), [(errno.EBUSY, True), (errno.ESTALE, True), (errno.ENAMETOOLONG, False)])
def test_source_remnants_go_with_the_next_try(
    tmp_path: Path, other_file_system: Path, monkeypatch: pytest.MonkeyPatch, error: int, heals: bool
) -> None:
    processing = tmp_path / "processing"
    processing.mkdir()
    run, unlink = make_run(processing), os.unlink

    def held_open(name: str, *, dir_fd: int | None = None) -> None:
        if name == "weblog.tgz":
            raise OSError(error, os.strerror(error))
        unlink(name, dir_fd=dir_fd)

    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", held_open)
        with pytest.raises(LocalFilesError, match=r"weblog\.tgz.*is complete") as reported:
            move_run_directory(run, RunDirectory(other_file_system / RUN), OWN)
    assert isinstance(reported.value, StorageUnavailable) is heals
    assert move_run_directory(run, RunDirectory(other_file_system / RUN), OWN) is True
    assert_delivered(processing, other_file_system)


def test_no_copy_runs_as_the_services_account_or_group(tmp_path: Path, other_file_system: Path) -> None:
    run = make_run(tmp_path)
    program = run.working / "program"
    program.write_bytes(b"#!/bin/sh\n")
    program.chmod(0o6775)
    run.working.chmod(0o2775)
    move_run_directory(run, RunDirectory(other_file_system / RUN), OWN)
    copied = RunDirectory(other_file_system / RUN)
    assert stat.S_IMODE((copied.working / "program").stat().st_mode) == 0o775
    assert stat.S_IMODE(copied.working.stat().st_mode) == 0o2775


def test_times_and_what_people_note_of_a_file_are_copied(tmp_path: Path, other_file_system: Path) -> None:
    run = make_run(tmp_path)
    weblog = run.products / "weblog.tgz"
    os.utime(weblog, ns=(1, 2))
    try:
        os.setxattr(weblog, "user.note", b"good")
        os.setxattr(other_file_system, "user.note", b"good")
    except OSError:
        noted = []
    else:
        noted = ["user.note"]
    move_run_directory(run, RunDirectory(other_file_system / RUN), OWN)
    copied = RunDirectory(other_file_system / RUN).products / "weblog.tgz"
    assert copied.stat().st_mtime_ns == 2
    assert [name for name in os.listxattr(copied) if name.startswith("user.")] == noted


def test_a_pipe_in_a_directory_is_reported_and_not_waited_for(tmp_path: Path, other_file_system: Path) -> None:
    run = make_run(tmp_path)
    os.mkfifo(run.working / "pipe")
    with pytest.raises(Refused, match="pipe' is neither a file, a directory nor a link"):
        move_run_directory(run, RunDirectory(other_file_system / RUN), OWN)
    assert list(other_file_system.iterdir()) == []


def test_rename_check_leaves_nothing(areas: tuple[Path, Path]) -> None:
    processing, qa = areas
    tried = can_rename(processing, qa)
    assert list(processing.iterdir()) == list(qa.iterdir()) == []
    run = make_run(processing)
    inode = run.root.stat().st_ino
    move_run_directory(run, RunDirectory(qa / RUN), OWN)
    assert tried is ((qa / RUN).stat().st_ino == inode)


def test_unwritable_area_says_nothing_about_renames(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        can_rename(tmp_path, tmp_path / "not mounted")
    assert list(tmp_path.iterdir()) == []


def test_full_file_system_is_reported_and_leaves_nothing(
    tmp_path: Path, other_file_system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(tmp_path)
    copied = []

    def no_space(_descriptor: int, _block: bytes) -> int:
        copied.append(_block)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tree_copy.os, "write", no_space)
    with pytest.raises(match="No space left on device"):
        move_run_directory(run, RunDirectory(other_file_system / RUN), OWN)
    assert list(other_file_system.iterdir()) == []
    assert len(copied) == 1, "the other files cannot be copied either"


def test_refuses_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "qa").mkdir()
    (tmp_path / "processing").mkdir()
    with pytest.raises(Refused, match="removed"):
        move_run_directory(RunDirectory(tmp_path / "processing" / RUN), RunDirectory(tmp_path / "qa" / RUN), OWN)


def test_refuses_a_symbolic_link(tmp_path: Path) -> None:
    (tmp_path / "qa").mkdir()
    elsewhere = make_run(tmp_path / "elsewhere")
    (tmp_path / "processing").mkdir()
    (tmp_path / "processing" / RUN).symlink_to(elsewhere.root)
    with pytest.raises(Refused, match="symbolic link"):
        move_run_directory(RunDirectory(tmp_path / "processing" / RUN), RunDirectory(tmp_path / "qa" / RUN), OWN)


def test_a_run_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="keeps its directory's name"):
        move_run_directory(make_run(tmp_path), RunDirectory(tmp_path / "vla-20261122-182453-4f7m"), OWN)
