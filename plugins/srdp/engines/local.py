"""Runs CASA on the machine that Airflow's worker runs on, in processes that need neither the worker nor Airflow."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from srdp.domain.errors import InvalidInput, quoted
from srdp.engines import local_job
from srdp.engines.base import Job, JobNotGone, JobNotStarted, JobState, JobStatus
from srdp.engines.local_job import (
    CANCEL,
    ENDED,
    JOB,
    LOCK,
    MARKER,
    STARTED,
    STDERR,
    WRAPPER_LOG,
    read_record,
    write_once,
)

# What every program needs. Airflow's own environment holds the keys to its databases: nothing else of it is passed on.
_INHERITED = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", re.ASCII)
_START_PATIENCE_SECONDS = 60.0


class LocalEngine:
    """Runs each job under a wrapper of its own, see :mod:`srdp.engines.local_job`.

    The job is nobody's child and shares no session, process group or open file with Airflow, so that it survives the
    death of worker, triggerer and scheduler. It does not survive what ends every process of a service at once: a
    container's stop, or systemd's default ``KillMode``; set ``KillMode=process`` for the unit of Airflow's worker.
    Memory is not limited: a pool keeps the number of jobs to what the machine holds.

    Attributes:
        grace_seconds: how long, in seconds, processes have between SIGTERM and SIGKILL. CASA takes some 2 s to act
            upon SIGTERM inside a C++ call.
        record_seconds: how long, in seconds, the wrapper then has to record the end before it is killed too.
    """

    def __init__(self, *, grace_seconds: float = 10.0, record_seconds: float = 8.0) -> None:
        self.grace_seconds = grace_seconds
        self.record_seconds = record_seconds

    def submit(self, job: Job) -> None:
        """See :meth:`srdp.engines.base.Engine.submit`."""
        try:
            folder = _folder(job.name, job.spool)
            folder.mkdir(parents=True, exist_ok=True)
            write_once(folder / JOB, self._description(job, folder))
            self._start_wrapper(job.name, folder)
        except (OSError, subprocess.SubprocessError) as error:
            raise JobNotStarted(f"Job {job.name} could not be started: {error}. Try again.") from error

    def look(self, name: str, spool: Path) -> JobStatus:
        """See :meth:`srdp.engines.base.Engine.look`."""
        folder = _folder(name, spool)
        # The wrapper locks, then says that it has started, then that it has ended, then unlocks. Only in this order can
        # no change between two of these looks make a living or an ended job seem lost.
        started = read_record(folder / STARTED)
        alive = _locked(folder / LOCK)
        ended = read_record(folder / ENDED)
        cancel = read_record(folder / CANCEL)
        if ended is not None:
            return _status(JobState.ENDED, ended)
        if started is not None:
            if alive:
                return _status(JobState.RUNNING, started)
            if cancel is not None:
                return _status(JobState.LOST, {**started, "cause": _why_cancelled(cancel), "cancelled": True})
            return _status(JobState.LOST, {**started, "cause": _why_lost(started)})
        if alive:
            return JobStatus(JobState.WAITING)
        if cancel is not None:
            return JobStatus(JobState.ENDED, cause=_why_cancelled(cancel), cancelled=True)
        return JobStatus(JobState.ABSENT)

    def stderr(self, name: str, spool: Path) -> Path:
        """See :meth:`srdp.engines.base.Engine.stderr`."""
        return _folder(name, spool) / STDERR

    def cancel(self, name: str, spool: Path, cause: str) -> None:
        """See :meth:`srdp.engines.base.Engine.cancel`.

        The wrapper, told by SIGTERM, ends its whole tree and records the end. Should it be dead or stuck, this does the
        same from outside, to every process that carries the job's mark in its environment or descends from one.
        """
        folder = _folder(name, spool)
        folder.mkdir(parents=True, exist_ok=True)
        if self.look(name, spool).state not in {JobState.ENDED, JobState.LOST}:
            write_once(folder / CANCEL, {"cause": cause, "cancelled_at": datetime.now(UTC).isoformat()})
        processes = _processes(folder)
        _each(processes, psutil.Process.terminate)
        psutil.wait_procs(processes, timeout=self.grace_seconds)
        wrapper = (read_record(folder / STARTED) or {}).get("wrapper_pid")
        spare_wrapper_until = time.monotonic() + self.record_seconds
        while processes := _processes(folder):
            now = time.monotonic()
            if now > spare_wrapper_until + self.record_seconds:
                pids = ", ".join(str(process.pid) for process in processes)
                raise JobNotGone(f"Job {name} was cancelled, but its processes {pids} cannot be ended: look at them.")
            spared = wrapper if now < spare_wrapper_until else None
            _each((process for process in processes if process.pid != spared), psutil.Process.kill)
            psutil.wait_procs(processes, timeout=0.2)

    def _description(self, job: Job, folder: Path) -> dict[str, object]:
        return {
            "name": job.name,
            "command": list(job.command),
            "working_directory": str(job.working_directory),
            "environment": {
                **inherited_environment(),
                "OMP_NUM_THREADS": str(job.cores),
                **job.environment,
                MARKER: str(folder),
            },
            "cores": job.cores,
            "memory_gb": job.memory_gb,
            "grace_seconds": self.grace_seconds,
        }

    def _start_wrapper(self, name: str, folder: Path) -> None:
        if any((folder / record).exists() for record in (STARTED, CANCEL, ENDED)):
            return
        with (folder / WRAPPER_LOG).open("ab") as log:
            code = subprocess.run(
                [sys.executable, "-I", local_job.__file__, str(folder)],
                cwd="/",
                env={**inherited_environment(), MARKER: str(folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                timeout=_START_PATIENCE_SECONDS,
                check=False,
            ).returncode
        if code:
            said = (folder / WRAPPER_LOG).read_text(errors="replace").strip().splitlines()[-1:] or ["nothing"]
            raise JobNotStarted(f"Job {name} could not be started, its wrapper said {quoted(said[0], 200)}. Try again.")


def _folder(name: str, spool: Path) -> Path:
    if not _NAME.fullmatch(name) or ".." in name:
        raise InvalidInput(f"{quoted(name)} is not the name of a job.")
    return spool.resolve() / name


def inherited_environment() -> dict[str, str]:
    """Returns what every program needs of this process's environment, and nothing of Airflow's."""
    return {name: os.environ[name] for name in _INHERITED if name in os.environ}


def _locked(path: Path) -> bool:
    """Whether somebody holds the lock. Asked with a shared lock, which disturbs nobody else who asks."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def _status(state: JobState, record: Mapping[str, Any]) -> JobStatus:
    return JobStatus(
        state,
        exit_code=record.get("exit_code"),
        signal=record.get("signal"),
        host=record.get("host"),
        started_at=_time(record.get("started_at")),
        ended_at=_time(record.get("ended_at")),
        peak_memory_bytes=record.get("peak_memory_bytes"),
        cause=record.get("cause"),
        cancelled=bool(record.get("cancelled")),
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _why_cancelled(cancel: Mapping[str, Any]) -> str:
    return str(cancel.get("cause", "it was cancelled"))


def _why_lost(started: Mapping[str, Any]) -> str:
    here = local_job.host_and_boot()
    if started.get("host") != here["host"]:
        return f"it was started on {started.get('host')}, which is another machine than this one, {here['host']}"
    if started.get("boot_id") != here["boot_id"]:
        return f"{here['host']} was restarted while it ran"
    return f"the process that watched over it on {here['host']} was killed"


def _processes(folder: Path) -> list[psutil.Process]:
    """Returns the job's living processes: those that carry its mark, and what descends from them."""
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


def _each(processes: Iterable[psutil.Process], act: Any) -> None:  # noqa: ANN401  a method of psutil.Process
    for process in processes:
        try:
            act(process)
        except psutil.Error:
            continue
