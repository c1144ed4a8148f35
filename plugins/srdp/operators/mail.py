"""Sending what the ledger has queued."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from srdp.operators.base import SrdpOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class SendQueuedMailsOperator(SrdpOperator):
    """Sends the queued mails that are due.

    The mails themselves were queued by the transaction that set the state they report. A mail server that is down or
    refuses never fails a run: the mail is delayed, and tried again every minute and then less often, up to ten
    minutes, until the server takes it. A recipient whom it refuses for good is given up, and the log has an error.
    Only the task that sends all mails fails while the server is away for more than ten minutes: the DAG, on which
    no run depends, becomes red, and is green again when the server answers.

    Args:
        pipeline_run_id: only mails about this run (templated); None for all.
    """

    needs_areas = False
    template_fields: Sequence[str] = ("pipeline_run_id",)

    def __init__(self, *, pipeline_run_id: str | None = None, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self.pipeline_run_id = pipeline_run_id

    def run_step(self, context: Context) -> None:  # noqa: ARG002
        """Drain the outbox and log what was done.

        Raises:
            SrdpError: the mail server is away for too long, and all mails were to be sent.
        """
        from srdp.services.context import site_context
        from srdp.services.outboxes import send_mails

        self.log.info("%s", send_mails(site_context(), self.pipeline_run_id))
