from __future__ import annotations

import psycopg
import pytest

from srdp.domain.runs.retry import RequestRetryPolicy
from srdp.hooks import postgres as postgres_module
from srdp.hooks.ledger import Ledger
from srdp.operators.reindex import ReindexProjectsOperator

pytestmark = pytest.mark.servers


@pytest.fixture
def archive_url(new_archive, monkeypatch, as_connection):
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_ARCHIVE", as_connection(new_archive))
    monkeypatch.setattr(postgres_module, "DATABASE", RequestRetryPolicy(attempts=4, first_wait_seconds=0.01))
    return new_archive


@pytest.fixture
def ledger(ledger, settings, monkeypatch):
    use(monkeypatch, settings)
    return Ledger(settings, retry_seconds=20)


def use(monkeypatch, settings):
    monkeypatch.setattr("srdp.settings.load_settings", lambda: settings)


@pytest.fixture
def queue(ledger, ledger_url, open_run):
    def queued(project="13A-537"):
        run_id = open_run().pipeline_run_id
        with psycopg.connect(ledger_url) as connection:
            connection.execute(
                "INSERT INTO outbox (kind, pipeline_run_id, key, project) VALUES ('reindex', %s, 'reindex_1', %s)",
                (run_id, project),
            )
        return run_id

    return queued


def asked(url):
    with psycopg.connect(url) as connection:
        return [row[0] for row in connection.execute("SELECT project_code FROM reindex_request")]


def test_every_request_is_made_and_marked(ledger, queue, archive_url):
    runs = [queue(), queue()]
    ReindexProjectsOperator(task_id="t").execute({})
    assert asked(archive_url) == ["13A-537"]
    for run_id in runs:
        (request,) = ledger.outbox.reindex_requests(run_id)
        assert request.done_at is not None


def test_of_one_run_only_if_one_is_named(ledger, queue, archive_url):
    runs = [queue(), queue()]
    ReindexProjectsOperator(task_id="t", pipeline_run_id=runs[1]).execute({})
    assert [ledger.outbox.reindex_requests(run_id)[0].attempts for run_id in runs] == [0, 1]


def test_an_archive_that_is_away_delays_and_never_fails(ledger, queue, archive_url, monkeypatch, settings):
    runs = [queue(), queue()]
    use(monkeypatch, settings.model_copy(update={"reindex": "http", "reindex_url": "http://127.0.0.1:1/"}))
    ReindexProjectsOperator(task_id="t").execute({})
    # The second one did not wait for the same.
    assert [ledger.outbox.reindex_requests(run_id)[0].attempts for run_id in runs] == [1, 0]
    (request,) = ledger.outbox.reindex_requests(runs[0])
    assert request.done_at is None
    assert "ConnectionError" in request.last_error


def test_a_project_that_is_refused_holds_up_no_other(ledger, queue, archive_url):
    wrong, right = queue("99Z-999"), queue()
    ReindexProjectsOperator(task_id="t").execute({})
    assert asked(archive_url) == ["13A-537"]
    assert "no project '99Z-999'" in ledger.outbox.reindex_requests(wrong)[0].last_error
    assert ledger.outbox.reindex_requests(right)[0].done_at is not None


def reported(ledger, run_id):
    mails = [mail for mail in ledger.outbox.mails(run_id) if mail.key.startswith("reindex_not_taken")]
    events = [event for event in ledger.events.of_run(run_id) if event.event == "reindex_not_taken"]
    assert len(mails) == len(events)
    return mails


@pytest.fixture
def try_again(ledger_url):
    """Has the requests of runs made again, each for itself, after so many tries."""

    def again(*run_ids, attempts=1):
        with psycopg.connect(ledger_url) as connection:
            connection.execute(
                "UPDATE outbox SET next_attempt_at = now(), attempts = %s WHERE kind = 'reindex'", (attempts,)
            )
        for run_id in run_ids:
            ReindexProjectsOperator(task_id="t", pipeline_run_id=run_id).execute({})

    return again


def test_a_project_that_is_refused_is_reported_once(ledger, queue, archive_url, try_again, settings):
    wrong, also = queue("99Z-999"), queue("98Z-999")
    for _ in range(2):
        try_again(wrong, also)
        for run_id in (wrong, also):
            (mail,) = reported(ledger, run_id)
            assert mail.recipients == settings.operations_managers
    assert "no project '99Z-999'" in reported(ledger, wrong)[0].text


def test_an_archive_that_stays_away_is_notified_of_after_hours_and_once(
    ledger, queue, archive_url, try_again, monkeypatch, settings
):
    wrong = queue("99Z-999")
    try_again(wrong)
    use(monkeypatch, settings.model_copy(update={"reindex": "http", "reindex_url": "http://127.0.0.1:1/"}))
    first, second = queue(), queue()
    try_again(wrong, first, second, attempts=18)
    assert (reported(ledger, first), reported(ledger, second)) == ([], [])
    for _ in range(2):
        # What is reported about one project alone says nothing about the archive.
        try_again(wrong, first, second, attempts=19)
        assert [len(reported(ledger, run_id)) for run_id in (wrong, first, second)] == [1, 1, 0]
    # It comes back, knows one project not, and is away another time.
    use(monkeypatch, settings)
    unknown = queue("98Z-999")
    try_again(unknown, first, second)
    assert len(reported(ledger, unknown)) == 1
    assert ledger.outbox.reindex_requests(first)[0].done_at is not None
    use(monkeypatch, settings.model_copy(update={"reindex": "http", "reindex_url": "nowhere"}))
    again = queue()
    try_again(again)
    (mail,) = reported(ledger, again)
    assert "SRDP_REINDEX_URL is not the address of a host" in mail.text
    assert "Other projects may wait" in mail.text


def test_off_leaves_what_is_queued(ledger, queue, archive_url, monkeypatch, settings):
    run_id = queue()
    use(monkeypatch, settings.model_copy(update={"reindex": "off"}))
    ReindexProjectsOperator(task_id="t").execute({})
    assert ledger.outbox.reindex_requests(run_id)[0].attempts == 0


def test_the_run_is_templated():
    assert "pipeline_run_id" in ReindexProjectsOperator.template_fields
