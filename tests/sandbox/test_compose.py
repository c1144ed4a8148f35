"""The services of docker-compose.yaml's profile ``observatory``, as processes at an address of their own."""

from __future__ import annotations

import os
import signal
import smtplib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import requests
from tests.observing import make_sdm

from sandbox.healthy import ASKED
from sandbox.ngas.server import NgasServer

ROOT = Path(__file__).parents[2]
# One of this process's own, so that the ports, which are the same everywhere, are free.
ADDRESS = f"127.77.{os.getpid() >> 8 & 0xFF}.{os.getpid() & 0xFF}"
Service = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    areas = {name: tmp_path / name for name in ("PROCESSING", "QA", "ALMA_PROCESSING", "ALMA_QA")}
    for area in areas.values():
        area.mkdir()
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT / 'include'}:{ROOT / 'plugins'}",
        "SRDP_OBSERVATORY_FOLDER": str(tmp_path / "observatory"),
        "SRDP_OBSERVATORY_LISTEN": ADDRESS,
        "AIRFLOW_CONN_SRDP_NGAS": "http://ngas:7777",
        **{f"SRDP_{name}_AREA": str(area) for name, area in areas.items()},
    }


def run(environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sandbox.compose", *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


@contextmanager
def serving(environment: dict[str, str], service: str) -> Iterator[None]:
    """Start a server; it is healthy when this begins."""
    server = subprocess.Popen([sys.executable, "-m", "sandbox.compose", service], env=environment)
    try:
        give_up = time.monotonic() + 30
        while run(environment, "healthy", service).returncode:
            assert server.poll() is None
            assert time.monotonic() < give_up, f"{service} is not healthy in time"
        yield
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) == 0


@pytest.mark.servers
@pytest.mark.parametrize("service", ["ngas", "locator", "mail", "run-files"])
def test_service_answers_only_to_its_own_name(environment, request, service):
    if service == "locator":
        environment["AIRFLOW_CONN_SRDP_ARCHIVE"] = request.getfixturevalue("new_archive")
    port, path = ASKED[service]
    unhealthy = run(environment, "healthy", service)
    assert (unhealthy.returncode, unhealthy.stderr.startswith(f"{service} does not answer")) == (1, True)
    with serving(environment, service):
        url = f"http://{ADDRESS}:{port}{path}"
        status = {
            host: requests.get(url, headers={"Host": host}, timeout=10).status_code
            for host in (f"{service}:{port}", f"127.0.0.1:{port}", "rebound.example", f"{service}.example:{port}")
        }
        assert [*status.values()] == [200, 200, 421, 421]


@pytest.mark.servers
def test_locator_creates_tables_and_knows_ngas(environment, postgres):
    environment["AIRFLOW_CONN_SRDP_ARCHIVE"] = url = postgres.create_database("archive_without_tables")
    try:
        for _ in range(2):
            with serving(environment, "locator"), psycopg.connect(url) as connection:
                found = connection.execute("SELECT name, address FROM ngas_server").fetchall()
                assert found == [("sandbox", "ngas:7777")]
    finally:
        postgres.drop_database("archive_without_tables")


@pytest.mark.servers
def test_a_mail_that_another_container_sends_is_in_the_box(environment):
    with serving(environment, "mail"):
        with smtplib.SMTP(ADDRESS, 1025, timeout=10) as server:
            server.sendmail("a@example.org", ["b@example.org"], "Subject: ready for review\n\nSee the weblog.\n")
        (mail,) = requests.get(f"http://{ADDRESS}:1080/messages/", timeout=10).json()["messages"]
        assert mail["subject"] == "ready for review"


@pytest.mark.servers
def test_only_the_first_start_observes_by_itself(environment, new_archive, tmp_path):
    def observed() -> int:
        with psycopg.connect(new_archive) as connection:
            return len(connection.execute("SELECT FROM execution_block").fetchall())

    make_sdm(tmp_path / "observatory" / "observations" / "undamaged")
    with NgasServer(tmp_path / "ngas") as ngas:
        environment |= {"AIRFLOW_CONN_SRDP_ARCHIVE": new_archive, "AIRFLOW_CONN_SRDP_NGAS": ngas.url}
        counts = []
        for options in ((), (), ("--count", 2), ()):
            done = run(environment, "observe", *options)
            assert done.returncode == 0, done.stderr
            counts.append(observed())
    assert counts == [1, 1, 3, 3]


def test_an_observation_that_cannot_be_made_is_a_sentence(environment):
    done = run(environment, "observe")
    assert (done.returncode, done.stderr) == (
        1, "AIRFLOW_CONN_SRDP_ARCHIVE is not set: docker-compose.yaml gives it to each service of the observatory.\n",
    )  # fmt: skip


def test_casa_is_copied_again_only_if_needed(environment, tmp_path):
    source, target = tmp_path / "image", tmp_path / "volume"
    (source / "bin").mkdir(parents=True)
    (source / "bin" / "python").write_text("1")
    (source / "bin" / "python3").symlink_to("python")
    (source / ".installed").write_text("list of 2025")
    target.mkdir()

    def copy() -> str:
        done = run(environment, "casa", source, target)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "Copying" in copy()
    assert (target / "bin" / "python3").readlink() == Path("python")
    assert (target / ".installed").read_text() == "list of 2025"
    assert "is there" in copy()
    (target / ".installed").unlink()
    (target / "left").touch()
    assert "Copying" in copy()
    (source / ".installed").write_text("list of 2026")
    (source / "bin" / "python").write_text("2")
    assert "Copying" in copy()
    assert (target / "bin" / "python").read_text() == "2"
    assert not (target / "left").exists()
    (source / ".installed").unlink()
    assert "build the image again" in run(environment, "casa", source, target).stderr


def test_a_health_check_loads_next_to_nothing(environment):
    """Four containers start one every half minute, forever."""
    show = "import sys, sandbox.compose; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", show], env=environment, capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"airflow", "psycopg", "psutil", "requests", "pydantic"} & {*loaded}
