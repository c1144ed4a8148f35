"""Who has the review of a run: assignments, the questions that lead to them, and reminders."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from srdp.domain.common.errors import Refused, quoted
from srdp.domain.runs.identifiers import PipelineRunId, pipeline_run_id

if TYPE_CHECKING:
    from srdp.domain.runs.ledger_records import PipelineRun

#: The task that asks; its page is where a run is assigned.
QUESTION_TASK: Final = "ask_who_reviews_it"

#: What the keys of reminders begin with; the numbers of the assignment and of the reminder follow.
REMINDER_KEY: Final = "assignment_reminder_"


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """The assignment of a run to a reviewer.

    Attributes:
        pipeline_run_id: the run.
        number: 1 for the run's first assignment, 2 after it was reassigned, and so on.
        data_analyst: the mail address of who has it.
        assigned_by: who gave it.
        assigned_at: since when (UTC).
    """

    pipeline_run_id: PipelineRunId
    number: int
    data_analyst: str
    assigned_by: str
    assigned_at: datetime


@dataclass(frozen=True, kw_only=True)
class Question:
    """The question who reviews a run, as a DAG run asks it.

    Attributes:
        pipeline_run_id: the run.
        dag_id: the DAG that asks.
        dag_run_id: the DAG run that asks.
        asked_at: since when (UTC).
    """

    pipeline_run_id: PipelineRunId
    dag_id: str
    dag_run_id: str
    asked_at: datetime


@dataclass(frozen=True, kw_only=True)
class WaitingRun:
    """A run that awaits its verdict.

    Attributes:
        run: the run.
        assignment: who has it; None if nobody has.
        reminders: how many reminders were sent about this assignment, or about there being none.
        reminded_at: when the last of them was queued (UTC); None if there was none.
    """

    run: PipelineRun
    assignment: Assignment | None
    reminders: int
    reminded_at: datetime | None

    @property
    def since(self) -> datetime:
        """Since when it waits for the next step: for who reviews it, or for the verdict of who does."""
        # A verdict that was withdrawn makes it wait again.
        return max(self.run.state_since, self.assignment.assigned_at) if self.assignment else self.run.state_since

    def needs_reminder(self, now: datetime, period: timedelta) -> bool:
        """Whether a reminder is due.

        Args:
            now: the time (UTC).
            period: how long nothing may happen before people are reminded, and between two reminders.
        """
        return now - max(self.since, self.reminded_at or self.since) >= period


def question_dag_run_id(run_id: PipelineRunId) -> str:
    """Return the id of the DAG run that asks who reviews a run; known before there is one.

    Args:
        run_id: the pipeline run ID.
    """
    return pipeline_run_id(run_id)


def checked_analyst(address: object, analysts: tuple[str, ...]) -> str:
    """Return the address of a data analyst.

    Args:
        address: as it was chosen or typed.
        analysts: those that the settings name.

    Raises:
        Refused: it is none of them.
    """
    wanted = address.strip() if isinstance(address, str) else address
    if wanted in analysts:
        return str(wanted)
    raise Refused(
        f"{quoted(address)} is no data analyst of the settings, who are {', '.join(analysts)}: choose one of them, or "
        "change SRDP_ALMA_DATA_ANALYSTS."
    )
