"""The guides say what the code says: each refusal that they explain, and each statement that a site rewrites."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

from sandbox.run_files.server import HEADERS
from srdp.hooks.statements import statements

ROOT = Path(__file__).parents[1]
ANALYST = (ROOT / "docs" / "data-analyst.md").read_text("utf-8")
OPERATOR = "".join(path.read_text("utf-8") for path in sorted((ROOT / "docs" / "operator").glob("*.md")))
ARCHIVE_STATEMENTS = statements(ROOT / "include" / "sql" / "archive")
# What the guide leaves out of a sentence, and how it joins several of them.
_JOINTS = re.compile(r"…|[;,()]|\*file\*")
_SHORTEST = 10


def sentences() -> str:
    """Return all text in the library, with an ellipsis for what is filled in."""
    found = []
    for path in (ROOT / "plugins" / "srdp").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append(
                    "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


def refusals() -> list[str]:
    table = ANALYST[ANALYST.index("# What each refusal means") :]
    cells = [line.split("|")[1].strip() for line in table.splitlines() if line.startswith("| ")]
    return [cell for cell in cells if cell != "it says"]


def test_every_refusal_that_is_explained_is_said_by_the_code():
    said = sentences()
    fragments = [part.strip(" .:") for cell in refusals() for part in _JOINTS.split(cell)]
    long = [fragment for fragment in fragments if len(fragment) >= _SHORTEST]
    assert len(long) > 50
    assert [fragment for fragment in long if fragment not in said] == []


@pytest.mark.parametrize(
    "statement",
    sorted(ARCHIVE_STATEMENTS),
)
def test_every_statement_of_the_archive_is_listed_with_its_parameters(statement):
    row = next(line for line in OPERATOR.splitlines() if line.startswith("| ") and f"`{statement}`" in line)
    parameters = set(re.findall(r"%\((\w+)\)s", ARCHIVE_STATEMENTS[statement]))
    assert {name for name in parameters if f"`{name}`" not in row} == set()


@pytest.mark.parametrize(
    "guide", sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]), ids=lambda path: path.name
)
def test_every_link_leads_somewhere(guide):
    links = re.findall(r"\]\(([^)#:]+\.md)(?:#[^)]*)?\)", guide.read_text("utf-8"))
    assert [link for link in links if not (guide.parent / link).is_file()] == []


def test_every_promise_of_security_names_tests_that_there_are():
    promises = (ROOT / "docs" / "security.md").read_text("utf-8").partition("## What is promised")[2]
    rows = [line for line in promises.splitlines() if line.startswith("| ") and not line.startswith("| promise")]
    named = [re.findall(r"`([\w/]+\.py)::(?:\w+::)?(test_\w+)`", row) for row in rows]
    assert len(rows) > 30
    assert [row for row, tests in zip(rows, named, strict=True) if not tests] == []
    missing = {
        f"{path}::{test}"
        for path, test in (each for tests in named for each in tests)
        if f"def {test}(" not in (ROOT / "tests" / path).read_text("utf-8")
    }
    assert missing == set()


def test_every_heading_that_is_linked_is_there():
    guides = {path: path.read_text("utf-8") for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]}
    wrong = [
        f"{guide.name}: {link}"
        for guide, text in guides.items()
        for link, name, heading in re.findall(r"\]\((([^)#:]*\.md)?#([^)]*))\)", text)
        if heading not in _headings(guides[(guide.parent / name).resolve() if name else guide])
    ]
    assert wrong == []


def _headings(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_the_order_of_the_rooms_is_the_one_that_the_linter_holds():
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    orders = {order.split(" -> ")[0]: order.split(" -> ") for order in re.findall(r"`(\w+ -> [^`]*)`", text)}
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]["contracts"]
    held = [
        contract["layers"]
        for contract in contracts
        if contract["type"] == "layers" and contract.get("containers") != ["srdp.services"]
    ]
    assert len(held) == 2
    for layers in held:
        names = [layer.removeprefix("srdp.") for layer in layers]
        assert orders[names[0]] == names


def test_every_picture_is_shown_and_every_one_that_is_shown_is_there():
    guides = "".join(path.read_text("utf-8") for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
    shown = set(re.findall(r"\]\((?:docs/)?pictures/([^)]+)\)", guides))
    assert shown == {path.name for path in (ROOT / "docs" / "pictures").iterdir()}


def test_the_web_server_of_the_weblogs_sends_what_the_demos_sends():
    (example,) = re.findall(r"^    server \{\n.*?^    \}\n", OPERATOR, re.MULTILINE | re.DOTALL)
    headers = dict(re.findall(r'add_header (\S+) "([^"]*)" always;', example))
    assert headers == HEADERS


def test_each_decision_has_a_number_of_its_own():
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    numbers = [int(page.name[:4]) for page in pages]
    assert len(set(numbers)) == len(numbers)
    assert [page.name for page in pages if not page.read_text("utf-8").startswith(f"# {int(page.name[:4])}. ")] == []
