"""The files that a run is made from: its raw data, its PPR and the analyst's files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from srdp.domain.runs.identifiers import PipelineRunId
from srdp.domain.runs.ledger_records import FetchedFile, SubmittedFile
from srdp.hooks.ledger.database import Repository, Transaction
from srdp.hooks.postgres import postgres_safe


class SubmittedFiles(Repository):
    """The PPR and the analyst's files of runs, byte for byte."""

    def record(self, run_id: PipelineRunId, file: SubmittedFile) -> None:
        """Record a file that CASA is given, byte for byte; one of the same name is replaced.

        Args:
            run_id: the run.
            file: the file.
        """
        self._database.change_run(run_id, lambda transaction: insert_submitted_file(transaction, run_id, file))

    def of_run(self, run_id: PipelineRunId) -> dict[str, SubmittedFile]:
        """Return the files that a run was given, its PPR among them, by name."""
        found = self._database.rows("submitted_files_of_run", pipeline_run_id=run_id)
        return {row["name"]: SubmittedFile(**row | {"content": bytes(row["content"])}) for row in found}


class FetchedFiles(Repository):
    """The raw data of runs, as they were proved."""

    def record(self, run_id: PipelineRunId, rows: Iterable[FetchedFile]) -> None:
        """Record the raw data of a run as they were proved; a file recorded before is replaced.

        Args:
            run_id: the run.
            rows: its files.
        """
        stored = [postgres_safe({"pipeline_run_id": run_id, **asdict(row)}) for row in rows]

        self._database.change_run(
            run_id, lambda transaction: transaction.change_each("fetched_file_upsert", stored) if stored else None
        )

    def of_run(self, run_id: PipelineRunId) -> list[FetchedFile]:
        """Return the raw data of a run, by path."""
        rows = self._database.rows("fetched_files_of_run", pipeline_run_id=run_id)
        return [FetchedFile(**row) for row in rows]


def insert_submitted_file(transaction: Transaction, run_id: PipelineRunId, file: SubmittedFile) -> None:
    """Record a file that CASA is given, within a transaction; see :meth:`SubmittedFiles.record`."""
    transaction.change(
        "submitted_file_upsert",
        pipeline_run_id=run_id,
        name=file.name,
        source=postgres_safe(file.source),
        sha256=file.sha256,
        content=file.content,
    )


def has_submitted_file(transaction: Transaction, run_id: PipelineRunId, file: SubmittedFile) -> bool:
    """Return whether a file is recorded with these bytes, within a transaction."""
    found = transaction.rows("submitted_files_of_run", pipeline_run_id=run_id)
    return any((row["name"], bytes(row["content"])) == (file.name, file.content) for row in found)
