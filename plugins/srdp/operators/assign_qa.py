"""Giving runs to data analysts to review: the question and its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk.exceptions import AirflowSkipException

from srdp.domain.common.errors import SrdpError
from srdp.links.run_files import RUN_FILES_LINKS
from srdp.operators.base import PipelineRunOperator, origin_of

if TYPE_CHECKING:
    from airflow.sdk import Context

# Airflow wants a question to have answers while the DAG is parsed, when no setting is read.
_READ_WHEN_IT_ASKS = "the data analysts of the settings"


class AskWhoReviewsOperator(PipelineRunOperator, HITLOperator):
    """Asks people who reviews a run, and waits for the answer in the state ``awaiting_input``.

    There it has no process, no slot of a pool and no trigger, however long it waits. The data analysts are read from
    the settings when it asks. It does no more with the answer than to hand it on: were it to fail after that, Airflow
    would ask again, and nobody would know that somebody had answered.

    Nothing is asked when a data analyst is given, and when an answer is not needed any more: the task is skipped then.

    Args:
        pipeline_run_id: the run (templated).
        data_analyst: who gets the run, if that is known (templated).
    """

    needs_areas = False
    template_fields: Sequence[str] = ("pipeline_run_id", "data_analyst", "subject", "body")
    operator_extra_links = RUN_FILES_LINKS

    def __init__(self, *, pipeline_run_id: str, data_analyst: str | None = None, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(
            pipeline_run_id=pipeline_run_id,
            subject=f"Who reviews {pipeline_run_id}?",
            options=[_READ_WHEN_IT_ASKS],
            **kwargs,
        )
        self.data_analyst = data_analyst

    def run_step(self, context: Context) -> dict[str, str]:
        """Return the answer that the form gave; else asks, which ends this try of the task.

        Raises:
            AirflowSkipException: there is nothing to ask.
            Refused: who is given is no data analyst of the settings.
            InvalidInput: the ledger holds no such run, or runs of its kind are not assigned.
        """
        from srdp.services.assignment.assign import Answer, ask_who_reviews
        from srdp.services.context import run_context

        run = run_context(self.pipeline_run_id)
        asked = ask_who_reviews(run, origin_of(context), self.data_analyst)
        if isinstance(asked, Answer):
            return asked.as_json()
        if asked.needless:
            raise AirflowSkipException(f"Nobody is asked who reviews {run.run_id}: {asked.needless}.")
        self.options = list(asked.options)
        self.body = asked.facts
        # Parks the task; it continues in execute_complete.
        HITLOperator.execute(self, context)
        raise SrdpError("Airflow did not let the task wait for an answer.")  # pragma: no cover

    def execute_complete(self, context: Context, event: dict[str, Any]) -> dict[str, str]:
        """Return the answer.

        Args:
            context: Airflow's context of the task.
            event: what Airflow says of the answer; it has been compared with the options.
        """
        if "error" in event:
            self.process_trigger_event_error(event)
        return {
            "data_analyst": str(event["chosen_options"][0]),
            "assigned_by": _responder(event.get("responded_by_user")),
            # Two answers in one DAG run, after it was cleared, are two answers.
            "answer": f"{context['dag_run'].run_id} {event['responded_at'].isoformat()}",
        }


class AssignQaOperator(PipelineRunOperator):
    """Record who reviews a run; that person is notified by mail, and so is the former reviewer.

    Repeated, it records each answer once.

    Args:
        pipeline_run_id: the run (templated).
        data_analyst: the mail address of who gets it (templated).
        assigned_by: who gives it (templated).
        answer: distinguishes this answer from all others (templated).
    """

    needs_areas = False
    template_fields: Sequence[str] = ("pipeline_run_id", "data_analyst", "assigned_by", "answer")
    operator_extra_links = RUN_FILES_LINKS

    def __init__(self, *, data_analyst: str, assigned_by: str, answer: str, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self.data_analyst = data_analyst
        self.assigned_by = assigned_by
        self.answer = answer

    def run_step(self, context: Context) -> str:
        """Assign; return the mail address of who has the run now.

        Raises:
            Refused: the run does not await its verdict any more, or who was chosen is no data analyst of the settings.
        """
        from srdp.services.assignment.assign import Answer, assign
        from srdp.services.context import run_context

        answer = Answer(self.data_analyst, self.assigned_by, self.answer)
        assignment = assign(run_context(self.pipeline_run_id), origin_of(context), answer)
        return assignment.data_analyst


def _responder(user: Mapping[str, Any] | None) -> str:
    """Return who answered, by name, or by what Airflow knows that person by."""
    return str((user or {}).get("name") or (user or {}).get("id") or "somebody whom Airflow does not name")
