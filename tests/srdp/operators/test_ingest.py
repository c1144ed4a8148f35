"""The steps of an ingest with a real ledger, archive and NGAS: each once, each again, each failing."""

from __future__ import annotations

import io
import itertools
import json
import os
import re
import shutil
import tarfile
from types import SimpleNamespace

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from tests.fetching import StallingServer
from tests.ingesting import CALTABLES, DAG_ID, FITS, FLAGS, MANIFEST, NOTES, STEPS, WEBLOG
from tests.replacing import replace_everywhere

from srdp.domain.common.errors import IntegrityError, InvalidInput, Refused, ServiceUnavailable
from srdp.domain.disk import delivery
from srdp.domain.files.storage import DiskFull, LocalFilesError
from srdp.domain.files.trusted_root import UnsafeFile
from srdp.domain.ppr.document import request_sha256
from srdp.domain.runs.run_marker import MARKER
from srdp.domain.runs.states import RunState
from srdp.families import ALMA, VLA, result_locator
from srdp.hooks.archive import ArchiveHook
from srdp.operators.reconcile import ReconcileRunsOperator
from srdp.operators.withdraw_verdict import WithdrawVerdictOperator

pytestmark = pytest.mark.servers

AGAIN = "manual__again"


@pytest.fixture
def run(observatory):
    return observatory.waiting_run()


def events(observatory, run, name):
    return [event.details for event in observatory.ledger.events.of_run(run.pipeline_run_id) if event.event == name]


def end_ngas(observatory, monkeypatch):
    """From now on nobody answers at NGAS's address."""
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_NGAS", '{"conn_type": "http", "host": "127.0.0.1", "port": 1}')


def until(observatory, run, end, **form):
    observatory.ingest(run, end=end, **form)


def untouched(observatory, run, state=RunState.AWAITING_QA):
    assert observatory.run(run).state is state
    assert observatory.ledger.ingests.in_force(run.pipeline_run_id) is None
    assert observatory.mail_keys(run) == []
    assert observatory.stored(run) == {}


# All goes well


def test_a_pass_archives_everything_once(observatory, run):
    observatory.ingest(run)
    observatory.check_archived(run)
    members = observatory.tar_members(run)
    products = {path.name for path in observatory.directory(run).products.iterdir()} - {FITS}
    assert members.keys() == products | {f"{run.subject}.flagtemplate.txt"}
    assert members[f"{run.subject}.flagtemplate.txt"] == FLAGS.encode()
    assert members["weblog.tgz"] == observatory.stored(run)[f"{run.pipeline_run_id}.weblog.tgz", 1]
    with tarfile.open(fileobj=io.BytesIO(members["weblog.tgz"])) as weblog:
        notes = weblog.extractfile(f"{WEBLOG}/qa_notes.html").read().decode()
    assert "qa_comments: Looks &lt;well&gt;." in notes
    (calibration,) = observatory.results(run)
    assert "QA_Status: Pass\n" in calibration["qa_notes"]
    assert "qa_comments: Looks <well>." in calibration["qa_notes"]
    claimed_at = observatory.ingest_of(run).claimed_at
    assert f"qa_date: {claimed_at:%Y-%m-%d %H:%M:%S} UTC" in calibration["qa_notes"]
    assert (calibration["casa_version"], calibration["pipeline_version"]) == ("6.7.0.31", "2026.1.0.4")
    assert observatory.ledger.runs.sealed_at(run.kind, run.subject) is not None


def test_every_step_may_be_made_twice(observatory, run):
    for name in STEPS:
        observatory.step(name, run, **NOTES)
        observatory.step(name, run, **NOTES)
    observatory.check_archived(run)


@pytest.mark.parametrize("lost", STEPS)
def test_a_dag_run_may_be_cleared_from_any_step_on(observatory, run, lost):
    observatory.ingest(run)
    sent = observatory.ngas.requests.count("ARCHIVE")
    observatory.ingest(run, begin=lost)
    observatory.check_archived(run)
    assert observatory.ngas.requests.count("ARCHIVE") == sent == 2


def test_given_again_when_it_is_archived_only_what_follows_is_done(observatory, run):
    until(observatory, run, "finish_ingest")
    observatory.ingest(run, dag_run_id=AGAIN, qa_flag="Pass")
    observatory.check_archived(run)


def test_the_mail_says_what_where_and_how_to_restore(observatory, run):
    observatory.ingest(run)
    (mail,) = observatory.ledger.outbox.mails(run.pipeline_run_id)
    (calibration,) = observatory.results(run)
    files = observatory.ledger.archived_files.of_ingest(observatory.ingest_of(run))
    reported = [
        fact for file in files for fact in (file.ngas_file_id, str(file.size_bytes), str(file.crc32), file.name)
    ]
    reported += [calibration["locator"], str(observatory.directory(run).root), str(observatory.cached(run))]
    reported += ["casa_piperestorescript.py", "6.7.0.31", "An Analyst"]
    for body in (mail.text, mail.html):
        assert [fact for fact in reported if fact not in body] == []
    assert "Looks <well>." in mail.text
    assert "Looks &lt;well&gt;." in mail.html


def recorded_author(observatory, run):
    """Who gave the verdict, as the archive's two columns and the weblog in the run's directory have it."""
    (state,) = observatory.rows("SELECT qa_analyst FROM srdp_state WHERE pipeline_run_id = %s", run.pipeline_run_id)
    notes = re.search("^qa_analyst: (.*)$", observatory.results(run)[0]["qa_notes"], re.MULTILINE)
    page = (observatory.directory(run).working / WEBLOG / "qa_notes.html").read_text()
    return state["qa_analyst"], notes[1], re.search("^qa_analyst: (.*) <br>$", page, re.MULTILINE)[1]


def test_the_author_is_who_airflow_has_authenticated_whatever_the_form_says(observatory, run):
    observatory.user = "mallory"
    observatory.ingest(run, qa_analyst="Ada Lovelace")
    author = "given by mallory for Ada Lovelace"
    assert recorded_author(observatory, run) == (author, author, author)
    (claimed,) = events(observatory, run, "ingest_claimed")
    assert (claimed["requested_by"], claimed["given_by"]) == ("mallory", author)
    (mail,) = observatory.ledger.outbox.mails(run.pipeline_run_id)
    assert f"Verdict by        {author}\n" in mail.text
    observatory.user = "bob"
    observatory.ingest(run, dag_run_id=AGAIN, qa_flag="Fail", qa_comments="RFI")
    assert recorded_author(observatory, run) == ("bob", "bob", author)
    changed = observatory.ledger.outbox.mails(run.pipeline_run_id)[-1]
    assert f"Analyst: from {author} to bob" in changed.text


def test_who_tries_again_is_not_the_author(observatory, run):
    observatory.step("claim_ingest", run)
    observatory.report_failure(run, "pack_products", "The disk is full.")
    observatory.user = "bob"
    observatory.ingest(run, dag_run_id=AGAIN, qa_flag="Pass")
    assert recorded_author(observatory, run)[0] == "analyst"
    assert observatory.ingest_of(run).requested_by == "bob"
    assert "Verdict by        analyst\n" in observatory.ledger.outbox.mails(run.pipeline_run_id)[-1].text


def test_on_a_pass_the_siblings_are_superseded_and_moved_back(observatory, run):
    sibling = observatory.waiting_run(subject=run.subject)
    observatory.ingest(run)
    assert observatory.run(sibling).state is RunState.SUPERSEDED
    assert observatory.directory(sibling).root.parent == observatory.settings.processing_area
    (mail,) = observatory.ledger.outbox.mails(run.pipeline_run_id)
    assert sibling.pipeline_run_id in mail.text
    with pytest.raises(Refused, match="superseded"):
        observatory.step("claim_ingest", sibling)


@pytest.mark.parametrize("flag", ["Fail", "Null"])
def test_another_flag_archives_and_ends_nothing(observatory, run, flag):
    sibling = observatory.waiting_run(subject=run.subject)
    observatory.change(status_after_fail="Ready", status_after_null="Ready")
    observatory.ingest(run, qa_flag=flag)
    assert observatory.run(run).state is RunState.ARCHIVED
    assert observatory.run(sibling).state is RunState.AWAITING_QA
    assert observatory.directory(sibling).root.parent == observatory.settings.qa_area
    assert observatory.ledger.runs.sealed_at(run.kind, run.subject) is None
    assert observatory.status(run) == "Ready"
    assert f"QA_Status: {flag}\n" in observatory.results(run)[0]["qa_notes"]


def test_without_ngas_nothing_is_calibrated_superseded_or_sealed(observatory, run):
    sibling = observatory.waiting_run(subject=run.subject)
    observatory.change(ngas_ingest=False)
    observatory.ingest(run)
    observatory.ingest(run)
    assert observatory.run(run).state is RunState.ARCHIVED
    assert (observatory.stored(run), len(observatory.ngas.requests)) == ({}, 0)
    assert observatory.files_in_archive(run) == []
    assert observatory.status(run) == "Ready"
    assert observatory.run(sibling).state is RunState.AWAITING_QA
    assert observatory.ledger.runs.sealed_at(run.kind, run.subject) is None
    assert observatory.ledger.measurement_sets.of_run(run.pipeline_run_id) is None
    (mail,) = observatory.ledger.outbox.mails(run.pipeline_run_id)
    assert mail.subject.startswith("[SRDP] NOT IN NGAS")
    assert "NOTHING WAS PUT INTO NGAS" in mail.text
    with pytest.raises(Refused, match="nothing of it was put into NGAS"):
        observatory.step("claim_ingest", run, dag_run_id=AGAIN, qa_flag="Fail")


@pytest.mark.parametrize("kind", [VLA.kind, ALMA.kind])
@pytest.mark.parametrize("flag", ["Pass", "Null"])
def test_what_was_archived_without_ngas_is_ingested_once_more_with_it(observatory, kind, flag):
    observatory.kind = kind
    observatory.change(ngas_ingest=False)
    run = observatory.waiting_run()
    given = {
        "flag_template_text": "mode='manual' antenna='ea20'\n",
        "qa_report_text": "qa_analyst: An Analyst\nBy hand.",
    }
    observatory.ingest(run, qa_flag=flag, **given)
    sibling = observatory.waiting_run(subject=run.subject)
    observatory.change(ngas_ingest=True)
    observatory.ingest(run, dag_run_id=AGAIN, qa_flag="Pass")
    assert observatory.run(run).state is RunState.ARCHIVED
    ingest = observatory.ingest_of(run)
    assert (ingest.number, ingest.verdict.flag) == (2, "Pass")
    files = observatory.ledger.archived_files.of_ingest(ingest)
    assert {file.ngas_file_id for file in files} == {file_id for file_id, _ in observatory.stored(run)}
    assert observatory.files_in_archive(run) == sorted((file.ngas_file_id, 1, file.size_bytes) for file in files)
    if flag == "Pass":  # the same verdict: what was given with it belongs to it
        kept = [name for name in observatory.tar_members(run, 2) if name.endswith("not_used_by_this_run.txt")]
        assert len(kept) == 1
        assert ingest.verdict.report_text == "By hand."
    if kind == VLA.kind:
        assert observatory.status(run) == "Calibrated"
        assert (observatory.cached(run) / "table.dat").is_file()
    assert observatory.run(sibling).state is RunState.SUPERSEDED
    assert observatory.ledger.runs.sealed_at(run.kind, run.subject, run.request_digest) is not None
    assert observatory.mail_keys(run) == ["archived", "archived_2"]
    # The result without files has given way to the one with them.
    assert [result["locator"] for result in observatory.results(run)] == [result_locator(run.pipeline_run_id, 2)]
    (state,) = observatory.rows("SELECT qa_flag FROM srdp_state")
    assert state == {"qa_flag": "Pass"}
    before = observatory.results(run), observatory.stored(run)
    observatory.ingest(run, dag_run_id="manual__third", qa_flag="Pass")
    assert (observatory.results(run), observatory.stored(run)) == before


def test_once_more_may_fail_and_is_gone_on_with(observatory, run, monkeypatch):
    observatory.change(ngas_ingest=False)
    observatory.ingest(run)
    observatory.change(ngas_ingest=True)
    observatory.ingest(run, end="pack_products", dag_run_id=AGAIN, qa_flag="Pass")
    with monkeypatch.context() as away:
        end_ngas(observatory, away)
        with pytest.raises(AirflowException):
            observatory.execute("archive_products", run, dag_run_id=AGAIN)
        observatory.report_failure(run, "archive_products", "It is away.", dag_run_id=AGAIN)
    assert observatory.run(run).state is RunState.INGEST_FAILED
    # The archive has what was written without NGAS.
    with pytest.raises(Refused, match=r"the archive has its metadata since .* give the same verdict again"):
        withdraw(observatory, run)
    observatory.ingest(run, dag_run_id="manual__third", qa_flag="Pass")
    assert observatory.run(run).state is RunState.ARCHIVED
    assert observatory.status(run) == "Calibrated"


def test_once_more_needs_the_request_and_products_that_can_be_archived(observatory, run):
    observatory.change(ngas_ingest=False)
    observatory.ingest(run)
    observatory.change(ngas_ingest=True)
    sibling = observatory.open_run(subject=run.subject)
    with pytest.raises(Refused, match=sibling.pipeline_run_id):
        observatory.step("claim_ingest", run, dag_run_id=AGAIN)
    remove(observatory, run, CALTABLES)
    with pytest.raises(Refused, match="calibration tables"):
        observatory.step("claim_ingest", run, dag_run_id=AGAIN)
    assert observatory.run(run).state is RunState.ARCHIVED
    assert observatory.ingest_of(run).number == 1


# What is refused before the claim changes nothing, and nobody gets a mail


def remove(observatory, run, name):
    (observatory.directory(run).products / name).unlink()


def errorexit(observatory, run):
    (observatory.directory(run).working / "errorexit-20990101T000000.txt").touch()


def rename_weblog(observatory, run):
    manifest = observatory.directory(run).products / MANIFEST
    manifest.write_text(manifest.read_text().replace('weblog name="weblog.tgz"', f'weblog name="{CALTABLES}"'))


def edit_flag_template(observatory, run):
    template = observatory.directory(run).working / f"{run.subject}.flagtemplate.txt"
    template.write_text(FLAGS + "mode='manual' antenna='ea05'\n")


def put_a_flag_template_beside(observatory, run):
    (observatory.directory(run).working / "flagtemplate.txt").write_text(FLAGS + "mode='manual' antenna='ea05'\n")


def remove_flag_template(observatory, run):
    (observatory.directory(run).working / f"{run.subject}.flagtemplate.txt").unlink()


def edit_ppr(observatory, run):
    path = observatory.directory(run).processing_request
    path.write_bytes(b"<SciPipeRequest/>")
    observatory.ledger.runs.record_ppr(run.pipeline_run_id, request_sha256(observatory.directory(run)))
    path.write_bytes(path.read_bytes() + b"<!-- edited -->")


def leave_the_qa_area(observatory, run):
    shutil.move(observatory.directory(run).root, observatory.settings.processing_area)


def link_out(observatory, run):
    (observatory.directory(run).products / "passwords").symlink_to("/etc/passwd")


def link_out_of_the_weblog(observatory, run):
    (observatory.directory(run).working / WEBLOG / "casa.log").symlink_to("../../casa.log")


def no_weblog(observatory, run):
    shutil.rmtree(observatory.directory(run).working / "pipeline-20260101T000000")


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"qa_flag": "pass"}, "is not a QA flag"),
        ({"qa_report_text": "qa_status: Fail"}, "make them agree"),
        ({"qa_report_text": "qa_status: Pass", "qa_report": "/x"}, "given twice"),
        ({"qa_report_text": "qa_score: 1\nqa_score: 0"}, r"^The pasted qa_report\.txt, line 2, says"),
        ({"qa_score": "good"}, "a number from 0 to 1"),
        ({"qa_report_text": "qa_score: 80"}, "a number from 0 to 1"),
        ({"qa_analyst": "a\nqa_status: Fail"}, "qa_analyst"),
        ({"flag_template_text": "mode='manual' antena='ea01'"}, "antena"),
        ({"flag_template_text": "mode='manual' antena='ea01'", "qa_score": "2"}, r"antena(.|\n)*'2'"),
        ({"form_faults": ["'qa_comment' is not a field."]}, "'qa_comment' is not a field."),
        ({"form_faults": ["'qa_comment' is not a field."], "qa_score": "2"}, r"'qa_comment' .*\n.*'2'"),
    ],
)
def test_a_form_that_is_wrong_changes_nothing(observatory, run, form, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        observatory.step("claim_ingest", run, **form)
    untouched(observatory, run)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda observatory, run: remove(observatory, run, CALTABLES), "calibration tables"),
        (lambda observatory, run: remove(observatory, run, MANIFEST), "0 manifests"),
        (errorexit, "errorexit-20990101T000000.txt"),
        (rename_weblog, "calls the weblog"),
        (edit_flag_template, r"flagtemplate\.txt was edited after CASA had read it"),
        (remove_flag_template, r"flagtemplate\.txt was edited after CASA had read it, or removed"),
        (put_a_flag_template_beside, r"working/flagtemplate\.txt holds flag commands, and this run was not given them"),
        (edit_ppr, r"PPR\.xml was edited after CASA had read it"),
        (leave_the_qa_area, "is not in the QA area"),
        (no_weblog, "holds no weblog"),
        (link_out, "passwords.* is a symbolic link to '/etc/passwd', which is not packed"),
        (link_out_of_the_weblog, "html/casa.log.* is a symbolic link"),
        (lambda observatory, run: os.mkfifo(observatory.directory(run).products / "pipe"), "pipe.* is neither a file"),
        (lambda observatory, run: shutil.rmtree(observatory.directory(run).root), "has no directory"),
    ],
)
def test_a_run_that_cannot_be_archived_is_not_claimed(observatory, run, damage, sentence):
    damage(observatory, run)
    with pytest.raises(AirflowFailException, match=sentence):
        observatory.execute("claim_ingest", run)
    assert "awaiting_qa" in observatory.report_failure(run, "claim_ingest", "It was refused.")
    untouched(observatory, run)


@pytest.mark.parametrize("content", [FLAGS, "# only a note\n"])
def test_a_flag_template_beside_the_one_that_was_read_is_no_matter_if_it_says_no_more(observatory, run, content):
    (observatory.directory(run).working / "flagtemplate.txt").write_text(content)
    observatory.ingest(run)
    observatory.check_archived(run)


@pytest.mark.parametrize("kind", [VLA.kind, ALMA.kind])
def test_flag_commands_that_casa_was_not_given_are_not_archived_as_read(observatory, kind):
    observatory.kind = kind
    run = observatory.waiting_run(flags_read=False)
    with pytest.raises(Refused, match=r"template\.txt holds flag commands, and this run was not given them"):
        observatory.step("claim_ingest", run)
    untouched(observatory, run)
    for path in observatory.directory(run).working.glob("*template.txt"):
        path.write_text("# CASA leaves templates that hold no more than this.\n")
    observatory.ingest(run)
    observatory.check_archived(run)


@pytest.mark.parametrize(
    ("flags_read", "sentence"), [(True, "was edited after CASA had read it"), (False, "holds flag commands")]
)
def test_a_flag_template_that_is_edited_after_the_claim_is_not_archived(observatory, flags_read, sentence):
    run = observatory.waiting_run(flags_read=flags_read)
    template = observatory.directory(run).working / f"{run.subject}.flagtemplate.txt"
    read = template.read_text() if flags_read else ""
    template.write_text(read)
    until(observatory, run, "write_qa_notes")
    template.write_text("mode='manual' antenna='ea05'\n")
    with pytest.raises(Refused, match=sentence):
        observatory.step("pack_products", run)
    assert observatory.ledger.archived_files.of_ingest(observatory.ingest_of(run)) == []
    template.write_text(read)
    observatory.ingest(run, begin="pack_products")
    observatory.check_archived(run)


def test_only_a_run_that_waits_for_it_gets_a_verdict(observatory):
    run = observatory.open_run()
    with pytest.raises(Refused, match="created"):
        observatory.step("claim_ingest", run)
    untouched(observatory, run, RunState.CREATED)


def test_an_active_sibling_keeps_a_run_from_the_archive(observatory, run):
    sibling = observatory.open_run(subject=run.subject)
    with pytest.raises(Refused, match=sibling.pipeline_run_id):
        observatory.step("claim_ingest", run)
    untouched(observatory, run)


def test_of_two_passes_at_once_one_goes_on_and_the_other_touches_nothing(observatory, run):
    until(observatory, run, "pack_products")
    for name in itertools.islice(STEPS, 6):
        with pytest.raises(Refused, match="manual__pass"):
            observatory.step(name, run, dag_run_id=AGAIN, **NOTES)
    assert "is ingesting" in observatory.report_failure(run, "write_qa_notes", "It lost.", dag_run_id=AGAIN)
    assert observatory.mail_keys(run) == []
    observatory.ingest(run, begin="archive_products")
    observatory.check_archived(run)


def test_a_product_that_leads_out_fails_the_ingest_and_not_the_file_it_leads_to(observatory, run):
    observatory.step("claim_ingest", run, **NOTES)
    link_out(observatory, run)
    observatory.step("write_qa_notes", run)
    with pytest.raises(Refused, match="passwd"):
        observatory.step("pack_products", run)
    assert observatory.stored(run) == {}


# A report and a flag template from the shared file system


def test_files_are_taken_by_path_from_where_analysts_keep_them(observatory, run, tmp_path):
    folder = tmp_path / "analysts"
    folder.mkdir()
    (folder / "qa_report.txt").write_text("qa_analyst: Report Analyst\nqa_status: Pass\nLooked at everything.\n")
    (folder / "flags.txt").write_text("mode='manual' antenna='ea20'\n")
    paths = {"qa_report": str(folder / "qa_report.txt"), "flag_template": str(folder / "flags.txt")}
    with pytest.raises(InvalidInput, match="is not below a folder"):
        observatory.step("claim_ingest", run, **paths)
    untouched(observatory, run)
    observatory.change(analyst_files=(folder,))
    observatory.ingest(run, **paths)
    observatory.check_archived(run)
    verdict = observatory.ingest_of(run).verdict
    assert (verdict.analyst, verdict.report_text) == ("Report Analyst", "Looked at everything.")
    assert f"{run.subject}.flagtemplate.not_used_by_this_run.txt" in observatory.tar_members(run)


@pytest.mark.parametrize("content", [b"qa_status: \xff", b"qa_status: Pass\nqa_status: Fail"])
def test_a_report_that_cannot_be_read_is_named_by_its_path(observatory, run, content):
    report = observatory.directory(run).working / "qa_report.txt"
    report.write_bytes(content)
    with pytest.raises(InvalidInput, match=f"{report}, line"):
        observatory.step("claim_ingest", run, qa_report=str(report))
    untouched(observatory, run)


# Notes that a person wrote


@pytest.fixture
def notes(observatory, run):
    return observatory.directory(run).working / WEBLOG / "qa_notes.html"


BY_HAND = "qa_analyst: An Analyst <br>\nqa_status: Pass <br>\nqa_comments: Written by hand.\n"


@pytest.mark.parametrize("kind", [VLA.kind, ALMA.kind])
@pytest.mark.parametrize("name", ["qa_notes.html", "qa_report.txt"])
def test_notes_that_somebody_wrote_into_the_weblog_are_not_overwritten(observatory, kind, name):
    observatory.kind = kind
    run = observatory.waiting_run()
    written = observatory.directory(run).working / WEBLOG / name
    written.write_text(BY_HAND)
    if (kind, name) == (VLA.kind, "qa_report.txt"):  # is no file of such an ingest, and is there as any other
        observatory.ingest(run)
    else:
        with pytest.raises(Refused, match=f"{written} was written by somebody"):
            observatory.step("claim_ingest", run, **NOTES)
        untouched(observatory, run)
        written.rename(observatory.directory(run).working / name)
        observatory.ingest(run)
    observatory.check_archived(run)


@pytest.mark.parametrize("pasted", [True, False])
def test_notes_that_somebody_wrote_are_given_as_the_report(observatory, run, notes, pasted):
    notes.write_text(BY_HAND)
    report = {"qa_report_text": BY_HAND.rstrip()} if pasted else {"qa_report": str(notes)}
    observatory.ingest(run, **report)
    observatory.check_archived(run)
    assert "qa_comments: Written by hand." in observatory.results(run)[0]["qa_notes"]


def test_notes_without_a_word_are_nobodys(observatory, run, notes):
    notes.write_text("\n")
    observatory.ingest(run)
    observatory.check_archived(run)


@pytest.mark.parametrize("end", ["claim_ingest", "write_qa_notes"])
@pytest.mark.parametrize("withdrawn", [True, False])
def test_the_notes_of_a_former_try_are_known_as_such(observatory, run, notes, end, withdrawn):
    until(observatory, run, end)
    observatory.report_failure(run, "pack_products", "It was killed.")
    if withdrawn:
        withdraw(observatory, run)
    form = {"qa_flag": "Pass", "qa_comments": "Otherwise."} if withdrawn else {"qa_flag": "Pass"}
    ours = notes.read_text() if notes.exists() else ""
    notes.write_text(f"{ours}Mine.")
    with pytest.raises(Refused, match="was written by somebody"):
        observatory.step("claim_ingest", run, dag_run_id=AGAIN, **form)
    notes.write_text(ours)
    observatory.ingest(run, dag_run_id=AGAIN, **form)
    observatory.check_archived(run)


# The flag template that is given with the verdict


def test_a_template_that_casa_did_not_read_is_archived_as_such(observatory, run):
    other = "mode='manual' antenna='ea20'\n"
    observatory.ingest(run, flag_template_text=other)
    members = observatory.tar_members(run)
    assert members[f"{run.subject}.flagtemplate.txt"] == FLAGS.encode()
    assert members[f"{run.subject}.flagtemplate.not_used_by_this_run.txt"] == other.encode()
    (reported,) = events(observatory, run, "flag_template_given")
    assert (reported["used"], reported["note"]) == (False, "not used by this run")
    given = observatory.ledger.submitted_files.of_run(run.pipeline_run_id)["flagtemplate_given_at_ingest_1.txt"]
    assert given.content == other.encode()


def test_the_template_that_casa_read_is_archived_once(observatory, run):
    observatory.ingest(run, flag_template_text=FLAGS)
    assert [name for name in observatory.tar_members(run) if "flagtemplate" in name] == [
        f"{run.subject}.flagtemplate.txt"
    ]
    assert events(observatory, run, "flag_template_given")[0]["used"] is True


def test_a_template_is_kept_for_the_next_try_and_another_one_needs_a_withdrawal(observatory, run):
    other, third = "mode='manual' antenna='ea20'", "mode='manual' antenna='ea21'"
    until(observatory, run, "archive_products", flag_template_text=other, **NOTES)
    observatory.report_failure(run, "write_archive_metadata", "It failed.")
    with pytest.raises(Refused, match=r"No other flagtemplate.txt.*withdraw"):
        observatory.step("claim_ingest", run, dag_run_id=AGAIN, flag_template_text=third)
    assert observatory.run(run).state is RunState.INGEST_FAILED
    observatory.ingest(run, dag_run_id=AGAIN, qa_flag="Pass")
    observatory.check_archived(run)
    members = observatory.tar_members(run)
    assert members[f"{run.subject}.flagtemplate.not_used_by_this_run.txt"] == f"{other}\n".encode()


# It fails, and is given again


def fail(observatory, run, name, **options):
    with pytest.raises(AirflowException) as caught:
        observatory.execute(name, run, **options)
    return observatory.report_failure(run, name, str(caught.value), **options)


def test_a_server_that_is_away_is_notified_of_and_the_ingest_goes_on_where_it_stopped(observatory, run, monkeypatch):
    until(observatory, run, "pack_products")
    with monkeypatch.context() as away:
        end_ngas(observatory, away)
        assert "is ingest_failed" in fail(observatory, run, "archive_products")
    failed = observatory.run(run)
    assert (failed.state, observatory.status(run)) == (RunState.INGEST_FAILED, "Ready")
    assert "127.0.0.1:1" in failed.failure
    (mail,) = observatory.ledger.outbox.mails(run.pipeline_run_id)
    assert mail.key == "ingest_failed_1_1"
    assert "127.0.0.1:1" in mail.text
    assert "Looks <well>." in mail.text
    assert {"one@example.org", "manager@example.org"} <= set(mail.recipients)
    # The flag alone: the notes are kept.
    observatory.ingest(run, dag_run_id=AGAIN, qa_flag="Pass")
    observatory.check_archived(run)
    assert observatory.ingest_of(run).verdict.comments == "Looks <well>."
    assert observatory.ingest_of(run).tries == 2
    assert observatory.run(run).failure is None


def test_every_failure_has_its_mail_and_repeated_it_has_no_second(observatory, run, monkeypatch):
    until(observatory, run, "pack_products")
    end_ngas(observatory, monkeypatch)
    fail(observatory, run, "archive_products")
    observatory.report_failure(run, "archive_products", "Again.")
    observatory.ingest(run, end="pack_products", dag_run_id=AGAIN)
    fail(observatory, run, "archive_products", dag_run_id=AGAIN)
    assert observatory.mail_keys(run) == ["ingest_failed_1_1", "ingest_failed_1_2"]


def test_a_step_that_was_killed_without_a_word_is_reported(observatory, run):
    until(observatory, run, "claim_ingest")
    assert "its process was killed" in observatory.report_failure(run, "write_qa_notes", None)
    assert observatory.run(run).state is RunState.INGEST_FAILED


def test_another_verdict_needs_a_withdrawal(observatory, run):
    until(observatory, run, "claim_ingest")
    observatory.report_failure(run, "write_qa_notes", "It failed.")
    with pytest.raises(Refused, match="withdraw"):
        observatory.step("claim_ingest", run, dag_run_id=AGAIN, qa_flag="Fail")
    assert observatory.run(run).state is RunState.INGEST_FAILED


def test_what_failed_is_in_the_ledger_step_by_step(observatory, run, monkeypatch):
    until(observatory, run, "pack_products")
    end_ngas(observatory, monkeypatch)
    fail(observatory, run, "archive_products")
    (reported,) = events(observatory, run, "step_waits")
    assert reported["task"] == "archive_products"


# Products that change


def test_products_that_changed_before_anything_was_sent_are_packed_again(observatory, run):
    until(observatory, run, "pack_products")
    (observatory.directory(run).products / "more.txt").write_text("more")
    observatory.ingest(run, begin="write_qa_notes")
    observatory.check_archived(run)
    assert observatory.tar_members(run)["more.txt"] == b"more"


def test_what_was_packed_and_is_there_is_not_packed_again(observatory, run):
    until(observatory, run, "pack_products")
    (tar,) = (observatory.settings.spool_area / run.pipeline_run_id).glob("*.tar")
    before = tar.stat()
    observatory.step("pack_products", run)
    assert (tar.stat().st_ino, tar.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("lost", ["tar", "weblog", "both"])
def test_what_was_sent_and_is_lost_here_is_made_again_with_the_same_bytes(observatory, run, lost):
    until(observatory, run, "archive_products")
    observatory.report_failure(run, "write_archive_metadata", "It failed.")
    if lost in {"tar", "both"}:
        shutil.rmtree(observatory.settings.spool_area / run.pipeline_run_id)
    if lost in {"weblog", "both"}:
        remove(observatory, run, "weblog.tgz")
    observatory.ingest(run, dag_run_id=AGAIN, qa_flag="Pass")
    observatory.check_archived(run)
    assert observatory.ngas.requests.count("ARCHIVE") == 2


def test_products_that_changed_after_the_sending_need_a_withdrawal(observatory, run):
    until(observatory, run, "archive_products")
    first = observatory.stored(run)
    observatory.report_failure(run, "write_archive_metadata", "It failed.")
    (observatory.directory(run).products / "more.txt").write_text("more")
    until(observatory, run, "write_qa_notes")
    with pytest.raises(Refused, match=r"more.txt.*withdraw"):
        observatory.step("pack_products", run)
    observatory.report_failure(run, "pack_products", "It has changed.")
    withdraw(observatory, run)
    withdrawn = next(
        mail for mail in observatory.ledger.outbox.mails(run.pipeline_run_id) if mail.key.startswith("verdict")
    )
    assert "manager@example.org" in withdrawn.recipients
    assert [key for key, _ in first if key not in withdrawn.text] == []
    assert observatory.run(run).state is RunState.AWAITING_QA
    observatory.ingest(run, dag_run_id=AGAIN, qa_flag="Fail")
    assert observatory.run(run).state is RunState.ARCHIVED
    assert observatory.tar_members(run, 2)["more.txt"] == b"more"
    assert {key: data for key, data in observatory.stored(run).items() if key in first} == first
    assert {file_id for file_id, _, _ in observatory.files_in_archive(run)} == {
        f"{run.pipeline_run_id}.2.calibration.tar",
        f"{run.pipeline_run_id}.2.weblog.tgz",
    }


def test_a_weblog_that_was_changed_after_the_sending_is_refused(observatory, run):
    until(observatory, run, "archive_products")
    (observatory.directory(run).products / "weblog.tgz").write_bytes(b"another")
    (observatory.directory(run).working / WEBLOG / "t1-1.html").write_text("another")
    observatory.step("write_qa_notes", run)
    with pytest.raises(Refused, match=r"weblog.tgz.*withdraw"):
        observatory.step("pack_products", run)


# NGAS is


def test_what_ngas_lost_since_it_was_proved_is_not_reported_to_the_archive(observatory, run):
    until(observatory, run, "archive_products")
    (row,) = observatory.ngas.store.like(f"{run.pipeline_run_id}.calibration.tar")
    path = observatory.ngas.store.path(row)
    path.chmod(0o644)
    path.write_bytes(b"?" * row.file_size)
    with pytest.raises(IntegrityError, match="corrupt"):
        observatory.step("write_archive_metadata", run)
    assert (observatory.results(run), observatory.status(run)) == ([], "Ready")


def test_a_damaged_replica_is_notified_of_and_the_run_is_archived_all_the_same(observatory, run):
    """One good copy is an archived file; what is damaged is the operators' to repair."""
    until(observatory, run, "archive_products")
    store = observatory.ngas.store
    for row in store.like(f"{run.pipeline_run_id}%"):
        copied = store.copy(row, store.path(row), store.volumes[1])
        if row.file_id.endswith("tar"):
            store.path(copied).write_bytes(b"?")
    observatory.ingest(run)
    assert observatory.run(run).state is RunState.ARCHIVED
    (event,) = [
        event for event in observatory.ledger.events.of_run(run.pipeline_run_id) if event.event == "ngas_copy_damaged"
    ]
    assert event.details["found_by"] == "ingest"
    assert [copy["disk_id"] for copy in event.details["copies"]] == [store.volumes[1]]
    (mail,) = [
        mail for mail in observatory.ledger.outbox.mails(run.pipeline_run_id) if mail.key.startswith("copy_damaged_")
    ]
    assert mail.recipients == observatory.settings.operations_managers
    assert store.volumes[1] in mail.subject
    assert observatory.ngas.requests.count("ARCHIVE") == 2


def test_something_else_under_our_id_is_neither_ours_nor_overwritten(observatory, run):
    until(observatory, run, "pack_products")
    observatory.ngas.put(f"{run.pipeline_run_id}.calibration.tar", b"somebody else's")
    with pytest.raises(IntegrityError, match="something else under"):
        observatory.step("archive_products", run)
    assert observatory.stored(run) == {(f"{run.pipeline_run_id}.calibration.tar", 1): b"somebody else's"}


def stall_ngas(monkeypatch, stalling):
    """From now on a server that never answers has NGAS's address; nothing but its health would be given up soon."""
    extra = {"stall_seconds": 59, "health_seconds": 0.1}
    connection = {"conn_type": "http", "host": "127.0.0.1", "port": stalling.port, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_NGAS", json.dumps(connection))


@pytest.mark.parametrize(("step", "before", "asked"), [
    ("archive_products", "pack_products", 2), ("write_archive_metadata", "archive_products", 1),
])  # fmt: skip
def test_a_stalled_server_is_reported_soon(observatory, run, monkeypatch, step, before, asked):
    until(observatory, run, before)
    with StallingServer() as stalling:
        stall_ngas(monkeypatch, stalling)
        assert "STATUS: nothing came in time" in fail(observatory, run, step)
    assert stalling.asked == ["STATUS"] * asked
    assert observatory.mail_keys(run) == ["ingest_failed_1_1"]


def test_a_reply_that_is_lost_makes_no_second_version(observatory, run):
    until(observatory, run, "pack_products")
    observatory.ngas.faults.add("reply_lost", command="ARCHIVE", times=1)
    observatory.ingest(run, begin="archive_products")
    observatory.check_archived(run)


def test_only_a_try_that_may_be_the_second_waits_for_what_the_first_sent(observatory, run, monkeypatch):
    until(observatory, run, "pack_products")
    tries = []

    def die(_client, file, *, sent_before, **_options):
        tries.append((file.file_id.rpartition(".")[2], sent_before))
        raise ServiceUnavailable("It died.")

    with monkeypatch.context() as dying:
        replace_everywhere(dying, "srdp.domain.archiving.upload:archive", die)
        for _ in range(2):
            with pytest.raises(ServiceUnavailable):
                observatory.step("archive_products", run)
    assert tries == [("tar", False), ("tar", True)]
    observatory.ingest(run, begin="archive_products")
    observatory.check_archived(run)


# Between the archive's commit and the ledger's


def commit_without_the_ledger(observatory, run, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(type(observatory.ledger.archived_files), "mark_committed", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            observatory.step("write_archive_metadata", run)
    assert observatory.ingest_of(run).committed_at is None
    assert observatory.status(run) == "Calibrated"


def test_what_the_archive_has_is_never_called_failed(observatory, run, monkeypatch):
    until(observatory, run, "archive_products")
    commit_without_the_ledger(observatory, run, monkeypatch)
    assert "is archived" in observatory.report_failure(run, "write_archive_metadata", "It was killed.")
    assert observatory.run(run).state is RunState.ARCHIVED
    keys = observatory.mail_keys(run)
    assert keys[0] == "archived"
    assert keys[1].startswith("archived_unfinished_")
    observatory.ingest(run, dag_run_id=AGAIN, qa_flag="Pass")
    observatory.check_archived(run)


def test_an_archive_that_cannot_be_asked_is_asked_until_it_answers(observatory, run, monkeypatch):
    until(observatory, run, "archive_products")
    commit_without_the_ledger(observatory, run, monkeypatch)
    with monkeypatch.context() as away:
        away.setattr(ArchiveHook, "committed", raise_unavailable)
        assert "away" in observatory.report_failure(run, "write_archive_metadata", "It was killed.")
        assert observatory.run(run).state is RunState.INGESTING
        (unsure,) = observatory.mail_keys(run)
        assert unsure.startswith("ingest_unsure_")
    reconcile(observatory, "failed")
    assert observatory.run(run).state is RunState.ARCHIVED


def raise_unavailable(*_, **__):
    raise ServiceUnavailable("The archive is away.")


def test_an_archive_that_was_away_before_anything_was_written_is_no_doubt(observatory, run, monkeypatch):
    until(observatory, run, "archive_products")
    with monkeypatch.context() as away:
        away.setattr(ArchiveHook, "now", raise_unavailable)
        away.setattr(ArchiveHook, "committed", raise_unavailable)
        fail(observatory, run, "write_archive_metadata")
    assert observatory.run(run).state is RunState.INGEST_FAILED


def test_what_was_begun_and_not_written_is_a_failure(observatory, run, monkeypatch):
    until(observatory, run, "archive_products")
    with monkeypatch.context() as away:
        away.setattr(ArchiveHook, "commit_result", raise_unavailable)
        fail(observatory, run, "write_archive_metadata")
    assert observatory.run(run).state is RunState.INGEST_FAILED
    observatory.ingest(run, dag_run_id=AGAIN, qa_flag="Pass")
    observatory.check_archived(run)


def test_who_lost_the_run_while_ngas_was_reading_does_not_write(observatory, run, monkeypatch):
    until(observatory, run, "archive_products")
    now = ArchiveHook.now

    def lose(hook):
        observatory.report_failure(run, "write_archive_metadata", "It was taken for dead.")
        return now(hook)

    monkeypatch.setattr(ArchiveHook, "now", lose)
    with pytest.raises(Refused, match="ingest_failed"):
        observatory.step("write_archive_metadata", run)
    assert (observatory.results(run), observatory.status(run)) == ([], "Ready")


# After it is archived


def test_a_failure_after_the_archive_is_reported_and_leaves_it_archived(observatory, run, monkeypatch):
    until(observatory, run, "finish_ingest")
    with monkeypatch.context() as broken:
        replace_everywhere(broken, "srdp.domain.disk.delivery:move_directory", raise_full)
        fail(observatory, run, "keep_products")
    assert observatory.run(run).state is RunState.ARCHIVED
    reported = observatory.ledger.outbox.mails(run.pipeline_run_id)[-1]
    assert reported.subject.startswith("[SRDP] ARCHIVED, BUT")
    assert "disk" in reported.text
    observatory.ingest(run, dag_run_id=AGAIN, qa_flag="Pass")
    observatory.check_archived(run)


def raise_full(*_):
    raise DiskFull("The disk is full.")


def test_a_refused_form_for_an_archived_run_is_mailed_to_nobody(observatory, run):
    observatory.ingest(run)
    observatory.report_failure(run, "claim_ingest", "It was refused.", dag_run_id=AGAIN)
    assert observatory.mail_keys(run) == ["archived"]


def test_a_run_without_a_measurement_set_is_archived_all_the_same(observatory, run):
    shutil.rmtree(observatory.directory(run).working / f"{run.subject}.ms")
    observatory.ingest(run)
    assert observatory.run(run).state is RunState.ARCHIVED
    assert observatory.directory(run).root.parent == observatory.settings.processing_area
    assert "It is not kept for users." in observatory.ledger.outbox.mails(run.pipeline_run_id)[0].text


def test_a_link_is_not_taken_for_a_measurement_set(observatory, run, tmp_path):
    shutil.move(observatory.directory(run).working / f"{run.subject}.ms", tmp_path / "elsewhere")
    (observatory.directory(run).working / f"{run.subject}.ms").symlink_to(tmp_path / "elsewhere")
    observatory.ingest(run)
    assert not observatory.cached(run).exists()
    assert (tmp_path / "elsewhere" / "table.dat").is_file()


def test_another_runs_measurement_set_is_not_taken_through_a_linked_folder(observatory, run):
    other = observatory.waiting_run(subject=run.subject)
    until(observatory, run, "finish_ingest")
    working, others = observatory.directory(run).working, observatory.directory(other).working
    assert (others / f"{run.subject}.ms").is_dir()
    shutil.rmtree(working)
    working.symlink_to(others)
    with pytest.raises(UnsafeFile, match="working' is a symbolic link"):
        observatory.step("keep_products", run)
    assert (others / f"{run.subject}.ms").is_dir()
    assert not observatory.cached(run).exists()


def test_a_measurement_set_that_vanished_is_reported_once(observatory, run):
    until(observatory, run, "finish_ingest")
    shutil.rmtree(observatory.directory(run).working / f"{run.subject}.ms")
    with pytest.raises(Refused, match="removed by hand"):
        observatory.step("keep_products", run)
    observatory.step("keep_products", run)
    assert observatory.rows("SELECT * FROM cached_measurement_set") == []
    assert observatory.directory(run).root.parent == observatory.settings.processing_area


def test_a_cache_on_another_file_system_is_a_whole_copy(observatory, run, monkeypatch):
    monkeypatch.setattr(delivery, "_renamed", lambda *_: False)
    observatory.ingest(run)
    observatory.check_archived(run)
    assert {path.name for path in observatory.cached(run).parent.iterdir()} == {MARKER, observatory.cached(run).name}


def test_for_how_long_it_is_kept_is_what_the_retention_says(observatory, run):
    observatory.ledger.retention.set("calibrated_measurement_sets", 3)
    observatory.ingest(run)
    cached = observatory.ledger.measurement_sets.of_run(run.pipeline_run_id)
    assert (cached.expires_at - cached.cached_at).days in {2, 3}
    (row,) = observatory.rows("SELECT expires_at FROM cached_measurement_set")
    assert row["expires_at"] == cached.expires_at


def test_what_expired_does_not_come_back(observatory, run):
    observatory.ingest(run)
    shutil.rmtree(observatory.cached(run).parent)
    observatory.ledger.measurement_sets.mark_removed(run.pipeline_run_id)
    with psycopg.connect(observatory.archive_url) as archive:
        archive.execute("DELETE FROM cached_measurement_set")
    observatory.step("keep_products", run)
    assert observatory.rows("SELECT * FROM cached_measurement_set") == []


def test_a_sibling_that_cannot_be_moved_does_not_keep_the_run(observatory, run):
    sibling = observatory.waiting_run(subject=run.subject)
    until(observatory, run, "finish_ingest")
    (observatory.settings.processing_area / sibling.pipeline_run_id).symlink_to("/nowhere")
    with pytest.raises(LocalFilesError, match=sibling.pipeline_run_id):
        observatory.step("keep_products", run)
    assert observatory.directory(run).root.parent == observatory.settings.processing_area


def test_a_run_that_is_being_cleaned_up_is_left_alone(observatory, run):
    until(observatory, run, "finish_ingest")
    observatory.ledger.runs.transition(run.pipeline_run_id, RunState.CLEANING, event="cleaning")
    shutil.rmtree(observatory.directory(run).root)
    observatory.step("keep_products", run)
    assert observatory.run(run).state is RunState.CLEANING


def test_nothing_is_moved_of_a_run_that_is_not_archived(observatory, run):
    until(observatory, run, "write_archive_metadata")
    with pytest.raises(Refused, match="ingesting"):
        observatory.step("keep_products", run)
    assert observatory.directory(run).root.parent == observatory.settings.qa_area


# Another flag for what is archived


def test_a_changed_flag_changes_the_metadata_only(observatory, run):
    sibling = observatory.waiting_run(subject=run.subject)
    observatory.change(status_after_null="Ready")
    observatory.ingest(run, qa_flag="Null")
    stored, files = observatory.stored(run), observatory.files_in_archive(run)
    change = {"qa_flag": "Pass", "qa_comments": "After all."}
    observatory.ingest(run, dag_run_id=AGAIN, **change)
    observatory.ingest(run, dag_run_id=AGAIN, **change)
    assert (observatory.stored(run), observatory.files_in_archive(run)) == (stored, files)
    assert observatory.status(run) == "Calibrated"
    (calibration,) = observatory.results(run)
    assert "QA_Status: Pass" in calibration["qa_notes"]
    assert "qa_comments: After all." in calibration["qa_notes"]
    assert observatory.rows("SELECT qa_flag FROM srdp_state") == [{"qa_flag": "Pass"}]
    assert observatory.ledger.runs.sealed_at(run.kind, run.subject) is not None
    assert observatory.run(sibling).state is RunState.SUPERSEDED
    assert observatory.directory(sibling).root.parent == observatory.settings.processing_area
    assert observatory.mail_keys(run) == ["archived", "qa_flag_changed_1"]
    assert len(observatory.ledger.outbox.reindex_requests(run.pipeline_run_id)) == 2


def test_a_change_that_was_not_written_is_written_when_it_is_given_again(observatory, run):
    observatory.ingest(run, qa_flag="Null")
    observatory.step("claim_ingest", run, dag_run_id=AGAIN, qa_flag="Pass")
    assert observatory.rows("SELECT qa_flag FROM srdp_state") == [{"qa_flag": "Null"}]
    observatory.ingest(run, dag_run_id="manual__third", qa_flag="Pass")
    assert observatory.rows("SELECT qa_flag FROM srdp_state") == [{"qa_flag": "Pass"}]


def test_of_two_changes_at_once_the_archive_has_the_ledgers(observatory, run, monkeypatch):
    observatory.ingest(run, qa_flag="Null")
    observatory.step("claim_ingest", run, dag_run_id=AGAIN, qa_flag="Pass")
    change_qa = ArchiveHook.change_qa

    def change_meanwhile(hook, *arguments, **options):
        monkeypatch.setattr(ArchiveHook, "change_qa", change_qa)
        observatory.step("claim_ingest", run, dag_run_id="manual__third", qa_flag="Fail")
        observatory.step("write_archive_metadata", run, dag_run_id="manual__third")
        change_qa(hook, *arguments, **options)

    monkeypatch.setattr(ArchiveHook, "change_qa", change_meanwhile)
    observatory.step("write_archive_metadata", run, dag_run_id=AGAIN)
    assert observatory.rows("SELECT qa_flag FROM srdp_state") == [{"qa_flag": "Fail"}]


def test_no_file_comes_to_what_is_archived(observatory, run):
    observatory.ingest(run)
    with pytest.raises(Refused, match=r"No other flagtemplate\.txt"):
        observatory.step("claim_ingest", run, dag_run_id=AGAIN, qa_flag="Pass", flag_template_text=FLAGS)


# Withdrawing


def withdraw(observatory, run, reason="It is to be rerun."):
    operator = WithdrawVerdictOperator(task_id="withdraw", pipeline_run_id=run.pipeline_run_id, reason=reason)
    return operator.run_step(observatory.context("withdraw", "manual__withdraw", operator))


def test_a_withdrawal_may_be_repeated_and_lists_nothing_that_was_not_sent(observatory, run):
    until(observatory, run, "pack_products")
    observatory.report_failure(run, "archive_products", "It failed.")
    withdraw(observatory, run)
    withdraw(observatory, run)
    assert observatory.run(run).state is RunState.AWAITING_QA
    assert observatory.mail_keys(run) == ["ingest_failed_1_1", "verdict_withdrawn_1"]
    assert "Nothing of it was sent to NGAS." in observatory.ledger.outbox.mails(run.pipeline_run_id)[-1].text


def test_what_the_archive_has_is_not_withdrawn_though_the_ledger_does_not_know(observatory, run, monkeypatch):
    until(observatory, run, "archive_products")
    with monkeypatch.context() as asleep:
        asleep.setattr(ArchiveHook, "committed", lambda *_: None)
        commit_without_the_ledger(observatory, run, monkeypatch)
        observatory.report_failure(run, "write_archive_metadata", "It was killed.")
    assert observatory.run(run).state is RunState.INGEST_FAILED
    with pytest.raises(Refused, match="the archive has its metadata"):
        withdraw(observatory, run)
    observatory.ingest(run, dag_run_id=AGAIN, qa_flag="Pass")
    observatory.check_archived(run)


@pytest.mark.parametrize(("end", "state"), [("claim_ingest", "ingesting"), ("keep_products", "archived")])
def test_only_a_failed_ingest_is_withdrawn(observatory, run, end, state):
    until(observatory, run, end)
    with pytest.raises(Refused, match=state):
        withdraw(observatory, run)


def test_a_withdrawal_has_a_reason(observatory, run):
    until(observatory, run, "claim_ingest")
    observatory.report_failure(run, "write_qa_notes", "It failed.")
    with pytest.raises(InvalidInput, match="say why"):
        withdraw(observatory, run, reason=" ")
    assert observatory.run(run).state is RunState.INGEST_FAILED


# It has no live DAG run any more


def reconcile(observatory, fate, *, between=None):
    """What the DAG of every minute does when the ingest's DAG run has this state; None: it is gone."""
    looks = itertools.count()

    def count(dag_id, run_ids):
        if next(looks) == 1 and between:
            between()
        return 0 if fate is None and dag_id == DAG_ID else len(run_ids)

    task = SimpleNamespace(
        get_dr_count=count, get_dagrun_state=lambda dag_id, _run: fate if dag_id == DAG_ID else "running"
    )
    ReconcileRunsOperator(task_id="reconcile", confirm_after_seconds=0).run_step({"ti": task})


@pytest.mark.parametrize("fate", ["failed", "success", None])
def test_an_ingest_whose_dag_run_ended_without_a_word_is_reported(observatory, run, fate):
    until(observatory, run, "pack_products")
    reconcile(observatory, fate)
    assert observatory.run(run).state is RunState.INGEST_FAILED
    assert observatory.mail_keys(run) == ["ingest_failed_1_1"]
    observatory.ingest(run, dag_run_id=AGAIN, qa_flag="Pass")
    observatory.check_archived(run)


def test_an_ingest_whose_dag_run_goes_on_is_left_alone(observatory, run):
    until(observatory, run, "pack_products")
    reconcile(observatory, "running")
    assert observatory.run(run).state is RunState.INGESTING


def test_an_ingest_that_ends_between_the_two_looks_is_left_alone(observatory, run):
    until(observatory, run, "pack_products")
    reconcile(observatory, "success", between=lambda: observatory.ingest(run, begin="archive_products"))
    observatory.check_archived(run)
    assert observatory.mail_keys(run) == ["archived"]


@pytest.mark.parametrize("fate", ["failed", "success", None])
def test_what_is_archived_but_not_moved_is_reported_once(observatory, run, fate):
    until(observatory, run, "write_archive_metadata")
    observatory.ledger.events.record(
        run.pipeline_run_id, "step_failed", {"task": "finish_ingest", "sentence": "Early."}
    )
    observatory.step("finish_ingest", run)
    reconcile(observatory, "running")
    assert observatory.mail_keys(run) == ["archived"]
    reconcile(observatory, fate)
    reconcile(observatory, fate, between=lambda: pytest.fail("it is looked at again"))
    assert observatory.run(run).state is RunState.ARCHIVED
    _, reported = observatory.ledger.outbox.mails(run.pipeline_run_id)
    assert reported.key.startswith("archived_unfinished_")
    assert '"keep_products"' in reported.subject
    assert "is in the QA area still" in reported.text
    assert "Early." not in reported.text
    observatory.ingest(run, dag_run_id=AGAIN, qa_flag="Pass")
    observatory.check_archived(run)
    reconcile(observatory, fate)
    assert len(observatory.mail_keys(run)) == 2


def test_siblings_that_a_kill_left_in_the_qa_area_are_reported(observatory, run, monkeypatch):
    observatory.waiting_run(subject=run.subject)
    until(observatory, run, "finish_ingest")
    moves = [delivery.move_run_directory]

    def killed_at_the_second(*places):
        if not moves:
            raise KeyboardInterrupt
        return moves.pop()(*places)

    with monkeypatch.context() as patch:
        replace_everywhere(patch, "srdp.domain.disk.delivery:move_run_directory", killed_at_the_second)
        with pytest.raises(KeyboardInterrupt):
            observatory.step("keep_products", run)
    assert len(list(observatory.settings.qa_area.glob("vla-*"))) == 1
    reconcile(observatory, "failed")
    assert any(key.startswith("archived_unfinished_") for key in observatory.mail_keys(run))
    observatory.ingest(run, dag_run_id=AGAIN, qa_flag="Pass")
    assert list(observatory.settings.qa_area.glob("vla-*")) == []


def test_what_a_report_has_reported_of_is_not_reported_again(observatory, run):
    until(observatory, run, "finish_ingest")
    observatory.report_failure(run, "keep_products", "The disk is full.")
    reconcile(observatory, "failed")
    _, reported = observatory.ledger.outbox.mails(run.pipeline_run_id)
    assert "The disk is full." in reported.text


def test_what_is_archived_and_moved_is_left_alone(observatory, run):
    observatory.ingest(run)
    reconcile(observatory, None)
    assert observatory.mail_keys(run) == ["archived"]


def test_a_changed_flag_that_the_archive_does_not_have_is_reported_once(observatory, run):
    observatory.ingest(run, qa_flag="Null")
    observatory.step("claim_ingest", run, dag_run_id=AGAIN, qa_flag="Pass")
    reconcile(observatory, "running")
    assert observatory.mail_keys(run) == ["archived"]
    reconcile(observatory, None)
    reconcile(observatory, None)
    _, reported = observatory.ledger.outbox.mails(run.pipeline_run_id)
    assert reported.key.startswith("archived_unfinished_")
    assert "the archive does not have its QA flag Pass" in reported.text
    assert AGAIN in reported.text
    observatory.ingest(run, dag_run_id="manual__third", qa_flag="Pass")
    assert observatory.rows("SELECT qa_flag FROM srdp_state") == [{"qa_flag": "Pass"}]
    reconcile(observatory, None)
    assert observatory.mail_keys(run)[2:] == ["qa_flag_changed_1"]


def test_the_last_word_of_what_is_left_is_reported(observatory, run):
    until(observatory, run, "finish_ingest")
    observatory.ledger.events.record(run.pipeline_run_id, "step_failed", {"task": "keep_products", "sentence": "Late."})
    reconcile(observatory, None)
    _, reported = observatory.ledger.outbox.mails(run.pipeline_run_id)
    assert "what was heard last: Late." in reported.text


def test_the_last_word_of_this_try_is_reported_and_none_of_an_earlier_one(observatory, run, monkeypatch):
    until(observatory, run, "pack_products")
    with monkeypatch.context() as away:
        end_ngas(observatory, away)
        fail(observatory, run, "archive_products")
    observatory.step("claim_ingest", run, dag_run_id=AGAIN)
    reconcile(observatory, "failed")
    assert "127.0.0.1:1" not in observatory.run(run).failure
