"""The observatory's archive: what the workflows ask its database and write into it.

The statements are those of ``include/sql/archive``. An observatory with tables of its own rewrites them; their names,
their parameters and the names of the columns that they return stay.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

from srdp.domain.archiving.metadata import (
    CommittedResult,
    ResultMetadata,
    calibration_status,
    differences,
)
from srdp.domain.archiving.mous import Mous, mous
from srdp.domain.archiving.result_locators import ResultLocator, kind_of_result, known_result_locator
from srdp.domain.common.errors import IntegrityError, InvalidInput, quoted
from srdp.domain.runs.execution_block import ExecutionBlock, IngestedSdm
from srdp.domain.runs.identifiers import Locator, execution_block_name, locator, mous_uid, pipeline_run_id
from srdp.hooks.archive_results import ArchiveResults, named, unknown_block, unknown_result
from srdp.hooks.archive_statements import ArchiveStatements
from srdp.hooks.postgres import Cursor, postgres_safe

if TYPE_CHECKING:
    from srdp.domain.qa.verdict import QaVerdict
    from srdp.domain.runs.identifiers import PipelineRunId
    from srdp.settings import Settings

_T = TypeVar("_T")


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
        settings: the Connection's name, where the statements are, and what is not to be written.
        lock_seconds: how long to wait for another ingest into the same project.

    Note:
        A database that is not reachable for longer is a ``ServiceUnavailable``. How long one connection attempt may
        take is the Connection's ``connect_timeout`` extra, in seconds.
    """

    def __init__(self, settings: Settings, *, lock_seconds: float = 30.0) -> None:
        # Statements for tables that the archive need not have, if the settings say so.
        without = {
            name
            for name, is_used in (
                ("srdp_state_upsert", settings.record_srdp_state),
                ("request_reindex", settings.reindex == "sql"),
            )
            if not is_used
        }
        self._statements = ArchiveStatements(settings.archive_connection, settings.sql / "archive", without)
        self._results = ArchiveResults(
            self._statements, ngas_connection=settings.ngas_connection, lock_seconds=lock_seconds
        )

    def execution_block(self, name_or_locator: str) -> ExecutionBlock:
        """Return the execution block with this name or this locator.

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
        found = self._statements.ask(statement, {"wanted": wanted})
        if not found:
            raise InvalidInput(
                f"The archive has no execution block {wanted}: copy its name or its locator from the archive, and "
                "see whether it has been ingested."
            )
        return _execution_block(found[0])

    def mous(self, uid: str) -> Mous:
        """Return the MOUS with this UID, as it is in one moment: its ASDMs and its newest calibration.

        Args:
            uid: as a person gave it.

        Raises:
            InvalidInput: it is no UID of a MOUS, the archive has no such MOUS or no ASDM of it, or has an identifier
                that has not its form.
            ServiceUnavailable: the archive cannot be reached.
            SettingsError: the Connection or the statements are wrong.
        """
        wanted = mous_uid(uid)

        def read(cursor: Cursor) -> tuple[list[dict[str, Any]], ...]:
            return tuple(
                self._statements.rows(cursor, name, mous_uid=wanted)
                for name in ("mous_by_uid", "asdms_of_mous", "newest_calibration_of_mous")
            )

        found, members, calibrations = self._statements.read(read)
        if not found:
            raise InvalidInput(
                f"The archive has no MOUS {wanted}: copy its UID from the archive, and see whether it was ingested."
            )
        if not members:
            raise InvalidInput(
                f"The archive knows no ASDM of {wanted}, so there is nothing that could be imaged: ask its operators."
            )
        return mous(
            uid=wanted,
            project=found[0]["project_code"],
            asdms=((row["asdm_uid"], row["disk_name"], row["locator"]) for row in members),
            calibration=calibrations[0]["locator"] if calibrations else None,
            frequency_ghz=found[0]["frequency_ghz"],
            resolution_arcsec=found[0]["resolution_arcsec"],
        )

    def now(self) -> datetime:
        """Return the time by the archive's clock, which is the one that times of ingestion are set by.

        Raises:
            ServiceUnavailable: the archive cannot be reached.
            SettingsError: the Connection or the statements are wrong.
        """
        (clock,) = self._statements.ask("clock", {})
        now: datetime = clock["now"]
        return now

    def ingested_since(self, since: datetime) -> Ingested:
        """Return everything that was ingested at or after a time, execution blocks and what else there is.

        Args:
            since: a time with its zone.

        Raises:
            ServiceUnavailable: the archive cannot be reached.
            SettingsError: the Connection or the statements are wrong.
        """

        def read(cursor: Cursor) -> Ingested:
            # The clock first: what is committed between the two statements is seen now or is after asked_at.
            (clock,) = self._statements.rows(cursor, "clock")
            found = self._statements.rows(cursor, "ingested_since", since=since)
            return Ingested(clock["now"], tuple(_ingested(row) for row in found))

        return self._statements.read(read)

    def ingested_between(self, after: datetime, until: datetime, *, at_least: int) -> tuple[IngestedSdm, ...]:
        """Return the first rows that were ingested after one time and not after another, in order.

        Args:
            after: the time after which to begin.
            until: the last time that counts.
            at_least: how many rows are enough; all that share the last one's time come with it.

        Raises:
            ServiceUnavailable: the archive cannot be reached.
            SettingsError: the Connection or the statements are wrong.
        """
        found = self._statements.ask("ingested_between", {"after": after, "until": until, "at_least": at_least})
        return tuple(_ingested(row) for row in found)

    def set_calibration_status(self, block: Locator, status: str) -> None:
        """Set the status of an execution block, and nothing else; may be repeated.

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
        if not self._statements.ask("set_calibration_status", wanted):
            raise unknown_block(wanted["locator"])

    # A calibration or an image set

    def commit_result(self, metadata: ResultMetadata, *, still_wanted: Callable[[], object] | None = None) -> None:
        """Write everything about a result, in one transaction: all of it is there afterwards, or nothing.

        That is: its file group and files, itself, its images if it is an image set, the SRDP verdict (unless the
        settings leave that out) and the status of its execution block. What an earlier ingest of the run wrote without
        files is removed. One ingest into a project at a time; the lock is held for this transaction only.

        May be repeated, also if it is not known whether it came through: a result that is there with the same files is
        left as it is, the status included.

        Args:
            metadata: what is written.
            still_wanted: called when all is written and nothing is committed; what it raises, nothing is committed
                after.

        Raises:
            IntegrityError: the archive has something else under the result's locator or under one of its files'
                ids in NGAS, or its tables do not accept it. Nothing was changed.
            InvalidInput: the archive does not have what the result belongs to.
            ServiceUnavailable: the archive cannot be reached, or another ingest into the project is at work for long.
            SettingsError: the Connection or the statements are wrong, or the archive does not know the NGAS server.
        """

        def work(cursor: Cursor) -> None:
            self._results.one_ingest_at_a_time(cursor, metadata)
            committed = self._results.committed(cursor, metadata.locator)
            if committed is None:
                self._results.insert(cursor, metadata)
            elif differing := differences(committed, metadata):
                raise IntegrityError(
                    f"The archive has {named(metadata.locator)} of {metadata.pipeline_run_id} already, but "
                    f"not as it is to be written: {' '.join(differing)} Ask the archive's operators who wrote it; "
                    "nothing was changed."
                )
            if still_wanted is not None:
                still_wanted()

        self._statements.write(named(metadata.locator), work)

    def committed(self, calibration: ResultLocator) -> CommittedResult | None:
        """Return what the archive has of a result at this moment, files included; None if it has none.

        Args:
            calibration: its locator.

        Raises:
            ServiceUnavailable: the archive cannot be reached.
            SettingsError: the Connection or the statements are wrong.
        """
        wanted = known_result_locator(calibration)

        def read(cursor: Cursor) -> CommittedResult | None:
            return self._results.committed(cursor, wanted)

        return self._statements.read(read)

    def change_qa(
        self,
        calibration: ResultLocator,
        *,
        run_id: PipelineRunId,
        verdict: QaVerdict,
        qa_notes: str,
        status: str | None,
    ) -> None:
        """Give a result that is in the archive another SRDP verdict, in one transaction; may be repeated.

        Its files stay as they are.

        Args:
            calibration: its locator.
            run_id: the run that made it.
            verdict: the new verdict.
            qa_notes: the new verdict in words, plain text.
            status: the status that its execution block gets; None leaves it as it is.

        Raises:
            InvalidInput: the archive has no such result, or a status is given and it belongs to no execution block.
            IntegrityError: the archive's tables do not accept it.
            ServiceUnavailable: the archive cannot be reached.
            SettingsError: the Connection or the statements are wrong.
        """
        known = known_result_locator(calibration)
        run = pipeline_run_id(run_id)
        wanted_status = None if status is None else calibration_status(status)

        def work(cursor: Cursor) -> None:
            self._results.limit_waiting(cursor)
            found = self._statements.rows(
                cursor, f"{kind_of_result(known)}_set_qa_notes", locator=known, qa_notes=qa_notes
            )
            if not found:
                raise unknown_result(known)
            self._results.record_srdp_state(cursor, known, run, verdict)
            block = found[0]["execution_block_locator"]
            if wanted_status is not None and block is None:
                raise InvalidInput(
                    f"The image set {known} belongs to {found[0]['mous_uid']}, which has no calibration status: "
                    "change its verdict without one."
                )
            if wanted_status is not None:
                self._results.set_status(cursor, block, wanted_status)

        self._statements.write(f"the verdict on {named(known)}", work)

    # Calibrated measurement sets that users can take from disk

    def record_cached_measurement_set(self, calibration: ResultLocator, path: Path | str, expires_at: datetime) -> None:
        """Record in the archive where a calibration's measurement set is for users, and until when; may be repeated.

        Args:
            calibration: its locator.
            path: the measurement set's absolute path.
            expires_at: from when on it may be removed; with its zone.

        Raises:
            InvalidInput: the archive has no such calibration, or the path or the time is none.
            ServiceUnavailable: the archive cannot be reached.
            SettingsError: the Connection or the statements are wrong.
        """
        known, place = known_result_locator(calibration), os.fspath(path)
        if not PurePosixPath(place).is_absolute() or postgres_safe(place) != place:
            raise InvalidInput(f"{quoted(place)} is not an absolute path that the archive could show.")
        if expires_at.tzinfo is None:
            raise InvalidInput(f"The time {expires_at} at which {quoted(place)} expires must have its zone.")
        values = {"calibration_locator": known, "path": place, "expires_at": expires_at}
        if not self._statements.ask("cached_measurement_set_upsert", values):
            raise unknown_result(known)

    def forget_cached_measurement_set(self, calibration: ResultLocator) -> None:
        """Record in the archive that a calibration's measurement set is no longer on disk; may be repeated.

        Args:
            calibration: its locator.

        Raises:
            ServiceUnavailable: the archive cannot be reached.
            SettingsError: the Connection or the statements are wrong.
        """
        self._statements.ask(
            "cached_measurement_set_delete", {"calibration_locator": known_result_locator(calibration)}
        )

    # The index

    def request_reindex(self, project: str) -> None:
        """Leaves the request that a project be indexed again; may be repeated.

        Args:
            project: its code.

        Raises:
            InvalidInput: the archive has no such project.
            ServiceUnavailable: the archive cannot be reached.
            SettingsError: the Connection or the statements are wrong.
        """
        if not self._statements.ask("request_reindex", postgres_safe({"project_code": project})):
            raise InvalidInput(f"The archive has no project {quoted(project)}, so it cannot index it again.")

    def check_statements(self) -> None:
        """Ask the archive whether it could execute every statement that is used; changes nothing.

        Raises:
            ServiceUnavailable: the archive cannot be reached.
            SettingsError: a table or a column is missing, or this account may not use it; it names the statement.
        """
        self._statements.check()


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
