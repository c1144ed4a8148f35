"""Running the CASA pipeline for a pipeline run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from srdp.links.run_files import RUNNING_LINKS
from srdp.operators.base import CASA, PipelineRunOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

    from srdp.services.context import RunContext


class RunCasaPipelineOperator(PipelineRunOperator):
    """Runs the CASA pipeline on a run's PPR, once, and waits for its end without holding a worker.

    It is the CASA of the release that the run was opened with, and the pipeline of the run's family.

    Built so that it may die at any moment and be run again: CASA runs as a job of an engine, under a name that is
    derived from the run. The task looks for the job before it starts one. A task that is cleared or retried while CASA
    runs attaches to it, and no retry starts CASA twice.

    The task ends when the job has ended, however that was: the next step, which judges, finds out and records it. The
    trigger ends the task without a worker, because a task that resumes on one needs a slot of the pool again, and would
    wait for it behind the next CASA jobs, for days.

    While CASA runs, the task's log shows each stage as it begins, with the end of CASA's log.

    Args:
        pipeline_run_id: the run, in state ``processing`` (templated).
        pool: the pool that limits how many CASA jobs run at once; it must count deferred tasks.

    Note:
        Marking the task failed cancels the job with all its processes, within seconds if the triggerer is alive, else
        when the reconciling DAG next runs. Clearing it, or marking it successful, does not. After
        ``SRDP_CASA_DEADLINE_HOURS`` from its start the job is cancelled.
    """

    work_queue = CASA
    operator_extra_links = RUNNING_LINKS

    def __init__(self, *, pipeline_run_id: str, pool: str = "casa", **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(pipeline_run_id=pipeline_run_id, pool=pool, **kwargs)

    def run_step(self, context: Context) -> None:  # noqa: ARG002
        """Start CASA, or find it started, and defer until its end."""
        from srdp.services.context import processing_context

        self._follow(processing_context(self.pipeline_run_id, "CASA is not run"))

    def execute_complete(self, context: Context, event: Mapping[str, Any]) -> None:  # noqa: ARG002
        """Start the job, which the trigger did not find: it was claimed and never started.

        Args:
            context: Airflow's context of the task.
            event: what the trigger saw. It is not believed: the job is looked at again.
        """
        from srdp.services.context import run_context

        self.log.info("CASA job %s: %s", event.get("job_name"), event.get("state"))
        self._follow(run_context(self.pipeline_run_id))

    def _follow(self, run: RunContext) -> None:
        from srdp.services.processing.run_casa import run_casa
        from srdp.triggers.casa_job import CasaJobTrigger

        waiting = run_casa(run)
        if waiting is not None:
            self.defer(
                trigger=CasaJobTrigger(**waiting.trigger), method_name="execute_complete", timeout=waiting.timeout
            )
