"""The attributes of a family of requests: everything in which one differs from another."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from srdp.domain.analyst_files.selections.observed import Observed
    from srdp.domain.archiving.contents import Contents
    from srdp.domain.common.form_fields import Form
    from srdp.domain.ngas.locator_report import LocatorReport
    from srdp.domain.ppr.inputs import PipelineInputs
    from srdp.domain.ppr.subject import Subject
    from srdp.domain.retention.kinds import Kind
    from srdp.domain.runs.ledger_records import FetchedFile, PipelineRun
    from srdp.families.site import Archived, FamilySettings, FamilySite


class Family(ABC):
    """One family of requests. Steps use its attributes instead of asking which family they work for.

    A family is a subclass that gives every attribute a value and defines every method, registered with
    :func:`srdp.families.registry.register`, which takes no other.

    Attributes:
        name: what its pipeline run IDs begin with.
        kind: the kind of its requests; also what Airflow calls the DAG that serves them.
        subject: what people call that which is asked for, for example ``VLA execution block``.
        subject_named: what a person may name it by, in a sentence, for example ``the UID of an ALMA MOUS``.
        subject_field: what the form that asks for it calls its field, for example ``execution_block``.
        label: what the names begin with by which people know its DAGs, for example ``VLA``.
        action: what is done to the subject, for example ``calibration``.
        past_tense: what the subject is when it is done, for example ``calibrated``.
        result: what is made, as it continues behind ``the``: ``calibration`` or ``images``.
        result_label: what mails call its key in the archive, for example ``Image set``.
        result_locator: what the archive's keys of its results begin with, ``uid://<telescope>/<table>/``.
        runner: the script in the pipeline's ``pipeline/`` that CASA is started with.
        runner_may_be_missing: whether a site may do without the family, and so without its runner.
        inputs: what the pipeline is given: the dialect of the PPR, and which stage reads which of an analyst's files.
        templates: the folder that holds ``ppr/`` with its PPR templates; None for the project's own.
        recipe_variables: what its runs give a PPR template, beside what all do.
        own_areas: the settings of the processing area and the QA area of its runs, where a site has others for them;
            None if it never has.
        contents: what is archived.
        tar_name: the setting that says what users call the tar.
        science_images: the setting with the patterns of the images that must be among the products; None if there are
            no images.
        asks_flag: whether who archives a run chooses the QA flag; else it is *Pass*.
        marks_failed: whether a failed QA marks the subject ``Do Not Calibrate`` in the archive.
        retention: for how long its runs are kept, by their states.
        asked_by_users: whether users ask for its first runs, through the archive's front end: nobody looks at the DAG
            run, and the requester may be notified.
        reviewers: the setting with the addresses of who reviews its runs.
        result_recipients: the setting with the addresses of who is notified of a run that has ended.
        announces_start: whether a mail says that a run has begun.
        recipients: who is notified of a finished run, in the name of a step.
        rerun_dag: the DAG that makes a further run of a request.
        ingest_dag: the DAG that ingests a run into the archive.
        fail_dag: the DAG that throws a run away.
        cleanup_dag: the DAG that removes the directory of an archived run.
        withdraw_dag: the DAG that takes a verdict back.
        assign_dag: the DAG in which somebody is given a run to review; None if everybody may take it.
    """

    name: str
    kind: str
    subject: str
    subject_named: str
    subject_field: str
    label: str
    action: str
    past_tense: str
    result: str
    result_label: str
    result_locator: str
    runner: str
    runner_may_be_missing: bool
    inputs: PipelineInputs
    templates: Path | None
    recipe_variables: frozenset[str]
    own_areas: tuple[str, str] | None
    contents: Contents
    tar_name: str
    science_images: str | None
    asks_flag: bool
    marks_failed: bool
    retention: tuple[Kind, ...]
    asked_by_users: bool
    reviewers: str
    result_recipients: str
    announces_start: bool
    recipients: str
    rerun_dag: str
    ingest_dag: str
    fail_dag: str
    cleanup_dag: str
    withdraw_dag: str
    assign_dag: str | None

    @abstractmethod
    def check_subject(self, value: object) -> str:
        """Return the value as the name of a subject.

        Raises:
            InvalidInput: it is none.
        """

    @abstractmethod
    def render_request(self, settings: FamilySettings, run: PipelineRun, subject: Subject) -> bytes:
        """Return the PPR that a run gets from its recipe.

        Args:
            settings: the folders, and the site and the account that the PPR names.
            run: the run; its ID is the PPR's ``RelativePath``.
            subject: what it works on.

        Raises:
            InvalidInput: there is no such recipe, or it cannot be filled in.
        """

    @abstractmethod
    def archived(self, site: FamilySite, former: PipelineRun) -> Archived:
        """Return what the archive says of the subject of a run that is to be repeated; change nothing there.

        Args:
            site: the archive and the ledger.
            former: the run.

        Raises:
            InvalidInput: the archive does not have it.
            Refused: it is not to be made again.
            ServiceUnavailable: the archive cannot be reached.
        """

    @abstractmethod
    def opened(self, site: FamilySite, run: PipelineRun) -> None:
        """Record what a rerun is made of, and update the archive; may be repeated.

        Args:
            site: the archive and the ledger.
            run: the rerun.

        Raises:
            InvalidInput: the archive does not have it any more.
            ServiceUnavailable: the archive cannot be reached.
        """

    @abstractmethod
    def raw_data(self, site: FamilySite, run: PipelineRun) -> LocatorReport:
        """Return the files that are fetched for a run.

        Args:
            site: the locator and the ledger.
            run: the run.

        Raises:
            ServiceUnavailable: the locator or the archive cannot be reached.
        """

    @abstractmethod
    def check_raw_data(self, site: FamilySite, run: PipelineRun, rawdata: Path, files: Sequence[FetchedFile]) -> None:
        """Check that the pipeline can make the result from the raw data.

        Args:
            site: the ledger.
            run: the run.
            rawdata: where they are.
            files: all of them.

        Raises:
            Refused: something is missing that cannot be fetched.
        """

    @abstractmethod
    def check_same_raw_data(self, site: FamilySite, run: PipelineRun, former: PipelineRun) -> None:
        """Check that a rerun may take the raw data of the run that it repeats: it would fetch the same.

        Args:
            site: the ledger and the archive.
            run: the rerun.
            former: the run that it repeats.

        Raises:
            RawDataUnusable: it would fetch others.
        """

    @abstractmethod
    def observed(self, site: FamilySite, run: PipelineRun) -> Observed:
        """Return what is known of the observation that a flag template selects from.

        Args:
            site: the archive and the areas.
            run: the run.
        """

    @abstractmethod
    def forms(self) -> tuple[Form, ...]:
        """Return the forms of its DAGs, of each one."""

    def recipes(self, settings: FamilySettings) -> Path:
        """Return the folder that holds ``ppr/`` with its PPR templates."""
        return self.templates or settings.templates

    def science_patterns(self, settings: FamilySettings) -> tuple[str, ...] | None:
        """Return the shell patterns of the science images that must be among the products; None without images."""
        return None if self.science_images is None else tuple(getattr(settings, self.science_images))

    @property
    def is_assigned(self) -> bool:
        """Whether each of its runs is assigned to a reviewer; else every data analyst may take it."""
        return self.assign_dag is not None

    @property
    def dags(self) -> tuple[str, ...]:
        """Its DAGs."""
        further = (self.rerun_dag, self.ingest_dag, self.fail_dag, self.cleanup_dag, self.withdraw_dag)
        return (self.kind, *further, *([self.assign_dag] if self.assign_dag is not None else []))


def required_attributes() -> dict[str, str]:
    """Return the attributes and methods that every family must have, each with what it is."""
    doc = inspect.cleandoc(Family.__doc__ or "").partition("Attributes:\n")[2]
    described: dict[str, str] = {}
    for line in doc.splitlines():
        text = line.strip()
        if line.startswith("    ") and not line.startswith("     "):
            name, _, text = text.partition(": ")
            described[name] = text
        elif described:
            described[name] += f" {text}"
    methods = {name: inspect.cleandoc(getattr(Family, name).__doc__).splitlines()[0] for name in METHODS}
    return {name: described[name] for name in Family.__annotations__} | methods


#: The methods that every family must have.
METHODS: tuple[str, ...] = tuple(
    name for name, member in vars(Family).items() if getattr(member, "__isabstractmethod__", False)
)
