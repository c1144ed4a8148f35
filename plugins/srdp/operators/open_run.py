"""Opening the pipeline run of a calibration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from srdp.families import VLA, Family, family_of
from srdp.families.execution_block import ExecutionBlockFamily
from srdp.operators.base import SrdpOperator, origin_of

if TYPE_CHECKING:
    from airflow.sdk import Context


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
        from srdp.services.context import site_context
        from srdp.services.opening.open_run import Resources, open_execution_block_run

        run = open_execution_block_run(
            site_context(),
            origin_of(context),
            self._family(),
            execution_block=self.execution_block,
            recipe=self.recipe,
            resources=Resources(engine=self.engine, cores=self.cores, memory_gb=self.memory_gb),
            faults=self.faults,
        )
        return run.pipeline_run_id
