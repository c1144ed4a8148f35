"""What families of VLA execution blocks have in common."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from srdp.domain.analyst_files.selections.observed import Observed
from srdp.domain.ppr.subject import Subject
from srdp.domain.runs.identifiers import execution_block_name, locator, project_of
from srdp.families.protocol import Family
from srdp.families.site import Archived

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from srdp.domain.ngas.locator_report import LocatorReport
    from srdp.domain.runs.execution_block import ExecutionBlock
    from srdp.domain.runs.ledger_records import FetchedFile, PipelineRun
    from srdp.families.site import FamilySettings, FamilySite


class ExecutionBlockFamily(Family):
    """A family whose runs each have the raw data of one VLA execution block."""

    subject = "VLA execution block"
    subject_named = "the name of a VLA execution block"
    subject_field = "execution_block"
    recipe_variables = frozenset({"execution_block"})

    @abstractmethod
    def check_block(self, block: ExecutionBlock) -> None:
        """Check that a run of an execution block may be made.

        Raises:
            Refused: none may.
        """

    def check_subject(self, value: object) -> str:
        """Return the value as the name of a VLA execution block."""
        return execution_block_name(value)

    def archived(self, site: FamilySite, former: PipelineRun) -> Archived:
        """Return what the archive says of the execution block of a run that is to be repeated."""
        block = site.archive.execution_block(former.subject)
        self.check_block(block)
        return archived_block(block)

    def opened(self, site: FamilySite, run: PipelineRun) -> None:
        """Do nothing: the archive needs no change."""

    def raw_data(self, site: FamilySite, run: PipelineRun) -> LocatorReport:
        """Return the files of the execution block."""
        return site.report(locator(run.locator))

    def check_raw_data(self, site: FamilySite, run: PipelineRun, rawdata: Path, files: Sequence[FetchedFile]) -> None:
        """Accept them: each was proved when it was fetched."""

    def check_same_raw_data(self, site: FamilySite, run: PipelineRun, former: PipelineRun) -> None:
        """Accept them: those of an execution block never change."""

    def observed(self, site: FamilySite, run: PipelineRun) -> Observed:
        """Return when it was observed, as the archive says."""
        return archived_block(site.archive.execution_block(run.subject)).observed

    def render_request(self, settings: FamilySettings, run: PipelineRun, subject: Subject) -> bytes:
        """Return the PPR that a run gets from its recipe."""
        from srdp.domain.ppr.document import recipe_template, render_vla_processing_request

        return render_vla_processing_request(
            recipe_template(self.recipes(settings), run.recipe),
            execution_block=execution_block_name(subject.name),
            pipeline_run_id=run.pipeline_run_id,
            processing_site=settings.processing_site,
            operator=settings.operator,
        )

    def subject_of(self, execution_block: object) -> Subject:
        """Return the subject of a run.

        Raises:
            InvalidInput: it is not the name of a VLA execution block.
        """
        name = execution_block_name(execution_block)
        return Subject(inputs=self.inputs, name=name, project=project_of(name))


def archived_block(block: ExecutionBlock) -> Archived:
    """Return what the archive says of an execution block."""
    observed = Observed(start=block.observed_start, end=block.observed_end)
    return Archived(project=block.project, locator=block.locator, observed=observed)
