"""What is left to do when a run is archived: its measurement set is kept for users, its directory goes back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from srdp.links.run_files import RUN_FILES_LINKS
from srdp.operators.base import BYTES, PipelineRunOperator, origin_of

if TYPE_CHECKING:
    from airflow.sdk import Context


class KeepProductsOperator(PipelineRunOperator):
    """Moves the measurement set into the cache, and the directory, and those it superseded, to the processing area.

    Of images, no measurement set is kept. Where it goes was decided when the run became archived; the archive is
    updated when it is there. The tar in the spool area, which NGAS has now, is removed. A run that is being cleaned up
    is left alone.

    Args:
        pipeline_run_id: the run (templated).
    """

    work_queue = BYTES
    operator_extra_links = RUN_FILES_LINKS

    def run_step(self, context: Context) -> None:
        """Keep and move.

        Raises:
            Refused: the run is not archived.
            SrdpError: a directory could not be moved; the others are.
        """
        from srdp.services.ingesting.context import ingest_context
        from srdp.services.ingesting.keep_products import keep_products

        keep_products(ingest_context(self.pipeline_run_id, origin_of(context).dag_run))
