"""The end of an ingest that failed: recorded and reported by mail, unless the archive has the calibration."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from srdp.domain.common.errors import Refused, ServiceUnavailable
from srdp.domain.events.names import EventName
from srdp.domain.events.payloads import IngestFailed
from srdp.domain.runs.ledger_records import PipelineRun
from srdp.domain.runs.states import RunState
from srdp.domain.runs.steps import NO_CAUSE, StepFailure
from srdp.families import result_locator
from srdp.hooks.archive import ArchiveHook
from srdp.hooks.metrics import send_failure
from srdp.notifications.verdict_mails import ingest_failed, ingest_unfinished
from srdp.services.context import RunContext
from srdp.services.ingesting.archive_metadata import metadata_begun
from srdp.services.ingesting.context import IngestContext, with_ingest
from srdp.services.ingesting.finish import finish_ingest


def report_ingest_failure(
    context: RunContext,
    failure: StepFailure,
    *,
    dag_run: tuple[str, str],
    report_if_archived: bool = False,
) -> PipelineRun:
    """Say that an ingest failed, or finish it if the archive has the metadata; may be repeated.

    Args:
        context: the run.
        failure: which step failed, and why.
        dag_run: the DAG's id and the DAG run id of what failed; what another DAG run does is not touched.
        report_if_archived: whether a mail reports the failure although the run was archived before.

    Returns:
        The run as it is now.

    Raises:
        ServiceUnavailable: it cannot be found out whether the archive has the metadata. A mail says so.
    """
    context = context.read_again()
    ingest = context.ledger.ingests.in_force(context.run_id)
    if ingest is None:
        return context.run
    work = with_ingest(context, ingest)
    if work.run.state is RunState.INGESTING and (ingest.dag_id, ingest.dag_run_id) == dag_run:
        _end_ingest(work, failure)
        work = work.read_again()
        report_if_archived = True
    if work.run.state is RunState.ARCHIVED and report_if_archived:
        _report_unfinished(work, failure, dag_run_id=dag_run[1], is_archived=True)
    return work.run


def archive_has_metadata(work: IngestContext) -> bool:
    """Whether the archive has the metadata of an ingest; if it has, the ledger knows it afterwards.

    Raises:
        ServiceUnavailable: the archive may have been written, and cannot be asked.
    """
    ingest = work.ingest
    if ingest.committed_at is not None:
        return True
    if not metadata_begun(work):
        return False
    if ArchiveHook(work.settings).committed(result_locator(work.run.pipeline_run_id, ingest.number)) is None:
        return False
    work.ledger.archived_files.mark_committed(ingest)
    return True


def _end_ingest(work: IngestContext, failure: StepFailure) -> None:

    ledger, run = work.ledger, work.run
    cause = failure.cause or NO_CAUSE
    try:
        has_metadata = archive_has_metadata(work)
    except ServiceUnavailable:
        _report_unfinished(work, failure, dag_run_id=work.ingest.dag_run_id, is_archived=False)
        raise
    if has_metadata:
        ingest = ledger.ingests.in_force(run.pipeline_run_id)
        finish_ingest(replace(work, ingest=ingest or work.ingest))
        return
    mail = ingest_failed(work.settings, run, work.ingest, step=failure.step, cause=cause)
    # Refused: somebody else was faster since the run was read; what became of it has been reported.
    with suppress(Refused):
        ledger.runs.transition(
            run.pipeline_run_id,
            RunState.INGEST_FAILED,
            event=EventName.INGEST_FAILED,
            details=IngestFailed(step=failure.step, sentence=cause, number=work.ingest.number),
            mails=[mail],
            failure=cause,
        )
        send_failure(run.pipeline_run_id, failure.task_id)


def _report_unfinished(work: IngestContext, failure: StepFailure, *, dag_run_id: str, is_archived: bool) -> None:
    mail = ingest_unfinished(
        work.settings,
        work.run,
        work.ingest,
        dag_run_id=dag_run_id,
        step=failure.step,
        cause=failure.cause or NO_CAUSE,
        is_archived=is_archived,
    )
    work.ledger.outbox.queue_follow_up(work.run_id, mails=[mail])
