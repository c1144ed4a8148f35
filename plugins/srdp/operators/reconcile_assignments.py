"""Looking after assignments: questions that were lost or are pointless, and people who are to be reminded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from srdp.domain.common.errors import SrdpError
from srdp.domain.runs.assignment import QUESTION_TASK, Question, WaitingRun, question_dag_run_id
from srdp.operators.base import SrdpOperator
from srdp.operators.dag_runs import start_dag_run
from srdp.operators.start_assignment import assign_dag

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import RuntimeTaskInstanceProtocol

    from srdp.hooks.assignment_ledger import AssignmentLedger
    from srdp.settings import Settings


class Asking(StrEnum):
    """What becomes of a question, as its DAG run shows."""

    LOST = "lost"
    ENDED = "ended"
    ANSWERED = "ended, behind an answer"
    WAITING = "waiting"
    BUSY = "busy"


_OVER: Final = frozenset({Asking.LOST, Asking.ENDED, Asking.ANSWERED})


class ReconcileAssignmentsOperator(SrdpOperator):
    """Sees to it that of each run that is to be assigned somebody is asked, of no other, and that nobody forgets it.

    * A question that nobody needs to answer any more, because the verdict is given or the run was assigned by form, is
      ended: its DAG run is cleared, asks the ledger, and ends.
    * A run that nobody has and of which nobody is asked, because the DAG run was deleted, marked or refused the answer,
      is asked for again. Who answered believes that the run is assigned: a mail says that it is not.
    * A run that has waited too long for its assignment, or for the verdict of who has it, is mailed about again.

    What goes wrong with one run is told at the end and holds up no other.
    """

    needs_areas = False

    def run_step(self, context: Context) -> None:
        """Do it, once.

        Raises:
            SrdpError: what went wrong with single runs.
            ServiceUnavailable: the ledger cannot be reached.
        """
        from srdp.hooks.assignment_ledger import AssignmentLedger
        from srdp.notifications.outbox import send_due_mails
        from srdp.settings import load_settings

        settings = load_settings()
        ledger = AssignmentLedger(settings)
        problems = self._end_pointless_questions(ledger, context["ti"])
        problems += self._ask_again(settings, ledger, context["ti"])
        reminded, not_reminded = self._remind(settings, ledger)
        problems += not_reminded
        if reminded:
            self.log.info("%s", send_due_mails(ledger, settings))
        if problems:
            raise SrdpError(" ".join(problems))

    def _end_pointless_questions(self, ledger: AssignmentLedger, task: RuntimeTaskInstanceProtocol) -> list[str]:
        questions = ledger.pointless_questions()
        fates = _fates(task, ((question.dag_id, question.dag_run_id) for question in questions))
        problems = []
        for question in questions:
            fate = fates[question.dag_id, question.dag_run_id]
            try:
                self._end(ledger, question, fate)
            except SrdpError as error:
                problems.append(f"The question who reviews {question.pipeline_run_id} could not be ended: {error}")
        return problems

    def _end(self, ledger: AssignmentLedger, question: Question, fate: Asking) -> None:
        if fate is Asking.WAITING:
            self.log.info("Nobody needs to say any more who reviews %s", question.pipeline_run_id)
            start_dag_run(question.dag_id, question.dag_run_id, {}, anew=True)
        elif fate is not Asking.BUSY:
            ledger.close_question(question)

    def _ask_again(self, settings: Settings, ledger: AssignmentLedger, task: RuntimeTaskInstanceProtocol) -> list[str]:
        from srdp.notifications.imaging_mails import assignment_reminder

        fates = _fates(task, (_question(waiting) for waiting in _unassigned(ledger)))
        if not _OVER.intersection(fates.values()):
            return []
        problems = []
        # Read again: a DAG run that has ended may just have assigned the run.
        for waiting in _unassigned(ledger):
            fate = fates.get(_question(waiting), Asking.BUSY)
            if fate not in _OVER:
                continue
            run_id = waiting.run.pipeline_run_id
            self.log.warning("Who reviews %s is asked again: its DAG run is %s.", run_id, fate)
            try:
                start_dag_run(*_question(waiting), {"pipeline_run_id": run_id}, anew=fate is not Asking.LOST)
            except SrdpError as error:
                problems.append(f"Who reviews {run_id} could not be asked again: {error}")
                continue
            if fate is Asking.ANSWERED:
                ledger.remind(waiting, assignment_reminder(settings, waiting, ledger.now()))
        return problems

    def _remind(self, settings: Settings, ledger: AssignmentLedger) -> tuple[int, list[str]]:
        from srdp.notifications.imaging_mails import assignment_reminder

        period = timedelta(hours=settings.assignment_reminder_hours)
        now = ledger.now()
        reminded, problems = 0, []
        for waiting in ledger.assignments():
            if not waiting.needs_reminder(now, period):
                continue
            try:
                mail = assignment_reminder(settings, waiting, now)
            except SrdpError as error:
                problems.append(f"Nobody is reminded of {waiting.run.pipeline_run_id}: {error}")
                continue
            reminded += ledger.remind(waiting, mail)
        return reminded, problems


def _unassigned(ledger: AssignmentLedger) -> list[WaitingRun]:
    return [waiting for waiting in ledger.assignments() if waiting.assignment is None]


def _question(waiting: WaitingRun) -> tuple[str, str]:
    return assign_dag(waiting.run), question_dag_run_id(waiting.run.pipeline_run_id)


def _fates(task: RuntimeTaskInstanceProtocol, questions: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Asking]:
    """Return what becomes of questions.

    Args:
        task: the task that asks Airflow.
        questions: the DAG and the DAG run id of each.
    """
    from srdp.hooks.abandoned_runs import task_states

    return {question: _fate(states) for question, states in task_states(task, questions).items()}


def _fate(states: Mapping[str, Any]) -> Asking:
    from srdp.hooks.abandoned_runs import are_over

    if not states:
        return Asking.LOST
    # Compared, not shown: what Airflow returns may be an Enum whose text is not its value.
    if states.get(QUESTION_TASK) == "awaiting_input":
        return Asking.WAITING
    if not are_over(states):
        return Asking.BUSY
    return Asking.ANSWERED if states.get(QUESTION_TASK) == "success" else Asking.ENDED
