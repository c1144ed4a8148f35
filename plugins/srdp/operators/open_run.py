"""Opening a pipeline run: its ID, its ledger row and its directory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from srdp.domain.errors import Refused
from srdp.domain.execution_block import DO_NOT_CALIBRATE, ExecutionBlock
from srdp.domain.ledger_records import VLA_CALIBRATION
from srdp.domain.pipeline_run import RunDirectory, processing_directory
from srdp.domain.states import BEFORE_DELIVERY, RunState
from srdp.operators.base import SrdpOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class OpenCalibrationRunOperator(SrdpOperator):
    """Opens a pipeline run for one VLA execution block and returns its pipeline run ID.

    The ledger's row comes first and the directory second, and both are found again when the task is repeated: a DAG
    run opens one pipeline run, however often this task is tried or cleared.

    Args:
        execution_block: the EB's name, or its locator (templated).
        recipe: the name of the PPR template (templated).
        cores: cores to ask the engine for; empty or ``None`` means the setting ``default_cores`` (templated).
        memory_gb: memory to ask the engine for, in GB; likewise ``default_memory_gb`` (templated).

    Note:
        It refuses an EB that has an active run, whose request is sealed, or that is marked ``Do Not Calibrate``; and
        to begin again, when it is cleared, with a run that has ended or was delivered.
    """

    template_fields: Sequence[str] = ("execution_block", "recipe", "cores", "memory_gb")

    def __init__(
        self,
        *,
        execution_block: str,
        recipe: str,
        cores: str | int | None = None,
        memory_gb: str | int | None = None,
        **kwargs: Any,  # noqa: ANN401  Airflow's own arguments of an operator
    ) -> None:
        super().__init__(**kwargs)
        self.execution_block = execution_block
        self.recipe = recipe
        self.cores = cores
        self.memory_gb = memory_gb

    def run_step(self, context: Context) -> str:
        """Opens the run; returns its pipeline run ID."""
        from srdp.check import check_areas, check_heuristics
        from srdp.domain.ppr import recipe_template
        from srdp.hooks.archive import ArchiveHook
        from srdp.hooks.ledger import LedgerHook
        from srdp.settings import load_settings

        settings = load_settings()
        recipe_template(settings.templates, self.recipe)
        check_areas(settings)
        check_heuristics(settings)
        block = ArchiveHook(settings).execution_block(self.execution_block)
        _check_calibratable(block)
        dag_run = context["dag_run"]
        run = LedgerHook(settings).open_run(
            kind=VLA_CALIBRATION,
            subject=block.name,
            project=block.project,
            locator=block.locator,
            dag_id=dag_run.dag_id,
            dag_run_id=dag_run.run_id,
            requested_by=dag_run.triggering_user_name or dag_run.run_type,
            recipe=self.recipe,
            cores=_number(self.cores, settings.default_cores),
            memory_gb=_number(self.memory_gb, settings.default_memory_gb),
        )
        if run.state not in BEFORE_DELIVERY:
            raise Refused(
                f"{block.name} was not started: pipeline run {run.pipeline_run_id} of this DAG run is {run.state} and "
                "is not begun again; trigger a new DAG run."
            )
        directory = processing_directory(settings.areas, run.pipeline_run_id)
        if run.state is RunState.CREATED:
            # Not later: the directory may have been delivered by then.
            make_run_directory(directory)
        self.log.info(
            "Pipeline run %s, version %d of %s, lies at %s",
            run.pipeline_run_id,
            run.version,
            block.name,
            directory.root,
        )
        return run.pipeline_run_id


def make_run_directory(directory: RunDirectory) -> None:
    """Makes a run's directory with the three places that CASA expects; those that are there are left as they are."""
    for place in (directory.rawdata, directory.working, directory.products):
        place.mkdir(parents=True, exist_ok=True)


def _number(value: str | int | None, default: int) -> int:
    return int(value) if value not in (None, "", "None") else default


def _check_calibratable(block: ExecutionBlock) -> None:
    if block.calibration_status == DO_NOT_CALIBRATE:
        raise Refused(
            f"{block.name} is marked Do Not Calibrate in the archive: nothing was started. Set it back to Ready there "
            "if it is to be calibrated after all."
        )
