"""### Check the settings

Checks every setting and everything that it names: areas, CASA, the pipeline, the databases, the locator
service, NGAS and the mail server. It runs every morning; trigger it after a change. All checks run at once, and each
answer is a log line when it arrives, in at most 20 seconds. Each problem is reported in one sentence, with the
variable or the connection to set.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, dag

from srdp.operators.check_settings import CheckSettingsOperator
from srdp.operators.retrying import retries
from srdp.task_chains.priorities import Kind, priority


@dag(
    dag_display_name="Check the settings",
    description="Check that all settings are valid and that every system they name answers",
    # Without a start date the first run is the next morning's, however late this morning Airflow was started.
    schedule=CronTriggerTimetable("0 6 * * *", timezone="UTC", run_immediately=timedelta()),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    default_args={"owner": "operators", **retries("check"), **priority(Kind.PERSON)},
    tags=["operations"],
    doc_md=__doc__,
)
def check_settings() -> None:
    CheckSettingsOperator(task_id="check_settings", task_display_name="Check the settings")


check_settings()
