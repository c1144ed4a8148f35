"""Writing the verdict into the weblog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from srdp.operators.ingest_step import IngestStepOperator

if TYPE_CHECKING:
    from srdp.services.ingesting.context import IngestContext


class WriteQaNotesOperator(IngestStepOperator):
    """Writes the verdict into the weblog's ``qa_notes.html`` and makes the weblog's tar in ``products/`` again.

    The notes hold the time of the claim, so that they are the same in every try, and so is the tar. What may have been
    sent to NGAS already and still is there is not made again. Where the family wants it so, the analyst's report is
    put beside the notes as a file, to which they have a link.

    Args:
        pipeline_run_id: the run (templated).
    """

    def ingest_step(self, work: IngestContext) -> None:
        """Write notes and tar."""
        from srdp.services.ingesting.qa_notes import write_notes

        write_notes(work)
