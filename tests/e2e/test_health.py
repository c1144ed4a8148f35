"""`srdp-health` beside a real Airflow: each thing that it looks for is made wrong once."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator

import psycopg
import pytest

from sandbox.stack import Instance
from sandbox.stack.airflow_api import AirflowApi
from sandbox.stack.environment import AIRFLOW, LEDGER
from sandbox.stack.instance import HOME
from srdp import health

pytestmark = pytest.mark.airflow

DEADLINE = 120.0
QUEUE_A_TASK = """
UPDATE task_instance
SET state = 'queued', queued_dttm = now() - interval '1 min', queued_by_job_id = NULL
WHERE id = (SELECT id FROM task_instance WHERE state = 'success' LIMIT 1)
"""

LONG_READY = """
WITH run AS (SELECT dag_id, run_id FROM task_instance WHERE state = 'queued'), ended AS (
    UPDATE task_instance SET end_date = end_date - interval '1 day' WHERE (dag_id, run_id) IN (SELECT * FROM run)
)
UPDATE dag_run SET run_after = run_after - interval '1 day' WHERE (dag_id, run_id) IN (SELECT * FROM run)
"""


@pytest.fixture
def beside(stack: Instance, airflow: AirflowApi, monkeypatch: pytest.MonkeyPatch) -> Iterator[Instance]:
    """The stack, after each sign of life was given once, with its settings in this process's environment."""
    for dag in ("watch_observations", "send_mails_and_reconcile"):
        airflow.wait_for_dag(dag)
        airflow.trigger(dag)
    for name, value in stack.environment_of_health().items():
        if name.startswith(("SRDP_", "AIRFLOW_CONN_")):
            monkeypatch.setenv(name, value)
    deadline = time.monotonic() + DEADLINE
    while execute(stack, LEDGER, "SELECT count(*) FROM heartbeat WHERE beat_at > now() - interval '2 min'") != 4:
        assert time.monotonic() < deadline, "what is done again and again is not done"
        time.sleep(0.2)
    yield stack
    stack.up()
    airflow.patch("dags/send_mails_and_reconcile", {"is_paused": False})


def execute(stack: Instance, database: str, statement: str, *parameters: object) -> object:
    with psycopg.connect(stack.postgres.url(database)) as connection:
        cursor = connection.execute(statement, parameters)
        return cursor.fetchone()[0] if cursor.description else cursor.rowcount


def said(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, str]]:
    """What is wrong, by its name, and the exit code."""
    code = health.main(["--quiet"])
    lines = capsys.readouterr().out.splitlines()
    return code, {line.split(":")[0].split()[1]: line.partition(": ")[2] for line in lines}


def test_a_living_instance_is_alive(beside):
    command = [HOME / "bin" / "srdp-health"]
    done = subprocess.run(
        command, env=beside.environment_of_health(), cwd="/", capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert {line.split()[0] for line in done.stdout.splitlines()} == {"OK"}
    assert len(done.stdout.splitlines()) == 8 + 5, done.stdout


def test_a_wrong_login_is_notified_of_and_so_is_a_paused_watch(beside, airflow, monkeypatch, capsys):
    airflow.patch("dags/send_mails_and_reconcile", {"is_paused": True})
    code, wrong = said(capsys)
    assert (code, wrong) == (1, {"DAGs": "send_mails_and_reconcile is paused: look at it in Airflow."})
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_AIRFLOW", f"http://analyst:wrong@127.0.0.1:{beside.ports.airflow}")
    code, wrong = said(capsys)
    assert code == 2
    assert wrong.keys() == {"DAGs", "tasks"}
    assert "answered HTTP 401 for auth/token: set a login" in wrong["tasks"]


def test_components_that_are_gone_and_what_they_leave_behind_are_reported(beside, capsys):
    for name in ("scheduler", "triggerer"):
        beside.stop_component(name)
    code, wrong = said(capsys)
    assert code == 2
    assert "scheduler is gone since" in wrong["components"]
    assert "triggerer is gone since" in wrong["components"]
    assert "dag-processor" not in wrong["components"]
    assert "tasks" not in wrong, "nothing is queued for ten minutes yet"

    execute(beside, AIRFLOW, "UPDATE task_instance SET state = 'success' WHERE state IN ('running', 'queued')")
    assert execute(beside, AIRFLOW, QUEUE_A_TASK) == 1
    assert "tasks" not in said(capsys)[1], "it was ready a moment ago, however often it is queued again"
    assert execute(beside, AIRFLOW, LONG_READY) == 1
    assert "1 task(s) are queued, the first, '" in said(capsys)[1]["tasks"]

    waits = (
        "UPDATE task_instance SET state = 'deferred', trigger_id = (SELECT min(id) FROM trigger) WHERE state = 'queued'"
    )
    assert execute(beside, AIRFLOW, waits) == 1
    assert "tasks" not in said(capsys)[1]

    long_ago = "UPDATE job SET latest_heartbeat = now() - interval '11 min' WHERE job_type = 'TriggererJob'"
    assert execute(beside, AIRFLOW, long_ago) >= 1
    assert "orphaned, their triggerer is gone, the first, '" in said(capsys)[1]["tasks"]

    left = "UPDATE trigger SET triggerer_id = NULL, created_date = now() - interval '11 min'"
    assert execute(beside, AIRFLOW, left) >= 1
    assert "waiting for a triggerer, the first, '" in said(capsys)[1]["tasks"]

    beside.stop_component("api-server")
    code, wrong = said(capsys)
    assert code == 2
    assert wrong.keys() == {"components", "tasks", "DAGs"}
    assert "does not answer: ConnectionError" in wrong["components"]
