"""### Watch observations

The ingestion sensor: notices each execution block that comes into the archive and starts `vla_calibration` for it,
exactly once, under a DAG run id that is the EB's name.

| step | what it does |
|---|---|
| Wait for observations | asks the archive every few seconds in the triggerer; skipped after an hour without any |
| Decide what to calibrate | once for each: calibrate, or leave alone with the reason (in the log and the ledger) |
| Start calibrations | one DAG run for each; what was decided earlier and not started is started too |

Left alone are system SDMs, what is marked `Do Not Calibrate` or `Calibrated`, any other status than `Ready`, and what
somebody has started by hand. To calibrate one of them after all, trigger `vla_calibration`.

What was in the archive before the first start is history, and is not calibrated unless `SRDP_WATCH_BACKLOG_FROM` says
from which date on; then `SRDP_WATCH_BACKLOG_PER_DAY` of them are started in any 24 hours. While this DAG is paused or
Airflow is down nothing is lost: it catches up.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import dag

from srdp.operators.observations import DecideObservationsOperator, StartCalibrationsOperator
from srdp.operators.retrying import retries
from srdp.sensors.observations import ObservationSensor
from srdp.task_groups.priorities import Kind, priority


@dag(
    dag_display_name="Watch observations",
    description="Start a calibration for each newly ingested execution block",
    schedule="@continuous",
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
    wait = ObservationSensor(task_id="wait_for_observations", task_display_name="Wait for observations")
    decide = DecideObservationsOperator(task_id="decide", task_display_name="Decide what to calibrate")
    start = StartCalibrationsOperator(
        task_id="start_calibrations", task_display_name="Start calibrations", trigger_dag_id="vla_calibration"
    )
    wait >> decide >> start


watch_observations()
