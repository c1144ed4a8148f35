"""The steps of a calibration that are not about NGAS or CASA, on a real ledger and a real file system."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from unittest.mock import create_autospec

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from tests.areas import entries, prepare
from tests.replacing import replace_everywhere

import srdp.hooks.archive
import srdp.settings
from srdp.domain.common.errors import InvalidInput
from srdp.domain.disk.run_directory import make_run_directory
from srdp.domain.runs.execution_block import ExecutionBlock
from srdp.domain.runs.identifiers import execution_block_name, locator
from srdp.domain.runs.ledger_records import PipelineRun
from srdp.domain.runs.pipeline_run import processing_directory, qa_directory
from srdp.domain.runs.states import RunState
from srdp.hooks.archive import ArchiveHook
from srdp.hooks.ledger import Ledger
from srdp.operators.announce_start import AnnounceStartOperator
from srdp.operators.delivery import DeliverToQaAreaOperator
from srdp.operators.open_run import OpenExecutionBlockRunOperator
from srdp.operators.processing_request import WriteProcessingRequestOperator
from srdp.operators.retrying import TryAgain
from srdp.settings import Settings

pytestmark = pytest.mark.servers

EB = "13A-537.sb24066356.eb24324502.56514.05971091435"
LOCATOR = "uid://evla/execblock/00000000-0000-0000-0000-000000000007"


@pytest.fixture(autouse=True)
def own_settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = settings.scipipe_heuristics / "pipeline" / "runvlapipeline.py"
    runner.parent.mkdir(parents=True)
    runner.touch()
    monkeypatch.setattr(srdp.settings, "load_settings", lambda: settings)


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> ArchiveHook:
    """An archive that knows one EB, ready to be calibrated."""
    hook = create_autospec(ArchiveHook, instance=True)
    hook.execution_block.return_value = ExecutionBlock(
        locator=locator(LOCATOR),
        name=execution_block_name(EB),
        project="13A-537",
        telescope="EVLA",
        calibration_status="Ready",
        observed_start=None,
        observed_end=None,
        ingested_at=datetime.now(UTC),
    )
    replace_everywhere(monkeypatch, "srdp.hooks.archive:ArchiveHook", lambda _settings: hook)
    return hook


def context(dag_run_id: str = "manual__1") -> dict[str, object]:
    dag_run = SimpleNamespace(
        dag_id="vla_calibration", run_id=dag_run_id, triggering_user_name="analyst", run_type="manual"
    )
    return {"dag_run": dag_run}


def open_operator(**changes: object) -> OpenExecutionBlockRunOperator:
    arguments: dict[str, object] = {"execution_block": EB, "recipe": "vla_calibration", "cores": "None", "memory_gb": 4}
    return OpenExecutionBlockRunOperator(task_id="open_run", **(arguments | changes))


def test_a_dag_run_opens_one_run_however_often_the_task_is_repeated(
    archive: ArchiveHook, ledger: Ledger, settings: Settings
) -> None:
    first = open_operator().execute(context())
    assert open_operator().execute(context()) == first
    run = ledger.runs.get(first)
    assert (run.subject, run.version, run.state, run.requested_by) == (EB, 1, RunState.CREATED, "analyst")
    assert (run.cores, run.memory_gb) == (settings.default_cores, 4)
    assert run.former_run is None
    assert [path.name for path in entries(settings.processing_area)] == [first]
    assert {path.name for path in processing_directory(settings.areas, first).root.iterdir()} == {
        ".srdp-run.json",
        "rawdata",
        "working",
        "products",
    }


def test_a_second_request_is_refused_and_leaves_no_directory(
    archive: ArchiveHook, ledger: Ledger, settings: Settings
) -> None:
    first = open_operator().execute(context())
    with pytest.raises(AirflowFailException, match=first):
        open_operator().execute(context("manual__2"))
    assert [path.name for path in entries(settings.processing_area)] == [first]
    assert len(ledger.runs.newest()) == 1


def test_a_run_is_opened_for_the_casa_that_the_settings_name(
    archive: ArchiveHook, ledger: Ledger, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = settings.model_copy(update={"casa_release": "6.6.1"})
    monkeypatch.setattr(srdp.settings, "load_settings", lambda: named)
    assert ledger.runs.get(open_operator().execute(context())).casa_release == "6.6.1"


@pytest.mark.parametrize("recipe", ["", "../x", "no_such"])
def test_an_unknown_recipe_starts_nothing(archive: ArchiveHook, ledger: Ledger, recipe: str) -> None:
    with pytest.raises(AirflowFailException, match="There is no recipe"):
        open_operator(recipe=recipe).execute(context())
    assert ledger.runs.newest() == []


def test_what_is_wrong_with_the_form_is_reported_together_and_starts_nothing(
    archive: ArchiveHook, ledger: Ledger
) -> None:
    for recipe, reported in (("no_such", "Cores is '0'.\nThere is no recipe"), ("vla_calibration", "Cores is '0'.")):
        operator = open_operator(recipe=recipe)
        operator.faults.add("Cores is '0'.")
        with pytest.raises(AirflowFailException, match=reported):
            operator.execute(context())
    assert ledger.runs.newest() == []


def test_do_not_calibrate_is_respected(archive: ArchiveHook, ledger: Ledger) -> None:
    from dataclasses import replace

    archive.execution_block.return_value = replace(
        archive.execution_block.return_value, calibration_status="Do Not Calibrate"
    )
    with pytest.raises(AirflowFailException, match="marked Do Not Calibrate"):
        open_operator().execute(context())
    assert ledger.runs.newest() == []


def test_what_the_archive_does_not_know_starts_nothing(archive: ArchiveHook, ledger: Ledger) -> None:
    archive.execution_block.side_effect = InvalidInput("not in the archive.")
    with pytest.raises(AirflowFailException, match="not in the archive"):
        open_operator().execute(context())
    assert ledger.runs.newest() == []


def test_a_missing_area_is_found_before_the_run_is_made(
    archive: ArchiveHook, ledger: Ledger, settings: Settings
) -> None:
    shutil.rmtree(settings.qa_area)
    with pytest.raises(TryAgain, match=rf"{settings.qa_area} \(SRDP_QA_AREA\) is not there: see whether"):
        open_operator().execute(context())
    assert ledger.runs.newest() == []


def announce(run: PipelineRun) -> None:
    AnnounceStartOperator(task_id="mail_begun", pipeline_run_id=run.pipeline_run_id).execute({})


def test_the_beginning_is_announced_once_although_no_mail_server_answers(
    ledger: Ledger, open_run: Callable[..., PipelineRun]
) -> None:
    run = open_run()
    announce(run)
    announce(run)
    assert ledger.runs.get(run.pipeline_run_id).state == RunState.FETCHING
    (mail,) = ledger.outbox.mails(run.pipeline_run_id)
    assert mail.done_at is None
    assert run.pipeline_run_id in mail.text
    assert run.subject in mail.text


@pytest.fixture
def processing_run(ledger: Ledger, open_run: Callable[..., PipelineRun], settings: Settings) -> PipelineRun:
    """A run whose raw data is fetched."""
    run = open_run()
    ledger.runs.transition(run.pipeline_run_id, RunState.FETCHING, event="begun")
    ledger.runs.transition(run.pipeline_run_id, RunState.PROCESSING, event="fetched")
    make_run_directory(processing_directory(settings.areas, run.pipeline_run_id), run.marker)
    return ledger.runs.get(run.pipeline_run_id)


def write_ppr(run: PipelineRun) -> str:
    return WriteProcessingRequestOperator(task_id="write_ppr", pipeline_run_id=run.pipeline_run_id).execute({})


def test_the_ppr_is_written_once_and_never_again(
    ledger: Ledger, processing_run: PipelineRun, settings: Settings
) -> None:
    sha256 = write_ppr(processing_run)
    path = processing_directory(settings.areas, processing_run.pipeline_run_id).processing_request
    assert ledger.runs.get(processing_run.pipeline_run_id).ppr_sha256 == sha256
    edited = path.read_text().replace("<Value>0.01</Value>", "<Value>0.02</Value>")
    path.write_text(edited)
    assert write_ppr(processing_run) != sha256
    assert path.read_text() == edited
    assert [entry.name for entry in path.parent.iterdir()] == ["PPR.xml"]


def test_a_ppr_that_the_pipeline_would_read_wrongly_is_refused(processing_run: PipelineRun, settings: Settings) -> None:
    write_ppr(processing_run)
    path = processing_directory(settings.areas, processing_run.pipeline_run_id).processing_request
    path.write_text(path.read_text().replace("<ParameterSet/>", "", 1))
    with pytest.raises(AirflowFailException, match=r"line 18, column 9: .* has no ParameterSet"):
        write_ppr(processing_run)


@pytest.mark.parametrize("ended", [RunState.FAILED, RunState.AWAITING_QA])
def test_a_run_that_has_ended_gets_no_other_ppr_when_the_step_is_cleared(
    ledger: Ledger, processing_run: PipelineRun, settings: Settings, ended: RunState
) -> None:
    sha256 = write_ppr(processing_run)
    run_id = processing_run.pipeline_run_id
    path = processing_directory(settings.areas, run_id).processing_request
    path.write_text(path.read_text().replace("<Value>0.01</Value>", "<Value>0.02</Value>"))
    if ended is RunState.AWAITING_QA:
        (settings.processing_area / run_id).rename(settings.qa_area / run_id)
    ledger.runs.transition(run_id, ended, event="of a test")
    with pytest.raises(AirflowFailException, match=f"No PPR is written for {run_id}: the run is {ended}"):
        write_ppr(processing_run)
    assert ledger.runs.get(run_id).ppr_sha256 == sha256


@pytest.fixture
def proved_run(ledger: Ledger, processing_run: PipelineRun) -> PipelineRun:
    """A run whose outcome was judged and proved."""
    ledger.runs.record_judged(processing_run.pipeline_run_id, is_proved=True)
    return processing_run


def deliver(run: PipelineRun) -> str:
    return DeliverToQaAreaOperator(task_id="deliver", pipeline_run_id=run.pipeline_run_id).execute({})


def test_a_run_is_delivered_with_its_mail_in_one_transaction(
    ledger: Ledger, proved_run: PipelineRun, settings: Settings
) -> None:
    run_id = proved_run.pipeline_run_id
    ledger.runs.record_scores(run_id, 0.0, [])
    for _ in range(2):
        assert deliver(proved_run) == str(settings.qa_area / run_id)
    assert qa_directory(settings.areas, run_id).products.is_dir()
    assert entries(settings.processing_area) == []
    assert ledger.runs.get(run_id).state == RunState.AWAITING_QA
    (mail,) = ledger.outbox.mails(run_id)
    assert mail.key == "ready_for_review"
    assert "0.00" in mail.subject


def test_a_run_that_was_moved_before_the_kill_is_delivered_by_the_next_try(
    ledger: Ledger, proved_run: PipelineRun, settings: Settings
) -> None:
    run_id = proved_run.pipeline_run_id
    (settings.processing_area / run_id).rename(settings.qa_area / run_id)
    deliver(proved_run)
    assert ledger.runs.get(run_id).state == RunState.AWAITING_QA


def test_a_qa_area_that_is_away_for_a_moment_fails_no_run(
    ledger: Ledger, proved_run: PipelineRun, settings: Settings
) -> None:
    shutil.rmtree(settings.qa_area)
    with pytest.raises(AirflowException, match="is not there") as caught:
        deliver(proved_run)
    assert not isinstance(caught.value, AirflowFailException), "Airflow would not try again"
    prepare(settings)
    deliver(proved_run)
    assert ledger.runs.get(proved_run.pipeline_run_id).state == RunState.AWAITING_QA


def test_a_run_that_failed_meanwhile_is_not_delivered(
    ledger: Ledger, proved_run: PipelineRun, settings: Settings
) -> None:
    run_id = proved_run.pipeline_run_id
    ledger.runs.transition(run_id, RunState.FAILED, event="failed", failure="made by a test.")
    with pytest.raises(AirflowFailException, match="failed"):
        deliver(proved_run)
    assert (settings.processing_area / run_id).is_dir()
    assert entries(settings.qa_area) == []


@pytest.mark.parametrize("ended", [RunState.FAILED, RunState.AWAITING_QA])
def test_a_cleared_dag_run_does_not_begin_again_with_a_run_that_has_ended(
    archive: ArchiveHook, ledger: Ledger, settings: Settings, ended: RunState
) -> None:
    run_id = ledger.runs.get(open_operator().execute(context())).pipeline_run_id
    for state in (RunState.FETCHING, RunState.PROCESSING, ended):
        ledger.runs.transition(run_id, state, event="of a test")
    (settings.processing_area / run_id).rename(settings.qa_area / run_id)
    with pytest.raises(AirflowFailException, match=f"{run_id} of this DAG run is {ended}"):
        open_operator().execute(context())
    assert entries(settings.processing_area) == []


def test_a_cleared_dag_run_makes_no_second_directory_of_a_run_that_is_being_delivered(
    archive: ArchiveHook, ledger: Ledger, settings: Settings
) -> None:
    run_id = ledger.runs.get(open_operator().execute(context())).pipeline_run_id
    for state in (RunState.FETCHING, RunState.PROCESSING):
        ledger.runs.transition(run_id, state, event="of a test")
    (settings.processing_area / run_id).rename(settings.qa_area / run_id)
    assert open_operator().execute(context()) == run_id
    assert entries(settings.processing_area) == []


@pytest.mark.parametrize("judgements", [[], [False], [True, False]])
def test_what_is_not_proved_is_not_delivered(
    ledger: Ledger, processing_run: PipelineRun, settings: Settings, judgements: list[bool]
) -> None:
    run_id = processing_run.pipeline_run_id
    for proved in judgements:
        ledger.runs.record_judged(run_id, is_proved=proved)
    with pytest.raises(AirflowFailException, match="has not been proved"):
        deliver(processing_run)
    assert (settings.processing_area / run_id).is_dir()
