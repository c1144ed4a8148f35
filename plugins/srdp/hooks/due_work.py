"""What is due: the cheap questions by which it is found out whether anybody has to look.

Whoever acts looks again: to find too much here costs a look, to find too little costs time.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from srdp.domain.runs.assignment import question_dag_run_id
from srdp.families import family_of
from srdp.hooks.abandoned_runs import Airflow, are_over, runs_at_work, task_states
from srdp.hooks.heartbeat import OUTBOX_ASKED, beat
from srdp.hooks.ledger import Ledger
from srdp.hooks.postgres import rows, transaction

if TYPE_CHECKING:
    from srdp.settings import Settings

# Who queues a mail sends it as well: what is due for less is in good hands.
_GRACE_SECONDS: Final = 10.0
# What is longer in the QA area after it was archived is found when all is looked at.
_ARCHIVED_DAYS: Final = 2


def due_in_outboxes(settings: Settings) -> frozenset[str]:
    """Return the newest mail and the newest request to the archive that are due and that nobody sends.

    Each look is a sign of life.

    Raises:
        ServiceUnavailable: the ledger cannot be reached.
        SettingsError: the Connection or the statement is wrong.
    """
    parameters = {"grace_seconds": _GRACE_SECONDS, "reindex": settings.reindex != "off"}
    with transaction(settings.ledger_connection, what="The ledger's database") as cursor:
        found = rows(cursor, settings.sql / "ledger", "outbox_due", parameters)
    beat(settings, OUTBOX_ASKED)
    return frozenset(f"{row['kind']} {row['number']}" for row in found)


def due_of_runs(settings: Settings, airflow: Airflow) -> frozenset[str]:
    """Return the runs, CASA jobs and assignments that must be reconciled.

    Args:
        settings: the ledger and the areas.
        airflow: what asks Airflow.

    Raises:
        ServiceUnavailable: the ledger cannot be reached.
        SettingsError: the Connection or a statement is wrong.
    """
    ledger, assignments = Ledger(settings, retry_seconds=0), Ledger(settings, retry_seconds=0)
    due = {f"job {attempt.job_name}" for attempt in ledger.casa.without_task()}
    due |= {f"question {question.dag_run_id}" for question in assignments.assignments.pointless_questions()}
    at_work = [
        (worker.dag_run, f"run {worker.run.pipeline_run_id}")
        for worker in runs_at_work(settings, ledger, archived_days=_ARCHIVED_DAYS)
    ]
    waiting = assignments.assignments.waiting()
    if waiting:
        now, period = assignments.now(), timedelta(hours=settings.assignment_reminder_hours)
        due |= {
            f"reminder {one.run.pipeline_run_id} {one.reminders}" for one in waiting if one.needs_reminder(now, period)
        }
    for one in waiting:
        if one.assignment is None:
            run_id = one.run.pipeline_run_id
            question = (str(family_of(one.run.kind).assign_dag), question_dag_run_id(run_id))
            at_work.append((question, f"assignment {run_id}"))
    states = task_states(airflow, (dag_run for dag_run, _work in at_work))
    return frozenset(due | {work for dag_run, work in at_work if are_over(states[dag_run])})
