"""What the steps of an ingest share: they look at what the ledger says is done, and only its own DAG run goes on."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from srdp.domain.common.errors import Refused, quoted
from srdp.domain.runs.states import RunState, remedy_for
from srdp.families import Family, family_of
from srdp.links.run_files import RUN_FILES_LINKS
from srdp.operators.base import PipelineRunOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from srdp.domain.archiving.contents import Contents
    from srdp.domain.runs.identifiers import PipelineRunId
    from srdp.domain.runs.ledger_records import Ingest, PipelineRun
    from srdp.domain.runs.pipeline_run import RunDirectory
    from srdp.hooks.verdict_ledger import VerdictLedger
    from srdp.settings import Settings

#: After these the ingest itself is done, and nothing of it is done again.
AFTER_INGEST = frozenset({RunState.ARCHIVED, RunState.CLEANING, RunState.CLEANED})


@dataclass(frozen=True)
class IngestWork:
    """What a step of an ingest works with.

    Attributes:
        settings: the settings of this process.
        ledger: the ledger.
        run: the run, read just now.
        ingest: its ingest that is in force.
    """

    settings: Settings
    ledger: VerdictLedger
    run: PipelineRun
    ingest: Ingest

    @property
    def done(self) -> bool:
        """Whether the run is archived, so that only what follows the ingest is left to do."""
        return self.run.state in AFTER_INGEST

    @property
    def family(self) -> Family:
        """The family of the run."""
        return family_of(self.run.kind)

    @property
    def contents(self) -> Contents:
        """What is archived of the run."""
        return self.family.contents

    def directory(self) -> RunDirectory:
        """Return the run's directory, from where it is now.

        Raises:
            RunDirectoryMissing: it is in neither area.
        """
        from srdp.domain.runs.pipeline_run import find_run_directory

        return find_run_directory(self.settings.areas, self.run.pipeline_run_id)


def ingest_work(pipeline_run_id: str, context: Context) -> IngestWork:
    """Return what a step works with, if it is this DAG run's to do.

    Args:
        pipeline_run_id: the run, as the operator got it.
        context: the task's context.

    Raises:
        Refused: the run is neither being ingested by this DAG run nor archived.
    """
    from srdp.domain.runs.identifiers import pipeline_run_id as checked
    from srdp.hooks.verdict_ledger import VerdictLedger
    from srdp.settings import load_settings

    settings = load_settings()
    ledger = VerdictLedger(settings)
    run = ledger.run(checked(pipeline_run_id))
    ingest = ledger.ingest(run.pipeline_run_id)
    if ingest is None or run.state not in AFTER_INGEST | {RunState.INGESTING}:
        raise Refused(f"{run.pipeline_run_id} is not being ingested: the run is {run.state}; {remedy_for(run.state)}.")
    dag_run = context["dag_run"]
    if run.state is RunState.INGESTING and (ingest.dag_id, ingest.dag_run_id) != (dag_run.dag_id, dag_run.run_id):
        raise Refused(
            f"{run.pipeline_run_id} is being ingested by another DAG run, {quoted(ingest.dag_run_id, 300)}: this one "
            "has nothing left to do."
        )
    return IngestWork(settings, ledger, run, ingest)


def check_family(run_id: PipelineRunId, wanted: str, dag_id: str) -> None:
    """Lets a run pass that this DAG is for.

    Args:
        run_id: the run.
        wanted: the DAG that is for runs of its family.
        dag_id: this DAG.

    Raises:
        Refused: the run is of another family.
    """
    if dag_id != wanted:
        raise Refused(f"{run_id} is not for {quoted(dag_id)}: trigger {wanted} with it.")


def in_ngas(work: IngestWork) -> bool:
    """Whether every file of the ingest was proved to be in NGAS."""
    return work.ledger.is_in_ngas(work.ingest)


class IngestStepOperator(PipelineRunOperator):
    """Base of the steps that make an ingest; each does nothing for a run that is archived already.

    Args:
        pipeline_run_id: the run (templated).
    """

    operator_extra_links = RUN_FILES_LINKS

    def run_step(self, context: Context) -> None:
        """Do the step, unless the run is archived."""
        work = ingest_work(self.pipeline_run_id, context)
        if work.done:
            self.log.info("%s is %s: there is nothing to do here.", work.run.pipeline_run_id, work.run.state)
        else:
            self.ingest_step(work)

    @abstractmethod
    def ingest_step(self, work: IngestWork) -> None:
        """Do the work.

        Args:
            work: what to work with; the run is being ingested by this DAG run.
        """
