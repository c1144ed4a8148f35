from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest
from tests.killing import killed_at_each_file_operation

from srdp.domain.files.storage import LocalFilesError, local_files
from srdp.domain.files.whole_file import is_unfinished, whole_file, write_whole_file


def test_appears_at_the_end_and_only_then(tmp_path: Path) -> None:
    target = tmp_path / "new.txt"
    with whole_file(tmp_path, target) as descriptor:
        os.write(descriptor, b"half")
        assert not target.exists()
        (hidden,) = tmp_path.iterdir()
        assert is_unfinished(hidden.name)
    assert target.read_bytes() == b"half"
    assert stat.S_IMODE(target.stat().st_mode) & 0o444 == 0o444
    assert list(tmp_path.iterdir()) == [target]


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "new.txt"
    target.write_bytes(b"before")

    def fail_halfway() -> None:
        with whole_file(tmp_path, target) as descriptor:
            os.write(descriptor, b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_halfway()
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"before"]


def test_what_is_there_is_kept_if_it_is_equal(tmp_path: Path) -> None:
    target = tmp_path / "notes"
    assert write_whole_file(tmp_path, target, b"one") is True
    before = target.stat()
    assert write_whole_file(tmp_path, target, b"one") is False
    assert (target.stat().st_ino, target.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert write_whole_file(tmp_path, target, b"two") is True
    assert target.read_bytes() == b"two"


def test_a_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    elsewhere, target = tmp_path / "elsewhere", tmp_path / "notes"
    elsewhere.write_bytes(b"one")
    target.symlink_to(elsewhere)
    for content in (b"one", b"two"):
        write_whole_file(tmp_path, target, content)
        assert not target.is_symlink()
        assert target.read_bytes() == content
        assert elsewhere.read_bytes() == b"one"


def test_old_try_cannot_rename_the_new_ones_file(tmp_path: Path) -> None:
    target = tmp_path / "tar"

    def be_overtaken() -> None:
        with whole_file(tmp_path, target) as old:
            os.write(old, b"old")
            with whole_file(tmp_path, target) as new:
                os.write(new, b"new")

    with pytest.raises(FileNotFoundError):
        be_overtaken()
    assert target.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [target]


def test_only_its_own_unfinished_files_are_removed(tmp_path: Path) -> None:
    others = {".a.tar.0123abcd.unfinished", ".a.b.tar.0123abcd.unfinished", ".a.tar", "a.0123abcd.unfinished"}
    for name in {*others, ".a.0123abcd.unfinished"}:
        (tmp_path / name).touch()
    write_whole_file(tmp_path, tmp_path / "a", b"")
    assert {path.name for path in tmp_path.iterdir()} == {*others, "a"}


def test_killed_anywhere_it_is_the_old_or_the_new_file(tmp_path: Path) -> None:
    target = tmp_path / "notes"
    kills = 0
    for kills in killed_at_each_file_operation(  # noqa: B007
        lambda: target.write_bytes(b"old"), lambda: write_whole_file(tmp_path, target, b"new" * 5000)
    ):
        assert target.read_bytes() in {b"old", b"new" * 5000}
        write_whole_file(tmp_path, target, b"new" * 5000)
        assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"new" * 5000]
    assert kills >= 4


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left"), "The disk is full: /area/x could not be finished: No space left."),
        (OSError(errno.EDQUOT, "Quota"), "The disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "/area/y\n"), r"Permission denied ('/area/y\n')"),
        (OSError("unexpected end"), "could not be finished: 'unexpected end'."),
    ],
)
def test_what_the_system_refuses_is_reported_in_one_sentence(error: OSError, words: str) -> None:
    with pytest.raises(LocalFilesError) as reported, local_files(Path("/area/x")):
        raise error
    assert words in str(reported.value)
    assert str(reported.value).isprintable()
