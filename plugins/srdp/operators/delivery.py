"""Delivering a run's directory to the QA area."""

from __future__ import annotations

from typing import TYPE_CHECKING

from srdp.links.run_files import RUN_FILES_LINKS
from srdp.operators.base import BYTES, PipelineRunOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class DeliverToQaAreaOperator(PipelineRunOperator):
    """Moves a run's directory to the QA area under the identical name, and lets the run await its verdict.

    The state and the mail that tells of it are one transaction of the ledger, made after the move; repeated after a
    kill, the task finishes what was begun.

    Args:
        pipeline_run_id: the run (templated).
    """

    work_queue = BYTES
    operator_extra_links = RUN_FILES_LINKS

    def run_step(self, context: Context) -> str:  # noqa: ARG002
        """Delivers the run; returns the path of its directory in the QA area."""
        from srdp.domain.common.errors import Refused
        from srdp.domain.disk.delivery import move_run_directory
        from srdp.domain.runs.identifiers import pipeline_run_id
        from srdp.domain.runs.pipeline_run import processing_directory, qa_directory
        from srdp.domain.runs.states import RunState, check_transition
        from srdp.hooks.ledger import LedgerHook
        from srdp.notifications.run_mails import ready_for_review
        from srdp.settings import load_settings

        settings = load_settings()
        ledger = LedgerHook(settings)
        run = ledger.run(pipeline_run_id(self.pipeline_run_id))
        target = qa_directory(settings.areas, run.pipeline_run_id)
        if run.state != RunState.AWAITING_QA:
            check_transition(run.pipeline_run_id, run.state, RunState.AWAITING_QA)
            # The step before may have been marked successful by hand; what is delivered was proved.
            judged = [event for event in ledger.events(run.pipeline_run_id) if event.event == "judged"]
            if not (judged and judged[-1].details.get("proved")):
                raise Refused(
                    f"{run.pipeline_run_id} is not delivered: its outcome has not been proved, because the step that "
                    "judges it was marked successful by hand; trigger a new run."
                )
            move_run_directory(processing_directory(settings.areas, run.pipeline_run_id), target, run.marker)
            ledger.transition(
                run.pipeline_run_id,
                RunState.AWAITING_QA,
                event="delivered",
                details={"directory": str(target.root)},
                mails=[ready_for_review(settings, ledger, run, target)],
            )
        self.log.info("%s awaits its verdict in %s", run.pipeline_run_id, target.root)
        return str(target.root)
