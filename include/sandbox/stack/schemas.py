"""Laying the tables of the ledger and of the reference archive into their databases."""

from __future__ import annotations

from pathlib import Path

import psycopg2

from srdp.hooks.ledger_schema import apply_schema


def apply_ledger_schema(url: str, sql: Path) -> None:
    """Brings the ledger's tables to the present version.

    Args:
        url: the ledger's database.
        sql: the folder of SQL statements, ``include/sql``.
    """
    connection = psycopg2.connect(url)
    try:
        apply_schema(connection, sql)
    finally:
        connection.close()


def apply_archive_schema(url: str, sql: Path) -> None:
    """Makes the reference archive's tables that are not there.

    Args:
        url: the archive's database.
        sql: the folder of SQL statements, ``include/sql``.
    """
    connection = psycopg2.connect(url)
    try:
        # The file is a transaction of its own.
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute((sql / "archive" / "schema.sql").read_text(encoding="utf-8"))
    finally:
        connection.close()
