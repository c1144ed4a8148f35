"""A team's Airflow: from a clean clone to an archived calibration, with kills in between, and down and up again.

The tests of this file share one installation and follow each other.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from tests.compose.team import ROOT, Team
from tests.docker_engine import Engine

pytestmark = [pytest.mark.team, pytest.mark.timeout(2400)]

ACCOUNTS = {
    "viewer": "Viewer",
    "analyst": "Data analyst",
    "manager": "Operations manager",
    "frontend": "Front end",
    "operator": "Operator",
}
AIRFLOW = ("apiserver", "scheduler", "dag-processor", "triggerer", "worker", "worker-bytes", "worker-casa")
OBSERVATORY = ("ngas", "locator", "mail", "run-files")
# Refused by the form's check: nothing is done.
WRONG = {"pipeline_run_id": "vla-20260101-000000-zzzz"}
# Why a run failed, and whether a mail says so and what to do.
REPORTED = """SELECT failure, body_text LIKE '%restarted while it ran%' AND body_text LIKE '%trigger "VLA rerun"%'
FROM pipeline_run JOIN outbox USING (pipeline_run_id) WHERE pipeline_run_id = '{run}' AND key = 'calibration_failed'"""
FIRST = "SELECT pipeline_run_id FROM pipeline_run ORDER BY created_at LIMIT 1"
SERVICES = (*AIRFLOW, *OBSERVATORY, "postgres", "redis")


@pytest.fixture(scope="module")
def team(docker: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    clone = tmp_path_factory.mktemp("team") / "clone"
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ROOT, clone], check=True)
    docker.base_image("bookworm")
    subprocess.run(["make", "--silent", "compose-secrets"], cwd=clone, check=True)
    team = Team(docker, clone, "srdp-test")
    team.build()
    try:
        team.up()
        team.make_accounts(ACCOUNTS)
        yield team
    finally:
        team.compose("down", "--volumes", "--timeout", "5", timeout=300)


def set_casa_slots(team: Team, who: str, slots: int) -> int:
    """Have somebody say how many CASA jobs run at once; return the answer's status."""
    pool = {"name": "casa", "slots": slots, "include_deferred": True}
    return team.ask(who, "PATCH", "pools/casa", pool).status_code


def test_all_is_healthy_of_an_ordinary_user_and_writes_nothing_to_its_images(team: Team) -> None:
    for service in SERVICES:
        found = team.inspect(service)
        assert found["State"]["Health"]["Status"] == "healthy", service
        assert found["HostConfig"]["ReadonlyRootfs"], service
        assert found["HostConfig"]["CapDrop"] == ["ALL"], service
        assert found["HostConfig"]["Memory"] > 0, service
        assert found["HostConfig"]["LogConfig"]["Config"] == {"max-file": "3", "max-size": "10m"}, service
        for bindings in (found["NetworkSettings"]["Ports"] or {}).values():
            assert {each["HostIp"] for each in bindings or []} <= {"127.0.0.1"}, service
        command = ("sh", "-c", "id -u; touch /opt/srdp/dags/new /opt/new 2>&1 | wc -l")
        user, refused = team.compose("exec", "--no-TTY", service, *command).split()
        assert user != "0", service
        assert refused == "2", service


def test_a_worker_has_none_of_airflows_own_keys(team: Team) -> None:
    env = team.compose("exec", "--no-TTY", "worker-casa", "env")
    assert "AIRFLOW_CONN_SRDP_LEDGER=" in env
    for key in (
        "SQL_ALCHEMY_CONN",
        "FERNET_KEY",
        "JWT_SECRET",
        "SECRET_KEY",
        "POSTGRES_PASSWORD",
        "SRDP_ADMIN_PASSWORD",
    ):
        assert f"{key}=" not in env


def test_a_change_of_a_dag_rebuilds_nothing(team: Team) -> None:
    images = {service: team.inspect(service)["Image"] for service in AIRFLOW}
    dag = team.clone / "dags" / "vla_qa_pass.py"
    dag.write_text(dag.read_text() + "\n# changed\n")
    team.build()
    team.compose("up", "--detach", "--no-build", "--no-deps", "scheduler", "dag-processor", timeout=120)
    assert {service: team.inspect(service)["Image"] for service in AIRFLOW} == images


def test_each_role_may_do_what_the_operators_guide_says_and_nothing_else(team: Team) -> None:
    expected = {
        "vla_qa_pass": {"viewer": 403, "analyst": 200, "manager": 403, "frontend": 403, "operator": 200},
        "alma_assign_qa": {"viewer": 403, "analyst": 403, "manager": 200, "frontend": 403, "operator": 200},
        "alma_imaging": {"viewer": 403, "analyst": 403, "manager": 200, "frontend": 200, "operator": 200},
    }
    for dag, by_role in expected.items():
        assert {who: team.trigger(who, dag, **WRONG).status_code for who in by_role} == by_role, dag
    assert {who: team.ask(who, "GET", "dags/vla_qa_pass/dagRuns").status_code for who in ACCOUNTS} == dict.fromkeys(
        ACCOUNTS, 200
    )
    changed = {who: set_casa_slots(team, who, 1) for who in ACCOUNTS}
    assert changed == {"viewer": 403, "analyst": 403, "manager": 403, "frontend": 403, "operator": 200}
    login = {"username": "admin", "password": "admin"}
    assert requests.post(f"{team.url}/auth/token", json=login, timeout=60).status_code == 401


def test_a_calibration_comes_to_the_qa_area_although_workers_redis_and_scheduler_are_killed(team: Team) -> None:
    team.wait("a run is opened", lambda: bool(team.rows("SELECT 1 FROM pipeline_run")), seconds=300)
    (run,) = team.rows(FIRST)
    fetch = lambda: team.task("viewer", "vla_calibration", "fetch_from_ngas").get("state")  # noqa: E731
    team.wait("the fetch is handed to a worker", lambda: fetch() not in {None, "scheduled"}, seconds=120)
    team.kill("worker-bytes")
    team.wait("the fetch is done by the worker that came after it", lambda: fetch() == "success", seconds=300)
    casa = lambda: team.task("viewer", "vla_calibration", "run_casa").get("state")  # noqa: E731
    team.wait("CASA runs", lambda: casa() == "deferred", seconds=120)
    with ThreadPoolExecutor(1) as beside:
        observed = beside.submit(team.compose, "run", "--rm", "observe", "--count", "1", timeout=300)
        for service in ("redis", "worker", "scheduler"):
            team.kill(service)
        # The other run's CASA waits for the next test.
        assert set_casa_slots(team, "operator", 0) == 200
        team.scale("worker", 2)
        observed.result()
    forms = {team.trigger("analyst", "vla_qa_pass", **WRONG).json()["dag_run_id"] for _ in range(8)}

    def checked_on() -> list[str]:
        checks = team.tasks("viewer", "vla_qa_pass", "claim_ingest")
        return [each["hostname"] for each in checks if each["dag_run_id"] in forms and each["state"] == "skipped"]

    team.wait("all forms are checked", lambda: len(checked_on()) == len(forms), seconds=120)
    assert len({*checked_on()}) == 2, "both workers take steps"
    team.wait("it awaits QA", lambda: team.state(run) == "awaiting_qa", seconds=600)
    starts = team.compose("exec", "--no-TTY", "worker-casa", "sh", "-c", f"ls -d /srdp/areas/spool/{run}/*.casa*")
    assert starts.split() == [f"/srdp/areas/spool/{run}/{run}.casa1"], "CASA was started once"


def test_a_restarted_casa_container_is_reported_within_a_minute_and_starts_nothing_again(team: Team) -> None:
    second = f"{FIRST} OFFSET 1"
    team.wait("another run is opened", lambda: bool(team.rows(second)), seconds=300)
    (run,) = team.rows(second)
    assert set_casa_slots(team, "operator", 1) == 200
    log = ("exec", "--no-TTY", "worker-casa", "sh", "-c", f"ls /srdp/areas/processing/{run}/working/casa-*.log | wc -l")
    team.wait("CASA runs", lambda: int(team.compose(*log)) == 1, seconds=300)
    team.compose("restart", "worker-casa", timeout=120)
    team.wait("it is reported", lambda: team.state(run) == "failed", seconds=60)
    ((failure, mail),) = (row.split("|") for row in team.rows(REPORTED.format(run=run)))
    assert "was stopped or restarted while it ran" in failure
    assert mail == "t", "the mail says why, and what to do"
    assert int(team.compose(*log)) == 1, "CASA is not started again"


def test_a_pass_is_archived_and_nothing_is_lost_when_all_goes_down_and_up_again(team: Team) -> None:
    (run,) = team.rows("SELECT pipeline_run_id FROM pipeline_run WHERE state = 'awaiting_qa'")
    form = {"pipeline_run_id": run, "qa_flag": "Pass"}
    assert team.trigger("analyst", "vla_qa_pass", **form).status_code == 200
    team.wait("it is archived", lambda: team.state(run) == "archived", seconds=600)
    events = team.rows("SELECT count(*) FROM event")
    dag_runs = team.ask("viewer", "GET", "dags/vla_calibration/dagRuns").json()["total_entries"]

    team.compose("down", "--timeout", "20", timeout=300)
    team.up()
    assert team.state(run) == "archived"
    assert int(team.rows("SELECT count(*) FROM event")[0]) >= int(events[0])
    assert team.ask("viewer", "GET", "dags/vla_calibration/dagRuns").json()["total_entries"] == dag_runs
    assert team.rows("SELECT count(*) FROM pipeline_run") == ["2"], "the same observations are not calibrated again"
    kept = ("sh", "-c", f"ls -d /srdp/areas/processing/{run} && cat /srdp/retention/retention.txt | wc -l")
    assert len(team.compose("exec", "--no-TTY", "worker", *kept).split()) == 2
