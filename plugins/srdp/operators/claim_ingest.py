"""The beginning of an ingest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from srdp.domain.common.errors import InvalidInput
from srdp.links.run_files import RUN_FILES_LINKS
from srdp.operators.base import PipelineRunOperator, origin_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from srdp.services.context import RunContext

_WORDS = ("qa_report", "qa_report_text", "qa_standard", "qa_analyst", "qa_score", "qa_comments")


class ClaimIngestOperator(PipelineRunOperator):
    """Checks everything that a verdict and an ingest need, and claims the ingest; what is refused changes nothing.

    When the verdict is given again, after a failure, the form needs nothing but the run and the same flag: then the
    notes of the first time count. Of a run that is archived, another verdict is recorded here; its files stay. If they
    are not in NGAS, because the setting ``ngas_ingest`` was off, and it is on now, the run is ingested again.

    Args:
        pipeline_run_id: the run (templated).
        qa_flag: ``Pass``, ``Fail`` or ``Null`` (templated).
        qa_report: the path of the analyst's report on the shared file system (templated).
        qa_report_text: the report itself, instead (templated).
        qa_standard: by which standard; by default ``SRDP Pilot`` (templated).
        qa_analyst: for whom the verdict is given, if not for who triggered the DAG run (templated).
        qa_score: a number; by default 1 for a pass, 0 for a fail (templated).
        qa_comments: any text (templated).
        flag_template: the path of a flag template that is to be archived with the calibration (templated).
        flag_template_text: the template itself, instead (templated).

    Note:
        Of the templated arguments, an empty one and the text ``None`` say nothing.
    """

    collects_faults = True
    template_fields: Sequence[str] = ("pipeline_run_id", "qa_flag", *_WORDS, "flag_template", "flag_template_text")

    operator_extra_links = RUN_FILES_LINKS

    def __init__(
        self,
        *,
        pipeline_run_id: str,
        qa_flag: str,
        qa_report: str | None = None,
        qa_report_text: str | None = None,
        qa_standard: str | None = None,
        qa_analyst: str | None = None,
        qa_score: str | None = None,
        qa_comments: str | None = None,
        flag_template: str | None = None,
        flag_template_text: str | None = None,
        **kwargs: Any,  # noqa: ANN401  Airflow's own arguments of an operator
    ) -> None:
        super().__init__(pipeline_run_id=pipeline_run_id, **kwargs)
        self.qa_flag = qa_flag
        self.qa_report = qa_report
        self.qa_report_text = qa_report_text
        self.qa_standard = qa_standard
        self.qa_analyst = qa_analyst
        self.qa_score = qa_score
        self.qa_comments = qa_comments
        self.flag_template = flag_template
        self.flag_template_text = flag_template_text

    def run_step(self, context: Context) -> str:
        """Check and claim; return the pipeline run ID."""
        from srdp.services.ingesting.claim import VerdictForm, claim_ingest

        run = self._run()
        form = VerdictForm(
            qa_flag=self.qa_flag,
            words={name: getattr(self, name) for name in _WORDS},
            flag_template=self.flag_template,
            flag_template_text=self.flag_template_text,
        )
        claim_ingest(run, origin_of(context), form, self.faults)
        return run.run_id

    def _run(self) -> RunContext:
        """Return the run; if there is none, nothing more can be checked than the form itself."""
        from srdp.services.context import run_context

        try:
            return run_context(self.pipeline_run_id)
        except InvalidInput as error:
            self.faults.refuse()
            raise error from None
