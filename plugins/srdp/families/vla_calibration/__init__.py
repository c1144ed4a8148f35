"""The calibration of a VLA execution block."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from srdp.domain.analyst_files.flag_templates import VLA_FLAGS
from srdp.domain.analyst_files.names import (
    ANTENNA_POSITIONS,
    CONTINUUM_RANGES,
    CONTINUUM_SEARCH,
    FINDS_CONTINUUM,
    FLAG_TEMPLATE,
    FLUX_DENSITIES,
    IMPORT_STAGE,
    PROCESSING_REQUEST,
    REQUEST_FILE,
    Addition,
    AnalystFile,
    Reader,
)
from srdp.domain.archiving.contents import CALIBRATION, WEBLOG, Contents
from srdp.domain.common.errors import Refused
from srdp.domain.ppr.inputs import PipelineInputs, PprDialect
from srdp.domain.retention.kinds import Kind
from srdp.domain.runs.execution_block import DO_NOT_CALIBRATE, READY
from srdp.domain.runs.identifiers import locator
from srdp.domain.runs.states import RunState
from srdp.families.execution_block import ExecutionBlockFamily, archived_block
from srdp.families.registry import register

if TYPE_CHECKING:
    from srdp.domain.common.form_fields import Form
    from srdp.domain.runs.execution_block import ExecutionBlock
    from srdp.domain.runs.ledger_records import PipelineRun
    from srdp.families.site import Archived, FamilySite

_KIND: Final = "vla_calibration"
#: The event by which a rerun says that its execution block may be calibrated again after a failed QA.

#: The stages are those of the observatory's pipeline (2026): ``flagdeterbase.py``, ``vlasetjy.py``, ``antpos.py``,
#: ``checkflag.py``, ``statwt.py`` and ``contfilehandler.py`` there say which file they read, and with which parameters
#: they do not.
_FILES: Final = {
    PROCESSING_REQUEST: REQUEST_FILE,
    FLAG_TEMPLATE: AnalystFile(
        form_field="flag_template",
        staged=("{data}.flagtemplate.txt",),
        readers=(Reader(stage="hifv_flagdata", switch="template", names="filetemplate"),),
        left_by_casa=IMPORT_STAGE,
    ),
    FLUX_DENSITIES: AnalystFile(
        form_field="flux_densities",
        staged=("flux.csv",),
        readers=(Reader(stage="hifv_vlasetjy", names="reffile"),),
        left_by_casa=IMPORT_STAGE,
    ),
    ANTENNA_POSITIONS: AnalystFile(
        form_field="antenna_positions",
        staged=("antennapos.csv",),
        # Not hifv_priorcals, which looks its corrections up by itself.
        readers=(Reader(stage="hif_antpos", parameters={"hm_antpos": "file"}, names="antposfile"),),
        addition=Addition(stage="hif_antpos", behind="hifv_priorcals", parameters={"hm_antpos": "file"}),
        in_vain_behind={"hifv_applycals": "the calibration would not have the corrections"},
    ),
    CONTINUUM_RANGES: AnalystFile(
        form_field="continuum_ranges",
        staged=("cont.dat",),
        # They keep spectral lines from being flagged, and out of the weights; the others subtract or image.
        readers=(
            Reader(stage="hifv_checkflag", parameters={"checkflagmode": "target-vla"}, switch="usecontdat"),
            Reader(stage="hifv_statwt"),
            Reader(stage="hifv_targetflag"),
            Reader(stage=FINDS_CONTINUUM),
            Reader(stage="hif_uvcontsub"),
            Reader(stage="hif_selfcal", names="contfile"),
        ),
        left_by_casa=CONTINUUM_SEARCH,
    ),
}


def _kept(name: str, title: str, days: int, *states: RunState) -> Kind:
    return Kind(name, title, days, frozenset({_KIND}), frozenset(states))


class VlaCalibration(ExecutionBlockFamily):
    """The calibration of a VLA execution block."""

    name = "vla"
    kind = _KIND
    label = "VLA"
    action = "calibration"
    past_tense = "calibrated"
    result = "calibration"
    result_label = "Calibration"
    result_locator = "uid://evla/calibration/"
    runner = "runvlapipeline.py"
    runner_may_be_missing = False
    inputs = PipelineInputs(
        kind=_KIND,
        telescope="VLA",
        dialect=PprDialect.VLA,
        of_asdms=False,
        files=_FILES,
        flag_template=VLA_FLAGS,
        imaging_mode=None,
    )
    templates = None
    own_areas = None
    contents = Contents(
        kinds=(CALIBRATION, WEBLOG),
        images=False,
        template=FLAG_TEMPLATE,
        templates_read="{subject}.flagtemplate.txt",
        report=None,
        calibrates=True,
    )
    tar_name = "calibration_tar_name"
    science_images = None
    asks_flag = True
    marks_failed = True
    retention = (
        _kept("archived", "VLA runs in the archive", 14, RunState.ARCHIVED),
        _kept("failed", "failed VLA runs", 30, RunState.FAILED),
        _kept("cancelled", "cancelled VLA runs", 30, RunState.CANCELLED),
        _kept("superseded", "superseded VLA runs", 14, RunState.SUPERSEDED),
        # A failed QA removes the directory at once, and so does a cleanup: what is left could not go at once.
        _kept("rejected", "rejected VLA runs, and removals that were begun", 1, RunState.REJECTED, RunState.CLEANING),
    )
    asked_by_users = False
    reviewers = "data_analysts"
    result_recipients = "data_analysts"
    announces_start = True
    recipients = "the analysts"
    rerun_dag = "vla_rerun"
    ingest_dag = "vla_qa_pass"
    fail_dag = "vla_qa_fail"
    cleanup_dag = "vla_cleanup"
    withdraw_dag = "vla_withdraw_verdict"
    assign_dag = None

    def check_block(self, block: ExecutionBlock) -> None:
        """Check that an execution block may be calibrated."""
        if block.calibration_status == DO_NOT_CALIBRATE:
            raise Refused(
                f"{block.name} is marked Do Not Calibrate in the archive: nothing was started. Set it back to Ready "
                "there if it is to be calibrated after all."
            )

    def archived(self, site: FamilySite, former: PipelineRun) -> Archived:
        """Return what the archive says; an execution block that we marked may be calibrated again."""
        block = site.archive.execution_block(former.subject)
        if not _failed_qa(site, former):
            self.check_block(block)
        return archived_block(block)

    def opened(self, site: FamilySite, run: PipelineRun) -> None:
        """Set an execution block back to ``Ready`` that a failed QA had marked."""
        # Not later: somebody may have marked it for another reason since.
        if run.state is not RunState.CREATED or not _failed_qa(site, run):
            return
        if site.archive.execution_block(run.subject).calibration_status == DO_NOT_CALIBRATE:
            site.archive.set_calibration_status(locator(run.locator), READY)
            site.log.info("%s had failed QA and is set back to %s in the archive.", run.subject, READY)
        site.ledger.marks.record_set_back(run.pipeline_run_id)

    def forms(self) -> tuple[Form, ...]:
        """Return the forms of the DAGs that calibrate VLA data."""
        from srdp.families.vla_calibration.forms import forms

        return forms(self)


def _failed_qa(site: FamilySite, run: PipelineRun) -> bool:
    """Whether a run of the request failed QA, so that we marked the execution block, and no rerun set it back."""
    return site.ledger.marks.request_failed_qa(run.kind, run.subject, run.request_digest)


VLA: Final = register(VlaCalibration)

vla_subject = VLA.subject_of
