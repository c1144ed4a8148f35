"""Starting the supervisors of an instance, and talking to them: start, look, stop."""

from __future__ import annotations

import os
import subprocess
import time
import xmlrpc.client
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from sandbox.ports import LOOPBACK
from sandbox.private_files import write_private
from sandbox.stack.components import Component, supervisor_configuration
from srdp.domain.common.errors import ServiceUnavailable

_POLL_SECONDS = 0.1
# Of xmlrpc.client.Fault.faultCode, as supervisor.xmlrpc.Faults has them.
_ALREADY_STARTED = 60
_NOT_RUNNING = 70


class Supervisor:
    """The supervisor's remote interface.

    Args:
        port: its loopback port.
        password: what it asks for.
    """

    def __init__(self, port: int, password: str) -> None:
        self._url = f"http://srdp:{password}@{LOOPBACK}:{port}/RPC2"

    @property
    def _rpc(self) -> Any:  # noqa: ANN401 (its methods are the server's)
        # A proxy keeps a connection, and one that broke stays broken: a new one for each call costs nothing here.
        return cast("Any", xmlrpc.client.ServerProxy(self._url)).supervisor

    def answers(self) -> bool:
        """Return whether it is there and ready."""
        try:
            return bool(self._rpc.getState()["statename"] == "RUNNING")
        except (OSError, xmlrpc.client.Error):
            return False

    def states(self) -> dict[str, str]:
        """Return each component's state in the supervisor's words: ``RUNNING``, ``STARTING``, ``FATAL`` ..."""
        return {item["name"]: str(item["statename"]) for item in self._rpc.getAllProcessInfo()}

    def process_id(self, name: str) -> int:
        """Return the process id of a component that runs, or 0.

        Args:
            name: the component's name.
        """
        return int(self._rpc.getProcessInfo(name)["pid"])

    def start(self, name: str) -> None:
        """Start a component if it does not run; returns without waiting for it.

        Args:
            name: the component's name.
        """
        try:
            self._rpc.startProcess(name, False)  # noqa: FBT003 (a remote call has no keywords)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != _ALREADY_STARTED:
                raise

    def stop(self, *names: str, timeout: float) -> None:
        """Stop components and returns when they are gone.

        Args:
            *names: which.
            timeout: seconds to wait; the supervisor kills what does not end in the time its configuration grants.

        Raises:
            ServiceUnavailable: one is still there.
        """
        for name in names:
            try:
                self._rpc.stopProcess(name, False)  # noqa: FBT003
            except xmlrpc.client.Fault as fault:
                if fault.faultCode != _NOT_RUNNING:
                    raise
        deadline = time.monotonic() + timeout
        while left := [name for name in names if self.process_id(name)]:
            if time.monotonic() > deadline:
                raise ServiceUnavailable(f"These servers do not end: {', '.join(left)}.")
            time.sleep(_POLL_SECONDS)

    def shutdown(self) -> None:
        """Asks the supervisor to end, with everything that it runs."""
        self._rpc.shutdown()


class Supervisors:
    """Two supervisors that are spoken with as one: PostgreSQL has one of its own, because it has an account of its own.

    Args:
        postgres: the one that runs PostgreSQL.
        others: the one that runs everything else.
        name: PostgreSQL's name as a component.
    """

    def __init__(self, postgres: Supervisor, others: Supervisor, *, name: str) -> None:
        self._postgres = postgres
        self._others = others
        self._name = name

    def answers(self) -> bool:
        """Return whether both are there and ready."""
        return self._others.answers() and self._postgres.answers()

    def any_answers(self) -> bool:
        """Return whether one of them is there."""
        return self._others.answers() or self._postgres.answers()

    def states(self) -> dict[str, str]:
        """Return each component's state in the supervisor's words: ``RUNNING``, ``STARTING``, ``FATAL`` ..."""
        return self._postgres.states() | self._others.states()

    def of(self, name: str) -> Supervisor:
        """Return the one that runs a component.

        Args:
            name: the component's name.
        """
        return self._postgres if name == self._name else self._others

    def shutdown(self) -> None:
        """Asks both to end, with everything that they run; PostgreSQL's last."""
        for supervisor in (self._others, self._postgres):
            if supervisor.answers():
                supervisor.shutdown()


def launch(
    components: list[Component],
    *,
    folder: Path,
    logs: Path,
    port: int,
    password: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    output: Path,
    owner: tuple[int, int] | None = None,
) -> None:
    """Start a supervisor; returns without waiting for it.

    Args:
        components: the servers to start on demand.
        folder: its own folder.
        logs: where each server's output goes, as ``<name>.log``.
        port: its loopback port.
        password: what it asks its callers for.
        command: what starts it; the option with its configuration follows.
        environment: its whole environment, and that of its servers.
        output: where its own output goes.
        owner: the numbers of the account and the group that it runs as, if they are not the caller's.
    """
    configuration = folder / "supervisord.conf"
    as_root = (owner or (os.geteuid(), 0))[0] == 0
    text = supervisor_configuration(components, folder=folder, logs=logs, port=port, password=password, as_root=as_root)
    write_private(configuration, text, owner=owner)
    with output.open("ab") as file:
        # A session of its own: Ctrl-C in the terminal is for the command that starts it, which then stops it.
        subprocess.Popen(
            [*command, "-c", str(configuration)],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
