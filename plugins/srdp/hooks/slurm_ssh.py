"""Slurm's commands on a host that has them, by Airflow's SSH provider."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence

from srdp.domain.errors import quoted
from srdp.engines.batch import NoAnswer
from srdp.engines.slurm import Ran

# What may be read of an answer: 10,000 jobs of a queue are about a megabyte.
_LARGEST_ANSWER = 64 * 1024 * 1024


class SshRunner:
    """See :class:`srdp.engines.slurm.Runner`. Each command has a connection of its own.

    Args:
        connection: the Airflow Connection, which names host, account and key.
    """

    def __init__(self, connection: str) -> None:
        self._connection = connection

    def __call__(self, command: Sequence[str], stdin: str, seconds: float) -> Ran:
        """See :meth:`srdp.engines.slurm.Runner.__call__`. The login shell of the host is given one quoted line."""
        import paramiko
        from airflow.providers.ssh.hooks.ssh import SSHHook
        from airflow.sdk.exceptions import AirflowException

        try:
            hook = SSHHook(ssh_conn_id=self._connection, conn_timeout=math.ceil(seconds), cmd_timeout=seconds)
            with hook.get_conn() as client:
                given, output, errors = client.exec_command(shlex.join(command), timeout=seconds)
                given.write(stdin)
                given.flush()
                given.channel.shutdown_write()
                answer = output.read(_LARGEST_ANSWER).decode(errors="replace")
                complaint = errors.read(_LARGEST_ANSWER).decode(errors="replace")
                if not output.channel.status_event.wait(seconds):
                    raise NoAnswer(f"{command[0]} over {self._connection} did not end within {seconds:g} s.")
                return Ran(output.channel.recv_exit_status(), answer, complaint)
        except (OSError, EOFError, paramiko.SSHException, AirflowException) as error:
            said = str(error) or type(error).__name__
            raise NoAnswer(
                f"{command[0]} could not be asked over the Airflow Connection {self._connection}: {quoted(said, 300)}."
            ) from None
