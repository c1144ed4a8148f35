"""Opening a pipeline run: its ID, its ledger row and its directory."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass

from srdp.check.casa import check_heuristics
from srdp.domain.common.errors import Faults, Refused
from srdp.domain.common.form_fields import said, says_nothing
from srdp.domain.disk.run_directory import make_run_directory
from srdp.domain.files.storage import check_area
from srdp.domain.ppr.document import check_recipe
from srdp.domain.runs.identifiers import PipelineRunId
from srdp.domain.runs.ledger_records import PipelineRun
from srdp.domain.runs.pipeline_run import processing_directory, spool_directory
from srdp.domain.runs.run_marker import make_marked_spool
from srdp.domain.runs.states import BEFORE_DELIVERY, RunState
from srdp.domain.site.engine_names import EngineName
from srdp.families import Family
from srdp.families.execution_block import ExecutionBlockFamily
from srdp.hooks.archive import ArchiveHook
from srdp.hooks.engines import engine_of_run, record_engine
from srdp.services.context import Origin, SiteContext
from srdp.settings import Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What the form says of how CASA is run; an empty field or ``None`` says nothing.

    Attributes:
        engine: one of the engines that the settings allow.
        cores: cores to ask the engine for.
        memory_gb: memory to ask the engine for, in GB.
    """

    engine: str | None = None
    cores: str | int | None = None
    memory_gb: str | int | None = None


def open_execution_block_run(
    site: SiteContext,
    origin: Origin,
    family: ExecutionBlockFamily,
    *,
    execution_block: str,
    recipe: str,
    resources: Resources,
    faults: Faults,
) -> PipelineRun:
    """Open a run for a VLA execution block, or find the one that this DAG run has opened before.

    Args:
        site: settings and ledger.
        origin: who opens it.
        family: of which family the run is.
        execution_block: the EB's name, or its locator.
        recipe: the name of the PPR template.
        resources: engine, cores and memory; by default those of the settings.
        faults: what is known to be wrong with the form; it is told with what is found here.

    Raises:
        InvalidInput: something is wrong with the form, or the archive has no such execution block.
        Refused: the EB has an active run, its request is sealed, or it is marked ``Do Not Calibrate``; or the DAG run's
            run has ended or was delivered.
        StorageUnavailable: an area is not there, full, or not writable now.
        SettingsError: the pipeline is not there.
        ServiceUnavailable: the ledger or the archive cannot be reached.
    """
    settings, ledger = site.settings, site.ledger
    with faults.collected():
        chosen = choose_engine(site, resources.engine)
    with faults.together():
        check_recipe(family.recipes(settings), recipe, label=family.label, variables=family.recipe_variables)
    check_site(settings, settings.casa_release, family)
    block = ArchiveHook(settings).execution_block(execution_block)
    family.check_block(block)
    run = ledger.runs.open(
        kind=family.kind,
        subject=block.name,
        project=block.project,
        locator=block.locator,
        recipe=recipe,
        cores=asked_or(resources.cores, settings.cores_of(chosen)),
        memory_gb=asked_or(resources.memory_gb, settings.memory_gb_of(chosen)),
        casa_release=settings.casa_release,
        **asdict(origin),
    )
    record_engine(ledger, run.pipeline_run_id, chosen)
    make_directory_of_opened_run(settings, run)
    return run


def choose_engine(site: SiteContext, asked: str | None, former: PipelineRunId | None = None) -> EngineName:
    """Return the engine for a run: what the form says, else that of the former run, else the site's.

    Args:
        site: the settings, and the ledger, which knows which engine the former run had.
        asked: the field of the form.
        former: the run that is repeated.

    Raises:
        InvalidInput: the form says one that the settings do not allow.
    """
    if said(asked) is None and former is not None:
        before = engine_of_run(site.ledger, former)
        if before in site.settings.allowed_engines:
            return site.settings.chosen_engine(before)
    return site.settings.chosen_engine(said(asked))


def check_site(settings: Settings, casa_release: str, family: Family) -> None:
    """Find out, before a run is made, whether it could be run.

    Args:
        settings: the settings of this process.
        casa_release: the CASA that it would be run with.
        family: whose run it would be.

    Raises:
        StorageUnavailable: an area is not there, full, or not writable now.
        SettingsError: the pipeline is not there, or the settings name no such release.
    """
    for area in (*settings.areas.of_prefix(family.name), settings.areas.spool):
        check_area(area)
    check_heuristics(settings, casa_release, family)


def asked_or(value: str | int | None, default: int) -> int:
    """Return the number that a field of a form holds; the default if it was left empty."""
    return default if says_nothing(value) else int(float(str(value)))


def make_directory_of_opened_run(settings: Settings, run: PipelineRun) -> None:
    """Make the directory of a run that a DAG run has opened, now or in an earlier try, unless it is further on.

    Args:
        settings: the settings of this process.
        run: the run.

    Raises:
        Refused: the run has ended, or was delivered.
    """
    if run.state not in BEFORE_DELIVERY:
        raise Refused(
            f"{run.subject} was not started: pipeline run {run.pipeline_run_id} of this DAG run is {run.state} and "
            "is not begun again; trigger a new DAG run."
        )
    directory = processing_directory(settings.areas, run.pipeline_run_id)
    if run.state is RunState.CREATED:
        # Not later: the directory may have been delivered by then.
        make_run_directory(directory, run.marker, settings.analysts_group)
        make_marked_spool(spool_directory(settings.areas, run.pipeline_run_id), run.marker)
    log.info(
        "Pipeline run %s, version %d of %s, is at %s",
        run.pipeline_run_id,
        run.version,
        run.subject,
        directory.root,
    )
