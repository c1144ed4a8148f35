"""### VLA calibration

Calibrates one VLA execution block with the CASA pipeline and hands the result to the QA area, where it waits for a
data analyst's verdict. `watch_observations` starts a calibration for each new observation; start any
other here, with *Trigger*.

| step | what it does |
|---|---|
| Open the run | gives the run its pipeline run ID, its directory and its row in the ledger |
| Tell the analysts it has begun | mail |
| Fetch raw data from NGAS | every file by size and checksum, into `rawdata/` |
| Write the PPR | the recipe for this execution block, as `working/PPR.xml` |
| Run CASA | as a job of its own, which survives a restart of Airflow |
| Judge the outcome | proves it by stages, products and unchanged raw data; CASA's exit status proves nothing |
| Deliver to the QA area | the directory moves, under the same name |
| Tell the analysts it is ready for review | mail with the QA scores and the weblog |
| Report the failure | only when a step failed: the run stays in the processing area, and a mail says what to do |

A second request for an execution block whose run is still active is refused. To stop a run, mark the step that is
running as failed: its CASA job is cancelled with it.
"""

from __future__ import annotations

from airflow.sdk import dag

from srdp.families import VLA
from srdp.operators.open_run import OpenExecutionBlockRunOperator
from srdp.task_chains.forms import params, value, values
from srdp.task_chains.pipeline_tasks import DEFAULT_ARGS, MAX_ACTIVE_RUNS, OPEN_RUN, add_pipeline_tasks


@dag(
    dag_display_name="VLA calibration",
    description="Calibrate one VLA execution block and hand it to the QA area",
    schedule=None,
    max_active_runs=MAX_ACTIVE_RUNS,
    is_paused_upon_creation=False,
    default_args=DEFAULT_ARGS,
    tags=["vla", "calibration"],
    doc_md=__doc__,
    params=params(VLA.kind),
)
def vla_calibration() -> None:
    # Mapped over its one execution block, so that the grid shows the EB's name on a run that was started by form.
    opened = OpenExecutionBlockRunOperator.partial(
        task_id=OPEN_RUN,
        task_display_name="Open the run",
        map_index_template="{{ task.execution_block }}",
        **values(VLA.kind, "execution_block"),
    ).expand(execution_block=[value(VLA.kind, "execution_block")])
    add_pipeline_tasks(opened, VLA)


vla_calibration()
