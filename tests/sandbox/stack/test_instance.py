"""The running stack: what listens where, what is restarted, and what stopping leaves alone."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
import requests
from tests.processes import NO_POWERS, powers

from sandbox.ports import LOOPBACK, free_ports, is_taken
from sandbox.stack import Instance, Ports
from sandbox.stack.components import AIRFLOW, DATABASES, OBSERVATORY, TIDY
from sandbox.stack.instance import HOME
from sandbox.stack.processes import MARK, marked_processes
from srdp.domain.common.errors import SettingsError

pytestmark = pytest.mark.airflow
EVERYTHING = {*AIRFLOW, *OBSERVATORY, DATABASES, TIDY}


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def everything_of(instance: Instance) -> list[psutil.Process]:
    """Marked processes and what descends from them: PostgreSQL's children write over their environment."""
    found = {one.pid: one for one in marked_processes(instance.places.root)}
    for one in list(found.values()):
        with contextlib.suppress(psutil.NoSuchProcess):  # It ended meanwhile, and with it what descended from it.
            found |= {process.pid: process for process in one.children(recursive=True)}
    return list(found.values())


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended; a zombie has, even if nothing collects it."""
    found = []
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def listening(processes: list[psutil.Process]) -> set[tuple[str, int]]:
    found = set()
    for process in processes:
        try:
            connections = process.net_connections(kind="inet")
            # Airflow's processes send the tests' metrics: a socket is bound by the first one, and nobody reads it.
            sends_metrics = "airflow" in " ".join(process.cmdline())
        except psutil.NoSuchProcess:  # Also of one that ended between the two.
            continue
        # A UDP socket has no listening state: bound is enough.
        found |= {
            (item.laddr.ip, item.laddr.port)
            for item in connections
            if item.status == psutil.CONN_LISTEN
            or (item.type == socket.SOCK_DGRAM and not item.raddr and not sends_metrics)
        }
    return found


def test_a_taken_port_is_reported_and_nothing_is_started(tmp_path: Path) -> None:
    with socket.socket() as taker:
        taker.bind((LOOPBACK, 0))
        taker.listen()
        port = taker.getsockname()[1]
        ports = Ports(**(Ports.free().as_dict() | {"airflow": port}))
        instance = Instance(tmp_path / "instance", ports=ports)
        with pytest.raises(SettingsError, match=f"{port} .by .*set SRDP_PORT_AIRFLOW to another"):
            instance.up()
        assert not marked_processes(instance.places.root)
        assert not instance.places.postgres.exists()
        assert not any(is_taken(other) for other in ports.as_dict().values() if other != port)


def test_everything_runs_and_listens_on_loopback_only(instance: Instance) -> None:
    assert instance.states() == dict.fromkeys(EVERYTHING, "RUNNING")
    assert listening(everything_of(instance)) == {(LOOPBACK, port) for port in instance.ports.as_dict().values()}


def test_no_process_has_or_gets_a_capability(instance: Instance) -> None:
    for process in everything_of(instance):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # It ended meanwhile.
            assert powers(process.pid) == NO_POWERS, process
    assert psutil.Process(instance.process(DATABASES)).uids().effective != 0


def test_airflow_knows_only_its_three_database_logins(instance: Instance) -> None:
    passwords = instance.postgres.passwords()
    assert set(passwords) == {"postgres", "airflow", "srdp_ledger", "srdp_archive"}
    known = psutil.Process(instance.process("scheduler")).environ().values()
    assert {role for role, password in passwords.items() if any(password in value for value in known)} == (
        set(passwords) - {"postgres"}
    )
    of_postgres = psutil.Process(instance.process(DATABASES)).environ()
    assert not any(password in value for value in of_postgres.values() for password in passwords.values())


@pytest.mark.parametrize(
    ("name", "path", "status"),
    [
        ("ngas", "STATUS", 421), ("locator", "location", 421), ("run_files", "", 421), ("mail", "messages/", 421),
        ("airflow", "api/v2/version", 400), ("airflow", "auth/token", 400), ("airflow", "execution/health", 400),
        ("supervisor", "RPC2", 401), ("postgres_supervisor", "RPC2", 401),
    ],
)  # fmt: skip
def test_a_request_for_another_host_is_refused(instance: Instance, name: str, path: str, status: int) -> None:
    port = instance.ports.as_dict()[name]
    for host in ("rebound.example", f"rebound.example:{port}", "127.0.0.1.rebound.example", "localhost.example"):
        answer = requests.get(f"http://{LOOPBACK}:{port}/{path}", headers={"Host": host}, timeout=30)
        assert answer.status_code == status, host
        if status == 421:
            assert "answers for 127.0.0.1 and localhost only" in answer.text
    own = requests.get(f"http://localhost:{port}/{path}", timeout=30)
    assert (own.status_code == 401) if status == 401 else (own.status_code not in (421, 400) or name == "locator")


def test_a_second_up_finds_everything_running_and_starts_nothing(instance: Instance) -> None:
    before = {name: instance.process(name) for name in EVERYTHING}
    started = time.monotonic()
    assert instance.up() is False
    assert time.monotonic() - started < 3
    assert {name: instance.process(name) for name in EVERYTHING} == before


def test_airflow_knows_its_dags_and_its_pools(instance: Instance) -> None:
    api = instance.airflow_api()
    dag_ids = {path.stem for path in (HOME / "dags").glob("*.py")}
    assert dag_ids >= {"watch_observations", "vla_calibration", "vla_rerun", "vla_qa_pass", "vla_cleanup"}
    for dag_id in dag_ids:
        api.wait_for_dag(dag_id)
        assert api.get(f"dags/{dag_id}")["is_paused"] is False, dag_id
    assert api.get("importErrors")["total_entries"] == 0
    pool = api.get("pools/casa")
    assert (pool["include_deferred"], pool["slots"] >= 1) == (True, True)
    assert 1 <= api.get("pools/fetch")["slots"] < int(instance.environment()["AIRFLOW__CORE__PARALLELISM"])


def test_nothing_gets_in_without_the_generated_password(instance: Instance) -> None:
    wrong = {"username": "analyst", "password": "analyst"}
    assert requests.post(f"{instance.airflow_url}/auth/token", json=wrong, timeout=10).status_code == 401
    assert requests.get(f"{instance.airflow_url}/api/v2/dags", timeout=10).status_code == 401
    assert requests.post(f"http://{LOOPBACK}:{instance.ports.supervisor}/RPC2", timeout=10).status_code == 401


def test_the_check_finds_everything_right_and_says_what_is_not(instance: Instance, tmp_path: Path) -> None:
    environment = instance.environment() | {"PYTHONPATH": str(HOME / "plugins")}
    right = _check(environment)
    assert right.returncode == 0, right.stdout + right.stderr
    found = [line for line in right.stdout.splitlines() if not line.startswith("...")]
    assert all(re.match(r"OK {3,}\d+\.\d s  ", line) for line in found), right.stdout
    areas = ("SPOOL", "PROCESSING", "QA", "ALMA_PROCESSING", "ALMA_QA")
    others = [
        "settings",
        "project",
        "retention file",
        "weblogs",
        "deadline",
        "moves",
        "CASA default",
        "pools",
        "Airflow",
    ]
    others += ["areas", "ledger", "archive", "reindex", "locator", "ngas", "ngas hosts", "mail", "engine local"]
    assert sorted(map(_name, found)) == sorted([*others, *(f"area SRDP_{area}_AREA" for area in areas)])
    nobody = free_ports(1)[0]
    with socket.create_server((LOOPBACK, 0)) as hanging:
        wrong = _check(
            environment
            | {
                "SRDP_QA_AREA": str(tmp_path / "nowhere"),
                "SRDP_SCIPIPE_HEURISTICS": str(tmp_path),
                "AIRFLOW_CONN_SRDP_NGAS": f"http://{LOOPBACK}:{nobody}",
                "AIRFLOW_CONN_SRDP_LOCATOR": f"http://{LOOPBACK}:{nobody}",
                "AIRFLOW_CONN_SRDP_ARCHIVE": f"postgresql://srdp@{LOOPBACK}:{hanging.getsockname()[1]}/archive",
                "AIRFLOW_CONN_SRDP_LEDGER": instance.postgres.url("srdp_archive"),
                "AIRFLOW_CONN_SRDP_SMTP": json.dumps({"conn_type": "smtp", "host": LOOPBACK, "port": nobody}),
            }
        )
    assert wrong.returncode == 1
    failures = {_name(line): line for line in wrong.stdout.splitlines() if line.startswith("WRONG")}
    everything = "areas,area SRDP_QA_AREA,moves,CASA default,ngas,ngas hosts,locator,ledger,archive,mail"
    assert set(failures) == set(everything.split(",")), wrong.stdout
    assert "nowhere (SRDP_QA_AREA) is not there: see whether its file system" in failures["area SRDP_QA_AREA"]
    assert "set SRDP_SCIPIPE_HEURISTICS to the folder" in failures["CASA default"]
    # What hangs is the last of all, and is reported all the same.
    assert set(wrong.stdout.splitlines()[-2:]) == {failures["archive"], failures["ngas hosts"]}
    assert "no answer within " in failures["archive"]
    assert "waiting for: archive" in wrong.stdout


def _name(line: str) -> str:
    """What a line of the check is about."""
    return line.split(" s  ", 1)[1].partition(":")[0]


def _check(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "srdp.check"], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", sorted(EVERYTHING))
def test_a_component_that_is_killed_is_restarted(instance: Instance, name: str) -> None:
    before = instance.process(name)
    os.kill(before, signal.SIGKILL)
    until(lambda: instance.process(name) not in (0, before))
    instance.up()
    assert instance.states() == dict.fromkeys(EVERYTHING, "RUNNING")


def test_a_killed_scheduler_leaves_no_workers_behind(instance: Instance) -> None:
    before = instance.process("scheduler")
    workers = psutil.Process(before).children()
    assert len(workers) > 1
    os.kill(before, signal.SIGKILL)
    until(lambda: not alive(workers))
    until(lambda: instance.process("scheduler") not in (0, before))
    instance.up()


def test_stopping_ends_only_this_instance(instance: Instance) -> None:
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    ours = subprocess.Popen(sleeper, env=os.environ | {MARK: str(instance.places.root)}, start_new_session=True)
    others = subprocess.Popen(sleeper, env=os.environ | {MARK: f"{instance.places.root}2"}, start_new_session=True)
    before = everything_of(instance)
    try:
        assert instance.down() is True
        assert ours.poll() is not None
        assert others.poll() is None
        assert not marked_processes(instance.places.root)
        assert not alive(before)
        assert not any(is_taken(port) for port in instance.ports.as_dict().values())
        assert instance.down() is False
    finally:
        ours.kill()
        others.kill()
    assert instance.up() is True
    assert instance.states() == dict.fromkeys(EVERYTHING, "RUNNING")


def test_leftovers_of_killed_supervisors_end_first(instance: Instance) -> None:
    instance.up()
    supervisors = [p for p in marked_processes(instance.places.root) if "supervisord" in " ".join(p.cmdline())]
    assert len(supervisors) == 2
    before = everything_of(instance)
    for supervisor in supervisors:
        os.kill(supervisor.pid, signal.SIGKILL)
    until(lambda: not instance.is_up())
    assert instance.up() is True
    assert not alive(before)
    assert instance.states() == dict.fromkeys(EVERYTHING, "RUNNING")


def test_ctrl_c_leaves_no_orphan(tmp_path: Path) -> None:
    ports = Ports.free()
    demo = tmp_path / "demo"
    environment = os.environ | {f"SRDP_PORT_{name.upper()}": str(port) for name, port in ports.as_dict().items()}
    command = subprocess.Popen(
        [sys.executable, "-m", "sandbox.stack", "demo"],
        env=environment | {"SRDP_DEMO_FOLDER": str(demo), "PYTHONPATH": f"{HOME}/include:{HOME}/plugins"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    until(lambda: is_taken(ports.ngas))
    assert marked_processes(demo)
    # As a terminal does: to the whole group, and an impatient person does it twice.
    os.killpg(command.pid, signal.SIGINT)
    time.sleep(0.3)
    os.killpg(command.pid, signal.SIGINT)
    said, _ = command.communicate(timeout=90)
    assert command.returncode == 130, said
    assert "Interrupted" in said
    assert "Traceback" not in said
    assert not marked_processes(demo)
    assert not any(is_taken(port) for port in ports.as_dict().values())
