"""Telling the data analysts that a run has begun."""

from __future__ import annotations

from typing import TYPE_CHECKING

from srdp.operators.base import PipelineRunOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class AnnounceStartOperator(PipelineRunOperator):
    """Lets a run begin to fetch, and mails that it has begun.

    The state and the mail are one transaction; a mail server that is down delays the mail and never fails the run.

    Args:
        pipeline_run_id: the run (templated).
    """

    def run_step(self, context: Context) -> None:  # noqa: ARG002
        """Queue the mail with the change of state, and send what is queued for this run."""
        from srdp.services.context import run_context
        from srdp.services.processing.begin import begin

        self.log.info("%s", begin(run_context(self.pipeline_run_id)))
