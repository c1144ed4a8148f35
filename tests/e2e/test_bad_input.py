"""Bad input over REST: refused in one sentence by the step that opens the run.

Nothing is there afterwards: no directory, no row in the ledger, no mail. The parsers of the form have more cases of
their own (`tests/srdp/domain/common/test_form_fields.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from tests.e2e.site import DAG, Site
from tests.e2e.site_tools import until

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(600)]

EB = "13A-537.sb24066356.eb24324502.56514.05971091435"
LOCATOR = "uid://evla/execblock/01234567-89ab-cdef-0123-456789abcdef"


def _is_there(site: Site) -> Mapping[str, object]:
    """What a run leaves: directories, rows, mails."""
    areas = site.instance.places.areas
    tables = ("request", "pipeline_run", "event", "outbox", "casa_attempt", "fetched_file")
    return {
        **{
            name: sorted(path.name for path in area.iterdir() if not path.name.startswith(".check-"))
            for name, area in areas.items()
        },
        **{table: site.ledger.rows(f"SELECT count(*) FROM {table}") for table in tables},  # noqa: S608
        "mails": len(site.subjects()),
    }


def _refusal(site: Site, dag_run_id: str) -> str:
    """The sentences, as a program reads them."""
    path = f"dags/{DAG}/dagRuns/{dag_run_id}/taskInstances/open_run/xcomEntries/refusal"
    return str(site.airflow.get(path, map_index="0")["value"])


def test_the_first_step_refuses_in_one_sentence_what_only_it_can_know_and_nothing_is_there(site: Site) -> None:
    forbidden = site.observe(status="Do Not Calibrate")
    known = site.observe(status="Calibrated")
    before = _is_there(site)
    cases = {
        EB: {"execution_block": EB},
        LOCATOR: {"execution_block": LOCATOR},
        "13A..537": {"execution_block": "13A..537.sb1.eb1.56514.0"},
        "Do Not Calibrate": {"execution_block": forbidden.name},
        "no_such_recipe": {"execution_block": known.name, "recipe": "no_such_recipe"},
        "Execution block (execution_block) is empty": {},
        "did you mean execution_block?": {"executionblock": EB},
        "'many': write a whole number": {"execution_block": f" {known.name}\n", "cores": "many"},
        r"\r\nBcc: everybody@example.org": {"execution_block": f"{EB}\r\nBcc: everybody@example.org"},
        "{{ 7 * 7 }}": {"execution_block": "{{ 7 * 7 }}"},
    }
    dag_run_ids = {words: site.airflow.trigger(DAG, conf) for words, conf in cases.items()}
    for words, dag_run_id in dag_run_ids.items():
        # An answer to who asked, and no failure; Airflow knows no other state of a DAG run that has not failed.
        assert site.airflow.wait_for_run(DAG, dag_run_id) == "success"
        assert set(site.airflow.task_states(DAG, dag_run_id).values()) == {"skipped"}
        assert words in _refusal(site, dag_run_id)
        label = site.airflow.get(f"dags/{DAG}/dagRuns/{dag_run_id}/taskInstances/open_run/0")["rendered_map_index"]
        assert label.startswith("Refused: ")
    assert _is_there(site) == before


def test_a_second_request_is_refused_by_name_of_the_active_run(site: Site) -> None:
    run = site.start("active")
    run.until_casa_is_held()
    by_name = site.airflow.trigger(DAG, {"execution_block": run.block.name})
    by_locator = site.airflow.trigger(DAG, {"execution_block": run.block.locator})
    for dag_run_id in (by_name, by_locator):
        assert site.airflow.wait_for_run(DAG, dag_run_id) == "success"
        assert f"its pipeline run {run.id} is active (state processing), started by " in _refusal(site, dag_run_id)
    run.release()
    run.check_delivered()
    until("no further mail", lambda: sum(run.mails().values()) == 2)
