"""Catching up with runs and jobs that nobody looks after any more."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from srdp.domain.errors import SrdpError
from srdp.domain.states import BEFORE_DELIVERY
from srdp.operators.base import SrdpOperator

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import RuntimeTaskInstanceProtocol

    from srdp.domain.ledger_records import PipelineRun
    from srdp.hooks.ledger import LedgerHook
    from srdp.operators.failure import StepFailure
    from srdp.settings import Settings

_ENDED = ("success", "failed")


class ReconcileRunsOperator(SrdpOperator):
    """Reports runs whose DAG run ended or vanished without telling, and cancels CASA jobs whose run has ended.

    Every task may be killed, and a DAG run may be marked failed, marked success or deleted by a person: then nobody is
    left to set the run's state, to send the mail and to end CASA. A run that was found so is looked at a second time
    after a while, because a task that is being stopped may still be delivering it, and because a DAG run that was just
    cleared goes on. Whatever happens in between, the ledger's table of states decides.

    Args:
        confirm_after_seconds: how long, in seconds, to wait before the second look.

    Note:
        Holds a worker while it waits, which it only does when a run was found.
    """

    def __init__(self, *, confirm_after_seconds: float = 20.0, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self.confirm_after_seconds = confirm_after_seconds

    def run_step(self, context: Context) -> None:
        """Reports and cancels; what goes wrong with one run or job is told at the end and holds up no other."""
        from srdp.hooks.ledger import LedgerHook
        from srdp.notifications.outbox import send_due_mails
        from srdp.settings import load_settings

        settings = load_settings()
        ledger = LedgerHook(settings)
        problems = self._report_runs(settings, ledger, context["ti"])
        send_due_mails(ledger, settings)
        problems += self._cancel_jobs(settings, ledger)
        if problems:
            raise SrdpError(" ".join(problems))

    def _report_runs(self, settings: Settings, ledger: LedgerHook, task: RuntimeTaskInstanceProtocol) -> list[str]:
        from srdp.operators.failure import report_failure

        if not _abandoned(ledger, task):
            return []
        time.sleep(self.confirm_after_seconds)
        problems = []
        for run, fate in _abandoned(ledger, task):
            failure = _untold(ledger, run, fate)
            self.log.warning("Pipeline run %s (%s): its DAG run %s.", run.pipeline_run_id, run.state, fate)
            try:
                report_failure(settings, ledger, run, failure)
            except (SrdpError, OSError) as error:
                problems.append(f"Pipeline run {run.pipeline_run_id} could not be reported: {error}")
        return problems

    def _cancel_jobs(self, settings: Settings, ledger: LedgerHook) -> list[str]:
        from srdp.operators.failure import end_casa_job

        problems = []
        for attempt in ledger.casa_attempts_without_task():
            try:
                status = end_casa_job(settings, ledger, attempt, "its pipeline run has ended")
            except (SrdpError, OSError) as error:
                problems.append(f"CASA job {attempt.job_name} could not be ended: {error}")
            else:
                self.log.warning("CASA job %s is gone (%s): its run has ended.", attempt.job_name, status.state)
        return problems


def _abandoned(ledger: LedgerHook, task: RuntimeTaskInstanceProtocol) -> list[tuple[PipelineRun, str]]:
    """Returns the runs before their delivery whose DAG run does not go on, and what became of it."""
    fates = [(run, _fate(task, run.dag_id, run.dag_run_id)) for run in ledger.runs_in(BEFORE_DELIVERY)]
    return [(run, fate) for run, fate in fates if fate is not None]


def _fate(task: RuntimeTaskInstanceProtocol, dag_id: str, dag_run_id: str) -> str | None:
    # Counted first: the state of a DAG run that is not there is an error of Airflow's API that looks like any other.
    if task.get_dr_count(dag_id=dag_id, run_ids=[dag_run_id]) == 0:
        return "is gone"
    # Compared, not shown: what Airflow returns is an Enum whose text is not its value.
    state = task.get_dagrun_state(dag_id, dag_run_id)
    return next((f"ended ({ended})" for ended in _ENDED if state == ended), None)


def _untold(ledger: LedgerHook, run: PipelineRun, fate: str) -> StepFailure:
    """Returns why a run is reported, with the last sentence that one of its steps left, if any did."""
    from srdp.operators.failure import StepFailure

    untold = f"Its DAG run {fate} without delivering it and without telling why"
    last = next((event for event in reversed(ledger.events(run.pipeline_run_id)) if event.event == "step_failed"), None)
    if last is None:
        return StepFailure(f"state {run.state}", f"{untold}: look at its tasks in Airflow.")
    return StepFailure(str(last.details.get("task")), f"{untold}; what was heard last: {last.details.get('sentence')}")
