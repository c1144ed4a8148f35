"""What is removed from Airflow's own database, by Airflow's own command."""

from __future__ import annotations

import subprocess
import sys
import time

import psycopg
import pytest

from sandbox.stack import Instance
from sandbox.stack.airflow_api import AirflowApi
from sandbox.stack.environment import AIRFLOW

pytestmark = pytest.mark.airflow

OWN, OTHER, WAITING = "check_settings", "alma_assign_qa", "vla_cleanup"
MADE = """
INSERT INTO dag_run (
    dag_id, run_id, state, run_type, start_date, run_after, queued_at, clear_number, log_template_id, span_status
)
SELECT %s, %s || number, %s, 'manual', made, made, made, 0, (SELECT max(id) FROM log_template), 'not_started'
FROM generate_series(1, 2) AS number, (SELECT now() - make_interval(days => %s) AS made) AS moment
"""


def test_old_dag_runs_are_removed_of_what_works_by_itself_sooner_than_of_the_rest_and_none_that_is_open(
    stack: Instance, airflow: AirflowApi
) -> None:
    for dag in (OWN, OTHER, WAITING):
        airflow.wait_for_dag(dag)
    # So that the scheduler leaves open what is open.
    airflow.patch(f"dags/{WAITING}", {"is_paused": True})
    try:
        with psycopg.connect(stack.postgres.url(AIRFLOW)) as connection:
            for dag, days in ((OWN, 31), (OWN, 29), (OTHER, 31), (OTHER, 366), (WAITING, 400), (WAITING, 380)):
                connection.execute(MADE, (dag, f"{days} days ", "success", days))
            connection.execute(MADE, (WAITING, "390 days ", "running", 390))
        began = time.monotonic()
        environment = stack.environment() | {"PYTHONPATH": str(stack.places.home / "plugins")}
        done = subprocess.run(
            [sys.executable, "-m", "srdp.tidy"], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        with psycopg.connect(stack.postgres.url(AIRFLOW)) as connection:
            left = connection.execute(
                "SELECT dag_id, run_id FROM dag_run WHERE run_id LIKE '%% days %%'", ()
            ).fetchall()
    finally:
        with psycopg.connect(stack.postgres.url(AIRFLOW)) as connection:
            connection.execute("DELETE FROM dag_run WHERE run_id LIKE '%% days %%'", ())
        airflow.patch(f"dags/{WAITING}", {"is_paused": False})
    assert {(dag, run_id.partition(" ")[0]) for dag, run_id in left} == {
        (OWN, "29"), (OTHER, "31"), (WAITING, "390"), (WAITING, "380"),
    }  # fmt: skip
    assert time.monotonic() - began < 120
