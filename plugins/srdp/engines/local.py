"""Runs CASA on the machine that Airflow's worker runs on, in processes that need neither the worker nor Airflow."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

import psutil

from srdp.domain.common.errors import quoted
from srdp.engines.account import AccountNotAllowed, signal_as
from srdp.engines.base import Job, JobNotGone, JobNotStarted, JobState, JobStatus, Queue
from srdp.engines.local_records import (
    CANCEL,
    ENDED,
    JOB,
    LOCK,
    STARTED,
    WRAPPER_LOG,
    is_here,
    is_locked,
    is_there,
    opened,
    read_record,
    this_place,
    write_once,
)
from srdp.engines.processes import MARKER, own_program
from srdp.engines.spooled import (
    SpooledEngine,
    inherited_environment,
    job_folder_of,
    last_of_log,
    make_job_folder,
    status_of,
    why_cancelled,
)

_START_TIMEOUT_SECONDS = 60.0
_LOOK_SECONDS = 0.2


class LocalEngine(SpooledEngine):
    """Runs each job under a wrapper of its own, see :mod:`srdp.engines.local_job`.

    The job has no parent process and shares no session, process group or open file with Airflow, so that it survives
    the death of worker, triggerer and scheduler. It does not survive what ends every process of a service at once: a
    container's stop, or systemd's default ``KillMode``; set ``KillMode=process`` for the unit of Airflow's worker.
    Memory is not limited: a pool keeps the number of jobs to what the machine holds.

    Whoever looks or cancels may be in another container, which sees the records and none of the processes. So whether a
    job lives is asked of its lock, a cancellation is a record that the wrapper looks for, and processes are signalled
    only where the job was started.

    A job with an account runs CASA, and nothing else, under that account, by ``sudo``: see
    :mod:`srdp.engines.account`. The wrapper and all records stay the service's own.

    Attributes:
        grace_seconds: how long, in seconds, processes have between SIGTERM and SIGKILL. CASA takes some 2 s to act
            upon SIGTERM inside a C++ call.
        record_seconds: how long, in seconds, the wrapper then has to record the end before it is killed too.
        elsewhere_seconds: how long, in seconds, the wrapper of a cancelled job has to end it in another container or on
            another machine, which may learn of a new file late from a file server.
    """

    def __init__(
        self, *, grace_seconds: float = 10.0, record_seconds: float = 8.0, elsewhere_seconds: float = 90.0
    ) -> None:
        self.grace_seconds = grace_seconds
        self.record_seconds = record_seconds
        self.elsewhere_seconds = elsewhere_seconds

    def submit(self, job: Job) -> None:
        """See :meth:`srdp.engines.base.Engine.submit`."""
        try:
            folder = self.claim(job)
            self._start_wrapper(job.name, folder)
        except (OSError, subprocess.SubprocessError) as error:
            raise JobNotStarted(f"Job {job.name} could not be started: {error}. Try again.") from error

    def check(self) -> str:
        """See :meth:`srdp.engines.base.Engine.check`."""
        return "CASA runs on the machine of the worker that takes the task."

    def queue(self) -> Queue:
        """See :meth:`srdp.engines.base.Engine.queue`: the jobs' own records say everything."""
        return Queue.of_none()

    def status(self, name: str, spool: Path, queue: Queue | None = None) -> JobStatus:  # noqa: ARG002
        """See :meth:`srdp.engines.base.Engine.status`."""
        folder = job_folder_of(name, spool)
        # The wrapper locks, then says that it has started, then that it has ended, then unlocks. Only in this order can
        # no change between two of these looks make a living or an ended job seem lost.
        started = read_record(folder / STARTED)
        alive = is_locked(folder / LOCK)
        ended = read_record(folder / ENDED)
        cancel = read_record(folder / CANCEL)
        if ended is not None:
            return status_of(JobState.ENDED, ended)
        if started is not None:
            if alive:
                return status_of(JobState.RUNNING, started)
            if cancel is not None:
                return status_of(JobState.LOST, {**started, "cause": why_cancelled(cancel), "cancelled": True})
            return status_of(JobState.LOST, {**started, "cause": _why_lost(started)})
        if alive:
            return JobStatus(JobState.WAITING)
        if cancel is not None:
            return JobStatus(JobState.ENDED, cause=why_cancelled(cancel), cancelled=True)
        return JobStatus(JobState.ABSENT)

    def is_alive(self, name: str, spool: Path) -> bool:
        """See :meth:`srdp.engines.base.Engine.is_alive`: its wrapper holds the lock until it has recorded the end."""
        return is_locked(job_folder_of(name, spool) / LOCK)

    def process(self, name: str, spool: Path) -> IO[bytes] | None:
        """See :meth:`srdp.engines.base.Engine.process`."""
        started = read_record(job_folder_of(name, spool) / STARTED)
        if started is None or not is_here(started):
            return None
        try:
            return os.fdopen(os.pidfd_open(started["wrapper_pid"]), "rb", buffering=0)
        except (KeyError, TypeError, OSError):  # it has ended, or this system has no such thing
            return None

    def cancel(self, name: str, spool: Path, cause: str) -> None:
        """See :meth:`srdp.engines.base.Engine.cancel`.

        The wrapper, on SIGTERM or the record of the cancellation, ends its whole tree and records the end.
        Should it be dead or stuck, this does the same from outside, to every process that carries the job's mark in its
        environment or descends from one; under another account, a process of that account does. Of a job that was
        started in another container or on another machine, only its wrapper can end the processes.
        """
        folder = job_folder_of(name, spool)
        make_job_folder(folder)
        state = self.status(name, spool).state
        if state not in {JobState.ENDED, JobState.LOST}:
            write_once(folder / CANCEL, {"cause": cause, "cancelled_at": datetime.now(UTC).isoformat()})
        job = read_record(folder / JOB) or {}
        started = read_record(folder / STARTED)
        account = job.get("account") if started is not None and state is not JobState.ENDED else None
        if started is None or is_here(started):
            processes = _processes(folder)
            _each(processes, psutil.Process.terminate)
            others = _signal_others(account, folder, signal.SIGTERM, name)
            psutil.wait_procs([*processes, *others], timeout=self.grace_seconds)
            self._kill(name, folder, account)
        self._wait_for_the_end(name, spool)
        if account:
            self.open_up(name, job)

    def _wait_for_the_end(self, name: str, spool: Path) -> None:
        give_up = time.monotonic() + self.elsewhere_seconds
        lock = job_folder_of(name, spool) / LOCK
        # The wrapper itself is gone when its lock is free.
        while (status := self.status(name, spool)).state in {JobState.WAITING, JobState.RUNNING} or is_locked(lock):
            if time.monotonic() > give_up:
                raise JobNotGone(
                    f"Job {name} was cancelled, but it still lives on {status.host or 'another machine'} and cannot be "
                    f"ended from {this_place()['host']}: restart that container, or look at that machine."
                )
            time.sleep(_LOOK_SECONDS)

    def _kill(self, name: str, folder: Path, account: str | None) -> None:
        wrapper = (read_record(folder / STARTED) or {}).get("wrapper_pid")
        spare_wrapper_until = time.monotonic() + self.record_seconds
        while True:
            now = time.monotonic()
            processes = _processes(folder)
            spared = wrapper if now < spare_wrapper_until else None
            _each((process for process in processes if process.pid != spared), psutil.Process.kill)
            others = _signal_others(account, folder, signal.SIGKILL, name)
            if not processes and not others:
                return
            if now > spare_wrapper_until + self.record_seconds:
                pids = ", ".join(sorted({str(process.pid) for process in (*processes, *others)}))
                raise JobNotGone(f"Job {name} was cancelled, but its processes {pids} cannot be ended: look at them.")
            psutil.wait_procs([*processes, *others], timeout=0.2)

    def _start_wrapper(self, name: str, folder: Path) -> None:
        if any(is_there(folder / record) for record in (STARTED, CANCEL, ENDED)):
            return
        with opened(folder / WRAPPER_LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND) as log:
            code = subprocess.run(
                own_program("srdp.engines.local_job", str(folder)),
                cwd="/",
                env={**inherited_environment(), MARKER: str(folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                timeout=_START_TIMEOUT_SECONDS,
                check=False,
            ).returncode
            if code:
                last_line = last_of_log(folder).splitlines()[-1:] or ["nothing"]
                raise JobNotStarted(
                    f"Job {name} could not be started, its wrapper said {quoted(last_line[0], 600)}. Try again."
                )


def _why_lost(started: Mapping[str, Any]) -> str:
    here, host = this_place(), started.get("host")
    if started.get("boot_id") != here["boot_id"]:
        if host == here["host"]:
            return f"{host} was restarted while it ran"
        return f"it was started on {host}, which is another machine than this one, {here['host']}"
    if not is_here(started):
        return f"its container {host} was stopped or restarted while it ran, or the process that watched over it killed"
    return f"the process that watched over it on {host} was killed"


def _processes(folder: Path) -> list[psutil.Process]:
    """Return the job's living processes: those that carry its mark, and what descends from them."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARKER) == str(folder):
                for member in (process, *process.children(recursive=True)):
                    if member.status() != psutil.STATUS_ZOMBIE:
                        found[member.pid] = member
        except psutil.Error:  # it is gone, a zombie, or somebody else's
            continue
    found.pop(os.getpid(), None)
    return list(found.values())


def _signal_others(account: str | None, folder: Path, number: signal.Signals, name: str) -> list[psutil.Process]:
    """Signal the job's processes under another account; return those that were alive."""
    if account is None:
        return []
    try:
        pids = signal_as(account, folder, number)
    except AccountNotAllowed as error:
        raise JobNotGone(f"Job {name} was cancelled, but its processes cannot be ended. {error}") from None
    found = []
    for pid in pids:
        try:
            found.append(psutil.Process(pid))
        except psutil.Error:
            continue
    return found


def _each(processes: Iterable[psutil.Process], act: Any) -> None:  # noqa: ANN401  a method of psutil.Process
    for process in processes:
        try:
            act(process)
        except psutil.Error:
            continue
