"""The results of runs in the archive's database: what is written and what is there, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import psycopg
from psycopg.types.json import Jsonb

from srdp.domain.archiving.metadata import (
    CHECKSUM_TYPE,
    CommittedFile,
    CommittedResult,
    ResultMetadata,
)
from srdp.domain.archiving.result_locators import IMAGE_SET, ResultLocator, kind_of_result
from srdp.domain.common.errors import IntegrityError, InvalidInput, ServiceUnavailable, SettingsError, quoted
from srdp.hooks.postgres import Cursor, postgres_safe

if TYPE_CHECKING:
    from srdp.domain.qa.verdict import QaVerdict
    from srdp.domain.runs.identifiers import PipelineRunId

from srdp.hooks.archive_statements import ArchiveStatements, ProjectIsBusy

# How long the server lets a transaction of ours be silent, which takes milliseconds as a whole: a machine that vanished
# in the middle of one must not hold a project's lock for hours, nor for longer than the next try waits for it.
_LONGEST_SILENCE_SECONDS = 15.0


class ArchiveResults:
    """The results in the archive.

    Args:
        statements: what is executed.
        ngas_connection: the name of the Airflow Connection of NGAS, for sentences.
        lock_seconds: how long to wait for another ingest into the same project.
    """

    def __init__(self, statements: ArchiveStatements, *, ngas_connection: str, lock_seconds: float) -> None:
        self._statements = statements
        self._ngas_connection = ngas_connection
        self._lock_seconds = lock_seconds

    def one_ingest_at_a_time(self, cursor: Cursor, metadata: ResultMetadata) -> None:
        """Lock the project of a result for this transaction; wait for another ingest into it, but not for long."""
        self.limit_waiting(cursor)
        found = self._statements.rows(
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
            self._statements.rows(cursor, "lock_project", project_code=project)
        except psycopg.errors.LockNotAvailable:
            raise ProjectIsBusy(
                f"Another ingest into the project {quoted(project)} has been at work in the archive for more than "
                f"{self._lock_seconds:.0f} s: wait and try again; if it does not end, ask the archive's operators."
            ) from None

    def committed(self, cursor: Cursor, wanted: ResultLocator) -> CommittedResult | None:
        """Return what the archive has of a result, files included; None if it has none."""
        kind = kind_of_result(wanted)
        found = self._statements.rows(cursor, f"{kind}_by_locator", locator=wanted)
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
                for file in self._statements.rows(cursor, f"files_of_{kind}", locator=wanted)
            ),
            casa_version=row["casa_version"],
            pipeline_version=row["pipeline_version"],
            qa_notes=row["qa_notes"],
            ingested_at=row["ingested_at"],
            images=tuple(
                image["relative_path"]
                for image in (
                    self._statements.rows(cursor, "images_of_image_set", locator=wanted) if kind == IMAGE_SET else ()
                )
            ),
        )

    def insert(self, cursor: Cursor, metadata: ResultMetadata) -> None:
        """Write everything about a result that is not there."""
        server = self._ngas_server(cursor, metadata.ngas_server) if metadata.files else None
        (group,) = self._statements.rows(cursor, "file_group_insert")
        group_id = group["file_group_id"]
        try:
            self._statements.rows(
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
                f"What is to be {named(metadata.locator)} came into the archive in this moment: try again."
            ) from None
        for file in metadata.files:
            with _taken_already(file.ngas_file_id, file.version, metadata.locator):
                self._statements.rows(
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
            self._statements.rows(cursor, "image_insert", image_set_locator=metadata.locator, **values)
        for former in metadata.former_locators:
            self._statements.rows(cursor, f"{kind_of_result(former)}_delete_without_files", locator=former)
        self.record_srdp_state(cursor, metadata.locator, metadata.pipeline_run_id, metadata.verdict)
        if metadata.status is not None:
            self.set_status(cursor, metadata.belongs_to, metadata.status)

    def record_srdp_state(
        self, cursor: Cursor, result: ResultLocator, run_id: PipelineRunId, verdict: QaVerdict
    ) -> None:
        """Write the SRDP verdict on a result, unless the settings leave that out."""
        self._statements.rows(
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

    def limit_waiting(self, cursor: Cursor) -> None:
        """Limit for how long this transaction waits for another, and may be silent."""
        self._statements.rows(
            cursor,
            "limit_waiting",
            longest_wait=_milliseconds(self._lock_seconds),
            longest_silence=_milliseconds(_LONGEST_SILENCE_SECONDS),
        )

    def set_status(self, cursor: Cursor, block: str, status: str) -> None:
        """Set the status of an execution block."""
        if not self._statements.rows(cursor, "set_calibration_status", locator=block, status=status):
            raise unknown_block(block)

    def _ngas_server(self, cursor: Cursor, address: str | None) -> str:
        found = self._statements.rows(cursor, "ngas_server_by_address", address=address)
        if not found:
            raise SettingsError(
                f"The archive knows no NGAS server with the address {quoted(address)}: set host and port of the "
                f"Airflow Connection {self._ngas_connection} as the archive has them, or have the server added to it."
            )
        name: str = found[0]["name"]
        return name


@contextmanager
def _taken_already(ngas_file_id: str, version: int, result: ResultLocator) -> Iterator[None]:
    try:
        yield
    except psycopg.errors.UniqueViolation:
        raise IntegrityError(
            f"The archive has {quoted(ngas_file_id)} version {version}, or a file of its name, already, and not for "
            f"{named(result)}: ask its operators who wrote it; nothing was changed."
        ) from None


def unknown_result(result: ResultLocator) -> InvalidInput:
    """Return the error that the archive does not have a result."""
    return InvalidInput(f"The archive has no {_words(result)} {result}: see whether its ingest was finished.")


def named(result: ResultLocator) -> str:
    """Return what a result is called in a sentence."""
    return f"the {_words(result)} {result}"


def _words(result: ResultLocator) -> str:
    return kind_of_result(result).replace("_", " ")


def unknown_block(block: str) -> InvalidInput:
    """Return the error that the archive does not have an execution block."""
    return InvalidInput(
        f"The archive has no execution block {block}: see whether it was ingested, and under which locator."
    )


def _milliseconds(seconds: float) -> str:
    return str(max(1, round(seconds * 1000)))
