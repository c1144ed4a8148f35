"""Writing the PPR of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from srdp.operators.base import PipelineRunOperator, check_processing

if TYPE_CHECKING:
    from airflow.sdk import Context


class WriteProcessingRequestOperator(PipelineRunOperator):
    """Writes the PPR of a VLA calibration from its recipe, unless the run has one already.

    A PPR that is there is never written again: it may hold an analyst's edits, and CASA may have read it. It is
    linted like a new one, and its SHA-256 goes to the ledger.

    Args:
        pipeline_run_id: the run (templated).
    """

    def run_step(self, context: Context) -> str:  # noqa: ARG002
        """Writes the PPR; returns its SHA-256 in hexadecimal."""
        from srdp.domain.identifiers import execution_block_name, pipeline_run_id
        from srdp.domain.pipeline_run import processing_directory
        from srdp.domain.ppr import read_processing_request, recipe_template, render_vla_processing_request
        from srdp.domain.ppr_lint import lint_processing_request
        from srdp.domain.whole_file import write_whole_file
        from srdp.hooks.ledger import LedgerHook
        from srdp.settings import load_settings

        settings = load_settings()
        ledger = LedgerHook(settings)
        run = ledger.run(pipeline_run_id(self.pipeline_run_id))
        check_processing(run, "No PPR is written")
        execution_block = execution_block_name(run.subject)
        path = processing_directory(settings.areas, run.pipeline_run_id).processing_request
        if path.exists():
            self.log.info("%s is there already and stays as it is.", path)
        else:
            content = render_vla_processing_request(
                recipe_template(settings.templates, run.recipe),
                execution_block=execution_block,
                pipeline_run_id=run.pipeline_run_id,
                processing_site=settings.processing_site,
                operator=settings.operator,
            )
            write_whole_file(path, content)
        report = lint_processing_request(path.read_bytes(), execution_block=execution_block, file=str(path))
        for warning in report.warnings:
            self.log.warning("%s", warning.sentence)
        report.refuse()
        request = read_processing_request(path)
        ledger.record_ppr(run.pipeline_run_id, request.sha256)
        self.log.info("%s has %d stages: %s", path, len(request.commands), ", ".join(request.commands))
        return request.sha256
