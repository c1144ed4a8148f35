"""Bad input over REST: refused by the form's rules or, in one sentence, by the step that opens the run.

Either way nothing is there afterwards: no directory, no row in the ledger, no mail. The functions behind the doors have
more cases of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import requests
from tests.e2e.road import DAG, Road
from tests.e2e.road_tools import until

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(600)]

EB = "13A-537.sb24066356.eb24324502.56514.05971091435"
LOCATOR = "uid://evla/execblock/01234567-89ab-cdef-0123-456789abcdef"

#: What the form itself refuses: Airflow answers with an HTTP status of 4xx, and there is no DAG run.
REFUSED_BY_THE_FORM: list[dict[str, Any]] = [
    {},
    {"execution_block": ""},
    {"execution_block": None},
    {"execution_block": 17},
    {"execution_block": [EB]},
    {"execution_block": "../../../etc/passwd"},
    {"execution_block": f"../{EB}"},
    {"execution_block": f"{EB}/../x"},
    {"execution_block": f"{EB}; rm -rf /"},
    {"execution_block": f"{EB}' OR '1'='1"},
    {"execution_block": f"{EB}\r\nBcc: everybody@example.org"},
    {"execution_block": "{{ 7 * 7 }}"},
    {"execution_block": f"{'A' * 10_000}.sb1.eb1.56514.0"},
    {"execution_block": EB.replace("1", "\N{FULLWIDTH DIGIT ONE}")},
    {"execution_block": f"{LOCATOR}/../x"},
    {"execution_block": LOCATOR.upper()},
    {"execution_block": "uid://A001/X1288/X3f"},
    {"execution_block": EB, "recipe": ""},
    {"execution_block": EB, "recipe": "../../../etc/passwd"},
    {"execution_block": EB, "recipe": "x" * 10_000},
    {"execution_block": EB, "recipe": "{{ conf }}"},
    {"execution_block": EB, "cores": 0},
    {"execution_block": EB, "cores": 1025},
    {"execution_block": EB, "cores": "8; reboot"},
    {"execution_block": EB, "cores": 1.5},
    {"execution_block": EB, "memory_gb": -1},
    {"execution_block": EB, "memory_gb": 10**9},
    {"execution_block": EB, "memory_gb": {"$gt": 0}},
]


def _is_there(road: Road) -> Mapping[str, object]:
    """What a run leaves: directories, rows, mails."""
    areas = road.instance.places.areas
    tables = ("request", "pipeline_run", "event", "mail", "casa_attempt", "fetched_file")
    return {
        **{
            name: sorted(path.name for path in area.iterdir() if not path.name.startswith(".check-"))
            for name, area in areas.items()
        },
        **{table: road.ledger.rows(f"SELECT count(*) FROM {table}") for table in tables},  # noqa: S608
        "mails": len(road.subjects()),
    }


def _dag_runs(road: Road) -> int:
    return int(road.airflow.get(f"dags/{DAG}/dagRuns", limit="1")["total_entries"])


def test_the_form_refuses_what_is_wrong_and_nothing_is_there(road: Road) -> None:
    before, dag_runs = _is_there(road), _dag_runs(road)
    for conf in REFUSED_BY_THE_FORM:
        with pytest.raises(requests.HTTPError) as refusal:
            pytest.fail(f"{conf} was accepted as {road.airflow.trigger(DAG, conf)}")
        assert 400 <= refusal.value.response.status_code < 500, conf
        assert "Traceback" not in refusal.value.response.text
    assert (_is_there(road), _dag_runs(road)) == (before, dag_runs)


def test_the_first_step_refuses_in_one_sentence_what_only_it_can_know_and_nothing_is_there(road: Road) -> None:
    forbidden = road.observe(status="Do Not Calibrate")
    known = road.observe(status="Calibrated")
    before = _is_there(road)
    cases = {
        EB: {"execution_block": EB},
        LOCATOR: {"execution_block": LOCATOR},
        "13A..537": {"execution_block": "13A..537.sb1.eb1.56514.0"},
        "Do Not Calibrate": {"execution_block": forbidden.name},
        "no_such_recipe": {"execution_block": known.name, "recipe": "no_such_recipe"},
    }
    dag_run_ids = {words: road.airflow.trigger(DAG, conf) for words, conf in cases.items()}
    for words, dag_run_id in dag_run_ids.items():
        assert road.airflow.wait_for_run(DAG, dag_run_id) == "failed"
        states = road.airflow.task_states(DAG, dag_run_id)
        assert (states["open_run"], states["report_failure"]) == ("failed", "failed"), states
        assert {states[task] for task in states if task not in ("open_run", "report_failure")} == {"upstream_failed"}
        log = road.airflow.task_log(DAG, dag_run_id, "report_failure")
        assert any("No pipeline run was opened" in line and words in line for line in log.splitlines()), log
    assert _is_there(road) == before


def test_a_second_request_is_refused_by_name_of_the_active_run(road: Road) -> None:
    run = road.start("active")
    run.until_casa_is_held()
    by_name = road.airflow.trigger(DAG, {"execution_block": run.block.name})
    by_locator = road.airflow.trigger(DAG, {"execution_block": run.block.locator})
    for dag_run_id in (by_name, by_locator):
        assert road.airflow.wait_for_run(DAG, dag_run_id) == "failed"
        log = road.airflow.task_log(DAG, dag_run_id, "report_failure")
        (sentence, *_) = [line for line in log.splitlines() if "No pipeline run was opened" in line]
        assert f"its pipeline run {run.id} is active (state processing)" in sentence
    run.release()
    run.check_delivered()
    until("no further mail", lambda: sum(run.mails().values()) == 2)
