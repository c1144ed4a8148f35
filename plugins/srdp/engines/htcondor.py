"""HTCondor by its official bindings, and by the user log that it writes of each job."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from srdp.domain.common.errors import quoted
from srdp.domain.site.engine_options import HTCondorOptions
from srdp.engines.base import Job, Limit, QueuedJob, QueueState, by_name
from srdp.engines.batch_system import NoAnswer, SubmissionRefused
from srdp.engines.condor_client import NAME
from srdp.engines.condor_log import LIMITS_OF_HOLDS, TOO_LONG, TOO_MUCH_MEMORY, USER_LOG, limit_of, make_log, read_log
from srdp.engines.processes import own_program
from srdp.engines.spooled import inherited_environment

# HTCondor's numbers of where a job is. One that is being removed (3) is there until its processes are gone.
_STATES = {1: QueueState.WAITING, 4: QueueState.ENDED, 5: QueueState.HELD}
_LONGEST_ANSWER = 500
_MB_IN_A_GB = 1024
_KB_IN_A_GB = 1024 * 1024
# How long, in seconds, the wrapper has to end CASA and to record that, before HTCondor kills both.
_VACATE_SECONDS = 120
# HTCondor's expression for the memory, in MB, that a job uses: not known before it has run for a while.
_USED = "(MemoryUsage ?: 0)"


class HTCondor:
    """See :class:`srdp.engines.batch_system.BatchSystem`.

    Args:
        options: the settings.
    """

    title = "HTCondor"
    variable = "SRDP_HTCONDOR"

    def __init__(self, options: HTCondorOptions) -> None:
        self.options = options

    def submit(self, job: Job, command: Sequence[str], log: Path) -> str:
        """See :meth:`srdp.engines.batch_system.BatchSystem.submit`."""
        make_log(log.parent)
        answer = self._ask("submit", description=self._description(job, command, log))
        if "refused" in answer:
            raise SubmissionRefused(f"{quoted(answer['refused'], _LONGEST_ANSWER)}.")
        return f"{self._answered(answer)['cluster']}.0"

    def queued(self) -> Mapping[str, QueuedJob]:
        """See :meth:`srdp.engines.batch_system.BatchSystem.queued`."""
        return by_name(map(_job, self._answered(self._ask("queue"))["jobs"]))

    def logged(self, folder: Path) -> QueuedJob | None:
        """See :meth:`srdp.engines.batch_system.BatchSystem.logged`."""
        return read_log(folder)

    def remove(self, name: str) -> None:
        """See :meth:`srdp.engines.batch_system.BatchSystem.remove`."""
        self._answered(self._ask("remove", name=name, reason="its run was cancelled or is over"))

    def limit_in_log(self, log: str) -> Limit | None:  # noqa: ARG002
        """See :meth:`srdp.engines.batch_system.BatchSystem.limit_in_log`: HTCondor writes nothing there."""
        return None

    def check(self) -> str:
        """Return that HTCondor answers, as a sentence.

        Raises:
            NoAnswer: it does not.
        """
        return f"HTCondor answers: {len(self.queued())} jobs of this service are in its queue."

    def _ask(self, what: str, **more: object) -> dict[str, Any]:
        options = self.options
        question = {"do": what, "collector": options.collector, "schedd": options.schedd, **more}
        environment = inherited_environment()
        if options.config is not None:
            if not os.access(options.config, os.R_OK):
                # The bindings would miss a collector instead.
                raise NoAnswer(f"{options.config} cannot be read: set {self.variable}__CONFIG.")
            environment["CONDOR_CONFIG"] = str(options.config)
        try:
            done = subprocess.run(
                own_program("srdp.engines.condor_client"), input=json.dumps(question), capture_output=True, text=True,
                errors="replace", timeout=options.answer_timeout_seconds, check=False, cwd="/", env=environment,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise NoAnswer(f"HTCondor gave no answer within {options.answer_timeout_seconds:g} s.") from None
        except OSError as error:
            raise NoAnswer(f"HTCondor could not be asked: {error.strerror}.") from None
        try:
            answer = json.loads(done.stdout)
        except ValueError:
            last_line = (done.stderr.strip().splitlines() or [f"nothing, and ended with {done.returncode}"])[-1]
            raise NoAnswer(f"HTCondor's bindings reported {quoted(last_line, _LONGEST_ANSWER)}.") from None
        return dict(answer)

    def _answered(self, answer: dict[str, Any]) -> dict[str, Any]:
        if fault := answer.get("fault") or answer.get("refused"):
            raise NoAnswer(f"HTCondor's bindings reported {quoted(fault, _LONGEST_ANSWER)}.")
        return answer

    def _description(self, job: Job, command: Sequence[str], log: Path) -> dict[str, str]:
        options = self.options
        wall_time = max(1, round(options.wall_time_hours * 3600))
        described = {
            "universe": "vanilla",
            "executable": _literal(command[0]),
            "arguments": _arguments(command[1:]),
            "transfer_executable": "False",
            "should_transfer_files": "NO",
            "initialdir": _literal(str(log.parent)),
            "output": _literal(str(log)),
            "error": _literal(str(log)),
            "log": _literal(str(log.parent / USER_LOG)),
            "request_cpus": str(max(job.cores, options.mpi_processes)),
            "request_memory": str(job.memory_gb * _MB_IN_A_GB),
            "job_lease_duration": str(round(options.lease_minutes * 60)),
            "job_max_vacate_time": str(_VACATE_SECONDS),
            "want_graceful_removal": "True",
            "notification": "never",
            "periodic_remove": _too_much(wall_time),
            "My.PeriodicRemoveReason": _why_too_much(wall_time),
            "JobBatchName": "srdp",
            f"My.{NAME}": f'"{job.name}"',
        }
        if options.scratch_gb is not None:
            described["request_disk"] = str(options.scratch_gb * _KB_IN_A_GB)
        if options.accounting_group is not None:
            described["accounting_group"] = options.accounting_group
        for line in options.options:
            name, _, value = line.partition("=")
            described[name.strip()] = value.strip()
        return described


def _too_much(wall_time: int) -> str:
    """Return HTCondor's expression for a job that has used up what it was given; it is removed then.

    One that HTCondor holds for a limit has ended as well: what was started is not started again.
    """
    codes = " || ".join(f"HoldReasonCode == {code}" for code in LIMITS_OF_HOLDS)
    running = f"time() - JobCurrentStartDate > {wall_time} || {_USED} > RequestMemory"
    return f"(JobStatus == 2 && ({running})) || (JobStatus == 5 && ({codes}))"


def _why_too_much(wall_time: int) -> str:
    memory = f'strcat("{TOO_MUCH_MEMORY}: ", string({_USED}), " MB of ", string(RequestMemory), " MB")'
    why = f'ifThenElse({_USED} > RequestMemory, {memory}, "{TOO_LONG} of {wall_time} s")'
    return f"ifThenElse(JobStatus == 5, HoldReason, {why})"


def _literal(value: str) -> str:
    """Return a value that HTCondor's submit language takes as it is.

    Raises:
        SubmissionRefused: it does not fit in one line, or would be replaced when the job has found its node.
    """
    if not value.isprintable() or "$$" in value:
        raise SubmissionRefused(f"{quoted(value, 300)} holds characters that HTCondor does not take.")
    return value.replace("$", "$(DOLLAR)")


def _arguments(arguments: Sequence[str]) -> str:
    """Return arguments in HTCondor's new syntax: each in single quotes, all of them in double ones."""
    each = ["'" + argument.replace("'", "''").replace('"', '""') + "'" for argument in arguments]
    return _literal(f'"{" ".join(each)}"')


def _job(attributes: Mapping[str, Any]) -> QueuedJob:
    native_id = f"{attributes.get('ClusterId')}.{attributes.get('ProcId')}"
    state = _STATES.get(int(attributes.get("JobStatus", 0)), QueueState.RUNNING)
    reason = str(attributes.get("HoldReason", "")) if state is QueueState.HELD else ""
    if state is QueueState.HELD:
        reason = f"{quoted(reason, _LONGEST_ANSWER)}: fix that, then let it continue with condor_release {native_id}"
    return QueuedJob(
        name=str(attributes[NAME]),
        native_id=native_id,
        state=state,
        reason=reason,
        host=str(attributes.get("RemoteHost", "")).rpartition("@")[2] or None,
        limit=limit_of(reason, attributes.get("HoldReasonCode")) if state is QueueState.HELD else None,
    )
