"""The ledger is copied, lost and put back, and taken on from the former release, with runs in every state."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb
from tests.ledgers import columns, contents, fill, run_program
from tests.srdp.conftest import opener
from tests.srdp.hooks.verdicts import PASS, claim

from srdp.domain.common.errors import Refused
from srdp.domain.runs.states import RunState
from srdp.hooks.heartbeat import MAILS, beat
from srdp.hooks.ledger import Ledger
from srdp.hooks.ledger.outbox import MailAttempt
from srdp.hooks.ledger_schema import apply_schema, migrations

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


def go_on(ledger: Ledger, open_run, runs) -> None:
    """Do with a run of each state what comes next, and some of what must not be."""
    for state, steps in {
        RunState.CREATED: [RunState.FETCHING],
        RunState.FETCHING: [RunState.PROCESSING],
        RunState.PROCESSING: [RunState.AWAITING_QA],
        RunState.CLEANING: [RunState.CLEANED],
    }.items():
        for step in steps:
            assert ledger.runs.transition(runs[state].pipeline_run_id, step, event=str(step))
    with pytest.raises(Refused, match="was not started: its pipeline run"):
        open_run(subject=runs[RunState.FETCHING].subject)
    with pytest.raises(Refused, match="is sealed"):
        open_run(subject=runs[RunState.ARCHIVED].subject)
    verdict = claim(ledger, runs[RunState.AWAITING_QA])
    assert verdict.number == 1
    failed = runs[RunState.INGEST_FAILED]
    assert claim(ledger, failed, PASS, dag_run_id="manual__again").tries == 2
    for state in (RunState.FAILED, RunState.CANCELLED):
        ledger.verdicts.reject([runs[state].pipeline_run_id], reason="no", by="an analyst")
    for state in (RunState.SUPERSEDED, RunState.REJECTED):
        ledger.removals.begin(runs[state].pipeline_run_id, {})
    version = open_run(subject=runs[RunState.CLEANED].subject).version
    assert version == 2
    sent = []
    while (
        tried := ledger.outbox.deliver_next_mail(lambda mail: sent.append(mail.message_id) or MailAttempt())
    ) is not None:
        assert tried[1].error is None
    assert len(sent) == len(set(sent)) > 20


def test_a_ledger_that_was_lost_is_put_back_and_goes_on(
    ledger_url, ledger, settings, open_run, another_database, as_connection, monkeypatch, tmp_path
):
    with monkeypatch.context() as before:
        before.setenv("AIRFLOW_CONN_SRDP_LEDGER", as_connection(ledger_url))
        ledger = Ledger(settings)
        runs = fill(ledger_url, ledger, open_run)
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
    go_on(ledger, open_run, runs)


def test_a_copy_that_is_cut_off_is_put_back_not_at_all(
    ledger_url, settings, open_run, another_database, as_connection, monkeypatch, tmp_path
):
    with monkeypatch.context() as before:
        before.setenv("AIRFLOW_CONN_SRDP_LEDGER", as_connection(ledger_url))
        fill(ledger_url, Ledger(settings), open_run)
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
    queued = {kind: sorted(before.pop(table)) for kind, table in (("mail", "mail"), ("reindex", "reindex_request"))}
    names = {kind: former_columns.pop(table) for kind, table in (("mail", "mail"), ("reindex", "reindex_request"))}
    for rows in (before, former_columns):
        rows["submitted_file"] = rows.pop("given_file")
    assert contents(another_database, former_columns) == before, "what was there is there, and as it was"
    for kind, now_called in (
        ("mail", {"mail_id": "outbox_id", "sent_at": "done_at"}),
        ("reindex", {"reindex_id": "row_number() OVER (ORDER BY outbox_id)", "requested_at": "queued_at"}),
    ):
        columns_now = ", ".join(now_called.get(name, name) for name in names[kind])
        statement = f"SELECT row({columns_now})::text FROM outbox WHERE kind = %s"  # noqa: S608  our own names
        with psycopg.connect(another_database) as connection:
            assert sorted(row for (row,) in connection.execute(statement, [kind])) == queued[kind]

    ledger = Ledger(settings)
    found = [run for run in ledger.runs.newest() if run.kind == "vla_calibration"]
    runs = {run.state: run for run in found if run.state is not RunState.AWAITING_QA or run.version == 1}
    assert runs.keys() == set(RunState)
    go_on(ledger, opener(ledger), runs)


def insert(connection, table: str, **values: object) -> None:
    """Insert a row."""
    statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, values)),
        sql.SQL(", ").join([sql.Placeholder()] * len(values)),
    )
    connection.execute(statement, list(values.values()))


def test_what_was_decided_by_events_is_filled_in_from_them(another_database, settings, tmp_path):
    folder = tmp_path / "ledger" / "migrations"
    folder.mkdir(parents=True)
    for number, path in migrations(SQL):
        if number < 12:
            shutil.copy(path, folder)
    url, run = another_database, "vla-20260101-000000-aaaa"
    expired = {"kind": "failed", "subject": "EB", "expires_at": "2026-01-02T00:00:00+00:00", "size_bytes": 7}
    changed = {"by": "a form", "given_by": "jdoe", "changes": ["Score: 1"], "dag_id": "d", "dag_run_id": "2"}
    happened = (
        ("engine_chosen", {"engine": "slurm"}),
        ("mous_read", {"mous": {"uid": "uid://A001/X1/X2"}}),
        ("casa_asked", {"name": "first"}),
        ("casa_asked", {"name": "second"}),
        ("given_file_edited", {"name": "flux.csv", "sha256_given": "a", "sha256_edited": "b"}),
        ("judged", {"proved": False}),
        ("judged", {"proved": True}),
        ("metadata_begun", {"number": 1}),
        ("verdict_changed", {"by": "a form", "from": "Null", "to": "Pass"}),
        ("changed_verdict_written", {"number": 1}),
        ("verdict_changed", changed),
        ("assignment_confirmed", {"answer": "again", "number": 1}),
        ("marked_do_not_calibrate", {}),
        ("own_files_named", {"digest": "abc"}),
        ("expiring", {"dag_run_id": "e", **expired}),
        ("request_reopened", {"sealed_at": "2026-01-03T00:00:00+00:00"}),
    )
    asked = {"dag_id": "d", "dag_run_id": "1", "requested_by": "x"}
    with psycopg.connect(url) as connection:
        apply_schema(connection, tmp_path)
        insert(connection, "request", kind="vla_calibration", subject="EB", project="P", locator="l")
        (request,) = connection.execute("SELECT request_id FROM request").fetchone()
        insert(
            connection, "pipeline_run", pipeline_run_id=run, request_id=request, version=1, state="archived", **asked,
            recipe="r", cores=1, memory_gb=1,
        )  # fmt: skip
        insert(connection, "ingest", pipeline_run_id=run, number=1, **asked, qa_flag="Pass", verdict=Jsonb({}))
        insert(
            connection, "assignment", pipeline_run_id=run, number=1, data_analyst="a@example.org", assigned_by="x",
            answer="first",
        )  # fmt: skip
        for event, details in happened:
            of_run = {"event_id": uuid.uuid4(), "pipeline_run_id": run}
            insert(connection, "event", **of_run, event=event, details=Jsonb(details))
        for before, after in (("processing", "awaiting_qa"), ("awaiting_qa", "rejected")):
            of_run = {"event_id": uuid.uuid4(), "pipeline_run_id": run}
            insert(connection, "event", **of_run, event=after, state_before=before, state_after=after)
        connection.commit()
        apply_schema(connection, SQL)
    ledger = Ledger(settings)
    found = ledger.runs.get(run)
    assert (found.engine, found.mous, found.is_proved) == ("slurm", {"uid": "uid://A001/X1/X2"}, True)
    assert found.left_pipeline_at is not None
    assert found.rejected_at is not None
    assert ledger.casa.asked(found.pipeline_run_id) == [{"name": "first"}, {"name": "second"}]
    first, second = ledger.verdicts.changes(found.pipeline_run_id)
    assert (first.changed_by, first.changes, first.written_at is None) == (
        "a form",
        ["QA flag: from Null to Pass"],
        False,
    )
    assert (second.changed_by, second.changes, second.dag_run_id, second.written_at) == (
        "jdoe",
        ["Score: 1"],
        "2",
        None,
    )
    assert ledger.verdicts.due() == [run]
    assert ledger.marks.is_settled(found.pipeline_run_id)
    assert ledger.removals.began_to_expire(found.pipeline_run_id)
    assert ledger.removals.own_files_named_at(found.pipeline_run_id, "abc") is not None
    edited = [event for event in ledger.events.of_run(found.pipeline_run_id) if event.event == "submitted_file_edited"]
    assert [event.details for event in edited] == [{"name": "flux.csv", "sha256_submitted": "a", "sha256_edited": "b"}]
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT metadata_begun_at IS NOT NULL FROM ingest").fetchall() == [(True,)]
        assert connection.execute("SELECT answer FROM assignment_confirmation").fetchall() == [("again",)]
        assert connection.execute("SELECT reopened_from::date::text FROM request").fetchall() == [("2026-01-03",)]
        assert connection.execute("SELECT what, kind, size_bytes FROM expiry").fetchall() == [
            ("directory", "failed", 7)
        ]


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
