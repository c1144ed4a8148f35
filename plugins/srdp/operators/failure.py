"""The end of a DAG run that failed: state, mail, and a red run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from srdp.domain.errors import InvalidInput, Refused, SrdpError
from srdp.domain.states import BEFORE_DELIVERY, RunState, state_after_failure
from srdp.operators.base import explained
from srdp.operators.failure_record import FAILURE_XCOM

if TYPE_CHECKING:
    from airflow.sdk import Context

    from srdp.domain.ledger_records import PipelineRun
    from srdp.domain.mail import Mail
    from srdp.domain.pipeline_run import RunDirectory
    from srdp.hooks.ledger import LedgerHook
    from srdp.settings import Settings


_LOG_BYTES = 4 * 1024 * 1024
# Errors that say that a run was stopped on purpose, or by its deadline.
_CANCELLED = frozenset({"JobCancelled"})


class RunFailed(SrdpError):
    """A DAG run ends red; the sentence is that of the step that failed."""


@dataclass(frozen=True)
class StepFailure:
    """Which step failed, and why.

    Attributes:
        step: the task's name as the grid shows it.
        cause: why, in one sentence.
        cancelled: whether it was stopped on purpose or by its deadline.
    """

    step: str
    cause: str
    cancelled: bool = False


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
        """Reports; always ends with an error.

        Raises:
            AirflowFailException: the sentence of the step that failed.
        """
        with explained(self.log):
            self._report(context)

    def _report(self, context: Context) -> None:
        from srdp.hooks.ledger import LedgerHook
        from srdp.notifications.outbox import send_due_mails
        from srdp.settings import load_settings

        settings = load_settings()
        ledger = LedgerHook(settings)
        failure = failure_of(context)
        run = self._run(ledger, context)
        if run is None:
            raise RunFailed(f"No pipeline run was started. {failure.step}: {failure.cause}")
        if report_failure(settings, ledger, run, failure):
            self.log.info("%s", send_due_mails(ledger, settings, pipeline_run_id=run.pipeline_run_id))
        raise RunFailed(f"Pipeline run {run.pipeline_run_id}. {failure.step}: {failure.cause}")

    def _run(self, ledger: LedgerHook, context: Context) -> PipelineRun | None:
        from srdp.domain.identifiers import pipeline_run_id

        try:
            return ledger.run(pipeline_run_id(self.pipeline_run_id))
        except InvalidInput:
            return ledger.run_of_dag_run(context["ti"].dag_id, context["ti"].run_id)


def failure_of(context: Context) -> StepFailure:
    """Returns which of a DAG run's tasks failed first, in the order of the DAG, and the sentence that it left.

    Args:
        context: the context of a task of the same DAG run.
    """
    own = context["ti"]
    states = own.get_task_states(dag_id=own.dag_id, run_ids=[own.run_id]).get(own.run_id, {})
    for task_id, task in context["dag"].task_dict.items():
        if task_id != own.task_id and _has_failed(task_id, states):
            return _told(own.xcom_pull(task_ids=task_id, key=FAILURE_XCOM), str(task.task_display_name))
    return StepFailure("A step", "it failed and does not any more: look at the history of the DAG run's tasks.")


def report_failure(settings: Settings, ledger: LedgerHook, run: PipelineRun, failure: StepFailure) -> bool:
    """Sets a run's state to what a failure before its delivery makes of it, and queues the mail, in one transaction.

    Args:
        settings: recipients, addresses and areas.
        ledger: where the state is set.
        run: the run.
        failure: which step failed, and why.

    Returns:
        Whether the run is or was made one that failed or was cancelled; False if it had been delivered before.
    """
    if run.state in {RunState.FAILED, RunState.CANCELLED}:
        return True
    if run.state not in BEFORE_DELIVERY:
        return False
    wanted = RunState.CANCELLED if failure.cancelled else state_after_failure(run.state)
    details = {"step": failure.step, "sentence": failure.cause}
    mail = _mail(settings, ledger, run, failure, cancelled=wanted is RunState.CANCELLED)
    try:
        ledger.transition(
            run.pipeline_run_id, wanted, event=str(wanted), details=details, mails=[mail], failure=failure.cause
        )
    except Refused:
        # Somebody else was faster since the run was read: look again, and let the table decide.
        return report_failure(settings, ledger, ledger.run(run.pipeline_run_id), failure)
    return True


def _has_failed(task_id: str, states: Mapping[str, Any]) -> bool:
    # Airflow calls the instances of a mapped task <task id>_<map index> here.
    return any(
        state == "failed"
        and (name == task_id or (name.startswith(f"{task_id}_") and name[len(task_id) + 1 :].isdigit()))
        for name, state in states.items()
    )


def _told(xcom: object, step: str) -> StepFailure:
    told = next((value for value in (xcom if isinstance(xcom, list) else [xcom]) if isinstance(value, Mapping)), None)
    if told is None:
        return StepFailure(
            step,
            "its task was marked failed, or its process was killed again and again before it could say why: look at "
            "the task's log in Airflow.",
        )
    return StepFailure(step, str(told.get("sentence")), cancelled=told.get("kind") in _CANCELLED)


def _mail(settings: Settings, ledger: LedgerHook, run: PipelineRun, failure: StepFailure, *, cancelled: bool) -> Mail:
    from srdp.domain.outcome import find_errorexit, log_tail
    from srdp.domain.pipeline_run import RunDirectoryMissing, find_run_directory, processing_directory
    from srdp.notifications.run_mails import calibration_failed

    try:
        directory = find_run_directory(settings.areas, run.pipeline_run_id)
    except RunDirectoryMissing:
        directory = processing_directory(settings.areas, run.pipeline_run_id)
    casa = next(reversed(ledger.casa_attempts(run.pipeline_run_id)), None)
    errorexit = find_errorexit(directory, (casa and casa.started_at) or run.created_at)
    return calibration_failed(
        settings,
        run,
        step=failure.step,
        cause=failure.cause,
        directory=directory,
        cancelled=cancelled,
        casa_stage=_casa_stage(directory) if casa else None,
        casa=casa,
        log_tail=log_tail(directory),
        errorexit=errorexit.name if errorexit else None,
    )


def _casa_stage(directory: RunDirectory) -> str | None:
    """Returns the stage that CASA's log tells of last; None if the PPR or the log cannot be read."""
    from srdp.domain.casa_log import describe_stage, find_casa_log, read_on, stage_in_log
    from srdp.domain.ppr import read_processing_request

    try:
        commands = read_processing_request(directory.processing_request).commands
        log = find_casa_log(directory)
        text = read_on(log, None, _LOG_BYTES)[0] if log else ""
    except (OSError, SrdpError):
        return None
    return describe_stage(stage_in_log(text, commands), commands)
