"""Transactions on the databases that Airflow's Connections name, with errors that are one sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import psycopg
import tenacity
from airflow.providers.postgres.hooks.postgres import PostgresHook
from airflow.sdk.exceptions import AirflowNotFoundException
from psycopg.rows import DictRow, dict_row

from srdp.domain.errors import ServiceUnavailable, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

Cursor = psycopg.Cursor[DictRow]

_T = TypeVar("_T")

_TRIES = 4
_FIRST_PAUSE_SECONDS = 0.5


@contextmanager
def transaction(connection_id: str, *, what: str) -> Iterator[Cursor]:
    """Opens a connection for one transaction: committed at the end, rolled back when an exception leaves it.

    Args:
        connection_id: the Airflow Connection.
        what: what the database is called in a sentence, for example ``The archive's database``.

    Yields:
        A cursor whose rows are dictionaries.

    Raises:
        ServiceUnavailable: the database cannot be reached, or gave up; what was done may or may not be committed.
        SettingsError: the Connection is missing, or the statements do not fit the tables that are there.
    """
    try:
        with closing(_connect(connection_id)) as connection, connection:
            yield connection.cursor(row_factory=dict_row)
    except AirflowNotFoundException:
        raise SettingsError(
            f"The Airflow Connection {connection_id} is missing: add it, or set AIRFLOW_CONN_{connection_id.upper()}."
        ) from None
    # An InternalError: the server ended the transaction because we were silent, or is a standby that may not write.
    except (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError) as error:
        raise ServiceUnavailable(
            f"{what} (Airflow Connection {connection_id}) cannot serve now: {_first_line(error)}"
        ) from error
    except psycopg.ProgrammingError as error:
        raise SettingsError(
            f"{what} (Airflow Connection {connection_id}) is not as the statements in include/sql expect it, or the "
            f"wrong database: {_first_line(error)}"
        ) from error


def statement(file: Path) -> str:
    """Returns the SQL statement in a file; its parameters are named, ``%(parameter)s``.

    Raises:
        SettingsError: the file is not there.
    """
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(
            f"{file} cannot be read ({error.strerror}): SRDP_HOME must name the project's own folder, complete."
        ) from None


def rows(cursor: Cursor, file: Path, parameters: Mapping[str, Any] | None = None) -> list[DictRow]:
    """Executes the statement in a file and returns its rows; none if it is one that returns nothing.

    Args:
        cursor: from :func:`transaction`.
        file: the file with the statement.
        parameters: the values of its parameters.
    """
    cursor.execute(statement(file), parameters)
    return cursor.fetchall() if cursor.description else []


def repeated(work: Callable[[], _T]) -> _T:
    """Does work that may be done again, and does it again for a few seconds while a database cannot serve.

    That is long enough for a broken connection and for a server that restarts; what waits longer is for the caller.

    Args:
        work: one transaction or several; also done again if it is not known whether a commit came through.

    Raises:
        ServiceUnavailable: it did not get better.
    """
    attempts = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(ServiceUnavailable),
        stop=tenacity.stop_after_attempt(_TRIES),
        wait=tenacity.wait_exponential(_FIRST_PAUSE_SECONDS),
        reraise=True,
    )
    return attempts(work)


def _connect(connection_id: str) -> psycopg.Connection[Any]:
    # The provider uses psycopg 3 wherever it is installed, and requires it; its annotations do not say so.
    return cast("psycopg.Connection[Any]", PostgresHook(postgres_conn_id=connection_id).get_conn())


def _first_line(error: psycopg.Error) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
