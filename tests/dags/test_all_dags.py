"""What holds for every DAG of the project."""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from airflow.sdk import DAG, BaseOperator
from airflow.sdk.exceptions import AirflowSkipException
from airflow.serialization.serialized_objects import DagSerialization

from srdp.families.forms import FORMS
from srdp.operators import base
from srdp.operators.base import SrdpOperator

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
    """... which is Airflow's default: what the sensor starts would wait in a paused DAG, and no mail would come."""
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


# --- forms ----------------------------------------------------------------------------------------------------------


def first_tasks(dag: DAG) -> Iterator[Any]:
    """Yield the tasks that nothing comes before, as they run: a mapped one is unmapped."""
    for task in dag.roots:
        if not task.is_mapped:
            yield task
            continue
        (argument,) = task.expand_input.value
        yield task.unmap({**task.partial_kwargs, argument: "x"})


def test_every_dag_has_the_form_that_its_first_tasks_check(dags: Mapping[str, DAG]) -> None:
    assert set(FORMS) == set(dags)
    for dag_id, dag in dags.items():
        assert list(dag.params) == list(FORMS[dag_id].fields)
        assert all(isinstance(task, SrdpOperator) for task in first_tasks(dag))


@pytest.mark.parametrize("dag_id", [path.stem for path in FILES])
def test_a_key_that_nobody_reads_is_refused_before_anything_is_done(
    dag_id: str, dags: Mapping[str, DAG], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "works_on_a_run", mock.Mock(return_value=False))
    dag_run = SimpleNamespace(dag_id=dag_id, run_type="manual", conf={"dryrun": True})
    for task in first_tasks(dags[dag_id]):
        begun = mock.Mock()
        monkeypatch.setattr(type(task), "run_step", begun)
        context: Any = {"dag_run": dag_run, "ti": mock.Mock(), "map_index_template": "x"}
        task.pre_execute(context)
        assert any(
            "'dryrun' is not a field" in reported or "has no fields" in reported for reported in task.faults.sentences
        )
        # Those that look for more faults refuse them together; their own tests show that they do.
        if not task.collects_faults:
            with pytest.raises(AirflowSkipException, match="'dryrun'"):
                task.execute(context)
            assert not begun.called
            assert "'dryrun'" in context["refusal"]


@pytest.mark.parametrize("value", [None, "", " x ", "../x", 0, -1.5, True, [], ["x"], {"a": 1}], ids=str)
def test_airflow_takes_every_value_so_that_nobody_reads_its_dump_of_a_schema(
    dags: Mapping[str, DAG], value: object
) -> None:
    for dag in dags.values():
        params = copy.deepcopy(dag.params)
        params.update(dict.fromkeys(dag.params, value))
        assert params.validate() == dict.fromkeys(dag.params, value)


def test_airflows_server_takes_every_value_too(dags: Mapping[str, DAG]) -> None:
    for dag in dags.values():
        served = DagSerialization.from_dict(DagSerialization.to_dict(dag))
        served.params.deep_merge({}).validate()
        served.params.deep_merge({**{name: ["x"] for name in dag.params}, "other": 1}).validate()


def test_airflows_page_has_the_right_field_for_each(dags: Mapping[str, DAG]) -> None:
    """Of one type, so that it is not shown as JSON; without a length, at which the page cuts what is pasted."""
    for dag_id, dag in dags.items():
        for name, field in FORMS[dag_id].fields.items():
            schema = dag.params.get_param(name).schema
            assert schema["type"] == (field.shown["type"] if field.required else ["null", field.shown["type"]])
            assert not {"maxLength", "minLength", "pattern", "minimum", "maximum"} & {*schema}


def test_blanks_are_taken_off_every_value_on_its_way_to_a_task(dags: Mapping[str, DAG]) -> None:
    for dag_id, dag in dags.items():
        for task in dag.tasks:
            for template in _templates(task):
                for name, trimmed in re.findall(r"{{ params\.(\w+)( \| trim)? }}", template):
                    field = FORMS[dag_id].fields[name]
                    assert bool(trimmed) != field.verbatim, f"{dag_id}.{task.task_id}: {template}"


def _templates(task: Any) -> Iterator[str]:
    sources = [task.partial_kwargs, task.expand_input.value] if task.is_mapped else [vars(task)]
    for source in sources:
        names = task.template_fields if isinstance(task, BaseOperator) else source
        yield from (found for name in names for found in _texts(source.get(name)))


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)


def test_steps_that_move_bytes_or_start_casa_wait_for_the_workers_that_are_there_for_it(
    dags: Mapping[str, DAG],
) -> None:
    elsewhere: dict[str, set[str]] = {}
    for dag in dags.values():
        for task in dag.tasks:
            kind = getattr(task, "operator_class", type(task))
            assert task.queue == (getattr(kind, "work_queue", None) or "default"), f"{dag.dag_id}.{task.task_id}"
            elsewhere.setdefault(task.queue, set()).add(task.task_id)
    assert elsewhere["casa"] == {"run_casa", "check_settings"}
    moving = {"fetch_from_ngas", "deliver_to_qa_area", "pack_products", "archive_products", "keep_products"}
    assert moving <= elsewhere["bytes"], elsewhere["bytes"]


@pytest.mark.parametrize(("dag_id", "hour"), [("check_settings", (6, 0)), ("expire_processing_area", (5, 30))])
def test_what_is_done_each_morning_is_not_made_up_for_when_airflow_starts_for_the_first_time(
    dags: Mapping[str, DAG], dag_id: str, hour: tuple[int, int]
) -> None:
    stored = DagSerialization.from_dict(DagSerialization.to_dict(dags[dag_id]))
    just_missed = datetime(2026, 11, 29, *hour, tzinfo=UTC) + timedelta(minutes=1)
    with mock.patch("airflow.timetables.trigger.utcnow", return_value=just_missed):
        first = stored.next_dagrun_info(last_automated_run_info=None)
    assert first is not None
    assert first.run_after == just_missed + timedelta(days=1, minutes=-1)
