"""Writing what CASA is given: the PPR of a run, and the files of an analyst."""

from __future__ import annotations

from typing import TYPE_CHECKING

from srdp.operators.base import PipelineRunOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class WriteProcessingRequestOperator(PipelineRunOperator):
    """Writes the PPR and the analyst's files of a run into ``working/``, as they were given, byte for byte.

    What the run was given is in the ledger since it was opened. A run that was given no PPR has it written from its
    recipe, and put into the ledger too. All is linted, and the SHA-256 of the PPR recorded, which CASA is started with.

    What is in ``working/`` already is never written again. Before CASA is started only this step and people write
    there, so that a file with other bytes than the ledger's is a person's edit of this run: it stays, is linted like
    what was given, and takes its place in the ledger, with an event that has both checksums. So it is with a file that
    somebody added. Refusing it instead would ask the person to undo the edit and to make a run for it. Once CASA may
    have read the files, and may have written some of them, nothing is written, linted or recorded: an edit then is
    found by comparing checksums, and fails the run.

    Args:
        pipeline_run_id: the run (templated).
    """

    def run_step(self, context: Context) -> str:  # noqa: ARG002
        """Write the files; return the SHA-256 of the PPR in hexadecimal."""
        from srdp.services.context import processing_context
        from srdp.services.processing.processing_request import write_processing_request

        return write_processing_request(processing_context(self.pipeline_run_id, "No PPR is written"))
