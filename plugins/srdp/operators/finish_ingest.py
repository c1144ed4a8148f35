"""The end of an ingest: the run is archived, and everything that follows from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from srdp.operators.ingest_step import IngestStepOperator

if TYPE_CHECKING:
    from srdp.services.ingesting.context import IngestContext


class FinishIngestOperator(IngestStepOperator):
    """Makes a run archived: its state, the mail, the request to index the project, and on a pass its siblings' end.

    All of that is one transaction of the ledger, after the archive has the metadata. Where the measurement set is to be
    kept, and until when, is decided here; it is put there by the step that follows.

    Args:
        pipeline_run_id: the run (templated).
    """

    def ingest_step(self, work: IngestContext) -> None:
        """Finish the ingest."""
        from srdp.services.ingesting.finish import finish_ingest

        superseded = finish_ingest(work)
        self.log.info("%s is archived.", work.run_id)
        for sibling in superseded:
            self.log.info("%s is superseded.", sibling)
