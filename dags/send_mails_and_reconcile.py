"""### Send mails and reconcile

Two watchers in Airflow's triggerer: one asks the ledger every five seconds whether a mail or a request to the archive
is due; the other asks ledger and Airflow twice a minute whether a run, a CASA job or an assignment must be
reconciled. Either starts this DAG when there is something to do, and again while that lasts: after one, two and four
minutes, then every five. The DAG also runs every quarter of an hour, so nothing depends on the watchers alone.

| step | what it does |
|---|---|
| Send the mails that are due | those that the mail server did not take before; at most ten minutes apart |
| Ask for projects to be indexed again | those with newly archived data, so that users see it |
| Reconcile assignments | asks again who reviews a run, ends questions that are pointless, reminds people |
| Catch up with runs and jobs | what was left behind by DAG runs that ended, or were deleted, without a report |

A mail is queued in the ledger by the transaction that sets the state it reports, and so is a request to the archive:
none is lost while this DAG is paused, or the mail server or the archive is down. A pipeline run without a live DAG run
becomes failed (or cancelled, if it had not started), with its mail. A run that is archived, but whose last steps were
not done, is reported once, by mail. The CASA job of a run that has ended is cancelled.

When a step is red its log says in one sentence what could not be reached; it is tried again as described above. *Send
the mails that are due* is red as long as the mail server is away for more than ten minutes, and says since when, with
which error, and how many mails wait; the other steps are done all the same.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import Asset, AssetOrTimeSchedule, AssetWatcher, CronTriggerTimetable, dag

from srdp.operators.mail import SendQueuedMailsOperator
from srdp.operators.reconcile import ReconcileRunsOperator
from srdp.operators.reconcile_assignments import ReconcileAssignmentsOperator
from srdp.operators.reindex import ReindexProjectsOperator
from srdp.operators.retrying import retries
from srdp.task_chains.priorities import Kind, priority
from srdp.triggers.due_work import DueMailTrigger, DueRunsTrigger

DUE_WORK = Asset(
    "srdp_due_work",
    watchers=[
        AssetWatcher(name="srdp_outboxes", trigger=DueMailTrigger()),
        AssetWatcher(name="srdp_runs", trigger=DueRunsTrigger()),
    ],
)


@dag(
    dag_display_name="Send mails and reconcile",
    description="When something is due: send what is queued, and report runs that have no live DAG run any more",
    schedule=AssetOrTimeSchedule(assets=[DUE_WORK], timetable=CronTriggerTimetable("*/15 * * * *", timezone="UTC")),
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    dagrun_timeout=timedelta(minutes=30),
    default_args={"owner": "operators", **retries("minutely"), **priority(Kind.EVERYBODY)},
    tags=["housekeeping", "mail"],
    doc_md=__doc__,
)
def send_mails_and_reconcile() -> None:
    # Each on a branch of its own: nothing that is wrong with one holds up another.
    SendQueuedMailsOperator(task_id="send_mails", task_display_name="Send the mails that are due")
    ReconcileRunsOperator(task_id="reconcile", task_display_name="Catch up with runs and jobs")
    ReconcileAssignmentsOperator(task_id="reconcile_assignments", task_display_name="Reconcile assignments")
    ReindexProjectsOperator(task_id="reindex", task_display_name="Ask for projects to be indexed again")


send_mails_and_reconcile()
