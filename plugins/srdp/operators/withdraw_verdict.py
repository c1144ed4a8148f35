"""Taking back a verdict whose ingest failed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from srdp.domain.runs.states import RunState
from srdp.operators.base import PipelineRunOperator, asked_by

if TYPE_CHECKING:
    from airflow.sdk import Context


class WithdrawVerdictOperator(PipelineRunOperator):
    """Lets a run whose ingest failed await its verdict again, and says what may lie in NGAS without belonging to it.

    The archive is asked first: what it has the metadata of cannot be withdrawn.

    Args:
        pipeline_run_id: the run (templated).
        reason: why, for the ledger and the mail (templated).
    """

    needs_areas = False
    template_fields: Sequence[str] = ("pipeline_run_id", "reason")

    def __init__(self, *, pipeline_run_id: str, reason: str, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(pipeline_run_id=pipeline_run_id, **kwargs)
        self.reason = reason

    def run_step(self, context: Context) -> str:
        """Withdraws the verdict; returns the pipeline run ID.

        Raises:
            Refused: the run's state does not allow it, or the archive has its metadata.
        """
        from srdp.domain.runs.identifiers import pipeline_run_id
        from srdp.domain.runs.qa_failure import withdrawal_reason
        from srdp.families import family_of
        from srdp.hooks.verdict_ledger import VerdictLedger
        from srdp.notifications.verdict_mails import verdict_withdrawn
        from srdp.operators.ingest_failure import archive_has_metadata
        from srdp.operators.ingest_step import IngestWork, check_family
        from srdp.settings import load_settings

        settings = load_settings()
        ledger = VerdictLedger(settings)
        run = ledger.run(pipeline_run_id(self.pipeline_run_id))
        check_family(run.pipeline_run_id, family_of(run.kind).withdraw_dag, context["dag_run"].dag_id)
        reason = withdrawal_reason(self.reason)
        by = asked_by(context)
        ingest = ledger.ingest(run.pipeline_run_id)
        if ingest is None and run.state is RunState.AWAITING_QA:
            # Done by this task before it was killed, or by somebody else: there is no verdict either way.
            self.log.info("%s awaits its verdict; there is none to withdraw.", run.pipeline_run_id)
            return run.pipeline_run_id
        mails = []
        if ingest is not None and run.state is RunState.INGEST_FAILED:
            # The ledger refuses what the archive has; it may not have been told.
            archive_has_metadata(IngestWork(settings, ledger, run, ingest))
            sent = [file for file in ledger.files_of_ingest(ingest) if file.sent_at is not None]
            mails = [verdict_withdrawn(settings, run, ingest, by=by, reason=reason, orphans=sent)]
        orphans = ledger.withdraw_verdict(run.pipeline_run_id, by=by, reason=reason, mails=mails)
        for file in orphans:
            self.log.warning("%s may lie in NGAS without belonging to anything.", file.ngas_file_id)
        self.log.info("%s awaits its verdict again.", run.pipeline_run_id)
        return run.pipeline_run_id
