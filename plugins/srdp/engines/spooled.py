"""What every engine does alike with a job's records: where they are, what is claimed in them, what they say."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from srdp.domain.common.errors import IntegrityError, InvalidInput, quoted
from srdp.domain.files.spool_files import PRIVATE, made_spool_folder
from srdp.engines.account import AccountNotAllowed, open_up_as
from srdp.engines.base import Job, JobNotGone, JobState, JobStatus, check_same_job
from srdp.engines.local_records import JOB, STDERR, WRAPPER_LOG, opened, read_record, write_once
from srdp.engines.processes import MARKER

# What every program needs. Airflow's own environment holds the keys to its databases: nothing else of it is passed on.
_INHERITED = ("HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER")
# Of these, another account has its own.
_OF_AN_ACCOUNT = ("HOME", "LOGNAME", "TMPDIR", "USER")
_THREADS = "OMP_NUM_THREADS"
# What an engine adds to what a job is given.
_ADDED = {*_INHERITED, _THREADS, MARKER}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", re.ASCII)
_SAID_BYTES = 4096


class SpooledEngine:
    """An engine whose jobs keep their records in the spool area.

    Attributes:
        grace_seconds: how long, in seconds, processes have between SIGTERM and SIGKILL. CASA takes some 2 s to act
            upon SIGTERM inside a C++ call.
    """

    grace_seconds: float

    def submitted(self, name: str, spool: Path) -> Job | None:
        """See :meth:`srdp.engines.base.Engine.submitted`."""
        folder = job_folder_of(name, spool)
        record = read_record(folder / JOB)
        if record is None:
            return None
        try:
            job = Job.of_record(record, spool)
            if job.environment[MARKER] != str(folder):
                raise ValueError(MARKER)
        except (KeyError, TypeError, ValueError):
            raise IntegrityError(
                f"{folder / JOB} cannot be read, so it is not known what job {name} is: find out who changed it, and "
                "trigger a new run."
            ) from None
        given = {name: value for name, value in job.environment.items() if name not in _ADDED}
        return replace(job, environment=given)

    def is_alive(self, name: str, spool: Path) -> bool:  # noqa: ARG002
        """See :meth:`srdp.engines.base.Engine.is_alive`: what the queue says is known already."""
        return False

    def process(self, name: str, spool: Path) -> IO[bytes] | None:  # noqa: ARG002
        """See :meth:`srdp.engines.base.Engine.process`: a batch system's job runs elsewhere."""
        return None

    def stderr(self, name: str, spool: Path) -> Path:
        """See :meth:`srdp.engines.base.Engine.stderr`."""
        return job_folder_of(name, spool) / STDERR

    def claim(self, job: Job) -> Path:
        """Claim the job's name; return its folder.

        Args:
            job: the job.

        Raises:
            IntegrityError: the name was claimed for another job.
            OSError: the records cannot be written.
        """
        folder = job_folder_of(job.name, job.spool)
        make_job_folder(folder)
        inherited = inherited_environment(another_account=job.account is not None)
        description = {
            **job.as_record(),
            "environment": {**inherited, _THREADS: str(job.threads), **job.environment, MARKER: str(folder)},
            "grace_seconds": self.grace_seconds,
        }
        if not write_once(folder / JOB, description):
            check_same_job(self.submitted(job.name, job.spool), job)
        return folder

    def open_up(self, name: str, job: Mapping[str, Any]) -> None:
        """Open to the group what the job's account has kept from it, if it has an account of its own.

        Args:
            name: the job's name.
            job: its record.

        Raises:
            JobNotGone: that is not allowed any more.
        """
        account = job.get("account")
        if account is None:
            return
        try:
            open_up_as(account, Path(job["working_directory"]).parent)
        except AccountNotAllowed as error:
            raise JobNotGone(
                f"Job {name} was cancelled, but what it wrote cannot be made ready for removal. {error}"
            ) from None


def job_folder_of(name: str, spool: Path) -> Path:
    """Return the folder of a job's records.

    Args:
        name: the job's name.
        spool: the run's folder of records.

    Raises:
        InvalidInput: it is not the name of a job.
    """
    if not _NAME.fullmatch(name) or ".." in name:
        raise InvalidInput(f"{quoted(name)} is not the name of a job.")
    # The area may be reached through links; the run's folder in it is no link.
    return spool.parent.resolve() / spool.name / name


def make_job_folder(folder: Path) -> None:
    """Make the folder of a job's records if it is not there."""
    with made_spool_folder(folder.parents[1], folder.parent.name, folder.name, mode=PRIVATE):
        pass


def inherited_environment(*, another_account: bool = False) -> dict[str, str]:
    """Return what every program needs of this process's environment, and nothing of Airflow's.

    Args:
        another_account: whether the program runs under another account, which has a home of its own.
    """
    left_out = _OF_AN_ACCOUNT if another_account else ()
    return {name: os.environ[name] for name in _INHERITED if name in os.environ and name not in left_out}


def status_of(state: JobState, record: Mapping[str, Any]) -> JobStatus:
    """Return what a record says about a job in a state."""
    return JobStatus(
        state,
        exit_code=record.get("exit_code"),
        signal=record.get("signal"),
        host=record.get("host"),
        started_at=moment(record.get("started_at")),
        ended_at=moment(record.get("ended_at")),
        peak_memory_bytes=record.get("peak_memory_bytes"),
        cause=record.get("cause"),
        cancelled=bool(record.get("cancelled")),
    )


def moment(text: str | None) -> datetime | None:
    """Return the moment that a record names, if it names one."""
    return datetime.fromisoformat(text) if text else None


def why_cancelled(cancel: Mapping[str, Any]) -> str:
    """Return why a job was cancelled, as its record has it."""
    return str(cancel.get("cause", "it was cancelled"))


def last_of_log(folder: Path) -> str:
    """Return the end of what the job's wrapper, or what started it, has written; empty if it wrote nothing."""
    try:
        with opened(folder / WRAPPER_LOG, os.O_RDONLY) as log:
            end = os.fstat(log).st_size
            return os.pread(log, _SAID_BYTES, max(0, end - _SAID_BYTES)).decode(errors="replace").strip()
    except FileNotFoundError:
        return ""
