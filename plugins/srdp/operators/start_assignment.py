"""Starting the question who reviews a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from srdp.domain.runs.assignment import question_dag_run_id
from srdp.operators.base import PipelineRunOperator, origin_of
from srdp.operators.dag_runs import start_dag_run

if TYPE_CHECKING:
    from airflow.sdk import Context


class StartAssignmentOperator(PipelineRunOperator):
    """Starts the DAG run that asks who reviews a run; its id is known before, see ``question_dag_run_id``.

    A rerun stays with who had the version that it repeats, and nobody is asked, as long as the settings name that data
    analyst. Repeated, it finds the DAG run or the assignment there. Lost, the DAG run is started again by the
    reconciling DAG.

    Args:
        pipeline_run_id: the run (templated).
    """

    needs_areas = False

    def run_step(self, context: Context) -> None:
        """Start it, or assign the run; do nothing if the run does not await its verdict any more.

        Raises:
            ServiceUnavailable: Airflow did not take it.
        """
        from srdp.services.assignment.assign import assign_dag, keep_reviewer
        from srdp.services.context import run_context

        run = run_context(self.pipeline_run_id)
        if keep_reviewer(run, origin_of(context)):
            return
        conf = {"pipeline_run_id": run.run_id}
        is_new = start_dag_run(assign_dag(run.run), question_dag_run_id(run.run_id), conf)
        self.log.info("The assignment of %s %s", run.run_id, "is asked for" if is_new else "was asked for")
