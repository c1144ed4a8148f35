"""The end of a DAG run that failed: state, mail, and a red run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from srdp.domain.common.errors import InvalidInput, SrdpError
from srdp.domain.runs.identifiers import pipeline_run_id
from srdp.domain.runs.steps import NO_CAUSE, StepFailure
from srdp.families import family_of_dag
from srdp.operators.base import origin_of
from srdp.operators.failure_record import FAILURE_XCOM
from srdp.operators.retrying import tried

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import DagRunProtocol

    from srdp.domain.runs.ledger_records import PipelineRun
    from srdp.hooks.ledger import Ledger

#: The fields of the forms for the requester, and where that person can be notified.
_ASKED_BY = ("asked_by", "asked_by_email")


class RunFailed(SrdpError):
    """A DAG run ends red; the sentence is that of the step that failed."""


class ReportFailureOperator(BaseOperator):
    """Sets a failed run's state and queues the mail about it, in one transaction; then fails: the DAG run is to be red.

    A leaf that succeeds when others failed would turn the DAG run green. Give it the trigger rule ``one_failed``.
    When no run was opened there is nothing to report: it only says again why.

    Args:
        pipeline_run_id: the run (templated). Where there is none because the task that opens runs failed, the run is
            looked for by the DAG run: that task may have been killed after it had opened one.

    Note:
        A failure after the delivery changes nothing of the run: it waits for its verdict.
    """

    template_fields: Sequence[str] = ("pipeline_run_id",)

    def __init__(self, *, pipeline_run_id: str | None = None, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self.pipeline_run_id = pipeline_run_id

    def execute(self, context: Context) -> None:
        """Report; always ends with an error.

        Raises:
            AirflowFailException: the sentence of the step that failed.
        """
        with tried(self, context, recorded=False):
            self._report(context)

    def _report(self, context: Context) -> None:
        from srdp.services.context import site_context
        from srdp.services.processing.failure import report_failure, send_mails_of_run

        site = site_context()
        failure = failure_of(context)
        run = self._run(site.ledger, context)
        if run is None:
            cause = failure.cause or NO_CAUSE
            if _would_nobody_hear(context["dag_run"]):
                report_nothing_opened(context, failure.step, cause)
            raise RunFailed(f"No pipeline run was opened. {failure.step}: {cause}")
        run = report_failure(site.of_run(run), failure)
        send_mails_of_run(site.of_run(run))
        raise RunFailed(
            f"Pipeline run {run.pipeline_run_id} is {run.state}. {failure.step}: "
            f"{failure.cause or run.failure or NO_CAUSE}"
        )

    def _run(self, ledger: Ledger, context: Context) -> PipelineRun | None:
        try:
            return ledger.runs.get(pipeline_run_id(self.pipeline_run_id))
        except InvalidInput:
            return ledger.runs.of_dag_run(context["ti"].dag_id, context["ti"].run_id)


def report_nothing_opened(context: Context, step: str, cause: str) -> None:
    """Send the mail that a DAG run opened no pipeline run, to the analysts and to who asked.

    Args:
        context: the context of one of its tasks.
        step: the task that opened none, as the grid calls it.
        cause: why.
    """
    from srdp.services.context import site_context
    from srdp.services.opening.not_opened import NotOpened, report_that_nothing_was_opened

    params, family = context["params"], family_of_dag(context["dag_run"].dag_id)
    not_opened = NotOpened(
        subject=next((str(params[name]) for name in (family.subject_field, "run") if name in params), ""),
        asked=[str(params[name]) for name in _ASKED_BY if params.get(name)],
        dag_name=context["dag"].dag_display_name,
        step=step,
        cause=cause,
    )
    report_that_nothing_was_opened(site_context(), origin_of(context), not_opened)


def _would_nobody_hear(dag_run: DagRunProtocol) -> bool:
    """Whether nobody looks at the DAG run: it was started by another DAG, or by the archive's front end.

    Who starts a run by form sees the refusal. A front end triggers as the form does, over Airflow's REST API, and a
    task sees no difference; so all that comes through its DAG counts as its own.
    """
    family = family_of_dag(dag_run.dag_id)
    return dag_run.run_type != "manual" or (family.asked_by_users and dag_run.dag_id == family.kind)


def failure_of(context: Context) -> StepFailure:
    """Return which of a DAG run's tasks failed first, in the order of the DAG, and the sentence that it left.

    Args:
        context: the context of a task of the same DAG run.
    """
    own = context["ti"]
    states = own.get_task_states(dag_id=own.dag_id, run_ids=[own.run_id]).get(own.run_id, {})
    for task_id, task in context["dag"].task_dict.items():
        if task_id != own.task_id and _has_failed(task_id, states):
            reported = _reported(own.xcom_pull(task_ids=task_id, key=FAILURE_XCOM), str(task.task_display_name))
            return replace(reported, task_id=task_id)
    return StepFailure("A step that was cleared meanwhile", None)


def _has_failed(task_id: str, states: Mapping[str, Any]) -> bool:
    # Airflow calls the instances of a mapped task <task id>_<map index> here.
    return any(
        state == "failed"
        and (name == task_id or (name.startswith(f"{task_id}_") and name[len(task_id) + 1 :].isdigit()))
        for name, state in states.items()
    )


def _reported(xcom: object, step: str) -> StepFailure:
    reported = next(
        (value for value in (xcom if isinstance(xcom, list) else [xcom]) if isinstance(value, Mapping)), None
    )
    return StepFailure(step, str(reported["sentence"]) if reported else None)
