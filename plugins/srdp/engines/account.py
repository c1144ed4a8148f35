"""CASA under another account than the service's: what the service asks of ``sudo``.

The service may not signal, read or change what another account's processes are and make. So each such action is done by
a process under that account, :mod:`srdp.engines.account_agent`, which ``sudo`` starts:

* it starts CASA, with exactly the environment that it is given, and ends it when its watcher is gone;
* it signals every process of a job, found by the job's mark and as descendants;
* it makes what that account has written writable by the group, so that the service can move and remove it.

No shell reads anything, and nothing that is given to CASA stands on a command line. The standard library only.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from srdp.domain.common.errors import SettingsError, quoted
from srdp.engines.processes import own_program

_ACCOUNT = re.compile(r"[a-z_][a-z0-9_.-]{0,31}", re.ASCII)
_AGENT = "srdp.engines.account_agent"
_READY = b"ready\n"
_START_TIMEOUT_SECONDS = 30.0
_SIGNAL_TIMEOUT_SECONDS = 60.0
_OPEN_UP_TIMEOUT_SECONDS = 3600.0
_LONGEST_FAULT = 500


class AccountNotAllowed(SettingsError):
    """``sudo`` does not let the service run something under another account."""


def account_name(text: str) -> str:
    """Return the name of an account under which CASA may run.

    Raises:
        ValueError: it is no such name, or root's.
    """
    if not _ACCOUNT.fullmatch(text) or text == "root":
        raise ValueError(f"must be the name of an account other than root, not {quoted(text)}")
    return text


def _as_account(account: str, *arguments: str) -> list[str]:
    return ["sudo", "-n", "-u", account_name(account), "--", *own_program(_AGENT, *arguments)]


def _minimal() -> dict[str, str]:
    """What sudo itself needs; it gives the other account an environment of its own."""
    return {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}


class Agent:
    """A process under another account that waits for a command, starts it and represents it.

    It ends as the program ends: with its exit status, or by the same signal. When this process is gone, or closes the
    connection, it ends the program with all that descends from it.

    Args:
        account: the account.
        folder: what it is known by: the job's folder.

    Attributes:
        process: ``sudo``, which ends as the agent does.

    Raises:
        AccountNotAllowed: sudo does not allow it, or the account cannot run this project's Python.
    """

    def __init__(self, account: str, folder: Path) -> None:
        self._channel, theirs = socket.socketpair()
        with theirs, tempfile.TemporaryFile() as output:
            try:
                self.process = subprocess.Popen(
                    _as_account(account, "run", str(folder)),
                    stdin=theirs.fileno(), stdout=output.fileno(), stderr=output.fileno(), cwd="/", env=_minimal(),
                    start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                raise _not_allowed(account, f"sudo could not be started: {error}") from None
            theirs.close()
            self._channel.settimeout(_START_TIMEOUT_SECONDS)
            try:
                is_ready = self._channel.recv(len(_READY), socket.MSG_WAITALL) == _READY
            except OSError:
                is_ready = False
            if not is_ready:
                self._channel.close()
                self.process.poll()
                output.seek(0)
                raise _not_allowed(account, output.read(_LONGEST_FAULT).decode(errors="replace"))
            self._channel.settimeout(None)

    def launch(
        self,
        command: Sequence[str],
        directory: str,
        environment: Mapping[str, str],
        grace_seconds: float,
        streams: tuple[int, int],
    ) -> None:
        """Have the program started.

        Args:
            command: the program and its arguments.
            directory: where it starts.
            environment: its environment, besides ``HOME``, ``USER`` and ``LOGNAME``, which are the account's.
            grace_seconds: how long, in seconds, its processes have between SIGTERM and SIGKILL.
            streams: the descriptors that its output and its standard error go to.

        Raises:
            OSError: the agent is gone.
        """
        asked = {"command": command, "directory": directory, "environment": environment, "grace": grace_seconds}
        message = memoryview(json.dumps(asked).encode() + b"\n")
        sent = socket.send_fds(self._channel, [message], [*streams])
        self._channel.sendall(message[sent:])

    def fault(self) -> str:
        """Return why the program could not be started; empty if it was. To be called when the process has ended."""
        try:
            self._channel.setblocking(False)  # noqa: FBT003
            output = self._channel.recv(_LONGEST_FAULT)
        except OSError:
            return ""
        return quoted(output.decode(errors="replace"), _LONGEST_FAULT).strip("'\"")

    def close(self) -> None:
        """Have the program ended if it lives, with all that descends from it."""
        self._channel.close()


def start_signalling_as(account: str, folder: Path, number: signal.Signals) -> int:
    """Start to signal every process of a job under its account; return the pid of the child process that does it.

    Args:
        account: the account.
        folder: the job's folder.
        number: the signal.
    """
    command = _as_account(account, "signal", str(folder), number.name)
    return os.posix_spawnp(command[0], command, _minimal())


def signal_as(account: str, folder: Path, number: signal.Signals) -> set[int]:
    """Signal every process of a job under its account; return the pids of those that were alive.

    Args:
        account: the account.
        folder: the job's folder.
        number: the signal.

    Raises:
        AccountNotAllowed: sudo does not allow it any more.
    """
    return {int(pid) for pid in _ask(account, _SIGNAL_TIMEOUT_SECONDS, "signal", str(folder), number.name).split()}


def open_up_as(account: str, directory: Path) -> None:
    """Make what an account has written in a directory writable by the group, so that the service can remove it.

    Args:
        account: the account; what belongs to others is left as it is.
        directory: the run's directory.

    Raises:
        AccountNotAllowed: sudo does not allow it any more.
    """
    _ask(account, _OPEN_UP_TIMEOUT_SECONDS, "open-up", str(directory))


def _ask(account: str, timeout_seconds: float, *arguments: str) -> str:
    try:
        done = subprocess.run(
            _as_account(account, *arguments), cwd="/", env=_minimal(), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace", timeout=timeout_seconds, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _not_allowed(account, str(error)) from None
    if done.returncode:
        raise _not_allowed(account, done.stderr)
    return done.stdout


def _not_allowed(account: str, output: str) -> AccountNotAllowed:
    if _may_get_no_privileges():
        return AccountNotAllowed(
            f"CASA cannot run under the account {account} of SRDP_CASA_ACCOUNT, because processes here may get no "
            "further privileges (no-new-privileges of a container, or NoNewPrivileges of a systemd unit), so that sudo "
            "cannot change the account: leave SRDP_CASA_ACCOUNT empty, and let the worker run under the account that "
            "CASA is to have."
        )
    last = output.strip().splitlines()[-1:] or ["nothing"]
    return AccountNotAllowed(
        f"Nothing can be run under the account {account} of the engine's RUN_AS or SRDP_CASA_ACCOUNT; "
        f"sudo said {quoted(last[0], 300)}: give the service's account the lines of "
        f"docs/operator/accounts-and-areas.md in sudoers, and let {account} read this project and its Python "
        f"({sys.executable})."
    )


def _may_get_no_privileges() -> bool:
    status = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace")
    return "\nNoNewPrivs:\t1\n" in status
