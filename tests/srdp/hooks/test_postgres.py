"""Connections to PostgreSQL, directly and through a pooler that gives each transaction another session."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tests.jobs import wait_until
from tests.srdp.conftest import postgres_connection

import srdp.hooks.postgres
from sandbox.pgbouncer import pgbouncer, pooled, through
from sandbox.ports import free_ports
from sandbox.postgres import PostgresServer
from srdp.domain.common.errors import IntegrityError, ServiceUnavailable, SettingsError
from srdp.domain.runs.states import RunState
from srdp.hooks.ledger import Ledger
from srdp.hooks.postgres import connections_kept, connections_of_a_step, database_error, transaction

WHAT = "The ledger's database (Airflow Connection srdp_ledger)"


def error(state: str, said: str = "it said so") -> psycopg.Error:
    kind = psycopg.errors.lookup(state) if state else psycopg.OperationalError
    return kind(said)


@pytest.mark.parametrize(
    ("state", "said", "kind", "words"),
    [
        ("", 'FATAL: password authentication failed for user "srdp"', SettingsError, "does not accept the login"),
        ("", "FATAL: SASL authentication failed", SettingsError, "does not accept the login"),
        ("", 'FATAL: database "ledgr" does not exist', SettingsError, "is not there"),
        ("", "FATAL: no such database: ledgr", SettingsError, "is not there"),
        ("", "connection refused", ServiceUnavailable, "cannot be reached now"),
        ("", "server closed the connection unexpectedly", ServiceUnavailable, "cannot be reached now"),
        ("", "FATAL: sorry, too many clients already", ServiceUnavailable, "has no connection left"),
        ("", "FATAL: the database system is starting up", ServiceUnavailable, "is being stopped or started"),
        ("08P01", "FATAL: query_wait_timeout", ServiceUnavailable, "connection pooler"),
        ("25006", "cannot execute INSERT in a read-only transaction", ServiceUnavailable, "is a standby"),
        ("40001", "could not serialize access", ServiceUnavailable, "it conflicted with another one"),
        ("40P01", "deadlock detected", ServiceUnavailable, "it conflicted with another one"),
        ("42501", "permission denied for table mail", SettingsError, "does not give this account the privilege"),
        ("42P01", 'relation "mail" does not exist', SettingsError, "is not as the statements"),
        ("42P05", 'prepared statement "_pg3_0" already exists', SettingsError, "must not share sessions like this"),
        ("53100", "could not extend file: No space left on device", ServiceUnavailable, "its disk is full"),
        ("53300", "too many connections", ServiceUnavailable, "has no connection left"),
        ("57014", "canceling statement due to statement timeout", ServiceUnavailable, "took too long"),
        ("57P01", "terminating connection due to administrator command", ServiceUnavailable, "is being stopped"),
        ("0A000", "cached plan must not change result type", ServiceUnavailable, "was changed under the connection"),
        ("XX001", "invalid page in block 7", IntegrityError, "reports damage to its own data"),
        ("XX000", "cache lookup failed", ServiceUnavailable, "cannot serve now"),
    ],
)
def test_every_error_is_reported_by_its_true_cause(state: str, said: str, kind: type, words: str) -> None:
    reported = database_error(error(state, said), WHAT)
    assert type(reported) is kind
    assert str(reported).startswith(WHAT)
    assert words in str(reported)
    assert said in str(reported)


@pytest.mark.servers
@pytest.mark.parametrize(
    ("changed", "kind", "words"),
    [
        ({"password": "wrong"}, SettingsError, "does not accept the login"),
        ({"login": "nobody_here"}, SettingsError, "does not accept the login"),
        ({"schema": "no_such_database"}, SettingsError, "is not there"),
        ({"port": 1}, ServiceUnavailable, "cannot be reached now"),
    ],
)
def test_what_a_real_server_refuses_before_the_login_is_reported_by_its_true_cause(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, changed: dict, kind: type, words: str
) -> None:
    connection = {**json.loads(postgres_connection(postgres.url("postgres"))), **changed}
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_LEDGER", json.dumps(connection))
    with pytest.raises(kind, match=words), transaction("srdp_ledger", what="The ledger's database"):
        pass


@pytest.fixture
def pooler(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a PgBouncer in transaction mode, whose two sessions all clients share."""
    if pgbouncer() is None:
        pytest.skip("PgBouncer is not on this machine: apt-get install pgbouncer, as root")
    folder = tmp_path_factory.mktemp("pgbouncer")
    port = free_ports(1)[0]
    with pooled(postgres, folder, port=port):
        yield port


@pytest.mark.servers
def test_a_ledger_behind_a_pooler_that_shares_sessions_serves_many_at_once(
    ledger: Ledger, ledger_url: str, pooler: int, open_run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_LEDGER", postgres_connection(through(ledger_url, pooler)))
    runs = [open_run().pipeline_run_id for _ in range(4)]
    failures: list[Exception] = []

    def work(run_id) -> None:
        try:
            hook = Ledger(ledger.settings, retry_seconds=5)
            hook.runs.transition(run_id, RunState.FETCHING, event="begun")
            for number in range(12):  # psycopg prepares what it has executed five times
                hook.events.record(run_id, "looked", {"number": number})
                with transaction("srdp_ledger", what="The ledger's database") as cursor:
                    for _ in range(8):
                        cursor.execute("SELECT %s::int", (number,))
        except Exception as error:  # noqa: BLE001  reported by the test itself
            failures.append(error)

    threads = [threading.Thread(target=work, args=(run_id,)) for run_id in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [len(ledger.events.of_run(run_id)) for run_id in runs] == [14] * 4


def test_no_statement_relies_on_what_a_session_keeps() -> None:
    """... settings, locks, temporary tables, prepared statements: a pooler gives the next transaction another one."""
    sql = Path(__file__).parents[3] / "include" / "sql"
    kept = (
        "pg_advisory_lock",
        "pg_try_advisory_lock",
        "LISTEN ",
        "CREATE TEMP",
        "PREPARE ",
        "SET SESSION",
        "WITH HOLD",
    )
    found = [
        f"{file.relative_to(sql)}: {word}" for file in sql.rglob("*.sql") for word in kept if word in file.read_text()
    ]
    assert found == []


# Connections that are kept


def session(what: str = "pg_backend_pid()") -> object:
    with transaction("srdp_ledger", what="The ledger's database") as cursor:
        row = cursor.execute(f"SELECT {what} AS value").fetchone()
    return row["value"] if row else None


def test_who_asks_again_and_again_keeps_its_connection_until_that_fails(ledger_url):
    kept: dict[str, psycopg.Connection] = {}
    with connections_kept(kept):
        first, second = session(), session()
        assert first == second
        with psycopg.connect(ledger_url) as other:
            other.execute("SELECT pg_terminate_backend(%s)", (first,))
        with pytest.raises(ServiceUnavailable):
            session()
        third = session()
        assert third != first
        with pytest.raises(SettingsError):
            session("no_such_column")
        assert session() != third, "one in which a statement failed is not kept either"
    (connection,) = kept.values()
    assert connection.info.transaction_status is psycopg.pq.TransactionStatus.IDLE
    assert session() != session(), "nobody else shares one"
    connection.close()


def test_the_transactions_of_a_step_share_a_connection_that_was_not_idle_for_long(ledger_url, monkeypatch):
    with connections_of_a_step():
        with transaction("srdp_ledger", what="The ledger's database") as cursor:
            outer = cursor.connection.info.backend_pid
            assert session() != outer, "a transaction inside another one has its own"
        first = session()
        assert session() == first
        monkeypatch.setattr(srdp.hooks.postgres, "_IDLE_SECONDS", 0.0)
        assert session() == first, "what is allowed is known from the beginning"
    with connections_of_a_step():
        second = session()
        assert session() != second, "nobody knows what became of one that was idle for too long"
    with psycopg.connect(ledger_url, autocommit=True) as other:
        living = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)"
        wait_until(lambda: other.execute(living, ([first, outer, second],)).fetchone() == (0,))
