"""Talking to the supervisor of an instance: start, look, stop."""

from __future__ import annotations

import time
import xmlrpc.client
from typing import Any, cast

from sandbox.ports import LOOPBACK
from srdp.domain.errors import ServiceUnavailable

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
        """Returns whether it is there and ready."""
        try:
            return bool(self._rpc.getState()["statename"] == "RUNNING")
        except (OSError, xmlrpc.client.Error):
            return False

    def states(self) -> dict[str, str]:
        """Returns each component's state in the supervisor's words: ``RUNNING``, ``STARTING``, ``FATAL`` ..."""
        return {item["name"]: str(item["statename"]) for item in self._rpc.getAllProcessInfo()}

    def process_id(self, name: str) -> int:
        """Returns the process id of a component that runs, or 0.

        Args:
            name: the component's name.
        """
        return int(self._rpc.getProcessInfo(name)["pid"])

    def start(self, name: str) -> None:
        """Starts a component if it does not run; returns without waiting for it.

        Args:
            name: the component's name.
        """
        try:
            self._rpc.startProcess(name, False)  # noqa: FBT003 (a remote call has no keywords)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode != _ALREADY_STARTED:
                raise

    def stop(self, *names: str, timeout: float) -> None:
        """Stops components and returns when they are gone.

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
