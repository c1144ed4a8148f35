"""Assignments: who has which run to review, who is being asked, and reminders.

The run's row is held while something is decided, so that a verdict given meanwhile is seen.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from srdp.domain.common.authors import is_same_person
from srdp.domain.common.errors import Refused
from srdp.domain.events.names import EventName
from srdp.domain.events.payloads import Assigned, AssignmentConfirmed
from srdp.domain.runs.assignment import Assignment, Question, WaitingRun, question_dag_run_id
from srdp.domain.runs.identifiers import PipelineRunId
from srdp.domain.runs.states import RunState, remedy_for
from srdp.families import families
from srdp.hooks.ledger.database import Repository, Transaction, only, unknown_run
from srdp.hooks.ledger.events import insert_event
from srdp.hooks.ledger.outbox import queue_mail
from srdp.hooks.ledger.requests import run_of_row
from srdp.hooks.postgres import postgres_safe

if TYPE_CHECKING:
    from srdp.domain.common.mail import Mail
    from srdp.domain.runs.ledger_records import PipelineRun

_ASSIGNMENT: Final = ("number", "data_analyst", "assigned_by", "assigned_at")


class Assignments(Repository):
    """Who reviews which run."""

    def waiting(self) -> list[WaitingRun]:
        """Return the runs that await a verdict which is assigned, each with who has it; longest waiting first."""
        return self._database.transact(_waiting)

    def of_run(self, run_id: PipelineRunId) -> list[Assignment]:
        """Return who was given a run to review, in order; the last is in force."""
        rows = self._database.rows("assignments_of_run", pipeline_run_id=run_id)
        return [_assignment(row) for row in rows]

    def reviewer_before(self, run: PipelineRun) -> Assignment | None:
        """Return who was given the last of the versions that a rerun repeats, directly or not; None if nobody was.

        Args:
            run: the rerun.
        """
        former = run.former_run
        while former is not None:
            assignments = self.of_run(former)
            if assignments:
                return assignments[-1]
            former = only(self._database.row("run_by_id", pipeline_run_id=former))["former_run"]
        return None

    def reviewer_other_than(self, run: PipelineRun, login: str) -> str:
        """Return to whom a run is assigned, if that is not a login; empty if it is, or if nobody has it.

        Args:
            run: the run; calibrations are not assigned.
            login: as Airflow has authenticated it.
        """
        assignments = self.of_run(run.pipeline_run_id) if run.kind in _assigned_kinds() else ()
        reviewer = assignments[-1].data_analyst if assignments else ""
        return "" if is_same_person(login, reviewer) else reviewer

    def ask(self, run_id: PipelineRunId, *, dag_id: str, dag_run_id: str) -> str | None:
        """Record that a DAG run asks who reviews a run, if it is to ask.

        Args:
            run_id: the run.
            dag_id: the DAG that asks.
            dag_run_id: the DAG run that asks.

        Returns:
            None if it asks, else why there is nothing to ask, as the end of a sentence.

        Raises:
            InvalidInput: the ledger holds no such run.
        """
        key = {"dag_id": dag_id, "dag_run_id": dag_run_id}

        def work(transaction: Transaction) -> str | None:
            state = _lock(transaction, run_id)
            question = transaction.row("assignment_question_of_dag_run", **key)
            needless = _needless(transaction, run_id, state, question, dag_run_id)
            if needless:
                transaction.change("assignment_question_close", **key)
                return needless
            transaction.change("assignment_question_open", **key, pipeline_run_id=run_id)
            return None

        return self._database.transact(work)

    def close_question(self, question: Question) -> None:
        """Record that nobody is asked any more; safe to repeat.

        Args:
            question: the question.
        """
        key = {"dag_id": question.dag_id, "dag_run_id": question.dag_run_id}
        self._database.change("assignment_question_close", **key)

    def pointless_questions(self) -> list[Question]:
        """Return the questions that are asked although no answer is needed any more, oldest first."""
        rows = self._database.rows("assignment_questions_pointless")
        return [Question(**row | {"pipeline_run_id": PipelineRunId(row["pipeline_run_id"])}) for row in rows]

    def assign(
        self,
        run_id: PipelineRunId,
        data_analyst: str,
        *,
        assigned_by: str,
        answer: str,
        dag_id: str,
        dag_run_id: str,
        mails: Callable[[Assignment, Assignment | None], Sequence[Mail]] = lambda _new, _former: (),
    ) -> Assignment:
        """Give a run to somebody to review, with the mails about it, and close the DAG run's question.

        Args:
            run_id: the run.
            data_analyst: the mail address of who gets it.
            assigned_by: who gives it.
            answer: distinguishes this answer from all others; each is recorded once, whatever was answered since.
            dag_id: the DAG that asked.
            dag_run_id: the DAG run that asked.
            mails: makes the mails, from the new assignment and the former one, if there was one.

        Returns:
            The assignment that this answer made; if it gave the run to who had it already, the one in force.

        Raises:
            Refused: the run does not await its verdict.
            InvalidInput: the ledger holds no such run.
        """
        event_id = uuid.uuid5(uuid.NAMESPACE_URL, f"{run_id} {answer}")

        def work(transaction: Transaction) -> Assignment:
            state = _lock(transaction, run_id)
            transaction.change("assignment_question_close", dag_id=dag_id, dag_run_id=dag_run_id)
            rows = transaction.rows("assignments_of_run", pipeline_run_id=run_id)
            before = next((row for row in rows if row["answer"] == answer), None)
            if before is not None or (rows and _is_confirmed(transaction, run_id, answer)):
                return _assignment(before or rows[-1])
            if state is not RunState.AWAITING_QA:
                raise Refused(f"{run_id} was not assigned: it is {state}; {remedy_for(state)}.")
            former = _assignment(rows[-1]) if rows else None
            values = {"data_analyst": data_analyst, "assigned_by": postgres_safe(assigned_by)}
            if former is not None and former.data_analyst == data_analyst:
                # Recorded all the same: repeated after another answer, it would overrule that one.
                details = AssignmentConfirmed(
                    data_analyst=data_analyst, assigned_by=assigned_by, number=former.number, answer=answer
                )
                insert_event(transaction, event_id, run_id, EventName.ASSIGNMENT_CONFIRMED, details)
                confirmed = {"pipeline_run_id": run_id, "answer": postgres_safe(answer), "number": former.number}
                transaction.change("assignment_confirm", **confirmed)
                return former
            row = transaction.row(
                "assignment_insert", pipeline_run_id=run_id, number=len(rows) + 1, answer=answer, **values
            )
            new = _assignment(row or {})
            assigned = Assigned(
                data_analyst=data_analyst,
                assigned_by=assigned_by,
                number=new.number,
                dag_id=dag_id,
                dag_run_id=dag_run_id,
            )
            insert_event(transaction, event_id, run_id, EventName.ASSIGNED, assigned)
            for mail in mails(new, former):
                queue_mail(transaction, run_id, mail)
            return new

        return self._database.transact(work)

    def remind(self, waiting: WaitingRun, mail: Mail) -> bool:
        """Queues a reminder, unless the run has gone on, or was reminded of, since it was read.

        Args:
            waiting: the run as it was read.
            mail: the reminder; its key holds the numbers of the assignment and of the reminder.

        Returns:
            Whether it was queued.
        """
        run_id = waiting.run.pipeline_run_id

        def work(transaction: Transaction) -> bool:
            _lock(transaction, run_id)
            if [waiting] != _waiting(transaction, run_id):
                return False
            number = waiting.assignment.number if waiting.assignment else 0
            queue_mail(transaction, run_id, mail, assignment_number=number)
            return True

        return self._database.transact(work)


def _assigned_kinds() -> list[str]:
    return [family.kind for family in families() if family.is_assigned]


def _is_confirmed(transaction: Transaction, run_id: PipelineRunId, answer: str) -> bool:
    """Return whether an answer is recorded that gave the run to who had it already."""
    confirmed = transaction.row("assignment_is_confirmed", pipeline_run_id=run_id, answer=postgres_safe(answer))
    return confirmed is not None


def _lock(transaction: Transaction, run_id: PipelineRunId) -> RunState:
    locked = transaction.row("run_lock", pipeline_run_id=run_id)
    if locked is None:
        raise unknown_run(run_id)
    return RunState(locked["state"])


def _needless(
    transaction: Transaction,
    run_id: PipelineRunId,
    state: RunState,
    question: Mapping[str, Any] | None,
    dag_run_id: str,
) -> str | None:
    if state is not RunState.AWAITING_QA:
        return f"it is {state}"
    rows = transaction.rows("assignments_of_run", pipeline_run_id=run_id)
    if not rows:
        return None
    # A DAG run that a person started, or let ask again, is to ask. The one that asks by itself comes too late.
    by_itself = question is None and dag_run_id == question_dag_run_id(run_id)
    waited = question is not None and question["closed_at"] is None and rows[-1]["assigned_at"] > question["asked_at"]
    return f"{rows[-1]['data_analyst']} has it" if by_itself or waited else None


def _waiting(transaction: Transaction, run_id: PipelineRunId | None = None) -> list[WaitingRun]:
    rows = transaction.rows("assignment_waiting", kinds=_assigned_kinds(), pipeline_run_id=run_id)
    return [_waiting_run(row) for row in rows]


def _waiting_run(row: dict[str, Any]) -> WaitingRun:
    rest = dict(row)
    assignment = {name: rest.pop(name) for name in _ASSIGNMENT}
    reported = {name: rest.pop(name) for name in ("reminders", "reminded_at")}
    run = run_of_row(rest)
    given = assignment["number"] is not None
    return WaitingRun(
        run=run,
        assignment=Assignment(pipeline_run_id=run.pipeline_run_id, **assignment) if given else None,
        **reported,
    )


def _assignment(row: Mapping[str, Any]) -> Assignment:
    known = {name: row[name] for name in _ASSIGNMENT}
    return Assignment(pipeline_run_id=PipelineRunId(row["pipeline_run_id"]), **known)
