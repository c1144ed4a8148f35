"""Catching up with runs and jobs that nobody looks after any more."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from srdp.domain.common.errors import SrdpError
from srdp.domain.runs.states import BEFORE_DELIVERY, RunState
from srdp.operators.base import SrdpOperator
from srdp.operators.failure_record import STEP_FAILED, STEP_WAITS

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import RuntimeTaskInstanceProtocol

    from srdp.hooks.abandoned_runs import RunAtWork
    from srdp.hooks.ledger import LedgerHook
    from srdp.hooks.verdict_ledger import VerdictLedger
    from srdp.operators.failure import StepFailure
    from srdp.settings import Settings

_ENDED = ("success", "failed")
# What a step left before one of these is no reason for what comes after it.
_BEGINNINGS = frozenset({RunState.INGESTING, RunState.ARCHIVED})


@dataclass(frozen=True)
class _Abandoned:
    """A run whose DAG run does not go on.

    Attributes:
        work: the run, and which DAG run was to go on with it.
        fate: what became of that, as the end of a sentence.
    """

    work: RunAtWork
    fate: str


class ReconcileRunsOperator(SrdpOperator):
    """Reports runs whose DAG run ended or vanished without telling, and cancels CASA jobs whose run has ended.

    Every task may be killed, and a DAG run may be marked failed, marked success or deleted by a person: then nobody is
    left to set the run's state, to send the mail and to end CASA. A run that was found so is looked at a second time
    after a while, because a task that is being stopped may still be delivering it, and because a DAG run that was just
    cleared goes on. Whatever happens in between, the ledger's table of states decides. Of a run that was being ingested
    the archive is asked first whether it has the calibration. A run that is archived stays so: of what was left undone
    after that, the directory in the QA area or a changed verdict that the archive does not have, a mail tells once.

    Args:
        confirm_after_seconds: how long, in seconds, to wait before the second look.

    Note:
        Holds a worker while it waits, which it only does when a run was found.
    """

    needs_areas = False

    def __init__(self, *, confirm_after_seconds: float = 20.0, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self.confirm_after_seconds = confirm_after_seconds

    def run_step(self, context: Context) -> None:
        """Report and cancels; what goes wrong with one run or job is told at the end and holds up no other."""
        from srdp.hooks.verdict_ledger import VerdictLedger
        from srdp.notifications.outbox import send_due_mails
        from srdp.settings import load_settings

        settings = load_settings()
        ledger = VerdictLedger(settings)
        problems = self._report_runs(settings, ledger, context["ti"])
        send_due_mails(ledger, settings)
        problems += self._cancel_jobs(settings, ledger)
        for run_id, place in ledger.casa_queue().items():
            self.log.info("%s %s.", run_id, place)
        if problems:
            raise SrdpError(" ".join(problems))

    def _report_runs(self, settings: Settings, ledger: VerdictLedger, task: RuntimeTaskInstanceProtocol) -> list[str]:
        if not _abandoned(settings, ledger, task):
            return []
        time.sleep(self.confirm_after_seconds)
        problems = []
        for found in _abandoned(settings, ledger, task):
            run = found.work.run
            self.log.warning("Pipeline run %s (%s): its DAG run %s.", run.pipeline_run_id, run.state, found.fate)
            try:
                _report(settings, ledger, found)
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


def _abandoned(settings: Settings, ledger: VerdictLedger, task: RuntimeTaskInstanceProtocol) -> list[_Abandoned]:
    """Return the runs on which a DAG run was to go on that does not go on, and what became of it."""
    from srdp.hooks.abandoned_runs import runs_at_work

    fates = ((work, _fate(task, *work.dag_run)) for work in runs_at_work(settings, ledger))
    return [_Abandoned(work, fate) for work, fate in fates if fate is not None]


def _report(settings: Settings, ledger: VerdictLedger, found: _Abandoned) -> None:
    from srdp.operators.failure import report_failure
    from srdp.operators.ingest_failure import report_ingest_failure

    failure, run = _untold(ledger, found), found.work.run
    if run.state in BEFORE_DELIVERY:
        report_failure(settings, ledger, run, failure)
    else:
        is_archived = run.state is RunState.ARCHIVED
        report_ingest_failure(settings, ledger, run, failure, dag_run=found.work.dag_run, tell_if_archived=is_archived)


def _fate(task: RuntimeTaskInstanceProtocol, dag_id: str, dag_run_id: str) -> str | None:
    # Counted first: the state of a DAG run that is not there is an error of Airflow's API that looks like any other.
    if task.get_dr_count(dag_id=dag_id, run_ids=[dag_run_id]) == 0:
        return "is gone"
    # Compared, not shown: what Airflow returns is an Enum whose text is not its value.
    state = task.get_dagrun_state(dag_id, dag_run_id)
    return next((f"ended ({ended})" for ended in _ENDED if state == ended), None)


def _untold(ledger: VerdictLedger, found: _Abandoned) -> StepFailure:
    """Return why a run is reported, with the last sentence that one of its steps left, if any did."""
    from srdp.hooks.verdict_ledger import VERDICT_CHANGED
    from srdp.operators.failure import StepFailure

    run, left = found.work.run, found.work.left
    action = "delivering" if run.state in BEFORE_DELIVERY else "ingesting"
    untold = f"Its DAG run {found.fate} without {action} it and without a report"
    if left:
        untold = f"Its DAG run {found.fate} without finishing and without a report, and {left}"
    last = None
    for event in ledger.events(run.pipeline_run_id):
        if event.event in (STEP_FAILED, STEP_WAITS):
            last = event
        elif event.state_after in _BEGINNINGS or event.event == VERDICT_CHANGED:
            # What was heard before is told of already.
            last = None
    if last is None:
        return StepFailure(found.work.step or f"state {run.state}", f"{untold}: look at its tasks in Airflow.")
    return StepFailure(str(last.details.get("task")), f"{untold}; what was heard last: {last.details.get('sentence')}")
