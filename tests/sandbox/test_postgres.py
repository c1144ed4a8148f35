from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import psycopg2
import pytest

from sandbox.ports import LOOPBACK, free_ports, is_taken
from sandbox.postgres import PostgresServer
from srdp.domain.errors import ServiceUnavailable

pytestmark = pytest.mark.servers


def test_a_database_is_made_once_and_answers(postgres: PostgresServer) -> None:
    first = postgres.create_database('one "strange" name')
    assert postgres.create_database('one "strange" name') == first
    with psycopg2.connect(first) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT current_database(), current_setting('timezone')")
        assert cursor.fetchone() == ('one "strange" name', "UTC")
    connection.close()


def test_a_wrong_password_is_refused(postgres: PostgresServer) -> None:
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(postgres.url("postgres").replace(postgres.password, "wrong"))


def test_it_listens_on_loopback_only_and_not_as_root(postgres: PostgresServer) -> None:
    (server,) = [
        process
        for process in psutil.Process().children(recursive=True)
        if process.name() == "postgres" and str(postgres.data) in process.cmdline()
    ]
    listening = {item.laddr for item in server.net_connections() if item.status == psutil.CONN_LISTEN}
    assert listening == {(LOOPBACK, postgres.port)}
    assert server.uids().effective != 0
    assert oct((postgres.folder / "password").stat().st_mode & 0o777) == "0o600"


def test_a_taken_port_is_told_with_the_servers_own_words(postgres: PostgresServer, tmp_path: Path) -> None:
    second = PostgresServer(tmp_path / "second", port=postgres.port, durable=False)
    with pytest.raises(ServiceUnavailable, match=r"(?i)address already in use"):
        # The password differs, so the first server's answer is not taken for the second's.
        second.start(timeout=20)
    second.stop()


def test_it_does_not_outlive_a_parent_that_was_killed(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    program = (
        "import sys, time; from pathlib import Path; from sandbox.postgres import PostgresServer\n"
        "PostgresServer(Path(sys.argv[1]), port=int(sys.argv[2]), durable=False).start()\n"
        "print('up', flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "server"), str(port)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": "include:plugins"},
        cwd=Path(__file__).parents[2],
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"up\n"
    (server,) = psutil.Process(parent.pid).children()
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    server.wait(timeout=20)
    assert not is_taken(port)
