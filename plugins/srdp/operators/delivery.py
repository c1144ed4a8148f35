"""Delivering a run's directory to the QA area."""

from __future__ import annotations

from typing import TYPE_CHECKING

from srdp.links.run_files import RUN_FILES_LINKS
from srdp.operators.base import BYTES, PipelineRunOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class DeliverToQaAreaOperator(PipelineRunOperator):
    """Moves a run's directory to the QA area under the identical name, and lets the run await its verdict.

    The state and the mail about it are one transaction of the ledger, made after the move; repeated after a
    kill, the task finishes what was begun.

    Args:
        pipeline_run_id: the run (templated).
    """

    work_queue = BYTES
    operator_extra_links = RUN_FILES_LINKS

    def run_step(self, context: Context) -> str:  # noqa: ARG002
        """Deliver the run; return the path of its directory in the QA area."""
        from srdp.services.context import run_context
        from srdp.services.processing.deliver import deliver

        run = run_context(self.pipeline_run_id)
        directory = deliver(run)
        self.log.info("%s awaits its verdict in %s", run.run_id, directory.root)
        return str(directory.root)
