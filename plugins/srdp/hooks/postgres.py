"""Transactions on the databases that Airflow's Connections name, with errors that are one sentence."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import psycopg
from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.sdk.exceptions import AirflowNotFoundException
from psycopg.rows import DictRow, dict_row

from srdp.domain.common.errors import IntegrityError, ServiceUnavailable, SettingsError, SrdpError, shortened
from srdp.domain.runs.retry import DATABASE
from srdp.hooks.statements import statement

Cursor = psycopg.Cursor[DictRow]

_T = TypeVar("_T")
# What is between forgets a connection after minutes; a restart of the server within seconds is met by chance only.
_IDLE_SECONDS: Final = 5.0


@contextmanager
def transaction(connection_id: str, *, what: str) -> Iterator[Cursor]:
    """Open a connection for one transaction: committed at the end, rolled back when an exception leaves it.

    Args:
        connection_id: the Airflow Connection.
        what: what the database is called in a sentence, for example ``The archive's database``.

    Yields:
        A cursor whose rows are dictionaries.

    Raises:
        ServiceUnavailable: the database cannot be reached, or gave up; what was done may or may not be committed.
        SettingsError: the Connection is missing or wrong, or the statements do not fit the tables that are there.
        IntegrityError: the database finds its own data damaged.
    """
    try:
        with _connection(connection_id) as connection:
            yield connection.cursor(row_factory=dict_row)
    except AirflowNotFoundException:
        raise SettingsError(
            f"The Airflow Connection {connection_id} is missing: add it, or set AIRFLOW_CONN_{connection_id.upper()}."
        ) from None
    except (psycopg.DataError, psycopg.IntegrityError):
        raise  # what was written is wrong, and its writer knows what it was
    except psycopg.Error as error:
        raise database_error(error, f"{what} (Airflow Connection {connection_id})") from error


@contextmanager
def connections_kept(kept: dict[str, psycopg.Connection[Any]], *, seconds: float = math.inf) -> Iterator[None]:
    """Let transactions leave their connections to the next ones, which take them from here.

    For who asks again and again, one small question at a time: to connect costs more than to ask.

    Args:
        kept: the connections; who has them closes them. One that has failed is not kept.
        seconds: how long one may have been idle that is taken.
    """
    token = _KEPT.set(_Kept(kept, seconds))
    try:
        yield
    finally:
        _KEPT.reset(token)


@contextmanager
def connections_of_a_step() -> Iterator[None]:
    """Let the transactions of a step that follow one another share a connection, and close it at the end.

    Not one that was idle for long: something on the way, which says nothing of it, may have forgotten it by then.
    """
    kept: dict[str, psycopg.Connection[Any]] = {}
    try:
        with connections_kept(kept, seconds=_IDLE_SECONDS):
            yield
    finally:
        for connection in kept.values():
            connection.close()


@dataclass(frozen=True)
class _Kept:
    connections: dict[str, psycopg.Connection[Any]]
    seconds: float
    left_at: dict[str, float] = field(default_factory=dict)

    def take(self, connection_id: str) -> psycopg.Connection[Any]:
        connection = self.connections.pop(connection_id, None)
        if connection is not None and time.monotonic() - self.left_at.get(connection_id, math.inf) > self.seconds:
            connection.close()
            connection = None
        return connection or _connect(connection_id)

    def leave(self, connection_id: str, connection: psycopg.Connection[Any]) -> None:
        if connection_id in self.connections:  # of a transaction inside this one
            connection.close()
            return
        self.connections[connection_id], self.left_at[connection_id] = connection, time.monotonic()


@contextmanager
def _connection(connection_id: str) -> Iterator[psycopg.Connection[Any]]:
    kept = _KEPT.get()
    if kept is None:
        with closing(_connect(connection_id)) as connection, connection:
            yield connection
        return
    connection = kept.take(connection_id)
    try:
        with connection.transaction():
            yield connection
    except BaseException:
        connection.close()
        raise
    kept.leave(connection_id, connection)


_KEPT: Final[ContextVar[_Kept | None]] = ContextVar("connections kept", default=None)


def database_error(error: psycopg.Error, what: str) -> SrdpError:
    """Return the error that says what a database reported; its class says whether a retry may help.

    Args:
        error: what psycopg raised.
        what: the database, as the beginning of a sentence.
    """
    said = _first_line(error)
    kind, words = _cause(error.sqlstate or "", said)
    return kind(f"{what} {words}: {shortened(said, 500)}")


def _cause(state: str, said: str) -> tuple[type[SrdpError], str]:
    if not state:
        # A connection that could not be made has no code; what refused it has only its words.
        state = next((code for words, code in _SAID_BEFORE_THE_LOGIN.items() if words in said.lower()), "08")
    return next((_CAUSES[state[:length]] for length in (5, 3, 2) if state[:length] in _CAUSES), _NO_SERVICE)


_NO_SERVICE: Final = (ServiceUnavailable, "cannot serve now")
_NOT_AS_EXPECTED: Final = (
    SettingsError, "is not as the statements in include/sql expect it, or the wrong database"
)  # fmt: skip
_LOGIN: Final = (SettingsError, "does not accept the login: set the right one in the Connection")
_POOLER: Final = "cannot serve now; the connection pooler in front of it (PgBouncer) says"

#: What PostgreSQL's error codes mean, by the whole code or its class (its manual, appendix A).
_CAUSES: Final[dict[str, tuple[type[SrdpError], str]]] = {
    "08": (ServiceUnavailable, "cannot be reached now"),
    "08P01": (ServiceUnavailable, _POOLER),
    "0A": (ServiceUnavailable, "was changed under the connection"),
    "25006": (ServiceUnavailable, "is a standby, or read-only, and cannot be written now"),
    "26": (
        SettingsError,
        "loses what a session has prepared: the pooler in front of it must not share sessions like this",
    ),
    "28": _LOGIN,
    "3D": (SettingsError, "is not there: set the right database in the Connection"),
    "40": (ServiceUnavailable, "ended the transaction, because it conflicted with another one"),
    "42": _NOT_AS_EXPECTED,
    "42501": (SettingsError, "does not give this account the privilege: grant it"),
    "42P05": (
        SettingsError,
        "has another session's statement: the pooler in front of it must not share sessions like this",
    ),
    "53": (ServiceUnavailable, "is short of resources"),
    "53100": (ServiceUnavailable, "cannot write, because its disk is full"),
    "53200": (ServiceUnavailable, "is out of memory"),
    "53300": (ServiceUnavailable, "has no connection left"),
    "55P03": (ServiceUnavailable, "waits for a lock that another one holds"),
    "57014": (ServiceUnavailable, "gave up a statement that took too long"),
    "57P": (ServiceUnavailable, "is being stopped or started"),
    "58": (ServiceUnavailable, "has trouble with its own files"),
    "XX001": (IntegrityError, "reports damage to its own data; tell its operators"),
    "XX002": (IntegrityError, "reports damage to its own data; tell its operators"),
}
_SAID_BEFORE_THE_LOGIN: Final = {
    "password authentication failed": "28",
    "no password supplied": "28",
    "sasl authentication failed": "28",
    "no pg_hba.conf entry": "28",
    "no such user": "28",
    'role "': "28",
    "no such database": "3D",
    "does not exist": "3D",
    "too many clients": "53300",
    "remaining connection slots": "53300",
    "no more connections allowed": "53300",
    "starting up": "57P",
    "shutting down": "57P",
    "query_wait_timeout": "08P01",
    "pgbouncer": "08P01",
}


def rows(
    cursor: Cursor, folder: Path, statement_name: str, parameters: Mapping[str, Any] | None = None
) -> list[DictRow]:
    """Execute a statement and return its rows; none if it is one that returns nothing.

    Args:
        cursor: from :func:`transaction`.
        folder: the folder of its file, see :mod:`srdp.hooks.statements`.
        statement_name: the statement's name.
        parameters: the values of its parameters.
    """
    cursor.execute(statement(folder, statement_name), parameters)
    return cursor.fetchall() if cursor.description else []


def each(cursor: Cursor, folder: Path, statement_name: str, parameters: Iterable[Mapping[str, Any]]) -> int:
    """Execute a statement once for each set of parameters, without waiting for the answers one by one.

    Args:
        cursor: from :func:`transaction`.
        folder: the folder of its file.
        statement_name: the name of the statement, which returns nothing.
        parameters: the values of its parameters.

    Returns:
        How many rows they changed together.
    """
    cursor.executemany(statement(folder, statement_name), parameters)
    return cursor.rowcount


def postgres_safe(value: Any) -> Any:  # noqa: ANN401  anything that JSON can hold
    """Return text, and text inside lists and mappings, without what PostgreSQL cannot store (from logs and names)."""
    if isinstance(value, str):
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, Mapping):
        return {postgres_safe(str(key)): postgres_safe(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [postgres_safe(item) for item in value]
    return value


def repeated(work: Callable[[], _T]) -> _T:
    """Do work that may be done again, and do it again for a few seconds while a database cannot serve.

    That is long enough for a broken connection and for a server that restarts; what waits longer is for the caller.

    Args:
        work: one transaction or several; also done again if it is not known whether a commit came through.

    Raises:
        ServiceUnavailable: it did not get better.
    """
    return DATABASE.retrying(lambda _state: None)(work)


def _connect(connection_id: str) -> psycopg.Connection[Any]:
    # The provider uses psycopg 3 wherever it is installed, and requires it; its annotations do not say so.
    connection = cast("psycopg.Connection[Any]", PostgresHook(postgres_conn_id=connection_id).get_conn())
    # Behind a pooler that gives each transaction another session, a statement that one of them has prepared is unknown
    # to the next, or there already. Nothing else here outlives a transaction either: locks and settings end with it.
    connection.prepare_threshold = None
    return connection


def _first_line(error: psycopg.Error) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
