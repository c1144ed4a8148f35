"""Sending what the ledger has queued: mails, and requests that the archive indexes a project again."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Final

from srdp.domain.common.errors import SrdpError
from srdp.domain.runs.identifiers import pipeline_run_id
from srdp.hooks.heartbeat import MAILS, beat
from srdp.hooks.reindex import ReindexDrain, ReindexHook
from srdp.notifications.outbox import OutboxReport, send_due_mails
from srdp.notifications.verdict_mails import reindex_not_taken
from srdp.services.context import SiteContext

log = logging.getLogger(__name__)

# Shorter is a restart, which needs no mail.
_AWAY_FOR_TOO_LONG: Final = timedelta(minutes=10)
# With the ledger's waits between them, more than two hours.
_REPORTED_AFTER: Final = 20


def send_mails(site: SiteContext, run_id: str | None) -> OutboxReport:
    """Send the queued mails that are due.

    Args:
        site: settings and ledger.
        run_id: only mails about this run, as somebody wrote its ID; None for all.

    Returns:
        What became of them.

    Raises:
        SrdpError: the mail server is away for too long, and all mails were to be sent.
    """
    wanted = None if run_id is None else pipeline_run_id(run_id)
    report = send_due_mails(site.ledger, site.settings, pipeline_run_id=wanted)
    if wanted is None:
        beat(site.settings, MAILS)
        if report.away is not None and report.away.lasts > _AWAY_FOR_TOO_LONG:
            log.info("%s", report)
            raise SrdpError(str(report.away))
    return report


def send_reindex_requests(site: SiteContext, run_id: str | None) -> None:
    """Ask the archive to index again every project of which something was archived, where that is due.

    Args:
        site: settings and ledger.
        run_id: only requests of this run, as somebody wrote its ID; None for all.

    Raises:
        ServiceUnavailable: the ledger cannot be reached.
    """
    settings, ledger = site.settings, site.ledger
    hook = ReindexHook(settings)
    if not hook.is_on:
        log.info("SRDP_REINDEX is off: the archive is not asked.")
        return
    wanted = None if run_id is None else pipeline_run_id(run_id)
    drain = ReindexDrain(hook)
    asked = delayed = 0
    while not drain.away and (tried := ledger.outbox.deliver_next_reindex(drain.send, run_id=wanted)) is not None:
        request, error = tried
        asked, delayed = asked + (error is None), delayed + (error is not None)
        if error is not None and (drain.refused or request.attempts + 1 >= _REPORTED_AFTER):
            # Said at each try and queued once: a kill in between loses nothing.
            mail = reindex_not_taken(
                settings, ledger.runs.get(request.pipeline_run_id), request, cause=error, for_all=drain.away
            )
            ledger.outbox.report_reindex(request, mail, cause=error, for_all=drain.away)
    log.info("%d request(s) taken by the archive, %d delayed and made again by itself", asked, delayed)
