"""Cleaning up a run that nobody needs on disk any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from srdp.operators.base import BYTES, PipelineRunOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class CleanUpRunOperator(PipelineRunOperator):
    """Deletes a run's directories, wherever they are: of an archived run only if the archive has it at this moment.

    Runs that failed QA or were superseded are deleted without a proof: they were discarded by a decision. A run that
    was cleaned up before is left as it is, and one whose cleanup was interrupted is finished.

    Args:
        pipeline_run_id: the run (templated).
    """

    work_queue = BYTES

    def run_step(self, context: Context) -> None:
        """Clean up.

        Raises:
            NotInArchive: the archive does not prove that it has the run; nothing was deleted, and the log says why.
            NotAllRemoved: something could not be deleted.
            Refused: the run's state does not allow it, its directory is not what was archived, or it is of the other
                family.
        """
        from srdp.services.context import run_context
        from srdp.services.removal.cleanup import clean_up

        clean_up(run_context(self.pipeline_run_id), context["dag_run"].dag_id)
