"""How a step that fails leaves its sentence for the step that reports it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import AirflowRescheduleException, AirflowSkipException

from srdp.domain.errors import InvalidInput, SrdpError, quoted

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import Logger

    from srdp.domain.identifiers import PipelineRunId
    from srdp.hooks.verdict_ledger import VerdictLedger

#: The XCom that holds the sentence of a task's last try. Airflow clears it before a new one, so that it is never stale.
FAILURE_XCOM = "failure"


@contextmanager
def failure_recorded(context: Context, log: Logger) -> Iterator[None]:
    """Lets an error pass, and leaves its sentence for ``ReportFailureOperator``.

    The sentence becomes the task's XCom and, if the DAG run has opened a pipeline run, an event ``step_failed`` in the
    ledger. That something failed must not be hidden by a failure to say so: what goes wrong here is only logged.

    Args:
        context: the task's context.
        log: the task's log.
    """
    try:
        yield
    except (AirflowSkipException, AirflowRescheduleException):
        raise
    except Exception as error:
        try:
            _record(context, error)
        except Exception as unrecorded:  # noqa: BLE001  see above
            log.warning("The failure could not be left for the report: %s", unrecorded)
        raise


def _record(context: Context, error: Exception) -> None:
    from srdp.hooks.verdict_ledger import VerdictLedger
    from srdp.settings import load_settings

    explained = isinstance(error, SrdpError)
    sentence = str(error) if explained else f"{type(error).__name__}: {quoted(error, limit=300)}; see the task's log."
    told = {"sentence": sentence, "kind": type(error).__name__}
    task = context["ti"]
    task.xcom_push(key=FAILURE_XCOM, value=told)
    # Not for a minute: the ledger may be what failed.
    ledger = VerdictLedger(load_settings(), retry_seconds=5)
    run_id = _worked_on(ledger, context)
    if run_id is not None:
        ledger.record(run_id, "step_failed", {"task": task.task_id, "try": task.try_number, **told})


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
    """Returns the run that the DAG run has opened, or is ingesting; None if it does neither."""
    from srdp.domain.identifiers import pipeline_run_id

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
