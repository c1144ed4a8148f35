"""An engine over a batch system that shares the areas and the spool area with this machine.

What runs on the node is the wrapper that the local engine has, :mod:`srdp.engines.local_job`, and its records decide.
The queue only says whether a job that has left no end is still known to the batch system: for all jobs of the service
at once, and by their names, because a batch system may give a number to a second job.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from srdp.domain.common.errors import quoted
from srdp.engines.base import Job, JobNotGone, JobNotStarted, JobState, JobStatus, Queue, QueuedJob, QueueState
from srdp.engines.batch_system import BatchSystem, NoAnswer, SubmissionRefused
from srdp.engines.limits import limit_by_figures, limit_sentence
from srdp.engines.local_records import (
    CANCEL,
    ENDED,
    JOB,
    LEFT,
    STARTED,
    STOP_REQUESTED,
    SUBMISSION,
    SUBMITTING,
    WRAPPER_LOG,
    is_there,
    locked,
    now,
    opened,
    read_record,
    remove_record,
    replace_record,
    write_once,
)
from srdp.engines.processes import own_program
from srdp.engines.spooled import (
    SpooledEngine,
    job_folder_of,
    last_of_log,
    make_job_folder,
    moment,
    status_of,
    why_cancelled,
)

_CANCEL_TIMEOUT_SECONDS = 120.0
_SETTLED = frozenset({QueueState.HELD, QueueState.ENDED})
_ON_NO_NODE = frozenset({QueueState.WAITING, QueueState.HELD})


class BatchEngine(SpooledEngine):
    """Runs each job as one of a batch system.

    It is never submitted twice: the name is claimed in the spool area, then the queue is asked for it, then it is
    submitted. When the answer was lost, the job is found again by its name, or counts as not submitted when the queue
    has not shown it for a while. Should it come to two all the same, the wrapper refuses the second start.

    A job is lost when it was started, the queue answers that there is no such job, and its record of the end has not
    come for a while. A batch system that gives no answer says nothing.

    Args:
        system: the batch system.
        grace_seconds: how long, in seconds, processes have between SIGTERM and SIGKILL.
    """

    def __init__(self, system: BatchSystem, *, grace_seconds: float = 10.0) -> None:
        self.system = system
        self.grace_seconds = grace_seconds
        self._late = timedelta(seconds=system.options.grace_seconds)

    def check(self) -> str:
        """See :meth:`srdp.engines.base.Engine.check`."""
        return self.system.check()

    def queue(self) -> Queue:
        """See :meth:`srdp.engines.base.Engine.queue`."""
        asked_at = datetime.now(UTC)
        try:
            return Queue(asked_at, jobs=self.system.queued())
        except NoAnswer as error:
            return Queue(asked_at, fault=str(error))
        except Exception as error:  # noqa: BLE001  the answer is for all jobs at once, which continue without it
            return Queue(asked_at, fault=f"{self.system.title} could not be asked: {error!r}.")

    def submit(self, job: Job) -> None:
        """See :meth:`srdp.engines.base.Engine.submit`: the job is in the queue then, or was."""
        try:
            folder = self.claim(job)
            with locked(folder / SUBMITTING):
                self._hand_over(job, folder)
        except OSError as error:
            raise JobNotStarted(f"Job {job.name} could not be submitted: {error}. Try again.") from error

    def _hand_over(self, job: Job, folder: Path) -> None:
        if any(is_there(folder / record) for record in (STARTED, CANCEL, ENDED)):
            return
        queue = self.queue()
        if queue.jobs is None:
            raise JobNotStarted(f"Job {job.name} was not submitted to {self.system.title}: {queue.fault} Try again.")
        former = _submission(folder) or {}
        entry, is_unheard = self._entry(queue, folder, job.name, former), former and "native_id" not in former
        if entry is not None and _lives(entry):
            remove_record(folder / LEFT)
            if is_unheard:
                replace_record(folder / SUBMISSION, {**former, "native_id": entry.native_id})
            return
        if is_unheard and not self._is_late(self._left(folder, entry), queue):
            raise JobNotStarted(f"{self.system.title} gave no answer when job {job.name} was submitted. Try again.")
        if "native_id" in former and not former.get("told"):
            if entry is None and self._is_young(former, queue):
                return
            replace_record(folder / SUBMISSION, {**former, "told": True})
            raise JobNotStarted(
                f"Job {job.name} ({former['native_id']}) left {self.system.title} without starting CASA"
                f"{_because(entry.reason if entry else '', folder)}: it is submitted again with the next try."
            )
        self._submit(job, folder)

    def _submit(self, job: Job, folder: Path) -> None:
        options = self.system.options
        submission = {"submitted_at": now(), "wall_time_hours": options.wall_time_hours, "memory_gb": job.memory_gb}
        replace_record(folder / SUBMISSION, submission)
        remove_record(folder / LEFT)
        with opened(folder / WRAPPER_LOG, os.O_WRONLY | os.O_CREAT):
            pass
        command = own_program("srdp.engines.local_job", str(folder), "stay", python=options.python)
        try:
            native_id = self.system.submit(job, command, folder / WRAPPER_LOG)
        except SubmissionRefused as error:
            remove_record(folder / SUBMISSION)
            raise JobNotStarted(f"{self.system.title} refused job {job.name}: {error} Try again.") from None
        except NoAnswer as error:
            raise JobNotStarted(f"Whether {self.system.title} took job {job.name} is not known: {error}") from None
        replace_record(folder / SUBMISSION, {**submission, "native_id": native_id})

    def status(self, name: str, spool: Path, queue: Queue | None = None) -> JobStatus:
        """See :meth:`srdp.engines.base.Engine.status`."""
        folder = job_folder_of(name, spool)
        submission, ended = _submission(folder), read_record(folder / ENDED)
        if ended is None and submission is not None:
            # Before the records: what ends writes its record first, and leaves the queue then.
            asked = queue or self.queue()
            entry = self._entry(asked, folder, name, _submission(folder))
            ended = read_record(folder / ENDED)
            if ended is None:
                return self._unended(folder, submission, asked, entry)
        if ended is not None:
            return self._ended(folder, name, submission or {}, ended, queue)
        cancel = read_record(folder / CANCEL)
        return JobStatus(JobState.ABSENT) if cancel is None else _cancelled(cancel)

    def _unended(self, folder: Path, submission: Mapping[str, Any], queue: Queue, entry: QueuedJob | None) -> JobStatus:
        started, cancel = read_record(folder / STARTED), read_record(folder / CANCEL)
        if started is not None and entry is not None and entry.state in _ON_NO_NODE:
            # What was started is gone; what waits is its second start, which the wrapper would refuse.
            entry = replace(entry, state=QueueState.ENDED)
        words = (entry and entry.state, entry and entry.reason, queue.fault)
        note = " ".join(word for word in words if word) or None
        is_unknown = entry is None and (queue.jobs is None or self._is_young(submission, queue))
        if _lives(entry) or is_unknown:
            if _lives(entry):
                remove_record(folder / LEFT)
            if started is not None:
                return replace(status_of(JobState.RUNNING, started), note=note)
            if cancel is not None and entry is not None and entry.state is not QueueState.RUNNING:
                return _cancelled(cancel)
            hold = entry.holds if entry is not None and entry.state is QueueState.HELD else None
            return JobStatus(JobState.WAITING, note=note, hold=hold)
        left = self._left(folder, entry)
        if started is None:
            if cancel is not None:
                return _cancelled(cancel)
            return JobStatus(
                JobState.ABSENT if self._is_late(left, queue) else JobState.WAITING, note="it has left the queue"
            )
        if not self._is_late(left, queue):
            return replace(status_of(JobState.RUNNING, started), note="it has left the queue; waiting for its end")
        if cancel is not None and not cancel.get("lost"):
            return status_of(JobState.LOST, {**started, "cause": why_cancelled(cancel), "cancelled": True})
        cause = self._limit_sentence(left.get("limit"), submission) or (
            f"{self.system.title} has ended it{_because(str(left['reason']), folder)}"
            if left.get("reason")
            else f"{self.system.title} has no such job any more, and it left no record of its end"
        )
        return status_of(JobState.LOST, {**started, "cause": cause})

    def _ended(
        self, folder: Path, name: str, submission: Mapping[str, Any], ended: Mapping[str, Any], given: Queue | None
    ) -> JobStatus:
        """Return how a job ended; of one that was killed, for which limit, as far as anybody knows.

        Whoever gives a queue asks for many jobs at once: this one is not asked for by itself then. A queue that was
        asked before the job ended does not know why, and the next one is waited for.
        """
        status = status_of(JobState.ENDED, ended)
        if status.cancelled or not (status.signal or status.cause == STOP_REQUESTED):
            return status
        logged = self.system.logged(folder)
        if logged is not None:
            return self._logged_status(folder, logged, status, submission)
        left: Mapping[str, Any] = read_record(folder / LEFT) or {}
        if not left:
            queue = given or self.queue()
            entry = self._entry(queue, folder, name, _submission(folder))
            if given is not None and _lives(entry) and self._is_before(queue, status):
                return _why_is_awaited(status)
            if queue.jobs is not None and not _lives(entry):
                left = self._left(folder, entry)
        limit = (
            left.get("limit") or self.system.limit_in_log(last_of_log(folder)) or limit_by_figures(status, submission)
        )
        return replace(status, cause=self._limit_sentence(limit, submission) or status.cause)

    def _logged_status(
        self, folder: Path, logged: QueuedJob, status: JobStatus, submission: Mapping[str, Any]
    ) -> JobStatus:
        """Return how a job ended that was killed, with the batch system's word on why, which comes a little later."""
        is_late = datetime.now(UTC) - (status.ended_at or datetime.now(UTC)) >= self._late
        if logged.state not in _SETTLED and not is_late:
            return _why_is_awaited(status)
        write_once(folder / LEFT, {"at": now(), "limit": logged.limit, "reason": logged.reason})
        left = read_record(folder / LEFT) or {}
        if logged.state is QueueState.HELD:
            # Nothing would start when it is released.
            with contextlib.suppress(NoAnswer):
                self.system.remove(logged.name)
        reason = left.get("reason") or logged.reason
        why = f"{self.system.title} has ended it ({quoted(reason, 200)})" if reason else status.cause
        return replace(status, cause=self._limit_sentence(left.get("limit") or logged.limit, submission) or why)

    def cancel(self, name: str, spool: Path, cause: str) -> None:
        """See :meth:`srdp.engines.base.Engine.cancel`.

        Of a job that has not started, the record of the cancellation keeps it from starting, wherever it is.
        """
        folder = job_folder_of(name, spool)
        make_job_folder(folder)
        state = self.status(name, spool).state
        if state is JobState.ENDED:
            return
        # Of a lost job a wrapper may live on a node that is out of reach: it ends CASA when it reads this.
        write_once(folder / CANCEL, {"cause": cause, "cancelled_at": now(), "lost": state is JobState.LOST})
        if _submission(folder) is not None:
            self._wait_until_gone(folder, name)
        job = read_record(folder / JOB) or {}
        if is_there(folder / STARTED):
            self.open_up(name, job)

    def _wait_until_gone(self, folder: Path, name: str) -> None:
        give_up, pause, is_requested, fault = time.monotonic() + _CANCEL_TIMEOUT_SECONDS, 0.2, False, ""
        while not is_there(folder / ENDED):
            try:
                if not is_requested:
                    self.system.remove(name)
                    is_requested = True
            except NoAnswer as error:
                fault = f" {error}"
            queue = self.queue()
            if (
                queue.jobs is not None
                and is_requested
                and not _lives(self._entry(queue, folder, name, _submission(folder)))
            ):
                return
            if time.monotonic() > give_up:
                raise JobNotGone(f"Job {name} was cancelled, but {self.system.title} has not ended it yet.{fault}")
            time.sleep(pause)
            pause = min(2 * pause, 5.0)

    def _entry(self, queue: Queue, folder: Path, name: str, submission: Mapping[str, Any] | None) -> QueuedJob | None:
        """Return what is known of a job's place: from the queue if it is there, else from the job's log.

        One that has ended is not meant if it was a former submission.
        """
        queued, logged = (queue.jobs or {}).get(name), self.system.logged(folder)
        if queued is None or logged is None:
            # A log does not say that the queue has lost the job.
            entry = queued or (logged if queue.jobs is None or not _lives(logged) else None)
        else:
            entry = replace(queued, reason=queued.reason or logged.reason, holds=logged.holds)
        is_this = entry is None or _lives(entry) or entry.native_id == (submission or {}).get("native_id")
        return entry if is_this else None

    def _is_young(self, submission: Mapping[str, Any], queue: Queue) -> bool:
        """Whether the queue was asked too early to have to know of a submission."""
        submitted_at = moment(submission.get("submitted_at"))
        return submitted_at is not None and queue.asked_at - submitted_at < self._late

    def _is_late(self, left: Mapping[str, Any], queue: Queue) -> bool:
        return queue.asked_at - (moment(left["at"]) or queue.asked_at) >= self._late

    def _is_before(self, queue: Queue, status: JobStatus) -> bool:
        """Whether the queue was asked too early to know why a job ended, and a later one is worth waiting for."""
        ended_at = status.ended_at
        return ended_at is not None and queue.asked_at <= ended_at and datetime.now(UTC) - ended_at < self._late

    def _left(self, folder: Path, entry: QueuedJob | None) -> Mapping[str, Any]:
        """Return when the queue was first seen without the job, and why; from now on that is recorded."""
        left = read_record(folder / LEFT)
        if left:
            return left
        limit = (entry and entry.limit) or self.system.limit_in_log(last_of_log(folder))
        # Not when it was asked: what was on its way to a server that hung is heard when that answers again.
        record = {"at": now(), "limit": limit, "reason": entry.reason if entry else None}
        write_once(folder / LEFT, record)
        return record

    def _limit_sentence(self, limit: str | None, submission: Mapping[str, Any]) -> str | None:
        given = {"wall_time_hours": self.system.options.wall_time_hours, **submission}
        return limit_sentence(limit, given, self.system.title, self.system.variable)


def _why_is_awaited(status: JobStatus) -> JobStatus:
    return replace(status, state=JobState.RUNNING, note="it was ended; why, is waited for")


def _lives(entry: QueuedJob | None) -> bool:
    return entry is not None and entry.state is not QueueState.ENDED


def _submission(folder: Path) -> Mapping[str, Any] | None:
    return read_record(folder / SUBMISSION)


def _cancelled(cancel: Mapping[str, Any]) -> JobStatus:
    return JobStatus(JobState.ENDED, cause=why_cancelled(cancel), cancelled=True)


def _because(reason: str, folder: Path) -> str:
    last_line = last_of_log(folder).splitlines()[-1:]
    words = [*([reason] if reason else []), *([f"its log ends with {quoted(last_line[0], 300)}"] if last_line else [])]
    return f" ({'; '.join(words)})" if words else ""
