"""Restoring from a tar: what is refused, and what becomes of a CASA that fails. With CASA: pipeline/test_restore.py."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from sandbox.restoring import RestoreFailed, compare_visibilities, restore_from_tar

EB = "13A-537.sb24066356.eb24324502.49820.38802083333"
SCRIPT = "casa_piperestorescript.py"


def tar_of(path: Path, *names: str) -> Path:
    with tarfile.open(path, "w") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 4
            tar.addfile(member, io.BytesIO(b"text"))
    return path


@pytest.fixture
def sdm(tmp_path: Path) -> Path:
    (tmp_path / EB).mkdir()
    return tmp_path / EB


def casa(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, commands: str) -> None:
    """Put a program in the place of CASA's Python."""
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{commands}\n")
    program.chmod(0o755)
    monkeypatch.setenv("SRDP_CASA_PYTHON", str(program))


def test_restore_script_needs_nothing_of_the_pipeline(sdm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SCIPIPE_HEURISTICS", "/somewhere")
    casa(
        monkeypatch, tmp_path, f'mkdir {EB}.ms; ls ../rawdata ../products > seen; echo "$SCIPIPE_HEURISTICS|$*" >> seen'
    )
    tar = tar_of(tmp_path / "a.tar", SCRIPT, "unknown.session_1.caltables.tgz")
    empty = tmp_path / "empty"
    assert restore_from_tar(tar, sdm, empty) == empty / "working" / f"{EB}.ms"
    *files, command = (empty / "working" / "seen").read_text().splitlines()
    assert files == ["../products:", SCRIPT, "unknown.session_1.caltables.tgz", "", "../rawdata:", EB]
    assert command.startswith("|-P ")
    assert command.endswith(f"-c {empty}/products/{SCRIPT}")


def test_directory_that_is_not_empty_is_refused(sdm: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "flux.csv").write_text("")
    with pytest.raises(RestoreFailed, match="is not empty"):
        restore_from_tar(tar_of(tmp_path / "a.tar", SCRIPT), sdm, tmp_path / "empty")


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (("weblog.tgz",), "it holds 0"),
        ((SCRIPT, f"x.{SCRIPT}"), "it holds 2"),
        ((SCRIPT, "../working/a.txt"), "no product of a calibration"),
        ((SCRIPT, "/tmp/srdp-not-here/a.txt"), "no product of a calibration"),
    ],
)
def test_tar_that_is_none_of_a_calibration_is_refused(
    sdm: Path, tmp_path: Path, names: tuple[str, ...], sentence: str, monkeypatch: pytest.MonkeyPatch
):
    casa(monkeypatch, tmp_path, "echo started >&2; exit 9")
    with pytest.raises(RestoreFailed, match=sentence):
        restore_from_tar(tar_of(tmp_path / "a.tar", *names), sdm, tmp_path / "empty")
    assert not list((tmp_path / "empty" / "working").iterdir())


def test_link_of_an_analyst_is_left_out(sdm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    casa(monkeypatch, tmp_path, f"mkdir {EB}.ms")
    tar = tar_of(tmp_path / "a.tar", SCRIPT)
    with tarfile.open(tar, "a") as stream:
        link = tarfile.TarInfo("notes.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        stream.addfile(link)
    restore_from_tar(tar, sdm, tmp_path / "empty")
    assert not (tmp_path / "empty" / "products" / "notes.txt").is_symlink()


def test_file_that_is_no_tar_is_refused(sdm: Path, tmp_path: Path):
    (tmp_path / "a.tar").write_text("no tar")
    with pytest.raises(RestoreFailed, match="cannot be unpacked"):
        restore_from_tar(tmp_path / "a.tar", sdm, tmp_path / "empty")


@pytest.mark.parametrize(
    ("commands", "sentence"),
    [
        ("echo 'restore it with the release that made it' >&2; exit 1", "with the release that made it"),
        (f"mkdir {EB}.ms; exit 3", "exit status 3"),
        ("exit 0", "CASA said nothing"),
        ("exec sleep 60", "not done after 1 s"),
    ],
)
def test_casa_that_fails_is_heard(
    sdm: Path, tmp_path: Path, commands: str, sentence: str, monkeypatch: pytest.MonkeyPatch
):
    casa(monkeypatch, tmp_path, commands)
    with pytest.raises(RestoreFailed, match=sentence):
        restore_from_tar(tar_of(tmp_path / "a.tar", SCRIPT), sdm, tmp_path / "empty", timeout_seconds=1)


@pytest.mark.parametrize("commands", ["exit 1", "echo FLAG differs", "echo FLAG differs; exit 2", "exit 2", "exit 137"])
def test_comparison_that_broke_off_is_no_answer(tmp_path: Path, commands: str, monkeypatch: pytest.MonkeyPatch):
    casa(monkeypatch, tmp_path, commands)
    with pytest.raises(RestoreFailed, match="could not be compared"):
        compare_visibilities(tmp_path / "a.ms", tmp_path / "b.ms")


def test_sentences_of_the_comparison_are_returned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    casa(monkeypatch, tmp_path, "echo FLAG differs; echo noise >&2; exit 1")
    assert compare_visibilities(tmp_path / "a.ms", tmp_path / "b.ms") == ["FLAG differs"]
    casa(monkeypatch, tmp_path, "echo noise >&2")
    assert compare_visibilities(tmp_path / "a.ms", tmp_path / "b.ms") == []
