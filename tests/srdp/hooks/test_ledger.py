from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from unittest import mock

import psycopg
import pytest
from airflow.providers.postgres.hooks.postgres import PostgresHook

from sandbox.ports import free_ports
from sandbox.postgres import PostgresServer
from srdp.domain.common.errors import InvalidInput, Refused, ServiceUnavailable, SettingsError
from srdp.domain.common.mail import Mail
from srdp.domain.runs.ledger_records import FetchedFile
from srdp.domain.runs.states import ACTIVE, TRANSITIONS, RunState
from srdp.hooks.ledger import Ledger
from srdp.hooks.ledger import runs as runs_module
from srdp.hooks.ledger.outbox import MailAttempt
from srdp.hooks.ledger_schema import apply_schema

pytestmark = pytest.mark.servers

EB = "13A-537.sb24066356.eb24324502.56514.05971091435"
BEGUN = Mail("run_has_begun", ("one@example.org", "two@example.org"), "Begun", "text", "<p>html</p>")


def sentences(message: str) -> int:
    return len(re.findall(r"\.(?:\s|$)", message))


# Opening


def test_a_run_is_opened_with_all_that_was_asked(ledger, open_run):
    run = open_run(subject=EB, requested_by="an analyst", cores=4, memory_gb=16)
    assert run == ledger.runs.get(run.pipeline_run_id) == ledger.runs.of_dag_run(run.dag_id, run.dag_run_id)
    assert (run.subject, run.project, run.version, run.state) == (EB, "13A-537", 1, RunState.CREATED)
    assert (run.cores, run.memory_gb, run.requested_by, run.failure) == (4, 16, "an analyst", None)
    assert [event.event for event in ledger.events.of_run(run.pipeline_run_id)] == ["opened"]
    assert ledger.runs.active() == [run]


def test_its_clock_is_the_one_that_runs_are_timed_by(ledger, open_run):
    before = ledger.now()
    run = open_run()
    assert before <= run.created_at <= ledger.now()
    assert before.tzinfo is not None


def test_a_repeat_for_the_same_dag_run_finds_the_run(ledger, open_run):
    first = open_run(subject=EB, dag_run_id="manual__1")
    ledger.runs.transition(first.pipeline_run_id, RunState.FETCHING, event="begun")
    again = open_run(subject=EB, dag_run_id="manual__1")
    assert again.pipeline_run_id == first.pipeline_run_id
    assert again.state == RunState.FETCHING
    assert len(ledger.runs.newest()) == 1


def test_a_dag_run_does_not_open_a_run_for_a_second_execution_block(ledger, open_run):
    open_run(subject=EB, dag_run_id="manual__1")
    with pytest.raises(Refused, match="trigger a new DAG run"):
        open_run(subject=EB.replace("eb2", "eb3"), dag_run_id="manual__1")
    assert len(ledger.runs.newest()) == 1


@pytest.mark.parametrize("state", sorted(ACTIVE))
def test_a_second_run_is_refused_while_one_is_active(ledger, ledger_url, open_run, state):
    first = open_run(subject=EB)
    set_state(ledger_url, first.pipeline_run_id, state)
    with pytest.raises(Refused) as caught:
        open_run(subject=EB)
    assert first.pipeline_run_id in str(caught.value)
    assert f"(state {state})" in str(caught.value)
    assert sentences(str(caught.value)) == 1
    assert len(ledger.runs.newest()) == 1


@pytest.mark.parametrize("state", sorted(set(RunState) - ACTIVE))
def test_the_next_run_is_a_new_version(ledger_url, open_run, state):
    first = open_run(subject=EB)
    set_state(ledger_url, first.pipeline_run_id, state)
    second = open_run(subject=EB)
    assert (first.version, second.version) == (1, 2)


def test_a_sealed_request_is_refused(ledger, ledger_url, open_run):
    first = open_run(subject=EB)
    set_state(ledger_url, first.pipeline_run_id, RunState.ARCHIVED)
    with psycopg.connect(ledger_url) as connection:
        connection.execute("UPDATE request SET sealed_at = '2026-11-22'")
    with pytest.raises(Refused, match="passed QA on 2026-11-22 and the request is sealed"):
        open_run(subject=EB)
    assert open_run(subject=EB, dag_run_id=first.dag_run_id).pipeline_run_id == first.pipeline_run_id
    assert len(ledger.runs.newest()) == 1


def test_of_many_at_once_one_proceeds(ledger, open_run):
    together = threading.Barrier(8)

    def ask(number: int) -> object:
        together.wait()
        try:
            return open_run(subject=EB, dag_run_id=f"manual__{number}")
        except Refused as refusal:
            return refusal

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(8)))
    refusals = [answer for answer in answers if isinstance(answer, Refused)]
    (run,) = ledger.runs.newest()
    assert len(refusals) == 7
    assert all(run.pipeline_run_id in str(refusal) for refusal in refusals)


def test_twins_of_one_dag_run_get_the_same_run(ledger, open_run):
    together = threading.Barrier(8)

    def ask(_: int) -> str:
        together.wait()
        return open_run(subject=EB, dag_run_id="scheduled__1").pipeline_run_id

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(ask, range(8)))
    (run,) = ledger.runs.newest()
    assert answers == {run.pipeline_run_id}
    assert len(ledger.events.of_run(run.pipeline_run_id)) == 1


def test_a_pipeline_run_id_that_is_taken_is_not_given_again(open_run):
    first = open_run()
    ids = [first.pipeline_run_id, first.pipeline_run_id, "vla-20261122-182453-4f7k"]
    with mock.patch.object(runs_module, "new_pipeline_run_id", side_effect=ids):
        assert open_run().pipeline_run_id == "vla-20261122-182453-4f7k"


@pytest.mark.parametrize(
    "hostile", ["vla-20261122-182453-zzzz", "'; DROP TABLE event; --", "../../etc", "", "x" * 10000]
)
def test_an_unknown_run_is_reported_in_one_sentence(ledger, hostile):
    with pytest.raises(InvalidInput) as caught:
        ledger.runs.get(hostile)
    assert len(str(caught.value)) < 300


# States


def test_a_transition_writes_state_event_and_mails_at_once(ledger, open_run):
    run = open_run()
    assert ledger.runs.transition(
        run.pipeline_run_id, RunState.FETCHING, event="begun", details={"n": 1}, mails=[BEGUN]
    )
    after = ledger.runs.get(run.pipeline_run_id)
    assert after.state == RunState.FETCHING
    assert after.state_since > run.state_since
    event = ledger.events.of_run(run.pipeline_run_id)[-1]
    assert (event.event, event.details) == ("begun", {"n": 1})
    assert (event.state_before, event.state_after) == (RunState.CREATED, RunState.FETCHING)
    (mail,) = ledger.outbox.mails(run.pipeline_run_id)
    assert mail.message_id == f"<{run.pipeline_run_id}.run_has_begun@srdp.example.org>"
    assert mail.recipients == mail.pending == BEGUN.recipients


def test_a_transition_that_was_made_is_not_made_again(ledger, open_run):
    run = open_run()
    ledger.runs.transition(run.pipeline_run_id, RunState.FETCHING, event="begun", mails=[BEGUN])
    assert not ledger.runs.transition(run.pipeline_run_id, RunState.FETCHING, event="begun", mails=[BEGUN])
    assert len(ledger.events.of_run(run.pipeline_run_id)) == 2
    assert len(ledger.outbox.mails(run.pipeline_run_id)) == 1


def test_a_refused_transition_changes_nothing(ledger, open_run):
    run = open_run()
    with pytest.raises(Refused, match="is in state created"):
        ledger.runs.transition(run.pipeline_run_id, RunState.AWAITING_QA, event="delivered", mails=[BEGUN])
    assert ledger.runs.get(run.pipeline_run_id) == run
    assert ledger.outbox.mails(run.pipeline_run_id) == []


def test_a_mail_that_cannot_be_queued_takes_the_state_with_it(ledger, open_run):
    run = open_run()
    broken = replace(BEGUN, text=None)
    with pytest.raises(psycopg.errors.CheckViolation):
        ledger.runs.transition(run.pipeline_run_id, RunState.FETCHING, event="begun", mails=[BEGUN, broken])
    assert ledger.runs.get(run.pipeline_run_id) == run
    assert ledger.outbox.mails(run.pipeline_run_id) == []
    assert len(ledger.events.of_run(run.pipeline_run_id)) == 1


def test_a_run_does_not_become_active_beside_an_active_sibling(ledger, ledger_url, open_run):
    first = open_run(subject=EB)
    set_state(ledger_url, first.pipeline_run_id, RunState.AWAITING_QA)
    second = open_run(subject=EB)
    with pytest.raises(Refused, match=second.pipeline_run_id):
        ledger.runs.transition(first.pipeline_run_id, RunState.INGESTING, event="passed")
    assert ledger.runs.get(first.pipeline_run_id).state == RunState.AWAITING_QA


def test_of_many_transitions_at_once_one_is_made(ledger, open_run):
    run = open_run()
    ledger.runs.transition(run.pipeline_run_id, RunState.FETCHING, event="begun")
    together = threading.Barrier(8)
    wanted = [RunState.PROCESSING, RunState.FAILED] * 4

    def ask(state: RunState) -> object:
        together.wait()
        try:
            return ledger.runs.transition(run.pipeline_run_id, state, event="raced", mails=[replace(BEGUN, key=state)])
        except Refused as refusal:
            return refusal

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, wanted))
    path = [event.state_after for event in ledger.events.of_run(run.pipeline_run_id)]
    assert path in (
        ["created", "fetching", "failed"],
        ["created", "fetching", "processing", "failed"],
    )
    assert answers.count(True) == len(path) - 2 == len(ledger.outbox.mails(run.pipeline_run_id))


def test_the_ledger_knows_exactly_the_states_of_the_table(ledger_url, open_run):
    run = open_run()
    for state in TRANSITIONS:
        set_state(ledger_url, run.pipeline_run_id, state)
    with pytest.raises(psycopg.errors.CheckViolation):
        set_state(ledger_url, run.pipeline_run_id, "unheard_of")


def test_a_failure_is_kept(ledger, open_run):
    run = open_run()
    ledger.runs.transition(run.pipeline_run_id, RunState.CANCELLED, event="failed", failure="The disk is full.")
    assert ledger.runs.get(run.pipeline_run_id).failure == "The disk is full."
    assert ledger.runs.active() == []


# What happened


def test_what_happens_once_is_recorded_once_and_as_it_was_first(ledger, open_run):
    one, other = open_run().pipeline_run_id, open_run().pipeline_run_id
    for number in range(2):
        ledger.events.record(one, "casa_started", {"number": number}, once=True)
        ledger.events.record(one, "looked", {"number": number})
    ledger.events.record(other, "casa_started", once=True)
    assert [(event.event, event.details) for event in ledger.events.of_run(one)[1:]] == [
        ("casa_started", {"number": 0}),
        ("looked", {"number": 0}),
        ("looked", {"number": 1}),
    ]
    assert [event.event for event in ledger.events.of_run(other)] == ["opened", "casa_started"]


@pytest.mark.parametrize("statement", ["UPDATE event SET event = 'x'", "DELETE FROM event", "TRUNCATE event"])
def test_events_cannot_be_changed(ledger, ledger_url, open_run, statement):
    run = open_run()
    with psycopg.connect(ledger_url) as connection, pytest.raises(psycopg.Error, match="append-only"):
        connection.execute(statement)
    assert len(ledger.events.of_run(run.pipeline_run_id)) == 1


def test_what_postgres_cannot_store_is_replaced(ledger, open_run):
    run = open_run()
    ledger.events.record(run.pipeline_run_id, "log", {"tail": ["a\0b", "\udcff"], "n": 1, "k\0": None})
    assert ledger.events.of_run(run.pipeline_run_id)[-1].details == {"tail": ["a\ufffdb", "?"], "n": 1, "k\ufffd": None}


def test_scores_ppr_and_casa_are_kept(ledger, open_run):
    run_id = open_run().pipeline_run_id
    ledger.runs.record_ppr(run_id, "a" * 64)
    ledger.runs.record_scores(run_id, 0.5, [{"stage": 1, "score": 0.5}, {"stage": 2, "score": None}])
    start = datetime(2026, 11, 22, 18, 24, 53, tzinfo=UTC)
    ledger.casa.record(run_id, 1, job_name=f"{run_id}.casa1", host="node1", started_at=start)
    ledger.casa.record(run_id, 1, exit_code=0, peak_memory_bytes=2**40, ended_at=start, host=None)
    run = ledger.runs.get(run_id)
    assert (run.ppr_sha256, run.lowest_score) == ("a" * 64, 0.5)
    assert run.scores == [{"stage": 1, "score": 0.5}, {"stage": 2, "score": None}]
    (attempt,) = ledger.casa.of_run(run_id)
    assert (attempt.host, attempt.started_at, attempt.exit_code) == ("node1", start, 0)
    assert attempt.peak_memory_bytes == 2**40


def test_fetched_files_are_kept_and_replaced(ledger, open_run):
    run_id = open_run().pipeline_run_id
    files = [
        FetchedFile(path="EB/ASDM.xml", size_bytes=2**40, crc32=2**32 - 1, ngas_file_id="a", ngas_version=2),
        FetchedFile(path="EB/Main.bin", size_bytes=0, crc32=0, ngas_file_id="b", mtime_ns=2**60),
    ]
    ledger.fetched_files.record(run_id, files)
    ledger.fetched_files.record(run_id, [replace(files[1], size_bytes=7)])
    assert ledger.fetched_files.of_run(run_id) == [files[0], replace(files[1], size_bytes=7)]


@pytest.mark.parametrize(
    "write",
    [
        lambda ledger, run_id: ledger.events.record(run_id, "x"),
        lambda ledger, run_id: ledger.runs.record_ppr(run_id, "a" * 64),
        lambda ledger, run_id: ledger.runs.record_scores(run_id, None, []),
        lambda ledger, run_id: ledger.casa.record(run_id, 1),
        lambda ledger, run_id: ledger.runs.transition(run_id, RunState.FAILED, event="x"),
        lambda ledger, run_id: ledger.fetched_files.record(
            run_id, [FetchedFile(path="a", size_bytes=1, crc32=1, ngas_file_id="a")]
        ),
    ],
)
def test_nothing_is_written_about_an_unknown_run(ledger, write):
    with pytest.raises(InvalidInput, match="holds no pipeline run vla-20261122-182453-4f7k"):
        write(ledger, "vla-20261122-182453-4f7k")


def test_runs_with_a_ppr_and_without_a_casa_job_wait_for_it_in_their_order(ledger, open_run):
    begun, *waiting = runs = [
        open_run(subject=f"13A-537.sb1.eb{number}.56514.1").pipeline_run_id for number in range(3)
    ]
    for run_id in runs:
        ledger.runs.transition(run_id, RunState.FETCHING, event="x")
        ledger.runs.transition(run_id, RunState.PROCESSING, event="x")
    assert ledger.casa.queue() == {}, "their PPR is not written"
    for run_id in runs:
        ledger.runs.record_ppr(run_id, "a" * 64)
    ledger.casa.record(begun, 1, job_name="x")
    assert list(ledger.casa.queue()) == waiting
    assert ledger.casa.queue()[waiting[1]].endswith("place 2 of 2")


def test_casa_without_a_task_is_found(ledger, ledger_url, open_run):
    runs = [open_run().pipeline_run_id for _ in range(3)]
    for run_id in runs:
        ledger.casa.record(run_id, 1, job_name=f"{run_id}.casa1")
    set_state(ledger_url, runs[0], RunState.PROCESSING)
    set_state(ledger_url, runs[1], RunState.FAILED)
    set_state(ledger_url, runs[2], RunState.FAILED)
    ledger.casa.record(runs[2], 1, ended_at=datetime.now(UTC))
    assert [attempt.pipeline_run_id for attempt in ledger.casa.without_task()] == [runs[1]]


# The server goes away


def test_a_connection_that_breaks_before_the_commit_loses_nothing(ledger, ledger_url, open_run):
    run = open_run()
    with broken_once(ledger_url):
        assert ledger.runs.transition(run.pipeline_run_id, RunState.FETCHING, event="begun", mails=[BEGUN])
    assert [event.event for event in ledger.events.of_run(run.pipeline_run_id)] == ["opened", "begun"]
    assert len(ledger.outbox.mails(run.pipeline_run_id)) == 1


def test_a_commit_that_was_not_answered_is_not_made_twice(ledger, open_run, monkeypatch):
    real_exit = psycopg.Connection.__exit__
    unanswered = []

    def exit_without_answer(connection, *error):
        real_exit(connection, *error)
        if error[0] is None and len(unanswered) < 1:
            unanswered.append(connection)
            raise psycopg.OperationalError("server closed the connection unexpectedly")

    def unanswered_once(act):
        unanswered.clear()
        with monkeypatch.context() as patch:
            patch.setattr(psycopg.Connection, "__exit__", exit_without_answer)
            act()
        assert len(unanswered) == 1

    unanswered_once(lambda: open_run(subject=EB, dag_run_id="manual__1"))
    (run,) = ledger.runs.newest()
    run_id = run.pipeline_run_id
    unanswered_once(lambda: ledger.runs.transition(run_id, RunState.FETCHING, event="begun", mails=[BEGUN]))
    unanswered_once(lambda: ledger.events.record(run_id, "noted"))
    assert [event.event for event in ledger.events.of_run(run_id)] == ["opened", "begun", "noted"]
    assert len(ledger.outbox.mails(run_id)) == 1


def test_a_restart_of_postgres_is_waited_for(settings, tmp_path, monkeypatch, as_connection):
    server = PostgresServer(tmp_path / "postgres", port=free_ports(1)[0], durable=False)
    server.start()
    try:
        url = server.create_database("ledger")
        with psycopg.connect(url) as connection:
            apply_schema(connection, settings.sql)
        monkeypatch.setenv("AIRFLOW_CONN_SRDP_LEDGER", as_connection(url))
        ledger = Ledger(settings, retry_seconds=60)
        assert ledger.runs.newest() == []
        server.stop()
        real, refused = PostgresHook.get_conn, threading.Event()

        def connect(hook):
            try:
                return real(hook)
            except psycopg.OperationalError:
                refused.set()
                raise

        with (
            mock.patch.object(PostgresHook, "get_conn", connect),
            ThreadPoolExecutor(1) as pool,
        ):
            answer = pool.submit(ledger.runs.newest)
            assert refused.wait(30)
            server.start()
            assert answer.result(60) == []
    finally:
        server.stop()


def test_a_server_that_stays_away_is_reported_in_one_sentence(settings, monkeypatch, as_connection):
    url = f"postgresql://srdp:secret@127.0.0.1:{free_ports(1)[0]}/ledger"
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_LEDGER", as_connection(url))
    with pytest.raises(ServiceUnavailable, match="srdp_ledger") as caught:
        Ledger(settings, retry_seconds=0.3).runs.newest()
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_connection_is_reported_in_one_sentence(settings, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_SRDP_LEDGER", raising=False)
    with pytest.raises(SettingsError, match="The Airflow Connection srdp_ledger is missing"):
        Ledger(settings, retry_seconds=0).runs.newest()


def test_missing_tables_are_reported_in_one_sentence(settings, postgres, monkeypatch, as_connection):
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_LEDGER", as_connection(postgres.create_database("ledger_empty")))
    with pytest.raises(SettingsError, match=re.escape("run `python -m srdp.hooks.ledger_schema`")):
        Ledger(settings, retry_seconds=0).runs.newest()


# The outbox's rows


def test_a_mail_that_was_accepted_by_all_is_not_due_again(ledger, open_run):
    run = open_run()
    ledger.runs.transition(run.pipeline_run_id, RunState.FETCHING, event="begun", mails=[BEGUN])
    mail, _ = ledger.outbox.deliver_next_mail(lambda _: MailAttempt())
    assert mail.recipients == BEGUN.recipients
    assert ledger.outbox.deliver_next_mail(pytest.fail) is None
    assert ledger.outbox.mails(run.pipeline_run_id)[0].pending == ()


def test_waits_grow_to_ten_minutes(ledger, ledger_url, open_run):
    run = open_run()
    ledger.runs.transition(run.pipeline_run_id, RunState.FETCHING, event="begun", mails=[BEGUN])
    waits = []
    for _ in range(9):
        _, attempt = ledger.outbox.deliver_next_mail(lambda mail: MailAttempt(mail.pending, "down"))
        assert attempt.error == "down"
        assert ledger.outbox.deliver_next_mail(pytest.fail) is None
        with psycopg.connect(ledger_url) as connection:
            (wait,) = connection.execute("SELECT next_attempt_at - clock_timestamp() FROM outbox").fetchone()
            connection.execute("UPDATE outbox SET next_attempt_at = now()")
        waits.append(round(wait.total_seconds() / 15) * 15)
    assert waits == [15, 30, 60, 120, 240, 480, 600, 600, 600]


def test_a_mail_in_hand_is_skipped_by_others(ledger, open_run):
    run = open_run()
    ledger.runs.transition(
        run.pipeline_run_id, RunState.FETCHING, event="begun", mails=[BEGUN, replace(BEGUN, key="other")]
    )

    def send(mail):
        second, _ = ledger.outbox.deliver_next_mail(lambda _: MailAttempt())
        assert {mail.key, second.key} == {"run_has_begun", "other"}
        assert ledger.outbox.deliver_next_mail(pytest.fail) is None
        return MailAttempt()

    ledger.outbox.deliver_next_mail(send)
    assert ledger.outbox.deliver_next_mail(pytest.fail) is None


def test_a_mail_that_may_be_out_is_not_tried_again_by_the_same_call(ledger, ledger_url, open_run):
    run = open_run()
    ledger.runs.transition(run.pipeline_run_id, RunState.FETCHING, event="begun", mails=[BEGUN])
    sent = []

    def send(mail):
        sent.append(mail.message_id)
        end_connections(ledger_url)
        return MailAttempt()

    with pytest.raises(ServiceUnavailable):
        ledger.outbox.deliver_next_mail(send)
    ledger.outbox.deliver_next_mail(lambda mail: (sent.append(mail.message_id), MailAttempt())[1])
    assert len(sent) == 2
    assert len(set(sent)) == 1


# Helpers


def set_state(url: str, run_id: str, state: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE pipeline_run SET state = %s WHERE pipeline_run_id = %s", (str(state), run_id))


def end_connections(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def broken_once(url: str):
    """The next connection that the hook makes is ended by the server before its first statement."""
    real, made = PostgresHook.get_conn, []

    def connect(hook):
        connection = real(hook)
        if not made:
            made.append(connection)
            end_connections(url)
        return connection

    return mock.patch.object(PostgresHook, "get_conn", connect)
