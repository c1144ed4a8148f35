"""Failing QA on a real ledger, archive and file system."""

from __future__ import annotations

import functools
import logging
import os
import shutil
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from psycopg.types.json import Jsonb
from tests import observing
from tests.areas import entries, prepare
from tests.ingesting import Observatory, fill_run_directory

from srdp.domain.common.errors import InvalidInput, ServiceUnavailable
from srdp.domain.files.storage import StorageUnavailable
from srdp.domain.imaging.request import imaging_request
from srdp.domain.qa.verdict import QaFlag, QaVerdict
from srdp.domain.runs.ledger_records import PipelineRun
from srdp.domain.runs.pipeline_run import RunDirectory
from srdp.domain.runs.run_marker import make_marked
from srdp.domain.runs.states import ACTIVE, RunState
from srdp.families import ALMA, VLA, family_of
from srdp.hooks.archive import ArchiveHook
from srdp.hooks.ledger import Ledger
from srdp.hooks.ledger.database import Database
from srdp.operators.fail_qa import (
    FailQaOperator,
    MarkDoNotCalibrateOperator,
    RemoveRejectedRunsOperator,
    ReportUnmarkedOperator,
)
from srdp.operators.retrying import TryAgain

pytestmark = pytest.mark.servers

REASON = "The bandpass calibrator was not observed."
_MAILS = "SELECT subject, body_text, body_html FROM outbox WHERE pipeline_run_id IS NULL"
DO_NOT_CALIBRATE = "Do Not Calibrate"


def context(dag_run_id: str = "manual__fail", dag_id: str = "vla_qa_fail", try_number: int = 1) -> Any:
    ti = SimpleNamespace(
        dag_id=dag_id, run_id=dag_run_id, task_id="x", try_number=try_number, max_tries=3, xcom_push=lambda **_: None
    )
    dag_run = SimpleNamespace(dag_id=dag_id, run_id=dag_run_id, run_type="manual", triggering_user_name="an analyst")
    return {"ti": ti, "dag_run": dag_run, "params": {}}


def fail(dag_run_id: str = "manual__fail", reason: str = REASON, kind: str = VLA.kind, **what: Any) -> list[str]:
    operator = FailQaOperator(task_id="fail_qa", kind=kind, reason=reason, **what)
    return operator.execute(context(dag_run_id, family_of(kind).fail_dag))  # type: ignore[return-value]


def mark(ids: list[str]) -> None:
    MarkDoNotCalibrateOperator(task_id="mark", pipeline_run_ids=" ".join(ids)).execute(context())


def remove(ids: list[str], dag_run_id: str = "manual__fail", try_number: int = 1) -> None:
    operator = RemoveRejectedRunsOperator(task_id="remove", pipeline_run_ids=" ".join(ids))
    operator.execute(context(dag_run_id, try_number=try_number))


@pytest.fixture
def run_in(observatory: Observatory, ledger_url: str):
    """Make a run in a state, with its directory in the processing area."""

    def made(state: RunState, subject: str | None = None) -> PipelineRun:
        run = observatory.open_run(subject=subject)
        directory = RunDirectory(observatory.settings.processing_area / run.pipeline_run_id)
        make_marked(directory.root, run.marker)
        fill_run_directory(directory, run.subject)
        with psycopg.connect(ledger_url) as connection:
            change = "UPDATE pipeline_run SET state = %s WHERE pipeline_run_id = %s"
            connection.execute(change, (state, run.pipeline_run_id))
        return observatory.run(run)

    return made


def directories(observatory: Observatory) -> list[str]:
    settings = observatory.settings
    return sorted(path.name for area in (settings.processing_area, settings.qa_area) for path in entries(area))


def test_a_run_fails_is_marked_and_removed_however_often_it_is_repeated(observatory: Observatory) -> None:
    run = observatory.waiting_run()
    for _ in range(2):
        ids = fail(pipeline_run_id=run.pipeline_run_id)
        assert ids == [run.pipeline_run_id]
        mark(ids)
        assert observatory.status(run) == DO_NOT_CALIBRATE
        remove(ids)
        assert observatory.run(run).state is RunState.CLEANED
        assert directories(observatory) == []
    events = observatory.ledger.events.of_run(run.pipeline_run_id)
    (decision,) = (event for event in events if event.event == "rejected")
    assert decision.details == {"reason": REASON, "by": "an analyst, DAG run manual__fail"}
    (mail,) = (mail for mail in observatory.ledger.outbox.mails(run.pipeline_run_id) if mail.key == "rejected")
    for text in (run.pipeline_run_id, run.subject, REASON, "an analyst", DO_NOT_CALIBRATE, "manual__fail"):
        assert text in mail.text
        assert text in mail.html
    assert "Failed QA" in mail.subject


def test_an_execution_block_fails_with_all_its_open_versions(observatory: Observatory, run_in) -> None:
    first = run_in(RunState.FAILED)
    others = [run_in(state, first.subject) for state in (RunState.CANCELLED, RunState.AWAITING_QA, RunState.CLEANED)]
    beside = observatory.waiting_run()
    ids = fail(subject=first.subject)
    assert ids == [first.pipeline_run_id, *(run.pipeline_run_id for run in others[:2])]
    mark(ids)
    remove(ids)
    assert observatory.run(beside).state is RunState.AWAITING_QA
    assert observatory.status(beside) == "Ready"
    assert directories(observatory) == sorted([beside.pipeline_run_id, others[2].pipeline_run_id])


@pytest.mark.parametrize("active", sorted(ACTIVE))
@pytest.mark.parametrize("by", ["run", "execution block", "project"])
def test_refused_while_a_run_of_it_is_active(observatory: Observatory, run_in, active: RunState, by: str) -> None:
    run = run_in(RunState.AWAITING_QA)
    busy = run_in(active, run.subject)
    asked = {
        "run": {"pipeline_run_id": run.pipeline_run_id},
        "execution block": {"subject": run.subject},
        "project": {"project": run.project, "number": 1},
    }[by]
    with pytest.raises(AirflowFailException, match=busy.pipeline_run_id):
        fail(**asked)
    assert observatory.run(run).state is RunState.AWAITING_QA
    assert observatory.mail_keys(run) == []


def test_an_execution_block_that_was_rerun_after_it_had_failed_is_not_said_to_fail(
    observatory: Observatory, run_in
) -> None:
    run = run_in(RunState.AWAITING_QA)
    ids = fail(subject=run.subject)
    mark(ids)
    again = run_in(RunState.PROCESSING, run.subject)
    with pytest.raises(AirflowFailException, match=f"{again.pipeline_run_id}.* is active .*started by"):
        fail("manual__later", subject=run.subject)


# A project


@pytest.fixture
def project(observatory: Observatory, run_in) -> list[PipelineRun]:
    """Three runs that wait, one that failed."""
    waiting = [run_in(RunState.AWAITING_QA) for _ in range(3)]
    run_in(RunState.FAILED)
    return sorted(waiting, key=lambda run: run.subject)


def test_a_project_is_listed_confirmed_and_fails(
    observatory: Observatory, project: list[PipelineRun], caplog: pytest.LogCaptureFixture
) -> None:
    with (
        caplog.at_level(logging.INFO),
        pytest.raises(AirflowFailException, match="with the number 3") as caught,
    ):
        fail(project="13A-537")
    log = caplog.text
    for run in project:
        assert f"{run.pipeline_run_id} ({run.subject})" in str(caught.value)
        assert f"{run.pipeline_run_id}  {run.subject}" in log
    assert all(observatory.run(run).state is RunState.AWAITING_QA for run in project)
    ids = fail("manual__2", project="13A-537", number="3")
    assert ids == [run.pipeline_run_id for run in project]
    mark(ids)
    remove(ids)
    assert {observatory.status(run) for run in project} == {DO_NOT_CALIBRATE}
    assert len(directories(observatory)) == 1, "the one that failed is no part of it"
    mails = [mail for run in project for mail in observatory.ledger.outbox.mails(run.pipeline_run_id)]
    (mail,) = mails
    assert "3 execution blocks of 13A-537" in mail.subject
    assert all(run.pipeline_run_id in mail.text for run in project)


@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_number_that_is_not_right_any_more_is_refused_with_the_new_list(
    observatory: Observatory, project: list[PipelineRun], number: int
) -> None:
    with pytest.raises(AirflowFailException, match=f"3 runs wait for QA, not {number}: .*with the number 3"):
        fail(project="13A-537", number=number)
    assert all(observatory.run(run).state is RunState.AWAITING_QA for run in project)


def test_a_long_list_is_in_the_log(
    observatory: Observatory, monkeypatch: pytest.MonkeyPatch, project: list[PipelineRun]
) -> None:
    monkeypatch.setattr("srdp.services.removal.fail_qa._MOST_NAMED", 2)
    with pytest.raises(AirflowFailException, match="and 1 more, which the log lists"):
        fail(project="13A-537")


def test_a_project_goes_on_after_a_kill_although_the_number_is_not_right_any_more(
    observatory: Observatory, project: list[PipelineRun], run_in
) -> None:
    ids = fail(project="13A-537", number=3)
    newly = run_in(RunState.AWAITING_QA)
    assert sorted(fail(project="13A-537", number=3)) == sorted(ids), "the same DAG run knows its own decision"
    remove(ids)
    assert sorted(fail(project="13A-537", number=3)) == sorted(ids)
    with pytest.raises(AirflowFailException, match="1 run waits for QA, not 3"):
        fail("manual__later", project="13A-537", number=3)
    assert observatory.run(newly).state is RunState.AWAITING_QA


def test_another_trigger_finishes_what_was_left(observatory: Observatory, project: list[PipelineRun]) -> None:
    ids = fail(project="13A-537", number=3)
    again = fail("manual__later", project="13A-537", number=3)
    assert sorted(again) == sorted(ids)
    mark(again)
    remove(again)
    assert len(directories(observatory)) == 1
    with pytest.raises(AirflowFailException, match="No run of project 13A-537 waits for QA"):
        fail("manual__third", project="13A-537", number=3)


# What is refused


@pytest.mark.parametrize(
    "state", [RunState.ARCHIVED, RunState.SUPERSEDED, RunState.CLEANING, RunState.CLEANED, RunState.INGESTING]
)
def test_a_run_that_cannot_fail_is_refused_with_its_state(observatory: Observatory, run_in, state: RunState) -> None:
    run = run_in(state)
    with pytest.raises(AirflowFailException, match=str(state)):
        fail(pipeline_run_id=run.pipeline_run_id)
    assert observatory.run(run).state is state
    assert directories(observatory) == [run.pipeline_run_id]


def test_nothing_is_rejected_where_nothing_is_open(observatory: Observatory, run_in) -> None:
    run = run_in(RunState.SUPERSEDED)
    with pytest.raises(AirflowFailException, match="superseded"):
        fail(subject=run.subject)
    with pytest.raises(AirflowFailException, match="No run of project 13A-537 waits for QA"):
        fail(project="13A-537")


@pytest.mark.parametrize(
    "what",
    [
        {},
        {"pipeline_run_id": "vla-20260101-000000-aaaa"},
        {"pipeline_run_id": "../x"},
        {"subject": observing.new_name()},
        {"project": "99Z-999"},
        {"project": "13A-537' OR 1=1"},
        {"pipeline_run_id": "vla-20260101-000000-aaaa", "project": "13A-537"},
    ],
)
def test_what_is_not_known_is_refused(observatory: Observatory, what: dict[str, str]) -> None:
    observatory.waiting_run()
    with pytest.raises(AirflowFailException):
        fail(**what)


def test_a_reason_is_required(observatory: Observatory) -> None:
    run = observatory.waiting_run()
    with pytest.raises(AirflowFailException, match="reason"):
        fail(pipeline_run_id=run.pipeline_run_id, reason=" ")
    assert observatory.run(run).state is RunState.AWAITING_QA


def test_a_run_that_was_ingested_is_not_rejected(observatory: Observatory, ledger_url: str) -> None:
    run = observatory.waiting_run()
    observatory.ledger.ingests.claim(
        run.pipeline_run_id, QaVerdict(QaFlag.PASS), dag_id="d", dag_run_id="r", requested_by="analyst"
    )
    with psycopg.connect(ledger_url) as connection:
        connection.execute("UPDATE pipeline_run SET state = 'cleaned'")
    with pytest.raises(AirflowFailException):
        fail(pipeline_run_id=run.pipeline_run_id)


# The status in the archive


def test_an_execution_block_with_a_calibration_in_the_archive_keeps_its_status(
    observatory: Observatory, run_in, caplog: pytest.LogCaptureFixture
) -> None:
    run = observatory.waiting_run()
    observatory.ingest(run, end="finish_ingest", qa_flag="Null")
    later = run_in(RunState.AWAITING_QA, run.subject)
    ids = fail(pipeline_run_id=later.pipeline_run_id)
    mark(ids)
    assert observatory.status(run) == "Calibrated"
    assert f"{run.pipeline_run_id} of it is in the archive" in caplog.text
    (mail,) = observatory.ledger.outbox.mails(later.pipeline_run_id)
    assert "Left as it is in the archive" in mail.text
    assert DO_NOT_CALIBRATE not in mail.text


def test_a_mark_that_somebody_took_back_is_not_made_again(observatory: Observatory, run_in) -> None:
    run = run_in(RunState.AWAITING_QA)
    ids = fail(pipeline_run_id=run.pipeline_run_id)
    mark(ids)
    with psycopg.connect(observatory.archive_url) as archive:
        archive.execute("UPDATE execution_block SET calibration_status = 'Ready'")
    mark(ids)
    assert observatory.status(run) == "Ready"


def test_an_execution_block_that_was_rerun_meanwhile_is_not_marked(observatory: Observatory, run_in) -> None:
    run = run_in(RunState.AWAITING_QA)
    ids = fail(pipeline_run_id=run.pipeline_run_id)
    run_in(RunState.PROCESSING, run.subject)
    mark(ids)
    assert observatory.status(run) == "Ready"


@pytest.mark.parametrize("operator", [mark, remove])
def test_only_what_the_ledger_says_has_failed_is_marked_and_removed(observatory: Observatory, run_in, operator) -> None:
    for state in (RunState.AWAITING_QA, RunState.ARCHIVED, RunState.CLEANING, RunState.FAILED):
        run = run_in(state)
        with pytest.raises(AirflowFailException, match="did not fail QA"):
            operator([run.pipeline_run_id])
        assert observatory.run(run).state is state
        assert observatory.status(run) == "Ready"
        assert run.pipeline_run_id in directories(observatory)
    with pytest.raises(AirflowFailException, match="not a pipeline run ID"):
        operator(["None"])
    operator([])


def archive_is_away(monkeypatch: pytest.MonkeyPatch, blocks: tuple[str, ...] = ()) -> None:
    """The archive cannot be reached; or it can, and does not know some execution blocks."""
    real = ArchiveHook.set_calibration_status

    def set_calibration_status(hook: ArchiveHook, block: Any, status: str) -> None:
        if not blocks:
            raise ServiceUnavailable("The archive could not be reached.")
        if block in blocks:
            raise InvalidInput(f"The archive has no execution block {block}.")
        real(hook, block, status)

    monkeypatch.setattr(ArchiveHook, "set_calibration_status", set_calibration_status)


def test_a_mark_that_was_lost_is_set_by_another_trigger_although_the_run_is_cleaned(
    observatory: Observatory, run_in, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_in(RunState.AWAITING_QA)
    ids = fail(pipeline_run_id=run.pipeline_run_id)
    with monkeypatch.context() as patch:
        archive_is_away(patch)
        with pytest.raises(AirflowException, match="could not be reached") as caught:
            mark(ids)
        assert not isinstance(caught.value, AirflowFailException), "Airflow would not try again"
    remove(ids)
    assert observatory.run(run).state is RunState.CLEANED
    again = fail("manual__later", subject=run.subject)
    assert again == ids
    mark(again)
    remove(again)
    assert observatory.status(run) == DO_NOT_CALIBRATE
    assert fail("manual__third", subject=run.subject) == []
    assert observatory.mail_keys(run) == ["rejected"]


def test_a_status_that_was_kept_is_not_asked_for_again(observatory: Observatory, run_in, ledger_url: str) -> None:
    run = run_in(RunState.AWAITING_QA)
    ids = fail(pipeline_run_id=run.pipeline_run_id)
    rerun = run_in(RunState.PROCESSING, run.subject)
    mark(ids)
    remove(ids)
    (kept,) = [event for event in observatory.ledger.events.of_run(run.pipeline_run_id) if "kept" in event.event]
    assert rerun.pipeline_run_id in kept.details["why"]
    assert fail("manual__later", pipeline_run_id=run.pipeline_run_id) == []


def test_an_execution_block_that_the_archive_refuses_holds_no_other_up(
    observatory: Observatory, project: list[PipelineRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = fail(project="13A-537", number=3)
    archive_is_away(monkeypatch, (project[0].locator,))
    with pytest.raises(AirflowFailException, match="has no execution block"):
        mark(ids)
    assert [observatory.status(run) for run in project] == ["Ready", DO_NOT_CALIBRATE, DO_NOT_CALIBRATE]


def report_unmarked(ids: list[str], cause: str | None) -> None:
    given = context()
    given["ti"].get_task_states = lambda **_: {"manual__fail": {"mark": "failed"}}
    given["ti"].xcom_pull = lambda **_: None if cause is None else {"sentence": cause}
    given["dag"] = SimpleNamespace(task_dict={"mark": SimpleNamespace(task_display_name="Mark")})
    ReportUnmarkedOperator(task_id="report", pipeline_run_ids=" ".join(ids)).execute(given)


@pytest.mark.parametrize("cause", ["The archive could not be reached.", None])
def test_a_mark_that_could_not_be_set_is_reported_by_mail_with_what_to_do(
    observatory: Observatory, project: list[PipelineRun], ledger_url: str, cause: str | None
) -> None:
    ids = fail(project="13A-537", number=3)
    mark([project[0].pipeline_run_id])
    for _ in range(2):
        report_unmarked(ids, cause)
    with psycopg.connect(ledger_url) as connection:
        ((subject, text, html),) = connection.execute(_MAILS).fetchall()
    assert subject == "[SRDP] NOT MARKED Do Not Calibrate: 2 execution blocks of 13A-537"
    for body in (text, html):
        assert (cause or "look at the task") in " ".join(body.split())
        assert [run.pipeline_run_id in body for run in project] == [False, True, True]
        assert "VLA QA fail" in body
        assert "manual__fail" in body


def test_no_mail_reports_a_mark_that_is_there(observatory: Observatory, run_in, ledger_url: str) -> None:
    ids = fail(pipeline_run_id=run_in(RunState.AWAITING_QA).pipeline_run_id)
    mark(ids)
    report_unmarked(ids, "It was cleared meanwhile.")
    report_unmarked([], "Nothing was rejected.")
    with psycopg.connect(ledger_url) as connection:
        assert connection.execute(_MAILS).fetchall() == []


# Directories


def test_directories_that_are_half_or_wholly_gone_are_removed(observatory: Observatory, run_in) -> None:
    half, wholly = run_in(RunState.AWAITING_QA), run_in(RunState.AWAITING_QA)
    settings = observatory.settings
    shutil.rmtree(settings.processing_area / half.pipeline_run_id / "products")
    (settings.processing_area / half.pipeline_run_id).rename(settings.qa_area / f".{half.pipeline_run_id}.removed")
    shutil.rmtree(settings.processing_area / wholly.pipeline_run_id)
    ids = fail(project="13A-537", number=2)
    remove(ids)
    assert directories(observatory) == []
    assert {observatory.run(run).state for run in (half, wholly)} == {RunState.CLEANED}


def test_what_cannot_be_removed_is_reported_by_the_task_and_by_mail_and_the_rest_goes(
    observatory: Observatory, run_in, monkeypatch: pytest.MonkeyPatch, ledger_url: str
) -> None:
    runs = [run_in(RunState.AWAITING_QA) for _ in range(3)]
    linked, busy, good = runs
    root = observatory.settings.processing_area / linked.pipeline_run_id
    root.rename(root.with_name("elsewhere"))
    root.symlink_to("elsewhere")
    real = os.unlink

    # Root may delete everything, so the operating system's refusal is played.
    def refusing(name: str, *, dir_fd: int) -> None:
        if name == f"{busy.subject}.flagtemplate.txt":
            raise PermissionError(1, "Operation not permitted", name)
        real(name, dir_fd=dir_fd)

    ids = fail(project="13A-537", number=3)
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refusing)
        for _ in range(2):
            with pytest.raises(AirflowFailException) as caught:
                remove(ids)
    assert "a symbolic link" in str(caught.value)
    assert "Operation not permitted" in str(caught.value)
    assert [observatory.run(run).state for run in runs] == [RunState.REJECTED, RunState.CLEANING, RunState.CLEANED]
    with psycopg.connect(ledger_url) as connection:
        mails = connection.execute(_MAILS).fetchall()
    (mail,) = mails
    assert "2 rejected runs" in mail[0]
    for text in mail[1:]:
        assert linked.pipeline_run_id in text
        assert busy.pipeline_run_id in text
        assert "Operation not permitted" in text
        assert good.pipeline_run_id not in text
    root.unlink()
    remove(ids)
    assert {observatory.run(run).state for run in runs} == {RunState.CLEANED}


# Images


@pytest.fixture
def images(observatory: Observatory, tmp_path: Path) -> Observatory:
    """The observatory with runs of ALMA, in areas of their own."""
    areas = {name: tmp_path / name for name in ("alma_processing_area", "alma_qa_area")}
    observatory.change(**areas, tell_who_asked=True, mail_domains=("example.edu",))
    prepare(observatory.settings)
    observatory.kind = ALMA.kind
    return observatory


@pytest.fixture
def asked_for(ledger_url: str):
    """Put a run into a state, of a request that a user with an address has made."""

    def put(run: PipelineRun, state: RunState = RunState.AWAITING_QA, user: str = "user@example.edu") -> PipelineRun:
        asked = imaging_request(
            mous=run.subject, fields="TW_Hya", continuum=True, asked_by="A User", asked_by_email=user
        )
        change = "UPDATE pipeline_run SET state = %s, asked = %s WHERE pipeline_run_id = %s"
        with psycopg.connect(ledger_url) as connection:
            connection.execute(change, (state, Jsonb(asked.as_json()), run.pipeline_run_id))
        return run

    return put


def mails_of(observatory: Observatory, run: PipelineRun) -> list[tuple[str, tuple[str, ...]]]:
    return sorted((mail.key, tuple(mail.recipients)) for mail in observatory.ledger.outbox.mails(run.pipeline_run_id))


MANAGERS = ("imaging_rejected", ("manager@example.org",))
USER = ("imaging_rejected_user", ("user@example.edu",))


def test_images_fail_are_notified_of_and_removed_however_often_it_is_repeated(images: Observatory, asked_for) -> None:
    run = asked_for(images.waiting_run())
    beside = images.waiting_run(subject=run.subject, asked=2)
    root = images.directory(run).root
    for number in range(2):
        ids = fail(kind=ALMA.kind, pipeline_run_id=run.pipeline_run_id)
        assert ids == [run.pipeline_run_id]
        if number == 0:
            shutil.rmtree(root / "products")
        remove(ids)
        assert images.run(run).state is RunState.CLEANED
        assert not root.exists()
    assert mails_of(images, run) == [MANAGERS, USER]
    assert images.run(beside).state is RunState.AWAITING_QA
    assert images.directory(beside).products.is_dir()


def test_a_mous_fails_with_all_open_versions_of_all_its_requests_and_each_user_is_reported_once(
    images: Observatory, asked_for
) -> None:
    first = asked_for(images.waiting_run(), RunState.FAILED)
    second, third = (asked_for(images.waiting_run(subject=first.subject)) for _ in range(2))
    other = asked_for(images.waiting_run(subject=first.subject, asked=2), user="other@example.edu")
    elsewhere = images.waiting_run()
    ids = fail(kind=ALMA.kind, subject=first.subject)
    assert ids == [run.pipeline_run_id for run in (first, second, third, other)]
    remove(ids)
    assert {images.run(run).state for run in (first, second, third, other)} == {RunState.CLEANED}
    assert images.run(elsewhere).state is RunState.AWAITING_QA
    # Of the first there were no images; of the others the newest of each request is reported.
    assert [mails_of(images, run) for run in (first, second, third, other)] == [
        [MANAGERS], [MANAGERS], [MANAGERS, USER], [MANAGERS, ("imaging_rejected_user", ("other@example.edu",))],
    ]  # fmt: skip


@pytest.mark.parametrize("reviewer", ["an analyst@example.org", "two@example.org"])
def test_that_images_fail_which_are_assigned_to_somebody_else_is_said_and_reported_that_person(
    images: Observatory, asked_for, reviewer: str
) -> None:
    run = asked_for(images.waiting_run())
    assigned = {"assigned_by": "mia", "answer": "1", "dag_id": "alma_assign_qa", "dag_run_id": "1"}
    Ledger(images.settings).assignments.assign(run.pipeline_run_id, reviewer, **assigned)
    fail(kind=ALMA.kind, pipeline_run_id=run.pipeline_run_id)
    is_another = reviewer == "two@example.org"
    (mail,) = (mail for mail in images.ledger.outbox.mails(run.pipeline_run_id) if mail.key == "imaging_rejected")
    assert mail.recipients == (*([reviewer] if is_another else []), "manager@example.org")
    for text in (mail.text, mail.html):
        assert (f"The review was assigned to {reviewer}." in text) == is_another
    (rejected,) = images.ledger.events.rejections([run.pipeline_run_id]).values()
    assert rejected.details.get("assigned_to") == (reviewer if is_another else None)


def test_a_mail_to_where_no_setting_allows_it_is_recorded_and_not_queued(images: Observatory, asked_for) -> None:
    run = asked_for(images.waiting_run(), user="user@attacker.example")
    fail(kind=ALMA.kind, pipeline_run_id=run.pipeline_run_id)
    assert mails_of(images, run) == [MANAGERS]
    (mail,) = images.ledger.outbox.mails(run.pipeline_run_id)
    assert "no mail goes to\n  user@attacker.example\n" in mail.text
    events = images.ledger.events.of_run(run.pipeline_run_id)
    (refused,) = (event.details for event in events if event.event == "mail_refused")
    assert refused == {
        "key": "imaging_rejected_user",
        "refused": {"user@attacker.example": "SRDP_MAIL_DOMAINS does not allow it"},
    }


def test_who_asked_is_notified_only_when_nothing_of_the_request_is_left(images: Observatory, asked_for) -> None:
    first = asked_for(images.waiting_run())
    second = asked_for(images.waiting_run(subject=first.subject))
    asked_for(images.waiting_run(subject=first.subject, asked=2))
    fail("manual__second", kind=ALMA.kind, pipeline_run_id=second.pipeline_run_id)
    assert mails_of(images, second) == [MANAGERS]
    (mail,) = images.ledger.outbox.mails(second.pipeline_run_id)
    assert f"of the same request there is also\n  {first.pipeline_run_id}\n" in mail.text
    fail("manual__first", kind=ALMA.kind, pipeline_run_id=first.pipeline_run_id)
    assert mails_of(images, first) == [MANAGERS, USER]


def test_who_asked_is_notified_of_no_failure_while_the_archive_has_images(
    images: Observatory, asked_for, ledger_url: str
) -> None:
    archived = images.waiting_run()
    ledger = images.ledger
    ingest = ledger.ingests.claim(
        archived.pipeline_run_id, QaVerdict(QaFlag.PASS), dag_id="d", dag_run_id="r", requested_by="analyst"
    )
    ledger.archived_files.mark_committed(ingest)
    # Archived, and its directory removed.
    with psycopg.connect(ledger_url) as connection:
        connection.execute("UPDATE pipeline_run SET state = 'cleaned'")
    again = asked_for(images.waiting_run(subject=archived.subject))
    fail(kind=ALMA.kind, pipeline_run_id=again.pipeline_run_id)
    assert mails_of(images, again) == [MANAGERS]
    (mail,) = ledger.outbox.mails(again.pipeline_run_id)
    assert archived.pipeline_run_id in mail.html


def test_a_mous_is_refused_while_any_of_its_requests_has_an_active_run(images: Observatory, asked_for) -> None:
    run = asked_for(images.waiting_run())
    busy = asked_for(images.waiting_run(subject=run.subject, asked=2), RunState.PROCESSING)
    with pytest.raises(AirflowFailException, match=f"{busy.pipeline_run_id}.* is active .*started by"):
        fail(kind=ALMA.kind, subject=run.subject)
    assert images.run(run).state is RunState.AWAITING_QA
    # The run itself is of another request.
    assert fail(kind=ALMA.kind, pipeline_run_id=run.pipeline_run_id) == [run.pipeline_run_id]


@pytest.mark.parametrize(("own", "other"), [(ALMA.kind, VLA.kind), (VLA.kind, ALMA.kind)])
def test_a_run_of_another_family_is_refused_with_the_dag_that_is_for_it(
    observatory: Observatory, own: str, other: str
) -> None:
    observatory.kind = own
    run = observatory.waiting_run()
    with pytest.raises(AirflowFailException, match=f"trigger {family_of(own).fail_dag} with it"):
        fail(kind=other, pipeline_run_id=run.pipeline_run_id)
    assert observatory.run(run).state is RunState.AWAITING_QA


def test_an_area_that_is_away_is_tried_again_and_reported_by_mail_in_the_end(
    observatory: Observatory, run_in, ledger_url: str
) -> None:
    run = run_in(RunState.AWAITING_QA)
    ids = fail(pipeline_run_id=run.pipeline_run_id)
    shutil.rmtree(observatory.settings.qa_area)
    with pytest.raises(TryAgain, match=r"SRDP_QA_AREA\) is not there"):
        remove(ids)
    with psycopg.connect(ledger_url) as connection:
        assert connection.execute(_MAILS).fetchall() == []
        away = StorageUnavailable(f"{observatory.settings.qa_area} is away.")
        RemoveRejectedRunsOperator(task_id="remove", pipeline_run_ids=" ".join(ids)).given_up(context(), away)
        ((subject, text, _),) = connection.execute(_MAILS).fetchall()
    assert subject == f"[SRDP] NOT REMOVED: {run.pipeline_run_id}"
    assert f"{observatory.settings.qa_area} is away." in text


@pytest.mark.parametrize("after", [False, True])
def test_killed_around_any_transaction_the_same_steps_finish(observatory: Observatory, run_in, after: bool) -> None:
    number = 1
    while True:
        run = run_in(RunState.AWAITING_QA)
        subject = run.subject
        dag_run_id = f"manual__{number}"
        killed = _killed(functools.partial(_all_steps, subject, dag_run_id), number, after=after)
        ids = fail(dag_run_id, subject=subject)
        mark(ids)
        remove(ids)
        assert observatory.run(run).state is RunState.CLEANED
        assert directories(observatory) == []
        assert observatory.status(run) == DO_NOT_CALIBRATE
        events = [event.event for event in observatory.ledger.events.of_run(run.pipeline_run_id)]
        assert (events.count("rejected"), events.count("removed")) == (1, 1)
        assert observatory.mail_keys(run) == ["rejected"]
        if not killed:
            break
        number += 1
    assert number > 8


def _all_steps(subject: str, dag_run_id: str) -> None:
    ids = fail(dag_run_id, subject=subject)
    mark(ids)
    remove(ids)


def _killed(act: Any, number: int, *, after: bool) -> bool:
    child = os.fork()
    if child == 0:
        real, count = Database.transact, 0

        def counted(*arguments: Any, **options: Any) -> object:
            nonlocal count
            count += 1
            if count == number and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*arguments, **options)
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        try:
            Database.transact = counted  # type: ignore[method-assign]
            act()
        except BaseException:  # noqa: BLE001  the child must end here, whatever happened
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


def test_a_run_with_an_analysts_own_files_is_left_to_the_expiry_and_reported_by_mail(
    observatory: Observatory, ledger_url: str
) -> None:
    run = observatory.waiting_run()
    script = observatory.directory(run).working / "selfcal.py"
    script.touch()
    later = time.time() + 3600
    os.utime(script, (later, later))
    ids = fail(pipeline_run_id=run.pipeline_run_id)
    mark(ids)
    remove(ids)
    assert script.exists()
    with psycopg.connect(ledger_url) as connection:
        texts = [text for _, text, _ in connection.execute(_MAILS).fetchall()]
    assert [text for text in texts if "somebody's own files are in it, 'working/selfcal.py'" in " ".join(text.split())]
    assert observatory.run(run).state is RunState.REJECTED
