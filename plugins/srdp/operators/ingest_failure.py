"""The end of an ingest that failed: said of the run, and in a mail, unless the archive has the calibration."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from srdp.domain.common.errors import InvalidInput, Refused, ServiceUnavailable
from srdp.domain.runs.states import RunState
from srdp.operators.failure import NO_CAUSE, RunFailed, StepFailure, failure_of
from srdp.operators.retrying import tried

if TYPE_CHECKING:
    from airflow.sdk import Context

    from srdp.domain.runs.ledger_records import Ingest, PipelineRun
    from srdp.hooks.verdict_ledger import VerdictLedger
    from srdp.operators.ingest_step import IngestWork
    from srdp.settings import Settings


class ReportIngestFailureOperator(BaseOperator):
    """Sets the state of a run whose ingest failed and queues the mail about it; then fails: the DAG run is to be red.

    Give it the trigger rule ``one_failed``. A verdict that was refused before it was claimed changed nothing: then this
    only says again why. An ingest of which the archive has the metadata is never called failed: it is finished, and a
    mail tells of the step.

    Args:
        pipeline_run_id: the run (templated).
        claimed_by: the task that claims the ingest; if that one failed, a run that is archived is left alone.
    """

    template_fields: Sequence[str] = ("pipeline_run_id",)

    def __init__(self, *, pipeline_run_id: str, claimed_by: str, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self.pipeline_run_id = pipeline_run_id
        self.claimed_by = claimed_by

    def execute(self, context: Context) -> None:
        """Report; always ends with an error.

        Raises:
            AirflowFailException: the sentence of the step that failed.
            AirflowException: it could not be found out what became of the ingest; try again.
        """
        with tried(self, context, recorded=False):
            self._report(context)

    def _report(self, context: Context) -> None:
        from srdp.domain.runs.identifiers import pipeline_run_id
        from srdp.hooks.verdict_ledger import VerdictLedger
        from srdp.notifications.outbox import send_due_mails
        from srdp.settings import load_settings

        settings = load_settings()
        ledger = VerdictLedger(settings)
        failure = failure_of(context)
        cause = f"{failure.step}: {failure.cause or NO_CAUSE}"
        try:
            run = ledger.run(pipeline_run_id(self.pipeline_run_id))
        except InvalidInput:
            raise RunFailed(f"Nothing was changed. {cause}") from None
        dag_run = context["dag_run"]
        try:
            run = report_ingest_failure(
                settings,
                ledger,
                run,
                failure,
                dag_run=(dag_run.dag_id, dag_run.run_id),
                tell_if_archived=failure.task_id != self.claimed_by,
            )
        finally:
            self.log.info("%s", send_due_mails(ledger, settings, pipeline_run_id=run.pipeline_run_id))
        raise RunFailed(f"Pipeline run {run.pipeline_run_id} is {run.state}. {cause}")


def report_ingest_failure(
    settings: Settings,
    ledger: VerdictLedger,
    run: PipelineRun,
    failure: StepFailure,
    *,
    dag_run: tuple[str, str],
    tell_if_archived: bool = False,
) -> PipelineRun:
    """Says that an ingest failed, or finishes it if the archive has the metadata; may be repeated.

    Args:
        settings: recipients, addresses and the archive.
        ledger: where the state is set.
        run: the run.
        failure: which step failed, and why.
        dag_run: the DAG's id and the DAG run id of what failed; what another DAG run does is not touched.
        tell_if_archived: whether a mail tells of the failure although the run was archived before.

    Returns:
        The run as it is now.

    Raises:
        ServiceUnavailable: it cannot be found out whether the archive has the metadata. A mail says so.
    """
    from srdp.operators.ingest_step import IngestWork

    run_id = run.pipeline_run_id
    run, ingest = ledger.run(run_id), ledger.ingest(run_id)
    if ingest is None:
        return run
    if run.state is RunState.INGESTING and (ingest.dag_id, ingest.dag_run_id) == dag_run:
        _end_ingest(IngestWork(settings, ledger, run, ingest), failure)
        run = ledger.run(run_id)
        tell_if_archived = True
    if run.state is RunState.ARCHIVED and tell_if_archived:
        _tell_unfinished(settings, ledger, run, ingest, failure, dag_run_id=dag_run[1], is_archived=True)
    return run


def archive_has_metadata(work: IngestWork) -> bool:
    """Whether the archive has the metadata of an ingest; if it has, the ledger knows it afterwards.

    Raises:
        ServiceUnavailable: the archive may have been written, and cannot be asked.
    """
    from srdp.families import result_locator
    from srdp.hooks.archive import ArchiveHook
    from srdp.operators.archive_metadata import metadata_begun

    ingest = work.ingest
    if ingest.committed_at is not None:
        return True
    if not metadata_begun(work):
        return False
    if ArchiveHook(work.settings).committed(result_locator(work.run.pipeline_run_id, ingest.number)) is None:
        return False
    work.ledger.mark_committed(ingest)
    return True


def _end_ingest(work: IngestWork, failure: StepFailure) -> None:
    from dataclasses import replace

    from srdp.hooks.metrics import send_failure
    from srdp.notifications.verdict_mails import ingest_failed
    from srdp.operators.finish_ingest import finish_ingest

    ledger, run = work.ledger, work.run
    cause = failure.cause or NO_CAUSE
    try:
        has_metadata = archive_has_metadata(work)
    except ServiceUnavailable:
        _tell_unfinished(
            work.settings, ledger, run, work.ingest, failure, dag_run_id=work.ingest.dag_run_id, is_archived=False
        )
        raise
    if has_metadata:
        ingest = ledger.ingest(run.pipeline_run_id)
        finish_ingest(replace(work, ingest=ingest or work.ingest))
        return
    mail = ingest_failed(work.settings, run, work.ingest, step=failure.step, cause=cause)
    # Refused: somebody else was faster since the run was read; what became of it has been told.
    with suppress(Refused):
        ledger.transition(
            run.pipeline_run_id,
            RunState.INGEST_FAILED,
            event="ingest_failed",
            details={"step": failure.step, "sentence": cause, "number": work.ingest.number},
            mails=[mail],
            failure=cause,
        )
        send_failure(run.pipeline_run_id, failure.task_id)


def _tell_unfinished(
    settings: Settings,
    ledger: VerdictLedger,
    run: PipelineRun,
    ingest: Ingest,
    failure: StepFailure,
    *,
    dag_run_id: str,
    is_archived: bool,
) -> None:
    from srdp.notifications.verdict_mails import ingest_unfinished

    mail = ingest_unfinished(
        settings,
        run,
        ingest,
        dag_run_id=dag_run_id,
        step=failure.step,
        cause=failure.cause or NO_CAUSE,
        is_archived=is_archived,
    )
    ledger.queue_follow_up(run.pipeline_run_id, mails=[mail])
