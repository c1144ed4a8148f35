"""Slurm by its command line, here or on a host that has it."""

from __future__ import annotations

import math
import os
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from srdp.domain.common.errors import quoted
from srdp.domain.site.engine_options import SlurmOptions
from srdp.engines.base import Job, Limit, QueuedJob, QueueState, by_name
from srdp.engines.batch_system import NoAnswer, SubmissionRefused
from srdp.engines.spooled import inherited_environment

# The name is last: it may hold anything, and a line of another form is no job of ours.
_FORMAT = "%i|%T|%B|%r|%j"
_LINE = re.compile(r"([0-9_+\[\]%,-]+)\|([A-Z_]+)\|([^|]*)\|([^|]*)\|(.*)")
_ENDED = frozenset(
    {
        "BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED",
        "REVOKED", "TIMEOUT",
    }
)  # fmt: skip
_HELD = frozenset({"REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"})
_HELD_REASON = re.compile(r"JobHeld|_held$|launch_failed|requeued held", re.IGNORECASE)
_LIMITS = {
    "TIMEOUT": Limit.WALL_TIME,
    "DEADLINE": Limit.WALL_TIME,
    "TimeLimit": Limit.WALL_TIME,
    "OUT_OF_MEMORY": Limit.MEMORY,
    "OutOfMemory": Limit.MEMORY,
}
_NOTHING = frozenset({"", "None", "n/a", "(null)"})
_TOO_MUCH_MEMORY = re.compile(r"slurmstepd.*(exceeded (job )?memory limit|oom[-_ ]kill)", re.IGNORECASE)
_TOO_LONG = re.compile(r"slurmstepd.* DUE TO TIME LIMIT")
# What sbatch says when it surely has submitted nothing; else the controller may have heard it.
_REFUSED = re.compile(
    r"Batch job submission failed: (.+)|sbatch: (?:error|fatal): (?:Invalid|unrecognized|Unable to open) .+"
)
_PERHAPS = re.compile(
    r"contact|timed out|time limit exceeded on|communication|connection|zero bytes|message", re.IGNORECASE
)
_SUBMITTED = re.compile(r"([0-9]+)(?:;.*)?", re.ASCII)
_LONGEST_ANSWER = 500


@dataclass(frozen=True)
class Ran:
    """How a command ended.

    Attributes:
        code: its exit status.
        stdout: what it printed.
        stderr: what it complained of.
    """

    code: int
    stdout: str
    stderr: str


class Runner(Protocol):
    """Runs one of Slurm's commands."""

    def __call__(self, command: Sequence[str], stdin: str, seconds: float) -> Ran:
        """Run a command to its end.

        Args:
            command: the program and its arguments; no shell reads them but as they are.
            stdin: what it reads.
            seconds: how long it may take.

        Raises:
            NoAnswer: it could not be started, or did not end in time.
        """


def run_here(command: Sequence[str], stdin: str, seconds: float) -> Ran:
    """Run a command on this machine, see :class:`Runner`; of Airflow's environment it gets nothing."""
    environment = inherited_environment()
    if "SLURM_CONF" in os.environ:
        environment["SLURM_CONF"] = os.environ["SLURM_CONF"]
    try:
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, errors="replace", timeout=seconds, check=False,
            cwd="/", env=environment,
        )  # fmt: skip
    except OSError as error:
        raise NoAnswer(f"{command[0]} could not be started: {error.strerror}.") from None
    except subprocess.TimeoutExpired as expired:
        output = (expired.stderr or b"").decode(errors="replace").strip().splitlines()[-1:]
        but = f", only {quoted(output[0], _LONGEST_ANSWER)}" if output else ""
        raise NoAnswer(f"{command[0]} gave no answer within {seconds:g} s{but}.") from None
    return Ran(done.returncode, done.stdout, done.stderr)


class Slurm:
    """See :class:`srdp.engines.batch_system.BatchSystem`.

    Args:
        options: the settings.
        run: runs Slurm's commands.
    """

    title = "Slurm"
    variable = "SRDP_SLURM"

    def __init__(self, options: SlurmOptions, run: Runner = run_here) -> None:
        self.options = options
        self._run = run

    def submit(self, job: Job, command: Sequence[str], log: Path) -> str:
        """See :meth:`srdp.engines.batch_system.BatchSystem.submit`."""
        ran = self._run(self._sbatch(job, log), _script(command), self.options.answer_timeout_seconds)
        output = _output_of(ran)
        if ran.code == 0:
            found = _SUBMITTED.fullmatch((ran.stdout.strip().splitlines() or [""])[-1])
            if found:
                return found[1]
            raise NoAnswer(f"sbatch answered {quoted(output, _LONGEST_ANSWER)}, which is no number of a job.")
        refused = _REFUSED.search(ran.stderr)
        if refused and not _PERHAPS.search(refused[0]):
            raise SubmissionRefused(f"sbatch said {quoted(output, _LONGEST_ANSWER)}.")
        raise NoAnswer(f"sbatch said {quoted(output, _LONGEST_ANSWER)}.")

    def queued(self) -> Mapping[str, QueuedJob]:
        """See :meth:`srdp.engines.batch_system.BatchSystem.queued`."""
        answer = self._asked("squeue", "--me", "--states=all", "--noheader", f"--format={_FORMAT}")
        return by_name(_job(*found.groups()) for found in map(_LINE.fullmatch, answer.splitlines()) if found)

    def logged(self, folder: Path) -> QueuedJob | None:  # noqa: ARG002
        """See :meth:`srdp.engines.batch_system.BatchSystem.logged`: Slurm writes nothing there."""
        return None

    def remove(self, name: str) -> None:
        """See :meth:`srdp.engines.batch_system.BatchSystem.remove`."""
        self._asked("scancel", "--me", f"--name={name}")

    def limit_in_log(self, log: str) -> Limit | None:
        """See :meth:`srdp.engines.batch_system.BatchSystem.limit_in_log`."""
        if _TOO_LONG.search(log):
            return Limit.WALL_TIME
        return Limit.MEMORY if _TOO_MUCH_MEMORY.search(log) else None

    def check(self) -> str:
        """See :meth:`srdp.engines.batch_system.BatchSystem.check`."""
        version = self._asked("sinfo", "--version").strip()
        partition = self.options.partition
        if partition is None:
            self._asked("squeue", "--me", "--noheader")
            return f"{version} answers."
        for each in partition.split(","):
            if not self._asked("sinfo", "--noheader", f"--partition={each}", "--format=%R").strip():
                raise NoAnswer(f"{version} has no partition {each}: set {self.variable}__PARTITION.")
        return f"{version} answers, and has the partition {partition}."

    def _asked(self, *command: str) -> str:
        ran = self._run(command, "", self.options.answer_timeout_seconds)
        if ran.code:
            raise NoAnswer(f"{command[0]} said {quoted(_output_of(ran), _LONGEST_ANSWER)}.")
        return ran.stdout

    def _sbatch(self, job: Job, log: Path) -> list[str]:
        options = self.options
        place = str(log).replace("%", "%%")
        return [
            "sbatch", "--parsable", "--no-requeue", f"--job-name={job.name}", "--nodes=1", "--ntasks=1",
            f"--cpus-per-task={max(job.cores, options.mpi_processes)}", f"--mem={job.memory_gb}G",
            f"--time={max(1, math.ceil(options.wall_time_hours * 60))}", "--chdir=/", "--input=none",
            f"--output={place}", "--open-mode=append",
            *([f"--partition={options.partition}"] if options.partition else []),
            *([f"--account={options.account}"] if options.account else []),
            *([f"--tmp={options.scratch_gb}G"] if options.scratch_gb else []),
            *options.options,
        ]  # fmt: skip


def _script(command: Sequence[str]) -> str:
    return f"#!/bin/sh\nexec {shlex.join(command)}\n"


def _output_of(ran: Ran) -> str:
    lines = [line for line in (ran.stderr.strip() or ran.stdout.strip()).splitlines() if line.strip()]
    return "; ".join(lines[-3:]) or f"nothing, and ended with {ran.code}"


def _job(native_id: str, state: str, host: str, reason: str, name: str) -> QueuedJob:
    words = ", ".join(word for word in (state, reason) if word not in _NOTHING)
    if state in _ENDED:
        where = QueueState.ENDED
    elif state in _HELD or (state == "PENDING" and _HELD_REASON.search(reason)):
        where = QueueState.HELD
        words += f": fix that, then let it continue with scontrol release {native_id}"
    else:  # what a later Slurm calls otherwise lives
        where = QueueState.WAITING if state == "PENDING" else QueueState.RUNNING
    return QueuedJob(
        name=name,
        native_id=native_id,
        state=where,
        reason=words,
        host=None if host in _NOTHING else host,
        limit=_LIMITS.get(state) or _LIMITS.get(reason),
    )
