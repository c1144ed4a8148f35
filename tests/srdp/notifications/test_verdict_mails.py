"""What the mails about a verdict say, and that nothing in them can be more than text."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pytest

from srdp.domain.qa.verdict import QaFlag, QaVerdict
from srdp.domain.runs.identifiers import pipeline_run_id
from srdp.domain.runs.ledger_records import CachedMeasurementSet, FileOfIngest, Ingest, PipelineRun
from srdp.domain.runs.pipeline_run import RunDirectory
from srdp.domain.runs.states import RunState
from srdp.hooks.ledger.outbox_records import ReindexRequest
from srdp.notifications import verdict_mails

RUN = pipeline_run_id("vla-20261122-182453-4f7k")
WHEN = datetime(2026, 11, 22, 18, 24, 53, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script>\nBcc: everybody@example.org\n\x1b[2J"


@pytest.fixture
def run():
    return PipelineRun(
        pipeline_run_id=RUN, kind="vla_calibration", subject="13A-537.sb1.eb2.56514.1", project="13A-537",
        locator="uid://evla/execblock/00000000-0000-0000-0000-000000000001", version=1, state=RunState.INGESTING,
        dag_id="vla_calibration", dag_run_id="manual__1", requested_by="sensor", recipe="vla_calibration", cores=1,
        memory_gb=1, failure=None, ppr_sha256=None, lowest_score=None, scores=None, created_at=WHEN, state_since=WHEN,
    )  # fmt: skip


@pytest.fixture
def ingest():
    return Ingest(
        pipeline_run_id=RUN, number=2, claimed_at=WHEN, tries=3, dag_id="vla_qa_pass", dag_run_id="manual__<b>",
        requested_by="<b>analyst</b>", verdict=QaVerdict(QaFlag.PASS, comments="<b>fine</b>"), committed_at=None,
    )  # fmt: skip


FILE = FileOfIngest(
    ngas_file_id=f"{RUN}.calibration.tar", kind="calibration", name="<i>.tar", mime_type="application/x-tar",
    size_bytes=7, crc32=9, sent_at=WHEN, ngas_version=1, proved_at=WHEN,
)  # fmt: skip


REQUEST = ReindexRequest(
    outbox_id=5, pipeline_run_id=RUN, project="13A-537", attempts=0, last_error=None, done_at=None
)  # fmt: skip


def mails(settings, run, ingest):
    cached = CachedMeasurementSet(pipeline_run_id=RUN, path="/cache/<x>.ms", cached_at=WHEN, expires_at=WHEN)
    return {
        "archived": verdict_mails.archived(
            settings, run, ingest, files=[FILE], calibration="uid://evla/calibration/1", status="Calibrated",
            directory=RunDirectory(settings.processing_area / RUN), cached=cached, superseded=["vla-1"], casa=None,
        ),
        "ingest_failed_2_3": verdict_mails.ingest_failed(settings, run, ingest, step=HOSTILE, cause=HOSTILE),
        "archived_unfinished_": verdict_mails.ingest_unfinished(
            settings, run, ingest, dag_run_id="manual__1", step=HOSTILE, cause=HOSTILE, is_archived=True
        ),
        "ingest_unsure_": verdict_mails.ingest_unfinished(
            settings, run, ingest, dag_run_id="manual__1", step=HOSTILE, cause=HOSTILE, is_archived=False
        ),
        "qa_flag_changed_4": verdict_mails.qa_flag_changed(
            settings, run, ingest, number=4, calibration="uid://x", by="<b>ada</b>", changes=["QA flag: <i>", HOSTILE],
        ),
        "verdict_withdrawn_2": verdict_mails.verdict_withdrawn(
            settings, run, ingest, by="<b>analyst</b>", reason=HOSTILE, orphans=[FILE]
        ),
        "reindex_not_taken_5": verdict_mails.reindex_not_taken(settings, run, REQUEST, cause=HOSTILE, for_all=True),
    }  # fmt: skip


def test_each_has_a_key_of_its_own(settings, run, ingest):
    for key, mail in mails(settings, run, ingest).items():
        assert mail.key.startswith(key)


def test_what_is_hostile_stays_text(settings, run, ingest):
    for mail in mails(settings, run, ingest).values():
        assert mail.subject.isprintable()
        assert [mark for mark in ("<script>", "<b>analyst", "<b>fine", "<i>", "<x>", "\x1b") if mark in mail.html] == []
        assert "\x1b" not in mail.text
        assert run.pipeline_run_id in mail.text


def test_a_changed_flag_says_who_changed_it_from_what_to_what(settings, run, ingest):
    mail = verdict_mails.qa_flag_changed(
        settings, run, ingest, number=1, calibration="uid://x", by="ada", changes=["QA flag: from Fail to Pass"]
    )
    for body in (mail.text, mail.html):
        assert "ada" in body
        assert "QA flag: from Fail to Pass" in body


@pytest.mark.parametrize(("report", "warned"), [("[ ] Beam?\n[x] Flux?", True), ("[x] Beam?", False), ("", False)])
def test_boxes_that_are_not_ticked_are_a_warning(settings, run, ingest, report, warned):
    untouched = dataclasses.replace(ingest, verdict=QaVerdict(QaFlag.PASS, report_text=report))
    mail = mails(settings, run, untouched)["archived"]
    for body in (mail.text, mail.html):
        assert ("1 of the 2 boxes of the checklist in the QA report are not ticked." in body) == warned


def test_failed_ingest_mail_explains_repeat_and_withdrawal(settings, run, ingest):
    mail = verdict_mails.ingest_failed(settings, run, ingest, step="Put them into NGAS", cause="It is away.")
    assert mail.subject.startswith("[SRDP] INGEST FAILED")
    for said in ("It is away.", "leave the rest of the form empty", "/dags/vla_withdraw_verdict", "<b>fine</b>"):
        assert said in mail.text


@pytest.mark.parametrize(("attempts", "times"), [(0, "1 time"), (19, "20 times")])
def test_unindexed_project_is_reported_to_the_managers(settings, run, attempts, times):
    request = dataclasses.replace(REQUEST, attempts=attempts)
    mail = verdict_mails.reindex_not_taken(settings, run, request, cause="It answered HTTP 404.", for_all=False)
    assert mail.subject == f"[SRDP] NOT INDEXED: 13A-537 ({RUN})"
    assert mail.recipients == settings.operations_managers
    for said in ("It answered HTTP 404.", "13A-537", run.subject, times, "within ten minutes"):
        assert said in mail.text
        assert said in mail.html
    assert "Other projects" not in mail.text + mail.html


def test_an_archive_without_a_measurement_set_or_siblings(settings, run, ingest):
    mail = verdict_mails.archived(
        settings, run, ingest, files=[FILE], calibration="uid://x", status=None,
        directory=RunDirectory(settings.processing_area / RUN), cached=None, superseded=[], casa=None,
    )  # fmt: skip
    assert "not kept for users" in mail.text
    assert "Superseded" not in mail.text
