"""How a step that fails leaves its sentence for the step that reports it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from srdp.domain.common.errors import InvalidInput, SrdpError, quoted

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import Logger

    from srdp.domain.runs.identifiers import PipelineRunId
    from srdp.hooks.verdict_ledger import VerdictLedger

#: The XCom that holds the sentence of a task's last try. Airflow clears it before a new one, so that it is never stale.
FAILURE_XCOM = "failure"

#: The ledger's events of a step that has failed, and of one that waits for what it failed for.
STEP_FAILED: Final = "step_failed"
STEP_WAITS: Final = "step_waits"

# Not for a minute: the ledger may be what failed.
_FOR_THE_LEDGER_SECONDS = 5


def record_failure(context: Context, log: Logger, error: Exception, *, event: str | None) -> None:
    """Leaves the sentence of an error for ``ReportFailureOperator``.

    The sentence becomes the task's XCom and, if the DAG run has opened a pipeline run, an event in the ledger. That
    something failed must not be hidden by a failure to say so: what goes wrong here is only logged.

    Args:
        context: the task's context.
        log: the task's log.
        error: what the step failed with.
        event: the name of the event; None for none.
    """
    try:
        _record(context, error, event)
    except Exception as unrecorded:  # noqa: BLE001  see above
        log.warning("The failure could not be left for the report: %s", quoted(unrecorded, 300))


def record_wait(context: Context, log: Logger, error: SrdpError, since: datetime, until: datetime) -> bool:
    """Queues the mail that says that a step waits; returns whether it could: the ledger may be what is away.

    Args:
        context: the task's context.
        log: the task's log.
        error: what the step waits for.
        since: since when.
        until: when it gives up.
    """
    from srdp.hooks.verdict_ledger import VerdictLedger
    from srdp.notifications.waiting_mail import step_waits
    from srdp.settings import load_settings

    try:
        settings = load_settings()
        ledger = VerdictLedger(settings, retry_seconds=_FOR_THE_LEDGER_SECONDS)
        task, dag_run, operator = context["ti"], context["dag_run"], context["task"]
        run_id = _worked_on(ledger, context)
        mail = step_waits(
            settings,
            None if run_id is None else ledger.run(run_id),
            subject=str(getattr(operator, "pipeline_run_id", None) or dag_run.run_id),
            dag_id=task.dag_id,
            dag_run_id=task.run_id,
            step=str(operator.task_display_name),
            cause=str(error),
            since=since,
            until=until,
            for_analysts=run_id is not None and ledger.ingest(run_id) is not None,
        )
        if run_id is None:
            ledger.queue_mail_without_run(task.dag_id, task.run_id, mail)
        else:
            ledger.queue_follow_up(run_id, mails=[mail])
    except Exception as unrecorded:  # noqa: BLE001  as above
        log.warning("Nobody can be notified of the wait now: %s", quoted(unrecorded, 300))
        return False
    return True


def _record(context: Context, error: Exception, event: str | None) -> None:
    from srdp.hooks.verdict_ledger import VerdictLedger
    from srdp.settings import load_settings

    explained = isinstance(error, SrdpError)
    sentence = str(error) if explained else f"{type(error).__name__}: {quoted(error, limit=300)}; see the task's log."
    told = {"sentence": sentence, "kind": type(error).__name__}
    task = context["ti"]
    task.xcom_push(key=FAILURE_XCOM, value=told)
    if event is None:
        return
    ledger = VerdictLedger(load_settings(), retry_seconds=_FOR_THE_LEDGER_SECONDS)
    run_id = _worked_on(ledger, context)
    if run_id is not None:
        ledger.record(run_id, event, {"task": task.task_id, "try": task.try_number, **told})


def works_on_a_run(context: Context) -> bool:
    """Whether a DAG run has opened a pipeline run, or is ingesting one.

    Args:
        context: the context of one of its tasks.
    """
    from srdp.hooks.verdict_ledger import VerdictLedger
    from srdp.settings import load_settings

    try:
        return _worked_on(VerdictLedger(load_settings(), retry_seconds=5), context) is not None
    except InvalidInput:  # what names the run is no pipeline run ID, or names none
        return False


def _worked_on(ledger: VerdictLedger, context: Context) -> PipelineRunId | None:
    """Return the run that the DAG run has opened, or is ingesting; None if it does neither."""
    from srdp.domain.runs.identifiers import pipeline_run_id

    dag_run = (context["ti"].dag_id, context["ti"].run_id)
    opened = ledger.run_of_dag_run(*dag_run)
    if opened is not None:
        return opened.pipeline_run_id
    named = getattr(context.get("task"), "pipeline_run_id", None)
    if named is None:
        return None
    run_id = pipeline_run_id(named)
    ingest = ledger.ingest(run_id)
    return run_id if ingest is not None and (ingest.dag_id, ingest.dag_run_id) == dag_run else None
