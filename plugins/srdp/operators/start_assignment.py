"""Starting the question who reviews a run."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from srdp.domain.common.errors import InvalidInput
from srdp.domain.runs.states import RunState
from srdp.families import family_of
from srdp.operators.base import PipelineRunOperator
from srdp.operators.dag_runs import start_dag_run

if TYPE_CHECKING:
    from airflow.sdk import Context

    from srdp.domain.runs.ledger_records import PipelineRun


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
        from srdp.domain.runs.assignment import question_dag_run_id
        from srdp.domain.runs.identifiers import pipeline_run_id
        from srdp.hooks.assignment_ledger import AssignmentLedger
        from srdp.notifications.about_run import kept_reviewer
        from srdp.notifications.imaging_mails import assignment_mails
        from srdp.settings import load_settings

        settings = load_settings()
        ledger = AssignmentLedger(settings)
        run = ledger.run(pipeline_run_id(self.pipeline_run_id))
        if run.state is not RunState.AWAITING_QA:
            self.log.info("%s is %s: nobody is asked who reviews it", run.pipeline_run_id, run.state)
            return
        before = kept_reviewer(settings, ledger, run)
        if before is not None and not ledger.assignments_of_run(run.pipeline_run_id):
            dag_run = context["dag_run"]
            ledger.assign(
                run.pipeline_run_id,
                before.data_analyst,
                assigned_by=f"{before.assigned_by}, with {before.pipeline_run_id}, which it repeats",
                answer=f"with {before.pipeline_run_id}",
                dag_id=dag_run.dag_id,
                dag_run_id=dag_run.run_id,
                mails=partial(assignment_mails, settings, run),
            )
        if before is not None:
            self.log.info(
                "%s stays with %s, who has %s", run.pipeline_run_id, before.data_analyst, before.pipeline_run_id
            )
            return
        conf = {"pipeline_run_id": run.pipeline_run_id}
        is_new = start_dag_run(assign_dag(run), question_dag_run_id(run.pipeline_run_id), conf)
        self.log.info("The assignment of %s %s", run.pipeline_run_id, "is asked for" if is_new else "was asked for")


def assign_dag(run: PipelineRun) -> str:
    """Return the DAG that asks who reviews a run.

    Args:
        run: the run.

    Raises:
        InvalidInput: runs of its kind are not assigned.
    """
    family = family_of(run.kind)
    if family.assign_dag is None:
        raise InvalidInput(
            f"{run.pipeline_run_id} is a {family.label} {family.action}: those are not assigned, every data analyst "
            "may give the verdict."
        )
    return family.assign_dag
