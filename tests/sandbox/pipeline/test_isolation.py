"""What runs in CASA's Python stays apart from what runs in Airflow's."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from tests.sandbox.pipeline.running import REPOSITORY

_FILES = sorted(
    path
    for folder in ("include/casa", "include/sandbox/pipeline", "include/sandbox/observation")
    for path in (REPOSITORY / folder).rglob("*.py")
)


def imported(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("path", _FILES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_neither_airflow_nor_the_library_is_imported(path: Path):
    assert not imported(ast.parse(path.read_text())) & {"airflow", "srdp", "pydantic", "jinja2", "lxml", "psycopg2"}
