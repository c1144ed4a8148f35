"""How the tests are shared out among processes, and what may be skipped; see ``conftest``."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import _TOGETHER, group_of

ROOT = Path(__file__).parents[1]


def test_files_that_share_what_takes_minutes_to_make_belong_together_and_others_to_themselves() -> None:
    files = [str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py")]
    groups = {file: group_of(f"{file}::test_it[a::b]") for file in files}
    assert set(_TOGETHER) <= set(groups.values()), "a file was renamed"
    assert groups["tests/e2e/test_kills.py"] == groups["tests/sandbox/stack/test_instance.py"] == "instance"
    assert groups["tests/e2e/test_demo.py"] != groups["tests/e2e/test_demo_alma.py"]
    assert all(group in {file, *_TOGETHER} for file, group in groups.items())


@pytest.mark.parametrize(("required", "code"), [("", 0), ("1", 1)])
def test_a_skipped_test_of_a_team_fails_where_everything_must_be_there(
    tmp_path: Path, required: str, code: int
) -> None:
    file = tmp_path / "test_skipped.py"
    file.write_text(
        "import pytest\n\n@pytest.mark.team\ndef test_team():\n    pytest.skip('no engine')\n"
        "def test_other():\n    pytest.skip('no disk')\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "tests.conftest", "-p", "no:cacheprovider", str(file)]
    environment = {**os.environ, "SRDP_TESTS_REQUIRED": required}
    done = subprocess.run(
        [*command, "-c", str(ROOT / "pyproject.toml")], cwd=ROOT, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout
    assert "no disk" in done.stdout
    assert ("no engine (SRDP_TESTS_REQUIRED=1: nothing may be skipped)" in done.stdout) == bool(code)
