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
        """Queues the mail with the change of state, and sends what is queued for this run."""
        from srdp.domain.runs.identifiers import pipeline_run_id
        from srdp.domain.runs.states import RunState
        from srdp.hooks.ledger import LedgerHook
        from srdp.notifications.outbox import send_due_mails
        from srdp.notifications.run_mails import run_has_begun
        from srdp.settings import load_settings

        settings = load_settings()
        ledger = LedgerHook(settings)
        run = ledger.run(pipeline_run_id(self.pipeline_run_id))
        if run.state == RunState.CREATED:
            mail = run_has_begun(settings, run, ledger.events(run.pipeline_run_id))
            ledger.transition(run.pipeline_run_id, RunState.FETCHING, event="begun", mails=[mail])
        report = send_due_mails(ledger, settings, pipeline_run_id=run.pipeline_run_id)
        self.log.info("%s", report)
