"""How a step that fails leaves its sentence for the step that reports it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from srdp.domain.common.errors import InvalidInput, SrdpError, quoted
from srdp.domain.events.names import EventName
from srdp.domain.events.payloads import StepTold

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import Logger

    from srdp.services.failing_steps import Step

#: The XCom that holds the sentence of a task's last try. Airflow clears it before a new one, so that it is never stale.
FAILURE_XCOM: Final = "failure"


def record_failure(context: Context, log: Logger, error: Exception, *, event: EventName | None) -> None:
    """Leave the sentence of an error for ``ReportFailureOperator``.

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
    """Queue the mail that says that a step waits; return whether it could: the ledger may be what is away.

    Args:
        context: the task's context.
        log: the task's log.
        error: what the step waits for.
        since: since when.
        until: when it gives up.
    """
    from srdp.services.failing_steps import StepWait, failing_step_context, queue_wait_mail

    try:
        queue_wait_mail(failing_step_context(), _step(context), StepWait(str(error), since, until))
    except Exception as unrecorded:  # noqa: BLE001  as above
        log.warning("Nobody can be notified of the wait now: %s", quoted(unrecorded, 300))
        return False
    return True


def _record(context: Context, error: Exception, event: EventName | None) -> None:
    from srdp.services.failing_steps import failing_step_context, run_worked_on

    explained = isinstance(error, SrdpError)
    sentence = str(error) if explained else f"{type(error).__name__}: {quoted(error, limit=300)}; see the task's log."
    reported = {"sentence": sentence, "kind": type(error).__name__}
    task = context["ti"]
    task.xcom_push(key=FAILURE_XCOM, value=reported)
    if event is None:
        return
    site = failing_step_context()
    run_id = run_worked_on(site, _step(context))
    if run_id is not None:
        details: StepTold = {
            "task": task.task_id,
            "try": task.try_number,
            "sentence": sentence,
            "kind": reported["kind"],
        }
        site.ledger.events.record(run_id, event, details)


def works_on_a_run(context: Context) -> bool:
    """Whether a DAG run has opened a pipeline run, or is ingesting one.

    Args:
        context: the context of one of its tasks.
    """
    from srdp.services.failing_steps import failing_step_context, run_worked_on

    try:
        return run_worked_on(failing_step_context(), _step(context)) is not None
    except InvalidInput:  # what names the run is no pipeline run ID, or names none
        return False


def _step(context: Context) -> Step:
    from srdp.services.failing_steps import Step

    task, operator = context["ti"], context.get("task")
    named_run = getattr(operator, "pipeline_run_id", None)
    return Step(task.dag_id, task.run_id, str(getattr(operator, "task_display_name", "")), named_run)
