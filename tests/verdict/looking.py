"""An observatory that is looked at through one connection to each database, because a test looks often."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.rows import dict_row
from tests.ingesting import Observatory

from srdp.hooks.ledger.database import Database, Result, Transaction
from srdp.settings import Settings

#: What these connections are called; those of the steps are not.
LOOKING = "looking"
LEDGER_DATABASE = "verdict_ledger"


def connection_to_look_through(url: str) -> psycopg.Connection[dict[str, Any]]:
    """A connection of which no transaction stays open."""
    return psycopg.connect(url, autocommit=True, row_factory=dict_row, application_name=LOOKING)


class DatabaseToLookAt(Database):
    """The ledger's database in this process; the steps make their own.

    Args:
        settings: the settings.
        connection: to the ledger's database.
    """

    def __init__(self, settings: Settings, connection: psycopg.Connection[dict[str, Any]]) -> None:
        super().__init__(settings)
        self._kept = connection

    def transact(
        self,
        work: Callable[[Transaction], Result],
        *,
        repeatable: Callable[[], bool] = lambda: True,  # noqa: ARG002  nothing is repeated here
    ) -> Result:
        with self._kept.transaction(), self._kept.cursor() as cursor:
            return work(Transaction(cursor, self.settings))


class ObservatoryToLookAt(Observatory):
    """See the module."""

    archive: psycopg.Connection[dict[str, Any]]

    def rows(self, statement: str, *parameters: object) -> list[dict[str, Any]]:
        """Rows of the archive's database."""
        return self.archive.execute(statement, parameters).fetchall()
