"""A job that a batch system holds: each hold has one mail, whatever happens to triggerer and ledger."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from unittest import mock

import pytest
from airflow.sdk._shared.module_loading import import_string

import srdp.settings
import srdp.triggers.casa_job
from srdp.domain.common.errors import ServiceUnavailable
from srdp.engines import JobState, JobStatus
from srdp.engines.batch import BatchEngine
from srdp.hooks.ledger.event_log import EventLog
from srdp.triggers.casa_job import CasaJobTrigger

pytestmark = pytest.mark.servers

FIRST = JobStatus(JobState.WAITING, note="held no <b>python</b> there: condor_release 7.0", hold=1)
SECOND = JobStatus(JobState.WAITING, note="held still none: condor_release 7.0", hold=2)
RELEASED = JobStatus(JobState.WAITING)
ENDED = JobStatus(JobState.ENDED, exit_code=0)


@pytest.fixture
def engine(monkeypatch):
    engine = mock.create_autospec(BatchEngine, instance=True)
    monkeypatch.setattr(srdp.triggers.casa_job, "engine", {"htcondor": engine}.__getitem__)
    return engine


@pytest.fixture
def run(open_run, settings, monkeypatch):
    monkeypatch.setattr(srdp.settings, "load_settings", lambda: settings)
    return open_run()


@pytest.fixture
def trigger(run, settings, tmp_path):
    return CasaJobTrigger(
        engine="htcondor",
        job_name=f"{run.pipeline_run_id}.casa1",
        spool=str(settings.spool_area / run.pipeline_run_id),
        directory=str(tmp_path / "run"),
        commands=[],
        deadline=(datetime.now(UTC) + timedelta(hours=1)).isoformat(),
        poll_seconds=0.01,
    )


def follow(trigger):
    async def collect():
        return [event async for event in trigger.run()]

    return asyncio.run(asyncio.wait_for(collect(), 60))


def test_each_hold_has_one_mail_with_its_reason_and_what_to_do(trigger, engine, ledger, settings, run):
    engine.status.side_effect = [FIRST, FIRST, RELEASED, SECOND, ENDED]
    follow(trigger)
    first, second = ledger.outbox.mails(run.pipeline_run_id)
    assert first.subject == f"[SRDP] CASA JOB HELD by the batch system: {run.subject} ({run.pipeline_run_id})"
    assert set(first.recipients) == {*settings.data_analysts, *settings.operations_managers}
    for text in (first.text, first.html):
        for said in (f"{run.pipeline_run_id}.casa1", "condor_release 7.0", trigger.deadline[:10], "continues"):
            assert said in text
    assert "<b>python</b>" not in first.html
    assert "still none" in second.text
    causes = [
        event.details["cause"] for event in ledger.events.of_run(run.pipeline_run_id) if event.event == "casa_job_held"
    ]
    assert causes == [FIRST.note, SECOND.note]


def test_a_triggerer_that_comes_after_another_reports_no_hold_twice(trigger, engine, ledger, run):
    path, arguments = trigger.serialize()
    for _ in range(2):
        engine.status.side_effect = [FIRST, ENDED]
        follow(import_string(path)(**arguments))
    assert len(ledger.outbox.mails(run.pipeline_run_id)) == 1


def test_a_mail_that_cannot_be_queued_is_queued_with_the_next_status(trigger, engine, ledger, run, monkeypatch):
    record, tries = EventLog.record, []

    def away_at_first(*arguments, **keywords):
        tries.append(arguments)
        if len(tries) == 1:
            raise ServiceUnavailable("The ledger is away.")
        record(*arguments, **keywords)

    monkeypatch.setattr(EventLog, "record", away_at_first)
    engine.status.side_effect = [FIRST, FIRST, FIRST, ENDED]
    follow(trigger)
    assert len(tries) == 2
    assert len(ledger.outbox.mails(run.pipeline_run_id)) == 1
