"""Letting a run begin to fetch."""

from __future__ import annotations

from srdp.domain.events.names import EventName
from srdp.domain.runs.states import RunState
from srdp.notifications.outbox import OutboxReport, send_due_mails
from srdp.notifications.run_mails import run_has_begun
from srdp.services.context import RunContext


def begin(context: RunContext) -> OutboxReport:
    """Let a run begin to fetch, and mail that it has begun; may be repeated.

    State and mail are one transaction.

    Args:
        context: the run.

    Returns:
        What became of the queued mails about the run.
    """
    ledger, run = context.ledger, context.run
    if run.state is RunState.CREATED:
        mail = run_has_begun(context.settings, run, ledger.events.of_run(run.pipeline_run_id))
        ledger.runs.transition(run.pipeline_run_id, RunState.FETCHING, event=EventName.BEGUN, mails=[mail])
    return send_due_mails(ledger, context.settings, pipeline_run_id=run.pipeline_run_id)
