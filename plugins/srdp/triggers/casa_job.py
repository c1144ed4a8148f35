"""Waiting for a CASA job without holding a worker."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent
from airflow.utils.state import TaskInstanceState

from srdp.domain.casa.log import (
    StageFollower,
    describe_stage,
    find_casa_log,
    full_lines,
    printable_lines,
    read_on,
    running_stage,
)
from srdp.domain.common.errors import SrdpError
from srdp.domain.events.names import EventName
from srdp.domain.events.payloads import CasaJobHeld
from srdp.domain.files.storage import StorageUnavailable, storage_error
from srdp.domain.runs.areas import SPOOL, check_area_is_there
from srdp.domain.runs.pipeline_run import RunDirectory
from srdp.engines import Engine, JobNotGone, JobState, JobStatus, Queue
from srdp.hooks.engines import engine
from srdp.triggers.process_end import Pauses
from srdp.triggers.queue_poller import queue_of

# A file server may be out of reach for some time; the job does not mind. The task's log says so now and then.
_LOOKS_BETWEEN_WARNINGS = 20
# The interval between two of them grows with the job's age.
_LOOKS_IN_A_LIFE = 50
_LINES_SHOWN = 15
# Of an engine's jobs. A cancellation waits for minutes while a batch system does not answer.
_CANCELS_AT_ONCE = 8
# A stage may last for hours: so often the task's log says that it is still running, with nothing of CASA's log.
_SECONDS_OF_SILENCE = 3600.0
# What is read of the log for a report, from its end: CASA may write a lot in some seconds.
_BYTES_READ = 1024 * 1024
# Short: the ledger may not answer, and the job is looked at again.
_FOR_THE_LEDGER_SECONDS = 5
# At first only what is shown: a triggerer that is started again begins with the jobs of all runs at once.
_FIRST_BYTES = 16 * 1024


class CasaJobTrigger(BaseTrigger):
    """Ends its task when a CASA job has ended or is lost, and cancels it when its deadline has passed.

    All that it knows is in its arguments, and all that it learns is in the job's own files: a triggerer that was killed
    continues where it was. The deadline is a moment, not a length, so that a restart does not extend it. It is kept
    here because Airflow enforces none on a deferred task that would end the job.

    While it waits, the task's log follows CASA: each new stage with the last lines of CASA's log, and a line an hour
    while a stage lasts. So a run of days leaves a log of some hundred lines, however much CASA writes.

    Args:
        engine: the engine's name.
        job_name: the job.
        spool: the run's folder of records.
        directory: the run's directory, in which CASA writes its log.
        commands: the PPR's commands, among which the stage is looked for.
        deadline: the moment, in ISO 8601 with its zone, at which the job is cancelled.
        hours_from_start: if the job had not begun when the deadline was set, the deadline is for its beginning, and
            after so many hours from then it is cancelled.
        poll_seconds: how often a young job is looked at.
        poll_max_seconds: the longest interval at which an old one is.
        report_seconds: how often CASA's log is looked at for a new stage.
    """

    def __init__(
        self,
        *,
        engine: str,
        job_name: str,
        spool: str,
        directory: str,
        commands: Sequence[str],
        deadline: str,
        hours_from_start: float | None = None,
        poll_seconds: float = 2.0,
        poll_max_seconds: float = 60.0,
        report_seconds: float = 15.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.engine = engine
        self.job_name = job_name
        self.spool = spool
        self.directory = directory
        self.commands = list(commands)
        self.deadline = deadline
        self.hours_from_start = hours_from_start
        self.poll_seconds = poll_seconds
        self.poll_max_seconds = poll_max_seconds
        self.report_seconds = report_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the trigger is made again from, in this or another triggerer."""
        names = (
            "engine", "job_name", "spool", "directory", "commands", "deadline", "hours_from_start", "poll_seconds",
            "poll_max_seconds", "report_seconds",
        )  # fmt: skip
        return f"{type(self).__module__}.{type(self).__qualname__}", {name: getattr(self, name) for name in names}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Wait for the job, and yield the one event that ends its task, or resumes it if the job was never started.

        However the job ended, the task that waits for it is done: to say how is for the next.
        """
        job_engine = engine(self.engine)
        with Pauses() as pauses:
            status = await self._end_of_the_job(job_engine, pauses)
        if status.state is JobState.LOST:
            # What it left running, if anything, has no owner any more.
            await self._try_to_cancel(status.cause or "it was lost")
        self.log.info("CASA job %s: %s%s", self.job_name, status.state, f" ({status.cause})" if status.cause else "")
        if status.state is JobState.ABSENT:
            yield TriggerEvent({"job_name": self.job_name, "state": status.state.value})  # type: ignore[no-untyped-call]
        else:
            yield TaskSuccessEvent()

    async def _end_of_the_job(self, job_engine: Engine, pauses: Pauses) -> JobStatus:
        """Wait until the job has ended; return what is known of it then."""
        deadline = datetime.fromisoformat(self.deadline)
        progress = _Progress(RunDirectory(Path(self.directory)), self.commands)
        next_report = next_cancel = 0.0
        began, seconds, reported, is_watched = datetime.now(UTC), self.poll_seconds, _Reported(), False
        status: JobStatus | None = None
        clock = asyncio.get_running_loop().time
        while True:
            status = await self._look(job_engine, seconds, status)
            if status.state not in {JobState.WAITING, JobState.RUNNING}:
                return status
            if status.started_at is not None and self.hours_from_start is not None:
                deadline = status.started_at + timedelta(hours=self.hours_from_start)
            if datetime.now(UTC) >= deadline:
                # The batch system may still show a job for some time that it has ended.
                if clock() >= next_cancel and await self._try_to_cancel(_too_late(status, deadline)):
                    next_cancel = clock() + self.poll_max_seconds
                seconds = self.poll_seconds
                await asyncio.sleep(seconds)
                continue
            await self._report_state(status, deadline, reported)
            seconds = self._interval(status.started_at or began)
            if clock() >= next_report:
                next_report = clock() + self.report_seconds
                await self._report(progress, clock())
            if status.state is JobState.RUNNING and not is_watched and pauses.can_watch:
                is_watched = await self._watch(job_engine, pauses)
            await pauses.wait(seconds)

    async def _watch(self, job_engine: Engine, pauses: Pauses) -> bool:
        """Let the end of the job's own process, where it can be seen, be noticed before the next look.

        Returns:
            whether it is not to be tried again.
        """
        try:
            process = await asyncio.to_thread(job_engine.process, self.job_name, Path(self.spool))
        except (OSError, StorageUnavailable):
            return False
        if process is not None:
            pauses.watch(process)
        return True

    async def _report_state(self, status: JobStatus, deadline: datetime, reported: _Reported) -> None:
        """Report what is new of a job that has not ended: in the task's log, and each hold once by a mail."""
        if (status.state, status.note) != reported.last and status.note is not None:
            self.log.info("CASA job %s: %s (%s)", self.job_name, status.state, status.note)
        reported.last = (status.state, status.note)
        if status.hold is not None and status.hold not in reported.holds:
            await self._in_a_thread_of_cancels(partial(self._queue_mail_about_hold, status, deadline, reported))

    def _queue_mail_about_hold(self, status: JobStatus, deadline: datetime, reported: _Reported) -> None:
        """Queue the mail about a hold; after a failure it is tried again with the next status."""
        from srdp.hooks.ledger import Ledger
        from srdp.notifications.held_job_mail import job_held
        from srdp.settings import load_settings

        hold, cause = status.hold or 0, status.note or ""
        try:
            settings = load_settings()
            ledger = Ledger(settings, retry_seconds=_FOR_THE_LEDGER_SECONDS)
            run = ledger.runs.get(Path(self.spool).name)
            mail = job_held(settings, run, job_name=self.job_name, cause=cause, until=deadline, hold=hold)
            details = CasaJobHeld(job_name=self.job_name, cause=cause)
            # Once, also if two triggerers wait for the job.
            ledger.events.record(run.pipeline_run_id, EventName.CASA_JOB_HELD, details, once=str(hold), mails=[mail])
        except SrdpError as error:
            self.log.warning("The mail about the hold cannot be queued now: %s", error)
        else:
            reported.holds.add(hold)

    async def _report(self, progress: _Progress, now: float) -> None:
        for line in await asyncio.to_thread(progress.report, now):
            self.log.info("%s", line)

    async def on_kill(self) -> None:
        """Cancel the job if its task was marked failed.

        Airflow calls this as well when the task is cleared, which attaches to the living job, or marked success. When
        the triggerer is dead it calls nothing, and the reconciling DAG does it.
        """
        # All of it in one thread, which continues when Airflow stops waiting for it after 30 s: a triggerer's first
        # question to Airflow's API has been seen to take as long.
        await self._in_a_thread_of_cancels(self._cancel_if_failed)

    def _cancel_if_failed(self) -> None:
        state = self._task_state()
        if state == TaskInstanceState.FAILED:
            self.log.info("The task was marked failed: CASA job %s is being cancelled.", self.job_name)
            self._cancel_now("its task in Airflow was marked failed")
            self.log.info("CASA job %s is cancelled, with every process that it had started.", self.job_name)
        else:
            self.log.info("CASA job %s continues: its task is %s, not failed.", self.job_name, state or "cleared")

    def _task_state(self) -> str | None:
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        task = self.task_instance
        if task is None:
            return None
        states = RuntimeTaskInstance.get_task_states(
            dag_id=task.dag_id, task_ids=[task.task_id], run_ids=[task.run_id], map_index=task.map_index
        )
        of_the_run = states.get(task.run_id, {})
        name = task.task_id if task.map_index < 0 else f"{task.task_id}_{task.map_index}"
        state = of_the_run.get(name)
        return str(state) if state else None

    def _interval(self, since: datetime) -> float:
        """Return how long to wait, in seconds, before a job is looked at again that has been there since then."""
        age = (datetime.now(UTC) - since).total_seconds()
        return min(max(age / _LOOKS_IN_A_LIFE, self.poll_seconds), max(self.poll_max_seconds, self.poll_seconds))

    async def _look(self, job_engine: Engine, seconds: float, before: JobStatus | None) -> JobStatus:
        """Return what is known of the job, when the file server answers: that it is away says nothing of the job.

        Nor do records that are not the service's own: the job continues while a person fixes that.
        """
        since, failures = datetime.now(UTC), 0
        while True:
            queue = await queue_of(self.engine, job_engine.queue, seconds)
            try:
                return await asyncio.to_thread(self._status, job_engine, queue, before)
            except (OSError, StorageUnavailable) as problem:
                error = (
                    storage_error(problem, f"{self.spool} could not be read")
                    if isinstance(problem, OSError)
                    else problem
                )
                if failures % _LOOKS_BETWEEN_WARNINGS == 0:
                    self.log.warning(
                        "CASA job %s cannot be looked at since %s UTC; trying again every %g s: %s",
                        self.job_name, f"{since:%Y-%m-%d %H:%M:%S}", self.poll_seconds, error,
                    )  # fmt: skip
                failures += 1
            await asyncio.sleep(self.poll_seconds)

    def _status(self, job_engine: Engine, queue: Queue, before: JobStatus | None) -> JobStatus:
        spool = Path(self.spool)
        if before and before.state is JobState.RUNNING and job_engine.is_alive(self.job_name, spool):
            return before
        check_area_is_there(spool.parent, SPOOL)
        return job_engine.status(self.job_name, spool, queue)

    async def _try_to_cancel(self, cause: str) -> bool:
        try:
            await self._cancel(cause)
        except (JobNotGone, OSError, StorageUnavailable) as error:
            self.log.error("%s", error)  # noqa: TRY400  a sentence, not a traceback
            return False
        return True

    async def _cancel(self, cause: str) -> None:
        # It continues when this coroutine is cancelled meanwhile.
        await self._in_a_thread_of_cancels(partial(self._cancel_now, cause))

    async def _in_a_thread_of_cancels(self, act: Callable[[], None]) -> None:
        """Do what may wait for minutes apart from the threads in which all triggers of the process look at things."""
        # Whose log it is stated in is in the context.
        context = contextvars.copy_context()
        await asyncio.get_running_loop().run_in_executor(_threads_of_cancels(self.engine), context.run, act)

    def _cancel_now(self, cause: str) -> None:
        spool = Path(self.spool)
        check_area_is_there(spool.parent, SPOOL)
        engine(self.engine).cancel(self.job_name, spool, cause)


def _too_late(status: JobStatus, deadline: datetime) -> str:
    if status.state is JobState.WAITING:
        return f"it had not begun when its time in the queue was over, {deadline:%Y-%m-%d %H:%M} UTC"
    return f"its deadline, {deadline:%Y-%m-%d %H:%M} UTC, has passed"


@cache
def _threads_of_cancels(engine: str) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=_CANCELS_AT_ONCE, thread_name_prefix=f"cancel-{engine}")


@dataclass
class _Reported:
    """What has been reported of a job that has not ended: its last state and note, and the holds that have a mail."""

    last: tuple[JobState, str | None] | None = None
    holds: set[int] = field(default_factory=set)


class _Progress:
    """What CASA has logged since the last report."""

    def __init__(self, directory: RunDirectory, commands: Sequence[str]) -> None:
        self._directory = directory
        self._commands = commands
        self._log: Path | None = None
        self._offset: int | None = None
        self._stages = StageFollower()
        self._last_headline = ""
        self._last_report_at = 0.0
        self._new_lines = 0

    def report(self, now: float) -> list[str]:
        """Return what to report: a stage that is new, with the end of CASA's log; a line an hour while it lasts.

        Args:
            now: the time, in seconds, by a clock that nobody sets.
        """
        headline, lines = self._look()
        self._new_lines += len(lines)
        is_new = headline != self._last_headline
        if not is_new and now < self._last_report_at + _SECONDS_OF_SILENCE:
            return []
        lines_shown = [f"{headline} ({self._new_lines} new lines in its log)" if self._new_lines else headline]
        if is_new:
            lines_shown += [f"  | {line}" for line in printable_lines("\n".join(lines[-_LINES_SHOWN:]))]
        self._last_headline, self._last_report_at, self._new_lines = headline, now, 0
        return lines_shown

    def _look(self) -> tuple[str, list[str]]:
        """Return what CASA does, and the lines that it has logged since the last look."""
        root = self._directory.root
        try:
            log = find_casa_log(self._directory)
            if log is None:
                return "CASA has not begun its log yet.", []
            if log != self._log:
                self._log, self._offset, self._stages = log, None, StageFollower()
            is_first = self._offset is None
            text, self._offset = read_on(root, log, self._offset, _FIRST_BYTES if is_first else _BYTES_READ)
            self._stages.feed(text)
            stage = self._stages.stage
            # A triggerer that was started again comes in the middle of a stage, whose beginning may be far back.
            if stage is None or (is_first and not (stage.task and stage.number)):
                self._stages.stage = running_stage(root, log) or stage
        except (FileNotFoundError, SrdpError) as error:
            return f"CASA's log is not read: {error}", []
        return f"CASA's stage: {describe_stage(self._stages.stage, self._commands)}", full_lines(text)
