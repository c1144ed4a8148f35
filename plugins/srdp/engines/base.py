"""What an engine is: something that runs a CASA job once, and reports on it by the files that the job leaves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import IO, Any, Protocol

from srdp.domain.common.errors import IntegrityError, ServiceUnavailable, SrdpError, quoted


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
        account: the account that the program runs under; ``None`` leaves it to the engine: the service's own, or the
            one under which a batch system runs what the service submits. Whatever it is, the records stay the
            service's own.
        processes: as how many processes the program runs, if that is more than one by MPI; they share the cores.
    """

    name: str
    command: tuple[str, ...]
    working_directory: Path
    environment: Mapping[str, str] = field(repr=False)
    spool: Path
    cores: int
    memory_gb: int
    account: str | None = None
    processes: int = 1

    @property
    def threads(self) -> int:
        """How many threads each of its processes may compute in."""
        return max(1, self.cores // self.processes)

    def as_record(self) -> dict[str, Any]:
        """Return what the job is, as JSON can hold it; the spool is left out, which is where a record is."""
        return {
            "name": self.name,
            "command": [*self.command],
            "working_directory": str(self.working_directory),
            "environment": dict(self.environment),
            "cores": self.cores,
            "memory_gb": self.memory_gb,
            "account": self.account,
            "processes": self.processes,
        }

    @classmethod
    def of_record(cls, record: Mapping[str, Any], spool: Path) -> Job:
        """Return the job that a record describes.

        Args:
            record: as :meth:`as_record` made it; further keys mean nothing here.
            spool: the run's folder of records.

        Raises:
            KeyError, TypeError, ValueError: it describes none.
        """
        return cls(
            name=str(record["name"]),
            command=tuple(record["command"]),
            working_directory=Path(record["working_directory"]),
            environment=dict(record["environment"]),
            spool=spool,
            cores=record["cores"],
            memory_gb=record["memory_gb"],
            account=record.get("account"),
            processes=int(record.get("processes", 1)),
        )


def check_same_job(found: Job | None, asked: Job) -> None:
    """Check that a job is the one that was asked for.

    Args:
        found: the job that is in the spool area; ``None`` if there is none.
        asked: the job that was asked for.

    Raises:
        IntegrityError: it is another one.
    """
    names = [each.name for each in fields(Job) if each.name != "spool"]
    different = [name for name in names if found is None or getattr(found, name) != getattr(asked, name)]
    if different:
        first = different[0]
        raise IntegrityError(
            f"The job in {asked.spool / asked.name} is not the one that was asked for ({', '.join(different)}; its "
            f"{first} is {quoted(getattr(found, first, None), 300)}, asked for was "
            f"{quoted(getattr(asked, first), 300)}): it is not used; find out who changed it, and trigger a "
            "new run."
        )


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
        note: what the batch system says of a job that has not ended, for example why it waits.
        hold: of a job that waits for a person, because the batch system holds it: which of its holds this is, 0 where
            the batch system does not count them.
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
    note: str | None = None
    hold: int | None = None


class QueueState(StrEnum):
    """Where a job is in the eyes of a batch system. A ``held`` one waits for a person."""

    WAITING = "waiting"
    RUNNING = "running"
    HELD = "held"
    ENDED = "ended"


_RANKS = {QueueState.ENDED: 0, QueueState.HELD: 1, QueueState.WAITING: 2, QueueState.RUNNING: 3}


class Limit(StrEnum):
    """For what a batch system ends a job."""

    WALL_TIME = "wall time"
    MEMORY = "memory"


@dataclass(frozen=True)
class QueuedJob:
    """A job as a batch system reports it.

    Attributes:
        name: the name that it was submitted under.
        native_id: the batch system's own name of it; it may be given to another job later.
        state: where it is.
        reason: why it is there, in the batch system's words.
        host: the node that it runs on.
        limit: for what it was ended, if that is known.
        holds: how often it has been held, where that is counted.
    """

    name: str
    native_id: str
    state: QueueState
    reason: str = ""
    host: str | None = None
    limit: Limit | None = None
    holds: int = 0


def by_name(jobs: Iterable[QueuedJob]) -> dict[str, QueuedJob]:
    """Return each job by its name: of several entries of a name the one that is furthest.

    What waits beside a running job is a second start of it, and must not hide that it runs.

    Args:
        jobs: what a batch system lists, in its order.
    """
    found: dict[str, QueuedJob] = {}
    for job in jobs:
        other = found.get(job.name)
        if other is None or other.state is QueueState.ENDED or _RANKS[job.state] > _RANKS[other.state]:
            found[job.name] = job
    return found


@dataclass(frozen=True)
class Queue:
    """What a batch system reported about all jobs of the service at one moment.

    Attributes:
        asked_at: when it was asked, in UTC: it need not know of what was submitted later.
        jobs: each job by its name; ``None`` if there was no answer, from which nothing follows.
        fault: why there was none.
    """

    asked_at: datetime
    jobs: Mapping[str, QueuedJob] | None = None
    fault: str | None = None

    @classmethod
    def of_none(cls) -> Queue:
        """Return what an engine without a queue says: nothing."""
        return cls(asked_at=datetime.now(UTC))


class Engine(Protocol):
    """Runs jobs. Every method may be called at any time, from any process, as often as one likes."""

    def check(self) -> str:
        """Return that jobs can be given to it, as a sentence.

        Raises:
            ServiceUnavailable: they cannot.
        """

    def queue(self) -> Queue:
        """Ask once for all jobs of the service, within the batch system's time limit; raises nothing."""

    def submit(self, job: Job) -> None:
        """Sees to it that the job has been started: it is started at most once, however often it is submitted.

        Args:
            job: what to run. A job that was submitted under this name before is kept as it was given then, and must be
                the same.

        Raises:
            IntegrityError: what was submitted under this name is another job; nothing is started.
            JobNotStarted: it could not be started; submitting it again may help and is safe.
            StorageUnavailable: the records are not the service's own; none is used.
        """

    def submitted(self, name: str, spool: Path) -> Job | None:
        """Return the job that was submitted under a name, as the records have it; ``None`` if none was.

        Args:
            name: the job's name.
            spool: the run's folder of records.

        Raises:
            IntegrityError: the record cannot be read.
            StorageUnavailable: the records are not the service's own; none is used.
        """

    def status(self, name: str, spool: Path, queue: Queue | None = None) -> JobStatus:
        """Return what is known of a job, and change nothing of it.

        Args:
            name: the job's name.
            spool: the run's folder of records.
            queue: what the queue reported; it is asked if nothing is given.

        Raises:
            StorageUnavailable: the records are not the service's own; none is used.
        """

    def is_alive(self, name: str, spool: Path) -> bool:
        """Return whether a job that has been seen running certainly runs still, which costs less than its status.

        Args:
            name: the job's name.
            spool: the run's folder of records.

        Returns:
            whether it does; False as well if only the status says it.

        Raises:
            StorageUnavailable: the records are not the service's own; none is used.
        """

    def process(self, name: str, spool: Path) -> IO[bytes] | None:
        """Open the process that watches over a running job, if it can be seen from here.

        Args:
            name: the job's name.
            spool: the run's folder of records.

        Returns:
            a file that becomes readable when the process has ended, which says no more than that it is time to ask
            again.

        Raises:
            StorageUnavailable: the records are not the service's own; none is used.
        """

    def stderr(self, name: str, spool: Path) -> Path:
        """Return the file into which the job's standard error goes, whether it is there or not.

        Args:
            name: the job's name.
            spool: the run's folder of records.
        """

    def cancel(self, name: str, spool: Path, cause: str) -> None:
        """End the job with every process that it started, under whatever account, and returns when they are gone.

        A job that was not started yet never starts. Of one that has ended nothing changes.

        Args:
            name: the job's name.
            spool: the run's folder of records.
            cause: why, as the end of a sentence; it is kept with the job's record.

        Raises:
            JobNotGone: a process could not be ended.
            StorageUnavailable: the records are not the service's own; none is used.
        """
