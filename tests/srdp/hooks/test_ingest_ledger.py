from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from tests.srdp.hooks.verdicts import TAR, WEBLOG, claim, finish

from srdp.domain.archiving.product_changes import ProductFile
from srdp.domain.common.errors import InvalidInput, Refused

pytestmark = pytest.mark.servers

PRODUCTS = [ProductFile("a.txt", 3, 7), ProductFile("b.fits", 0, 0)]


# The files


def test_files_are_recorded_before_they_are_sent_and_then_stay(ledger, run_in):
    ingest = claim(ledger, run_in("awaiting_qa"))
    ledger.archived_files.record(ingest, [replace(TAR, crc32=1)], [])
    ledger.archived_files.record(ingest, [TAR, WEBLOG], PRODUCTS)
    assert ledger.archived_files.of_ingest(ingest) == [TAR, WEBLOG]
    assert ledger.archived_files.products(ingest) == PRODUCTS
    ledger.archived_files.mark_sent(TAR.ngas_file_id)
    sent = ledger.archived_files.of_ingest(ingest)[0].sent_at
    assert sent is not None
    with pytest.raises(Refused, match=r"'13A-537\.tar' .* has changed since it was sent"):
        ledger.archived_files.record(ingest, [replace(TAR, crc32=1), WEBLOG], [])
    with pytest.raises(Refused, match="has changed since it was sent"):
        ledger.archived_files.record(ingest, [WEBLOG], [])
    ledger.archived_files.record(ingest, [TAR, replace(WEBLOG, crc32=9)], PRODUCTS)
    ledger.archived_files.mark_sent(TAR.ngas_file_id)
    ledger.archived_files.mark_proved(TAR.ngas_file_id, 1)
    tar, weblog = ledger.archived_files.of_ingest(ingest)
    assert (tar.sent_at, tar.ngas_version, weblog.crc32, weblog.sent_at) == (sent, 1, 9, None)
    assert tar.proved_at is not None


def test_what_is_not_recorded_is_not_sent(ledger, ledger_url):
    with pytest.raises(Refused, match="record it first"):
        ledger.archived_files.mark_sent("nothing")


# What the archive is asked, and what is kept


def test_the_archive_is_asked_until_it_has_taken_it(ledger, run_in, ledger_url):
    run = run_in("awaiting_qa")
    finish(ledger, claim(ledger, run))
    request, error = ledger.outbox.deliver_next_reindex(lambda _: "It is away.")
    assert (request.project, error) == ("13A-537", "It is away.")
    assert ledger.outbox.deliver_next_reindex(lambda _: None) is None
    with psycopg.connect(ledger_url) as connection:
        connection.execute("UPDATE outbox SET next_attempt_at = now()")
    assert ledger.outbox.deliver_next_reindex(lambda _: None, run_id=run.pipeline_run_id)[1] is None
    (done,) = ledger.outbox.reindex_requests(run.pipeline_run_id)
    assert (done.attempts, done.last_error) == (2, None)
    assert done.done_at is not None


def test_a_measurement_set_is_cached_once(ledger, run_in):
    run = run_in("archived")
    soon = datetime(2026, 1, 1, tzinfo=UTC)
    first = ledger.measurement_sets.record(run.pipeline_run_id, "/cache/a.ms", soon)
    again = ledger.measurement_sets.record(run.pipeline_run_id, "/other.ms", soon + timedelta(days=9))
    assert first == again == ledger.measurement_sets.of_run(run.pipeline_run_id)
    assert (first.path, first.expires_at, first.removed_at) == ("/cache/a.ms", soon, None)
    assert ledger.measurement_sets.kept() == [first]
    ledger.measurement_sets.mark_removed(run.pipeline_run_id)
    assert ledger.measurement_sets.kept() == []
    with pytest.raises(InvalidInput):
        ledger.measurement_sets.record("vla-20260101-000000-aaaa", "/x", soon)


def test_the_last_retention_is_in_force(ledger):
    assert ledger.retention.in_force() == {}
    ledger.retention.set("archived", 14)
    ledger.retention.set("archived", 7)
    assert ledger.retention.in_force() == {"archived": 7}
