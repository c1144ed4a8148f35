"""Telling that a DAG run opened no pipeline run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from srdp.notifications.outbox import send_due_mails
from srdp.notifications.run_mails import run_not_started
from srdp.services.context import Origin, SiteContext

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class NotOpened:
    """What is told of it.

    Attributes:
        subject: what the run was to be started with; empty if the form does not say it.
        asked: who asked for it and where that person can be notified, as far as the form says it.
        dag_name: what people call the DAG.
        step: the task that opened none, as the grid calls it.
        cause: why.
    """

    subject: str
    asked: Sequence[str]
    dag_name: str
    step: str
    cause: str


def report_that_nothing_was_opened(site: SiteContext, origin: Origin, not_opened: NotOpened) -> None:
    """Queue and send the mail that a DAG run opened no pipeline run, to the analysts and to who asked.

    Args:
        site: settings and ledger.
        origin: the DAG run.
        not_opened: what is told of it.
    """
    mail = run_not_started(
        site.settings,
        subject=not_opened.subject,
        started_by=origin.requested_by,
        asked=list(not_opened.asked),
        dag_id=origin.dag_id,
        dag_name=not_opened.dag_name,
        dag_run_id=origin.dag_run_id,
        step=not_opened.step,
        cause=not_opened.cause,
    )
    site.ledger.outbox.queue_mail_without_run(origin.dag_id, origin.dag_run_id, mail)
    log.info("%s", send_due_mails(site.ledger, site.settings))
