from __future__ import annotations

import copy
import itertools
from collections.abc import Mapping

import pytest
from airflow.sdk import DAG, TriggerRule
from airflow.sdk.exceptions import ParamValidationError

from srdp.domain.families import ALMA, FAMILIES, VLA, Family
from srdp.domain.staging import file_names
from srdp.operators.open_rerun import OpenRerunOperator

SUBJECTS = {VLA.name: "13A-537.sb24066356.eb24324502.56514.05971091435", ALMA.name: "uid://A001/X1288/X3f"}
COMMON = [
    "fetch_from_ngas", "write_ppr", "run_casa", "judge_outcome", "deliver_to_qa_area", "mail_ready_for_review",
]  # fmt: skip
STEPS = {VLA.name: ["mail_begun", *COMMON], ALMA.name: [*COMMON[:-1], "ask_for_assignment", COMMON[-1]]}
FILES = {
    "vla": ["processing_request", "flag_template", "flux_densities", "antenna_positions"],
    "alma": ["processing_request", "flag_template", "continuum_ranges"],
}


@pytest.fixture(params=FAMILIES, ids=lambda family: family.name)
def family(request: pytest.FixtureRequest) -> Family:
    found: Family = request.param
    return found


@pytest.fixture
def dag(dags: Mapping[str, DAG], family: Family) -> DAG:
    return dags[family.rerun_dag]


def test_the_road_is_one_line_and_every_step_may_fail_into_the_report(dag: DAG, family: Family) -> None:
    steps = ["open_run", *STEPS[family.name]]
    downstream = {task.task_id: set(task.downstream_task_ids) for task in dag.tasks}
    expected = {step: {"report_failure"} for step in steps}
    for step, following in itertools.pairwise(steps):
        expected[step].add(following)
    assert downstream == expected | {"report_failure": set()}


def test_behind_the_opening_it_is_the_road_of_the_first_run(dag: DAG, dags: Mapping[str, DAG], family: Family) -> None:
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

    first = dags[family.kind]
    assert steps(dag) == steps(first)
    assert (dag.max_active_runs, dag.default_args) == (first.max_active_runs, first.default_args)


def test_the_opening_is_told_everything_that_the_form_asks(dag: DAG, family: Family) -> None:
    arguments = dag.get_task("open_run").partial_kwargs
    assert list(arguments["files"]) == list(file_names(family.kind))
    told = [each[how] for each in arguments["files"].values() for how in ("path", "text")]
    told += [arguments[name] for name in OpenRerunOperator.template_fields if name in arguments and name != "files"]
    assert sorted(told) == sorted(f"{{{{ params.{name} }}}}" for name in dag.params if name != "run")
    assert {*OpenRerunOperator.template_fields} - {*arguments} == {"run_or_subject"}
    assert arguments["kind"] == family.kind


def test_each_field_of_a_file_reaches_the_file_that_it_names(dag: DAG) -> None:
    for file, given in dag.get_task("open_run").partial_kwargs["files"].items():
        for how, title in (("path", file), ("text", f"{file}, pasted")):
            name = given[how].removeprefix("{{ params.").removesuffix(" }}")
            assert dag.params.get_param(name).schema["title"] == title


def test_the_grid_shows_what_was_asked_for(dag: DAG) -> None:
    opening = dag.get_task("open_run")
    assert opening.partial_kwargs["map_index_template"] == "{{ task.run_or_subject }}"
    assert opening.expand_input.value == {"run_or_subject": ["{{ params.run }}"]}


def test_files_may_be_pasted_and_nobody_must_give_any(dag: DAG, family: Family) -> None:
    for file in FILES[family.name]:
        assert dag.params.get_param(f"{file}_text").schema["format"] == "multiline"
        assert "format" not in dag.params.get_param(file).schema
        for name in (file, f"{file}_text"):
            assert dag.params[name] is None
            assert dag.params.get_param(name).schema["section"]
    assert dag.params["reopen"] is False


def test_nothing_in_it_is_the_sandboxs(dag: DAG) -> None:
    assert "sandbox" not in (dag.doc_md or "")


@pytest.mark.parametrize("named", ["run", "subject"])
def test_the_form_takes_a_run_or_what_it_works_on(dag: DAG, family: Family, named: str) -> None:
    value = f"{family.name}-20261122-182453-4f7k" if named == "run" else SUBJECTS[family.name]
    params = copy.deepcopy(dag.params)
    params.update({"run": value, "flag_template_text": "mode='manual'\n", "casa_release": "6.6.1", "cores": 16})
    params.validate()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("run", ""),
        ("run", "../x"),
        ("run", "vla-20261122-182453-4f7k; reboot"),
        ("run", "uid://evla/execblock/00000000-0000-0000-0000-000000000007"),
        ("run", 7),
        ("flag_template", 7),
        ("flag_template", "x" * 10_000),
        ("flag_template_text", "x" * 1_000_001),
        ("casa_release", "x" * 65),
        ("cores", 0),
        ("memory_gb", 1.5),
        ("reopen", "yes"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_the_form_refuses(dag: DAG, family: Family, name: str, value: object) -> None:
    params = copy.deepcopy(dag.params)
    params.update({"run": SUBJECTS[family.name]})
    params.validate()
    with pytest.raises(ParamValidationError):  # noqa: PT012  either of the two may be the one that refuses
        params.update({name: value})
        params.validate()


def test_the_form_of_one_family_does_not_take_what_the_other_works_on(dag: DAG, family: Family) -> None:
    (other,) = (each for each in FAMILIES if each is not family)
    params = copy.deepcopy(dag.params)
    with pytest.raises(ParamValidationError):  # noqa: PT012  likewise
        params.update({"run": SUBJECTS[other.name]})
        params.validate()
