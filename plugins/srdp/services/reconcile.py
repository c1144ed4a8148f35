"""Catching up with runs and jobs that have no live DAG run any more."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import Protocol

from srdp.domain.common.errors import SrdpError
from srdp.domain.events.names import EventName
from srdp.domain.runs.states import BEFORE_DELIVERY, RunState
from srdp.domain.runs.steps import StepFailure
from srdp.hooks.abandoned_runs import RunAtWork, runs_at_work
from srdp.hooks.ledger import Ledger
from srdp.notifications.outbox import send_due_mails
from srdp.services.context import SiteContext
from srdp.services.ingesting.failure import report_ingest_failure
from srdp.services.processing.failure import end_casa_job, report_failure

log = logging.getLogger(__name__)

_ENDED = ("success", "failed")
# What a step left before one of these is no reason for what comes after it.
_BEGINNINGS = frozenset({RunState.INGESTING, RunState.ARCHIVED})


@dataclass(frozen=True)
class _Abandoned:
    """A run whose DAG run does not continue.

    Attributes:
        work: the run, and which DAG run was to continue with it.
        fate: what became of that, as the end of a sentence.
    """

    work: RunAtWork
    fate: str


class DagRuns(Protocol):
    """What is asked of Airflow; a task instance answers."""

    @staticmethod
    def get_dr_count(dag_id: str, *, run_ids: list[str] | None) -> int:
        """Return how many of these DAG runs there are."""

    @staticmethod
    def get_dagrun_state(dag_id: str, run_id: str) -> str:
        """Return the state of a DAG run."""


def reconcile(site: SiteContext, airflow: DagRuns, *, confirm_after_seconds: float) -> None:
    """Report runs whose DAG run ended or vanished without a report, and cancel CASA jobs whose run has ended.

    Args:
        site: settings and ledger.
        airflow: what asks Airflow.
        confirm_after_seconds: how long, in seconds, to wait before the second look.

    Raises:
        SrdpError: what went wrong with single runs or jobs; it held up no other.
        ServiceUnavailable: the ledger cannot be reached.
    """
    problems = _report_runs(site, airflow, confirm_after_seconds)
    send_due_mails(site.ledger, site.settings)
    problems += _cancel_jobs(site)
    for run_id, place in site.ledger.casa.queue().items():
        log.info("%s %s.", run_id, place)
    if problems:
        raise SrdpError(" ".join(problems))


def _report_runs(site: SiteContext, airflow: DagRuns, confirm_after_seconds: float) -> list[str]:
    if not _abandoned(site, airflow):
        return []
    time.sleep(confirm_after_seconds)
    problems = []
    for found in _abandoned(site, airflow):
        run = found.work.run
        log.warning("Pipeline run %s (%s): its DAG run %s.", run.pipeline_run_id, run.state, found.fate)
        try:
            _report(site, found)
        except (SrdpError, OSError) as error:
            problems.append(f"Pipeline run {run.pipeline_run_id} could not be reported: {error}")
    return problems


def _cancel_jobs(site: SiteContext) -> list[str]:
    problems = []
    for attempt in site.ledger.casa.without_task():
        try:
            status = end_casa_job(site, attempt, "its pipeline run has ended")
        except (SrdpError, OSError) as error:
            problems.append(f"CASA job {attempt.job_name} could not be ended: {error}")
        else:
            log.warning("CASA job %s is gone (%s): its run has ended.", attempt.job_name, status.state)
    return problems


def _abandoned(site: SiteContext, airflow: DagRuns) -> list[_Abandoned]:
    """Return the runs on which a DAG run was to continue that does not continue, and what became of it."""
    fates = ((work, _fate(airflow, *work.dag_run)) for work in runs_at_work(site.settings, site.ledger))
    return [_Abandoned(work, fate) for work, fate in fates if fate is not None]


def _report(site: SiteContext, found: _Abandoned) -> None:
    failure, run = _unreported(site.ledger, found), found.work.run
    context = site.of_run(run)
    if run.state in BEFORE_DELIVERY:
        report_failure(context, failure)
    else:
        is_archived = run.state is RunState.ARCHIVED
        report_ingest_failure(context, failure, dag_run=found.work.dag_run, report_if_archived=is_archived)


def _fate(airflow: DagRuns, dag_id: str, dag_run_id: str) -> str | None:
    # Counted first: the state of a DAG run that is not there is an error of Airflow's API that looks like any other.
    if airflow.get_dr_count(dag_id=dag_id, run_ids=[dag_run_id]) == 0:
        return "is gone"
    # Compared, not shown: what Airflow returns is an Enum whose text is not its value.
    state = airflow.get_dagrun_state(dag_id, dag_run_id)
    return next((f"ended ({ended})" for ended in _ENDED if state == ended), None)


def _unreported(ledger: Ledger, found: _Abandoned) -> StepFailure:
    """Return why a run is reported, with the last sentence that one of its steps left, if any did."""
    run, left = found.work.run, found.work.left
    action = "delivering" if run.state in BEFORE_DELIVERY else "ingesting"
    unreported = f"Its DAG run {found.fate} without {action} it and without a report"
    if left:
        unreported = f"Its DAG run {found.fate} without finishing and without a report, and {left}"
    last = None
    for event in ledger.events.of_run(run.pipeline_run_id):
        if event.event in (EventName.STEP_FAILED, EventName.STEP_WAITS):
            last = event
        elif event.state_after in _BEGINNINGS or event.event == EventName.VERDICT_CHANGED:
            # Failures recorded before are reported already.
            last = None
    if last is None:
        return StepFailure(found.work.step or f"state {run.state}", f"{unreported}: look at its tasks in Airflow.")
    return StepFailure(
        str(last.details.get("task")), f"{unreported}; what was heard last: {last.details.get('sentence')}"
    )
