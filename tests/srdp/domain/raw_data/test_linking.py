"""Raw data of a rerun: on one file system, where they are linked, and on two, where they are copied."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.killing import killed_at_each_file_operation

from srdp.domain.common.errors import IntegrityError, ServiceUnavailable
from srdp.domain.files.storage import DiskFull
from srdp.domain.files.trusted_root import UnsafeFile
from srdp.domain.raw_data.fetch import filled_by_one
from srdp.domain.raw_data.fetch_control import FetchStopped
from srdp.domain.raw_data.linking import RawDataUnusable, link_raw_data, raw_data_differences
from srdp.domain.runs.ledger_records import FetchedFile
from srdp.domain.runs.pipeline_run import RunDirectory

EB = "13A-537.sb24066356.eb24324502.56514.05971091435"
CONTENT = {
    f"{EB}/ASDM.xml": b"<ASDM/>",
    f"{EB}/ASDMBinary/uid_1": b"visibilities" * 100_000,  # more than one block
    f"{EB}/Empty.xml": b"",
}
# What a fetch of last week left; with a fraction of a second, which a copy must keep.
FETCHED_AT_NS = 1_795_000_000_123_456_789


def make_run(root: Path) -> RunDirectory:
    run = RunDirectory(root)
    run.rawdata.mkdir(parents=True)
    return run


def fill(run: RunDirectory) -> list[FetchedFile]:
    """A complete fetch, as it is recorded."""
    files = []
    for name, content in CONTENT.items():
        path = run.rawdata / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        os.utime(path, ns=(FETCHED_AT_NS, FETCHED_AT_NS))
        files.append(
            FetchedFile(
                path=name,
                size_bytes=len(content),
                crc32=zlib.crc32(content),
                ngas_file_id=name.replace("/", "_")[-60:],
                ngas_version=1,
                mtime_ns=path.stat().st_mtime_ns,
            )
        )
    return files


@pytest.fixture
def former(tmp_path: Path) -> RunDirectory:
    return make_run(tmp_path / "qa" / "vla-20261122-182453-4f7k")


@pytest.fixture
def files(former: RunDirectory) -> list[FetchedFile]:
    return fill(former)


@pytest.fixture(params=["linked", "copied"])
def new(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunDirectory]:
    """The new run's directory, on the former one's file system or on another."""
    if request.param == "linked":
        yield make_run(tmp_path / "processing" / "vla-20261123-091011-8h2m")
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        assert Path(other).stat().st_dev != tmp_path.stat().st_dev
        yield make_run(Path(other) / "vla-20261123-091011-8h2m")


@pytest.fixture
def beside(tmp_path: Path) -> RunDirectory:
    """The new run's directory, where links are possible."""
    return make_run(tmp_path / "processing" / "vla-20261123-091011-8h2m")


def everything(run: RunDirectory) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(run.rawdata)): path.read_bytes() if path.is_file() else None
        for path in run.rawdata.rglob("*")
    }


def assert_complete(run: RunDirectory, *, times: bool = True) -> None:
    assert everything(run) == CONTENT | {EB: None, f"{EB}/ASDMBinary": None}
    for name in CONTENT:
        found = (run.rawdata / name).stat()
        assert found.st_mode & 0o777 == 0o444, name
        assert not times or found.st_mtime_ns == FETCHED_AT_NS, name


def are_links(one: RunDirectory, other: RunDirectory) -> set[bool]:
    return {(one.rawdata / name).samefile(other.rawdata / name) for name in CONTENT}


def test_linked_raw_data_are_read_only_in_both_runs(
    former: RunDirectory, files: list[FetchedFile], new: RunDirectory, request: pytest.FixtureRequest
) -> None:
    linked = link_raw_data(former, new, files)
    assert_complete(new)
    assert linked.files == tuple(files)
    assert raw_data_differences(new, linked.files) == ()
    assert raw_data_differences(former, files) == ()
    if request.node.callspec.id == "linked":
        assert linked.copied == 0
        assert are_links(former, new) == {True}
        assert_complete(former)
    else:
        assert linked.copied == len(CONTENT)


def test_nothing_that_was_not_recorded_comes_along(
    former: RunDirectory, files: list[FetchedFile], new: RunDirectory
) -> None:
    (former.rawdata / EB / "notes.txt").write_text("of an analyst")
    link_raw_data(former, new, files)
    assert_complete(new)


def test_once_more_changes_nothing(former: RunDirectory, files: list[FetchedFile], new: RunDirectory) -> None:
    first = link_raw_data(former, new, files)
    before = {name: (new.rawdata / name).stat().st_ino for name in CONTENT}
    assert link_raw_data(former, new, files) == first
    assert {name: (new.rawdata / name).stat().st_ino for name in CONTENT} == before
    assert_complete(new)


def test_killed_at_each_file_operation_the_next_call_completes_it(
    former: RunDirectory, files: list[FetchedFile], new: RunDirectory
) -> None:
    def prepare() -> None:
        shutil.rmtree(new.root)
        new.rawdata.mkdir(parents=True)
        for name in CONTENT:
            (former.rawdata / name).chmod(0o644)

    kills = 0
    for _ in killed_at_each_file_operation(prepare, lambda: link_raw_data(former, new, files)):
        kills += 1
        visible = [path for path in new.rawdata.rglob("*") if path.is_file() and ".fetching" not in path.parts]
        for path in visible:
            assert path.read_bytes() == CONTENT[str(path.relative_to(new.rawdata))]
            assert path.stat().st_mode & 0o222 == 0, "CASA could write it"
        assert link_raw_data(former, new, files).files == tuple(files)
        assert_complete(new)
        assert raw_data_differences(former, files) == ()
    assert kills > 10


def removed(path: Path) -> None:
    path.unlink()


def grown(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b" ")


def touched(path: Path) -> None:
    os.utime(path, ns=(FETCHED_AT_NS, FETCHED_AT_NS + 1))


def symbolic(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


DAMAGES = [
    (removed, "is missing"),
    (grown, "has 8 bytes, but 7 were recorded"),
    (touched, "was modified after it was fetched"),
    (symbolic, "is not a regular file"),
    (pipe, "is not a regular file"),
]


@pytest.mark.parametrize(("damage", "said"), DAMAGES)
def test_changed_raw_file_is_named_and_nothing_is_linked(
    former: RunDirectory,
    files: list[FetchedFile],
    beside: RunDirectory,
    damage: Callable[[Path], None],
    said: str,
) -> None:
    damage(former.rawdata / EB / "ASDM.xml")
    (difference,) = raw_data_differences(former, files)
    assert difference.startswith(f"'{EB}/ASDM.xml' in rawdata/ {said}")
    with pytest.raises(RawDataUnusable, match=f"cannot be used again: '{EB}/ASDM.xml' in rawdata/ {said}"):
        link_raw_data(former, beside, files)
    assert [path for path in everything(beside) if not path.startswith(".fetching")] == []


@pytest.mark.parametrize(("damage", "said"), DAMAGES)
def test_file_changed_after_the_check_is_not_linked(
    former: RunDirectory,
    files: list[FetchedFile],
    new: RunDirectory,
    damage: Callable[[Path], None],
    said: str,
) -> None:
    calls: list[None] = []

    def check() -> None:
        if not calls:
            damage(former.rawdata / EB / "ASDM.xml")
        calls.append(None)

    with pytest.raises(RawDataUnusable, match=r"ASDM\.xml"):
        link_raw_data(former, new, files, check=check)
    assert not (new.rawdata / EB / "ASDM.xml").exists()


def test_a_file_that_is_replaced_while_it_is_linked_is_not_kept(
    former: RunDirectory, files: list[FetchedFile], beside: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def replaced(source: str, target: str, **options: int) -> None:
        path = former.rawdata / EB / source
        path.unlink()
        path.write_bytes(b"another")
        link(source, target, **options)

    monkeypatch.setattr(os, "link", replaced)
    with pytest.raises(RawDataUnusable, match="was replaced meanwhile"):
        link_raw_data(former, beside, files)
    assert not (beside.rawdata / EB / "ASDM.xml").exists()


@pytest.mark.parametrize("place", ["", EB, f"{EB}/ASDMBinary"])
def test_a_folder_that_is_a_symbolic_link_is_not_followed(
    former: RunDirectory, files: list[FetchedFile], beside: RunDirectory, tmp_path: Path, place: str
) -> None:
    folder = former.rawdata / place
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    assert raw_data_differences(former, files)
    with pytest.raises(RawDataUnusable, match=f"'{folder}' is a symbolic link"):
        link_raw_data(former, beside, files)


@pytest.mark.parametrize("place", ["", EB, f"{EB}/ASDMBinary"])
def test_folder_swapped_for_a_link_is_not_followed(
    former: RunDirectory, files: list[FetchedFile], new: RunDirectory, tmp_path: Path, place: str
) -> None:
    """What is there has the size and the times that were recorded: another run's, or a file of secrets made so."""
    shutil.copytree(former.rawdata, tmp_path / "elsewhere")
    swapped: list[None] = []

    def check() -> None:
        if not swapped:
            (former.rawdata / place).rename(tmp_path / "aside")
            (former.rawdata / place).symlink_to(tmp_path / "elsewhere" / place)
        swapped.append(None)

    with pytest.raises(RawDataUnusable, match="is a symbolic link"):
        link_raw_data(former, new, files, check=check)
    for path in (tmp_path / "elsewhere").rglob("*"):
        assert path.is_dir() or path.stat().st_nlink == 1


@pytest.mark.parametrize("place", ["", EB, f"{EB}/ASDMBinary", ".fetching"])
def test_nothing_is_written_through_links_of_the_new_run(
    former: RunDirectory, files: list[FetchedFile], new: RunDirectory, tmp_path: Path, place: str
) -> None:
    (tmp_path / "elsewhere").mkdir()
    folder = new.rawdata / place
    if not place:
        folder.rmdir()
    folder.parent.mkdir(exist_ok=True)
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UnsafeFile, match=f"'{folder}' is a symbolic link"):
        link_raw_data(former, new, files)
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("path", ["../outside", "/etc/hostname", ".fetching/x", "a/../../x", ""])
def test_a_recorded_path_never_leads_out(
    former: RunDirectory, files: list[FetchedFile], beside: RunDirectory, path: str
) -> None:
    files.append(replace(files[0], path=path))
    with pytest.raises(RawDataUnusable, match="is not the path of a raw file"):
        link_raw_data(former, beside, files)


def test_a_former_run_that_is_removed_in_the_middle(
    former: RunDirectory, files: list[FetchedFile], new: RunDirectory
) -> None:
    calls: list[None] = []

    def check() -> None:
        calls.append(None)
        if len(calls) == 3:  # some files, or some blocks of one
            shutil.rmtree(former.root)

    with pytest.raises(RawDataUnusable, match="No such file"):
        link_raw_data(former, new, files, check=check)
    assert (new.rawdata / EB / "ASDM.xml").read_bytes() == b"<ASDM/>", "the fetch finds it in place"


def test_what_was_not_recorded_completely_is_not_used(
    former: RunDirectory, files: list[FetchedFile], beside: RunDirectory
) -> None:
    with pytest.raises(RawDataUnusable, match="no complete fetch"):
        link_raw_data(former, beside, [])
    with pytest.raises(RawDataUnusable, match="was not recorded when"):
        link_raw_data(former, beside, [*files[1:], replace(files[0], mtime_ns=None)])


def test_a_copy_with_another_checksum_is_not_kept(
    former: RunDirectory, files: list[FetchedFile], new: RunDirectory, request: pytest.FixtureRequest
) -> None:
    path = former.rawdata / EB / "ASDM.xml"
    path.write_bytes(b"<ASDN/>")
    os.utime(path, ns=(FETCHED_AT_NS, FETCHED_AT_NS))
    if request.node.callspec.id == "linked":
        link_raw_data(former, new, files)  # reads no byte
        return
    with pytest.raises(RawDataUnusable, match="does not have the checksum"):
        link_raw_data(former, new, files)
    assert not (new.rawdata / EB / "ASDM.xml").exists()


def test_correct_bytes_stay_and_wrong_ones_go(
    former: RunDirectory, files: list[FetchedFile], beside: RunDirectory
) -> None:
    folder = beside.rawdata / EB
    (folder / "ASDMBinary").mkdir(parents=True)
    fetched = folder / "ASDM.xml"
    fetched.write_bytes(b"<ASDM/>")
    (folder / "ASDMBinary" / "uid_1").write_bytes(b"visibilitiez" * 100_000)
    linked = link_raw_data(former, beside, files)
    assert linked.copied == 1
    assert_complete(beside, times=False)
    assert not fetched.samefile(former.rawdata / EB / "ASDM.xml")
    assert linked.files[0].mtime_ns == fetched.stat().st_mtime_ns != FETCHED_AT_NS
    assert raw_data_differences(beside, linked.files) == ()


def test_something_else_in_a_files_place_is_left_to_a_person(
    former: RunDirectory, files: list[FetchedFile], beside: RunDirectory
) -> None:
    (beside.rawdata / EB / "ASDM.xml").mkdir(parents=True)
    with pytest.raises(IntegrityError, match="somebody put it there"):
        link_raw_data(former, beside, files)


def test_a_former_run_that_cannot_be_read_is_not_used(
    former: RunDirectory, files: list[FetchedFile], new: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_link(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    def broken(*_: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "link", refuse_link)
    monkeypatch.setattr(os, "read", broken)
    with pytest.raises(RawDataUnusable, match="Input/output error"):
        link_raw_data(former, new, files)


@pytest.mark.parametrize("number", [errno.EMLINK, errno.EPERM, errno.EXDEV, errno.ENOTSUP])
def test_what_cannot_be_linked_is_copied(
    former: RunDirectory,
    files: list[FetchedFile],
    beside: RunDirectory,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
) -> None:
    link = os.link

    def refuse_one(source: str, target: str, **options: int) -> None:
        if source == "uid_1":
            raise OSError(number, os.strerror(number))
        link(source, target, **options)

    monkeypatch.setattr(os, "link", refuse_one)
    assert link_raw_data(former, beside, files).copied == 1
    assert_complete(beside)


def test_writable_files_of_others_are_copied(
    former: RunDirectory, files: list[FetchedFile], beside: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = (former.rawdata / EB / "ASDM.xml").stat().st_ino
    fchmod = os.fchmod

    def refuse(descriptor: int, mode: int) -> None:
        if os.fstat(descriptor).st_ino == owner:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        fchmod(descriptor, mode)

    monkeypatch.setattr(os, "fchmod", refuse)
    assert link_raw_data(former, beside, files).copied == 1
    assert_complete(beside)


def test_a_refusal_that_no_copy_mends_is_reported(
    former: RunDirectory, files: list[FetchedFile], beside: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(DiskFull, match="Free space"):
        link_raw_data(former, beside, files)


def test_no_copy_is_begun_without_space_for_it(
    former: RunDirectory, files: list[FetchedFile], new: RunDirectory, request: pytest.FixtureRequest
) -> None:
    if request.node.callspec.id == "linked":
        link_raw_data(former, new, files, spare_bytes=1 << 60)
        return
    with pytest.raises(DiskFull, match="SRDP_FETCH_SPARE_GB"):
        link_raw_data(former, new, files, spare_bytes=1 << 60)
    assert not (new.rawdata / EB / "ASDM.xml").exists()


def test_asked_to_stop_it_stops(former: RunDirectory, files: list[FetchedFile], new: RunDirectory) -> None:
    def stop() -> None:
        raise FetchStopped

    with pytest.raises(FetchStopped):
        link_raw_data(former, new, files, check=stop)


def test_two_at_once_do_not_fill_one_directory(
    former: RunDirectory, files: list[FetchedFile], new: RunDirectory
) -> None:
    with filled_by_one(new.rawdata), pytest.raises(ServiceUnavailable, match="Another process"):
        link_raw_data(former, new, files)


def test_a_time_that_was_not_recorded_is_not_compared(former: RunDirectory, files: list[FetchedFile]) -> None:
    touched(former.rawdata / EB / "ASDM.xml")
    assert raw_data_differences(former, [replace(file, mtime_ns=None) for file in files]) == ()
