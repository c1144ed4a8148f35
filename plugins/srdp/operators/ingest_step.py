"""Base of the steps of an ingest."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from srdp.links.run_files import RUN_FILES_LINKS
from srdp.operators.base import PipelineRunOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from srdp.services.ingesting.context import IngestContext


class IngestStepOperator(PipelineRunOperator):
    """Base of the steps that make an ingest; each does nothing for a run that is archived already.

    Args:
        pipeline_run_id: the run (templated).
    """

    operator_extra_links = RUN_FILES_LINKS

    def run_step(self, context: Context) -> None:
        """Do the step, unless the run is archived."""
        work = self.ingest_context(context)
        if work.done:
            self.log.info("%s is %s: there is nothing to do here.", work.run_id, work.run.state)
        else:
            self.ingest_step(work)

    def ingest_context(self, context: Context) -> IngestContext:
        """Return what the step works with, if it is this DAG run's to do.

        Args:
            context: Airflow's context of the task.

        Raises:
            Refused: the run is neither being ingested by this DAG run nor archived.
        """
        from srdp.services.ingesting.context import ingest_context

        dag_run = context["dag_run"]
        return ingest_context(self.pipeline_run_id, (dag_run.dag_id, dag_run.run_id))

    @abstractmethod
    def ingest_step(self, work: IngestContext) -> None:
        """Do the work.

        Args:
            work: what to work with; the run is being ingested by this DAG run.
        """
