"""Whether ``docs/tour.md`` leads through the code: each function it names is there, and called by an earlier one."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MOST_STOPS = 15
_STOP = re.compile(r"^`(?P<file>[\w/]+\.py)`: `(?P<function>[\w.]+)`, (?:called by `(?P<caller>[\w.]+)`|begun by .+)$")


@dataclass(frozen=True)
class Stop:
    """One stop of the tour."""

    file: str
    function: str
    caller: str | None


STOPS = [
    Stop(*match.groups())
    for match in map(_STOP.match, (ROOT / "docs" / "tour.md").read_text("utf-8").splitlines())
    if match is not None
]


def definition(file: str, qualified: str) -> ast.AST | None:
    """Return the function, or the method of a class, that a file defines under a name."""
    if not (ROOT / file).is_file():
        return None
    found: ast.AST | None = ast.parse((ROOT / file).read_text("utf-8"))
    for part in qualified.split("."):
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        found = next((each for each in ast.walk(found) if isinstance(each, kinds) and each.name == part), None)
        if found is None:
            return None
    return found


def named_in(node: ast.AST) -> set[str]:
    """Return every name, attribute and text in a piece of code: what it calls, or hands over to be called."""
    found = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Name):
            found.add(each.id)
        elif isinstance(each, ast.Attribute):
            found.add(each.attr)
        elif isinstance(each, ast.Constant) and isinstance(each.value, str):
            found.add(each.value)
    return found


def callers(stop: Stop, earlier: list[Stop]) -> list[ast.AST]:
    """Return the code of a stop's caller: an earlier stop, or a method of an operator that an earlier stop names."""
    files = [each.file for each in earlier if each.function == stop.caller]
    if not files:
        named = set().union(*(named_in(definition(each.file, each.function) or ast.Module()) for each in earlier))
        operators = (ROOT / "plugins" / "srdp" / "operators").glob("*.py")
        files = [f"{path.relative_to(ROOT)}" for path in operators if (stop.caller or "").split(".")[0] in named]
    return [found for file in files if (found := definition(file, stop.caller or "")) is not None]


def test_the_tour_has_at_most_fifteen_stops() -> None:
    headings = re.findall(r"^## \d+\. ", (ROOT / "docs" / "tour.md").read_text("utf-8"), re.MULTILINE)
    assert 10 <= len(STOPS) == len(headings) <= MOST_STOPS


@pytest.mark.parametrize("stop", STOPS, ids=lambda stop: stop.function)
def test_each_stop_is_a_function_of_its_file(stop: Stop) -> None:
    assert definition(stop.file, stop.function) is not None


@pytest.mark.parametrize("number", range(len(STOPS)), ids=[stop.function for stop in STOPS])
def test_each_stop_is_called_from_an_earlier_one(number: int) -> None:
    stop, earlier = STOPS[number], STOPS[:number]
    if stop.caller is not None:
        wanted = {part for part in stop.function.split(".") if part not in {"run", "run_step", "execute"}}
        assert any(wanted & named_in(code) for code in callers(stop, earlier)), f"{stop.caller} does not call it"
    else:
        assert stop.file.startswith("dags/"), "only a DAG is begun by a person or by Airflow"
