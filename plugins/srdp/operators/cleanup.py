"""Cleaning up a run that nobody needs on disk any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from srdp.domain.common.errors import Refused
from srdp.domain.runs.states import RunState, remedy_for
from srdp.operators.base import BYTES, PipelineRunOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

#: Kept until somebody decides, or until they expire: their raw data serve a rerun.
_NOT_DECIDED = frozenset({RunState.FAILED, RunState.CANCELLED})


class CleanUpRunOperator(PipelineRunOperator):
    """Deletes a run's directories, wherever they lie: of an archived run only if the archive has it at this moment.

    Runs that failed QA or were superseded are deleted without a proof: they were thrown away by a decision. A run that
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
        from srdp.domain.runs.identifiers import pipeline_run_id
        from srdp.families import family_of
        from srdp.hooks.verdict_ledger import VerdictLedger
        from srdp.operators.ingest_step import check_family
        from srdp.operators.remove_run import remove_run
        from srdp.settings import load_settings

        settings = load_settings()
        ledger = VerdictLedger(settings)
        run = ledger.run(pipeline_run_id(self.pipeline_run_id))
        check_family(run.pipeline_run_id, family_of(run.kind).cleanup_dag, context["dag_run"].dag_id)
        if run.state is RunState.CLEANED:
            self.log.info("%s was cleaned up before: there is nothing to do.", run.pipeline_run_id)
            return
        if run.state in _NOT_DECIDED:
            raise Refused(
                f"Pipeline run {run.pipeline_run_id} is {run.state} and is not cleaned up: {remedy_for(run.state)}. "
                "Otherwise it goes by itself when it expires."
            )
        remove_run(settings, ledger, run)
