"""What receives StatsD's packets, as a server of it does."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Self


class StatsdReceiver:
    """A UDP server on loopback that keeps what it is sent: each value by its name, in order, with its kind.

    Attributes:
        port: where it listens.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._lock = threading.Lock()
        self._received: list[tuple[str, float, str]] = []
        self._thread = threading.Thread(target=self._receive, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # An empty packet ends the thread, which then closes the socket.
        self._socket.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()

    @property
    def environment(self) -> dict[str, str]:
        """What makes an Airflow send its metrics here."""
        return {
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__STATSD_PORT": str(self.port),
        }

    def received(self) -> list[tuple[str, float, str]]:
        """The project's own metrics, without their prefix: name, value, and ``g``, ``c`` or ``ms``."""
        with self._lock:
            return [each for each in self._received if each[0].startswith("srdp.")]

    def values(self, name: str) -> list[float]:
        """The values that were sent of one metric."""
        return [value for received, value, _kind in self.received() if received == name]

    def _receive(self) -> None:
        with self._socket:
            while packet := self._socket.recv(65_535):
                for line in packet.decode().splitlines():
                    name, _, rest = line.partition(":")
                    value, kind = rest.split("|")[:2]
                    with self._lock:
                        self._received.append((name.removeprefix("airflow."), float(value), kind))
