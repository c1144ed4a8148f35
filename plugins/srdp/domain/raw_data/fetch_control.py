"""What the threads of one fetch share."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from srdp.domain.common.errors import (
    Interrupted,
)
from srdp.domain.ngas.copies import DamagedCopy
from srdp.domain.ngas.retrieval import Retrieval

# How soon a thread that waits for a connection sees that the fetch is to stop.
_GLANCE_SECONDS = 0.2


class FetchStopped(Interrupted):
    """The fetch was stopped; what has arrived is kept, and the next try continues from there."""

    def __init__(self) -> None:
        super().__init__("The fetch was stopped before it was complete; started again, it continues where it was.")


class FetchControl:
    """What the threads of one fetch share: the order to stop, the connections to cut then, the bytes that have come.

    Args:
        servers: the servers that are fetched from.
        connections: how many files of each come at once, at most.

    Attributes:
        stopping: set when the fetch is to stop; waits end with it.
    """

    def __init__(self, servers: Iterable[str], connections: int) -> None:
        self.stopping = threading.Event()
        self._connections = {server: threading.Semaphore(connections) for server in servers}
        self._lock = threading.Lock()
        self._open: set[Retrieval] = set()
        self._received = 0
        self._held = 0
        self._damaged: dict[DamagedCopy, None] = {}

    def stop(self) -> None:
        """Stop the fetch at once: no thread waits for a server or a timer any longer."""
        self.stopping.set()
        with self._lock:
            for retrieval in self._open:
                retrieval.abort()

    def check(self) -> None:
        """Raise :class:`FetchStopped` if the fetch was stopped."""
        if self.stopping.is_set():
            raise FetchStopped

    @contextmanager
    def connection(self, server: str) -> Iterator[None]:
        """Wait until one more file may come from a server.

        Raises:
            FetchStopped: the fetch was stopped.
        """
        free = self._connections[server]
        while not free.acquire(timeout=_GLANCE_SECONDS):
            self.check()
        try:
            yield
        finally:
            free.release()

    @contextmanager
    def watched(self, retrieval: Retrieval) -> Iterator[None]:
        """Has a retrieval cut when the fetch stops."""
        with self._lock:
            self._open.add(retrieval)
        try:
            self.check()
            yield
        finally:
            with self._lock:
                self._open.discard(retrieval)

    def add(self, *, held: int, received: int = 0) -> None:
        """Count bytes.

        Args:
            held: bytes that we have now and had not before; negative if they were discarded.
            received: bytes that came over the network.
        """
        with self._lock:
            self._held += held
            self._received += received

    def found_damaged(self, copies: Iterable[DamagedCopy]) -> None:
        """Remembers copies that must be repaired."""
        with self._lock:
            self._damaged |= dict.fromkeys(copies)

    @property
    def damaged(self) -> tuple[DamagedCopy, ...]:
        """The copies that must be repaired, as far as they were found."""
        with self._lock:
            return tuple(self._damaged)

    @property
    def held_bytes(self) -> int:
        """How many bytes of the files are here, in their places and in hidden files."""
        return self._held

    @property
    def received_bytes(self) -> int:
        """How many bytes have come over the network."""
        return self._received
