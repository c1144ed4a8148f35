"""What all operators of this project share: a failure is one sentence, and only what may heal is tried again."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from srdp.domain.errors import Refused, ServiceUnavailable, SrdpError
from srdp.domain.states import RunState, way_out
from srdp.operators.failure_record import failure_recorded

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import Logger

    from srdp.domain.ledger_records import PipelineRun

# What a DAG run that nobody has triggered is called where people read who asked for it, by Airflow's word for it.
_WITHOUT_A_PERSON = {"operator_triggered": "another DAG", "scheduled": "its schedule"}


@contextmanager
def explained(log: Logger, *, retryable: tuple[type[SrdpError], ...] = (ServiceUnavailable,)) -> Iterator[None]:
    """Turns the errors that are explained to people into what Airflow understands; for operators and sensors.

    The sentence is logged at ERROR by itself, before Airflow's own record of the exception, which holds frames. It is
    raised ``from None``: what happened underneath has been said in the sentence.

    Args:
        log: the task's log.
        retryable: errors after which Airflow may use the task's retries.

    Raises:
        AirflowException: a retryable error; Airflow tries again if the task has retries left.
        AirflowFailException: any other :class:`SrdpError`; trying again would end the same way.
    """
    try:
        yield
    except SrdpError as error:
        sentence = str(error)
        log.error("%s", sentence)  # noqa: TRY400  a sentence, not a traceback
        kind = AirflowException if isinstance(error, retryable) else AirflowFailException
        raise kind(sentence) from None


class SrdpOperator(BaseOperator):
    """Base of this project's operators: the work is in :meth:`run_step`, its errors are told in one sentence.

    Built so that no operator has error handling of its own: the library raises :class:`SrdpError`, and what may be
    tried again is decided by the error's class alone.

    Attributes:
        retryable_errors: errors after which Airflow may use the task's retries; a subclass may name more.
    """

    retryable_errors: ClassVar[tuple[type[SrdpError], ...]] = (ServiceUnavailable,)

    @abstractmethod
    def run_step(self, context: Context) -> object:
        """Does the work; what it returns becomes the task's XCom.

        Args:
            context: Airflow's context of the task.
        """

    def execute(self, context: Context) -> object:
        """Runs the step; see :meth:`run_step`.

        Raises:
            AirflowException: one sentence; trying again may help.
            AirflowFailException: one sentence; trying again does not help.
        """
        with explained(self.log, retryable=self.retryable_errors), failure_recorded(context, self.log):
            return self.run_step(context)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> object:
        """Runs the method that a deferral named, under the same rules as :meth:`execute`."""
        with explained(self.log, retryable=self.retryable_errors), failure_recorded(context, self.log):
            result: object = super().resume_execution(next_method, next_kwargs, context)
            return result


def asked_by(context: Context) -> str:
    """Returns who asked for a DAG run: a person's login, or in words how it was triggered.

    Args:
        context: the context of one of its tasks.
    """
    dag_run = context["dag_run"]
    kind = str(getattr(dag_run.run_type, "value", dag_run.run_type))
    return dag_run.triggering_user_name or _WITHOUT_A_PERSON.get(kind, kind)


def check_processing(run: PipelineRun, deed: str) -> None:
    """Lets a step pass that works in the processing area; it may be cleared long after its run has ended.

    Args:
        run: the run, read just now.
        deed: what is not done else, as the beginning of a sentence, for example ``CASA is not run``.

    Raises:
        Refused: the run is not being processed.
    """
    if run.state is not RunState.PROCESSING:
        raise Refused(
            f"{deed} for {run.pipeline_run_id}: the run is {run.state}, not processing; {way_out(run.state)}."
        )


class PipelineRunOperator(SrdpOperator):
    """Base of the steps of one pipeline run.

    Args:
        pipeline_run_id: the run (templated).
    """

    template_fields: Sequence[str] = ("pipeline_run_id",)

    def __init__(self, *, pipeline_run_id: str, **kwargs: Any) -> None:  # noqa: ANN401  Airflow's own arguments
        super().__init__(**kwargs)
        self.pipeline_run_id = pipeline_run_id
