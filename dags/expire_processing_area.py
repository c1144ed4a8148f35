"""### Expire the processing area

Removes what has been kept long enough: directories of runs that are in the archive, failed, were cancelled, superseded
or rejected, of VLA and of ALMA, wherever they are, and calibrated measurement sets in the cache. It runs every morning;
with *Dry run* it says what it would remove, and removes nothing.

A text file that a data analyst edits says for how long each kind is kept (`include/retention.txt`, unless the
setting `SRDP_RETENTION_FILE` names another). A wrong line is reported with its number, and changes nothing.

* A run that is worked on or waits for a verdict is never touched.
* A run that is in the archive goes only if NGAS has just read every file that was archived, and found it good.
* If so much has expired, or something so recent, that it may be a mistake (see the settings `SRDP_EXPIRY_…`),
  nothing is removed: the operations managers get a mail with the list. If it is right, trigger this DAG with the number
  that the mail names.
* Files that belong to no run in the ledger are listed, and never touched.

The log says what was removed, what will be within a week, and how much space that gives; data analysts and
operations managers get the same by mail, on days with something to report. When the step is red, something
that has expired could not be removed: the log and the mail say what and why. Everything else was removed, and the rest
is tried again the next morning. If it cannot determine all that has expired, for example because an area is not
mounted, nothing more is removed, and a mail says so after the last try.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, dag

from srdp.operators.expire import ExpireOperator
from srdp.operators.retrying import retries
from srdp.task_chains.forms import params, value
from srdp.task_chains.priorities import Kind, priority


@dag(
    dag_display_name="Expire the processing area",
    description="Every morning: remove what has been kept long enough, and say what comes next",
    # Without a start date the first run is the next morning's, however late this morning Airflow was started.
    schedule=CronTriggerTimetable("30 5 * * *", timezone="UTC", run_immediately=timedelta()),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    # One that hangs on a dead file system is not to keep tomorrow's from reporting.
    dagrun_timeout=timedelta(hours=23),
    default_args={"owner": "operators", **retries("daily"), **priority(Kind.HOUSEKEEPING)},
    tags=["housekeeping", "vla", "alma"],
    doc_md=__doc__,
    params=params("expire_processing_area"),
)
def expire_processing_area() -> None:
    ExpireOperator(
        task_id="expire",
        task_display_name="Remove what has expired",
        only_report=value("expire_processing_area", "dry_run"),
        number=value("expire_processing_area", "number"),
    )


expire_processing_area()
