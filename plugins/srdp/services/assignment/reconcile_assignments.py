"""Looking after assignments: questions that were lost or are pointless, and people who are to be reminded."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final, Protocol

from srdp.domain.common.errors import SrdpError
from srdp.domain.runs.assignment import QUESTION_TASK, Question, WaitingRun, question_dag_run_id
from srdp.hooks.abandoned_runs import Airflow, are_over, task_states
from srdp.hooks.ledger import Ledger
from srdp.notifications.imaging_mails import assignment_reminder
from srdp.notifications.outbox import send_due_mails
from srdp.services.assignment.assign import assign_dag
from srdp.services.context import SiteContext
from srdp.settings import Settings

log = logging.getLogger(__name__)


class StartDagRun(Protocol):
    """Starts a DAG run; see :func:`srdp.operators.dag_runs.start_dag_run`."""

    def __call__(self, dag_id: str, run_id: str, conf: Mapping[str, Any], *, again: bool = False) -> bool:
        """Return False if there is one of that id and it is not begun again."""


class Asking(StrEnum):
    """What becomes of a question, as its DAG run shows."""

    LOST = "lost"
    ENDED = "ended"
    ANSWERED = "ended, behind an answer"
    WAITING = "waiting"
    BUSY = "busy"


_OVER: Final = frozenset({Asking.LOST, Asking.ENDED, Asking.ANSWERED})


def reconcile_assignments(site: SiteContext, airflow: Airflow, start: StartDagRun) -> None:
    """End pointless questions, ask again for runs of which nobody is asked, and remind people; once.

    Args:
        site: settings and ledger.
        airflow: what asks Airflow.
        start: what starts DAG runs.

    Raises:
        SrdpError: what went wrong with single runs.
        ServiceUnavailable: the ledger cannot be reached.
    """
    settings, ledger = site.settings, Ledger(site.settings)
    problems = _end_pointless_questions(ledger, airflow, start)
    problems += _ask_again(settings, ledger, airflow, start)
    reminded, not_reminded = _remind(settings, ledger)
    problems += not_reminded
    if reminded:
        log.info("%s", send_due_mails(ledger, settings))
    if problems:
        raise SrdpError(" ".join(problems))


def _end_pointless_questions(ledger: Ledger, airflow: Airflow, start: StartDagRun) -> list[str]:
    questions = ledger.assignments.pointless_questions()
    fates = _fates(airflow, ((question.dag_id, question.dag_run_id) for question in questions))
    problems = []
    for question in questions:
        fate = fates[question.dag_id, question.dag_run_id]
        try:
            _end(ledger, question, fate, start)
        except SrdpError as error:
            problems.append(f"The question who reviews {question.pipeline_run_id} could not be ended: {error}")
    return problems


def _end(ledger: Ledger, question: Question, fate: Asking, start: StartDagRun) -> None:
    if fate is Asking.WAITING:
        log.info("Nobody needs to say any more who reviews %s", question.pipeline_run_id)
        start(question.dag_id, question.dag_run_id, {}, again=True)
    elif fate is not Asking.BUSY:
        ledger.assignments.close_question(question)


def _ask_again(settings: Settings, ledger: Ledger, airflow: Airflow, start: StartDagRun) -> list[str]:
    fates = _fates(airflow, (_question(waiting) for waiting in _unassigned(ledger)))
    if not _OVER.intersection(fates.values()):
        return []
    problems = []
    # Read again: a DAG run that has ended may just have assigned the run.
    for waiting in _unassigned(ledger):
        fate = fates.get(_question(waiting), Asking.BUSY)
        if fate not in _OVER:
            continue
        run_id = waiting.run.pipeline_run_id
        log.warning("Who reviews %s is asked again: its DAG run is %s.", run_id, fate)
        try:
            start(*_question(waiting), {"pipeline_run_id": run_id}, again=fate is not Asking.LOST)
        except SrdpError as error:
            problems.append(f"Who reviews {run_id} could not be asked again: {error}")
            continue
        if fate is Asking.ANSWERED:
            ledger.assignments.remind(waiting, assignment_reminder(settings, waiting, ledger.now()))
    return problems


def _remind(settings: Settings, ledger: Ledger) -> tuple[int, list[str]]:
    period = timedelta(hours=settings.assignment_reminder_hours)
    now = ledger.now()
    reminded, problems = 0, []
    for waiting in ledger.assignments.waiting():
        if not waiting.needs_reminder(now, period):
            continue
        try:
            mail = assignment_reminder(settings, waiting, now)
        except SrdpError as error:
            problems.append(f"Nobody is reminded of {waiting.run.pipeline_run_id}: {error}")
            continue
        reminded += ledger.assignments.remind(waiting, mail)
    return reminded, problems


def _unassigned(ledger: Ledger) -> list[WaitingRun]:
    return [waiting for waiting in ledger.assignments.waiting() if waiting.assignment is None]


def _question(waiting: WaitingRun) -> tuple[str, str]:
    return assign_dag(waiting.run), question_dag_run_id(waiting.run.pipeline_run_id)


def _fates(airflow: Airflow, questions: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Asking]:
    """Return what becomes of questions.

    Args:
        airflow: what asks Airflow.
        questions: the DAG and the DAG run id of each.
    """
    return {question: _fate(states) for question, states in task_states(airflow, questions).items()}


def _fate(states: Mapping[str, Any]) -> Asking:
    if not states:
        return Asking.LOST
    # Compared, not shown: what Airflow returns may be an Enum whose text is not its value.
    if states.get(QUESTION_TASK) == "awaiting_input":
        return Asking.WAITING
    if not are_over(states):
        return Asking.BUSY
    return Asking.ANSWERED if states.get(QUESTION_TASK) == "success" else Asking.ENDED
