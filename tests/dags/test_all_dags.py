"""What holds for every DAG of the project."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

import pytest
from airflow.sdk import DAG

FILES = sorted((Path(__file__).parents[2] / "dags").glob("*.py"))
# What would read a file, the network, the environment or Airflow's database at each parse.
DOING = {
    "open",
    "load_settings",
    "getenv",
    "read_text",
    "read_bytes",
    "get_connection",
    "glob",
    "iterdir",
    "run",
    "get",
}


def test_each_file_holds_the_dag_that_it_is_named_after(dags: Mapping[str, DAG]) -> None:
    assert sorted(dags) == [path.stem for path in FILES]


def test_people_can_tell_them_apart(dags: Mapping[str, DAG]) -> None:
    for dag in dags.values():
        assert dag.doc_md, dag.dag_id
        assert dag.description, dag.dag_id
        assert dag.tags, dag.dag_id
        assert dag.owner not in ("", "airflow"), dag.dag_id
        assert dag.dag_display_name != dag.dag_id
        names = [task.task_display_name for task in dag.tasks]
        assert len(set(names)) == len(names)


def test_none_waits_for_somebody_to_unpause_it(dags: Mapping[str, DAG]) -> None:
    """... which is Airflow's default: what the sensor starts would wait in a paused DAG, and nobody would be told."""
    assert [dag_id for dag_id, dag in dags.items() if dag.is_paused_upon_creation is not False] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_parsing_a_file_does_nothing_but_wire(path: Path) -> None:
    called = {
        node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
    }
    assert called & DOING == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 130


def test_every_param_of_a_form_explains_itself(dags: Mapping[str, DAG]) -> None:
    for dag in dags.values():
        for name in dag.params:
            param = dag.params.get_param(name)
            assert param.schema.get("title"), f"{dag.dag_id}.{name}"
            assert param.description, f"{dag.dag_id}.{name}"
