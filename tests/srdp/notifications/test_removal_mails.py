from __future__ import annotations

from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from srdp.domain.common.errors import Refused
from srdp.domain.runs.ledger_records import PipelineRun
from srdp.domain.runs.states import RunState
from srdp.families import ALMA, VLA
from srdp.notifications.removal_mails import mark_incomplete, rejected, removal_incomplete

EB = "13A-537.sb24066356.eb24324502.56514.05971091435"
HOSTILE = "</p><script>alert(1)</script>{{ 7*7 }}\nBcc: all@example.org\0"


def run(number: int = 1, subject: str = EB) -> PipelineRun:
    now = datetime.now(UTC)
    return PipelineRun(
        pipeline_run_id=f"vla-20261122-182453-4f7{number}", kind="vla_calibration", subject=subject, project="13A-537",
        locator="x", version=number, state=RunState.AWAITING_QA, dag_id="vla_calibration", dag_run_id="x",
        requested_by="x", recipe="x", cores=1, memory_gb=1, failure=None, ppr_sha256=None, lowest_score=None,
        scores=None, created_at=now, state_since=now,
    )  # fmt: skip


def mail_of(settings, runs, *, reason="Too windy.", kept=()):
    return rejected(
        settings, runs, reason=reason, by="an analyst", kept=kept, dag_id="vla_qa_fail", dag_run_id="manual__1"
    )


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, _attrs):
        self.found.append(tag)


def test_one_run_is_named_in_the_subject(settings):
    mail = mail_of(settings, [run()])
    assert mail.subject == f"[SRDP] Failed QA: {EB} (vla-20261122-182453-4f71)"
    assert (mail.key, mail.recipients) == ("rejected", settings.data_analysts)
    for text in (mail.text, mail.html):
        for said in (
            "Too windy.",
            "an analyst",
            "To be marked Do Not Calibrate in the archive; if that fails, a further mail says so",
            "vla_rerun",
            "dags/vla_qa_fail/runs/manual__1",
        ):
            assert said in text
        assert "Left as it is" not in text
    assert "SRDP &middot; VLA calibration<" in mail.html


def test_the_versions_of_an_execution_block_are_one_thing(settings):
    mail = mail_of(settings, [run(1), run(2)], kept={EB})
    assert mail.subject == f"[SRDP] Failed QA: {EB}"
    for text in (mail.text, mail.html):
        assert "vla-20261122-182453-4f71" in text
        assert "vla-20261122-182453-4f72" in text
        assert "Left as it is in the archive" in text
        assert "Do Not Calibrate" not in text


def test_a_project_is_counted(settings):
    mail = mail_of(settings, [run(1), run(2, EB.replace("eb24324502", "eb24324503"))])
    assert mail.subject == "[SRDP] Failed QA: 2 execution blocks of 13A-537"


def test_what_is_left_is_reported_once_for_the_same_problems(settings):
    def mail(**problems):
        return removal_incomplete(
            settings, VLA, {name: Refused(why) for name, why in problems.items()}, dag_id="vla_qa_fail", dag_run_id="r"
        )

    one = mail(run="/x: Device or resource busy")
    assert one.subject == "[SRDP] NOT REMOVED: run"
    assert "/x: Device or resource busy" in one.text
    assert one.key == mail(run="/x: Device or resource busy").key
    assert one.key != mail(run="/x: Permission denied").key
    assert mail(a="x", b="y").subject == "[SRDP] NOT REMOVED: 2 rejected runs"


def test_missing_mark_is_reported_once(settings):
    def mail(cause="It is away.", numbers=(1,)):
        runs = [run(number) for number in numbers]
        return mark_incomplete(settings, runs, cause=cause, dag_id="vla_qa_fail", dag_run_id="manual__1")

    one = mail()
    assert one.subject == f"[SRDP] NOT MARKED Do Not Calibrate: {EB}"
    assert one.recipients == settings.data_analysts
    for text in (one.text, one.html):
        for said in ("It is away.", "dags/vla_qa_fail", "runs/manual__1", "vla-20261122-182453-4f71", "VLA QA fail"):
            assert said in text
    assert "SRDP &middot; VLA calibration<" in one.html
    assert one.key == mail().key
    assert len({one.key, mail("Something else.").key, mail(numbers=(1, 2)).key}) == 3


@pytest.mark.parametrize(("family", "reported"), [(VLA, "data_analysts"), (ALMA, "operations_managers")])
def test_what_is_left_is_reported_to_those_who_take_it_on(settings, family, reported):
    mail = removal_incomplete(settings, family, {"run": Refused("x")}, dag_id="d", dag_run_id="r")
    assert mail.recipients == getattr(settings, reported)
    assert f"SRDP &middot; {family.label} {family.action}<" in mail.html


@pytest.mark.parametrize(
    "mail",
    [
        lambda settings: mail_of(settings, [run(subject=HOSTILE)], reason=HOSTILE),
        lambda settings: mail_of(settings, [run(subject=HOSTILE)], reason=HOSTILE, kept={HOSTILE}),
        lambda settings: mark_incomplete(settings, [run(subject=HOSTILE)], cause=HOSTILE, dag_id="d", dag_run_id="r"),
        lambda settings: removal_incomplete(settings, VLA, {HOSTILE: Refused(HOSTILE)}, dag_id="d", dag_run_id="r"),
    ],
)
def test_hostile_values_stay_values(settings, mail):
    made = mail(settings)
    assert "script" not in Tags(made.html).found
    assert "49" not in made.subject
    assert made.subject.isprintable()
    assert "\0" not in made.text + made.html
