"""The linter of flag commands against the task that it speaks for."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.srdp.domain.flag_lines import BAD, GOOD

REPOSITORY = Path(__file__).resolve().parents[3]
CASA_PYTHON = Path(os.environ.get("SRDP_CASA_PYTHON", REPOSITORY / ".venv-casa" / "bin" / "python"))
PROGRAM = REPOSITORY / "tests" / "programs" / "flag_commands_in_casa.py"
# This one ends CASA's process: "ArrayBase::Array(const IPosition&) - Negative shape".
KILLS_CASA = "antenna='3~1'"

pytestmark = pytest.mark.casa


def in_casa(folder: Path, lines: list[str]) -> subprocess.CompletedProcess[str]:
    (folder / "commands.json").write_text(json.dumps(lines))
    return subprocess.run(
        [CASA_PYTHON, "-P", "-W", "ignore::SyntaxWarning", PROGRAM, "commands.json", "results.json"],
        cwd=folder,
        env={
            **os.environ,
            "CASASITECONFIG": str(REPOSITORY / "include" / "casa" / "casasiteconfig.py"),
            "OMP_NUM_THREADS": "1",
        },
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_casa_carries_out_what_passes_and_stops_where_it_was_said(tmp_path: Path) -> None:
    lines = [*GOOD, *(bad.text for bad in BAD if bad.text != KILLS_CASA)]
    done = in_casa(tmp_path, lines)
    assert done.returncode == 0, done.stderr
    verdicts = dict(zip(lines, json.loads((tmp_path / "results.json").read_text()), strict=True))
    refused_without_need = {line: verdicts[line] for line in GOOD if verdicts[line]}
    assert not refused_without_need
    carried_out = [bad.text for bad in BAD if bad.casa and not verdicts[bad.text]]
    assert not carried_out
    # What is refused although CASA carries it out is marked as such, each with its reason in the linter.
    stopped_too = [bad.text for bad in BAD if not bad.casa and bad.text != KILLS_CASA and verdicts[bad.text]]
    assert not stopped_too


def test_a_reversed_range_of_antennas_kills_casa(tmp_path: Path) -> None:
    assert in_casa(tmp_path, [KILLS_CASA]).returncode < 0
