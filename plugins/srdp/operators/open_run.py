"""Opening a pipeline run: its ID, its ledger row and its directory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypedDict

from srdp.domain.common.errors import Refused
from srdp.domain.common.form_fields import said, says_nothing
from srdp.domain.runs.states import BEFORE_DELIVERY, RunState
from srdp.families import VLA, Family, family_of
from srdp.families.execution_block import ExecutionBlockFamily
from srdp.operators.base import SrdpOperator, asked_by

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import Logger

    from srdp.domain.runs.identifiers import PipelineRunId
    from srdp.domain.runs.ledger_records import PipelineRun
    from srdp.domain.runs.pipeline_run import RunDirectory
    from srdp.domain.runs.run_marker import RunMarker
    from srdp.domain.site.engine_names import EngineName
    from srdp.hooks.ledger import LedgerHook
    from srdp.settings import Settings


class OpenExecutionBlockRunOperator(SrdpOperator):
    """Opens a pipeline run for one VLA execution block and returns its pipeline run ID.

    The ledger's row comes first and the directory second, and both are found again when the task is repeated: a DAG
    run opens one pipeline run, however often this task is tried or cleared.

    Args:
        execution_block: the EB's name, or its locator (templated).
        recipe: the name of the PPR template (templated).
        kind: the kind of the request, of a family whose runs are made of an execution block.
        engine: one of the engines that the settings allow; empty or ``None`` means the setting ``engine`` (templated).
        cores: cores to ask the engine for; empty or ``None`` means the engine's or the site's setting (templated).
        memory_gb: memory to ask the engine for, in GB; likewise (templated).

    Note:
        It refuses an EB that has an active run, whose request is sealed, or that is marked ``Do Not Calibrate``; and
        to begin again, when it is cleared, with a run that has ended or was delivered.
    """

    collects_faults = True
    template_fields: Sequence[str] = ("execution_block", "recipe", "engine", "cores", "memory_gb")

    def __init__(
        self,
        *,
        execution_block: str,
        recipe: str,
        kind: str = VLA.kind,
        engine: str | None = None,
        cores: str | int | None = None,
        memory_gb: str | int | None = None,
        **kwargs: Any,  # noqa: ANN401  Airflow's own arguments of an operator
    ) -> None:
        super().__init__(**kwargs)
        self.execution_block = execution_block
        self.recipe = recipe
        self.kind = kind
        self.engine = engine
        self.cores = cores
        self.memory_gb = memory_gb

    def family(self) -> Family:
        """Return the family of the run."""
        return self._family()

    def _family(self) -> ExecutionBlockFamily:
        family = family_of(self.kind)
        if not isinstance(family, ExecutionBlockFamily):
            raise TypeError(f"{self.kind} is not made of a VLA execution block.")
        return family

    def run_step(self, context: Context) -> str:
        """Open the run; return its pipeline run ID."""
        from srdp.domain.ppr.document import check_recipe
        from srdp.hooks.archive import ArchiveHook
        from srdp.hooks.engines import record_engine
        from srdp.hooks.ledger import LedgerHook
        from srdp.settings import load_settings

        settings, family = load_settings(), self._family()
        ledger = LedgerHook(settings)
        with self.faults.collected():
            chosen = choose_engine(settings, ledger, self.engine)
        with self.faults.together():
            check_recipe(family.recipes(settings), self.recipe, label=family.label, variables=family.recipe_variables)
        check_site(settings, settings.casa_release, family)
        block = ArchiveHook(settings).execution_block(self.execution_block)
        family.check_block(block)
        run = ledger.open_run(
            kind=family.kind,
            subject=block.name,
            project=block.project,
            locator=block.locator,
            recipe=self.recipe,
            cores=asked_or(self.cores, settings.cores_of(chosen)),
            memory_gb=asked_or(self.memory_gb, settings.memory_gb_of(chosen)),
            casa_release=settings.casa_release,
            **opened_by(context),
        )
        record_engine(ledger, run.pipeline_run_id, chosen)
        make_directory_of_opened_run(settings, run, self.log)
        return run.pipeline_run_id


def choose_engine(
    settings: Settings, ledger: LedgerHook, asked: str | None, former: PipelineRunId | None = None
) -> EngineName:
    """Return the engine for a run: what the form says, else that of the former run, else the site's.

    Args:
        settings: the settings of this process.
        ledger: which engine the former run had.
        asked: the field of the form.
        former: the run that is repeated.

    Raises:
        InvalidInput: the form says one that the settings do not allow.
    """
    from srdp.hooks.engines import engine_of_run

    if said(asked) is None and former is not None:
        before = engine_of_run(ledger, former)
        if before in settings.allowed_engines:
            return settings.chosen_engine(before)
    return settings.chosen_engine(said(asked))


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
    from srdp.check.casa import check_heuristics
    from srdp.domain.files.storage import check_area

    for area in (*settings.areas.of_prefix(family.name), settings.areas.spool):
        check_area(area)
    check_heuristics(settings, casa_release, family)


class OpenedBy(TypedDict):
    """Who opens a run; three of the arguments of the ledger's ``open_run``.

    Attributes:
        dag_id: the DAG.
        dag_run_id: the DAG run.
        requested_by: who asked for it.
    """

    dag_id: str
    dag_run_id: str
    requested_by: str


def opened_by(context: Context) -> OpenedBy:
    """Return who opens a run, from the context of the task that does."""
    dag_run = context["dag_run"]
    return {
        "dag_id": dag_run.dag_id,
        "dag_run_id": dag_run.run_id,
        "requested_by": asked_by(context),
    }


def asked_or(value: str | int | None, default: int) -> int:
    """Return the number that a field of a form holds; the default if it was left empty."""
    return default if says_nothing(value) else int(float(str(value)))


def make_directory_of_opened_run(settings: Settings, run: PipelineRun, log: Logger) -> None:
    """Make the directory of a run that a DAG run has opened, now or in an earlier try, unless it is further on.

    Args:
        settings: the settings of this process.
        run: the run.
        log: the task's log.

    Raises:
        Refused: the run has ended, or was delivered.
    """
    from srdp.domain.runs.pipeline_run import processing_directory, spool_directory
    from srdp.domain.runs.run_marker import make_marked_spool

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
        "Pipeline run %s, version %d of %s, lies at %s",
        run.pipeline_run_id,
        run.version,
        run.subject,
        directory.root,
    )


def make_run_directory(directory: RunDirectory, marker: RunMarker, group: str | None = None) -> None:
    """Make a run's directory with the three places that CASA expects; those that are there are left as they are.

    Args:
        directory: the directory; the area that it is to lie in must be there.
        marker: what it is to be known by as the run's, which comes first.
        group: who may write into its ``working/`` and ``products/``, see :mod:`srdp.domain.disk.group_rights`.

    Raises:
        Refused: something of this name is there and is not the run's.
        SettingsError: there is no such group, or this account is no member of it.
        LocalFilesError: it cannot be made.
    """
    from srdp.domain.disk.group_rights import share_run_directory
    from srdp.domain.files.storage import local_files
    from srdp.domain.files.trusted_root import made_folder
    from srdp.domain.runs.run_marker import make_marked

    make_marked(directory.root, marker)
    for place in (directory.rawdata, directory.working, directory.products):
        with local_files(place), made_folder(directory.root, place):
            pass
    if group is not None:
        share_run_directory(directory, group)
