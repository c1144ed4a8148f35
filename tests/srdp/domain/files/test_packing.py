from __future__ import annotations

import hashlib
import os
import random
import resource
import shutil
import socket
import subprocess
import tarfile
import tempfile
import zlib
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.killing import killed_at_each_file_operation

from srdp.domain.common.errors import Refused
from srdp.domain.files import packing
from srdp.domain.files.packing import Member, PackedFile, pack, tree
from srdp.domain.files.storage import LocalFilesError, StorageUnavailable
from srdp.domain.files.trusted_root import UnsafeFile


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    (folder / "stage10").mkdir(parents=True)
    (folder / "stage2").mkdir()
    (folder / "empty").mkdir()
    (folder / "t1-1.html").write_text("front")
    (folder / "index.html").symlink_to("t1-1.html")
    (folder / "stage2" / "up").symlink_to("../t1-1.html")
    (folder / "stage10" / "x.png").write_bytes(random.Random(1).randbytes(3_000_000))  # noqa: S311
    (folder / "stage2" / ("n" * 150 + "ö")).write_text("a long name")
    return folder


def packed(folder: Path, target: Path, **options: object) -> PackedFile:
    return pack(tree(folder, folder, "top/html"), target.parent, target, **options)  # type: ignore[arg-type]


def refused(call: Callable[[], object], words: str) -> None:
    with pytest.raises((Refused, LocalFilesError)) as reported:
        call()
    assert words in str(reported.value)
    assert str(reported.value).isprintable()


# --- the same bytes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compress", [False, True])
def test_size_and_checksum_are_those_of_the_file(folder: Path, tmp_path: Path, *, compress: bool) -> None:
    result = packed(folder, tmp_path / "x.tar", compress=compress)
    content = (tmp_path / "x.tar").read_bytes()
    assert result == PackedFile(tmp_path / "x.tar", len(content), zlib.crc32(content))


@pytest.mark.parametrize("compress", [False, True])
def test_bytes_depend_on_names_and_contents_alone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, compress: bool
) -> None:
    first = packed(folder, tmp_path / "1.tar", compress=compress)
    other = tmp_path / "other"
    shutil.copytree(folder, other, symlinks=True)
    for number, path in enumerate([other, *other.rglob("*")]):
        if not path.is_symlink():
            os.utime(path, (number, 1_700_000_000 + number))
            path.chmod(0o700)
            os.chown(path, 12345, 54321) if os.geteuid() == 0 else None
    monkeypatch.setattr("time.time", lambda: 1.5)
    second = pack(reversed(list(tree(other, other, "top/html"))), tmp_path, tmp_path / "2.tar", compress=compress)
    assert (second.size_bytes, second.crc32) == (first.size_bytes, first.crc32)
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()


def test_bytes_are_those_of_former_releases(tmp_path: Path) -> None:
    # What is in NGAS must be recognised by later releases of this project, and of Python.
    folder = tmp_path / "folder"
    (folder / "d").mkdir(parents=True)
    (folder / "d" / ("long" * 40)).write_bytes(b"x" * 1000)
    (folder / "link").symlink_to("d")
    assert packed(folder, tmp_path / "x.tar").size_bytes == 10240
    digest = hashlib.sha256((tmp_path / "x.tar").read_bytes()).hexdigest()
    assert digest == "0b0cafd74b2820aa1a05ce10a20688c4f42c57efae9ce1bb9278d1bff9de754a"


def test_says_nothing_about_this_host(folder: Path, tmp_path: Path) -> None:
    packed(folder, tmp_path / "x.tar")
    with tarfile.open(tmp_path / "x.tar") as tar:
        facts = {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in tar}
        modes = {(m.type, m.mode) for m in tar}
    assert facts == {(0, 0, "", "", 315_532_800)}
    assert modes == {(tarfile.REGTYPE, 0o644), (tarfile.DIRTYPE, 0o755), (tarfile.SYMTYPE, 0o777)}


def test_unpacks_to_what_was_packed(folder: Path, tmp_path: Path) -> None:
    packed(folder, tmp_path / "x.tgz", compress=True)
    with tarfile.open(tmp_path / "x.tgz") as tar:
        names = tar.getnames()
        # Python before 3.11.4, as Debian 12 has it, knows no filter.
        tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, _path: member)
        tar.extractall(tmp_path / "out")
    assert names == sorted(names, key=lambda name: name.split("/"))
    assert names[0] == "top/html"
    top = tmp_path / "out" / "top" / "html"
    for path in folder.rglob("*"):
        copy = top / path.relative_to(folder)
        if path.is_symlink():
            assert copy.readlink() == path.readlink()
        elif path.is_file():
            assert copy.read_bytes() == path.read_bytes()
        else:
            assert copy.is_dir()


def test_gnu_tar_reads_it_without_a_word(folder: Path, tmp_path: Path) -> None:
    packed(folder, tmp_path / "x.tgz", compress=True)
    (tmp_path / "out").mkdir()
    command = ["tar", "xzf", tmp_path / "x.tgz", "-C", tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


# --- what does not get in --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "link",
    [
        *("/etc/passwd", "../outside", "../../..", "..", ".", "../top", "../../../top/html/t1-1.html", "missing"),
        *("stage2/up/x", "t1-1.html/../t1-1.html", "way/../t1-1.html", "stage2/../../../top/html/t1-1.html/../../.."),
        *("stage2/../../outside", "a\nb", "bad", "./bad//", "circle"),
    ],
)
def test_a_link_that_leads_out_of_what_is_packed_is_refused(folder: Path, tmp_path: Path, link: str) -> None:
    (tmp_path / "outside").write_text("secret")
    (folder / "way").symlink_to("stage2")
    (folder / "circle").symlink_to("bad" if link == "circle" else "t1-1.html")
    (folder / "bad").symlink_to(link)
    refused(lambda: packed(folder, tmp_path / "x.tar"), "is a symbolic link to")
    assert not (tmp_path / "x.tar").exists()


@pytest.mark.parametrize(
    "link", ["stage2", "stage10/x.png", "./stage2/up", "stage10/../index.html", "../html/t1-1.html"]
)
def test_a_link_to_what_is_packed_is_kept(folder: Path, tmp_path: Path, link: str) -> None:
    (folder / "good").symlink_to(link)
    packed(folder, tmp_path / "x.tar")
    with tarfile.open(tmp_path / "x.tar") as tar:
        assert tar.getmember("top/html/good").linkname == link
        # Python before 3.11.4, as Debian 12 has it, knows no filter.
        tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, _path: member)
        tar.extractall(tmp_path / "out")
    assert (tmp_path / "out" / "top" / "html" / "good").exists()


def test_what_is_neither_file_nor_directory_is_refused(folder: Path, tmp_path: Path) -> None:
    os.mkfifo(folder / "fifo")
    refused(lambda: packed(folder, tmp_path / "x.tar"), "is neither a file nor a directory")
    (folder / "fifo").unlink()
    with socket.socket(socket.AF_UNIX) as server, tempfile.TemporaryDirectory() as short:
        server.bind(f"{short}/s")
        refused(
            lambda: pack([Member("s", Path(short, "s"), Path(short))], tmp_path, tmp_path / "x.tar"),
            "is neither a file nor a directory",
        )


def test_a_root_that_is_a_link_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    refused(lambda: packed(tmp_path / "link", tmp_path / "x.tar"), "is a symbolic link")


@pytest.mark.parametrize("name", ["/x", "../x", "a/../x", "", ".", "a//x", "a/", "x\n", "x\udcff", "a/./x", "x" * 5000])
def test_a_name_that_could_leave_the_tar_is_refused(folder: Path, tmp_path: Path, name: str) -> None:
    refused(
        lambda: pack([Member(name, folder / "t1-1.html", folder)], tmp_path, tmp_path / "x.tar"),
        "cannot be a name in a tar",
    )


def test_two_members_of_one_name_are_refused(folder: Path, tmp_path: Path) -> None:
    members = [Member("x", folder / "t1-1.html", folder), Member("x", folder / "stage10" / "x.png", folder)]
    refused(lambda: pack(members, tmp_path, tmp_path / "x.tar"), "would both be 'x' in the tar")
    members = [Member("x", folder / "t1-1.html", folder), Member("x/y", folder / "stage10" / "x.png", folder)]
    refused(lambda: pack(members, tmp_path, tmp_path / "x.tar"), "is not a directory")


def test_what_a_killed_packing_left_is_not_packed(folder: Path) -> None:
    (folder / ".x.tgz.0123abcd.unfinished").touch()
    (folder / ".kept").touch()
    names = {member.name for member in tree(folder, folder)}
    assert ".kept" in names
    assert ".x.tgz.0123abcd.unfinished" not in names


def test_hard_links_are_packed_as_files(folder: Path, tmp_path: Path) -> None:
    (folder / "same").hardlink_to(folder / "t1-1.html")
    packed(folder, tmp_path / "x.tar")
    with tarfile.open(tmp_path / "x.tar") as tar:
        assert tar.getmember("top/html/same").isreg()


# --- files that move -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "when"),
    [(change, "while it is read") for change in ("grow", "shrink", "rewrite")]
    + [(change, "before it is opened") for change in ("grow", "shrink", "rewrite", "replace by a link", "remove")],
)
def test_a_file_that_changes_while_it_is_packed_fails_the_packing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, when: str
) -> None:
    path = folder / "stage10" / "x.png"

    def happen() -> None:
        if change == "grow":
            with path.open("ab") as stream:
                stream.write(b"more")
        elif change == "shrink":
            os.truncate(path, 10)
        elif change == "rewrite":
            with path.open("r+b") as stream:
                stream.write(b"other")
            os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
        else:
            path.rename(tmp_path / "away")
            if change == "replace by a link":
                path.symlink_to(tmp_path / "away")

    if when == "while it is read":
        copy = tarfile.copyfileobj

        def copy_and_happen(source: BinaryIO, target: BinaryIO, size: int, **options: int) -> None:
            if size == path.stat().st_size:
                happen()
            copy(source, target, size, **options)

        monkeypatch.setattr(tarfile, "copyfileobj", copy_and_happen)
    else:
        write = packing._write
        monkeypatch.setattr(packing, "_write", lambda *arguments: (happen(), write(*arguments)))
    with pytest.raises(
        (LocalFilesError, UnsafeFile), match=r"x\.png' (changed|was being written|is a symbolic link)|No such file"
    ) as reported:
        packed(folder, tmp_path / "x.tar")
    assert str(reported.value).isprintable()
    assert not [path for path in tmp_path.iterdir() if ".tar" in path.name]


@pytest.mark.parametrize("what", ["a link to another folder", "another folder"])
@pytest.mark.parametrize("top", ["run", "run/stage", "run/stage/inner"])
def test_swapped_folder_puts_no_foreign_file_into_the_tar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, top: str
) -> None:
    """What is there then has the name, the size and the time of what was found, so that nothing else tells them."""
    run, own = tmp_path / "run", tmp_path / "run" / "stage" / "inner" / "data"
    for root, content in ((run, b"products"), (tmp_path / "foreign", b"password")):
        place = root / own.relative_to(run)
        place.parent.mkdir(parents=True)
        place.write_bytes(content)
        os.utime(place, (1, 1))
    members = list(tree(run, run / "stage", "stage"))
    write = packing._write

    def swap(*arguments: object) -> None:
        folder = tmp_path / top
        folder.rename(tmp_path / "aside")
        foreign = (tmp_path / "foreign" / own.relative_to(run)).parents[len(own.relative_to(folder).parts) - 1]
        if what == "another folder":
            foreign.rename(folder)
        else:
            folder.symlink_to(foreign)
        write(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(packing, "_write", swap)
    with pytest.raises((UnsafeFile, StorageUnavailable), match=r"is a symbolic link|changed after it was looked at"):
        pack(members, tmp_path, tmp_path / "x.tar")
    assert not [path for path in tmp_path.iterdir() if ".tar" in path.name]


Usage = namedtuple("Usage", "total used free")


def test_space_is_looked_at_before(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = packed(folder, tmp_path / "x.tar").size_bytes
    (tmp_path / "x.tar").unlink()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, size))
    refused(lambda: packed(folder, tmp_path / "x.tar", spare_bytes=1_000_000), "GB must stay free")
    assert not (tmp_path / "x.tar").exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, size + 1_050_000))
    packed(folder, tmp_path / "x.tar", spare_bytes=1_000_000)


def test_a_full_disk_is_reported_and_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, hard))
    try:
        refused(lambda: packed(folder, tmp_path / "x.tar"), "The disk is full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_killed_at_any_file_operation_it_is_whole_or_not_there(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "spool" / "run.calibration.tar"
    reference = packed(folder, tmp_path / "reference.tar")

    def prepare() -> None:
        shutil.rmtree(target.parent, ignore_errors=True)
        target.parent.mkdir()

    kills = 0
    for kills in killed_at_each_file_operation(prepare, lambda: packed(folder, target)):  # noqa: B007
        assert not target.exists() or target.read_bytes() == reference.path.read_bytes()
        again = packed(folder, target)
        assert (again.size_bytes, again.crc32) == (reference.size_bytes, reference.crc32)
        assert list(target.parent.iterdir()) == [target]
    assert kills >= 8


# --- any tree --------------------------------------------------------------------------------------------------------

names = st.sampled_from(["a", "b", "c", "link", "d.fits", "ö"])
paths = st.lists(names, min_size=1, max_size=3).map("/".join)
links = st.lists(st.sampled_from(["..", ".", "a", "b", "link", "/", "etc"]), min_size=1, max_size=4).map("/".join)
trees = st.lists(st.tuples(paths, st.one_of(st.none(), links)), max_size=8)


def build(root: Path, things: list[tuple[str, str | None]]) -> None:
    root.mkdir()
    for path, link in things:
        place = root / path
        if any(parent.is_symlink() or parent.is_file() for parent in [place, *place.parents]) or place.exists():
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        if link is None:
            place.write_text(path)
        else:
            place.symlink_to(link)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(things=trees, prefix=st.sampled_from(["", "top", "top/html"]))
def test_no_tar_member_leaves_its_place(things: list[tuple[str, str | None]], prefix: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        build(place / "in", things)
        try:
            pack(tree(place, place / "in", prefix), place, place / "x.tar")
        except Refused:
            return
        out = place / "out" / "deep"
        with tarfile.open(place / "x.tar") as tar:
            # Python before 3.11.4, as Debian 12 has it, knows no filter.
            tar.extraction_filter = getattr(tarfile, "data_filter", lambda member, _path: member)
            tar.extractall(out)  # raises for whatever leads out
            for member in tar:
                assert (out / member.name).exists() or member.issym()
                assert (out / member.name).parent.resolve().is_relative_to(out)
                if member.issym():
                    assert (out / member.name).lstat()
                    assert Path(os.path.realpath(out / member.name)).is_relative_to(out)
