"""Opening a rerun: a new run of a request, with the files of the run before it or others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from srdp.domain.errors import InvalidInput, Refused, quoted
from srdp.domain.execution_block import DO_NOT_CALIBRATE, READY
from srdp.domain.families import family_of
from srdp.domain.ledger_records import VLA_CALIBRATION
from srdp.domain.states import ACTIVE, RunState, way_out
from srdp.operators.base import SrdpOperator
from srdp.operators.open_run import (
    asked_or,
    check_calibratable,
    check_site,
    make_directory_of_opened_run,
    opened_by,
)

if TYPE_CHECKING:
    from pathlib import Path

    from airflow.sdk import Context

    from srdp.domain.execution_block import ExecutionBlock
    from srdp.domain.ledger_records import PipelineRun
    from srdp.domain.rerun import Former, RerunFiles
    from srdp.domain.selections import Observed
    from srdp.hooks.verdict_ledger import VerdictLedger
    from srdp.settings import Settings

_FILES = ("processing_request", "flag_template", "flux_densities", "antenna_positions")
#: The event by which a rerun says that its execution block may be calibrated again after a failed QA.
_SET_BACK: Final = "execution_block_set_back"


class OpenRerunOperator(SrdpOperator):
    """Opens the next run of a request that has runs already, and returns its pipeline run ID.

    Each file is the one that is given, else the one in the former run's ``working/``, else the one that the ledger has.
    All are linted, and everything is checked, before anything is made. Then the ledger's row comes first, with the
    files; if QA had failed, the execution block is set back to ``Ready`` in the archive; the directory comes last. A
    DAG run opens one pipeline run, however often this task is tried or cleared, and with the files of the first time.

    Args:
        run_or_execution_block: a pipeline run ID, or the name of an EB, of which the newest run is meant (templated).
        processing_request: the absolute path of the PPR (templated).
        flag_template: likewise of the ``flagtemplate.txt`` (templated).
        flux_densities: likewise of the ``flux.csv`` (templated).
        antenna_positions: likewise of the ``antennapos.csv`` (templated).
        processing_request_text: the PPR itself, instead of its path (templated).
        flag_template_text: likewise (templated).
        flux_densities_text: likewise (templated).
        antenna_positions_text: likewise (templated).
        casa_release: one of the CASA installations of the settings (templated).
        cores: cores to ask the engine for (templated).
        memory_gb: memory to ask the engine for, in GB (templated).
        reopen: whether a request that is sealed, or a run that is archived or superseded, may be run again; a truth
            value as text (templated).

    Note:
        Of the templated arguments, an empty one and the text ``None`` say nothing; CASA, cores and memory are then
        those of the former run.
    """

    template_fields: Sequence[str] = (
        "run_or_execution_block",
        *_FILES,
        *(f"{name}_text" for name in _FILES),
        "casa_release",
        "cores",
        "memory_gb",
        "reopen",
    )

    def __init__(
        self,
        *,
        run_or_execution_block: str,
        processing_request: str | None = None,
        flag_template: str | None = None,
        flux_densities: str | None = None,
        antenna_positions: str | None = None,
        processing_request_text: str | None = None,
        flag_template_text: str | None = None,
        flux_densities_text: str | None = None,
        antenna_positions_text: str | None = None,
        casa_release: str | None = None,
        cores: str | int | None = None,
        memory_gb: str | int | None = None,
        reopen: str | bool = False,
        **kwargs: Any,  # noqa: ANN401  Airflow's own arguments of an operator
    ) -> None:
        super().__init__(**kwargs)
        self.run_or_execution_block = run_or_execution_block
        self.processing_request = processing_request
        self.flag_template = flag_template
        self.flux_densities = flux_densities
        self.antenna_positions = antenna_positions
        self.processing_request_text = processing_request_text
        self.flag_template_text = flag_template_text
        self.flux_densities_text = flux_densities_text
        self.antenna_positions_text = antenna_positions_text
        self.casa_release = casa_release
        self.cores = cores
        self.memory_gb = memory_gb
        self.reopen = reopen

    def run_step(self, context: Context) -> str:
        """Opens the rerun; returns its pipeline run ID."""
        from srdp.domain.identifiers import locator
        from srdp.hooks.archive import ArchiveHook
        from srdp.hooks.verdict_ledger import VerdictLedger
        from srdp.settings import load_settings

        settings = load_settings()
        ledger, archive = VerdictLedger(settings), ArchiveHook(settings)
        dag_run = context["dag_run"]
        run = ledger.run_of_dag_run(dag_run.dag_id, dag_run.run_id)
        if run is None:
            former = _former_run(ledger, self.run_or_execution_block)
            run = self._open(settings, ledger, archive.execution_block(former.subject), former, context)
        if run.state is RunState.CREATED and _failed_qa(ledger, run):
            # Not later: somebody may have marked it for another reason since.
            if archive.execution_block(run.subject).calibration_status == DO_NOT_CALIBRATE:
                archive.set_calibration_status(locator(run.locator), READY)
                self.log.info("%s had failed QA and is set back to %s in the archive.", run.subject, READY)
            ledger.record(run.pipeline_run_id, _SET_BACK, once=True)
        make_directory_of_opened_run(settings, run, self.log)
        return run.pipeline_run_id

    def _open(
        self,
        settings: Settings,
        ledger: VerdictLedger,
        block: ExecutionBlock,
        former: PipelineRun,
        context: Context,
    ) -> PipelineRun:
        """Checks everything, and only then makes the ledger's row."""
        from srdp.domain.given_files import said

        reopen = _truth(self.reopen)
        _check_state(ledger, former, reopen=reopen)
        if not _failed_qa(ledger, former):
            check_calibratable(block)
        release = (said(self.casa_release) or former.casa_release).strip()
        check_site(settings, release, family_of(former.kind))
        files = self._files(settings, ledger, block, former)
        for warning in files.warnings:
            self.log.warning("%s", warning.sentence)
        for file in files.files:
            self.log.info("%s (SHA-256 %s) is taken from: %s", file.name, file.sha256, quoted(file.source, 300))
        return ledger.open_run(
            kind=former.kind,
            subject=block.name,
            project=block.project,
            locator=block.locator,
            recipe=former.recipe,
            cores=asked_or(self.cores, former.cores),
            memory_gb=asked_or(self.memory_gb, former.memory_gb),
            casa_release=release,
            former_run=former.pipeline_run_id,
            files=files.files,
            reopen=reopen,
            request_digest=former.request_digest,
            asked=former.asked,
            **opened_by(context),
        )

    def _files(
        self, settings: Settings, ledger: VerdictLedger, block: ExecutionBlock, former: PipelineRun
    ) -> RerunFiles:
        from srdp.domain.given_files import ANTENNA_POSITIONS, FLAG_TEMPLATE, FLUX_DENSITIES, PROCESSING_REQUEST
        from srdp.domain.pipeline_run import RunDirectoryMissing, find_run_directory
        from srdp.domain.rerun import Former, Said, files_of_rerun
        from srdp.operators.recipe import archived_asdms, processing_request_from_recipe

        try:
            directory = find_run_directory(settings.areas, former.pipeline_run_id)
        except RunDirectoryMissing:
            directory = None
            self.log.warning("%s has no directory any more: its files are the ledger's.", former.pipeline_run_id)
        recorded = ledger.given_files(former.pipeline_run_id)
        repeated = Former(former, directory, recorded, lambda: archived_asdms(settings, ledger, former))
        names = (PROCESSING_REQUEST, FLAG_TEMPLATE, FLUX_DENSITIES, ANTENNA_POSITIONS)
        return files_of_rerun(
            {
                name: Said(path=getattr(self, argument), text=getattr(self, f"{argument}_text"))
                for name, argument in zip(names, _FILES, strict=True)
            },
            repeated,
            roots=_roots(settings),
            observed=_observed(repeated, block),
            # But for the ID, which the rerun has not yet.
            from_recipe=lambda: processing_request_from_recipe(settings, former, repeated.subject),
        )


def _former_run(ledger: VerdictLedger, wanted: str) -> PipelineRun:
    """Returns the run that is to be repeated: the one that is named, or the newest of an execution block."""
    from srdp.domain.identifiers import execution_block_name, pipeline_run_id

    text = str(wanted).strip()
    if text.startswith(("vla-", "alma-")) and ".sb" not in text:
        run = ledger.run(pipeline_run_id(text))
        if run.kind != VLA_CALIBRATION:
            raise InvalidInput(f"{run.pipeline_run_id} is not the calibration of a VLA execution block.")
        return run
    try:
        name = execution_block_name(text)
    except InvalidInput:
        raise InvalidInput(
            f"{quoted(text)} is neither a pipeline run ID nor the name of a VLA execution block: copy one of them from "
            "the mail."
        ) from None
    runs = ledger.runs_of_subject(VLA_CALIBRATION, name)
    if not runs:
        raise InvalidInput(f"{name} has no pipeline run that could be repeated: start its first with VLA calibration.")
    return runs[-1]


def _check_state(ledger: VerdictLedger, former: PipelineRun, *, reopen: bool) -> None:
    """Lets a former run pass after which the table of states allows another."""
    for run in ledger.runs_of_request(former.kind, former.subject, former.request_digest):
        if run.state in ACTIVE:
            raise Refused(
                f"{former.subject} is not rerun: its pipeline run {run.pipeline_run_id} is active (state {run.state}); "
                f"{way_out(run.state)}."
            )
    if former.state is RunState.CLEANING:
        raise Refused(
            f"{former.subject} is not rerun: its pipeline run {former.pipeline_run_id} is {former.state}; "
            f"{way_out(former.state)}."
        )
    sealed_at = ledger.sealed_at(former.kind, former.subject, former.request_digest)
    if reopen:
        return
    if sealed_at is not None:
        raise Refused(
            f"{former.subject} is not rerun: one of its runs passed QA on {sealed_at:%Y-%m-%d} and the request is "
            f"sealed (pipeline run {former.pipeline_run_id} is {former.state}); rerun it with Reopen if it is to be "
            "made again."
        )
    if former.state in {RunState.ARCHIVED, RunState.SUPERSEDED}:
        raise Refused(
            f"{former.subject} is not rerun: its pipeline run {former.pipeline_run_id} is {former.state}; rerun it "
            f"with Reopen if it is to be made again, else {way_out(former.state)}."
        )


def _failed_qa(ledger: VerdictLedger, run: PipelineRun) -> bool:
    """Whether a run of the same request failed QA, so that we marked its execution block, and no rerun set it back."""
    marked = []
    for sibling in ledger.runs_of_request(run.kind, run.subject, run.request_digest):
        events = ledger.events(sibling.pipeline_run_id)
        marked += [(event.happened_at, True) for event in events if event.state_after is RunState.REJECTED]
        marked += [(event.happened_at, False) for event in events if event.event == _SET_BACK]
    return max(marked)[1] if marked else False


def _roots(settings: Settings) -> tuple[Path, ...]:
    return (settings.processing_area, settings.qa_area, *settings.analyst_files)


def _observed(former: Former, block: ExecutionBlock) -> Observed:
    """Returns what the former run's SDM says of the observation; where it is silent, what the archive says."""
    from srdp.domain.sdm import observed_in
    from srdp.domain.selections import Observed

    read = observed_in(former.directory.rawdata / block.name) if former.directory else Observed()
    return Observed(
        start=read.start or block.observed_start, end=read.end or block.observed_end, antennas=read.antennas
    )


def _truth(value: object) -> bool:
    """Returns the truth value that a form's field holds, as a template renders it.

    Raises:
        InvalidInput: it is none.
    """
    text = str(value).strip()
    if text not in {"True", "False", "None", ""}:
        raise InvalidInput(f"Reopen is {quoted(text)}: it is either True or False.")
    return text == "True"
