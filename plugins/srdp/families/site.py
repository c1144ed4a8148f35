"""What a family's methods work with: the settings, the ledger, the archive and the locator, as passed to its methods.

Families know neither Airflow nor a database. Who calls them hands in what they need.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from srdp.domain.analyst_files.selections.observed import Observed

if TYPE_CHECKING:
    from srdp.domain.archiving.mous import Mous
    from srdp.domain.imaging.size import SizeLimits
    from srdp.domain.ngas.locator_report import LocatorReport
    from srdp.domain.ppr.subject import Asdm
    from srdp.domain.runs.execution_block import ExecutionBlock
    from srdp.domain.runs.identifiers import Locator, PipelineRunId
    from srdp.domain.runs.ledger_records import PipelineRun
    from srdp.domain.runs.pipeline_run import Areas


@dataclass(frozen=True, kw_only=True)
class Archived:
    """What the archive says about the subject of a rerun.

    Attributes:
        project: the project code.
        locator: the archive's key of it.
        observed: what it knows of the observation.
        asdms: the ASDMs of a MOUS.
    """

    project: str
    locator: str
    observed: Observed = field(default_factory=Observed)
    asdms: tuple[Asdm, ...] = ()


class FamilySettings(Protocol):
    """The settings that families look at; the attributes are those of :class:`srdp.settings.Settings`."""

    @property
    def areas(self) -> Areas:
        """The roots that run directories are in."""

    @property
    def templates(self) -> Path:
        """The folder of templates."""

    @property
    def processing_site(self) -> str:
        """The site that a VLA PPR names."""

    @property
    def operator(self) -> str:
        """The account that a VLA PPR names."""

    @property
    def alma_processing_site(self) -> str:
        """The site that an ALMA PPR names."""

    @property
    def alma_operator(self) -> str:
        """The account that an ALMA PPR names."""

    @property
    def image_size_limits(self) -> SizeLimits:
        """How large the images of a request may be."""


class FamilyMarks(Protocol):
    """The marks of execution blocks; see :class:`srdp.hooks.ledger.marks.Marks`."""

    def record_set_back(self, run_id: PipelineRunId) -> None:
        """Record that the mark of a former run is set back for its rerun."""

    def request_failed_qa(self, kind: str, subject: str, digest: str = "") -> bool:
        """Return whether a run of a request failed QA, and no rerun has set its execution block back since."""


class FamilyLedger(Protocol):
    """The part of the ledger that families look at; see :class:`srdp.hooks.ledger.Ledger`."""

    @property
    def marks(self) -> FamilyMarks:
        """The marks of execution blocks."""


class FamilyArchive(Protocol):
    """The part of the archive that families look at; see :class:`srdp.hooks.archive.ArchiveHook`."""

    def execution_block(self, name_or_locator: str) -> ExecutionBlock:
        """Return what the archive knows of an execution block."""

    def set_calibration_status(self, block: Locator, status: str) -> None:
        """Set the calibration status of an execution block."""


class FamilyLog(Protocol):
    """The log of a task."""

    def info(self, event: str, /, *arguments: object) -> object:
        """Write a line."""


class FamilySite(Protocol):
    """What a family's methods work with."""

    @property
    def log(self) -> FamilyLog:
        """The task's log."""

    @property
    def settings(self) -> FamilySettings:
        """The settings of this process."""

    @property
    def ledger(self) -> FamilyLedger:
        """The runs and what happened to them."""

    @property
    def archive(self) -> FamilyArchive:
        """The archive's database."""

    def report(self, locator: Locator) -> LocatorReport:
        """Return what the archive says about the files of an execution block, an ASDM or a calibration."""

    def mous_of_run(self, run: PipelineRun) -> Mous:
        """Return which MOUS a run images, with the calibration that it restores: the same for all its steps."""

    def mous_of_rerun(self, former: PipelineRun) -> Mous:
        """Return what a rerun images: what the run before it did, if its raw data are there, else the newest."""
