"""What a step that fails or waits leaves in the ledger, for the step that reports it and for people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from srdp.domain.runs.identifiers import PipelineRunId, pipeline_run_id
from srdp.notifications.waiting_mail import step_waits
from srdp.services.context import SiteContext, site_context

# Not for a minute: the ledger may be what failed.
_FOR_THE_LEDGER_SECONDS: Final = 5


@dataclass(frozen=True)
class Step:
    """A task of a DAG run.

    Attributes:
        dag_id: the DAG.
        dag_run_id: the DAG run.
        name: what the grid calls the task.
        named_run: the run that the task names, as somebody wrote it; None if it names none.
    """

    dag_id: str
    dag_run_id: str
    name: str
    named_run: str | None


@dataclass(frozen=True)
class StepWait:
    """What a step waits for.

    Attributes:
        cause: what it waits for, in one sentence.
        since: since when.
        until: when it gives up.
    """

    cause: str
    since: datetime
    until: datetime


def failing_step_context() -> SiteContext:
    """Return the context in which a failure is recorded: a ledger that is away is not waited for."""
    return site_context(retry_seconds=_FOR_THE_LEDGER_SECONDS)


def run_worked_on(site: SiteContext, step: Step) -> PipelineRunId | None:
    """Return the run that a step's DAG run has opened, or is ingesting; None if it does neither.

    Args:
        site: settings and ledger.
        step: the step.

    Raises:
        InvalidInput: what names the run is no pipeline run ID, or names none.
        ServiceUnavailable: the ledger cannot be reached.
    """
    dag_run = (step.dag_id, step.dag_run_id)
    opened = site.ledger.runs.of_dag_run(*dag_run)
    if opened is not None:
        return opened.pipeline_run_id
    if step.named_run is None:
        return None
    run_id = pipeline_run_id(step.named_run)
    ingest = site.ledger.ingests.in_force(run_id)
    return run_id if ingest is not None and (ingest.dag_id, ingest.dag_run_id) == dag_run else None


def queue_wait_mail(site: SiteContext, step: Step, wait: StepWait) -> None:
    """Queue the mail that says that a step waits.

    Args:
        site: settings and ledger.
        step: the step.
        wait: what it waits for.

    Raises:
        ServiceUnavailable: the ledger cannot be reached.
    """
    ledger = site.ledger
    run_id = run_worked_on(site, step)
    mail = step_waits(
        site.settings,
        None if run_id is None else ledger.runs.get(run_id),
        subject=step.named_run or step.dag_run_id,
        dag_id=step.dag_id,
        dag_run_id=step.dag_run_id,
        step=step.name,
        cause=wait.cause,
        since=wait.since,
        until=wait.until,
        for_analysts=run_id is not None and ledger.ingests.in_force(run_id) is not None,
    )
    if run_id is None:
        ledger.outbox.queue_mail_without_run(step.dag_id, step.dag_run_id, mail)
    else:
        ledger.outbox.queue_follow_up(run_id, mails=[mail])
