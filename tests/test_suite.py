"""How the tests are shared out among processes; see ``conftest``."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import _TOGETHER, group_of

ROOT = Path(__file__).parents[1]


def test_files_that_share_what_takes_minutes_to_make_belong_together_and_others_to_themselves() -> None:
    files = [str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py")]
    groups = {file: group_of(f"{file}::test_it[a::b]") for file in files}
    assert set(_TOGETHER) <= set(groups.values()), "a file was renamed"
    assert groups["tests/e2e/test_kills.py"] == groups["tests/sandbox/stack/test_instance.py"] == "instance"
    assert groups["tests/e2e/test_demo.py"] != groups["tests/e2e/test_demo_alma.py"]
    assert all(group in {file, *_TOGETHER} for file, group in groups.items())
