"""The embedded observatory's archive database: how the sandbox's own programs speak with it."""

from __future__ import annotations

import os
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.rows import DictRow, dict_row

from srdp.hooks.statements import statement

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: What names the database where no option does: the same variable that Airflow has its Connection from.
DATABASE_VARIABLE = "AIRFLOW_CONN_SRDP_ARCHIVE"
#: The name of the sandbox's only NGAS server in the archive; its address may change from start to start.
NGAS_SERVER = "sandbox"

_SQL = Path(__file__).resolve().parents[1] / "sql"


def database_url() -> str | None:
    """Return the address of the archive's database from the environment; None if it is not there."""
    url = os.environ.get(DATABASE_VARIABLE)
    # Airflow also accepts the scheme under which it writes such addresses itself.
    return url.replace("postgres://", "postgresql://", 1) if url else None


def apply_schema(url: str) -> None:
    """Make the archive's tables that are not there; may be repeated.

    Args:
        url: the archive's database, ``postgresql://user:password@host:port/database``.
    """
    # The file is a transaction of its own.
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        connection.execute((_SQL / "archive" / "schema.sql").read_text(encoding="utf-8"))


@contextmanager
def transaction(url: str) -> Iterator[psycopg.Cursor[DictRow]]:
    """Open a connection for one transaction, committed at the end.

    Args:
        url: the archive's database.

    Yields:
        A cursor whose rows are dictionaries.
    """
    with closing(psycopg.connect(url, connect_timeout=10)) as connection, connection:
        yield connection.cursor(row_factory=dict_row)


def execute(cursor: psycopg.Cursor[DictRow], name: str, parameters: Mapping[str, Any] | None = None) -> list[DictRow]:
    """Execute one of the sandbox's statements and return its rows.

    Args:
        cursor: from :func:`transaction`.
        name: the statement's name in ``include/sql/sandbox``.
        parameters: the values of its parameters.
    """
    cursor.execute(statement(_SQL / "sandbox", name), parameters)
    return cursor.fetchall() if cursor.description else []


def set_ngas_address(cursor: psycopg.Cursor[DictRow], address: str) -> None:
    """Tells the archive where the sandbox's NGAS server is now.

    Args:
        cursor: from :func:`transaction`.
        address: ``host:port``.
    """
    execute(cursor, "ngas_server", {"name": NGAS_SERVER, "address": address, "location": "DSOC", "cluster": "DSOC"})
