"""How a person's file is taken: below its roots only, byte for byte, and never waited for."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from srdp.domain.analyst_files import submitted as submitted_files
from srdp.domain.analyst_files.names import FLAG_TEMPLATE, FLUX_DENSITIES, PROCESSING_REQUEST
from srdp.domain.analyst_files.submitted import (
    LARGEST_BYTES,
    FileNotTaken,
    read_below,
    said,
    submitted_file,
)
from srdp.domain.common.errors import ServiceUnavailable

SECRET = b"of somebody else"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Two roots with files, a secret beside them, and every kind of symbolic link between them."""
    for folder in ("one/inner", "two", "outside/inner"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "one" / "file").write_bytes(b"of one")
    (tmp_path / "one" / "inner" / "file").write_bytes(b"of one, inside")
    (tmp_path / "two" / "file").write_bytes(b"of two")
    (tmp_path / "outside" / "file").write_bytes(SECRET)
    (tmp_path / "outside" / "inner" / "file").write_bytes(SECRET)
    (tmp_path / "onefile").write_bytes(SECRET)
    links = {
        "one/to_two": "../two",
        "one/to_file": "inner/file",
        "one/out": "../outside",
        "one/out_file": "../outside/file",
        "one/inner/absolute": tmp_path / "outside" / "file",
        "one/loop": "loop",
        "one/nowhere": "../outside/missing",
        "outside/in": "../one",
        "linked_root": "one",
    }
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)
    return tmp_path


def roots(tree: Path) -> list[Path]:
    return [tree / "one", tree / "two"]


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("one/file", b"of one"),
        ("one/inner/../file", b"of one"),
        ("two/../one/file", b"of one"),
        ("one/to_two/file", b"of two"),
        ("one/to_file", b"of one, inside"),
        ("outside/in/file", b"of one"),
        ("linked_root/file", b"of one"),
        ("one//inner/./file", b"of one, inside"),
    ],
)
def test_any_path_below_a_root_is_taken(tree: Path, path: str, content: bytes) -> None:
    assert read_below(f"{tree}/{path}", roots(tree)) == content


def test_a_root_may_be_a_symbolic_link(tree: Path) -> None:
    assert read_below(f"{tree}/one/file", [tree / "linked_root"]) == b"of one"


@pytest.mark.parametrize(
    "path",
    [
        "outside/file", "one/../outside/file", "one/out/file", "one/out/inner/file", "one/out_file",
        "one/inner/absolute", "one/to_two/../outside/file", "onefile", "one", "one/", "one/inner/..", "", ".",
        "outside/missing", "one/nowhere", "one/loop/../../outside/file",
    ],
)  # fmt: skip
def test_paths_elsewhere_are_refused_without_disclosure(tree: Path, path: str) -> None:
    with pytest.raises(FileNotTaken, match="is not below a folder that files are taken from") as caught:
        read_below(f"{tree}/{path}", roots(tree))
    assert str(tree / "two") in str(caught.value)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("one/missing", "is not there"),
        ("one/file/inner", "is not there"),
        ("one/inner", "is a folder"),
        ("one/loop", "is a symbolic link"),
        ("one/pipe", "is a named pipe"),
        ("one/socket", "is no regular file"),
        ("one/" + "x" * 300, "File name too long"),
        ("one/nul\0byte", "is no path"),
        ("one/half\ud800", "is no path"),
    ],
)
def test_what_cannot_be_read_is_reported_in_one_sentence(tree: Path, path: str, why: str) -> None:
    os.mkfifo(tree / "one" / "pipe")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tree / "one" / "socket"))
        with pytest.raises(FileNotTaken, match=why) as caught:
            read_below(f"{tree}/{path}", roots(tree))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("path", ["one/file", "~/file", "file", "\0", "../one/file"])
def test_a_path_that_is_not_absolute_is_refused(tree: Path, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree)
    with pytest.raises(FileNotTaken, match="is no absolute path"):
        read_below(path, roots(tree))


def _refused(monkeypatch: pytest.MonkeyPatch, error: OSError) -> None:
    """Has the system refuse to open any file; the tests may run as root, to whom nothing is denied."""
    open_ = os.open

    def opened(path: str, flags: int, *arguments: int, dir_fd: int | None = None) -> int:
        if not flags & os.O_DIRECTORY:
            raise error
        return open_(path, flags, *arguments, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", opened)


def test_a_file_of_another_account_is_reported_to_be_so(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _refused(monkeypatch, PermissionError(13, "Permission denied"))
    with pytest.raises(FileNotTaken, match="may not be read by the account that runs the workflows"):
        read_below(f"{tree}/one/file", roots(tree))


def test_a_file_system_that_does_not_answer_is_asked_again(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _refused(monkeypatch, OSError(116, "Stale file handle"))
    with pytest.raises(ServiceUnavailable, match="Stale file handle"):
        read_below(f"{tree}/one/file", roots(tree))


@pytest.mark.parametrize("root", ["one", "gone"])
def test_a_root_that_is_not_there_gives_nothing(tree: Path, root: str) -> None:
    with pytest.raises(FileNotTaken):
        read_below(f"{tree}/gone/file", [tree / root])


@pytest.mark.parametrize("size", [0, LARGEST_BYTES, LARGEST_BYTES + 1, 10**13])
def test_a_file_is_taken_whole_or_refused_unread(tree: Path, size: int) -> None:
    path = tree / "one" / "large"
    path.touch()
    os.truncate(path, size)
    if size <= LARGEST_BYTES:
        assert len(read_below(str(path), roots(tree))) == size
    else:
        with pytest.raises(FileNotTaken, match=f"bytes of at most {LARGEST_BYTES}:"):
            read_below(str(path), roots(tree))


@pytest.mark.parametrize("written", [b"more", b""])
def test_a_file_that_is_being_written_is_read_again(
    tree: Path, monkeypatch: pytest.MonkeyPatch, written: bytes
) -> None:
    path = tree / "one" / "file"
    read = os.read
    rest = [written]

    def meanwhile(descriptor: int, length: int) -> bytes:
        with path.open("ab") as stream:
            stream.write(rest.pop() if rest else b"")
        os.utime(path, ns=(1, 1))
        return read(descriptor, length)

    monkeypatch.setattr(os, "read", meanwhile)
    with pytest.raises(ServiceUnavailable, match="was being written"):
        read_below(str(path), roots(tree))


@pytest.mark.parametrize("moved", ["one/inner", "one/inner/file"])
def test_link_swapped_in_after_the_check_leads_nowhere(tree: Path, monkeypatch: pytest.MonkeyPatch, moved: str) -> None:
    """The path was good when it was resolved; before it is opened, somebody puts a link to the secret there."""
    place = submitted_files._place

    def then_moved(*arguments: object) -> object:
        found = place(*arguments)
        (tree / moved).rename(tree / "aside")
        (tree / moved).symlink_to(tree / "outside" / Path(moved).relative_to("one"))
        return found

    monkeypatch.setattr(submitted_files, "_place", then_moved)
    with pytest.raises(FileNotTaken):
        read_below(f"{tree}/one/inner/file", roots(tree))


def test_no_descriptor_is_left_open(tree: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for path in ("one/inner/file", "one/missing", "one/inner/missing/file", "one/inner", "outside/file"):
        with contextlib.suppress(FileNotTaken):
            read_below(f"{tree}/{path}", roots(tree))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


PARTS = st.sampled_from(
    ["..", ".", "", "one", "two", "outside", "inner", "file", "to_two", "to_file", "out", "out_file", "absolute",
     "loop", "nowhere", "in", "linked_root", "onefile", "missing", "proc", "self", "root", "etc", "passwd"]
)  # fmt: skip


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(PARTS | st.text(max_size=4), max_size=8))
def test_no_path_leaves_its_roots(tree: Path, parts: list[str]) -> None:
    path = f"{tree}/{'/'.join(parts)}"
    try:
        content = read_below(path, roots(tree))
    except FileNotTaken as refused:
        assert str(refused).isprintable()  # noqa: PT017  that it is refused is one of two good ends
        return
    assert content in (b"of one", b"of one, inside", b"of two")


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(path=st.text())
def test_any_text_is_refused_or_read_in_peace(tree: Path, path: str) -> None:
    with pytest.raises(FileNotTaken) as caught:
        read_below(path, roots(tree))
    assert str(caught.value).isprintable()


# What a form says


@pytest.mark.parametrize("nothing", [None, "", " ", "\n", "None", " None\n"])
def test_an_empty_field_says_nothing(tree: Path, nothing: str | None) -> None:
    assert said(nothing) is None
    assert submitted_file(FLAG_TEMPLATE, path=nothing, text=nothing, roots=roots(tree)) is None


def test_a_file_on_disk_stays_byte_for_byte(tree: Path) -> None:
    content = b"\xff mode='manual'\r\n\r\nno newline"
    (tree / "one" / "file").write_bytes(content)
    taken = submitted_file(FLAG_TEMPLATE, path=f" {tree}/one/file\n", text="None", roots=roots(tree))
    assert taken is not None
    assert (taken.name, taken.content, taken.source) == (FLAG_TEMPLATE, content, f"{tree}/one/file")


@pytest.mark.parametrize("name", [FLAG_TEMPLATE, FLUX_DENSITIES])
@pytest.mark.parametrize("text", ["a\r\nb", "a\nb", "a\r\nb\r\n", "a\nb\n"])
def test_what_a_form_does_to_the_ends_of_lines_is_undone(name: str, text: str) -> None:
    taken = submitted_file(name, path=None, text=text, roots=[])
    assert taken is not None
    assert (taken.content, taken.source) == (b"a\nb\n", "pasted")


@given(text=st.text(alphabet=st.characters(codec="utf-8"), min_size=1).filter(lambda text: said(text) is not None))
def test_a_pasted_ppr_stays_byte_for_byte(text: str) -> None:
    taken = submitted_file(PROCESSING_REQUEST, path=None, text=text, roots=[])
    assert taken is not None
    assert taken.content == text.encode()


@pytest.mark.parametrize("name", [FLAG_TEMPLATE, PROCESSING_REQUEST])
def test_pasted_text_that_is_none_or_too_large_is_refused(name: str) -> None:
    with pytest.raises(FileNotTaken, match="is not a character"):
        submitted_file(name, path=None, text="a\ud800", roots=[])
    with pytest.raises(FileNotTaken, match="is larger than"):
        submitted_file(name, path=None, text="é" * (LARGEST_BYTES // 2 + 1), roots=[])


def test_a_file_that_is_given_twice_is_refused(tree: Path) -> None:
    with pytest.raises(FileNotTaken, match=r"^flagtemplate\.txt is given twice"):
        submitted_file(FLAG_TEMPLATE, path=f"{tree}/one/file", text="x", roots=roots(tree))
