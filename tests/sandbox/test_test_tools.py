"""What tests need beside Python's packages is brought where it can be, and asked for in a sentence where it cannot."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sandbox import test_tools


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in which programs are found, and a place for a download that is the test's own."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setattr(
        test_tools, "find", lambda names: next(filter(os.path.exists, map(folder.joinpath, names)), None)
    )
    monkeypatch.setattr(test_tools, "DOWNLOADED", tmp_path / "downloaded")
    monkeypatch.setenv("PATH", str(folder))
    # Set by what is tested.
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", "")
    return folder


def program(folder: Path, name: str, script: str = "") -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_what_is_there_is_used_and_nothing_is_said(programs, capsys):
    for tool in test_tools.TOOLS:
        program(programs, tool.programs[-1])
    assert test_tools.main([]) == 0
    assert capsys.readouterr() == ("", "")


def test_root_gets_the_packages_of_debian_once(programs, monkeypatch, capsys):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    program(programs, "google-chrome")
    program(programs, "apt-get", f'echo "$@" >> {programs}/asked; for name; do echo > "{programs}/$name"; done')
    assert test_tools.main([]) == 0
    asked = ["update -qq", "install -y -qq --no-install-recommends pgbouncer sudo"]
    assert (programs / "asked").read_text().splitlines() == asked
    assert capsys.readouterr().out == "Installing pgbouncer, sudo ...\n"
    assert test_tools.main([]) == 0
    assert (programs / "asked").read_text().splitlines() == asked


def test_missing_install_rights_name_the_skipped_tests(programs, monkeypatch, capsys):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    program(programs, "chromium")
    assert test_tools.main([]) == 0
    said = "Tests that need these are skipped; to run them, as root: apt-get install pgbouncer\n"
    assert capsys.readouterr() == (said, "")


def test_missing_browser_names_the_remedy(programs, monkeypatch, capsys):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("PLAYWRIGHT_DOWNLOAD_HOST", "http://127.0.0.1:1")
    assert test_tools.main([]) == 1
    said = capsys.readouterr().err
    assert said.startswith("The tests need Chromium, which is not on this machine, and it could not be downloaded:")
    assert said.count("\n") == 1


def test_every_program_that_a_teams_tests_want_is_brought():
    from tests import docker_engine, slurm_server

    brought = {program for tool in test_tools.TEAM for program in tool.programs}
    # Docker's own client, slurmd and sbatch come with the packages of these.
    assert {*docker_engine._NEEDED, *slurm_server._DAEMONS} - brought <= {"docker", "slurmd"}
