"""Taking back a verdict whose ingest failed."""

from __future__ import annotations

import logging

from srdp.domain.runs.qa_failure import withdrawal_reason
from srdp.domain.runs.states import RunState
from srdp.notifications.verdict_mails import verdict_withdrawn
from srdp.services.context import Origin, RunContext, check_dag
from srdp.services.ingesting.context import with_ingest
from srdp.services.ingesting.failure import archive_has_metadata

log = logging.getLogger(__name__)


def withdraw_verdict(context: RunContext, origin: Origin, why: str) -> None:
    """Let a run whose ingest failed await its verdict again, and say what may be in NGAS without belonging to it.

    Args:
        context: the run.
        origin: who withdraws it.
        why: why, in a person's words.

    Raises:
        InvalidInput: there is no reason.
        Refused: the run's state does not allow it, the archive has its metadata, or the DAG is for another family.
        ServiceUnavailable: the archive or the ledger cannot be reached.
    """
    settings, ledger, run = context.settings, context.ledger, context.run
    check_dag(context.run_id, context.family.withdraw_dag, origin.dag_id)
    reason, by = withdrawal_reason(why), origin.requested_by
    ingest = ledger.ingests.in_force(run.pipeline_run_id)
    if ingest is None and run.state is RunState.AWAITING_QA:
        # Done by this task before it was killed, or by somebody else: there is no verdict either way.
        log.info("%s awaits its verdict; there is none to withdraw.", run.pipeline_run_id)
        return
    mails = []
    if ingest is not None and run.state is RunState.INGEST_FAILED:
        # The ledger refuses what the archive has; it may not have been updated.
        archive_has_metadata(with_ingest(context, ingest))
        sent = [file for file in ledger.archived_files.of_ingest(ingest) if file.sent_at is not None]
        mails = [verdict_withdrawn(settings, run, ingest, by=by, reason=reason, orphans=sent)]
    orphans = ledger.verdicts.withdraw(run.pipeline_run_id, by=by, reason=reason, mails=mails)
    for file in orphans:
        log.warning("%s may be in NGAS without belonging to anything.", file.ngas_file_id)
    log.info("%s awaits its verdict again.", run.pipeline_run_id)
