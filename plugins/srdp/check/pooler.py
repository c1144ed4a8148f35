"""Whether a database is reached through a connection pooler, and whether this project's client works with it.

A pooler in session mode changes nothing. One in transaction mode (PgBouncer's ``pool_mode = transaction``) hands the
same server process to one client after the other: what a client leaves in its session, such as a prepared statement, is
met by the next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from srdp.domain.common.errors import SettingsError
from srdp.hooks.postgres import Cursor, rows, transaction

if TYPE_CHECKING:
    from srdp.settings import Settings

# More often than after how many executions psycopg has a statement prepared by the server.
_ROUNDS = 8


def pooler(settings: Settings, connection_id: str, *, what: str) -> str:
    """Return what there is between this client and a database, as the end of a sentence; nothing if nothing is.

    Two connections execute the same statement in turn, in transactions of their own. They are served by one server
    process only if a pooler gives it to both; and what this client left in it would then be in the way.

    Args:
        settings: where the statement is.
        connection_id: the Airflow Connection.
        what: what the database is called in a sentence.

    Raises:
        SrdpError: it cannot be reached, or the pooler and this client do not fit.
    """
    seen: list[set[int]] = [set(), set()]
    behind = False
    try:
        with transaction(connection_id, what=what) as one, transaction(connection_id, what=what) as other:
            for _ in range(_ROUNDS):
                for cursor, processes in zip((one, other), seen, strict=True):
                    process = _server_process(settings, cursor)
                    processes.add(process)
                    behind |= process != cursor.connection.info.backend_pid
    except SettingsError as problem:
        raise SettingsError(
            f"{str(problem).rstrip('.')}. That occurs when a statement is executed again and again: a pooler "
            "in transaction mode does not work with this client."
        ) from None
    if seen[0] & seen[1] or any(len(processes) > 1 for processes in seen):
        return ", reached through a pooler in transaction mode, with which this client works"
    return ", reached through a pooler in session mode" if behind else ""


def _server_process(settings: Settings, cursor: Cursor) -> int:
    (row,) = rows(cursor, settings.sql / "ledger", "server_process")
    cursor.connection.commit()
    return int(row["process"])
