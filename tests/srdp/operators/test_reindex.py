from __future__ import annotations

import psycopg
import pytest
from tests.observing import new_archive

from srdp.hooks import postgres as postgres_module
from srdp.hooks.verdict_ledger import VerdictLedger
from srdp.operators.reindex import ReindexProjectsOperator

pytestmark = pytest.mark.servers


@pytest.fixture
def archive_url(postgres, monkeypatch, as_connection):
    url = new_archive(postgres)
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_ARCHIVE", as_connection(url))
    monkeypatch.setattr(postgres_module, "_FIRST_PAUSE_SECONDS", 0.01)
    return url


@pytest.fixture
def ledger(ledger, settings, monkeypatch):
    use(monkeypatch, settings)
    return VerdictLedger(settings, retry_seconds=20)


def use(monkeypatch, settings):
    monkeypatch.setattr("srdp.settings.load_settings", lambda: settings)


@pytest.fixture
def queue(ledger, ledger_url, open_run):
    def queued(project="13A-537"):
        run_id = open_run().pipeline_run_id
        with psycopg.connect(ledger_url) as connection:
            connection.execute(
                "INSERT INTO reindex_request (pipeline_run_id, key, project) VALUES (%s, 'reindex_1', %s)",
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
        (request,) = ledger.reindex_requests(run_id)
        assert request.done_at is not None


def test_of_one_run_only_if_one_is_named(ledger, queue, archive_url):
    runs = [queue(), queue()]
    ReindexProjectsOperator(task_id="t", pipeline_run_id=runs[1]).execute({})
    assert [ledger.reindex_requests(run_id)[0].attempts for run_id in runs] == [0, 1]


def test_an_archive_that_is_away_delays_and_never_fails(ledger, queue, archive_url, monkeypatch, settings):
    runs = [queue(), queue()]
    use(monkeypatch, settings.model_copy(update={"reindex": "http", "reindex_url": "http://127.0.0.1:1/"}))
    ReindexProjectsOperator(task_id="t").execute({})
    # The second one did not wait for the same.
    assert [ledger.reindex_requests(run_id)[0].attempts for run_id in runs] == [1, 0]
    (request,) = ledger.reindex_requests(runs[0])
    assert request.done_at is None
    assert "ConnectionError" in request.last_error


def test_a_project_that_is_refused_holds_up_no_other(ledger, queue, archive_url):
    wrong, right = queue("99Z-999"), queue()
    ReindexProjectsOperator(task_id="t").execute({})
    assert asked(archive_url) == ["13A-537"]
    assert "no project '99Z-999'" in ledger.reindex_requests(wrong)[0].last_error
    assert ledger.reindex_requests(right)[0].done_at is not None


def test_off_leaves_what_is_queued(ledger, queue, archive_url, monkeypatch, settings):
    run_id = queue()
    use(monkeypatch, settings.model_copy(update={"reindex": "off"}))
    ReindexProjectsOperator(task_id="t").execute({})
    assert ledger.reindex_requests(run_id)[0].attempts == 0


def test_the_run_is_templated():
    assert "pipeline_run_id" in ReindexProjectsOperator.template_fields
