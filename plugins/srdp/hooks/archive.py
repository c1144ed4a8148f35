"""The observatory's archive: what the workflows ask its database and write into it.

The statements are those of ``include/sql/archive``. An observatory with tables of its own rewrites them; their names,
their parameters and the names of the columns that they return stay.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
from psycopg.types.json import Jsonb

from srdp.domain.archiving.metadata import (
    CHECKSUM_TYPE,
    IMAGE_SET,
    CommittedFile,
    CommittedResult,
    ResultLocator,
    ResultMetadata,
    calibration_status,
    differences,
    kind_of_result,
    known_result_locator,
)
from srdp.domain.archiving.mous import Mous, mous
from srdp.domain.common.errors import IntegrityError, InvalidInput, ServiceUnavailable, SettingsError, SrdpError, quoted
from srdp.domain.runs.execution_block import ExecutionBlock, IngestedSdm
from srdp.domain.runs.identifiers import Locator, execution_block_name, locator, mous_uid, pipeline_run_id
from srdp.hooks.ledger import postgres_safe
from srdp.hooks.postgres import Cursor, repeated, rows, transaction
from srdp.hooks.statements import statements

if TYPE_CHECKING:
    from srdp.domain.runs.identifiers import PipelineRunId
    from srdp.domain.runs.qa_notes import QaVerdict
    from srdp.settings import Settings

_WHAT = "The archive's database"
# How long the server lets a transaction of ours be silent, which takes milliseconds as a whole: a machine that vanished
# in the middle of one must not hold a project's lock for hours, nor for longer than the next try waits for it.
_LONGEST_SILENCE_SECONDS = 15.0
# What EXPLAIN can be asked about, if a site's own statements are others.
_EXPLAINED = ("select", "insert", "update", "delete", "merge", "with")

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
        self._connection = settings.archive_connection
        self._ngas_connection = settings.ngas_connection
        self._statements = settings.sql / "archive"
        self._lock_seconds = lock_seconds
        # Statements for tables that the archive need not have, if the settings say so.
        self._without = {
            name
            for name, is_used in (
                ("srdp_state_upsert", settings.record_srdp_state),
                ("request_reindex", settings.reindex == "sql"),
            )
            if not is_used
        }

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
        found = self._ask(statement, {"wanted": wanted})
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

        def read() -> tuple[list[dict[str, Any]], ...]:
            with transaction(self._connection, what=_WHAT) as cursor:
                return tuple(
                    self._rows(cursor, name, mous_uid=wanted)
                    for name in ("mous_by_uid", "asdms_of_mous", "newest_calibration_of_mous")
                )

        found, members, calibrations = repeated(read)
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
        (clock,) = self._ask("clock", {})
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

        def read() -> Ingested:
            with transaction(self._connection, what=_WHAT) as cursor:
                # The clock first: what is committed between the two statements is seen now or lies after asked_at.
                (clock,) = rows(cursor, self._statements, "clock")
                found = rows(cursor, self._statements, "ingested_since", {"since": since})
            return Ingested(clock["now"], tuple(_ingested(row) for row in found))

        return repeated(read)

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
        found = self._ask("ingested_between", {"after": after, "until": until, "at_least": at_least})
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
        if not self._ask("set_calibration_status", wanted):
            raise _unknown_block(wanted["locator"])

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
            self._one_ingest_at_a_time(cursor, metadata)
            committed = self._result(cursor, metadata.locator)
            if committed is None:
                self._insert_result(cursor, metadata)
            elif differing := differences(committed, metadata):
                raise IntegrityError(
                    f"The archive has {_named(metadata.locator)} of {metadata.pipeline_run_id} already, but "
                    f"not as it is to be written: {' '.join(differing)} Ask the archive's operators who wrote it; "
                    "nothing was changed."
                )
            if still_wanted is not None:
                still_wanted()

        self._write(_named(metadata.locator), work)

    def committed(self, calibration: ResultLocator) -> CommittedResult | None:
        """Return what the archive has of a result at this moment, files included; None if it has none.

        Args:
            calibration: its locator.

        Raises:
            ServiceUnavailable: the archive cannot be reached.
            SettingsError: the Connection or the statements are wrong.
        """
        wanted = known_result_locator(calibration)

        def read() -> CommittedResult | None:
            with transaction(self._connection, what=_WHAT) as cursor:
                return self._result(cursor, wanted)

        return repeated(read)

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
            self._limit_waiting(cursor)
            found = self._rows(cursor, f"{kind_of_result(known)}_set_qa_notes", locator=known, qa_notes=qa_notes)
            if not found:
                raise _unknown_result(known)
            self._record_srdp_state(cursor, known, run, verdict)
            block = found[0]["execution_block_locator"]
            if wanted_status is not None and block is None:
                raise InvalidInput(
                    f"The image set {known} belongs to {found[0]['mous_uid']}, which has no calibration status: "
                    "change its verdict without one."
                )
            if wanted_status is not None:
                self._set_status(cursor, block, wanted_status)

        self._write(f"the verdict on {_named(known)}", work)

    # Calibrated measurement sets that users can take from disk

    def record_cached_measurement_set(self, calibration: ResultLocator, path: Path | str, expires_at: datetime) -> None:
        """Tells the archive where a calibration's measurement set lies for users, and until when; may be repeated.

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
        if not self._ask("cached_measurement_set_upsert", values):
            raise _unknown_result(known)

    def forget_cached_measurement_set(self, calibration: ResultLocator) -> None:
        """Tells the archive that a calibration's measurement set does not lie on disk any more; may be repeated.

        Args:
            calibration: its locator.

        Raises:
            ServiceUnavailable: the archive cannot be reached.
            SettingsError: the Connection or the statements are wrong.
        """
        self._ask("cached_measurement_set_delete", {"calibration_locator": known_result_locator(calibration)})

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
        if not self._ask("request_reindex", postgres_safe({"project_code": project})):
            raise InvalidInput(f"The archive has no project {quoted(project)}, so it cannot index it again.")

    def check_statements(self) -> None:
        """Asks the archive whether it could execute every statement that is used; changes nothing.

        Raises:
            ServiceUnavailable: the archive cannot be reached.
            SettingsError: a table or a column is missing, or this account may not use it; it names the statement.
        """
        name = "include/sql/archive"
        try:
            with transaction(self._connection, what=_WHAT) as cursor:
                for name, whole in sorted(statements(self._statements).items()):
                    text = "\n".join(line for line in whole.splitlines() if not line.lstrip().startswith("--")).strip()
                    if name not in self._without and text.lower().startswith(_EXPLAINED):
                        # EXPLAIN looks for tables, columns and rights, and executes nothing.
                        cursor.execute(f"EXPLAIN {text}", _Nulls())
        except SettingsError as problem:
            raise SettingsError(f"The statement {name}: {problem}") from None

    # How it is done

    def _insert_result(self, cursor: Cursor, metadata: ResultMetadata) -> None:
        server = self._ngas_server(cursor, metadata.ngas_server) if metadata.files else None
        (group,) = self._rows(cursor, "file_group_insert")
        group_id = group["file_group_id"]
        try:
            self._rows(
                cursor,
                f"{kind_of_result(metadata.locator)}_insert",
                locator=metadata.locator,
                execution_block_locator=metadata.execution_block_locator,
                mous_uid=metadata.mous_uid,
                file_group_id=group_id,
                casa_version=metadata.casa_version,
                pipeline_version=metadata.pipeline_version,
                qa_notes=metadata.qa_notes,
                asked=None if metadata.asked is None else Jsonb(postgres_safe(metadata.asked)),
            )
        except psycopg.errors.UniqueViolation:
            # Where the lock does not keep others out, or the database shows old states: the next try sees it.
            raise ServiceUnavailable(
                f"What is to be {_named(metadata.locator)} came into the archive in this moment: try again."
            ) from None
        for file in metadata.files:
            with _taken_already(file.ngas_file_id, file.version, metadata.locator):
                self._rows(
                    cursor,
                    "file_insert",
                    file_group_id=group_id,
                    kind=file.kind,
                    ngas_file_id=file.ngas_file_id,
                    version=file.version,
                    size=file.size_bytes,
                    checksum=str(file.crc32),
                    checksum_type=CHECKSUM_TYPE,
                    relative_path=file.relative_path,
                    ngas_server=server,
                )
        for image in metadata.images:
            values = {"relative_path": image.relative_path, "product": image.product, **asdict(image.facts)}
            self._rows(cursor, "image_insert", image_set_locator=metadata.locator, **values)
        for former in metadata.former_locators:
            self._rows(cursor, f"{kind_of_result(former)}_delete_without_files", locator=former)
        self._record_srdp_state(cursor, metadata.locator, metadata.pipeline_run_id, metadata.verdict)
        if metadata.status is not None:
            self._set_status(cursor, metadata.belongs_to, metadata.status)

    def _one_ingest_at_a_time(self, cursor: Cursor, metadata: ResultMetadata) -> None:
        self._limit_waiting(cursor)
        found = self._rows(
            cursor,
            "project_of",
            execution_block_locator=metadata.execution_block_locator,
            mous_uid=metadata.mous_uid,
        )
        if not found:
            raise InvalidInput(
                f"The archive does not have {metadata.belongs_to}, which {metadata.pipeline_run_id} is of: ask "
                "its operators what became of it; nothing was written."
            )
        project = found[0]["project_code"]
        try:
            self._rows(cursor, "lock_project", project_code=project)
        except psycopg.errors.LockNotAvailable:
            raise _ProjectIsBusy(
                f"Another ingest into the project {quoted(project)} has been at work in the archive for more than "
                f"{self._lock_seconds:.0f} s: wait and try again; if it does not end, ask the archive's operators."
            ) from None

    def _limit_waiting(self, cursor: Cursor) -> None:
        self._rows(
            cursor,
            "limit_waiting",
            longest_wait=_milliseconds(self._lock_seconds),
            longest_silence=_milliseconds(_LONGEST_SILENCE_SECONDS),
        )

    def _ngas_server(self, cursor: Cursor, address: str | None) -> str:
        found = self._rows(cursor, "ngas_server_by_address", address=address)
        if not found:
            raise SettingsError(
                f"The archive knows no NGAS server with the address {quoted(address)}: set host and port of the "
                f"Airflow Connection {self._ngas_connection} as the archive has them, or have the server added to it."
            )
        name: str = found[0]["name"]
        return name

    def _record_srdp_state(
        self, cursor: Cursor, result: ResultLocator, run_id: PipelineRunId, verdict: QaVerdict
    ) -> None:
        if "srdp_state_upsert" in self._without:
            return
        self._rows(
            cursor,
            "srdp_state_upsert",
            calibration_locator=None if kind_of_result(result) == IMAGE_SET else result,
            image_set_locator=result if kind_of_result(result) == IMAGE_SET else None,
            pipeline_run_id=run_id,
            qa_flag=verdict.flag.value,
            qa_score=verdict.score,
            qa_analyst=verdict.author,
            qa_standard=verdict.standard,
        )

    def _set_status(self, cursor: Cursor, block: str, status: str) -> None:
        if not self._rows(cursor, "set_calibration_status", locator=block, status=status):
            raise _unknown_block(block)

    def _result(self, cursor: Cursor, wanted: ResultLocator) -> CommittedResult | None:
        kind = kind_of_result(wanted)
        found = self._rows(cursor, f"{kind}_by_locator", locator=wanted)
        if not found:
            return None
        (row,) = found
        return CommittedResult(
            locator=wanted,
            belongs_to=row["execution_block_locator"] or row["mous_uid"],
            files=tuple(
                CommittedFile(
                    kind=file["kind"],
                    ngas_file_id=file["ngas_file_id"],
                    version=file["version"],
                    size_bytes=file["size"],
                    checksum=file["checksum"],
                    checksum_type=file["checksum_type"],
                    relative_path=file["relative_path"],
                    ngas_server=file["address"],
                )
                for file in self._rows(cursor, f"files_of_{kind}", locator=wanted)
            ),
            casa_version=row["casa_version"],
            pipeline_version=row["pipeline_version"],
            qa_notes=row["qa_notes"],
            ingested_at=row["ingested_at"],
            images=tuple(
                image["relative_path"]
                for image in (self._rows(cursor, "images_of_image_set", locator=wanted) if kind == IMAGE_SET else ())
            ),
        )

    def _write(self, what: str, work: Callable[[Cursor], _T]) -> _T:
        """Do work that may be repeated in a transaction of its own, and repeats it; see :func:`repeated`."""

        def once() -> _T:
            try:
                with transaction(self._connection, what=_WHAT) as cursor:
                    return work(cursor)
            except (psycopg.IntegrityError, psycopg.DataError) as error:
                raise IntegrityError(
                    f"The archive's tables do not accept {what}: {str(error).strip().partition(chr(10))[0]}; nothing "
                    "was changed."
                ) from None

        try:
            return repeated(once)
        except _ProjectIsBusy as busy:
            raise ServiceUnavailable(str(busy)) from None

    def _ask(self, name: str, parameters: Mapping[str, object]) -> list[dict[str, Any]]:
        def ask() -> list[dict[str, Any]]:
            with transaction(self._connection, what=_WHAT) as cursor:
                return rows(cursor, self._statements, name, parameters)

        return repeated(ask)

    def _rows(self, cursor: Cursor, name: str, **parameters: object) -> list[dict[str, Any]]:
        return rows(cursor, self._statements, name, postgres_safe(parameters))


class _ProjectIsBusy(SrdpError):
    """Has waited long enough: not repeated here, as a :class:`ServiceUnavailable` would be."""


class _Nulls(dict[str, None]):
    """A value for every parameter, whatever it is called."""

    def __missing__(self, _name: str) -> None:
        return None


@contextmanager
def _taken_already(ngas_file_id: str, version: int, result: ResultLocator) -> Iterator[None]:
    try:
        yield
    except psycopg.errors.UniqueViolation:
        raise IntegrityError(
            f"The archive has {quoted(ngas_file_id)} version {version}, or a file of its name, already, and not for "
            f"{_named(result)}: ask its operators who wrote it; nothing was changed."
        ) from None


def _unknown_result(result: ResultLocator) -> InvalidInput:
    return InvalidInput(f"The archive has no {_words(result)} {result}: see whether its ingest was finished.")


def _named(result: ResultLocator) -> str:
    return f"the {_words(result)} {result}"


def _words(result: ResultLocator) -> str:
    return kind_of_result(result).replace("_", " ")


def _unknown_block(block: str) -> InvalidInput:
    return InvalidInput(
        f"The archive has no execution block {block}: see whether it was ingested, and under which locator."
    )


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))


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
