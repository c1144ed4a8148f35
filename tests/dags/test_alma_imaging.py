from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Mapping

import pytest
from airflow.sdk import DAG, TriggerRule
from airflow.sdk.definitions._internal.templater import SandboxedEnvironment

from srdp.domain.imaging.request import imaging_request

ROAD = [
    "open_run", "fetch_from_ngas", "write_ppr", "run_casa", "judge_outcome", "deliver_to_qa_area",
    "ask_for_assignment", "mail_ready_for_review",
]  # fmt: skip
MOUS = "uid://A001/X1288/X3f"
CUBE = {
    "field": "TW_Hya", "spw": 25, "rest_frequency_ghz": 345.796, "start": "-5km/s", "width": "0.25km/s", "channels": 80,
}  # fmt: skip
LINE = "TW_Hya, 25, 345.796, -5km/s, 0.25km/s, 80"


@pytest.fixture
def dag(dags: Mapping[str, DAG]) -> DAG:
    return dags["alma_imaging"]


def test_the_task_chain_is_one_line_and_every_step_may_fail_into_the_report(dag: DAG) -> None:
    downstream = {task.task_id: set(task.downstream_task_ids) for task in dag.tasks}
    # The first by the step behind it: at each look at a mapped task the scheduler asks its database.
    expected = {step: set() if step == ROAD[0] else {"report_failure"} for step in ROAD}
    for step, following in itertools.pairwise(ROAD):
        expected[step].add(following)
    assert downstream == expected | {"report_failure": set()}


def test_only_the_report_runs_when_something_failed(dag: DAG) -> None:
    rules = {task.task_id: TriggerRule(task.trigger_rule) for task in dag.tasks}
    assert rules.pop("report_failure") == "one_failed"
    assert set(rules.values()) == {"all_success"}


def test_it_differs_from_the_calibration_in_its_opening_its_mails_and_the_assignment_alone(
    dag: DAG, dags: Mapping[str, DAG]
) -> None:
    other = {task.task_id: task for task in dags["vla_calibration"].tasks}
    own = {task.task_id: task for task in dag.tasks}
    assert set(own) ^ set(other) == {"mail_begun", "ask_for_assignment"}
    for name in set(own) & set(other) - {"open_run"}:
        assert type(own[name]) is type(other[name])
        assert (own[name].pool, own[name].retries) == (other[name].pool, other[name].retries)
    for name in ("recipe", "cores", "memory_gb"):
        ours, theirs = (dict(each.params.get_param(name).schema) for each in (dag, dags["vla_calibration"]))
        ours.pop("section", None)
        assert ours == theirs


def conf(**asked: object) -> dict[str, object]:
    return {"mous": MOUS, "fields": "TW_Hya", **asked}


def validated(dag: DAG, asked: dict[str, object]) -> dict[str, object]:
    params = copy.deepcopy(dag.params)
    params.update(asked)
    return dict(params.validate())


@pytest.mark.parametrize("fields", ["TW_Hya\nV_BP_Tau", "TW_Hya, V_BP_Tau", ["TW_Hya", "V_BP_Tau"]])
@pytest.mark.parametrize("cubes", [LINE, [CUBE], json.dumps([CUBE])])
def test_text_and_lists_come_to_the_same_request(dag: DAG, fields: object, cubes: object) -> None:
    """... through the templates that the DAG has, as Airflow renders them."""
    params = validated(dag, conf(fields=fields, cubes=cubes))
    arguments = dag.get_task("open_run").partial_kwargs
    rendered = {
        name: SandboxedEnvironment().from_string(str(arguments[name])).render(params=params)
        for name in ("fields", "cubes", "continuum", "self_calibration", "angular_resolution_arcsec", "user_email")
    }
    request = imaging_request(mous=MOUS, asked_by="somebody", asked_by_email=rendered.pop("user_email"), **rendered)
    assert request.fields == ("TW_Hya", "V_BP_Tau")
    assert [cube.model_dump() for cube in request.cubes] == [CUBE]
    assert (request.continuum, request.self_calibration, request.angular_resolution_arcsec) == (True, False, None)


def test_no_cube_is_no_cube(dag: DAG) -> None:
    template = str(dag.get_task("open_run").partial_kwargs["cubes"])
    assert SandboxedEnvironment().from_string(template).render(params=validated(dag, conf())) == "None"
