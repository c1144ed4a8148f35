"""Whether the library stays easy to find one's way in: short files, small rooms."""

from __future__ import annotations

import ast
from pathlib import Path

PLUGINS = Path(__file__).parents[1] / "plugins"
ROOMS = sorted(path.parent for path in (PLUGINS / "srdp" / "domain").glob("*/__init__.py"))

MOST_LINES = 400
MOST_MODULES = 12


def test_no_file_of_the_library_has_more_than_400_lines() -> None:
    """Part it along what its parts are about; a part has a name of its own, and a docstring that says what it knows."""
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in PLUGINS.rglob("*.py")}
    assert {f"{path.relative_to(PLUGINS)}" for path, each in lengths.items() if each > MOST_LINES} == set()


def test_no_room_of_the_domain_has_more_than_twelve_modules() -> None:
    modules = {room.name: [path for path in room.iterdir() if path.name != "__init__.py"] for room in ROOMS}
    shown = {room: sorted(path.stem for path in found if path.stem != "__pycache__") for room, found in modules.items()}
    assert {room: names for room, names in shown.items() if len(names) > MOST_MODULES} == {}


def test_each_room_says_what_lives_in_it_and_what_does_not() -> None:
    said = {room.name: ast.get_docstring(ast.parse((room / "__init__.py").read_text("utf-8"))) or "" for room in ROOMS}
    assert [room for room, text in said.items() if ":mod:`srdp." not in text and "Nothing here" not in text] == []
