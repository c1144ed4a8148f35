"""The imaging of an ALMA MOUS as a user asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from srdp.domain.analyst_files.flag_templates import ALMA_TARGET_FLAGS
from srdp.domain.analyst_files.names import (
    CONTINUUM_RANGES,
    CONTINUUM_SEARCH,
    FINDS_CONTINUUM,
    PROCESSING_REQUEST,
    REQUEST_FILE,
    TARGET_FLAGS,
    Addition,
    AnalystFile,
    Reader,
)
from srdp.domain.analyst_files.submitted import QA_REPORT
from srdp.domain.archiving.contents import ANCILLARY, ASSOCIATED, SCIENCE, WEBLOG, Contents
from srdp.domain.common.errors import InvalidInput
from srdp.domain.ppr.inputs import PipelineInputs, PprDialect
from srdp.domain.ppr.subject import Asdm, Subject
from srdp.domain.retention.kinds import Kind
from srdp.domain.runs.identifiers import mous_uid
from srdp.domain.runs.states import RunState
from srdp.families.protocol import Family
from srdp.families.registry import register
from srdp.families.site import Archived

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from srdp.domain.analyst_files.selections.observed import Observed
    from srdp.domain.common.form_fields import Form
    from srdp.domain.ngas.locator_report import LocatorReport
    from srdp.domain.runs.ledger_records import FetchedFile, PipelineRun
    from srdp.families.site import FamilySettings, FamilySite

_KIND: Final = "alma_imaging"

#: The stages are those of the observatory's pipeline (2026): ``flagtargetsalma.py`` and ``contfilehandler.py`` there
#: say which file they read, and with which parameters they do not.
_FILES: Final = {
    PROCESSING_REQUEST: REQUEST_FILE,
    TARGET_FLAGS: AnalystFile(
        form_field="flag_template",
        staged=("{data}.flagtargetstemplate.txt", "{data}_targets.flagtargetstemplate.txt"),
        readers=(Reader(stage="hifa_flagtargets", switch="template", names="filetemplate"),),
        addition=Addition(stage="hifa_flagtargets", behind="hif_mstransform"),
        in_vain_behind={
            "hif_uvcontsub": "cubes, which are made from what was split off there, would not have the flags",
            "hif_makeimages": "its images would not have the flags",
        },
    ),
    CONTINUUM_RANGES: AnalystFile(
        form_field="continuum_ranges",
        staged=("cont.dat",),
        readers=(
            Reader(stage="hif_uvcontsub"),
            Reader(stage="hif_selfcal", names="contfile"),
            Reader(stage="hif_makeimlist"),
            Reader(stage="hif_makeimages"),
        ),
        written_by=FINDS_CONTINUUM,
        left_by_casa=CONTINUUM_SEARCH,
    ),
}


def _kept(name: str, title: str, days: int, *states: RunState) -> Kind:
    return Kind(name, title, days, frozenset({_KIND}), frozenset(states))


class AlmaImaging(Family):
    """The imaging of an ALMA MOUS as a user asked, from a calibration that exists."""

    name = "alma"
    kind = _KIND
    subject = "ALMA MOUS"
    subject_named = "the UID of an ALMA MOUS"
    subject_field = "mous"
    label = "ALMA"
    action = "imaging"
    past_tense = "imaged"
    result = "images"
    result_label = "Image set"
    result_locator = "uid://alma/image_set/"
    runner = "runpipeline.py"
    runner_may_be_missing = True
    inputs = PipelineInputs(
        kind=_KIND,
        telescope="ALMA",
        dialect=PprDialect.ALMA,
        of_asdms=True,
        files=_FILES,
        flag_template=ALMA_TARGET_FLAGS,
        imaging_mode="ALMA",
    )
    recipe_variables = frozenset({"request", "asdms", "sessions", "limits"})
    templates = None
    own_areas = ("alma_processing_area", "alma_qa_area")
    contents = Contents(
        kinds=(ASSOCIATED, SCIENCE, ANCILLARY, WEBLOG),
        images=True,
        template=TARGET_FLAGS,
        templates_read="uid___A*.flagtargetstemplate.txt",
        report=QA_REPORT,
        calibrates=False,
    )
    tar_name = "alma_associated_tar_name"
    science_images = "alma_science_patterns"
    asks_flag = False
    marks_failed = False
    retention = (
        _kept("alma_archived", "ALMA runs in the archive", 14, RunState.ARCHIVED),
        _kept("alma_failed", "failed ALMA runs", 30, RunState.FAILED),
        _kept("alma_cancelled", "cancelled ALMA runs", 30, RunState.CANCELLED),
        _kept("alma_superseded", "superseded ALMA runs", 14, RunState.SUPERSEDED),
        _kept(
            "alma_rejected",
            "rejected ALMA runs, and removals that were begun",
            1,
            RunState.REJECTED,
            RunState.CLEANING,
        ),
    )
    asked_by_users = True
    reviewers = "imaging_analysts"
    result_recipients = "operations_managers"
    announces_start = False
    recipients = "the operations manager"
    rerun_dag = "alma_rerun"
    ingest_dag = "alma_ingest"
    fail_dag = "alma_qa_fail"
    cleanup_dag = "alma_cleanup"
    withdraw_dag = "alma_withdraw_verdict"
    assign_dag = "alma_assign_qa"

    def check_subject(self, value: object) -> str:
        """Return the value as the UID of an ALMA MOUS."""
        return mous_uid(value)

    def render_request(self, settings: FamilySettings, run: PipelineRun, subject: Subject) -> bytes:
        """Return the PPR of what a user asked for."""
        from srdp.domain.archiving.mous import sessions_of
        from srdp.domain.imaging.request import ImagingRequest
        from srdp.domain.ppr.document import recipe_template, render_alma_processing_request
        from srdp.domain.runs.pipeline_run import processing_directory

        return render_alma_processing_request(
            recipe_template(self.recipes(settings), run.recipe),
            request=ImagingRequest.from_json(run.asked),
            project=run.project,
            asdms=subject.asdms,
            sessions=sessions_of(subject.asdms, processing_directory(settings.areas, run.pipeline_run_id).rawdata),
            pipeline_run_id=run.pipeline_run_id,
            processing_site=settings.alma_processing_site,
            operator=settings.alma_operator,
            limits=settings.image_size_limits,
        )

    def archived(self, site: FamilySite, former: PipelineRun) -> Archived:
        """Return which MOUS a rerun images, and its ASDMs."""
        mous = site.mous_of_rerun(former)
        # What cannot be restored is refused here, and not by the fetch.
        site.log.info("%s is imaged from the calibration %s.", mous.uid, mous.calibration_locator)
        return Archived(project=mous.project, locator=mous.uid, asdms=mous.named_asdms)

    def opened(self, site: FamilySite, run: PipelineRun) -> None:
        """Record which calibration the images of a rerun are made from."""
        # Not later: the raw data of the former run may be removed by then.
        site.mous_of_run(run)

    def raw_data(self, site: FamilySite, run: PipelineRun) -> LocatorReport:
        """Return the files of all ASDMs, and the products of the calibration that the pipeline restores."""
        from srdp.domain.archiving.mous import report_of_mous

        mous = site.mous_of_run(run)
        return report_of_mous(mous, {each: site.report(each) for each in mous.locators})

    def check_raw_data(self, site: FamilySite, run: PipelineRun, rawdata: Path, files: Sequence[FetchedFile]) -> None:
        """Check that the calibration can be restored with the raw data."""
        from srdp.domain.archiving.mous import check_restorable

        check_restorable(site.mous_of_run(run), rawdata, files)

    def check_same_raw_data(self, site: FamilySite, run: PipelineRun, former: PipelineRun) -> None:
        """Check that they hold the calibration which the run restores; another has files of the same names."""
        from srdp.domain.raw_data.linking import RawDataUnusable

        if site.mous_of_run(run).locators != site.mous_of_run(former).locators:
            raise RawDataUnusable(
                f"The raw data of {former.pipeline_run_id} are not used again: the archive has another calibration "
                "since."
            )

    def observed(self, site: FamilySite, run: PipelineRun) -> Observed:
        """Return what the ASDMs of a run say about the observation, if they are still there."""
        from srdp.domain.analyst_files.selections.observed import Observed, observed_together
        from srdp.domain.files.shared_folders import is_folder, list_shared
        from srdp.domain.raw_data.sdm import observed_in
        from srdp.domain.runs.pipeline_run import RunDirectoryMissing, find_run_directory

        try:
            directory = find_run_directory(site.settings.areas, run.pipeline_run_id)
        except RunDirectoryMissing:
            return Observed()
        asdms = list_shared(directory.root, directory.rawdata, "uid___A*")
        return observed_together(observed_in(directory.root, path) for path in asdms if is_folder(directory.root, path))

    def forms(self) -> tuple[Form, ...]:
        """Return the forms of the DAGs that image ALMA data."""
        from srdp.families.alma_imaging.forms import forms

        return forms(self)


ALMA: Final = register(AlmaImaging)


def alma_subject(mous: object, asdms: tuple[Asdm, ...], project: str = "") -> Subject:
    """Return the subject of an imaging.

    Args:
        mous: the MOUS's UID.
        asdms: its ASDMs, at least one.
        project: the project code; empty if it is not known.

    Raises:
        InvalidInput: it is not the UID of a MOUS, or there is no ASDM.
    """
    uid = mous_uid(mous)
    if not asdms:
        raise InvalidInput(f"No ASDM of {uid} is known: there is nothing that could be imaged.")
    return Subject(inputs=ALMA.inputs, name=uid, project=project, asdms=asdms)
