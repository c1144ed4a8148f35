"""Judging what CASA has left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from srdp.links.run_files import RUN_FILES_LINKS
from srdp.operators.base import PipelineRunOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class JudgeOutcomeOperator(PipelineRunOperator):
    """Proves that CASA's run is a success, or says everything that the proof lacks.

    It records how the CASA job ended, and judges a job without such a record by what it left, the scores
    and the versions. CASA's exit status is recorded and proves nothing. It reads files only, and may be repeated
    until the run is delivered or has failed. That a rerun was made with another CASA or pipeline than the run that
    it repeats is a warning, and so is an image that was asked for and is not there although others are.

    Args:
        pipeline_run_id: the run (templated).
    """

    operator_extra_links = RUN_FILES_LINKS

    def run_step(self, context: Context) -> None:  # noqa: ARG002
        """Judge the run.

        Raises:
            CasaJobFailed: CASA did not run to its end; the message says why.
            OutcomeNotProved: it is not proved a success; the message says what is missing.
        """
        from srdp.services.context import processing_context
        from srdp.services.processing.judge import judge_outcome

        judge_outcome(processing_context(self.pipeline_run_id, "The outcome is not judged"))
