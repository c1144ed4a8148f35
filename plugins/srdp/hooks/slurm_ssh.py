"""Slurm's commands on a host that has them, by Airflow's SSH provider."""

from __future__ import annotations

import math
import shlex
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import paramiko
from airflow.providers.ssh.hooks.ssh import SSHHook
from airflow.sdk.exceptions import AirflowException

from srdp.domain.common.errors import quoted
from srdp.engines.batch_system import NoAnswer
from srdp.engines.slurm import Ran

if TYPE_CHECKING:
    from paramiko import SSHClient

# What may be read of an answer: 10,000 jobs of a queue are about a megabyte.
_LARGEST_ANSWER = 64 * 1024 * 1024
# What timeout(1) ends with when it has ended the command, and paramiko says without an answer.
_GIVEN_UP = frozenset({124, -1})
# What the account's profile on the host may say to Slurm's commands that would hide jobs, or make a job another one.
_NOT_FROM_THERE = (
    "SLURM_CLUSTERS",
    *(
        f"SQUEUE_{name}"
        for name in ("ACCOUNT", "FEDERATION", "LICENSES", "LOCAL", "NAMES", "PARTITION", "QOS", "SIBLING", "USERS")
    ),
    *(
        f"SCANCEL_{name}"
        for name in (
            "ACCOUNT", "BATCH", "CTLD", "FULL", "HURRY", "INTERACTIVE", "NAME", "PARTITION", "QOS", "STATE", "USER",
            "WCKEY",
        )
    ),
    *(
        f"SBATCH_{name}"
        for name in (
            "ARRAY_INX", "CLUSTERS", "CLUSTER_CONSTRAINT", "EXPORT", "GET_USER_ENV", "MEM_PER_CPU", "MEM_PER_GPU",
            "SIGNAL", "WAIT",
        )
    ),
)  # fmt: skip


class SshRunner:
    """See :class:`srdp.engines.slurm.Runner`. Each command has a connection of its own.

    Args:
        connection: the Airflow Connection, which names host, account and key.
    """

    def __init__(self, connection: str) -> None:
        self._connection = connection

    def __call__(self, command: Sequence[str], stdin: str, seconds: float) -> Ran:
        """See :meth:`srdp.engines.slurm.Runner.__call__`. The login shell of the host is given one quoted line."""
        ends = time.monotonic() + seconds
        whole = math.ceil(seconds)
        over = threading.Event()
        try:
            hook = SSHHook(
                ssh_conn_id=self._connection, conn_timeout=whole, banner_timeout=seconds, auth_timeout=whole,
                cmd_timeout=seconds, conn_retry_attempts=1,
            )  # fmt: skip
            with hook.get_conn() as client, _closed_at(ends, client, over):
                # The host ends the command by itself: one that was given up must not be heard minutes later.
                left = max(1, math.ceil(ends - time.monotonic()))
                unset = [word for name in _NOT_FROM_THERE for word in ("-u", name)]
                line = shlex.join(["env", *unset, "timeout", str(left), *command])
                given, output, errors = client.exec_command(line)
                given.write(stdin)
                given.flush()
                given.channel.shutdown_write()
                answer = output.read(_LARGEST_ANSWER).decode(errors="replace")
                complaint = errors.read(_LARGEST_ANSWER).decode(errors="replace")
                code = output.channel.recv_exit_status()
        except (OSError, EOFError, ValueError, paramiko.SSHException, AirflowException) as error:
            said = str(error) or type(error).__name__
            problem = (
                f"{command[0]} could not be asked over the Airflow Connection {self._connection}: {quoted(said, 300)}."
            )
            raise NoAnswer(problem if not over.is_set() else self._late(command, seconds)) from None
        if over.is_set() or code in _GIVEN_UP:
            raise NoAnswer(self._late(command, seconds))
        return Ran(code, answer, complaint)

    def _late(self, command: Sequence[str], seconds: float) -> str:
        return f"{command[0]} over the Airflow Connection {self._connection} gave no answer within {seconds:g} s."


@contextmanager
def _closed_at(ends: float, client: SSHClient, over: threading.Event) -> Iterator[None]:
    """Close a connection at a moment, whatever is being waited for: paramiko's own limits are for each read.

    Args:
        ends: the moment, in seconds, by a clock that nobody sets.
        client: the connection.
        over: set when that moment has come.
    """

    def close() -> None:
        over.set()
        client.close()

    timer = threading.Timer(max(0.0, ends - time.monotonic()), close)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
