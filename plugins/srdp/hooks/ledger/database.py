"""One transaction on the ledger's database, repeated when the server went away.

A transaction that repositories run here may be repeated without harm, so it *is* repeated, for about a minute, when the
connection breaks or the server restarts, also when it is not known whether the commit came through:

* a state that is already there is left alone, and its mails are queued once for each run and key;
* a run is found again by the DAG run that opened it;
* an event carries an id that was made before the first try;
* all else is an update to the same values.

Sending a mail is the exception: it is never repeated here, see
:meth:`srdp.hooks.ledger.outbox.Outbox.deliver_next_mail`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
import tenacity

from srdp.domain.common.errors import InvalidInput, ServiceUnavailable, SettingsError
from srdp.domain.runs.identifiers import PipelineRunId
from srdp.domain.runs.retry import LEDGER_SECONDS
from srdp.hooks.postgres import Cursor, each, rows, transaction

if TYPE_CHECKING:
    from srdp.settings import Settings

log = logging.getLogger(__name__)

Result = TypeVar("Result")


class Transaction:
    """One transaction's cursor, and the statements of the ledger by name.

    Args:
        cursor: the cursor.
        settings: where the statements are, and from whom and to whom mails go.
    """

    def __init__(self, cursor: Cursor, settings: Settings) -> None:
        self._cursor = cursor
        self._folder = settings.sql / "ledger"
        self.settings = settings

    def rows(self, statement: str, /, **parameters: object) -> list[dict[str, Any]]:
        """Run a statement and return its rows."""
        return rows(self._cursor, self._folder, statement, parameters)

    def row(self, statement: str, /, **parameters: object) -> dict[str, Any] | None:
        """Run a statement and return its first row; None if it returns none."""
        return next(iter(self.rows(statement, **parameters)), None)

    def change(self, statement: str, /, **parameters: object) -> int:
        """Run a statement that returns nothing; return how many rows it changed."""
        self.rows(statement, **parameters)
        return self._cursor.rowcount

    def change_each(self, statement: str, parameters: Iterable[Mapping[str, object]]) -> int:
        """Run a statement that returns nothing for each set of parameters; return how many rows they changed."""
        return each(self._cursor, self._folder, statement, parameters)


class Database:
    """The ledger's database, through the PostgreSQL connection that the settings name.

    Args:
        settings: the settings of this process.
        retry_seconds: for how long a broken connection is tried again before :class:`ServiceUnavailable` is raised.
    """

    def __init__(self, settings: Settings, *, retry_seconds: float = LEDGER_SECONDS) -> None:
        self.settings = settings
        self.retry_seconds = retry_seconds

    def transact(
        self, work: Callable[[Transaction], Result], *, repeatable: Callable[[], bool] = lambda: True
    ) -> Result:
        """Run work in a transaction of its own and commit; repeat it if the server went away (see the module)."""

        def once() -> Result:
            with transaction(self.settings.ledger_connection, what="The ledger's database") as cursor:
                try:
                    return work(Transaction(cursor, self.settings))
                except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
                    raise SettingsError(
                        f"The database of the Airflow Connection {self.settings.ledger_connection} lacks the ledger's "
                        f"tables of this release ({str(error).partition(chr(10))[0]}): run "
                        "`python -m srdp.hooks.ledger_schema` with Airflow's environment."
                    ) from None

        repeating = tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda error: isinstance(error, ServiceUnavailable) and repeatable()),
            wait=tenacity.wait_exponential(multiplier=0.1, max=5),
            stop=tenacity.stop_after_delay(self.retry_seconds),
            before_sleep=_say_that_it_is_tried_again,
            reraise=True,
        )
        return repeating(once)

    def rows(self, statement: str, /, **parameters: object) -> list[dict[str, Any]]:
        """Run one statement in a transaction of its own and return its rows."""
        return self.transact(lambda transaction: transaction.rows(statement, **parameters))

    def row(self, statement: str, /, **parameters: object) -> dict[str, Any] | None:
        """Run one statement in a transaction of its own and return its first row; None if it returns none."""
        return self.transact(lambda transaction: transaction.row(statement, **parameters))

    def change(self, statement: str, /, **parameters: object) -> int:
        """Run one statement that returns nothing in a transaction of its own; return how many rows it changed."""
        return self.transact(lambda transaction: transaction.change(statement, **parameters))

    def change_run(self, run_id: PipelineRunId, work: Callable[[Transaction], object]) -> None:
        """Run work that writes about a run, which must exist."""
        try:
            changed = self.transact(work)
        except psycopg.errors.ForeignKeyViolation:
            raise unknown_run(run_id) from None
        if changed == 0:
            raise unknown_run(run_id)


class Repository:
    """Base of what reads and writes one part of the ledger; each of its methods is one transaction.

    Args:
        database: the ledger's database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database


def unknown_run(run_id: str) -> InvalidInput:
    """Return the error that says that the ledger holds no such run."""
    return InvalidInput(f"The ledger holds no pipeline run {run_id}: copy the ID from the mail or the run's directory.")


def only(row: dict[str, Any] | None) -> dict[str, Any]:
    """Return the row of a statement that always returns one."""
    if row is None:  # pragma: no cover  the statement always returns a row
        raise AssertionError("a statement that always returns a row returned none")
    return row


def _say_that_it_is_tried_again(state: tenacity.RetryCallState) -> None:
    log.warning("%s (trying again)", state.outcome.exception() if state.outcome else "")
