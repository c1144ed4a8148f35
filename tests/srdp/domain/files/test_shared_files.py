"""What the service opens in a folder that others can write: a hostile name leads nowhere and costs nothing."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from srdp.domain.files.shared_files import (
    CASA_LOG,
    FETCH_LOCK,
    MANIFEST,
    PPR,
    FileIdentity,
    open_shared,
    open_to_write,
    read_shared,
    remove_shared,
)
from srdp.domain.files.shared_folders import has_content, is_folder, list_shared, look_at, sync_folder, walk_shared
from srdp.domain.files.storage import LocalFilesError, StorageUnavailable
from srdp.domain.files.trusted_root import UnsafeFile, made_folder, open_folder
from srdp.domain.files.whole_file import whole_file, write_whole_file


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Return a run's directory with a PPR, beside a file of secrets."""
    (tmp_path / "secrets").write_text("password")
    (tmp_path / "run" / "working").mkdir(parents=True)
    (tmp_path / "run" / "working" / "PPR.xml").write_bytes(b"<PPR/>")
    return tmp_path / "run"


def _a_link(place: Path) -> None:
    place.symlink_to(place.parent.parent.parent / "secrets")


def _a_hanging_link(place: Path) -> None:
    place.symlink_to("nowhere")


def _a_folder(place: Path) -> None:
    place.mkdir()


def _a_socket(place: Path) -> None:
    before = Path.cwd()
    os.chdir(place.parent)  # a socket's path has 108 characters at most
    try:
        socket.socket(socket.AF_UNIX).bind(place.name)
    finally:
        os.chdir(before)


def _a_sparse_file_of_40_gb(place: Path) -> None:
    with place.open("wb") as stream:
        stream.truncate(40 << 30)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (_a_link, "is a symbolic link, which is not followed"),
        (_a_hanging_link, "is a symbolic link, which is not followed"),
        (os.mkfifo, "is a named pipe, which the PPR may not be"),
        (_a_folder, "is a folder, which the PPR may not be"),
        (_a_socket, "is no regular file"),
        (_a_sparse_file_of_40_gb, "is larger than the PPR may be, 42949672960 bytes of at most 8388608"),
    ],
)
def test_what_is_no_file_of_its_kind_is_refused_in_one_sentence(
    run: Path, made: Callable[[Path], None], said: str
) -> None:
    place = run / "working" / "PPR.xml"
    place.unlink()
    made(place)
    with pytest.raises(UnsafeFile, match=said) as refused:
        read_shared(run, place, PPR)
    assert str(place) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("swapped", ["run", "run/working"])
def test_a_linked_folder_is_followed_by_nothing(tmp_path: Path, run: Path, swapped: str) -> None:
    folder = tmp_path / swapped
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    place = run / "working" / "PPR.xml"
    calls: list[Callable[[], object]] = [
        lambda: read_shared(run, place, PPR),
        lambda: look_at(run, place),
        lambda: has_content(run, place),
        lambda: is_folder(run, place),
        lambda: list_shared(run, place.parent),
        lambda: list(walk_shared(run, place.parent)),
        lambda: write_whole_file(run, place, b"new"),
        lambda: whole_file(run, place).__enter__(),
        lambda: open_folder(run, place.parent).__enter__(),
        lambda: made_folder(run, place.parent).__enter__(),
        lambda: made_folder(run, place.parent / "new").__enter__(),
        lambda: open_to_write(run, place, FETCH_LOCK).__enter__(),
        lambda: open_to_write(run, place.with_name("new"), FETCH_LOCK).__enter__(),
        lambda: remove_shared(run, place),
        lambda: sync_folder(run, place.parent),
    ]
    for call in calls:
        with pytest.raises(UnsafeFile, match="is a symbolic link"):
            call()
    elsewhere = tmp_path / "elsewhere" / place.relative_to(folder)
    assert elsewhere.read_bytes() == b"<PPR/>"
    assert [path.name for path in elsewhere.parent.iterdir()] == ["PPR.xml"]


def test_a_link_in_a_listed_folder_is_reported_as_a_link(run: Path) -> None:
    _a_link(run / "working" / "casa.log")
    (run / "working" / "to_folder").symlink_to("..")
    assert [path.name for path in list_shared(run, run / "working")] == ["PPR.xml", "casa.log", "to_folder"]
    assert [path.name for path, _ in walk_shared(run, run)] == ["working", "PPR.xml", "casa.log", "to_folder"]
    assert not has_content(run, run / "working" / "casa.log")
    assert not is_folder(run, run / "working" / "to_folder")


@pytest.mark.parametrize("path", ["", "..", "../secrets", "working/../../secrets", "/etc/passwd", "working/\0"])
def test_a_path_that_leads_out_of_the_root_is_refused(run: Path, path: str) -> None:
    with pytest.raises(UnsafeFile, match="is no path below"):
        read_shared(run, run / path, PPR)


@pytest.mark.parametrize("path", ["missing", "missing/PPR.xml", "working/PPR.xml/inside"])
def test_what_is_not_there_is_reported_as_not_there(run: Path, path: str) -> None:
    with pytest.raises(FileNotFoundError):
        read_shared(run, run / path, PPR)
    assert look_at(run, run / path) is None
    assert list_shared(run, run / path) == []
    assert list(walk_shared(run, run / path)) == []


def test_what_was_looked_at_is_what_is_read(run: Path) -> None:
    place = run / "working" / "PPR.xml"
    seen = look_at(run, place)
    assert seen is not None
    assert read_shared(run, place, PPR, FileIdentity.of(seen)) == b"<PPR/>"
    place.rename(run / "kept")
    place.write_bytes(b"<DIF/>")
    os.utime(place, ns=(seen.st_mtime_ns, seen.st_mtime_ns))
    with pytest.raises(StorageUnavailable, match="changed after it was looked at"):
        read_shared(run, place, PPR, FileIdentity.of(seen))


@pytest.mark.parametrize("content", [b"", b"<PPR/> and more"])
def test_a_file_that_is_written_while_it_is_read_is_read_again(
    run: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    place = run / "working" / "PPR.xml"
    read = os.read

    def written_first(descriptor: int, size: int) -> bytes:
        place.write_bytes(content)
        return read(descriptor, size)

    monkeypatch.setattr(os, "read", written_first)
    with pytest.raises(StorageUnavailable, match="was being written while it was read"):
        read_shared(run, place, PPR)


def test_a_log_is_read_in_blocks_whatever_its_size(run: Path) -> None:
    log = run / "working" / "casa.log"
    _a_sparse_file_of_40_gb(log)
    with open_shared(run, log, CASA_LOG) as file:
        os.lseek(file.descriptor, -5, os.SEEK_END)
        assert list(file.blocks()) == [bytes(5)]


def test_folders_are_made_step_by_step_and_what_is_there_stays(run: Path) -> None:
    for _ in range(2):
        with made_folder(run, run / "rawdata" / "inner") as folder:
            os.close(os.open("file", os.O_CREAT, dir_fd=folder))
    sync_folder(run, run / "rawdata" / "inner")
    assert (run / "rawdata" / "inner" / "file").is_file()
    with pytest.raises(LocalFilesError, match="could not be written: Not a directory"):
        made_folder(run, run / "rawdata" / "inner" / "file").__enter__()
    with pytest.raises(FileNotFoundError):
        made_folder(run / "missing", run / "missing" / "inner").__enter__()


def test_opening_for_write_keeps_content_and_creates_on_demand(run: Path) -> None:
    place = run / "working" / "PPR.xml"
    with open_to_write(run, place, FETCH_LOCK) as descriptor:
        assert os.read(descriptor, 100) == b"<PPR/>"
    with pytest.raises(FileNotFoundError):
        open_to_write(run, run / "lock", FETCH_LOCK, make=False).__enter__()
    with open_to_write(run, run / "lock", FETCH_LOCK):
        assert (run / "lock").read_bytes() == b""


def test_links_are_removed_and_missing_entries_are_fine(run: Path) -> None:
    _a_link(run / "working" / "link")
    for _ in range(2):
        remove_shared(run, run / "working" / "link")
    remove_shared(run, run / "missing" / "link")
    assert not (run / "working" / "link").is_symlink()
    assert (run.parent / "secrets").read_text() == "password"


def test_no_descriptor_is_left_open(run: Path) -> None:
    os.mkfifo(run / "pipe")
    _a_link(run / "working" / "link")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for name in ("PPR.xml", "link", "missing", "../pipe"):
        for call in (read_shared, look_at, list_shared):
            with suppress(UnsafeFile, FileNotFoundError):
                call(run, run / "working" / name, *([MANIFEST] if call is read_shared else []))  # type: ignore[operator]
    list(walk_shared(run, run))
    next(iter(walk_shared(run, run)))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_file_is_written_below_its_root_and_a_link_is_replaced(run: Path) -> None:
    place = run / "working" / "notes"
    _a_link(place)
    assert write_whole_file(run, place, b"notes") is True
    assert (run.parent / "secrets").read_text() == "password"
    assert read_shared(run, place, PPR) == b"notes"


def test_endlessly_nested_folders_are_reported(run: Path) -> None:
    folder = os.open(run / "working", os.O_RDONLY)
    for _ in range(300):
        os.mkdir("deep", dir_fd=folder)
        inner = os.open("deep", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = inner
    os.close(folder)
    with pytest.raises(UnsafeFile, match="is nested deeper than 200 folders: remove it by hand"):
        list(walk_shared(run, run))
    names = [path.name for path, _ in walk_shared(run, run, unreadable=True)]
    assert names[:2] == ["working", "PPR.xml"]
    assert set(names[2:]) == {"deep"}
