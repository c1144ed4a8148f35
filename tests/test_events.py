"""The page of the events says what the code writes, and each event is written with its own payload."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from srdp.domain.events.names import EVENTS, EventName
from srdp.events_table import PAGE, page

LIBRARY = Path(__file__).parents[1] / "plugins" / "srdp"


def functions() -> Iterator[tuple[str, set[str]]]:
    """Return the events that each function of the library names, and all names in it."""
    for path in LIBRARY.rglob("*.py"):
        if path.name in {"names.py", "payloads.py", "events_table.py"} and "hooks" not in path.parts:
            continue
        tree = ast.parse(path.read_text("utf-8"))
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef):
                nodes = list(ast.walk(function))
                yield (
                    f"{path.relative_to(LIBRARY)}: {function.name}",
                    {node.attr for node in nodes if isinstance(node, ast.Attribute)}
                    | {node.id for node in nodes if isinstance(node, ast.Name)},
                )


def test_the_page_of_the_events_is_fresh():
    assert PAGE.read_text("utf-8") == page(), "PYTHONPATH=plugins .venv/bin/python -m srdp.events_table"


def test_every_event_says_something():
    assert list(EVENTS) == list(EventName)


def test_every_event_is_written_somewhere():
    named = set().union(*(names for _function, names in functions()))
    assert [event.name for event in EventName if event.name not in named] == []
