"""The metrics that the steps of a verdict send, as a server of StatsD gets them; the others are in tests/e2e."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from airflow.sdk.exceptions import AirflowException
from tests.statsd import StatsdReceiver

from srdp.hooks import metrics
from srdp.notifications.gauges import send_gauges

pytestmark = pytest.mark.servers


@pytest.fixture
def statsd(monkeypatch: pytest.MonkeyPatch) -> Iterator[StatsdReceiver]:
    with StatsdReceiver() as receiver:
        for name, value in receiver.environment.items():
            monkeypatch.setenv(name, value)
        metrics._stats.cache_clear()
        yield receiver
    metrics._stats.cache_clear()


def arrive(statsd: StatsdReceiver, name: str, count: int) -> list[float]:
    """Send one more, which comes after all others, and return what came of a metric before it."""
    metrics.send(metrics.REPORTED, 1)
    while not statsd.values("srdp.reported_timestamp_seconds"):
        pass
    assert len(statsd.values(name)) == count
    return statsd.values(name)


def test_what_is_archived_is_counted_in_bytes_and_timed(observatory, statsd):
    run = observatory.waiting_run()
    observatory.ingest(run)
    sizes = [len(content) for content in observatory.stored(run).values()]
    assert sorted(arrive(statsd, "srdp.ngas.bytes.archived", 2)) == sorted(sizes)
    assert all(0 < milliseconds < 60_000 for milliseconds in statsd.values("srdp.ngas.transfer.archived"))


def test_a_damaged_copy_is_counted(observatory, statsd):
    run = observatory.waiting_run()
    observatory.ingest(run, end="archive_products")
    store = observatory.ngas.store
    for row in store.like(f"{run.pipeline_run_id}%"):
        copied = store.copy(row, store.path(row), store.volumes[1])
        store.path(copied).write_bytes(b"?")
    observatory.ingest(run)
    assert arrive(statsd, "srdp.damaged_copies.ingest", 1) == [2]


def test_a_failure_is_counted_by_the_task_at_which_it_happened(observatory, statsd, monkeypatch):
    run = observatory.waiting_run()
    observatory.ingest(run, end="pack_products")
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_NGAS", '{"conn_type": "http", "host": "127.0.0.1", "port": 1}')
    with pytest.raises(AirflowException) as caught:
        observatory.execute("archive_products", run)
    for _again in range(2):
        observatory.report_failure(run, "archive_products", str(caught.value))
    assert arrive(statsd, "srdp.failures.vla.archive_products", 1) == [1]


def test_what_there_is_is_sent_also_where_it_is_none_and_an_area_that_is_away_is_left_out(observatory, statsd):
    observatory.waiting_run()
    shutil.rmtree(observatory.settings.qa_area)
    send_gauges(observatory.settings)
    while not statsd.values("srdp.reported_timestamp_seconds"):
        pass
    assert statsd.values("srdp.runs.vla.awaiting_qa") == [1]
    assert statsd.values("srdp.runs.alma.archived") == [0]
    assert statsd.values("srdp.runs.vla.cleaned") == []
    assert statsd.values("srdp.area.free_bytes.processing") != []
    assert statsd.values("srdp.area.free_bytes.qa") == []


def test_nothing_is_sent_where_nobody_receives(observatory):
    assert not metrics.are_sent()
    metrics._stats.cache_clear()
    metrics.send(metrics.MAILS, 1)
