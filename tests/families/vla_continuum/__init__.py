"""A third family, as a site would add one: images of the continuum of a VLA execution block that is calibrated."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from srdp.domain.analyst_files.flag_templates import VLA_FLAGS
from srdp.domain.analyst_files.names import CONTINUUM_RANGES, FLAG_TEMPLATE, PROCESSING_REQUEST
from srdp.domain.analyst_files.submitted import QA_REPORT
from srdp.domain.archiving.contents import ANCILLARY, ASSOCIATED, SCIENCE, WEBLOG, Contents
from srdp.domain.common.errors import Refused
from srdp.domain.common.form_fields import ONE_LINE, Field, Form
from srdp.domain.ppr.inputs import PipelineInputs, PprDialect
from srdp.domain.retention.kinds import Kind
from srdp.domain.runs.identifiers import execution_block_name
from srdp.domain.runs.states import RunState
from srdp.families import VLA, register
from srdp.families.execution_block import ExecutionBlockFamily
from srdp.families.form_parts import (
    SITE,
    cleanup_form,
    fail_form,
    recipe_field,
    report_and_template,
    rerun_form,
    resource_fields,
    run_field,
    withdrawal_form,
)

if TYPE_CHECKING:
    from srdp.domain.runs.execution_block import ExecutionBlock

_KIND: Final = "vla_continuum"
_FILES: Final = (PROCESSING_REQUEST, FLAG_TEMPLATE, CONTINUUM_RANGES)


def _kept(name: str, days: int, *states: RunState) -> Kind:
    return Kind(f"vlacont_{name}", f"{name} runs of VLA continuum", days, frozenset({_KIND}), frozenset(states))


class VlaContinuum(ExecutionBlockFamily):
    """Images of the continuum of a VLA execution block."""

    name = "vlacont"
    kind = _KIND
    label = "VLA continuum"
    action = "imaging"
    past_tense = "imaged"
    result = "images"
    result_label = "Image set"
    result_locator = "uid://evla/image_set/"
    runner = "runvlapipeline.py"
    runner_may_be_missing = True
    inputs = PipelineInputs(
        kind=_KIND,
        telescope="VLA",
        dialect=PprDialect.VLA,
        of_asdms=False,
        files={name: VLA.inputs.files[name] for name in _FILES},
        flag_template=VLA_FLAGS,
        imaging_mode=None,
    )
    templates = Path(__file__).parent
    own_areas = None
    contents = Contents(
        kinds=(ASSOCIATED, SCIENCE, ANCILLARY, WEBLOG),
        images=True,
        template=FLAG_TEMPLATE,
        templates_read="{subject}.flagtemplate.txt",
        report=QA_REPORT,
        calibrates=False,
    )
    tar_name = "alma_associated_tar_name"
    science_images = "alma_science_patterns"
    asks_flag = False
    marks_failed = False
    retention = (
        _kept("archived", 14, RunState.ARCHIVED),
        _kept("failed", 30, RunState.FAILED, RunState.CANCELLED),
        _kept("rejected", 1, RunState.REJECTED, RunState.SUPERSEDED, RunState.CLEANING),
    )
    asked_by_users = False
    reviewers = "data_analysts"
    result_recipients = "data_analysts"
    announces_start = False
    recipients = "the analysts"
    rerun_dag = "vlacont_rerun"
    ingest_dag = "vlacont_ingest"
    fail_dag = "vlacont_qa_fail"
    cleanup_dag = "vlacont_cleanup"
    withdraw_dag = "vlacont_withdraw_verdict"
    assign_dag = None

    def check_block(self, block: ExecutionBlock) -> None:
        """Let an execution block pass that is calibrated."""
        if block.calibration_status != "Calibrated":
            raise Refused(f"{block.name} is {block.calibration_status}: only what is calibrated is imaged.")

    def forms(self) -> tuple[Form, ...]:
        """Return the forms of its DAGs."""
        block = Field(
            title="Execution block",
            description="Its name.",
            parser=execution_block_name,
            shown=ONE_LINE,
            required=True,
        )
        return (
            Form(
                dag_id=self.kind,
                fields={"execution_block": block, "recipe": recipe_field(self), **resource_fields(SITE)},
            ),
            rerun_form(self, "an execution block's name"),
            Form(
                dag_id=self.ingest_dag,
                fields={
                    "pipeline_run_id": run_field(self),
                    **report_and_template("Flag template", FLAG_TEMPLATE, "The path of a flagtemplate.txt."),
                },
            ),
            fail_form(self, {}),
            withdrawal_form(self),
            cleanup_form(self),
        )


VLA_CONTINUUM: Final = register(VlaContinuum)
