from __future__ import annotations

import asyncio
import contextvars
import errno
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
from airflow.sdk._shared.module_loading import import_string
from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.triggers.base import TaskSuccessEvent, TriggerEvent
from tests.areas import make_areas
from tests.jobs import wait_until

import srdp.triggers.casa_job
from srdp.domain.files.spool_files import NotTheServicesOwn
from srdp.domain.files.storage import StorageUnavailable
from srdp.domain.runs.areas import MARKER
from srdp.engines import JobNotGone, JobState, JobStatus
from srdp.engines.local import LocalEngine
from srdp.triggers.casa_job import CasaJobTrigger

NAME = "vla-20261122-182453-4f7k.casa1"
RUNNING = JobStatus(JobState.RUNNING, host="node1")
ENDED = JobStatus(JobState.ENDED, exit_code=0)
LOST = JobStatus(JobState.LOST, cause="its wrapper was killed")
CANCELLED = JobStatus(JobState.ENDED, signal="SIGTERM", cause="its deadline has passed", cancelled=True)


@pytest.fixture
def engine(monkeypatch):
    engine = mock.create_autospec(LocalEngine, instance=True)
    engine.is_alive.return_value, engine.process.return_value = False, None
    monkeypatch.setattr(srdp.triggers.casa_job, "engine", {"local": engine}.__getitem__)
    return engine


@pytest.fixture
def trigger(tmp_path):
    (tmp_path / "run" / "working").mkdir(parents=True)
    make_areas({"SRDP_SPOOL_AREA": tmp_path / "spool"})
    return CasaJobTrigger(
        engine="local",
        job_name=NAME,
        spool=str(tmp_path / "spool" / NAME.partition(".")[0]),
        directory=str(tmp_path / "run"),
        commands=["hifv_importdata", "hifv_exportdata"],
        deadline=(datetime.now(UTC) + timedelta(hours=1)).isoformat(),
        poll_seconds=0.01,
        report_seconds=0.0,
    )


def after_the_deadline(trigger):
    trigger.deadline = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    return trigger


def events(trigger):
    async def collect():
        return [event async for event in trigger.run()]

    return asyncio.run(asyncio.wait_for(collect(), 20))


def event(status):
    if status.state is JobState.ABSENT:
        return [TriggerEvent({"job_name": NAME, "state": "absent"})]
    # Without a worker: a task that resumed on one would need a slot of the pool, which the next CASA may have taken.
    return [TaskSuccessEvent()]


def test_all_that_it_knows_is_in_its_arguments(trigger):
    path, arguments = trigger.serialize()
    again = import_string(path)(**json.loads(json.dumps(arguments)))
    assert again.serialize() == (path, arguments)
    assert vars(again) == {**vars(trigger), "_task_instance": None}


@pytest.mark.parametrize("status", [ENDED, JobStatus(JobState.ENDED, signal="SIGKILL"), JobStatus(JobState.ABSENT)])
def test_it_fires_once_when_the_job_does_not_go_on(trigger, engine, status):
    engine.status.side_effect = [JobStatus(JobState.WAITING), RUNNING, RUNNING, status]
    assert events(trigger) == event(status)
    assert engine.status.call_args_list == [mock.call(NAME, Path(trigger.spool), engine.queue.return_value)] * 4
    engine.cancel.assert_not_called()


def test_what_a_lost_job_left_running_is_ended_before_it_fires(trigger, engine):
    engine.status.side_effect = [RUNNING, LOST]
    assert events(trigger) == event(LOST)
    engine.cancel.assert_called_once_with(NAME, Path(trigger.spool), "its wrapper was killed")


def test_the_deadline_cancels_the_job_and_the_event_says_so(trigger, engine):
    engine.status.side_effect = [RUNNING, CANCELLED]
    assert events(after_the_deadline(trigger)) == event(CANCELLED)
    (name, spool, cause), _ = engine.cancel.call_args
    assert (name, spool) == (NAME, Path(trigger.spool))
    assert "its deadline" in cause
    assert "has passed" in cause


def test_the_time_of_a_job_counts_from_its_start_and_not_from_its_time_in_the_queue(trigger, engine):
    trigger.hours_from_start, trigger.poll_max_seconds = 1.0, 0.01
    waiting = JobStatus(JobState.WAITING)
    running = replace(RUNNING, started_at=datetime.now(UTC) - timedelta(minutes=59))
    engine.status.side_effect = [running, ENDED]
    assert events(after_the_deadline(trigger)) == event(ENDED)
    engine.cancel.assert_not_called()
    engine.status.side_effect = [replace(RUNNING, started_at=datetime.now(UTC) - timedelta(minutes=61)), CANCELLED]
    events(trigger)
    assert "its deadline" in engine.cancel.call_args.args[2]
    engine.status.side_effect = [waiting, CANCELLED]
    events(trigger)
    assert "had not begun when its time in the queue was over" in engine.cancel.call_args.args[2]


def test_an_old_job_is_looked_at_less_often_than_a_young_one(trigger):
    trigger.poll_seconds, trigger.poll_max_seconds = 2.0, 60.0
    ages = (timedelta(seconds=10), timedelta(minutes=10), timedelta(days=3))
    assert [round(trigger._interval(datetime.now(UTC) - age)) for age in ages] == [2, 12, 60]


def test_a_job_that_ended_by_itself_has_kept_its_deadline(trigger, engine):
    engine.status.return_value = ENDED
    assert events(after_the_deadline(trigger)) == event(ENDED)
    engine.cancel.assert_not_called()


def test_a_job_that_cannot_be_ended_is_cancelled_again(trigger, engine):
    engine.status.side_effect = [RUNNING, RUNNING, CANCELLED]
    engine.cancel.side_effect = [JobNotGone("pid 7 cannot be ended"), None]
    assert events(after_the_deadline(trigger)) == event(CANCELLED)
    assert engine.cancel.call_count == 2


def test_a_cancelled_job_that_is_shown_for_some_time_yet_is_looked_at_as_seldom_as_before(trigger, engine):
    shown, looked = iter([*[RUNNING] * 5, CANCELLED]), []

    def look(*_):
        looked.append(time.monotonic())
        return next(shown)

    engine.status.side_effect = look
    trigger.poll_seconds = 0.05
    assert events(after_the_deadline(trigger)) == event(CANCELLED)
    assert min(after - before for before, after in pairwise(looked)) >= 0.05
    engine.cancel.assert_called_once()


def test_a_file_server_that_is_away_for_a_while_ends_nothing(trigger, engine):
    engine.status.side_effect = [OSError("stale file handle")] * 5 + [RUNNING] + [OSError("away")] * 5 + [ENDED]
    assert events(trigger) == event(ENDED)


def test_a_file_server_that_stays_away_for_hours_says_nothing_of_the_job(trigger, engine):
    engine.status.side_effect = [*[OSError(errno.ESTALE, "Stale file handle")] * 200, ENDED]
    with mock.patch.object(type(trigger), "log") as log:
        assert events(trigger) == event(ENDED)
    reported = [call.args[0] % call.args[1:] for call in log.warning.call_args_list]
    assert len(reported) == 10, "now and then"
    assert all("cannot be looked at since 20" in line and "Stale file handle" in line for line in reported)


def test_an_empty_mount_point_in_the_place_of_the_spool_area_is_no_job_that_never_was(trigger, engine, tmp_path):
    marker, away = tmp_path / "spool" / MARKER, tmp_path / "away"
    marker.rename(away)
    looks = []

    def look(*_):
        looks.append(marker.exists())
        return ENDED if marker.exists() else JobStatus(JobState.ABSENT)

    engine.status.side_effect = look
    with mock.patch.object(type(trigger), "log") as log:
        log.warning.side_effect = lambda *_: away.rename(marker)
        assert events(trigger) == event(ENDED)
    assert looks == [True], "looked into what was not the area"
    reported = log.warning.call_args.args
    assert "is empty, perhaps because its file system is not mounted" in reported[0] % reported[1:]


def test_records_that_are_not_the_services_own_say_nothing_until_a_person_has_fixed_that(trigger, engine):
    engine.status.side_effect = [*[NotTheServicesOwn("/spool/x belongs to jdoe")] * 3, ENDED]
    with mock.patch.object(type(trigger), "log") as log:
        assert events(trigger) == event(ENDED)
    (reported,) = [call.args[0] % call.args[1:] for call in log.warning.call_args_list]
    assert reported.endswith("/spool/x belongs to jdoe")


def test_a_triggerers_end_leaves_the_job_alone_and_the_next_goes_on(trigger, engine):
    engine.status.return_value = RUNNING

    async def interrupted():
        task = asyncio.create_task(anext(trigger.run()))
        while engine.status.call_count < 3:  # noqa: ASYNC110  an autospec has no event
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await trigger.cleanup()

    asyncio.run(interrupted())
    engine.cancel.assert_not_called()
    engine.status.return_value = ENDED
    path, arguments = trigger.serialize()
    assert events(import_string(path)(**arguments)) == event(ENDED)


def test_a_slow_look_holds_up_no_other_trigger(trigger, engine):
    looking = threading.Event()

    def slow(*_):
        looking.set()
        time.sleep(0.3)
        return ENDED

    engine.status.side_effect = slow

    async def beside():
        task = asyncio.create_task(anext(trigger.run()))
        beats = 0
        while not task.done():
            await asyncio.sleep(0.01)
            beats += looking.is_set()
        return beats

    assert asyncio.run(beside()) > 5


def test_cancellations_that_wait_for_a_batch_system_hold_up_no_look_at_another_job(trigger, engine, monkeypatch):
    away, answers, cancelling = mock.create_autospec(LocalEngine, instance=True), threading.Event(), []
    away.is_alive.return_value, away.process.return_value = False, None

    def cancel(*_):
        cancelling.append(log_of.get())
        assert answers.wait(30)

    away.status.side_effect = lambda *_: CANCELLED if answers.is_set() else RUNNING
    away.cancel.side_effect = cancel
    engine.status.side_effect = [RUNNING, ENDED]
    monkeypatch.setattr(srdp.triggers.casa_job, "engine", {"local": engine, "slurm": away}.__getitem__)
    path, arguments = after_the_deadline(trigger).serialize()
    overdue = [import_string(path)(**{**arguments, "engine": "slurm"}) for _ in range(4)]
    another = import_string(path)(**{**arguments, "deadline": (datetime.now(UTC) + timedelta(hours=1)).isoformat()})
    log_of: contextvars.ContextVar[int] = contextvars.ContextVar("log_of")

    async def follow(number, each):
        log_of.set(number)
        return await anext(each.run())

    async def follow_all():
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(2))  # fewer than are cancelled
        ending = [asyncio.create_task(follow(number, each)) for number, each in enumerate(overdue)]
        try:
            while len(cancelling) < 2:  # noqa: ASYNC110  a list has no event
                await asyncio.sleep(0.01)
            await asyncio.wait_for(follow(9, another), 10)
        finally:
            answers.set()
        await asyncio.gather(*ending)

    asyncio.run(asyncio.wait_for(follow_all(), 60))
    assert sorted(cancelling) == [0, 1, 2, 3], "each in the log of its own task"


# --- marked failed, cleared, marked success ------------------------------------------------------------------------


def killed(trigger, monkeypatch, states, map_index=-1):
    asked = mock.create_autospec(RuntimeTaskInstance.get_task_states, side_effect=[{"run 1": states}])
    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", asked)
    trigger.task_instance = SimpleNamespace(
        dag_id="vla_calibration", task_id="run_casa", run_id="run 1", map_index=map_index
    )
    asyncio.run(trigger.on_kill())
    asked.assert_called_once_with(
        dag_id="vla_calibration", task_ids=["run_casa"], run_ids=["run 1"], map_index=map_index
    )


def test_marking_the_task_failed_cancels_the_job(trigger, engine, monkeypatch):
    killed(trigger, monkeypatch, {"run_casa": "failed"})
    engine.cancel.assert_called_once_with(NAME, Path(trigger.spool), "its task in Airflow was marked failed")


def test_when_airflow_stops_waiting_the_job_is_cancelled_all_the_same(trigger, engine, monkeypatch):
    answered = threading.Event()

    def slow(**_):
        answered.wait(10)
        return {"run 1": {"run_casa": "failed"}}

    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", slow)
    trigger.task_instance = SimpleNamespace(dag_id="d", task_id="run_casa", run_id="run 1", map_index=-1)

    async def impatient():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(trigger.on_kill(), 0.05)
        engine.cancel.assert_not_called()
        answered.set()

    asyncio.run(impatient())
    wait_until(lambda: engine.cancel.called)
    engine.cancel.assert_called_once()


def test_marking_a_mapped_task_failed_cancels_its_job(trigger, engine, monkeypatch):
    killed(trigger, monkeypatch, {"run_casa_2": "failed"}, map_index=2)
    engine.cancel.assert_called_once()


@pytest.mark.parametrize(
    "state", [None, "scheduled", "queued", "running", "deferred", "success", "up_for_retry", "skipped"]
)
def test_clearing_the_task_or_marking_it_success_leaves_the_job_alone(trigger, engine, monkeypatch, state):
    killed(trigger, monkeypatch, {"run_casa": state})
    engine.cancel.assert_not_called()


def test_a_task_that_is_gone_leaves_the_job_to_the_reconciler(trigger, engine, monkeypatch):
    killed(trigger, monkeypatch, {})
    engine.cancel.assert_not_called()


def test_without_an_answer_of_airflow_the_job_is_left_alone(trigger, engine, monkeypatch):
    monkeypatch.setattr(RuntimeTaskInstance, "get_task_states", mock.Mock(side_effect=RuntimeError("away")))
    trigger.task_instance = SimpleNamespace(dag_id="d", task_id="t", run_id="r", map_index=-1)
    with pytest.raises(RuntimeError):
        asyncio.run(trigger.on_kill())
    engine.cancel.assert_not_called()


# --- what can be followed --------------------------------------------------------------------------------------------


@pytest.fixture
def said(monkeypatch):
    """What the trigger has said in the task's log."""
    log = mock.Mock()
    monkeypatch.setattr(CasaJobTrigger, "log", log)
    return lambda: [call.args[0] % call.args[1:] for call in log.method_calls]


def line(said):
    return f"2026-11-29 10:39:24\tINFO\tpipeline::::casa\t{said}\n"


def test_the_tasks_log_follows_casa_from_stage_to_stage(trigger, engine, said):
    log = Path(trigger.directory) / "working" / "casa-20261122-182453.log"
    steps = iter(
        [
            "",
            line("Executing command ...hifv_importdata") + "line\n",
            "x\n" * 100,
            "",
            line("Starting execution for stage 2") + line("Equivalent Pipeline CLI call: hifv_exportdata()"),
            "y\n" * 5,
        ]
    )

    def look(*_):
        step = next(steps, None)
        if step:
            with log.open("a") as stream:
                stream.write(step)
        return ENDED if step is None else RUNNING

    engine.status.side_effect = look
    events(trigger)
    assert said() == [
        "CASA has not begun its log yet.",
        "CASA's stage: hifv_importdata (2 new lines in its log)",
        "  | 2026-11-29 10:39:24 INFO    pipeline::::casa    Executing command ...hifv_importdata",
        "  | line",
        "CASA's stage: hifv_exportdata (stage 2 of 2) (102 new lines in its log)",
        "  | 2026-11-29 10:39:24 INFO    pipeline::::casa    Starting execution for stage 2",
        "  | 2026-11-29 10:39:24 INFO    pipeline::::casa    Equivalent Pipeline CLI call: hifv_exportdata()",
        f"CASA job {NAME}: ended",
    ]


class ShortenedLoop(asyncio.SelectorEventLoop):
    """A loop whose clock goes to the next thing that is due as soon as there is nothing to do before it."""

    def __init__(self):
        super().__init__()
        self.skipped = 0.0

    def time(self):
        return super().time() + self.skipped

    def _run_once(self):
        if not self._ready and self._scheduled:
            self.skipped += max(0.0, self._scheduled[0].when() - self.time())
        super()._run_once()


def test_ten_days_of_a_chatty_casa_leave_a_small_log_and_end_at_their_deadline(trigger, engine, said, monkeypatch):
    log = Path(trigger.directory) / "working" / "casa-20261122-182453.log"
    log.write_text(line("Starting execution for stage 1") + line("Equivalent CASA call: hifv_importdata()"))
    begin = datetime.now(UTC)
    trigger.deadline = (begin + timedelta(days=10)).isoformat()
    trigger.poll_seconds, trigger.report_seconds = 120.0, 120.0
    loop = ShortenedLoop()

    async def at_once(work, *arguments):
        return work(*arguments)

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):  # noqa: ARG003
            return begin + timedelta(seconds=loop.skipped)

    def look(*_):
        with log.open("a") as stream:
            stream.write("chatter " * 100 + "\n")
        return CANCELLED if engine.cancel.called else RUNNING

    engine.status.side_effect = look
    monkeypatch.setattr(asyncio, "to_thread", at_once)
    monkeypatch.setattr(srdp.triggers.casa_job, "datetime", Clock)

    async def collect():
        return [event async for event in trigger.run()]

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        assert runner.run(collect()) == event(CANCELLED)
    assert timedelta(days=10) <= timedelta(seconds=loop.skipped) < timedelta(days=10, minutes=5)
    assert engine.status.call_count > 10 * 24 * 25
    lines = said()
    assert 10 * 24 - 2 <= len(lines) <= 10 * 24 + 20
    assert sum(map(len, lines)) < 32_000
    assert "hifv_importdata" in lines[-2], "a look ten days later shows what CASA does"


def test_progress_is_reported_at_its_own_pace(trigger, engine, said):
    trigger.report_seconds = 60.0
    engine.status.side_effect = [RUNNING] * 10 + [ENDED]
    events(trigger)
    assert said() == ["CASA has not begun its log yet.", f"CASA job {NAME}: ended"]


def test_a_log_that_cannot_be_read_ends_nothing(trigger, engine, said, monkeypatch):
    (Path(trigger.directory) / "working" / "casa.log").touch()
    monkeypatch.setattr(srdp.triggers.casa_job, "read_on", mock.Mock(side_effect=StorageUnavailable("no")))
    engine.status.side_effect = [RUNNING, ENDED]
    assert events(trigger) == event(ENDED)
    assert said()[:-1] == ["CASA's log is not read: no"]


@pytest.mark.parametrize("made", [lambda place: place.symlink_to("../../secrets"), os.mkfifo])
def test_what_is_no_log_ends_nothing_and_is_not_shown(trigger, engine, said, made):
    working = Path(trigger.directory) / "working"
    (working.parent.parent / "secrets").write_text("password\n" * 10)
    made(working / "casa.log")
    engine.status.side_effect = [RUNNING, ENDED]
    assert events(trigger) == event(ENDED)
    (line,) = said()[:-1]
    assert line.startswith("CASA's log is not read: ")
    assert "casa.log' is a " in line


def test_the_tasks_log_says_how_the_job_ended(trigger, engine, said):
    engine.status.return_value = CANCELLED
    events(trigger)
    assert said()[-1] == f"CASA job {NAME}: ended (its deadline has passed)"
