from __future__ import annotations

import itertools
from collections.abc import Mapping

import pytest
from airflow.sdk import DAG, TriggerRule

from srdp.families import ALMA, VLA, Family, families
from srdp.operators.open_rerun import OpenRerunOperator
from srdp.task_chains.forms import value

SUBJECTS = {VLA.name: "13A-537.sb24066356.eb24324502.56514.05971091435", ALMA.name: "uid://A001/X1288/X3f"}
COMMON = [
    "fetch_from_ngas", "write_ppr", "run_casa", "judge_outcome", "deliver_to_qa_area", "mail_ready_for_review",
]  # fmt: skip
STEPS = {VLA.name: ["mail_begun", *COMMON], ALMA.name: [*COMMON[:-1], "ask_for_assignment", COMMON[-1]]}
FILES = {
    "vla": ["processing_request", "flag_template", "flux_densities", "antenna_positions"],
    "alma": ["processing_request", "flag_template", "continuum_ranges"],
}


@pytest.fixture(params=families(), ids=lambda family: family.name)
def family(request: pytest.FixtureRequest) -> Family:
    found: Family = request.param
    return found


@pytest.fixture
def dag(dags: Mapping[str, DAG], family: Family) -> DAG:
    return dags[family.rerun_dag]


def test_the_task_chain_is_one_line_and_every_step_may_fail_into_the_report(dag: DAG, family: Family) -> None:
    steps = ["open_run", *STEPS[family.name]]
    downstream = {task.task_id: set(task.downstream_task_ids) for task in dag.tasks}
    # The first by the step behind it: at each look at a mapped task the scheduler asks its database.
    expected = {step: set() if step == steps[0] else {"report_failure"} for step in steps}
    for step, following in itertools.pairwise(steps):
        expected[step].add(following)
    assert downstream == expected | {"report_failure": set()}


def test_behind_the_opening_it_is_the_task_chain_of_the_first_run(
    dag: DAG, dags: Mapping[str, DAG], family: Family
) -> None:
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


def test_the_opening_is_reported_everything_that_the_form_asks(dag: DAG, family: Family) -> None:
    arguments = dag.get_task("open_run").partial_kwargs
    assert list(arguments["files"]) == list(family.inputs.file_names)
    reported = [each[how] for each in arguments["files"].values() for how in ("path", "text")]
    reported += [arguments[name] for name in OpenRerunOperator.template_fields if name in arguments and name != "files"]
    assert sorted(reported) == sorted(value(dag.dag_id, name) for name in dag.params if name != "run")
    assert {*OpenRerunOperator.template_fields} - {*arguments} == {"run_or_subject"}
    assert arguments["kind"] == family.kind


def test_each_field_of_a_file_reaches_the_file_that_it_names(dag: DAG) -> None:
    for file, given in dag.get_task("open_run").partial_kwargs["files"].items():
        for how, title in (("path", file), ("text", f"{file}, pasted")):
            name = given[how].removeprefix("{{ params.").removesuffix(" }}").removesuffix(" | trim")
            assert dag.params.get_param(name).schema["title"] == title


def test_the_grid_shows_what_was_asked_for(dag: DAG) -> None:
    opening = dag.get_task("open_run")
    assert opening.partial_kwargs["map_index_template"] == "{{ task.run_or_subject }}"
    assert opening.expand_input.value == {"run_or_subject": ["{{ params.run | trim }}"]}


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
