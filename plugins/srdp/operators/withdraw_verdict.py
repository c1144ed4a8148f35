"""Taking back a verdict whose ingest failed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from srdp.operators.base import PipelineRunOperator, origin_of

if TYPE_CHECKING:
    from airflow.sdk import Context


class WithdrawVerdictOperator(PipelineRunOperator):
    """Lets a run whose ingest failed await its verdict again, and says what may be in NGAS without belonging to it.

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
        """Withdraw the verdict; return the pipeline run ID.

        Raises:
            Refused: the run's state does not allow it, or the archive has its metadata.
        """
        from srdp.services.context import run_context
        from srdp.services.ingesting.withdraw import withdraw_verdict

        run = run_context(self.pipeline_run_id)
        withdraw_verdict(run, origin_of(context), self.reason)
        return run.run_id
