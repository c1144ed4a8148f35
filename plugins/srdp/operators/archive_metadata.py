"""Telling the archive's database about a calibration or an image set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from srdp.domain.runs.states import RunState
from srdp.operators.ingest_step import IngestStepOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from srdp.services.ingesting.context import IngestContext


class WriteArchiveMetadataOperator(IngestStepOperator):
    """Writes a result's metadata into the archive in one transaction, when NGAS has just proved its files again.

    The archive is committed first and the ledger updated afterwards; repeated, the step finds what was written before.
    For a run that is archived already it brings the archive's verdict to the ledger's, if that was changed.

    Args:
        pipeline_run_id: the run (templated).

    Note:
        With the setting ``ngas_ingest`` off it has no files and an execution block's status stays.
    """

    def run_step(self, context: Context) -> None:
        """Write the metadata, or a changed verdict."""
        from srdp.services.ingesting.archive_metadata import commit_metadata, write_changed_verdict

        work = self.ingest_context(context)
        if work.run.state is RunState.ARCHIVED:
            write_changed_verdict(work)
        elif not work.done:
            self.ingest_step(work)
            commit_metadata(lambda: self.ingest_context(context))

    def ingest_step(self, work: IngestContext) -> None:
        """Prove that NGAS has the files and that the archive can be reached, and say that it will be written."""
        from srdp.services.ingesting.archive_metadata import begin_metadata

        begin_metadata(work)
