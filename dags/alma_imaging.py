"""### ALMA imaging

Images one ALMA member observing unit set (MOUS) as a user asks, with the CASA pipeline, and hands the images to the QA
area, where they wait for the verdict of the data analyst to whom the operations manager assigns them.

| step | what it does |
|---|---|
| Open the run | checks the request and how large its images would be, and makes nothing if anything is wrong |
| Fetch raw data from NGAS | the ASDMs and their calibration, every file by size and checksum, into `rawdata/` |
| Write the PPR | the recipe with what was asked, as `working/PPR.xml` |
| Run CASA | as a job of its own, which survives a restart of Airflow |
| Judge the outcome | proves it by stages, images and unchanged raw data; CASA's exit status proves nothing |
| Deliver to the QA area | the directory moves, under the same name |
| Ask who reviews it | starts `alma_assign_qa`, which waits for the operations manager's answer |
| Tell the operations manager it is ready for review | mail with the images, the QA scores and the weblog |
| Report the failure | only when a step failed: the run stays in the processing area, and a mail says what to do |

A request is the MOUS and what is asked of it: the same request is refused while a run of it is active, and when one has
passed QA; another request for the same MOUS is not. To stop a run, mark the step that is running as failed: its CASA
job is cancelled with it.

Over the API, `fields` may be a list of names, and `cubes` a list of objects with the keys `field`, `spw`,
`rest_frequency_ghz`, `start`, `width` and `channels`.
"""

from __future__ import annotations

from airflow.sdk import dag

from srdp.families import ALMA
from srdp.operators.open_imaging_run import OpenImagingRunOperator
from srdp.task_chains.forms import params, value, values
from srdp.task_chains.pipeline_tasks import DEFAULT_ARGS, MAX_ACTIVE_RUNS, OPEN_RUN, add_pipeline_tasks


@dag(
    dag_display_name="ALMA imaging",
    description="Image one ALMA MOUS as a user asks and hand the images to the QA area",
    schedule=None,
    max_active_runs=MAX_ACTIVE_RUNS,
    is_paused_upon_creation=False,
    default_args=DEFAULT_ARGS,
    tags=["alma", "imaging"],
    doc_md=__doc__,
    params=params(ALMA.kind),
)
def alma_imaging() -> None:
    # Mapped over its one MOUS, so that the grid shows its UID on a run that was started by form.
    opened = OpenImagingRunOperator.partial(
        task_id=OPEN_RUN,
        task_display_name="Open the run",
        map_index_template="{{ task.mous }}",
        user=value(ALMA.kind, "asked_by"),
        user_email=value(ALMA.kind, "asked_by_email"),
        **values(ALMA.kind, "mous", "asked_by", "asked_by_email"),
    ).expand(mous=[value(ALMA.kind, "mous")])
    add_pipeline_tasks(opened, ALMA)


alma_imaging()
