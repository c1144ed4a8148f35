"""The end of an ingest that failed: recorded and reported by mail, unless the archive has the calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from srdp.domain.common.errors import InvalidInput
from srdp.domain.runs.steps import NO_CAUSE
from srdp.operators.base import origin_of
from srdp.operators.failure import RunFailed, failure_of
from srdp.operators.retrying import tried

if TYPE_CHECKING:
    from airflow.sdk import Context


class ReportIngestFailureOperator(BaseOperator):
    """Sets the state of a run whose ingest failed and queues the mail about it; then fails: the DAG run is to be red.

    Give it the trigger rule ``one_failed``. A verdict that was refused before it was claimed changed nothing: then this
    only says again why. An ingest whose metadata the archive has is never called failed: it is finished, and
    a mail reports the step.

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
        from srdp.services.context import run_context
        from srdp.services.ingesting.failure import report_ingest_failure
        from srdp.services.processing.failure import send_mails_of_run

        failure = failure_of(context)
        cause = f"{failure.step}: {failure.cause or NO_CAUSE}"
        try:
            run = run_context(self.pipeline_run_id)
        except InvalidInput:
            raise RunFailed(f"Nothing was changed. {cause}") from None
        try:
            ended = report_ingest_failure(
                run,
                failure,
                dag_run=origin_of(context).dag_run,
                report_if_archived=failure.task_id != self.claimed_by,
            )
        finally:
            send_mails_of_run(run)
        raise RunFailed(f"Pipeline run {ended.pipeline_run_id} is {ended.state}. {cause}")
