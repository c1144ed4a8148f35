"""Opening a rerun: a new run of a request, with the files of the run before it or others."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from srdp.domain.analyst_files.names import ADAPT
from srdp.domain.analyst_files.selections.observed import Observed, observed_together
from srdp.domain.common.errors import Faults, InvalidInput, Refused, SettingsError, quoted
from srdp.domain.common.form_fields import said, says_nothing, truth
from srdp.domain.disk.rerun import Former, FormInput, RerunFiles, files_of_rerun
from srdp.domain.raw_data.sdm import observed_in
from srdp.domain.runs.identifiers import pipeline_run_id
from srdp.domain.runs.ledger_records import PipelineRun, warned_at_opening
from srdp.domain.runs.pipeline_run import RunDirectoryMissing
from srdp.domain.runs.states import ACTIVE, RunState, remedy_for
from srdp.families import Family, families, family_of
from srdp.families.site import Archived
from srdp.hooks.engines import record_engine
from srdp.hooks.ledger import Ledger
from srdp.services.context import Origin, RunContext, SiteContext
from srdp.services.opening.open_run import (
    Resources,
    asked_or,
    check_site,
    choose_engine,
    make_directory_of_opened_run,
)
from srdp.services.processing.family_site import HookSite
from srdp.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RerunForm:
    """What the form says of a rerun; an empty field or ``None`` says nothing.

    Attributes:
        kind: the kind of the requests, for example ``vla_calibration``.
        run_or_subject: a pipeline run ID, or what the runs work on, of which the newest run is meant.
        files: for each file, by the name that people use, its absolute ``path`` or its ``text``.
        adapt: whether the PPR is adapted to the files.
        casa_release: one of the CASA installations of the settings.
        reopen: whether a request that is sealed, or a run that is archived or superseded, may be run again.
    """

    kind: str
    run_or_subject: str
    files: Mapping[str, Mapping[str, str | None]]
    adapt: str | bool
    casa_release: str | None
    reopen: str | bool

    @property
    def reopens(self) -> bool:
        """Whether a sealed request may be run again."""
        return not says_nothing(self.reopen) and truth("Reopen")(self.reopen)

    @property
    def adapts(self) -> bool:
        """Whether the PPR is adapted to the files."""
        return not says_nothing(self.adapt) and truth(ADAPT)(self.adapt)

    def given_files(self) -> dict[str, FormInput]:
        """Return what the form says of each file.

        Raises:
            InvalidInput: one of them is not read by requests of this kind.
        """
        names = family_of(self.kind).inputs.file_names
        unread = [name for name in self.files if name not in names]
        if unread:
            raise InvalidInput(f"{quoted(unread[0])} is not read by {self.kind}: it reads {', '.join(names)}.")
        return {
            name: FormInput(path=said(each.get("path")), text=said(each.get("text")))
            for name, each in self.files.items()
        }


def open_rerun(site: SiteContext, origin: Origin, form: RerunForm, resources: Resources, faults: Faults) -> PipelineRun:
    """Open the next run of a request, or find the one that this DAG run has opened before.

    Args:
        site: settings and ledger.
        origin: who opens it.
        form: what is repeated, and with which files.
        resources: engine, cores and memory; by default those of the former run.
        faults: what is known to be wrong with the form; it is told with what is found here.

    Raises:
        InvalidInput: something is wrong with the form or a file, or there is no such run.
        Refused: the table of states does not allow it, or the subject is not to be made again; or the DAG run's run has
            ended or was delivered.
        StorageUnavailable: an area is not there, full, or not writable now.
        SettingsError: the pipeline is not there.
        ServiceUnavailable: the ledger or the archive cannot be reached.
    """
    family, ledger = family_of(form.kind), site.ledger
    run = ledger.runs.of_dag_run(*origin.dag_run)
    if run is None:
        former = _former(ledger, form, faults)
        with faults.collected():
            choose_engine(site, resources.engine, former.pipeline_run_id)
        run = _open(site.of_run(former), origin, form, resources, faults)
    family.opened(HookSite(site), run)
    record_engine(ledger, run.pipeline_run_id, choose_engine(site, resources.engine, run.former_run))
    make_directory_of_opened_run(site.settings, run)
    return run


def _open(
    context: RunContext,
    origin: Origin,
    form: RerunForm,
    resources: Resources,
    faults: Faults,
) -> PipelineRun:
    """Check everything, and only then make the ledger's row."""
    former, settings, ledger = context.run, context.settings, context.ledger
    reopen = form.reopens
    _check_state(context, reopen=reopen)
    archived = context.family.archived(HookSite(context), former)
    release = (said(form.casa_release) or former.casa_release).strip()
    with faults.collected():
        _check_release(settings, form.casa_release)
    with faults.together():
        files = _files(context, form, archived)
    check_site(settings, release, context.family)
    _log_files(files)
    return ledger.runs.open(
        kind=former.kind,
        subject=former.subject,
        project=archived.project,
        locator=archived.locator,
        recipe=former.recipe,
        cores=asked_or(resources.cores, former.cores),
        memory_gb=asked_or(resources.memory_gb, former.memory_gb),
        casa_release=release,
        former_run=former.pipeline_run_id,
        files=files.files,
        reopen=reopen,
        request_digest=former.request_digest,
        asked=former.asked,
        # Of what was asked, which is the same.
        warnings=warned_at_opening(ledger.events.of_run(former.pipeline_run_id)),
        **asdict(origin),
    )


def _log_files(files: RerunFiles) -> None:
    for warning in files.warnings:
        log.warning("%s", warning.sentence)
    if files.adaptation is not None:
        log.info("The PPR is adapted to the files given:\n%s", "\n".join(files.adaptation.difference))
    for file in files.files:
        log.info("%s (SHA-256 %s) is taken from: %s", file.name, file.sha256, quoted(file.source, 300))
    for file in files.written_again:
        # An edit that was made before CASA had ended looks like CASA's own work.
        log.warning(
            "%s is not taken from %s: it is as it was when CASA ended, and CASA writes its own again. If you "
            "edited it while CASA was at work, give its path.",
            file.name, quoted(file.source, 300),
        )  # fmt: skip


def _files(context: RunContext, form: RerunForm, archived: Archived) -> RerunFiles:
    former, settings = context.run, context.settings
    try:
        directory = context.directory()
    except RunDirectoryMissing:
        directory = None
        log.warning("%s has no directory any more: its files are the ledger's.", former.pipeline_run_id)
    recorded = context.ledger.submitted_files.of_run(former.pipeline_run_id)
    repeated = Former(context.family.inputs, former, directory, recorded, archived.asdms)
    return files_of_rerun(
        form.given_files(),
        repeated,
        roots=settings.folders_of_submitted_files(),
        observed=_observed(repeated, archived),
        # But for the ID, which the rerun has not yet.
        from_recipe=lambda: context.family.render_request(settings, former, repeated.subject),
        adapt=form.adapts,
    )


def _former(ledger: Ledger, form: RerunForm, faults: Faults) -> PipelineRun:
    """Return the run that is repeated; if there is none, nothing more can be checked than the form itself."""
    try:
        return _former_run(ledger, form.run_or_subject, family_of(form.kind))
    except InvalidInput as error:
        faults.refuse()
        raise error from None


def _check_release(settings: Settings, asked: str | None) -> None:
    """Refuse a release that was chosen and that the settings do not name."""
    chosen = said(asked)
    try:
        if chosen is not None:
            settings.casa_installation(chosen.strip())
    except SettingsError as error:
        raise InvalidInput(str(error)) from None


def _former_run(ledger: Ledger, wanted: str, family: Family) -> PipelineRun:
    """Return the run that is to be repeated: the one that is named, or the newest of what runs work on."""
    text = str(wanted).strip()
    if text.partition("-")[0] in {each.name for each in families()} and ".sb" not in text:
        run = ledger.runs.get(pipeline_run_id(text))
        if run.kind != family.kind:
            other = family_of(run.kind)
            raise InvalidInput(
                f"{run.pipeline_run_id} is a run of {other.label} {other.action}: give it to {other.label} rerun "
                f"({other.rerun_dag})."
            )
        return run
    try:
        name = family.check_subject(text)
    except InvalidInput:
        raise InvalidInput(
            f"{quoted(text)} is neither a pipeline run ID nor {family.subject_named}: copy one of them from the mail."
        ) from None
    runs = ledger.runs.of_subject(family.kind, name)
    if not runs:
        raise InvalidInput(
            f"{name} has no pipeline run that could be repeated: start its first with {family.label} {family.action}."
        )
    return runs[-1]


def _check_state(context: RunContext, *, reopen: bool) -> None:
    """Let a former run pass after which the table of states allows another."""
    former = context.run
    for run in context.runs_of_request():
        if run.state in ACTIVE:
            raise Refused(f"{former.subject} is not rerun: its {run.in_the_way}.")
    if former.state is RunState.CLEANING:
        raise Refused(
            f"{former.subject} is not rerun: its pipeline run {former.pipeline_run_id} is {former.state}; "
            f"{remedy_for(former.state)}."
        )
    sealed_at = context.ledger.runs.sealed_at(former.kind, former.subject, former.request_digest)
    if reopen:
        return
    if sealed_at is not None:
        raise Refused(
            f"{former.subject} is not rerun: one of its runs passed QA on {sealed_at:%Y-%m-%d} and the request is "
            f"sealed (pipeline run {former.pipeline_run_id} is {former.state}); rerun it with Reopen if it is to "
            "be made again."
        )
    if former.state in {RunState.ARCHIVED, RunState.SUPERSEDED}:
        raise Refused(
            f"{former.subject} is not rerun: its pipeline run {former.pipeline_run_id} is {former.state}; rerun it "
            f"with Reopen if it is to be made again, else {remedy_for(former.state)}."
        )


def _observed(former: Former, archived: Archived) -> Observed:
    """Return what the former run's raw data say of the observation; where they are silent, what the archive says."""
    read = Observed()
    if former.directory is not None:
        # What CASA calls the measurement set is what the SDM or ASDM of it is called.
        root, rawdata = former.directory.root, former.directory.rawdata
        read = observed_together(observed_in(root, rawdata / name) for name in former.subject.measurement_sets)
    known = archived.observed
    return Observed(start=read.start or known.start, end=read.end or known.end, antennas=read.antennas)
