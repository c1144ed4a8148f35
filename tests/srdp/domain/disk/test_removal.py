from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.killing import killed_at_each_file_operation
from tests.mounts import bind_mounted

from srdp.domain.common.errors import InvalidInput, Refused, ServiceUnavailable
from srdp.domain.disk import removal, tree_removal
from srdp.domain.disk.removal import (
    Removal,
    is_directory_of,
    places_of_run,
    remove_run_directories,
    symlinks_leading_out,
    visible_directories,
)
from srdp.domain.retention.expiry import Space
from srdp.domain.runs.identifiers import PipelineRunId
from srdp.domain.runs.ledger_records import PipelineRun
from srdp.domain.runs.pipeline_run import Areas, RunDirectory
from srdp.domain.runs.run_marker import MARKER, RunMarker, put_marker
from srdp.domain.runs.states import RunState

RUN = PipelineRunId("vla-20261122-182453-4f7k")
SIBLING = PipelineRunId("vla-20261122-182453-4f7m")
ALMA_RUN = PipelineRunId("alma-20261122-182453-4f7k")
MARKERS = {run_id: RunMarker(run_id, uuid.uuid4()) for run_id in (RUN, SIBLING, ALMA_RUN)}
OWN_MARKER = MARKERS[RUN]
PPR = b"<SciPipeRequest/>"
ORDINARY_USER = 65534


@pytest.fixture
def areas(tmp_path: Path) -> Areas:
    return make_areas(tmp_path)


def make_areas(folder: Path) -> Areas:
    areas = Areas(
        processing=folder / "processing",
        qa=folder / "qa",
        spool=folder / "spool",
    )
    for area in (areas.processing, areas.qa, areas.spool):
        area.mkdir()
    return areas


def mark(root: Path) -> None:
    """Make it the directory of the run whose ID is in its name; of a name without one, no run's."""
    root.mkdir()
    for run_id, marker in MARKERS.items():
        if run_id in root.name:
            (root / MARKER).write_bytes(marker.content)  # not synced, as it else is, which takes time


def make_directory(root: Path) -> RunDirectory:
    directory = RunDirectory(root)
    mark(root)
    html = directory.working / "pipeline-20261122T182500" / "html"
    html.mkdir(parents=True)
    (html / "t1-1.html").write_text("weblog")
    (html / "index.html").symlink_to("t1-1.html")
    directory.processing_request.write_bytes(PPR)
    directory.products.mkdir()
    (directory.products / "weblog.tgz").write_bytes(b"tar" * 1000)
    directory.rawdata.mkdir()
    raw = directory.rawdata / "ASDM.xml"
    raw.write_text("<ASDM/>")
    raw.chmod(0o444)
    directory.rawdata.chmod(0o555)
    return directory


def make_everything(areas: Areas, run_id: PipelineRunId = RUN) -> None:
    """What a run can leave: both areas after a killed move, hidden leftovers, the spool."""
    for area in (areas.processing, areas.qa):
        for name in (run_id, f".{run_id}.removed", f".{run_id}.moved", f".{run_id}.arriving"):
            make_directory(area / name)
    mark(areas.spool / run_id)
    (areas.spool / run_id / "casa-1.json").write_text("{}")


def names(areas: Areas) -> set[str]:
    return {path.name for area in (areas.processing, areas.qa, areas.spool) for path in area.iterdir()}


def discard(folder: Path) -> None:
    """Remove a folder with what an ordinary user may not write in it."""
    for path in (folder, *folder.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o700)
    shutil.rmtree(folder)


def empty(areas: Areas) -> None:
    for area in (areas.processing, areas.qa, areas.spool):
        discard(area)
        area.mkdir()


@pytest.fixture
def as_ordinary_user() -> Iterator[Callable[[], Areas]]:
    """Areas of an ordinary user, and the test under that user's rights: root may do everything."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    was_root = os.geteuid() == 0

    def become() -> Areas:
        if was_root:
            os.chown(folder, ORDINARY_USER, ORDINARY_USER)
            os.seteuid(ORDINARY_USER)
        return make_areas(folder)

    try:
        yield become
    finally:
        if was_root:
            os.seteuid(0)
        discard(folder)


def test_removes_everything_of_the_run_and_nothing_else(areas: Areas) -> None:
    make_everything(areas)
    make_everything(areas, SIBLING)
    beside = {f"{RUN}.notes", f".{RUN}.removed.notes", f"x{RUN}"}
    for name in beside:
        make_directory(areas.processing / name)
    others = names(areas) - {RUN, f".{RUN}.removed", f".{RUN}.moved", f".{RUN}.arriving"}
    removal = remove_run_directories(areas, OWN_MARKER)
    assert names(areas) == others
    assert removal.left == ()
    assert len(removal.removed) == 9
    assert areas.qa / f".{RUN}.arriving" in removal.removed
    one_directory = len("weblog") + len(PPR) + 3000 + len("<ASDM/>")
    assert removal.bytes_freed == 8 * one_directory + len("{}")
    assert remove_run_directories(areas, OWN_MARKER) == Removal()


def test_killed_at_any_file_operation_the_next_call_finishes(areas: Areas) -> None:
    def prepare() -> None:
        empty(areas)
        for place in (areas.qa / RUN, areas.qa / f".{RUN}.removed", areas.qa / SIBLING):
            make_directory(place)
        for place in (areas.processing / RUN, areas.qa / f".{RUN}.moved", areas.spool / RUN):
            mark(place)
            (place / "casa.log").touch()

    sibling = make_directory(areas.processing / f"{SIBLING}.reference")
    expected = sorted(path.relative_to(sibling.root) for path in sibling.root.rglob("*"))
    kills = 0
    for number in killed_at_each_file_operation(prepare, lambda: remove_run_directories(areas, OWN_MARKER)):
        kills = number
        assert remove_run_directories(areas, OWN_MARKER).left == ()
        assert names(areas) == {SIBLING}
        assert sorted(path.relative_to(areas.qa / SIBLING) for path in (areas.qa / SIBLING).rglob("*")) == expected
    assert kills > 50


def test_a_killed_removal_shows_no_half_run_under_the_runs_name(areas: Areas) -> None:
    reference = make_directory(areas.spool / f"{RUN}.reference").root
    whole = sorted(path.relative_to(reference) for path in reference.rglob("*"))

    def prepare() -> None:
        discard(areas.qa)
        areas.qa.mkdir()
        make_directory(areas.qa / RUN)

    seen = set()
    for _ in killed_at_each_file_operation(prepare, lambda: remove_run_directories(areas, OWN_MARKER)):
        root = areas.qa / RUN
        seen.add(root.exists())
        if root.exists():
            assert sorted(path.relative_to(root) for path in root.rglob("*")) == whole
            assert [directory.root for directory in visible_directories(areas, RUN)] == [root]
        else:
            assert visible_directories(areas, RUN) == ()
    assert seen == {True, False}


def test_is_content_with_a_directory_that_is_half_or_wholly_gone(areas: Areas) -> None:
    shutil.rmtree(make_directory(areas.qa / RUN).working)
    assert remove_run_directories(areas, OWN_MARKER).left == ()
    assert names(areas) == set()


def test_what_vanishes_meanwhile_is_removed(areas: Areas, monkeypatch: pytest.MonkeyPatch) -> None:
    make_directory(areas.qa / RUN)
    unlink, rmdir = os.unlink, os.rmdir

    def twice(real: Callable[..., None]) -> Callable[..., None]:
        def removed_by_somebody_else_first(path: str, *, dir_fd: int) -> None:
            real(path, dir_fd=dir_fd)
            real(path, dir_fd=dir_fd)

        return removed_by_somebody_else_first

    monkeypatch.setattr(os, "unlink", twice(unlink))
    monkeypatch.setattr(os, "rmdir", twice(rmdir))
    assert remove_run_directories(areas, OWN_MARKER).left == ()
    assert names(areas) == set()


def test_hard_links_of_other_runs_stay_as_they_were(areas: Areas) -> None:
    raw = make_directory(areas.qa / RUN).rawdata / "ASDM.xml"
    linked = areas.processing / SIBLING / "rawdata" / "ASDM.xml"
    linked.parent.mkdir(parents=True)
    linked.hardlink_to(raw)
    before = linked.stat()
    removal = remove_run_directories(areas, OWN_MARKER)
    after = linked.stat()
    assert (after.st_mode, after.st_mtime_ns, after.st_nlink) == (before.st_mode, before.st_mtime_ns, 1)
    assert linked.read_text() == "<ASDM/>"
    assert removal.bytes_freed == len("weblog") + len(PPR) + 3000


def test_the_space_of_a_removal_is_known_before(areas: Areas) -> None:
    make_everything(areas)
    raw = areas.qa / RUN / "rawdata" / "ASDM.xml"
    linked = areas.processing / SIBLING / "rawdata" / "ASDM.xml"
    linked.parent.mkdir(parents=True)
    linked.hardlink_to(raw)
    (areas.qa / RUN / "products" / "again.tgz").hardlink_to(areas.qa / RUN / "products" / "weblog.tgz")
    (areas.qa / RUN / "working" / "elsewhere").symlink_to(areas.processing / SIBLING)
    expected = Space().freed_by(places_of_run(areas, RUN))
    assert expected > 0
    assert remove_run_directories(areas, OWN_MARKER).bytes_freed == expected


def test_never_leaves_through_a_symbolic_link(areas: Areas, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "data").write_text("not ours")
    precious.chmod(0o500)
    directory = make_directory(areas.qa / RUN)
    (directory.working / "out").symlink_to(precious)
    (directory.working / "file").symlink_to(precious / "data")
    (directory.working / "up").symlink_to("../../..")
    (directory.working / "loop").symlink_to("loop")
    assert remove_run_directories(areas, OWN_MARKER).left == ()
    assert (precious / "data").read_text() == "not ours"
    assert precious.stat().st_mode & 0o777 == 0o500
    assert names(areas) == set()


@pytest.mark.parametrize("name", [RUN, f".{RUN}.removed", f".{RUN}.moved", f".{RUN}.arriving"])
@pytest.mark.parametrize("kind", ["link", "dangling link", "file"])
def test_non_directory_stops_the_removal(areas: Areas, tmp_path: Path, name: str, kind: str) -> None:
    precious = make_directory(tmp_path / "precious").root
    make_directory(areas.processing / RUN)
    mark(areas.spool / RUN)
    place = areas.qa / name
    if kind == "file":
        place.write_text("")
    else:
        place.symlink_to(precious if kind == "link" else tmp_path / "nowhere")
    with pytest.raises(Refused, match="a symbolic link" if "link" in kind else "no directory"):
        remove_run_directories(areas, OWN_MARKER)
    assert names(areas) == {RUN, name}
    assert (precious / "products" / "weblog.tgz").exists()


def test_directory_that_becomes_a_link_is_not_followed(
    areas: Areas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    precious = make_directory(tmp_path / "precious").root
    make_directory(areas.qa / RUN)
    rename = os.rename

    def swapped(source: str, target: str, **directories: int) -> None:
        rename(source, target, **directories)
        discard(areas.qa / target)
        (areas.qa / target).symlink_to(precious)

    monkeypatch.setattr(os, "rename", swapped)
    (left,) = remove_run_directories(areas, OWN_MARKER).left
    assert left.path == areas.qa / f".{RUN}.removed"
    assert (precious / "products" / "weblog.tgz").exists()


@pytest.mark.parametrize("hostile", ["", ".", "..", "../x", "vla-20261122-182453-4f7k/..", f"{RUN}\n", f"{RUN}*"])
def test_only_a_pipeline_run_id_names_what_is_removed(areas: Areas, hostile: str) -> None:
    make_everything(areas)
    before = names(areas)
    with pytest.raises(InvalidInput):
        remove_run_directories(areas, RunMarker(PipelineRunId(hostile), uuid.uuid4()))
    assert names(areas) == before


def test_hostile_names_inside_are_only_names(areas: Areas) -> None:
    directory = make_directory(areas.qa / RUN)
    for name in ("-rf", "a\nb", "$(reboot)", "..x", "\udcff\udcfe", "ü" * 100, " "):
        (directory.working / name).mkdir()
        (directory.working / name / name).write_text("")
    assert remove_run_directories(areas, OWN_MARKER).left == ()


def test_what_is_read_only_is_removed_by_its_owner(as_ordinary_user: Callable[[], Areas]) -> None:
    areas = as_ordinary_user()
    directory = make_directory(areas.qa / RUN)
    closed = directory.working / "closed"
    (closed / "deeper").mkdir(parents=True)
    (closed / "deeper" / "file").write_text("x")
    for path in (closed / "deeper", closed, directory.root):
        path.chmod(0o000)
    assert remove_run_directories(areas, OWN_MARKER).left == ()
    assert names(areas) == set()


def test_all_unremovable_entries_are_reported(
    as_ordinary_user: Callable[[], Areas], monkeypatch: pytest.MonkeyPatch
) -> None:
    areas = as_ordinary_user()
    directory = make_directory(areas.qa / RUN)
    foreign = [directory.working / name for name in ("others_one", "others_two")]
    for path in foreign:
        path.mkdir()
        (path / "file").write_text("x")
        (path / "second").write_text("x")
    if os.getuid() == 0:
        os.seteuid(0)
        for path in foreign:
            os.chown(path, 0, 0)
            path.chmod(0o755)
        os.seteuid(ORDINARY_USER)
    else:  # somebody else's directory cannot be made: the operating system's answer is
        real = os.unlink
        names_there = {path.name for path in foreign}

        def refused(name: str, *, dir_fd: int) -> None:
            if Path(f"/proc/self/fd/{dir_fd}").readlink().name in names_there:
                raise PermissionError(13, "Permission denied", name)
            real(name, dir_fd=dir_fd)

        monkeypatch.setattr(os, "unlink", refused)
    removal = remove_run_directories(areas, OWN_MARKER)
    hidden = areas.qa / f".{RUN}.removed" / "working"
    assert [(left.path, left.why) for left in removal.left] == [
        (hidden / folder / name, "Permission denied")
        for folder in ("others_one", "others_two")
        for name in ("file", "second")
    ]
    assert sorted(path.name for path in (areas.qa / f".{RUN}.removed").iterdir()) == [MARKER, "working"]
    assert sorted(path.name for path in hidden.iterdir()) == ["others_one", "others_two"]


def test_an_area_that_may_not_be_written_is_reported(as_ordinary_user: Callable[[], Areas]) -> None:
    areas = as_ordinary_user()
    make_directory(areas.qa / RUN)
    make_directory(areas.processing / RUN)
    areas.qa.chmod(0o555)
    (left,) = remove_run_directories(areas, OWN_MARKER).left
    assert (left.path, left.why) == (areas.qa / RUN, "Permission denied")
    assert list(areas.processing.iterdir()) == []
    assert (areas.qa / RUN / "products" / "weblog.tgz").exists()


def test_hidden_remnant_keeps_the_visible_directory_whole(areas: Areas, monkeypatch: pytest.MonkeyPatch) -> None:
    make_directory(areas.qa / RUN)
    mark(areas.qa / f".{RUN}.removed")
    (areas.qa / f".{RUN}.removed" / "busy").write_text("x")
    real = os.unlink

    def busy(name: str, *, dir_fd: int) -> None:
        if name == "busy":
            raise OSError(16, "Device or resource busy", name)
        real(name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", busy)
    removal = remove_run_directories(areas, OWN_MARKER)
    assert [left.path for left in removal.left] == [areas.qa / f".{RUN}.removed" / "busy", areas.qa / RUN]
    assert (areas.qa / RUN / "working" / "PPR.xml").exists()
    monkeypatch.undo()
    assert remove_run_directories(areas, OWN_MARKER).left == ()
    assert names(areas) == set()


def test_no_mount_point_of_the_same_device_is_crossed(areas: Areas, tmp_path: Path) -> None:
    directory = make_directory(areas.qa / RUN)
    theirs, inside = tmp_path / "theirs", directory.working / "mounted"
    for place in (theirs, inside):
        place.mkdir()
    (theirs / "file").write_text("x")
    assert theirs.stat().st_dev == areas.qa.stat().st_dev
    with bind_mounted(theirs, inside):
        (left,) = remove_run_directories(areas, OWN_MARKER).left
        assert "mounted" in left.why
        assert (theirs / "file").read_text() == "x"
        hidden = areas.qa / f".{RUN}.removed"
        assert {path.name for path in hidden.iterdir()} == {MARKER, "working"}
    assert remove_run_directories(areas, OWN_MARKER).left == ()
    assert (theirs / "file").read_text() == "x"


def test_what_the_kernel_says_is_another_mount_is_not_entered(areas: Areas, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = make_directory(areas.qa / RUN).working / "mounted"
    inside.mkdir()
    (inside / "file").write_text("x")
    inode, mount_of = inside.stat().st_ino, tree_removal.mount_of
    monkeypatch.setattr(
        tree_removal, "mount_of", lambda descriptor: mount_of(descriptor) + (os.fstat(descriptor).st_ino == inode)
    )
    (left,) = remove_run_directories(areas, OWN_MARKER).left
    assert "mounted" in left.why
    assert (areas.qa / f".{RUN}.removed" / "working" / "mounted" / "file").read_text() == "x"


def test_a_run_s_directory_that_is_mounted_is_not_emptied(areas: Areas) -> None:
    own = make_directory(areas.processing / RUN)
    mark(areas.qa / RUN)
    with bind_mounted(own.root, areas.qa / RUN):
        removal = remove_run_directories(areas, OWN_MARKER)
        assert [left.path for left in removal.left] == [areas.qa / RUN]
    assert remove_run_directories(areas, OWN_MARKER).left == ()
    assert names(areas) == set()


@pytest.mark.parametrize("came_as", [RUN, f".{RUN}.arriving"])
def test_a_directory_that_is_moved_meanwhile_is_left(
    areas: Areas, monkeypatch: pytest.MonkeyPatch, came_as: str
) -> None:
    make_directory(areas.qa / RUN)
    remove = removal._Removal.remove

    def moved_back(self: removal._Removal, root: Path, area: int) -> None:
        remove(self, root, area)
        if root == areas.processing:
            (areas.qa / RUN).rename(areas.processing / came_as)

    with monkeypatch.context() as patch:
        patch.setattr(removal._Removal, "remove", moved_back)
        (left,) = remove_run_directories(areas, OWN_MARKER).left
    assert left.path == areas.processing / came_as
    assert "came while" in left.why
    assert (left.path / "products").is_dir()
    assert remove_run_directories(areas, OWN_MARKER).left == ()
    assert names(areas) == set()


def test_a_very_deep_directory_is_left_with_a_sentence(areas: Areas) -> None:
    deepest = make_directory(areas.qa / RUN).working
    for _ in range(230):
        deepest /= "d"
        deepest.mkdir()
    (left,) = remove_run_directories(areas, OWN_MARKER).left
    assert "nested deeper than 200" in left.why


@pytest.mark.parametrize("area", ["processing", "qa", "spool"])
def test_an_area_that_is_not_there_is_not_taken_for_an_empty_one(areas: Areas, area: str) -> None:
    make_directory(areas.qa / RUN) if area != "qa" else make_directory(areas.processing / RUN)
    getattr(areas, area).rmdir()
    with pytest.raises(ServiceUnavailable, match=f"{area} cannot be looked into"):
        remove_run_directories(areas, OWN_MARKER)
    with pytest.raises(ServiceUnavailable):
        places_of_run(areas, RUN)
    assert any((place / RUN).exists() for place in (areas.qa, areas.processing))


def test_links_that_lead_out_are_found_and_others_are_not(areas: Areas, tmp_path: Path) -> None:
    directory = make_directory(areas.qa / RUN)
    inside = {
        "index": "PPR.xml",
        "up_and_down": "../products/weblog.tgz",
        "absolute": str(directory.products),
        "before_the_move": str(areas.processing / RUN / "working" / "casa.log"),
        "spool": str(areas.spool / RUN / "casa-1.json"),
        "gone": "not_there",
    }
    outside = {
        "other_run": str(areas.qa / SIBLING),
        "lookalike": str(areas.qa / f"{RUN}x"),
        "area": "../..",
        "etc": "/etc/passwd",
        "dangling": str(tmp_path / "nowhere"),
    }
    for name, target in (inside | outside).items():
        (directory.working / name).symlink_to(target)
    (directory.products / "through").symlink_to("../working/etc")
    found = symlinks_leading_out(directory, areas)
    assert {path.name for path in found} == {*outside, "through"}
    for path in found:
        path.unlink()
    assert symlinks_leading_out(directory, areas) == ()


def run_record(sha256: str | None) -> PipelineRun:
    now = datetime.now(UTC)
    return PipelineRun(
        pipeline_run_id=RUN, kind="vla_calibration", subject="x", project="x", locator="x", version=1,
        state=RunState.ARCHIVED, dag_id="x", dag_run_id="x", requested_by="x", recipe="x", cores=1, memory_gb=1,
        failure=None, ppr_sha256=sha256, lowest_score=None, scores=None, created_at=now, state_since=now,
    )  # fmt: skip


OWN = hashlib.sha256(PPR).hexdigest()


def test_a_directory_is_known_by_its_ppr(areas: Areas) -> None:
    directory = make_directory(areas.qa / RUN)
    assert is_directory_of(directory, run_record(OWN))
    assert not is_directory_of(directory, run_record(hashlib.sha256(b"another").hexdigest()))
    assert not is_directory_of(directory, run_record(None))
    assert not is_directory_of(make_directory(areas.qa / SIBLING), run_record(OWN))


@pytest.mark.parametrize("what", ["PPR.xml", "working"])
def test_a_ppr_that_is_elsewhere_proves_nothing(areas: Areas, what: str) -> None:
    directory = make_directory(areas.qa / RUN)
    theirs = make_directory(areas.processing / SIBLING)
    if what == "working":
        shutil.rmtree(directory.working)
        directory.working.symlink_to(theirs.working)
    else:
        directory.processing_request.unlink()
        assert not is_directory_of(directory, run_record(OWN))
        directory.processing_request.symlink_to(theirs.processing_request)
    assert not is_directory_of(directory, run_record(OWN))


def test_a_ppr_that_is_a_pipe_keeps_nobody_waiting(areas: Areas) -> None:
    directory = make_directory(areas.qa / RUN)
    directory.processing_request.unlink()
    os.mkfifo(directory.processing_request)
    assert not is_directory_of(directory, run_record(OWN))


# Of any run's names, and of names that are almost one's, in any area
names_in_an_area = st.sampled_from([RUN, SIBLING]).flatmap(
    lambda run_id: st.sampled_from(
        [
            run_id,
            f".{run_id}.removed",
            f".{run_id}.moved",
            f".{run_id}.arriving",
            f"{run_id}.",
            f"x{run_id}",
            f".{run_id}",
        ]
    )
)
contents = st.lists(st.sampled_from(["file", "folder/file", "link to a sibling", "folder/link out"]), unique=True)


# Whose a directory is


@pytest.mark.parametrize("name", [RUN, f".{RUN}.removed", f".{RUN}.moved", f".{RUN}.arriving"])
@pytest.mark.parametrize("area", ["processing", "qa", "spool"])
@pytest.mark.parametrize("whose", ["a sibling's", "no run's", "that of another ledger"])
def test_unmarked_namesake_stays_with_everything_else(areas: Areas, area: str, name: str, whose: str) -> None:
    make_directory(areas.processing / RUN) if area != "processing" else make_directory(areas.qa / RUN)
    place = make_directory(getattr(areas, area) / SIBLING).root
    if whose == "no run's":
        (place / MARKER).unlink()
    elif whose == "that of another ledger":
        put_marker(place, RunMarker(RUN, uuid.uuid4()))
    place.rename(place.with_name(name))
    before = sorted(path for root in (areas.processing, areas.qa, areas.spool) for path in root.rglob("*"))
    with pytest.raises(Refused, match=rf"{name}' is not the directory of {RUN}: .*nothing was removed"):
        remove_run_directories(areas, OWN_MARKER)
    assert before == sorted(path for root in (areas.processing, areas.qa, areas.spool) for path in root.rglob("*"))


def test_directory_swapped_after_the_check_keeps_its_name(areas: Areas, monkeypatch: pytest.MonkeyPatch) -> None:
    make_directory(areas.qa / RUN)
    waiting = make_directory(areas.qa / SIBLING)
    rename = os.rename

    def swapped(source: str, target: str, **directories: int) -> None:
        monkeypatch.undo()
        (areas.qa / RUN).rename(areas.qa / "taken away")
        waiting.root.rename(areas.qa / RUN)
        rename(source, target, **directories)

    monkeypatch.setattr(os, "rename", swapped)
    (left,) = remove_run_directories(areas, OWN_MARKER).left
    assert left.path == areas.qa / RUN
    assert "is no longer the run's" in left.why
    assert (areas.qa / RUN / "products" / "weblog.tgz").exists()


def test_late_files_do_not_orphan_the_directory(areas: Areas, monkeypatch: pytest.MonkeyPatch) -> None:
    make_directory(areas.qa / RUN)
    hidden, rmdir = areas.qa / f".{RUN}.removed", os.rmdir

    def written_by_somebody_first(name: str, *, dir_fd: int) -> None:
        if name == hidden.name:
            (hidden / "late.txt").touch()
        rmdir(name, dir_fd=dir_fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rmdir", written_by_somebody_first)
        (left,) = remove_run_directories(areas, OWN_MARKER).left
    assert left.path == hidden
    assert remove_run_directories(areas, OWN_MARKER).left == ()
    assert names(areas) == set()


@given(
    st.dictionaries(st.tuples(st.sampled_from(["processing", "qa", "spool"]), names_in_an_area), contents, max_size=8)
)
def test_whatever_is_there_only_the_run_goes(found: dict[tuple[str, str], list[str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        areas = make_areas(Path(folder))
        outside = Path(folder) / "outside"
        outside.mkdir()
        (outside / "file").touch()
        for (area, name), things in found.items():
            place = Path(folder) / area / name
            mark(place)
            (place / "folder").mkdir()
            for thing in things:
                if "link" in thing:
                    (place / thing).symlink_to(outside if "out" in thing else areas.processing / SIBLING)
                else:
                    (place / thing).touch()
        own = {RUN, f".{RUN}.removed", f".{RUN}.moved", f".{RUN}.arriving"}
        before = {str(path) for path in Path(folder).rglob("*")}
        gone = {str(Path(folder) / area / name) for area, name in found if name in own}
        assert remove_run_directories(areas, OWN_MARKER).left == ()
        after = {str(path) for path in Path(folder).rglob("*")}
        assert after == {path for path in before if not any(f"{path}/".startswith(f"{one}/") for one in gone)}


def test_alma_run_is_removed_from_almas_areas_only(tmp_path: Path) -> None:
    alma = ALMA_RUN
    areas = dataclasses.replace(
        make_areas(tmp_path), own={"alma": (tmp_path / "alma_processing", tmp_path / "alma_qa")}
    )
    for area in areas.own["alma"]:
        area.mkdir()
        make_directory(area / alma)
        make_directory(area / f".{alma}.removed")
    mark(areas.spool / alma)
    make_directory(areas.qa / RUN)
    areas.processing.rmdir()
    directory = RunDirectory(areas.own["alma"][1] / alma)
    (directory.working / "moved").symlink_to(areas.own["alma"][0] / alma / "working")
    assert symlinks_leading_out(directory, areas) == ()
    assert remove_run_directories(areas, MARKERS[alma]).left == ()
    assert [path.name for area in (*areas.own["alma"], areas.spool) for path in area.iterdir()] == []
    assert (areas.qa / RUN).is_dir()
