"""The `casa` command: what a batch system starts."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
from tests.sandbox.pipeline.running import CASA, CASA_PYTHON


def casa(directory: Path, script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    (directory / "script.py").write_text(script)
    return subprocess.run(
        [CASA, "--nogui", "--nologger", "--agg", "-c", "script.py", *arguments],
        cwd=directory,
        env=os.environ | {"SRDP_CASA_PYTHON": str(CASA_PYTHON)} | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.casa
def test_script_runs_with_its_arguments_and_the_log_where_casa_was_started(tmp_path: Path):
    script = """
import json, os, sys, casashell, casatasks
facts = [sys.argv, casashell.argv[-3:], casatasks.casalog.logfile(), os.environ["OMP_NUM_THREADS"]]
print(json.dumps(facts))
"""
    ended = casa(tmp_path, script, "PPR.xml", OMP_NUM_THREADS="1", HOME=str(tmp_path / "no-home"))
    assert ended.returncode == 0, ended.stderr
    arguments, casashell_arguments, log, threads = json.loads(ended.stdout.splitlines()[-1])
    assert arguments == ["script.py", "PPR.xml"]
    assert casashell_arguments == ["-c", "script.py", "PPR.xml"]
    assert re.fullmatch(r"casa-\d{8}-\d{6}\.log", Path(log).name), "as CASA calls it by itself"
    assert Path(log).parent == tmp_path
    assert threads == "1"
    # Nothing but the log is left: no profile of IPython, no cache.
    assert {path.name for path in tmp_path.iterdir()} - {"no-home"} == {"script.py", Path(log).name}


@pytest.mark.casa
@pytest.mark.parametrize(("script", "status"), [("1 / 0", 1), ("import sys; sys.exit(7)", 7)])
def test_exit_status_is_the_scripts(tmp_path: Path, script: str, status: int):
    assert casa(tmp_path, script).returncode == status


@pytest.mark.casa
def test_file_of_the_working_directory_is_not_imported_in_place_of_a_module(tmp_path: Path):
    (tmp_path / "numpy.py").write_text("raise RuntimeError('the wrong numpy')")
    ended = casa(tmp_path, "import numpy; print(numpy.__file__)")
    assert ended.returncode == 0, ended.stderr
    assert str(tmp_path) not in ended.stdout


def test_missing_environment_is_said(tmp_path: Path):
    ended = casa(tmp_path, "", SRDP_CASA_PYTHON=str(tmp_path / "python"))
    assert ended.returncode == 127
    assert "requirements-casa.txt" in ended.stderr


def test_command_is_found_through_a_link(tmp_path: Path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "casa").symlink_to(CASA)
    shown = subprocess.run(
        [tmp_path / "bin" / "casa", "-c", "x"],
        env=os.environ | {"SRDP_CASA_PYTHON": "/bin/echo"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout == "-P -W ignore::SyntaxWarning -m casashell --noconfig --nostartupfile -c x\n"
