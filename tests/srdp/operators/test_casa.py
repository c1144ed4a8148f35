"""Running CASA and judging its outcome: each decision with autospecced parts, then the whole on real ones."""

from __future__ import annotations

import asyncio
import gzip
import os
import signal
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred
from airflow.triggers.base import TaskSuccessEvent
from tests.programs import casa_contract
from tests.replacing import replace_everywhere
from tests.srdp.engines.test_local import wait_until

import srdp.domain.casa.outcome
import srdp.hooks.engines
import srdp.hooks.ledger
import srdp.settings
from srdp.domain.casa.aqua_report import band
from srdp.domain.casa.outcome import Outcome
from srdp.domain.ppr.document import request_sha256
from srdp.domain.runs.identifiers import PipelineRunId
from srdp.domain.runs.ledger_records import CasaAttempt, FetchedFile, PipelineRun
from srdp.domain.runs.pipeline_run import RunDirectory, processing_directory
from srdp.domain.runs.states import RunState
from srdp.domain.site.engine_options import SlurmOptions
from srdp.engines import JobNotStarted, JobState, JobStatus
from srdp.engines.local import LocalEngine
from srdp.hooks.ledger import Ledger
from srdp.hooks.ledger.runs import Runs
from srdp.operators.casa import RunCasaPipelineOperator
from srdp.operators.outcome import JudgeOutcomeOperator
from srdp.services.context import RunContext
from srdp.services.processing.casa_end import CasaJobFailed, record_casa_end
from srdp.settings import CasaInstallation
from srdp.triggers.casa_job import CasaJobTrigger

RUN = PipelineRunId("vla-20261122-182453-4f7k")
JOB = f"{RUN}.casa1"
EB = "13A-537.sb24066356.eb24324502.56514.05971091435"
START = datetime(2026, 11, 22, 18, 24, 53, tzinfo=UTC)
STAGES = ("hifv_importdata", "hifv_priorcals", "hifv_checkflag", "hifv_exportdata")
PPR = """<SciPipeRequest><ProjectSummary><ProposalCode>13A-537</ProposalCode><Observatory>NRAO</Observatory>
<Telescope>EVLA</Telescope><ProcessingSite>Socorro</ProcessingSite><Operator>vlapipe</Operator><Mode>SCIENCE</Mode>
</ProjectSummary><ProcessingRequests><ProcessingRequest><ProcessingIntents/><ProcessingProcedure><ProcedureTitle>hifv</ProcedureTitle>{stages}
</ProcessingProcedure><DataSet><SdmIdentifier>{eb}</SdmIdentifier><RelativePath>{relative}</RelativePath></DataSet>
</ProcessingRequest></ProcessingRequests></SciPipeRequest>
"""
ABSENT = JobStatus(JobState.ABSENT)
WAITING = JobStatus(JobState.WAITING)
RUNNING = JobStatus(JobState.RUNNING, host="node1", started_at=START)
ENDED = JobStatus(
    JobState.ENDED, exit_code=0, host="node1", started_at=START, ended_at=START + timedelta(hours=9),
    peak_memory_bytes=3_000_000_000,
)  # fmt: skip
CASA_ENDED = CasaAttempt(pipeline_run_id=RUN, attempt=1, started_at=START, ended_at=START + timedelta(hours=9))


def write_ppr(directory: RunDirectory, *, stages=STAGES, relative="a-former-run", eb=EB) -> str:
    for folder in (directory.working, directory.products, directory.rawdata / EB):
        folder.mkdir(parents=True, exist_ok=True)
    commands = "".join(
        f"<ProcessingCommand><Command>{stage}</Command><ParameterSet/></ProcessingCommand>" for stage in stages
    )
    directory.processing_request.write_text(PPR.format(stages=commands, eb=eb, relative=relative))
    return request_sha256(directory)


@pytest.fixture
def casa(settings, tmp_path):
    """The second, independent CASA, where the settings look for CASA."""
    return casa_contract.install(tmp_path / "contract")


@pytest.fixture(autouse=True)
def own_settings(settings, casa, monkeypatch):
    settings = settings.model_copy(update={"casa": casa.casa, "scipipe_heuristics": casa.heuristics})
    monkeypatch.setattr(srdp.settings, "load_settings", lambda: settings)
    return settings


@pytest.fixture
def directory(own_settings) -> RunDirectory:
    return processing_directory(own_settings.areas, RUN)


@pytest.fixture
def sha256(directory) -> str:
    return write_ppr(directory)


@pytest.fixture
def run(sha256) -> PipelineRun:
    return PipelineRun(
        pipeline_run_id=RUN, kind="vla_calibration", subject=EB, project="13A-537", locator="uid://x", version=1,
        state=RunState.PROCESSING, dag_id="vla_calibration", dag_run_id="manual__1", requested_by="analyst",
        recipe="vla_calibration", cores=4, memory_gb=16, failure=None, ppr_sha256=sha256, lowest_score=None,
        scores=None, created_at=START, state_since=START,
    )  # fmt: skip


@pytest.fixture
def hook(own_settings, run, sha256, monkeypatch):
    """A ledger that knows the run in state processing."""
    hook = mock.create_autospec(Ledger(own_settings))
    hook.runs.get.return_value = run
    hook.casa.of_run.return_value = [attempt(ppr_sha256_before=sha256)]
    hook.submitted_files.of_run.return_value = {}
    replace_everywhere(monkeypatch, "srdp.hooks.ledger:Ledger", lambda _settings, **_: hook)
    return hook


@pytest.fixture
def engine(monkeypatch):
    engine = mock.create_autospec(LocalEngine, instance=True)
    replace_everywhere(monkeypatch, "srdp.hooks.engines:engine", {"local": engine}.__getitem__)
    return engine


def attempt(**fields) -> CasaAttempt:
    return CasaAttempt(**{"pipeline_run_id": RUN, "attempt": 1, "job_name": JOB} | fields)


def operator(**changes) -> RunCasaPipelineOperator:
    return RunCasaPipelineOperator(**{"task_id": "run_casa", "pipeline_run_id": RUN} | changes)


def context():
    return {"ti": mock.Mock(dag_id="vla_calibration", run_id="manual__1", task_id="run_casa", try_number=1)}


def deferred(act) -> TaskDeferred:
    with pytest.raises(TaskDeferred) as caught:
        act()
    return caught.value


def execute():
    return operator().execute(context())


def resume(state="absent"):
    event = {"job_name": JOB, "state": state}
    return operator().resume_execution("execute_complete", {"event": event}, context())


# --- the start -------------------------------------------------------------------------------------------------------


def test_it_takes_a_place_in_the_pool_and_links_to_what_the_run_leaves():
    task = operator()
    assert task.pool == "casa"
    assert operator(pool="other").pool == "other"
    assert task.template_fields == ("pipeline_run_id",)
    assert [link.name for link in task.operator_extra_links] == ["Run directory", "Working directory"]


def test_a_job_that_is_absent_is_started_as_the_observatory_starts_casa_and_awaited(
    hook, engine, own_settings, directory, casa, sha256
):
    engine.status.side_effect = [ABSENT, RUNNING]
    waiting = deferred(execute)
    (job,), _ = engine.submit.call_args
    spool = own_settings.spool_area / RUN
    assert (job.name, job.spool, job.working_directory) == (JOB, spool, directory.working)
    assert (job.cores, job.memory_gb) == (4, 16)
    script = str(casa.heuristics / "pipeline" / "runvlapipeline.py")
    assert job.command == (str(casa.casa), "--nogui", "--nologger", "--agg", "-c", script, "PPR.xml")
    assert job.environment == {
        "SCIPIPE_HEURISTICS": str(casa.heuristics),
        "SCIPIPE_ROOTDIR": str(spool / "scipipe_root"),
    }
    assert (spool / "scipipe_root" / "a-former-run").resolve() == directory.root
    assert isinstance(waiting.trigger, CasaJobTrigger)
    assert waiting.method_name == "execute_complete"
    deadline = START + timedelta(hours=own_settings.casa_deadline_hours)
    path, arguments = waiting.trigger.serialize()
    assert path == "srdp.triggers.casa_job.CasaJobTrigger"
    assert arguments == {
        "engine": "local",
        "job_name": JOB,
        "spool": str(spool),
        "directory": str(directory.root),
        "commands": list(STAGES),
        "deadline": deadline.isoformat(),
        "hours_from_start": own_settings.casa_deadline_hours,
        "poll_seconds": own_settings.poll_min_seconds,
        "poll_max_seconds": 15.0,
        "report_seconds": 15.0,
    }


def test_a_run_is_given_the_casa_that_it_was_opened_with(hook, engine, run, own_settings, tmp_path, monkeypatch):
    older = CasaInstallation(
        casa=tmp_path / "older" / "bin" / "casa", scipipe_heuristics=tmp_path / "older" / "pipeline"
    )
    for file in (older.casa, older.scipipe_heuristics / "pipeline" / "runvlapipeline.py"):
        file.parent.mkdir(parents=True)
        file.touch()
    older.casa.chmod(0o755)
    both = own_settings.model_copy(update={"casa_installations": {"6.6.1": older}})
    monkeypatch.setattr(srdp.settings, "load_settings", lambda: both)
    hook.runs.get.return_value = replace(run, casa_release="6.6.1")
    engine.status.side_effect = [ABSENT, RUNNING]
    deferred(execute)
    (job,), _ = engine.submit.call_args
    assert job.command[0] == str(older.casa)
    assert str(older.scipipe_heuristics / "pipeline" / "runvlapipeline.py") in job.command
    assert job.environment["SCIPIPE_HEURISTICS"] == str(older.scipipe_heuristics)


def test_a_job_is_given_what_is_set_for_the_engine_of_its_run(hook, engine, run, own_settings, casa, monkeypatch):
    casa.casa.with_name("mpicasa").touch(mode=0o755)
    slurm = SlurmOptions(mpi_processes=4, run_as="casanode")
    settings = own_settings.model_copy(update={"slurm": slurm, "casa_account": "casapipe"})
    monkeypatch.setattr(srdp.settings, "load_settings", lambda: settings)
    replace_everywhere(monkeypatch, "srdp.hooks.engines:engine", {"slurm": engine}.__getitem__)
    hook.runs.get.return_value = replace(run, engine="slurm")
    engine.status.side_effect = [ABSENT, WAITING]
    waiting = deferred(execute)
    (job,), _ = engine.submit.call_args
    assert (job.processes, job.threads, job.account, job.command[1:3]) == (4, 1, "casanode", ("-n", "4"))
    assert waiting.trigger.poll_max_seconds == own_settings.poll_max_seconds


def test_a_release_that_the_settings_do_not_name_any_more_starts_nothing(hook, engine, run):
    engine.status.return_value = ABSENT
    hook.runs.get.return_value = replace(run, casa_release="5.6")
    with pytest.raises(AirflowFailException, match=r"no CASA release '5\.6' in the settings"):
        execute()
    engine.submit.assert_not_called()
    hook.casa.record.assert_not_called()


def test_the_ledger_knows_of_the_job_before_it_exists(hook, engine, sha256):
    engine.status.side_effect = [ABSENT, RUNNING]
    order = mock.Mock()
    order.attach_mock(hook, "ledger")
    order.attach_mock(engine, "engine")
    deferred(execute)
    names = [call[0] for call in order.mock_calls]
    recorded = mock.call.ledger.casa.record(RUN, 1, job_name=JOB, ppr_sha256_before=sha256)
    assert order.mock_calls.index(recorded) < names.index("engine.submit")
    assert mock.call(RUN, 1, host="node1", started_at=START) in hook.casa.record.mock_calls


def test_airflows_own_timeout_is_behind_the_deadline(hook, engine, monkeypatch, own_settings):
    started = datetime.now(UTC) - timedelta(hours=100)
    engine.status.return_value = replace(RUNNING, started_at=started)
    waiting = deferred(execute)
    deadline = datetime.fromisoformat(waiting.trigger.deadline)
    assert deadline == started + timedelta(hours=own_settings.casa_deadline_hours)
    assert timedelta(minutes=10) < datetime.now(UTC) + waiting.timeout - deadline < timedelta(minutes=20)


@pytest.mark.parametrize("status", [RUNNING, WAITING])
def test_a_job_that_is_there_is_attached_to_and_not_started(hook, engine, status):
    engine.status.return_value = status
    deferred(execute)
    engine.submit.assert_not_called()
    assert not any("ppr_sha256_before" in call.kwargs for call in hook.casa.record.mock_calls)


def test_a_task_that_attaches_long_after_the_deadline_waits_for_the_trigger_to_cancel(hook, engine):
    engine.status.return_value = replace(RUNNING, started_at=START - timedelta(days=3650))
    waiting = deferred(execute)
    assert waiting.timeout == timedelta(minutes=15)


def test_a_job_that_ended_meanwhile_is_not_waited_for(hook, engine):
    engine.status.return_value = ENDED
    assert execute() is None
    engine.submit.assert_not_called()


@pytest.mark.parametrize("state", sorted(set(RunState) - {RunState.PROCESSING}))
def test_casa_is_not_run_for_a_run_in_another_state(hook, engine, run, state):
    hook.runs.get.return_value = replace(run, state=state)
    with pytest.raises(AirflowFailException, match=rf"{RUN}: the run is {state}, not processing"):
        execute()
    engine.submit.assert_not_called()


def test_a_ppr_that_is_not_the_recorded_one_starts_nothing(hook, engine, run):
    engine.status.return_value = ABSENT
    hook.runs.get.return_value = replace(run, ppr_sha256="0" * 64)
    with pytest.raises(AirflowFailException, match="not the PPR that was recorded"):
        execute()
    engine.submit.assert_not_called()


def test_a_ppr_of_which_nothing_is_recorded_is_recorded_first(hook, engine, run, sha256):
    engine.status.side_effect = [ABSENT, RUNNING]
    hook.runs.get.return_value = replace(run, ppr_sha256=None)
    deferred(execute)
    hook.runs.record_ppr.assert_called_once_with(RUN, sha256)


def test_a_run_without_a_ppr_starts_nothing(hook, engine, directory):
    engine.status.return_value = ABSENT
    directory.processing_request.unlink()
    with pytest.raises(AirflowFailException, match=r"There is no .*PPR\.xml"):
        execute()
    engine.submit.assert_not_called()


RUNNERS = pytest.mark.parametrize(
    ("kind", "runner"), [("vla_calibration", "runvlapipeline.py"), ("alma_imaging", "runpipeline.py")]
)


@RUNNERS
def test_each_family_has_its_own_pipeline(hook, engine, run, casa, kind, runner):
    engine.status.side_effect = [ABSENT, RUNNING]
    hook.runs.get.return_value = replace(run, kind=kind)
    deferred(execute)
    (job,) = engine.submit.call_args.args
    assert job.command[-3:] == ("-c", str(casa.heuristics / "pipeline" / runner), "PPR.xml")


@RUNNERS
def test_a_pipeline_without_the_familys_runner_starts_nothing(hook, engine, run, casa, kind, runner):
    engine.status.return_value = ABSENT
    hook.runs.get.return_value = replace(run, kind=kind)
    (casa.heuristics / "pipeline" / runner).unlink()
    with pytest.raises(AirflowFailException, match=rf"{runner}: set SRDP_SCIPIPE_HEURISTICS"):
        execute()
    engine.submit.assert_not_called()


@pytest.mark.parametrize("run_id", ["", "None", "../x", "vla-20261122-182453-4f7k\n", "é" * 10_000])
def test_what_is_no_pipeline_run_id_is_refused(hook, engine, run_id):
    with pytest.raises(AirflowFailException, match="not a pipeline run ID"):
        operator(pipeline_run_id=run_id).execute(context())
    assert not engine.mock_calls


def test_a_job_that_could_not_be_started_leaves_the_retries_to_airflow(hook, engine):
    engine.status.return_value = ABSENT
    engine.submit.side_effect = JobNotStarted("The wrapper failed. Try again.")
    with pytest.raises(AirflowException, match="The wrapper failed") as caught:
        execute()
    assert not isinstance(caught.value, AirflowFailException)


# --- the end ---------------------------------------------------------------------------------------------------------


def end(settings, hook) -> CasaAttempt:
    return record_casa_end(RunContext(settings, hook, hook.runs.get(RUN)))


def test_the_end_goes_to_the_ledger(hook, engine, own_settings, sha256):
    engine.status.return_value = replace(ENDED, exit_code=3)
    known = end(own_settings, hook)
    assert (known.exit_code, known.ppr_sha256_after) == (3, sha256), "the exit status proves nothing"
    hook.casa.record.assert_called_once_with(
        RUN, 1, host="node1", started_at=START, ended_at=START + timedelta(hours=9), exit_code=3,
        signal=None, peak_memory_bytes=3_000_000_000, ppr_sha256_after=sha256,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (replace(ENDED, exit_code=None, signal="SIGKILL"), "was killed by SIGKILL on node1"),
        (replace(ENDED, cause="its deadline has passed", cancelled=True), "was cancelled: its deadline has passed"),
        (replace(ENDED, exit_code=127, cause="/casa could not be started"), "did not run to its end: /casa could not"),
        (JobStatus(JobState.LOST, cause="node1 was restarted"), "was lost: node1 was restarted; rerun it"),
        (JobStatus(JobState.LOST, cause="it hangs", cancelled=True), "was cancelled: it hangs"),
        (JobStatus(JobState.ENDED, cause="the run ended", cancelled=True), "was cancelled: the run ended"),
    ],
)
def test_a_job_that_did_not_run_to_its_end_is_over_for_its_task_and_fails_the_judge(hook, engine, status, sentence):
    engine.status.return_value = status
    assert execute() is None
    with pytest.raises(AirflowFailException, match=f"CASA job {JOB} {sentence}"):
        judge()
    engine.submit.assert_not_called()
    (_, fields) = hook.casa.record.call_args
    assert fields["ended_at"] is not None, "the reconciler need not look at it any more"
    assert fields["signal"] == status.signal
    hook.runs.record_scores.assert_not_called()


def test_what_a_lost_job_left_is_ended(hook, engine, own_settings):
    engine.status.return_value = JobStatus(JobState.LOST, cause="its wrapper was killed")
    with pytest.raises(CasaJobFailed):
        end(own_settings, hook)
    engine.cancel.assert_called_once_with(JOB, own_settings.spool_area / RUN, "its wrapper was killed")


def test_the_end_of_a_lost_job_is_when_it_was_first_noticed(hook, engine, own_settings):
    engine.status.return_value = JobStatus(JobState.LOST, cause="its wrapper was killed", started_at=START)
    hook.casa.of_run.return_value = [attempt(started_at=START, ended_at=START + timedelta(hours=1))]
    with pytest.raises(CasaJobFailed):
        end(own_settings, hook)
    assert hook.casa.record.call_args.kwargs["ended_at"] == START + timedelta(hours=1)


def test_a_ppr_that_changed_while_casa_ran_is_a_failure(hook, engine, directory):
    engine.status.return_value = ENDED
    directory.processing_request.write_text("<changed/>")
    with pytest.raises(AirflowFailException, match="changed while CASA ran"):
        judge()
    assert hook.casa.record.call_args.kwargs["ppr_sha256_after"] == request_sha256(directory)


def test_a_ppr_that_vanished_while_casa_ran_is_a_failure(hook, engine, directory):
    engine.status.return_value = ENDED
    directory.processing_request.unlink()
    with pytest.raises(AirflowFailException, match="changed while CASA ran"):
        judge()


def test_a_damaged_ppr_does_not_end_the_wait(hook, engine, directory):
    engine.status.return_value = RUNNING
    directory.processing_request.write_text("no XML")
    assert deferred(execute).trigger.commands == []


@pytest.mark.parametrize("state", ["ended", "lost", "absent", "running"])
def test_an_event_is_not_believed_a_living_job_is_waited_for_again(hook, engine, state):
    engine.status.return_value = RUNNING
    assert deferred(lambda: resume(state)).method_name == "execute_complete"


def test_a_job_that_was_claimed_and_never_started_is_started_when_its_absence_is_noticed(hook, engine):
    engine.status.side_effect = [ABSENT, RUNNING]
    deferred(resume)
    engine.submit.assert_called_once()


@pytest.mark.parametrize("act", ["execute", "resume", "judge"])
def test_a_job_whose_records_are_gone_is_not_started_a_second_time_nor_judged(hook, engine, sha256, act):
    engine.status.return_value = ABSENT
    hook.casa.of_run.return_value = [attempt(started_at=START, host="node1", ppr_sha256_before=sha256)]
    with pytest.raises(
        AirflowException, match=r"was started on node1 at 2026-11-22 18:24 UTC.*no record of it"
    ) as reported:
        {"execute": execute, "resume": resume, "judge": judge}[act]()
    assert not isinstance(reported.value, AirflowFailException), "the spool area may be there again at the next try"
    engine.submit.assert_not_called()


def test_what_the_ledger_knows_of_an_end_is_enough_when_the_jobs_records_are_gone(hook, engine, own_settings, sha256):
    engine.status.return_value = ABSENT
    hook.casa.of_run.return_value = [
        attempt(started_at=START, ended_at=START, host="node1", signal="SIGKILL", ppr_sha256_before=sha256)
    ]
    with pytest.raises(CasaJobFailed, match="was killed by SIGKILL on node1"):
        end(own_settings, hook)


# --- judging ---------------------------------------------------------------------------------------------------------


def judge(**changes):
    return JudgeOutcomeOperator(**{"task_id": "judge_outcome", "pipeline_run_id": RUN} | changes).execute(context())


def judged(hook):
    hook.runs.record_judged.assert_called_once()
    options = hook.runs.record_judged.call_args.kwargs
    return {"proved": options["is_proved"], **{name: list(options[name]) for name in ("missing", "warnings")}}


@pytest.mark.parametrize("attempts", [[], [CasaAttempt(pipeline_run_id=RUN, attempt=1)], [attempt()]])
def test_without_a_start_there_is_nothing_to_judge(hook, engine, attempts):
    hook.casa.of_run.return_value = attempts
    engine.status.return_value = ABSENT
    with pytest.raises(AirflowFailException, match="CASA has not been started"):
        judge()


@pytest.mark.parametrize("status", [RUNNING, WAITING])
def test_what_casa_leaves_is_not_judged_while_it_lives(hook, engine, status):
    """... as it would be when somebody marks the task that waits for it as successful."""
    engine.status.return_value = status
    with pytest.raises(AirflowFailException, match=f"CASA job {JOB} is still at work"):
        judge()
    hook.casa.record.assert_not_called()
    hook.runs.record_scores.assert_not_called()


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.AWAITING_QA])
def test_a_run_that_has_ended_keeps_the_scores_that_it_was_judged_by(hook, run, state):
    hook.runs.get.return_value = replace(run, state=state)
    with pytest.raises(AirflowFailException, match=f"not judged for {RUN}: the run is {state}"):
        judge()
    hook.runs.record_scores.assert_not_called()


def test_what_is_missing_fails_the_task_and_all_of_it_goes_to_the_ledger(hook, engine, directory):
    engine.status.return_value = replace(ENDED, exit_code=1)
    (directory.working / "errorexit-20261122T190000.txt").touch()
    with pytest.raises(AirflowFailException, match=r"not proved: .*errorexit.*no manifest.*no AQUA report"):
        judge()
    details = judged(hook)
    assert details["proved"] is False
    assert len(details["missing"]) == 3
    assert details["warnings"] == ["CASA exited with status 1."]
    hook.runs.record_scores.assert_called_once_with(RUN, None, [])


@pytest.mark.parametrize("is_taken", [True, False])
def test_a_run_with_all_proofs_is_taken_although_the_record_of_its_end_was_lost(
    hook, engine, directory, monkeypatch, is_taken
):
    """... in a spool that was full, say; a product that was cut shows that it was CASA that was killed."""
    engine.status.return_value = JobStatus(JobState.LOST, cause="the process that watched over it was killed")
    proved = Outcome((), (), "6.6.1", "2025.1", (), None, band(None), True, None, None, ())
    replace_everywhere(monkeypatch, "srdp.domain.casa.outcome:judge", lambda *_args, **_: proved)
    weblog = gzip.compress(b"weblog")
    (directory.products / "weblog.tgz").write_bytes(weblog if is_taken else weblog[:-4])
    if is_taken:
        judge()
        assert judged(hook)["proved"] is True
        assert "How CASA ended was not recorded" in judged(hook)["warnings"][0]
    else:
        with pytest.raises(AirflowFailException, match="was lost: the process that watched over it was killed"):
            judge()


def test_a_long_list_is_cut_in_the_sentence_only(hook, engine, directory):
    engine.status.return_value = ENDED
    sha256 = write_ppr(directory, stages=[f"stage_{number}" for number in range(40)] + ["hifv_exportdata"])
    hook.casa.of_run.return_value = [attempt(ppr_sha256_before=sha256)]
    (directory.products / "pipeline_aquareport.xml").write_text("<r/>")
    with pytest.raises(AirflowFailException, match="And 33 more") as caught:
        judge()
    assert len(str(caught.value)) < 1500
    assert len(judged(hook)["missing"]) == 41


def test_a_raw_file_that_was_written_is_named(hook, engine, directory):
    engine.status.return_value = ENDED
    raw = directory.rawdata / EB / "ASDM.xml"
    raw.write_text("<ASDM/>")
    hook.fetched_files.of_run.return_value = [
        FetchedFile(path=f"{EB}/ASDM.xml", size_bytes=7, crc32=1, ngas_file_id="x", mtime_ns=raw.stat().st_mtime_ns)
    ]
    with pytest.raises(AirflowFailException):
        judge()
    assert not any("ASDM.xml" in gap for gap in judged(hook)["missing"])
    hook.runs.record_judged.reset_mock()
    os.utime(raw, ns=(1, 1))
    with pytest.raises(AirflowFailException, match=r"ASDM\.xml' in rawdata/ was modified after it was fetched"):
        judge()
    hook.fetched_files.of_run.assert_called_with(RUN)


@pytest.mark.parametrize(
    ("former", "said"),
    [
        ({}, []),
        ({"casa_version": casa_contract.CASA_VERSION, "pipeline_version": casa_contract.PIPELINE_VERSION}, []),
        ({"casa_version": "6.1.2"}, ["The CASA was"]),
        ({"casa_version": "6.1.2", "pipeline_version": "2020.1"}, ["The CASA was", "The pipeline was"]),
    ],
)
@pytest.mark.servers
def test_a_rerun_with_another_casa_or_pipeline_is_proved_with_a_warning(
    steps, ledger, own_settings, former, said, monkeypatch
):
    """The former run's versions are what the ledger has of it."""
    before = ledger.runs.open(
        kind="vla_calibration", subject=EB + "1", project="13A-537", locator="uid://y", dag_id="vla_calibration",
        dag_run_id="manual__0", requested_by="analyst", recipe="vla_calibration", cores=1, memory_gb=1,
    ).pipeline_run_id  # fmt: skip
    if former:
        ledger.casa.record(before, 1, **former)
    run_of = Runs.get
    monkeypatch.setattr(Runs, "get", lambda self, run_id: replace(run_of(self, run_id), former_run=before))
    steps.run_and_judge()
    judgement = ledger.events.of_run(steps.run_id)[-1].details
    assert judgement["proved"] is True
    assert [warning[: len(start)] for warning, start in zip(judgement["warnings"], said, strict=True)] == said
    assert all(before in warning for warning in judgement["warnings"])


# --- the whole, on a real ledger, real processes and the second CASA --------------------------------------------------


@pytest.fixture
def processing_run(open_run_of_the_test, ledger, own_settings) -> PipelineRunId:
    run_id = open_run_of_the_test
    directory = processing_directory(own_settings.areas, run_id)
    ledger.runs.record_ppr(run_id, write_ppr(directory))
    return run_id


@pytest.fixture
def open_run_of_the_test(ledger) -> PipelineRunId:
    run = ledger.runs.open(
        kind="vla_calibration", subject=EB, project="13A-537", locator="uid://x", dag_id="vla_calibration",
        dag_run_id="manual__1", requested_by="analyst", recipe="vla_calibration", cores=1, memory_gb=1,
    )  # fmt: skip
    ledger.runs.transition(run.pipeline_run_id, RunState.FETCHING, event="begun")
    ledger.runs.transition(run.pipeline_run_id, RunState.PROCESSING, event="fetched")
    return run.pipeline_run_id


class Steps:
    """The two tasks of one run, as the scheduler and the triggerer would run them."""

    def __init__(self, run_id, settings) -> None:
        self.run_id = run_id
        self.directory = processing_directory(settings.areas, run_id)
        self.spool = settings.spool_area / run_id
        self.engine = LocalEngine(grace_seconds=0.5)

    def start(self) -> TaskDeferred:
        return deferred(lambda: operator(pipeline_run_id=self.run_id).execute(context()))

    def wait(self, waiting: TaskDeferred) -> None:
        waiting.trigger.poll_seconds = 0.05
        assert asyncio.run(asyncio.wait_for(anext(waiting.trigger.run()), 30)) == TaskSuccessEvent()

    def run(self) -> None:
        """Goes to the end of CASA, which takes 0.1 s here and may have come to it before the operator looks."""
        try:
            operator(pipeline_run_id=self.run_id).execute(context())
        except TaskDeferred as waiting:
            self.wait(waiting)

    def judge(self):
        return judge(pipeline_run_id=self.run_id)

    def run_and_judge(self):
        self.run()
        self.judge()


@pytest.fixture
def steps(processing_run, own_settings):
    steps = Steps(processing_run, own_settings)
    yield steps
    steps.engine.cancel(f"{steps.run_id}.casa1", steps.spool, "the test is over")


@pytest.mark.servers
def test_the_flag_template_that_casa_made_for_itself_is_recorded(steps, casa, ledger, own_settings):
    steps.run_and_judge()
    recorded = Ledger(own_settings).submitted_files.of_run(steps.run_id)["flagtemplate.txt"]
    (lying,) = steps.directory.working.glob("*.flagtemplate.txt")
    assert (recorded.content, recorded.source) == (lying.read_bytes(), "CASA's import stage")
    lying.write_text("mode='manual' antenna='ea12'\n")
    steps.judge()
    assert Ledger(own_settings).submitted_files.of_run(steps.run_id)["flagtemplate.txt"] == recorded


def test_casa_runs_once_and_its_run_is_proved(steps, casa, ledger):
    casa.behave(memory_mb=60, scores={"hifv_checkflag": "0.2"})
    steps.run()
    steps.judge()
    (attempt,) = ledger.casa.of_run(steps.run_id)
    assert attempt.job_name == f"{steps.run_id}.casa1"
    assert (attempt.exit_code, attempt.signal, attempt.host) == (0, None, os.uname().nodename)
    assert attempt.started_at < attempt.ended_at
    assert attempt.peak_memory_bytes > 60_000_000
    assert attempt.ppr_sha256_before == attempt.ppr_sha256_after == request_sha256(steps.directory)
    assert (attempt.casa_version, attempt.pipeline_version) == (
        casa_contract.CASA_VERSION,
        casa_contract.PIPELINE_VERSION,
    )
    run = ledger.runs.get(steps.run_id)
    assert run.lowest_score == 0.2
    assert run.scores[2] == {"stage": 3, "name": "hifv_checkflag", "score": 0.2, "reason": "as asked for"}
    events = [event.event for event in ledger.events.of_run(steps.run_id)]
    assert events.count("casa_started") == 1
    assert events[-1] == "judged"
    (start,) = casa.starts()
    assert start["working_directory"] == str(steps.directory.working)
    assert not {name for name in start["environment"] if name.startswith(("AIRFLOW", "SRDP", "PG"))}
    # Cleared afterwards, both tasks come to the same without a second CASA.
    assert operator(pipeline_run_id=steps.run_id).execute(context()) is None
    steps.judge()
    assert len(casa.starts()) == 1


@pytest.mark.servers
def test_a_task_that_is_cleared_while_casa_runs_attaches_to_it(steps, casa):
    casa.behave(seconds_per_stage=0.3)
    first = steps.start()
    again = steps.start()
    assert again.trigger.serialize() == first.trigger.serialize()
    steps.wait(again)
    assert len(casa.starts()) == 1


@pytest.mark.servers
def test_a_job_in_the_spool_that_is_not_the_one_that_was_asked_for_is_neither_attached_to_nor_judged(steps, casa):
    casa.behave(seconds_per_stage=0.3)
    waiting = steps.start()
    place = steps.spool / f"{steps.run_id}.casa1" / "job.json"
    job = place.read_text()
    place.write_text(job.replace("runvlapipeline.py", "another.py"))
    refused = pytest.raises(
        AirflowFailException, match=r"is not the one that was asked for \(command; its command is .*ano"
    )
    with refused:
        steps.start()
    steps.wait(waiting)
    with refused:
        steps.judge()
    place.write_text(job)
    steps.judge()


@pytest.mark.servers
def test_settings_that_change_while_casa_runs_do_not_make_it_another_job(steps, casa, own_settings, monkeypatch):
    casa.behave(seconds_per_stage=0.3)
    steps.start()
    upgraded = own_settings.model_copy(update={"casa_arguments": ("--nogui",), "casa_account": "casa"})
    monkeypatch.setattr(srdp.settings, "load_settings", lambda: upgraded)
    steps.wait(steps.start())
    steps.judge()
    assert len(casa.starts()) == 1


@pytest.mark.servers
def test_a_killed_casa_fails_the_judge_and_no_retry_starts_another(steps, casa, ledger):
    casa.behave(hang_at="hifv_priorcals")
    waiting = steps.start()
    pid = wait_until(casa.starts)[0]["pid"]
    os.kill(pid, signal.SIGKILL)
    steps.wait(waiting)
    for _ in range(2):
        with pytest.raises(AirflowFailException, match="was killed by SIGKILL"):
            steps.judge()
    assert operator(pipeline_run_id=steps.run_id).execute(context()) is None
    assert len(casa.starts()) == 1
    assert ledger.casa.of_run(steps.run_id)[0].signal == "SIGKILL"


@pytest.mark.servers
def test_the_deadline_ends_casa_with_its_children(steps, casa, own_settings, monkeypatch):
    short = own_settings.model_copy(update={"casa_deadline_hours": 1 / 3600})
    monkeypatch.setattr(srdp.settings, "load_settings", lambda: short)
    replace_everywhere(monkeypatch, "srdp.hooks.engines:engine", lambda _name: steps.engine)
    casa.behave(hang_at="hifv_priorcals", daemon=True, ignore_sigterm=True)
    waiting = steps.start()
    daemon = int(wait_until(lambda: (p := steps.directory.working / "daemon.pid").exists() and p.read_text()))
    steps.wait(waiting)
    with pytest.raises(AirflowFailException, match="was cancelled: its deadline"):
        steps.judge()
    for pid in (daemon, casa.starts()[0]["pid"]):
        assert not Path(f"/proc/{pid}").exists()


@pytest.mark.servers
def test_a_failed_stage_is_found_by_the_judge_although_casa_returns_normally(steps, casa):
    casa.behave(fail_at="hifv_checkflag")
    steps.run()
    with pytest.raises(AirflowFailException, match=r"errorexit-.*'hifv_checkflag', stage 3, failed with"):
        steps.judge()


@pytest.mark.servers
def test_a_ppr_that_casas_run_changes_fails_the_judge(steps, casa):
    casa.behave(change_ppr=True)
    with pytest.raises(AirflowFailException, match="changed while CASA ran"):
        steps.run_and_judge()


@pytest.mark.servers
def test_a_pipe_in_the_place_of_the_ppr_fails_the_judge_at_once(steps, casa):
    casa.behave()
    steps.run()
    steps.directory.processing_request.unlink()
    os.mkfifo(steps.directory.processing_request)
    with pytest.raises(AirflowFailException, match=r"PPR\.xml changed while CASA ran \(.* is a named pipe"):
        steps.judge()


@pytest.mark.servers
def test_the_checksums_of_the_ppr_before_and_after_are_kept_when_they_differ(steps, casa, ledger):
    casa.behave(change_ppr=True)
    with pytest.raises(AirflowFailException, match="changed while CASA ran"):
        steps.run_and_judge()
    (attempt,) = ledger.casa.of_run(steps.run_id)
    assert attempt.ppr_sha256_before == ledger.runs.get(steps.run_id).ppr_sha256
    assert attempt.ppr_sha256_after == request_sha256(steps.directory) != attempt.ppr_sha256_before


@pytest.mark.servers
@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ({"undefined": ["caltables"]}, "cannot be restored"),
        ({"missing": ["weblog.tgz"]}, "weblog.tgz"),
        ({"empty": ["unknown.session_1.caltables.tgz"]}, "is empty"),
        ({"without": ["manifest"]}, "no manifest"),
        ({"without": ["report"]}, "no AQUA report"),
        ({"left_out_of_report": ["hifv_priorcals"]}, "hifv_priorcals"),
        ({"extra_names": {"image": "../working/PPR.xml"}}, "refused"),
        ({"crash_at": "hifv_exportdata", "crash_signal": "SIGKILL"}, "was killed by SIGKILL"),
    ],
)
def test_nothing_that_is_missing_passes(steps, casa, behaviour, message):
    casa.behave(**behaviour)
    with pytest.raises(AirflowFailException, match=message):
        steps.run_and_judge()
