"""Sending what the ledger has queued."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from srdp.operators.base import SrdpOperator

# Shorter is a restart, of which nobody need be told.
_AWAY_FOR_TOO_LONG = timedelta(minutes=10)

if TYPE_CHECKING:
    from airflow.sdk import Context


class SendQueuedMailsOperator(SrdpOperator):
    """Sends the queued mails that are due.

    The mails themselves were queued by the transaction that set the state they tell of. A mail server that is down or
    refuses never fails a run: the mail is delayed, and tried again every minute and then less often, up to ten
    minutes, until the server takes it. A recipient whom it refuses for good is given up, and the log has an error.
    Only the task that sends all mails fails while the server is away for more than ten minutes: the DAG that nobody's
    run depends on becomes red, and is green again when the server answers.

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
        from srdp.domain.common.errors import SrdpError
        from srdp.domain.runs.identifiers import pipeline_run_id
        from srdp.hooks.heartbeat import MAILS, beat
        from srdp.hooks.ledger import LedgerHook
        from srdp.notifications.outbox import send_due_mails
        from srdp.settings import load_settings

        settings = load_settings()
        run_id = None if self.pipeline_run_id is None else pipeline_run_id(self.pipeline_run_id)
        report = send_due_mails(LedgerHook(settings), settings, pipeline_run_id=run_id)
        self.log.info("%s", report)
        if run_id is None:
            beat(settings, MAILS)
        if run_id is None and report.away is not None and report.away.lasts > _AWAY_FOR_TOO_LONG:
            raise SrdpError(str(report.away))
