from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from srdp.domain.retention.expiry import Expiring, ExpiryReport
from srdp.notifications.expiry_report import expiry_not_done, expiry_report

NOW = datetime(2026, 11, 22, 5, 30, tzinfo=UTC)
RUN = "vla-20261122-182453-4f7k"
THING = Expiring(
    kind="failed", pipeline_run_id=RUN, subject="13A-537.sb1", since=NOW, expires_at=NOW, size_bytes=1_500_000_000
)
NOTHING = ExpiryReport(now=NOW, dry_run=False)


@pytest.fixture
def mail(settings):
    return lambda report: expiry_report(
        settings, report, dag_id="expire_processing_area", dag_run_id="scheduled__2026-11-22T05:30:00+00:00"
    )


def test_it_goes_to_analysts_and_managers_once_each(settings, mail):
    assert mail(NOTHING).recipients == ("one@example.org", "two@example.org", "manager@example.org")


def test_one_that_could_not_look_says_why(settings):
    cause = "The QA area /lustre/<qa> is not there."
    reported = expiry_not_done(settings, cause=cause, dag_id="expire_processing_area", dag_run_id="scheduled__1")
    assert reported.subject.startswith("[SRDP] EXPIRY: stopped before its end")
    assert reported.recipients == ("one@example.org", "two@example.org", "manager@example.org")
    assert cause in reported.text
    assert cause.replace("<", "&lt;").replace(">", "&gt;") in reported.html
    for text in (reported.text, reported.html):
        assert "dags/expire_processing_area/runs/scheduled__1" in text
    assert_balanced(reported.html)


def test_it_is_of_no_family(settings, mail):
    """What expires is of all of them."""
    reported = expiry_not_done(settings, cause="x", dag_id="d", dag_run_id="r")
    for html in (mail(NOTHING).html, reported.html):
        assert ">SRDP<" in html


@pytest.mark.parametrize(
    ("changes", "subject"),
    [
        ({"removed": [THING, THING]}, "[SRDP] Expired: 2 removed, 3.000 GB"),
        ({"removed": [THING], "failed": [THING]}, "[SRDP] EXPIRY: 1 could not be removed"),
        ({"removed": [THING], "problems": ("x",)}, "[SRDP] EXPIRY: the retention file has a mistake"),
        ({"coming": [THING]}, "[SRDP] Expiry: 1 will be removed within a week"),
    ],
)
def test_the_subject_says_the_worst(mail, changes, subject):
    assert mail(replace(NOTHING, **changes)).subject == subject


def test_everything_is_reported(settings, mail):
    failed = replace(THING, pipeline_run_id="vla-20261122-182453-4f7m", why="The archive <lost> it.")
    reported = mail(
        replace(
            NOTHING,
            removed=[THING],
            failed=[failed],
            kept=[replace(THING, why="A rerun needs it.")],
            coming=[replace(THING, expires_at=datetime(2026, 11, 25, tzinfo=UTC))],
            problems=("retention.txt, line 7: wrong.",),
            unknown_entries=("/processing/notes belongs to no pipeline run.",),
        )
    )
    for said in (
        "1 expired and was removed, which gave 1.500 GB", RUN, "vla-20261122-182453-4f7m", "2026-11-25",
        "Will be removed until 2026-11-29, 1.500 GB", "A rerun needs it.", "retention.txt, line 7: wrong.",
        "/processing/notes belongs", str(settings.retention), "13A-537.sb1",
        "http://127.0.0.1:8080/dags/expire_processing_area",
        "/runs/scheduled__2026-11-22T05%3A30%3A00%2B00%3A00",
    ):  # fmt: skip
        assert said in reported.text, said
        assert said in reported.html, said
    assert "The archive <lost> it." in reported.text
    assert "The archive &lt;lost&gt; it." in reported.html
    assert "None" not in reported.text + reported.html
    assert "\n\n\n" not in reported.text
    assert_balanced(reported.html)


def test_a_mail_about_one_thing_has_no_empty_sections(mail):
    reported = mail(replace(NOTHING, coming=[THING]))
    assert reported.text.startswith("Nothing was removed.\n1 will be removed within a week.\n\nWill be removed until")
    assert "Could not" not in reported.text
    assert "ledger" not in reported.text
    assert "\n\n\n" not in reported.text
    assert_balanced(reported.html)


def test_it_stays_readable_however_much_there_is(mail):
    reported = mail(replace(NOTHING, removed=[THING] * 5000, unknown_entries=("x",) * 5000))
    assert "and 4950 more" in reported.text
    assert "and 4950 more" in reported.html
    assert len(reported.text) < 20_000


def test_hostile_values_stay_values(mail):
    hostile = "</table><script>alert(1)</script>{{ 7*7 }}\nBcc: all@example.org\0"
    reported = mail(
        replace(
            NOTHING,
            failed=[replace(THING, subject=hostile, why=hostile)],
            problems=(hostile,),
            unknown_entries=(hostile,),
        )
    )
    assert "<script" not in reported.html
    assert "\0" not in reported.text + reported.html
    assert reported.subject.isprintable()
    assert_balanced(reported.html)


def assert_balanced(html):
    open_tags = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag, _attrs):
            if tag not in {"meta", "br"}:
                open_tags.append(tag)

        def handle_endtag(self, tag):
            assert open_tags.pop() == tag

    Reader().feed(html)
    assert open_tags == []
