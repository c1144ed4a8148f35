"""Opening a rerun: a new run of a request, with the files of the run before it or others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from srdp.domain.common.errors import InvalidInput, Refused, SettingsError, quoted
from srdp.domain.common.form_fields import said, says_nothing, truth
from srdp.domain.runs.states import ACTIVE, RunState, remedy_for
from srdp.families import Family, families, family_of
from srdp.operators.base import SrdpOperator
from srdp.operators.family_site import HookSite
from srdp.operators.open_run import asked_or, check_site, choose_engine, make_directory_of_opened_run, opened_by

if TYPE_CHECKING:
    from airflow.sdk import Context

    from srdp.domain.analyst_files.selections.observed import Observed
    from srdp.domain.disk.rerun import Former, FormInput, RerunFiles
    from srdp.domain.runs.ledger_records import PipelineRun
    from srdp.families.site import Archived
    from srdp.hooks.verdict_ledger import VerdictLedger
    from srdp.settings import Settings


class OpenRerunOperator(SrdpOperator):
    """Opens the next run of a request that has runs already, and returns its pipeline run ID.

    Each file is the one that is given, else the one in the former run's ``working/``, else the one that the ledger has;
    what CASA wrote there by itself it writes again. All are linted, and everything is checked, before anything is made.
    Then the ledger's row comes first, with the files; then the archive is told, if its family tells it anything (of a
    VLA execution block that had failed QA, that it is ``Ready`` again); the directory comes last. A DAG run opens one
    pipeline run, however often this task is tried or cleared, and with the files of the first time.

    Args:
        kind: the kind of the requests that it reruns, for example ``vla_calibration``.
        run_or_subject: a pipeline run ID, or what the runs work on (the name of an EB, the UID of a MOUS), of which the
            newest run is meant (templated).
        files: what is given: for each file, by the name that people use, its absolute ``path`` or its ``text``; which
            there are for a kind says :func:`srdp.domain.analyst_files.names.file_names` (templated).
        adapt: whether the PPR is adapted to the files, where that follows from which stage reads which; a truth value
            as text (templated).
        casa_release: one of the CASA installations of the settings (templated).
        engine: one of the engines that the settings allow (templated).
        cores: cores to ask the engine for (templated).
        memory_gb: memory to ask the engine for, in GB (templated).
        reopen: whether a request that is sealed, or a run that is archived or superseded, may be run again; a truth
            value as text (templated).

    Note:
        Of the templated arguments, an empty one and the text ``None`` say nothing; CASA, engine, cores and memory are
        then those of the former run. A rerun of images is what the user had asked for of them.
    """

    collects_faults = True
    template_fields: Sequence[str] = (
        "run_or_subject", "files", "adapt", "casa_release", "engine", "cores", "memory_gb", "reopen",
    )  # fmt: skip

    def __init__(
        self,
        *,
        kind: str,
        run_or_subject: str,
        files: Mapping[str, Mapping[str, str | None]] | None = None,
        adapt: str | bool = False,
        casa_release: str | None = None,
        engine: str | None = None,
        cores: str | int | None = None,
        memory_gb: str | int | None = None,
        reopen: str | bool = False,
        **kwargs: Any,  # noqa: ANN401  Airflow's own arguments of an operator
    ) -> None:
        super().__init__(**kwargs)
        self.kind = kind
        self.run_or_subject = run_or_subject
        self.files = files
        self.adapt = adapt
        self.casa_release = casa_release
        self.engine = engine
        self.cores = cores
        self.memory_gb = memory_gb
        self.reopen = reopen

    def family(self) -> Family:
        """Return the family of the run."""
        return family_of(self.kind)

    def run_step(self, context: Context) -> str:
        """Open the rerun; return its pipeline run ID."""
        from srdp.hooks.engines import record_engine
        from srdp.hooks.verdict_ledger import VerdictLedger
        from srdp.settings import load_settings

        settings = load_settings()
        ledger = VerdictLedger(settings)
        site = HookSite(settings, ledger, self.log)
        dag_run = context["dag_run"]
        run = ledger.run_of_dag_run(dag_run.dag_id, dag_run.run_id)
        if run is None:
            former = self._former(ledger)
            with self.faults.collected():
                choose_engine(settings, ledger, self.engine, former.pipeline_run_id)
            run = self._open(site, former, context)
        self.family().opened(site, run)
        record_engine(ledger, run.pipeline_run_id, choose_engine(settings, ledger, self.engine, run.former_run))
        make_directory_of_opened_run(settings, run, self.log)
        return run.pipeline_run_id

    def _open(self, site: HookSite, former: PipelineRun, context: Context) -> PipelineRun:
        """Check everything, and only then make the ledger's row."""
        from srdp.domain.runs.ledger_records import warned_at_opening

        settings, ledger = site.settings, site.ledger
        reopen = not says_nothing(self.reopen) and truth("Reopen")(self.reopen)
        _check_state(ledger, former, reopen=reopen)
        archived = self.family().archived(site, former)
        release = (said(self.casa_release) or former.casa_release).strip()
        with self.faults.collected():
            self._check_release(settings)
        with self.faults.together():
            files = self._files(settings, ledger, archived, former)
        check_site(settings, release, family_of(former.kind))
        for warning in files.warnings:
            self.log.warning("%s", warning.sentence)
        if files.adaptation is not None:
            self.log.info("The PPR is adapted to the files given:\n%s", "\n".join(files.adaptation.difference))
        for file in files.files:
            self.log.info("%s (SHA-256 %s) is taken from: %s", file.name, file.sha256, quoted(file.source, 300))
        for file in files.written_again:
            # An edit that was made before CASA had ended looks like CASA's own work.
            self.log.warning(
                "%s is not taken from %s: it is as it was when CASA ended, and CASA writes its own again. If you "
                "edited it while CASA was at work, give its path.",
                file.name, quoted(file.source, 300),
            )  # fmt: skip
        return ledger.open_run(
            kind=former.kind,
            subject=former.subject,
            project=archived.project,
            locator=archived.locator,
            recipe=former.recipe,
            cores=asked_or(self.cores, former.cores),
            memory_gb=asked_or(self.memory_gb, former.memory_gb),
            casa_release=release,
            former_run=former.pipeline_run_id,
            files=files.files,
            reopen=reopen,
            request_digest=former.request_digest,
            asked=former.asked,
            # Of what was asked, which is the same.
            warnings=warned_at_opening(ledger.events(former.pipeline_run_id)),
            **opened_by(context),
        )

    def _files(self, settings: Settings, ledger: VerdictLedger, archived: Archived, former: PipelineRun) -> RerunFiles:
        from srdp.domain.analyst_files.names import ADAPT
        from srdp.domain.disk.rerun import Former, files_of_rerun
        from srdp.domain.runs.pipeline_run import RunDirectoryMissing, find_run_directory

        try:
            directory = find_run_directory(settings.areas, former.pipeline_run_id)
        except RunDirectoryMissing:
            directory = None
            self.log.warning("%s has no directory any more: its files are the ledger's.", former.pipeline_run_id)
        recorded = ledger.submitted_files(former.pipeline_run_id)
        repeated = Former(family_of(former.kind).inputs, former, directory, recorded, archived.asdms)
        return files_of_rerun(
            self._said(),
            repeated,
            roots=settings.folders_of_submitted_files(),
            observed=_observed(repeated, archived),
            # But for the ID, which the rerun has not yet.
            from_recipe=lambda: self.family().render_request(settings, former, repeated.subject),
            adapt=not says_nothing(self.adapt) and truth(ADAPT)(self.adapt),
        )

    def _former(self, ledger: VerdictLedger) -> PipelineRun:
        """Return the run that is repeated; if there is none, nothing more can be checked than the form itself."""
        try:
            return _former_run(ledger, self.run_or_subject, family_of(self.kind))
        except InvalidInput as error:
            self.faults.refuse()
            raise error from None

    def _check_release(self, settings: Settings) -> None:
        """Refuse a release that was chosen and that the settings do not name."""
        chosen = said(self.casa_release)
        try:
            if chosen is not None:
                settings.casa_installation(chosen.strip())
        except SettingsError as error:
            raise InvalidInput(str(error)) from None

    def _said(self) -> Mapping[str, FormInput]:
        from srdp.domain.disk.rerun import FormInput

        given, names = self.files or {}, family_of(self.kind).inputs.file_names
        unread = [name for name in given if name not in names]
        if unread:
            raise InvalidInput(f"{quoted(unread[0])} is not read by {self.kind}: it reads {', '.join(names)}.")
        return {
            name: FormInput(path=said(each.get("path")), text=said(each.get("text"))) for name, each in given.items()
        }


def _former_run(ledger: VerdictLedger, wanted: str, family: Family) -> PipelineRun:
    """Return the run that is to be repeated: the one that is named, or the newest of what runs work on."""
    from srdp.domain.runs.identifiers import pipeline_run_id

    text = str(wanted).strip()
    if text.partition("-")[0] in {each.name for each in families()} and ".sb" not in text:
        run = ledger.run(pipeline_run_id(text))
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
    runs = ledger.runs_of_subject(family.kind, name)
    if not runs:
        raise InvalidInput(
            f"{name} has no pipeline run that could be repeated: start its first with {family.label} {family.action}."
        )
    return runs[-1]


def _check_state(ledger: VerdictLedger, former: PipelineRun, *, reopen: bool) -> None:
    """Lets a former run pass after which the table of states allows another."""
    for run in ledger.runs_of_request(former.kind, former.subject, former.request_digest):
        if run.state in ACTIVE:
            raise Refused(f"{former.subject} is not rerun: its {run.in_the_way}.")
    if former.state is RunState.CLEANING:
        raise Refused(
            f"{former.subject} is not rerun: its pipeline run {former.pipeline_run_id} is {former.state}; "
            f"{remedy_for(former.state)}."
        )
    sealed_at = ledger.sealed_at(former.kind, former.subject, former.request_digest)
    if reopen:
        return
    if sealed_at is not None:
        raise Refused(
            f"{former.subject} is not rerun: one of its runs passed QA on {sealed_at:%Y-%m-%d} and the request is "
            f"sealed (pipeline run {former.pipeline_run_id} is {former.state}); rerun it with Reopen if it is to"
            "be made again."
        )
    if former.state in {RunState.ARCHIVED, RunState.SUPERSEDED}:
        raise Refused(
            f"{former.subject} is not rerun: its pipeline run {former.pipeline_run_id} is {former.state}; rerun it "
            f"with Reopen if it is to be made again, else {remedy_for(former.state)}."
        )


def _observed(former: Former, archived: Archived) -> Observed:
    """Return what the former run's raw data say of the observation; where they are silent, what the archive says."""
    from srdp.domain.analyst_files.selections.observed import Observed, observed_together
    from srdp.domain.raw_data.sdm import observed_in

    read = Observed()
    if former.directory is not None:
        # What CASA calls the measurement set is what the SDM or ASDM of it is called.
        root, rawdata = former.directory.root, former.directory.rawdata
        read = observed_together(observed_in(root, rawdata / name) for name in former.subject.measurement_sets)
    known = archived.observed
    return Observed(start=read.start or known.start, end=read.end or known.end, antennas=read.antennas)
