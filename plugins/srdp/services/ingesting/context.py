"""What the steps of an ingest share: they look at what the ledger says is done, and only its own DAG run continues."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from srdp.domain.archiving.contents import Contents
from srdp.domain.common.errors import Refused, quoted
from srdp.domain.runs.ledger_records import Ingest
from srdp.domain.runs.states import RunState, remedy_for
from srdp.services.context import RunContext, run_context

#: After these the ingest itself is done, and nothing of it is done again.
AFTER_INGEST: Final = frozenset({RunState.ARCHIVED, RunState.CLEANING, RunState.CLEANED})


@dataclass(frozen=True)
class IngestContext(RunContext):
    """What a step of an ingest works with.

    Attributes:
        ingest: the run's ingest that is in force.
    """

    ingest: Ingest

    @property
    def done(self) -> bool:
        """Whether the run is archived, so that only what follows the ingest is left to do."""
        return self.run.state in AFTER_INGEST

    @property
    def contents(self) -> Contents:
        """What is archived of the run."""
        return self.family.contents

    @property
    def in_ngas(self) -> bool:
        """Whether every file of the ingest was proved to be in NGAS."""
        return self.ledger.archived_files.are_proved(self.ingest)


def with_ingest(context: RunContext, ingest: Ingest) -> IngestContext:
    """Return the context of a run with its ingest.

    Args:
        context: the run.
        ingest: its ingest that is in force.
    """
    return IngestContext(context.settings, context.ledger, context.run, ingest)


def ingest_context(run_id: str, dag_run: tuple[str, str]) -> IngestContext:
    """Return what a step works with, if it is this DAG run's to do.

    Args:
        run_id: the pipeline run ID, as somebody wrote it.
        dag_run: the DAG's id and the DAG run id.

    Raises:
        Refused: the run is neither being ingested by this DAG run nor archived.
    """
    context = run_context(run_id)
    run, ingest = context.run, context.ledger.ingests.in_force(context.run_id)
    if ingest is None or run.state not in AFTER_INGEST | {RunState.INGESTING}:
        raise Refused(f"{run.pipeline_run_id} is not being ingested: the run is {run.state}; {remedy_for(run.state)}.")
    if run.state is RunState.INGESTING and (ingest.dag_id, ingest.dag_run_id) != dag_run:
        raise Refused(
            f"{run.pipeline_run_id} is being ingested by another DAG run, {quoted(ingest.dag_run_id, 300)}: this one "
            "has nothing left to do."
        )
    return with_ingest(context, ingest)
