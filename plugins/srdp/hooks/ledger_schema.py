"""The ledger's tables: numbered files, each applied once.

``python -m srdp.hooks.ledger_schema`` brings the database of the connection ``srdp_ledger`` up to date; it is safe
to repeat and to run twice at once.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Protocol

from srdp.domain.common.errors import SettingsError

# Any number will do that nothing else in this database locks.
_ADVISORY_LOCK = 5_207_734_101
_MIGRATION = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


class DatabaseConnection(Protocol):
    """What psycopg 2 and 3 both offer."""

    def cursor(self) -> Any: ...  # noqa: ANN401, D102
    def commit(self) -> None: ...  # noqa: D102
    def rollback(self) -> None: ...  # noqa: D102


def migrations(sql_folder: Path) -> list[tuple[int, Path]]:
    """Return the numbered files of ``<sql_folder>/ledger/migrations`` in their order.

    Raises:
        SettingsError: there are none, a name has not the form ``0001_name.sql``, or a number is missing or given twice.
    """
    folder = sql_folder / "ledger" / "migrations"
    found = []
    for path in sorted(folder.glob("*.sql")):
        match = _MIGRATION.fullmatch(path.name)
        if match is None:
            raise SettingsError(f"{path} is not called like 0001_name.sql: rename it, or remove it.")
        found.append((int(match[1]), path))
    if [number for number, _ in found] != list(range(1, len(found) + 1)) or not found:
        raise SettingsError(
            f"{folder} does not hold the files 0001, 0002 and so on, each number once: SRDP_HOME must name the "
            "project's own folder, complete."
        )
    return found


def apply_schema(connection: DatabaseConnection, sql_folder: Path) -> list[str]:
    """Brings the ledger's tables up to date, in one transaction; returns the names of the files that were applied.

    A table ``schema_version`` remembers what was applied; an advisory lock lets a second caller wait and then find
    nothing to do.

    Args:
        connection: a connection to the ledger's database, not in autocommit mode; it is left open.
        sql_folder: the folder ``include/sql``.

    Raises:
        SettingsError: the files are not complete, or the database was made by a newer release.
    """
    files = migrations(sql_folder)
    applied: list[str] = []
    cursor = connection.cursor()
    try:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_ADVISORY_LOCK,))
        cursor.execute(
            "CREATE TABLE IF NOT EXISTS schema_version "
            "(number integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        cursor.execute("SELECT coalesce(max(number), 0) FROM schema_version")
        reached = cursor.fetchone()[0]
        if reached > len(files):
            raise SettingsError(
                f"The ledger's tables are at version {reached}, this release knows {len(files)}: install the release "
                "that made them, or a newer one."
            )
        for number, path in files[reached:]:
            cursor.execute(path.read_text(encoding="utf-8"))
            cursor.execute("INSERT INTO schema_version (number, name) VALUES (%s, %s)", (number, path.name))
            applied.append(path.name)
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    finally:
        cursor.close()
    return applied


def main() -> None:
    """Apply the schema to the database of the configured connection and says what was done."""
    from airflow.providers.postgres.hooks.postgres import PostgresHook

    from srdp.settings import load_settings

    # Airflow's servers read connections from its database too, and not from the environment alone.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    settings = load_settings()
    with PostgresHook(postgres_conn_id=settings.ledger_connection).get_conn() as connection:
        applied = apply_schema(connection, settings.sql)
    print("Applied " + ", ".join(applied) if applied else "The ledger's tables are up to date.")


if __name__ == "__main__":
    main()
