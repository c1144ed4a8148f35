"""What an engine is: something that runs a job of CASA's once, and tells of it by files that the job leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from srdp.domain.errors import ServiceUnavailable, SrdpError


class JobNotStarted(ServiceUnavailable):
    """The engine could not start a job; it was not started, so that submitting it again is safe."""


class JobNotGone(SrdpError):
    """Processes of a cancelled job could not be ended."""


class JobState(StrEnum):
    """Where a job is.

    ``absent`` and ``waiting`` jobs have not started CASA; an ``absent`` one never will unless it is submitted (again).
    An ``ended`` job left a record of its end, and none of its processes lives. A ``lost`` one was started and went
    away without such a record; processes of it may still live until it is cancelled.
    """

    ABSENT = "absent"
    WAITING = "waiting"
    RUNNING = "running"
    ENDED = "ended"
    LOST = "lost"


@dataclass(frozen=True)
class Job:
    """What an engine is to run.

    Attributes:
        name: the job's identity, derived from the pipeline run and the attempt; never used for another job.
        command: the program, by its absolute path, and its arguments; no shell reads them.
        working_directory: where the program starts.
        environment: what the program finds in its environment, beside the few variables that every program needs.
        spool: the run's folder of records; the job's own folder is ``<spool>/<name>``.
        cores: how many cores the job may use.
        memory_gb: how much memory, in GB, the job may use.
    """

    name: str
    command: tuple[str, ...]
    working_directory: Path
    environment: Mapping[str, str] = field(repr=False)
    spool: Path
    cores: int
    memory_gb: int


@dataclass(frozen=True)
class JobStatus:
    """What is known of a job.

    Attributes:
        state: where the job is.
        exit_code: what the program exited with; ``None`` if it was killed, or has not ended.
        signal: the name of the signal that killed the program, for example ``SIGKILL``.
        host: where the job was started.
        started_at: when the program was started, in UTC.
        ended_at: when the last of the job's processes was gone, in UTC.
        peak_memory_bytes: the largest resident size of a single process of the job, in bytes.
        cause: why the job was cancelled, lost or never started the program, as the end of a sentence.
        cancelled: whether it was cancelled before it ended by itself.
    """

    state: JobState
    exit_code: int | None = None
    signal: str | None = None
    host: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    peak_memory_bytes: int | None = None
    cause: str | None = None
    cancelled: bool = False


class Engine(Protocol):
    """Runs jobs. Every method may be called at any time, from any process, as often as one likes."""

    def submit(self, job: Job) -> None:
        """Sees to it that the job has been started: it is started at most once, however often it is submitted.

        Args:
            job: what to run. A job that was submitted under this name before is kept as it was given then.

        Raises:
            JobNotStarted: it could not be started; submitting it again may help and is safe.
        """

    def look(self, name: str, spool: Path) -> JobStatus:
        """Returns what is known of a job, and changes nothing.

        Args:
            name: the job's name.
            spool: the run's folder of records.
        """

    def stderr(self, name: str, spool: Path) -> Path:
        """Return the file into which the job's standard error goes, whether it is there or not.

        Args:
            name: the job's name.
            spool: the run's folder of records.
        """

    def cancel(self, name: str, spool: Path, cause: str) -> None:
        """Ends the job with every process that it started, and returns when they are gone.

        A job that was not started yet never starts. Of one that has ended nothing changes.

        Args:
            name: the job's name.
            spool: the run's folder of records.
            cause: why, as the end of a sentence; it is kept with the job's record.

        Raises:
            JobNotGone: a process could not be ended.
        """
