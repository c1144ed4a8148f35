from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping

import pytest
from airflow.sdk import DAG, TriggerRule
from airflow.sdk.exceptions import ParamValidationError

from srdp.operators.open_rerun import OpenRerunOperator

EB = "13A-537.sb24066356.eb24324502.56514.05971091435"
RUN = "vla-20261122-182453-4f7k"
ROAD = [
    "open_run", "mail_begun", "fetch_from_ngas", "write_ppr", "run_casa", "judge_outcome", "deliver_to_qa_area",
    "mail_ready_for_review",
]  # fmt: skip
FILES = ["processing_request", "flag_template", "flux_densities", "antenna_positions"]


@pytest.fixture
def dag(dags: Mapping[str, DAG]) -> DAG:
    return dags["vla_rerun"]


def test_the_road_is_one_line_and_every_step_may_fail_into_the_report(dag: DAG) -> None:
    downstream = {task.task_id: set(task.downstream_task_ids) for task in dag.tasks}
    expected = {step: {"report_failure"} for step in ROAD}
    for step, following in itertools.pairwise(ROAD):
        expected[step].add(following)
    assert downstream == expected | {"report_failure": set()}


def test_behind_the_opening_it_is_the_road_of_the_first_run(dag: DAG, dags: Mapping[str, DAG]) -> None:
    """First run and rerun are one code path: an older rerun tool drifted away from its first run, and broke."""

    def steps(dag: DAG) -> list[tuple[object, ...]]:
        return [
            (
                *(task.task_id, type(task), task.pool, task.retries, task.retry_delay, TriggerRule(task.trigger_rule)),
                *(getattr(task, field) for field in type(task).template_fields),
            )
            for task in dag.tasks
            if task.task_id != "open_run"
        ]

    first = dags["vla_calibration"]
    assert steps(dag) == steps(first)
    assert (dag.max_active_runs, dag.default_args) == (first.max_active_runs, first.default_args)


def test_the_opening_is_told_everything_that_the_form_asks(dag: DAG) -> None:
    arguments = dag.get_task("open_run").partial_kwargs
    assert {name: arguments[name] for name in OpenRerunOperator.template_fields if name in arguments} == {
        name: f"{{{{ params.{name} }}}}" for name in dag.params if name != "run"
    }
    assert {*OpenRerunOperator.template_fields} - {*arguments} == {"run_or_execution_block"}


def test_the_grid_shows_what_was_asked_for(dag: DAG) -> None:
    opening = dag.get_task("open_run")
    assert opening.partial_kwargs["map_index_template"] == "{{ task.run_or_execution_block }}"
    assert opening.expand_input.value == {"run_or_execution_block": ["{{ params.run }}"]}


def test_files_may_be_pasted_and_nobody_must_give_any(dag: DAG) -> None:
    for file in FILES:
        assert dag.params.get_param(f"{file}_text").schema["format"] == "multiline"
        assert "format" not in dag.params.get_param(file).schema
        for name in (file, f"{file}_text"):
            assert dag.params[name] is None
            assert dag.params.get_param(name).schema["section"]
    assert dag.params["reopen"] is False


def test_nothing_in_it_is_the_sandboxs(dag: DAG) -> None:
    assert "sandbox" not in (dag.doc_md or "")


@pytest.mark.parametrize("value", [EB, RUN])
def test_the_form_takes_a_run_or_an_execution_block(dag: DAG, value: str) -> None:
    params = copy.deepcopy(dag.params)
    params.update({"run": value, "flag_template_text": "mode='manual'\n", "casa_release": "6.6.1", "cores": 16})
    params.validate()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("run", ""),
        ("run", "../" + EB),
        ("run", RUN + "; reboot"),
        ("run", "uid://A001/X1288/X3f"),
        ("run", 7),
        ("flag_template", 7),
        ("flag_template", "x" * 10_000),
        ("flag_template_text", "x" * 1_000_001),
        ("casa_release", "x" * 65),
        ("cores", 0),
        ("memory_gb", 1.5),
        ("reopen", "yes"),
    ],
)
def test_the_form_refuses(dag: DAG, name: str, value: object) -> None:
    params = copy.deepcopy(dag.params)
    params.update({"run": EB})
    params.validate()
    with pytest.raises(ParamValidationError):  # noqa: PT012  either of the two may be the one that refuses
        params.update({name: value})
        params.validate()
