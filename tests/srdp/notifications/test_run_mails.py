from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from unittest import mock

import pytest

from srdp.domain.casa.end_report import CasaEnd
from srdp.domain.runs.ledger_records import CasaAttempt, Event, PipelineRun
from srdp.domain.runs.pipeline_run import processing_directory, qa_directory
from srdp.domain.runs.states import RunState
from srdp.notifications.run_mails import calibration_failed, ready_for_review, run_has_begun, run_not_started

RUN_ID = "vla-20261122-182453-4f7k"
EB = "13A-537.sb24066356.eb24324502.56514.05971091435"
NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture
def run():
    return PipelineRun(
        pipeline_run_id=RUN_ID, kind="vla_calibration", subject=EB, project="13A-537", locator="uid://x",
        version=2,
        state=RunState.PROCESSING, dag_id="vla_calibration", dag_run_id="manual__2026-11-22T18:24:53+00:00",
        requested_by="<b>an analyst</b>", recipe="vla_calibration", cores=8, memory_gb=248, failure=None,
        ppr_sha256=None, lowest_score=None, scores=None, created_at=NOW, state_since=NOW,
    )  # fmt: skip


@pytest.fixture
def directory(settings):
    directory = processing_directory(settings.areas, RUN_ID)
    for name in ("pipeline-20261122T182500", "pipeline-20261122T190000"):
        (directory.working / name / "html").mkdir(parents=True)
    return directory


def ledger_with(run, scores, *judgements, former=None):
    numbers = [row["score"] for row in scores if row["score"] is not None]
    recorded = replace(run, scores=scores, lowest_score=min(numbers, default=None))
    casa = CasaAttempt(
        pipeline_run_id=RUN_ID, attempt=1, casa_version="6.7.0-31", pipeline_version="2026.1", exit_code=0
    )
    events = [
        Event(
            pipeline_run_id=RUN_ID, happened_at=NOW, event="judged", details={"proved": True, "warnings": warnings},
            state_before=None, state_after=None,
        )
        for warnings in judgements
    ]  # fmt: skip
    runs = {each.pipeline_run_id: each for each in (recorded, former) if each is not None}
    return mock.Mock(
        **{
            "runs.get.side_effect": runs.__getitem__,
            "casa.of_run.return_value": [casa],
            "events.of_run.return_value": events,
        }
    )


SAID = CasaEnd(
    stage="hifv_checkflag (stage 8 of 20, its 2nd of 3 occurrences)",
    error=("Error executing pipeline task hifv_checkflag.", "KeyError: spw"),
    log=Path("/lustre/processing/vla-20261122-182453-4f7k/working/casa-20261122-182500.log"),
    log_tail=("first <line>", "SEVERE last line"),
    stderr=(),
)
SCORES = [
    {"stage": 1, "name": "hifv_importdata", "score": 1.0, "reason": "All <is> well"},
    {"stage": 2, "name": "hifv_hanning", "score": None, "reason": None},
    {"stage": 3, "name": "hifv_fluxboot", "score": 0.5, "reason": "So so"},
]
LINKS = (
    "http://127.0.0.1:8080/dags/vla_calibration/runs/manual__2026-11-22T18%3A24%3A53%2B00%3A00",
    f"http://127.0.0.1:8090/runs/{RUN_ID}/",
)
WEBLOG = f"http://127.0.0.1:8090/runs/{RUN_ID}/working/pipeline-20261122T190000/html/t1-1.html"


def test_begun(settings, run):
    mail = run_has_begun(settings, run)
    assert mail.subject == f"[SRDP] Begun: {EB} ({RUN_ID})"
    assert_says(mail, RUN_ID, EB, "13A-537", "8 cores, 248 GB", *LINKS)
    assert mail.recipients == settings.data_analysts


GIVEN = [
    {"name": "PPR.as_given.xml", "source": "/lustre/mine.xml", "sha256": "a" * 64},
    {"name": "PPR.xml", "source": "adapted from /lustre/mine.xml", "sha256": "b" * 64},
    {"name": "antennapos.csv", "source": "pasted", "sha256": "c" * 64},
    {"name": "flagtemplate.txt", "source": "/lustre/<b>\nflags.txt", "sha256": "d" * 64},
]


def happened(event, **details):
    return Event(
        pipeline_run_id=RUN_ID, happened_at=NOW, event=event, details=details, state_before=None, state_after=None
    )


def test_the_mails_of_a_rerun_say_which_files_were_taken(settings, run, directory):
    rerun = replace(run, former_run="vla-20261121-182453-4f7k")
    events = [
        happened("opened", files=GIVEN),
        happened("submitted_file_edited", name="antennapos.csv", sha256_submitted="c" * 64, sha256_edited="e" * 64),
    ]
    ledger = ledger_with(rerun, SCORES, former=replace(run, pipeline_run_id=rerun.former_run))
    ledger.events.of_run.return_value = events
    for mail in (run_has_begun(settings, rerun, events), ready_for_review(settings, ledger, rerun, directory)):
        for said in (
            "PPR.xml", "adapted from /lustre/mine.xml", "b" * 64, ": /lustre/mine.xml", "a" * 64,
            "edited in working/ before CASA was started", "e" * 64,
            "The PPR was adapted to the other files",
        ):  # fmt: skip
            assert_says(mail, said)
        assert "/lustre/<b> flags.txt" in mail.text
        assert "/lustre/&lt;b&gt; flags.txt" in mail.html
        assert "c" * 64 not in mail.text


def test_mails_say_whether_the_recipe_was_used(settings, run):
    rerun = replace(run, former_run="vla-20261121-182453-4f7k")
    assert_says(run_has_begun(settings, rerun, [happened("opened")]), "recipe vla_calibration")
    assert "Files of this rerun" not in run_has_begun(settings, run, [happened("opened")]).text


def test_ready_for_review(settings, run, directory):
    mail = ready_for_review(settings, ledger_with(run, SCORES), run, directory)
    assert mail.subject == f"[SRDP] Ready for review: {EB} ({RUN_ID})"
    assert_says(
        mail, RUN_ID, EB, "13A-537", WEBLOG, str(directory.root), "hifv_fluxboot", "0.50", "So so", "6.7.0-31", *LINKS
    )
    assert "All <is> well" in mail.text
    assert "All &lt;is&gt; well" in mail.html
    assert "error" not in mail.text.lower()


DAGS = ("vla_qa_pass", "vla_qa_fail", "vla_rerun")


def test_ready_for_review_names_what_comes_next(settings, run, directory):
    mail = ready_for_review(settings, ledger_with(run, SCORES), run, directory)
    assert_says(mail, "VLA QA pass", "VLA QA fail", "VLA rerun")
    for dag in DAGS:
        assert f"  http://127.0.0.1:8080/dags/{dag}\n" in mail.text
        assert f'href="http://127.0.0.1:8080/dags/{dag}"' in mail.html
    assert "Compare" not in mail.text + mail.html


@pytest.mark.parametrize("dag", DAGS)
def test_what_a_mail_names_is_a_dag(dag):
    assert f"def {dag}(" in (Path(__file__).parents[3] / "dags" / f"{dag}.py").read_text()


FORMER_ID = "vla-20261121-101112-8q2z"
FORMER_WEBLOG = f"http://127.0.0.1:8090/runs/{FORMER_ID}/working/pipeline-20261121T120000/html/t1-1.html"


@pytest.fixture
def former(run):
    return replace(run, pipeline_run_id=FORMER_ID, version=1, lowest_score=0.21, state=RunState.AWAITING_QA)


def test_a_rerun_is_shown_beside_the_run_that_it_repeats(settings, run, directory, former):
    (qa_directory(settings.areas, FORMER_ID).working / "pipeline-20261121T120000" / "html").mkdir(parents=True)
    rerun = replace(run, former_run=FORMER_ID)
    mail = ready_for_review(settings, ledger_with(rerun, SCORES, former=former), rerun, directory)
    assert_says(
        mail, "Compare it with version 1", FORMER_ID, FORMER_WEBLOG, WEBLOG, "0.21", "0.50",
        f"http://127.0.0.1:8090/runs/{FORMER_ID}/", *LINKS,
    )  # fmt: skip


def test_a_former_run_that_is_gone_is_named_all_the_same(settings, run, directory, former):
    former = replace(former, lowest_score=None, state=RunState.CLEANED)
    rerun = replace(run, former_run=FORMER_ID)
    mail = ready_for_review(settings, ledger_with(rerun, SCORES, former=former), rerun, directory)
    assert_says(mail, FORMER_ID, "not there any more", "none was found")
    assert f"http://127.0.0.1:8090/runs/{FORMER_ID}/" not in mail.text + mail.html


def test_warnings_at_opening_are_reported_first(settings, run, directory):
    ledger = ledger_with(run, SCORES, ["from the judgement"])
    opened = replace(ledger.events.of_run()[0], event="opened", details={"warnings": ["the cube <is> large"]})
    ledger.events.of_run.return_value = [opened, *ledger.events.of_run()]
    mail = ready_for_review(settings, ledger, run, directory)
    assert "Warnings\n  - the cube <is> large\n  - from the judgement\n" in mail.text
    assert "the cube &lt;is&gt; large" in mail.html


def test_what_the_last_judgement_warns_of_is_reported(settings, run, directory):
    warning = "The CASA was '6.7.0', but '6.6.1' in the former run."
    mail = ready_for_review(settings, ledger_with(run, SCORES, ["no more"], [warning]), run, directory)
    assert f"Warnings\n  - {warning}\n" in mail.text
    assert warning.replace("'", "&#39;") in mail.html
    assert "no more" not in mail.text + mail.html
    assert "Warnings" not in ready_for_review(settings, ledger_with(run, SCORES, []), run, directory).text


@pytest.mark.parametrize(("score", "shown"), [(0.0, "0.00"), (0.33, "0.33"), (-0.1, "-0.10")])
def test_a_qa_error_stands_in_the_subject(settings, run, directory, score, shown):
    scores = [*SCORES, {"stage": 4, "name": "hifv_applycals", "score": score, "reason": "Nothing was calibrated"}]
    mail = ready_for_review(settings, ledger_with(run, scores), run, directory)
    assert mail.subject == f"[SRDP] QA ERROR {shown}: {EB} ({RUN_ID})"
    assert_says(mail, "worthless", "Nothing was calibrated")


@pytest.mark.parametrize("scores", [[], [SCORES[1]]])
def test_no_score_stands_in_the_subject(settings, run, directory, scores):
    mail = ready_for_review(settings, ledger_with(run, scores), run, directory)
    assert mail.subject == f"[SRDP] NO QA SCORE: {EB} ({RUN_ID})"


def test_without_a_weblog_the_run_directory_is_named(settings, run):
    directory = processing_directory(settings.areas, RUN_ID)
    mail = ready_for_review(settings, ledger_with(run, SCORES), run, directory)
    assert_says(mail, "none was found", LINKS[1])


def test_failed(settings, run, directory):
    casa = CasaAttempt(pipeline_run_id=RUN_ID, attempt=1, exit_code=None, signal="SIGKILL", casa_version="6.7.0-31")
    mail = calibration_failed(
        settings, run, step="Judge the outcome", cause="The manifest <x> is missing.", directory=directory,
        said=SAID, casa=casa, errorexit="errorexit-20261122T190000.txt",
    )  # fmt: skip
    assert mail.subject == f'[SRDP] FAILED at "Judge the outcome": {EB} ({RUN_ID})'
    assert_says(
        mail, RUN_ID, EB, "Judge the outcome", SAID.stage, "SEVERE last line", "errorexit-20261122T190000.txt",
        "Error executing pipeline task hifv_checkflag.", "casa-20261122-182500.log",
        "SIGKILL", WEBLOG, "VLA rerun", "http://127.0.0.1:8080/dags/vla_rerun", "new run", str(directory.root), *LINKS,
    )  # fmt: skip
    assert "The manifest <x> is missing." in mail.text
    assert "first &lt;line&gt;" in mail.html


def test_stderr_is_reported_except_for_cancelled_runs(settings, run, directory):
    said = replace(SAID, error=(), stderr=("ModuleNotFoundError: No module named 'pipeline'",))
    mails = [
        calibration_failed(settings, run, step="x", cause="x", directory=directory, said=said, cancelled=cancelled)
        for cancelled in (False, True)
    ]
    assert_says(mails[0], "ModuleNotFoundError", "standard error")
    assert "ModuleNotFoundError" not in mails[1].text + mails[1].html


def test_failed_before_anything_was_there(settings, run):
    directory = processing_directory(settings.areas, RUN_ID)
    mail = calibration_failed(
        settings, run, step="Fetch raw data from NGAS", cause="NGAS is down.", directory=directory
    )
    assert_says(mail, "NGAS is down.", "log of the step")
    assert "Last lines" not in mail.text + mail.html


def test_cancelled(settings, run, directory):
    mail = calibration_failed(settings, run, step="Run CASA", cause="x", directory=directory, cancelled=True)
    assert mail.subject == f'[SRDP] CANCELLED at "Run CASA": {EB} ({RUN_ID})'
    # Airflow tells no task who marked another.
    assert_says(mail, "audit log", f"{LINKS[0]}/events")


def test_a_version_that_still_waits_is_named_when_another_failed(settings, run, directory, former):
    mail = calibration_failed(settings, run, step="x", cause="x", directory=directory, waiting=[former])
    assert_says(mail, FORMER_ID, "still waits for its verdict")
    alone = calibration_failed(settings, run, step="x", cause="x", directory=directory)
    assert "still waits" not in alone.text + alone.html
    assert "audit log" not in alone.text + alone.html


def test_hostile_values_stay_values(settings, run, directory):
    hostile = "</pre><script>alert(1)</script>{{ 7*7 }}\nBcc: all@example.org\0"
    mail = calibration_failed(
        settings, run, step=hostile, cause=hostile, directory=directory, errorexit=hostile,
        said=CasaEnd(hostile, (hostile,), directory.working / "casa.log", (hostile,), (hostile,)),
    )  # fmt: skip
    assert "<script" not in mail.html
    assert "49" not in mail.subject
    assert mail.subject.isprintable()
    assert_balanced(mail.html)


@pytest.mark.parametrize(
    ("dag_id", "dag_name", "shown"),
    [("vla_rerun", "VLA rerun", "VLA calibration"), ("alma_imaging", "ALMA imaging", "ALMA imaging")],
)
def test_failed_opening_is_reported_in_its_familys_words(settings, dag_id, dag_name, shown):
    mail = run_not_started(
        settings, subject="<i>x</i>\nBcc: all@example.org", dag_id=dag_id, dag_name=dag_name, dag_run_id="r",
        step="Open", cause="The archive is away.", started_by="ann", asked=["<i>Ada</i>" * 99, "ada@example.org"],
    )  # fmt: skip
    assert mail.subject.startswith("[SRDP] NOT STARTED: <i>x</i>")
    assert mail.subject.isprintable()
    assert_says(mail, "ann", ", ada@example.org")
    assert_says(mail, "The archive is away.", "Open", dag_name, f"http://127.0.0.1:8080/dags/{dag_id}")
    assert f"No {shown.split()[1]} of" in mail.text
    assert shown in mail.html
    assert "<i>" not in mail.html


def assert_says(mail, *words):
    for word in words:
        assert word in mail.text, word
        assert word in mail.html, word
    # Anything that was forgotten in a template would show.
    assert "None" not in mail.text + mail.html
    assert all(len(line) < 990 for line in mail.text.splitlines())
    assert "\n\n\n" not in mail.text
    assert "<b>an analyst</b>" not in mail.html
    assert_balanced(mail.html)


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
