"""### Watch observations

Notices each execution block that comes into the archive and starts `vla_calibration` for it,
exactly once, under a DAG run id that is the EB's name.

A watcher in Airflow's triggerer asks the archive every few seconds; it starts this DAG when there is something to do.
Every quarter of an hour the DAG runs anyway, so nothing depends on the watcher alone.

| step | what it does |
|---|---|
| Decide what to calibrate | once for each: calibrate, or leave alone with the reason (in the log and the ledger) |
| Start calibrations | one DAG run for each, the oldest first; what was decided earlier and not started is started too |

No more than `SRDP_WATCH_RUNS_AT_ONCE` calibrations are under way at once, no matter who started them: the next is
started when one was delivered or has failed. The result of *Start calibrations* says how many wait. If you cannot
wait, trigger `vla_calibration` by hand: that run does not wait for a place, and is not started a second time.

Left alone are system SDMs, what is marked `Do Not Calibrate` or `Calibrated`, any other status than `Ready`, and what
somebody has started by hand. To calibrate one of them after all, trigger `vla_calibration`.

What was in the archive before the first start is history, and is not calibrated unless `SRDP_WATCH_BACKLOG_FROM` says
from which date on; then `SRDP_WATCH_BACKLOG_PER_DAY` of them are started in any 24 hours. While this DAG is paused or
Airflow is down nothing is lost: it catches up. After it was paused, the watcher starts when Airflow reads the DAG file
again: within ten minutes, or at once with the button *Reparse Dag*.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import Asset, AssetOrTimeSchedule, AssetWatcher, CronTriggerTimetable, dag

from srdp.operators.observations import DecideObservationsOperator, StartCalibrationsOperator
from srdp.operators.retrying import retries
from srdp.task_chains.priorities import Kind, priority
from srdp.triggers.observations import ObservationTrigger

NEW_OBSERVATIONS = Asset(
    "srdp_new_observations", watchers=[AssetWatcher(name="srdp_archive", trigger=ObservationTrigger())]
)


@dag(
    dag_display_name="Watch observations",
    description="Start a calibration for each newly ingested execution block",
    schedule=AssetOrTimeSchedule(
        assets=[NEW_OBSERVATIONS], timetable=CronTriggerTimetable("*/15 * * * *", timezone="UTC")
    ),
    start_date=datetime(2025, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    default_args={
        "owner": "data analysts",
        **retries("continuous"),
        **priority(Kind.OBSERVATIONS),
    },
    tags=["vla", "ingestion"],
    doc_md=__doc__,
)
def watch_observations() -> None:
    decide = DecideObservationsOperator(task_id="decide", task_display_name="Decide what to calibrate")
    start = StartCalibrationsOperator(
        task_id="start_calibrations", task_display_name="Start calibrations", trigger_dag_id="vla_calibration"
    )
    decide >> start


watch_observations()
