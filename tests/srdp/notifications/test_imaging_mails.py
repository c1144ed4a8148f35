from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from srdp.domain.imaging_request import imaging_request
from srdp.domain.ledger_records import ALMA_IMAGING, PipelineRun
from srdp.domain.states import RunState
from srdp.notifications.imaging_mails import imaging_rejected

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
        pipeline_run_id=RUN_ID, kind=ALMA_IMAGING, subject=MOUS, project="2019.1.00001.S", locator="uid://x",
        version=2, state=RunState.AWAITING_QA, dag_id="alma_imaging", dag_run_id="manual__1",
        requested_by="archive-api", recipe="hifa_cubeimage", cores=8, memory_gb=248, failure=None, ppr_sha256=None,
        lowest_score=None, scores=None, created_at=NOW, state_since=NOW, request_digest=asked.digest,
        asked=asked.as_json(),
    )  # fmt: skip


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, _attrs):
        self.found.append(tag)


def says(mail, *words):
    for word in words:
        assert word in mail.text, word
        assert word in mail.html, word
    assert "None" not in mail.text + mail.html
    assert "\n\n\n" not in mail.text
    assert "\N{REPLACEMENT CHARACTER}" not in mail.text
    assert "VLA" not in mail.text + mail.html
    assert "xecution block" not in mail.text + mail.html


def test_that_images_failed_qa_is_told_to_the_managers(settings, run):
    (mail,) = imaging_rejected(settings, run, reason="Too noisy.", by="ann")
    assert (mail.key, mail.recipients) == ("imaging_rejected", settings.operations_managers)
    assert mail.subject == f"[SRDP] Failed QA: {MOUS} ({RUN_ID})"
    says(
        mail, "Too noisy.", "ann", "TW_Hya", "345.796", "user@example.edu", "archive-api", "Tell who asked",
        "http://127.0.0.1:8080/dags/alma_rerun",
    )  # fmt: skip


def test_who_asked_is_told_if_the_setting_says_so(settings, run):
    telling = settings.model_copy(update={"tell_who_asked": True})
    managers, user = imaging_rejected(telling, run, reason="Too noisy.", by="ann")
    says(managers, "is told, by mail to", "user@example.edu")
    assert (user.key, user.recipients) == ("imaging_rejected_user", ("user@example.edu",))
    says(user, "Too noisy.", MOUS, RUN_ID, "345.796", "2019.1.00001.S")
    # What is nothing to a user: who decided, and addresses that lead into the observatory.
    assert "ann" not in user.text.split()
    assert "http://" not in user.text + user.html


@pytest.mark.parametrize("asked", [None, {"written": "by another release"}], ids=["nothing", "unreadable"])
def test_nobody_else_is_told_when_no_address_is_known(settings, run, asked):
    telling = settings.model_copy(update={"tell_who_asked": True})
    (mail,) = imaging_rejected(telling, dataclasses.replace(run, asked=asked), reason="x", by="x")
    assert "What was asked" not in mail.text
    without = run.asked | {"asked_by_email": None}
    assert len(imaging_rejected(telling, dataclasses.replace(run, asked=without), reason="x", by="x")) == 1


@pytest.mark.parametrize(
    "mails",
    [lambda settings, run: imaging_rejected(settings, run, reason=HOSTILE, by=HOSTILE)],
    ids=["rejected"],
)
def test_hostile_values_stay_values(settings, run, mails):
    telling = settings.model_copy(update={"tell_who_asked": True})
    for mail in mails(telling, dataclasses.replace(run, subject=HOSTILE, project=HOSTILE, requested_by=HOSTILE)):
        assert "script" not in Tags(mail.html).found
        assert "49" not in mail.subject
        assert mail.subject.isprintable()
        assert "\0" not in mail.text + mail.html
