from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg2
import pytest
from tests.processes import NO_POWERS, powers

from sandbox.ports import LOOPBACK, free_ports, is_taken
from sandbox.postgres import PostgresServer
from sandbox.privileges import setpriv, without_root
from srdp.domain.common.errors import ServiceUnavailable, SettingsError

pytestmark = pytest.mark.servers
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts PostgreSQL as another account")


def test_a_database_is_made_once_and_answers(postgres: PostgresServer) -> None:
    first = postgres.create_database('one "strange" name')
    assert postgres.create_database('one "strange" name') == first
    with psycopg2.connect(first) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT current_database(), current_setting('timezone')")
        assert cursor.fetchone() == ('one "strange" name', "UTC")
    connection.close()


def test_passwords_that_are_made_at_once_are_all_kept(tmp_path: Path) -> None:
    roles = [f"role{number}" for number in range(40)]
    with ThreadPoolExecutor(max_workers=8) as many:
        urls = list(many.map(lambda role: PostgresServer(tmp_path, port=5432).url(role), roles))
    kept = PostgresServer(tmp_path, port=5432).passwords()
    assert urls == [f"postgresql://{role}:{kept.get(role)}@127.0.0.1:5432/{role}" for role in roles]


def refused(url: str, statement: str) -> str:
    """The words in which a database refuses a statement."""
    connection = psycopg2.connect(url)
    connection.autocommit = True
    try:
        with pytest.raises(psycopg2.Error) as refusal, connection.cursor() as cursor:
            cursor.execute(statement)
    finally:
        connection.close()
    return str(refusal.value)


def test_each_database_has_a_confined_role(postgres: PostgresServer) -> None:
    own, other = postgres.create_database("own"), postgres.create_database("other")
    with psycopg2.connect(own) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE mine (number int); INSERT INTO mine VALUES (7)")
        cursor.execute("SELECT rolname FROM pg_roles WHERE rolsuper OR rolcreatedb OR rolcreaterole OR rolbypassrls")
        assert cursor.fetchall() == [("postgres",)]
    connection.close()
    copy = postgres.copy_database("own", "copy")
    with psycopg2.connect(copy) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT number FROM mine")
        assert cursor.fetchall() == [(7,)]
    connection.close()
    for elsewhere in ("own", "copy", "postgres", "template1"):
        with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
            psycopg2.connect(other.rpartition("/")[0] + f"/{elsewhere}")
    assert "permission denied" in refused(other, "CREATE DATABASE more")
    assert "permission denied" in refused(other, "CREATE ROLE more")
    assert "permission denied" in refused(other, "COPY (SELECT 1) TO PROGRAM 'cat'")
    assert "permission denied" in refused(other, "SELECT pg_read_file('PG_VERSION')")
    postgres.drop_database("copy")


def test_a_wrong_password_is_refused(postgres: PostgresServer) -> None:
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(postgres.url("postgres").replace(postgres.passwords()["postgres"], "wrong"))


def test_it_listens_on_loopback_only_and_not_as_root(postgres: PostgresServer) -> None:
    (server,) = [
        process
        for process in psutil.Process().children()
        if process.name() == "postgres" and str(postgres.data) in process.cmdline()
    ]
    listening = {item.laddr for item in server.net_connections() if item.status == psutil.CONN_LISTEN}
    assert listening == {(LOOPBACK, postgres.port)}
    assert server.uids().effective != 0
    assert oct((postgres.folder / "passwords.json").stat().st_mode & 0o777) == "0o600"
    assert powers(server.pid) == NO_POWERS


def test_a_taken_port_is_reported_with_the_servers_own_words(postgres: PostgresServer, tmp_path: Path) -> None:
    second = PostgresServer(tmp_path / "second", port=postgres.port, durable=False)
    with pytest.raises(ServiceUnavailable, match=r"(?i)address already in use"):
        # The password differs, so the first server's answer is not taken for the second's.
        second.start(timeout=20)
    second.stop()


def test_data_of_an_older_version_name_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(SettingsError, match=r"earlier version .*`make clean` forgets them"):
        PostgresServer(tmp_path, port=1).initialise()


@needs_root
def test_hidden_folders_show_only_what_is_needed(tmp_path: Path) -> None:
    closed, shown = tmp_path / "closed", tmp_path / "closed" / "deep" / "shown"
    shown.mkdir(parents=True)
    (shown / "file").write_text("seen")
    (closed / "secret").write_text("x")
    closed.chmod(0o700)
    look = f"cat {shown}/file; ls {closed}; touch {shown}/new; id -un"
    done = subprocess.run([*without_root([shown]), "/bin/sh", "-c", look], capture_output=True, text=True, check=False)
    assert done.stdout == "seendeep\nnobody\n"
    assert "Permission denied" in done.stderr
    assert {path.name for path in closed.iterdir()} == {"deep", "secret"}


@needs_root
def test_missing_mount_namespace_names_the_remedy(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    program = "import sys; from pathlib import Path; from sandbox.postgres import PostgresServer\n"
    program += "PostgresServer(Path(sys.argv[1]), port=1).initialise()"
    done = subprocess.run(
        [*setpriv("--bounding-set=-sys_admin"), sys.executable, "-c", program, str(tmp_path / "server")],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": "include:plugins"},
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert "SettingsError: PostgreSQL does not run as root, " in done.stderr
    assert "put the project and its Python into folders that everybody may enter" in done.stderr


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
