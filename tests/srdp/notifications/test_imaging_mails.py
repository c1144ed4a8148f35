from __future__ import annotations

import dataclasses
import json
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from unittest import mock
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from srdp.domain.imaging.request import imaging_request
from srdp.domain.runs.assignment import Assignment, WaitingRun
from srdp.domain.runs.ledger_records import CasaAttempt, PipelineRun
from srdp.domain.runs.pipeline_run import qa_directory
from srdp.domain.runs.states import RunState
from srdp.families import ALMA
from srdp.notifications.imaging_mails import assignment_mails, assignment_reminder, imaging_rejected
from srdp.notifications.run_mails import calibration_failed, ready_for_review, run_has_begun

MOUS = "uid://A001/X1288/X3f"
RUN_ID = "alma-20261122-182453-4f7k"
NOW = datetime(2026, 11, 22, tzinfo=UTC)
HOSTILE = "</p><script>alert(1)</script>{{ 7*7 }}\nBcc: all@example.org\0"
CUBE = "TW_Hya, 25, 345.796, -5km/s, 0.25km/s, 80"


@pytest.fixture
def run() -> PipelineRun:
    asked = imaging_request(
        mous=MOUS, fields="TW_Hya, J1037-2934", continuum=True, cubes=CUBE, angular_resolution_arcsec=0.8,
        asked_by="A. <b>User</b>", asked_by_email="user@example.edu",
    )  # fmt: skip
    return PipelineRun(
        pipeline_run_id=RUN_ID, kind=ALMA.kind, subject=MOUS, project="2019.1.00001.S", locator="uid://x",
        version=2, state=RunState.AWAITING_QA, dag_id="alma_imaging", dag_run_id="manual__1",
        requested_by="archive-api", recipe="hifa_cubeimage", cores=8, memory_gb=248, failure=None, ppr_sha256=None,
        lowest_score=None, scores=None, created_at=NOW, state_since=NOW, request_digest=asked.digest,
        asked=asked.as_json(),
    )  # fmt: skip


SCORES = [{"stage": 9, "name": "hif_makeimages", "score": 0.2, "reason": "Beam <far> off"}]
WEBLOG = f"http://127.0.0.1:8090/runs/{RUN_ID}/working/pipeline-20261122T190000/html/t1-1.html"
QUESTION = f"http://127.0.0.1:8080/dags/alma_assign_qa/runs/{RUN_ID}/tasks/ask_who_reviews_it/required_actions"


@pytest.fixture
def directory(settings):
    directory = qa_directory(settings.areas, RUN_ID)
    (directory.working / "pipeline-20261122T190000" / "html").mkdir(parents=True)
    directory.products.mkdir()
    return directory


def ledger_with(run, scores=SCORES):
    lowest = min((row["score"] for row in scores), default=None)
    casa = CasaAttempt(pipeline_run_id=RUN_ID, attempt=1, casa_version="6.7.0-31", pipeline_version="2026.1")
    return mock.Mock(
        **{
            "runs.get.return_value": dataclasses.replace(run, scores=scores, lowest_score=lowest),
            "casa.of_run.return_value": [casa],
            "events.of_run.return_value": [],
        }
    )


def assignment(number=1, analyst="one@example.org"):
    return Assignment(
        pipeline_run_id=RUN_ID, number=number, data_analyst=analyst, assigned_by="<b>mia</b>", assigned_at=NOW
    )


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, _attrs):
        self.found.append(tag)


def says(mail, *words):
    # Lines break where they may, and HTML has its marks.
    text, html = (" ".join(body.split()) for body in (mail.text, re.sub(r"</?b\b[^>]*>", "", mail.html)))
    for word in words:
        assert word in text, word
        assert word in html, word
    assert "None" not in mail.text + mail.html
    assert "\n\n\n" not in mail.text
    assert "\N{REPLACEMENT CHARACTER}" not in mail.text
    assert "VLA" not in mail.text + mail.html
    assert "xecution block" not in mail.text + mail.html


def test_that_images_failed_qa_is_reported_to_the_managers(settings, run):
    (mail,) = imaging_rejected(settings, run, reason="Too noisy.", by="ann")
    assert (mail.key, mail.recipients) == ("imaging_rejected", settings.operations_managers)
    assert mail.subject == f"[SRDP] Failed QA: {MOUS} ({RUN_ID})"
    says(
        mail, "Too noisy.", "ann", "TW_Hya", "345.796", "user@example.edu", "archive-api", "Notify the requester",
        "http://127.0.0.1:8080/dags/alma_rerun",
    )  # fmt: skip


def test_who_was_authenticated_stands_before_who_is_said_to_ask(settings, run):
    asked = run.asked | {"asked_by": "Jane Doe", "requested_by": "archive-api"}
    (mail,) = imaging_rejected(settings, dataclasses.replace(run, asked=asked), reason="x", by="ann")
    assert "Asked for by      archive-api for Jane Doe <user@example.edu>\n" in mail.text
    assert "archive-api for Jane Doe &lt;user@example.edu&gt;" in mail.html


def test_what_was_never_reviewed_has_not_failed_qa(settings, run):
    (mail,) = imaging_rejected(settings, dataclasses.replace(run, state=RunState.FAILED), reason="Dull.", by="ann")
    assert mail.subject == f"[SRDP] Thrown away: {MOUS} ({RUN_ID})"
    says(mail, f"The images of {MOUS} are discarded before a review: the run was failed. Its directory is removed.")
    says(mail, "Dull.")
    assert "failed QA" not in mail.text + mail.html


def test_who_asked_is_notified_if_the_settings_say_so(settings, run):
    telling = settings.model_copy(update={"tell_who_asked": True, "mail_domains": ("example.edu",)})
    managers, user = imaging_rejected(telling, run, reason="Too noisy.", by="ann")
    says(managers, "is notified by mail to", "user@example.edu")
    assert (user.key, user.recipients) == ("imaging_rejected_user", ("user@example.edu",))
    says(user, "Too noisy.", MOUS, RUN_ID, "345.796", "2019.1.00001.S")
    # What is nothing to a user: who decided, and addresses that lead into the observatory.
    assert "ann" not in user.text.split()
    assert "http://" not in user.text + user.html


def test_managers_are_notified_when_requester_may_not_be(settings, run):
    managers, _ = imaging_rejected(settings.model_copy(update={"tell_who_asked": True}), run, reason="x", by="ann")
    says(managers, "Notify the requester", "no mail goes to", "user@example.edu", "SRDP_MAIL_DOMAINS")
    assert "is notified by mail" not in managers.text + managers.html


def test_requester_is_not_notified_while_a_version_is_left(settings, run):
    telling = settings.model_copy(update={"tell_who_asked": True})
    (mail,) = imaging_rejected(telling, run, reason="x", by="x", left=["alma-20261122-190000-aaaa"])
    says(mail, "The requester is not notified", "alma-20261122-190000-aaaa")
    assert "Notify the requester" not in mail.text + mail.html


@pytest.mark.parametrize("asked", [None, {"written": "by another release"}], ids=["nothing", "unreadable"])
def test_nobody_else_is_notified_when_no_address_is_known(settings, run, asked):
    telling = settings.model_copy(update={"tell_who_asked": True})
    (mail,) = imaging_rejected(telling, dataclasses.replace(run, asked=asked), reason="x", by="x")
    assert "What was asked" not in mail.text
    without = run.asked | {"asked_by_email": None}
    assert len(imaging_rejected(telling, dataclasses.replace(run, asked=without), reason="x", by="x")) == 1


def test_one_mail_has_all_that_the_managers_need(settings, run, directory):
    for name, size in (("b.log", 12), (f"{MOUS[-3:]}_sci.cont.fits", 3_400_000), ("a.tgz", 1500)):
        (directory.products / name).touch()
        (directory.products / name).open("r+b").truncate(size)
    mail = ready_for_review(settings, ledger_with(run), run, directory)
    assert (mail.key, mail.recipients) == ("ready_for_review", settings.operations_managers)
    assert mail.subject == f"[SRDP] QA ERROR 0.20: {MOUS} ({RUN_ID})"
    says(
        mail, RUN_ID, MOUS, "2019.1.00001.S", "Version", "user@example.edu", "archive-api", "TW_Hya", "J1037-2934",
        "345.796", "0.8 arcsec", "3.4 MB", "1.5 kB", "12 bytes", "X3f_sci.cont.fits", "hif_makeimages", "6.7.0-31",
        "2026.1", WEBLOG, f"http://127.0.0.1:8090/runs/{RUN_ID}/", str(directory.root), QUESTION, "one@example.org",
    )  # fmt: skip
    # What is looked for first comes first.
    assert mail.text.index("_sci.cont.fits") < mail.text.index("a.tgz") < mail.text.index("b.log")
    assert "dags/alma_ingest" not in mail.text


def test_each_analyst_has_an_address_that_chooses_that_one(settings, run, directory):
    odd = settings.model_copy(update={"alma_data_analysts": ("a%41+b@example.org",)})
    mail = ready_for_review(odd, ledger_with(run, []), run, directory)
    (address,) = [word for word in mail.text.split() if "_options" in word]
    # As the page reads it: once by the browser, once by the page.
    (options,) = parse_qs(urlsplit(address).query)["_options"]
    assert json.loads(unquote(options)) == ["a%41+b@example.org"]
    assert mail.subject == f"[SRDP] NO QA SCORE: {MOUS} ({RUN_ID})"


def test_products_without_end_are_cut(settings, run, directory):
    for number in range(103):
        (directory.products / f"{number:03d}.fits").touch()
    mail = ready_for_review(settings, ledger_with(run), run, directory)
    says(mail, "099.fits", "and 3 more in products/")
    assert "100.fits" not in mail.text


@pytest.mark.parametrize("broken", ["missing", "no directory"])
def test_it_is_reported_when_the_products_cannot_be_listed(settings, run, directory, broken):
    directory.products.rmdir()
    if broken == "no directory":
        directory.products.write_text("")
    says(ready_for_review(settings, ledger_with(run), run, directory), "none is listed")


def test_a_failure_is_reported_to_the_managers(settings, run, directory):
    mail = calibration_failed(settings, run, step="Run CASA", cause="It <ran> out of memory.", directory=directory)
    assert mail.recipients == settings.operations_managers
    assert mail.subject == f'[SRDP] FAILED at "Run CASA": {MOUS} ({RUN_ID})'
    says(mail, "The imaging", "ALMA rerun", "dags/alma_rerun", "345.796", "user@example.edu", WEBLOG)
    assert "It <ran> out of memory." in mail.text
    assert "assign" not in mail.text.lower()


def test_a_failure_shows_the_scores_and_products_that_there_are(settings, run, directory):
    (directory.products / "half.fits").write_bytes(b"x" * 1500)
    scored = dataclasses.replace(
        run, scores=[{"stage": 3, "name": "hif_findcont", "score": 0.12, "reason": "no continuum"}], lowest_score=0.12
    )
    mail = calibration_failed(settings, scored, step="Judge", cause="No science image.", directory=directory)
    says(mail, "hif_findcont", "0.12", "no continuum", "half.fits", "1.5 kB")
    says(calibration_failed(settings, run, step="x", cause="x", directory=directory), "QA scores", "none")


def test_that_it_has_begun_says_of_what(settings, run):
    says(run_has_begun(settings, run), "The imaging")


def test_who_gets_a_run_is_notified_what_to_do(settings, run, directory):
    (mail,) = assignment_mails(settings, dataclasses.replace(run, lowest_score=0.4), assignment(), None)
    assert (mail.key, mail.recipients) == ("qa_assigned_1", ("one@example.org",))
    says(
        mail, RUN_ID, WEBLOG, "dags/alma_ingest", "dags/alma_rerun", "dags/alma_qa_fail", "dags/alma_assign_qa", "0.40",
        "345.796", "user@example.edu", str(directory.root),
    )  # fmt: skip
    assert "before" not in mail.text
    assert "<b>mia</b>" in mail.text
    assert "<b>mia</b>" not in mail.html


@pytest.mark.parametrize(
    ("scores", "subject"),
    [
        (SCORES, "QA ERROR 0.20, for your review: "),
        ([{**SCORES[0], "score": 0.9}], "For your review: "),
        ([], "NO QA SCORE, for your review: "),
    ],
)
def test_assignment_mail_has_scores_and_bad_ones_in_subject(settings, run, directory, scores, subject):
    lowest = min((row["score"] for row in scores), default=None)
    scored = dataclasses.replace(run, scores=scores, lowest_score=lowest)
    (mail,) = assignment_mails(settings, scored, assignment(), None)
    assert mail.subject == f"[SRDP] {subject}{MOUS} ({RUN_ID})"
    says(mail, *(["hif_makeimages", "0.20", "error"] if scores == SCORES else ["QA scores"]))


def test_who_had_it_before_is_notified_too(settings, run):
    new, former = assignment_mails(settings, run, assignment(2, "two@example.org"), assignment())
    assert [(mail.key, mail.recipients) for mail in (new, former)] == [
        ("qa_assigned_2", ("two@example.org",)),
        ("qa_reassigned_2", ("one@example.org",)),
    ]
    says(new, "one@example.org had it before")
    says(former, "not yours to review any more", "two@example.org")


@pytest.mark.parametrize(("hours", "waited"), [(0.5, "30 minutes"), (1, "1 hour"), (30, "30 hours"), (75, "3 days")])
def test_a_reminder_says_who_is_waited_for(settings, run, hours, waited):
    nobody = WaitingRun(run=run, assignment=None, reminders=0, reminded_at=None)
    mail = assignment_reminder(settings, nobody, NOW + timedelta(hours=hours))
    assert (mail.key, mail.recipients) == ("assignment_reminder_0_1", settings.operations_managers)
    assert mail.subject == f"[SRDP] STILL NOT ASSIGNED after {waited}: {MOUS} ({RUN_ID})"
    says(mail, waited, QUESTION, "two@example.org")
    given = dataclasses.replace(nobody, assignment=assignment(2), reminders=4, reminded_at=NOW)
    mail = assignment_reminder(settings, given, NOW + timedelta(hours=hours))
    assert (mail.key, mail.recipients) == ("assignment_reminder_2_5", ("one@example.org", "manager@example.org"))
    assert mail.subject == f"[SRDP] STILL TO REVIEW after {waited}: {MOUS} ({RUN_ID})"
    says(mail, waited, "dags/alma_ingest", "dags/alma_assign_qa", "2026-11-22 at 00:00 UTC")


def hostile(run):
    return dataclasses.replace(run, subject=HOSTILE, project=HOSTILE, requested_by=HOSTILE)


def hostile_reminder(settings, run, given):
    waiting = WaitingRun(run=hostile(run), assignment=given, reminders=0, reminded_at=None)
    return [assignment_reminder(settings, waiting, NOW)]


def hostile_ready(settings, run, directory):
    (directory.products / HOSTILE.replace("/", "").rstrip("\0")).touch()
    scores = [{"stage": HOSTILE, "name": HOSTILE, "score": 0.1, "reason": HOSTILE}]
    return [ready_for_review(settings, ledger_with(hostile(run), scores), hostile(run), directory)]


HOSTILE_ASSIGNMENT = dataclasses.replace(assignment(), assigned_by=HOSTILE)


@pytest.mark.parametrize(
    "mails",
    [
        lambda settings, run, _: imaging_rejected(settings, hostile(run), reason=HOSTILE, by=HOSTILE),
        lambda settings, run, _: assignment_mails(settings, hostile(run), HOSTILE_ASSIGNMENT, HOSTILE_ASSIGNMENT),
        lambda settings, run, _: hostile_reminder(settings, run, HOSTILE_ASSIGNMENT),
        lambda settings, run, _: hostile_reminder(settings, run, None),
        hostile_ready,
    ],
    ids=["rejected", "assigned", "still to review", "still not assigned", "ready"],
)
def test_hostile_values_stay_values(settings, run, directory, mails):
    telling = settings.model_copy(update={"tell_who_asked": True})
    for mail in mails(telling, run, directory):
        assert "script" not in Tags(mail.html).found
        assert "49" not in mail.subject
        assert mail.subject.isprintable()
        assert "\0" not in mail.text + mail.html
