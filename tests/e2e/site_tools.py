"""What the whole-DAG tests wait with, disturb NGAS with and read the databases with.

Nothing here waits for a time in the hope that something has happened meanwhile: :func:`until` waits for what is seen in
the ledger, in Airflow's API, in files, in the process list, at NGAS, at the mail server or at CASA.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import psutil
import psycopg
import requests
from psycopg.rows import dict_row

from sandbox.observe import ObservedBlock

if TYPE_CHECKING:
    from tests.e2e.site import Site

#: How long, in seconds, anything at all may take. It is long for a busy machine; what is quick is measured by its test.
PATIENCE = 180.0
_POLL_SECONDS = 0.2

Seen = TypeVar("Seen")


def until(
    what: str,
    condition: Callable[[], Seen],
    *,
    seconds: float = PATIENCE,
    poll_seconds: float = _POLL_SECONDS,
    story: Callable[[], str] = str,
) -> Seen:
    """Return what the condition returns as soon as that is true; servers that do not answer meanwhile are no matter.

    Args:
        what: what is waited for, for the sentence when it does not come.
        condition: asked again and again.
        seconds: how long.
        poll_seconds: how often.
        story: tells what there is instead.
    """
    deadline = time.monotonic() + seconds
    problem = ""
    while True:
        try:
            if seen := condition():
                return seen
            problem = ""
        except (requests.RequestException, psycopg.OperationalError, psutil.Error, OSError) as error:
            problem = f" ({error!r})"
        if time.monotonic() > deadline:
            raise AssertionError(f"Not seen within {seconds:.0f} s: {what}{problem}.\n{story()}")
        time.sleep(poll_seconds)


def play_at_once(site: Site, scenarios: Sequence[Callable[[Site], None]]) -> dict[str, Future[None]]:
    """Plays scenarios that do not disturb each other beside each other; returns what came of each, by its name.

    Most of a run is waiting: side by side they take little longer than one of them.
    """
    with ThreadPoolExecutor(len(scenarios)) as pool:
        return {scenario.__name__: pool.submit(scenario, site) for scenario in scenarios}


def is_alive(pid: int) -> bool:
    """Whether a process lives; one that only waits to be buried does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class NgasFaults:
    """What the instance's NGAS server does wrong, for files of one's own.

    A fault befalls the files of an execution block, or those whose ids begin with a text: a pipeline run ID.

    Args:
        path: the list of faults that the server reads.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def add(self, whose: ObservedBlock | str, kind: str, *, number: int | str = "*", **options: Any) -> dict[str, Any]:
        """Add a fault for all files, or for the one with a number or an ending, and return it."""
        entry = {"kind": kind, "file_id": f"{_beginning(whose)}.{number}", **options}
        with self._lock:
            self._entries.append(entry)
            self._write()
        return entry

    def clear(self, whose: ObservedBlock | str) -> None:
        """Take away all faults of an EB or of a run."""
        with self._lock:
            self._entries = [entry for entry in self._entries if not entry["file_id"].startswith(_beginning(whose))]
            self._write()

    def _write(self) -> None:
        temporary = self._path.with_suffix(".new")
        temporary.write_text(json.dumps({"faults": self._entries}, indent=1))
        temporary.replace(self._path)


def _beginning(whose: ObservedBlock | str) -> str:
    return whose if isinstance(whose, str) else f"uid___evla_execblock_{whose.locator.rpartition('/')[2]}"


class Database:
    """A database, read and disturbed by a test's own statements.

    Args:
        url: where it is.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def rows(self, statement: str, **parameters: object) -> list[dict[str, Any]]:
        with psycopg.connect(self.url, connect_timeout=5, row_factory=dict_row, autocommit=True) as connection:
            return connection.execute(statement, parameters).fetchall()

    def change(self, statement: str, **parameters: object) -> int:
        """Carries out a statement that changes something, and returns how many rows it changed."""
        with psycopg.connect(self.url, connect_timeout=5, autocommit=True) as connection:
            return connection.execute(statement, parameters).rowcount

    @contextmanager
    def locked(self, statement: str, **parameters: object) -> Iterator[psycopg.Connection]:
        """Hold the locks that a statement takes."""
        with psycopg.connect(self.url) as connection:
            connection.execute(statement, parameters)
            yield connection
            # The server may have been killed meanwhile, and the lock with it.
            with suppress(psycopg.OperationalError):
                connection.rollback()

    def waits(self, pid: int) -> bool:
        """Whether a process waits for a lock in this database."""
        ports = [connection.laddr.port for connection in psutil.Process(pid).net_connections("tcp")]
        return bool(
            self.rows(
                "SELECT 1 FROM pg_stat_activity WHERE client_port = ANY(%(ports)s) AND wait_event_type = 'Lock'",
                ports=ports,
            )
        )
