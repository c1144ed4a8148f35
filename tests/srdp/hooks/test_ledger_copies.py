"""The ledger is copied, lost and put back, and taken on from the former release, with runs in every state."""

from __future__ import annotations

import shutil
from pathlib import Path

import psycopg
import pytest
from tests.ledgers import columns, contents, fill, run_program
from tests.srdp.conftest import opener
from tests.srdp.hooks.verdicts import PASS, claim

from srdp.domain.common.errors import Refused
from srdp.domain.runs.states import RunState
from srdp.hooks.heartbeat import MAILS, beat
from srdp.hooks.ledger import MailAttempt
from srdp.hooks.ledger_schema import apply_schema, migrations
from srdp.hooks.verdict_ledger import VerdictLedger

pytestmark = pytest.mark.servers

SQL = Path(__file__).parents[3] / "include" / "sql"
FORMER = Path(__file__).parents[2] / "data" / "ledger" / "0007.sql"
FORMER_NUMBER = 7


@pytest.fixture
def another_database(postgres, monkeypatch, as_connection):
    """An empty database, to which the connection `srdp_ledger` leads from now on."""
    url = postgres.create_database("another_ledger")
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_LEDGER", as_connection(url))
    yield url
    postgres.drop_database("another_ledger")


def schema(url: str) -> list[bytes]:
    """What makes the tables of a database; pg_dump puts a random word around it."""
    lines = run_program("pg_dump", "--schema-only", "--no-owner", url=url).splitlines()
    return [line for line in lines if not line.startswith((b"\\restrict", b"\\unrestrict"))]


def go_on(verdicts: VerdictLedger, open_run, runs) -> None:
    """Do with a run of each state what comes next, and some of what must not be."""
    for state, steps in {
        RunState.CREATED: [RunState.FETCHING],
        RunState.FETCHING: [RunState.PROCESSING],
        RunState.PROCESSING: [RunState.AWAITING_QA],
        RunState.CLEANING: [RunState.CLEANED],
    }.items():
        for step in steps:
            assert verdicts.transition(runs[state].pipeline_run_id, step, event=str(step))
    with pytest.raises(Refused, match="was not started: its pipeline run"):
        open_run(subject=runs[RunState.FETCHING].subject)
    with pytest.raises(Refused, match="is sealed"):
        open_run(subject=runs[RunState.ARCHIVED].subject)
    verdict = claim(verdicts, runs[RunState.AWAITING_QA])
    assert verdict.number == 1
    failed = runs[RunState.INGEST_FAILED]
    assert claim(verdicts, failed, PASS, dag_run_id="manual__again").tries == 2
    for state in (RunState.FAILED, RunState.CANCELLED):
        verdicts.reject_runs([runs[state].pipeline_run_id], reason="no", by="an analyst")
    for state in (RunState.SUPERSEDED, RunState.REJECTED):
        verdicts.begin_removal(runs[state].pipeline_run_id, {})
    version = open_run(subject=runs[RunState.CLEANED].subject).version
    assert version == 2
    sent = []
    while (tried := verdicts.deliver_next_mail(lambda mail: sent.append(mail.message_id) or MailAttempt())) is not None:
        assert tried[1].error is None
    assert len(sent) == len(set(sent)) > 20


def test_a_ledger_that_was_lost_is_put_back_and_goes_on(
    ledger_url, ledger, settings, open_run, another_database, as_connection, monkeypatch, tmp_path
):
    with monkeypatch.context() as before:
        before.setenv("AIRFLOW_CONN_SRDP_LEDGER", as_connection(ledger_url))
        verdicts = VerdictLedger(settings)
        runs = fill(ledger_url, verdicts, open_run)
        beat(settings, MAILS)
    assert runs.keys() == set(RunState)
    saved = contents(ledger_url)
    assert {table for table, rows in saved.items() if not rows} <= {"heartbeat"}, "every table has something to lose"

    dump = tmp_path / "ledger.dump"
    dump.write_bytes(run_program("pg_dump", "--format=custom", "--no-owner", "--no-privileges", url=ledger_url))
    restore = ("--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction", "--dbname=another_ledger")
    run_program("pg_restore", *restore, str(dump), url=another_database)
    assert contents(another_database) == saved

    with psycopg.connect(another_database) as connection:
        assert apply_schema(connection, SQL) == []
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM event")
    go_on(verdicts, open_run, runs)


def test_a_copy_that_is_cut_off_is_put_back_not_at_all(
    ledger_url, settings, open_run, another_database, as_connection, monkeypatch, tmp_path
):
    with monkeypatch.context() as before:
        before.setenv("AIRFLOW_CONN_SRDP_LEDGER", as_connection(ledger_url))
        fill(ledger_url, VerdictLedger(settings), open_run)
    whole = run_program("pg_dump", "--format=custom", url=ledger_url)
    dump = tmp_path / "ledger.dump"
    # Within the rows of the last tables: those before are whole.
    dump.write_bytes(whole[:-500])
    with pytest.raises(AssertionError, match="pg_restore: error"):
        run_program("pg_restore", "--exit-on-error", "--single-transaction", "--dbname=another_ledger", str(dump),
                    url=another_database)  # fmt: skip
    assert columns(another_database) == {}


def test_a_ledger_of_the_former_release_is_taken_on_with_runs_in_every_state(another_database, settings):
    run_program("psql", "--quiet", "--set=ON_ERROR_STOP=1", "--single-transaction", url=another_database, input_=FORMER)
    former_columns = columns(another_database)
    former_columns.pop("schema_version")
    before = contents(another_database, former_columns)
    with psycopg.connect(another_database) as connection:
        applied = apply_schema(connection, SQL)
    assert applied == [path.name for number, path in migrations(SQL) if number > FORMER_NUMBER]
    assert contents(another_database, former_columns) == before, "what was there is there, and as it was"

    verdicts = VerdictLedger(settings)
    found = [run for run in verdicts.runs() if run.kind == "vla_calibration"]
    runs = {run.state: run for run in found if run.state is not RunState.AWAITING_QA or run.version == 1}
    assert runs.keys() == set(RunState)
    go_on(verdicts, opener(verdicts), runs)


def test_the_former_release_is_the_last_one_but_what_was_added_since(postgres, another_database, tmp_path):
    """The tables of the copy are those that its migrations make: it was made by them, and nobody edits either."""
    folder = tmp_path / "ledger" / "migrations"
    folder.mkdir(parents=True)
    for number, path in migrations(SQL):
        if number <= FORMER_NUMBER:
            shutil.copy(path, folder)
    run_program("psql", "--quiet", "--set=ON_ERROR_STOP=1", url=another_database, input_=FORMER)
    with psycopg.connect(postgres.create_database("made_of_migrations")) as connection:
        apply_schema(connection, tmp_path)
    assert schema(another_database) == schema(postgres.url("made_of_migrations"))
