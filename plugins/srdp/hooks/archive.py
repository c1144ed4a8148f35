"""The observatory's archive: what the workflows ask its database and write into it.

The statements are the files of ``include/sql/archive``. An observatory with tables of its own rewrites these files;
their parameters and the names of the columns that they return stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from srdp.domain.archive_metadata import calibration_status
from srdp.domain.errors import InvalidInput
from srdp.domain.execution_block import ExecutionBlock, IngestedSdm
from srdp.domain.identifiers import Locator, execution_block_name, locator
from srdp.hooks.postgres import repeated, rows, transaction

if TYPE_CHECKING:
    from srdp.settings import Settings

_WHAT = "The archive's database"


@dataclass(frozen=True)
class Ingested:
    """What the archive holds from some time on.

    Attributes:
        asked_at: the archive's clock just before it was asked.
        sdms: the rows, in the order in which they were ingested.
    """

    asked_at: datetime
    sdms: tuple[IngestedSdm, ...]


class ArchiveHook:
    """The archive's database, through Airflow's ``PostgresHook``.

    What is asked or written here may be repeated, so it is tried again for a few seconds when the database is restarted
    or the connection breaks, also when it is not known whether a commit came through.

    Args:
        settings: the Connection's name, and where the statements are.

    Note:
        A database that is not reachable for longer is a ``ServiceUnavailable``. How long one connection attempt may
        take is the Connection's ``connect_timeout`` extra, in seconds.
    """

    def __init__(self, settings: Settings) -> None:
        self._connection = settings.archive_connection
        self._statements = settings.sql / "archive"

    def execution_block(self, name_or_locator: str) -> ExecutionBlock:
        """Returns the execution block with this name or this locator.

        Args:
            name_or_locator: as a person gave it.

        Raises:
            InvalidInput: it is neither a name nor a locator, or the archive has no such execution block.
            ServiceUnavailable: the archive cannot be reached.
            SettingsError: the Connection or the statements are wrong.
        """
        if str(name_or_locator).startswith("uid:"):
            wanted, statement = str(locator(name_or_locator)), "execution_block_by_locator"
        else:
            wanted, statement = str(execution_block_name(name_or_locator)), "execution_block_by_name"
        found = self._ask(statement, {"wanted": wanted})
        if not found:
            raise InvalidInput(
                f"The archive has no execution block {wanted}: copy its name or its locator from the archive, and "
                "see whether it has been ingested."
            )
        return _execution_block(found[0])

    def now(self) -> datetime:
        """Returns the time by the archive's clock, which is the one that times of ingestion are set by.

        Raises:
            ServiceUnavailable: the archive cannot be reached.
            SettingsError: the Connection or the statements are wrong.
        """
        (clock,) = self._ask("clock", {})
        now: datetime = clock["now"]
        return now

    def ingested_since(self, since: datetime) -> Ingested:
        """Returns everything that was ingested at or after a time, execution blocks and what else there is.

        Args:
            since: a time with its zone.

        Raises:
            ServiceUnavailable: the archive cannot be reached.
            SettingsError: the Connection or the statements are wrong.
        """

        def read() -> Ingested:
            with transaction(self._connection, what=_WHAT) as cursor:
                # The clock first: what is committed between the two statements is seen now or lies after asked_at.
                (clock,) = rows(cursor, self._statements / "clock.sql")
                found = rows(cursor, self._statements / "ingested_since.sql", {"since": since})
            return Ingested(clock["now"], tuple(_ingested(row) for row in found))

        return repeated(read)

    def ingested_between(self, after: datetime, until: datetime, *, at_least: int) -> tuple[IngestedSdm, ...]:
        """Returns the first rows that were ingested after one time and not after another, in order.

        Args:
            after: the time after which to begin.
            until: the last time that counts.
            at_least: how many rows are enough; all that share the last one's time come with it.

        Raises:
            ServiceUnavailable: the archive cannot be reached.
            SettingsError: the Connection or the statements are wrong.
        """
        found = self._ask("ingested_between", {"after": after, "until": until, "at_least": at_least})
        return tuple(_ingested(row) for row in found)

    def set_calibration_status(self, block: Locator, status: str) -> None:
        """Sets the status of an execution block, and nothing else; may be repeated.

        Args:
            block: the execution block's locator.
            status: for example ``Do Not Calibrate``.

        Raises:
            InvalidInput: it is no locator or no status, or the archive has no such execution block.
            ServiceUnavailable: the archive cannot be reached.
            SettingsError: the Connection or the statements are wrong.
        """
        wanted = {"locator": locator(block), "status": calibration_status(status)}
        # Its one statement may be done twice: it sets what it sets.
        if not self._ask("set_calibration_status", wanted):
            raise InvalidInput(
                f"The archive has no execution block {wanted['locator']}: see whether it was ingested, and under which "
                "locator."
            )

    def _ask(self, name: str, parameters: Mapping[str, object]) -> list[dict[str, Any]]:
        def read() -> list[dict[str, Any]]:
            with transaction(self._connection, what=_WHAT) as cursor:
                return rows(cursor, self._statements / f"{name}.sql", parameters)

        return repeated(read)


def _execution_block(row: Mapping[str, Any]) -> ExecutionBlock:
    return ExecutionBlock(
        locator=locator(row["locator"]),
        name=execution_block_name(row["name"]),
        project=row["project_code"],
        telescope=row["telescope"],
        calibration_status=row["calibration_status"],
        observed_start=row["observed_start"],
        observed_end=row["observed_end"],
        ingested_at=row["ingested_at"],
    )


def _ingested(row: Mapping[str, Any]) -> IngestedSdm:
    return IngestedSdm(
        locator=row["locator"] or "",
        name=row["name"] or "",
        calibration_status=row["calibration_status"] or "",
        ingested_at=row["ingested_at"],
    )
