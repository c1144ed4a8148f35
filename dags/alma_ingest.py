"""### ALMA ingest

Ingests the images of an ALMA MOUS that wait in the image QA area into the archive, and registers the QA flag *Pass*.
Images that are not to be archived are discarded with *ALMA QA fail*.

| step | what it does |
|---|---|
| Check and claim | checks report and flag template; proves that the images can be archived; claims them |
| Write the QA notes | into the weblog, with the report beside them as a file; the weblog's tar is made again |
| Pack the products | a tar of all that is no image; sizes and checksums are recorded |
| Put them into NGAS | tar, images and weblog, each once, each proved by the server's CHECKFILE |
| Write the archive's metadata | in one transaction: files, image set, what each image is, notes |
| Finish | the run is archived; its siblings are superseded and the request is sealed |
| Have the project indexed | so that the archive's front end shows it |
| Move the directory back | to the processing area, where it expires |
| Tell the analysts it is archived | mail: what, and where |
| Report the failure | only when a step failed: the run is `ingest_failed`, and a mail says why |

Each FITS file is archived as it is, as a science or an ancillary product, by patterns in the settings. The runs of
another request for the same MOUS stay as they are.

**After a failure** trigger it again with the same run and leave the rest empty: report and notes are kept, it continues
where it stopped, and nothing is archived twice. To withdraw the verdict, trigger *ALMA withdraw verdict*. If *Check
and claim* refuses, nothing was changed; a run that is archived already stays as it is.
"""

from __future__ import annotations

from airflow.sdk import dag

from srdp.families import ALMA
from srdp.operators.claim_ingest import ClaimIngestOperator
from srdp.task_chains.forms import params, values
from srdp.task_chains.ingest_tasks import CLAIM, DEFAULT_ARGS, MAX_ACTIVE_RUNS, RUN, add_ingest_tasks


@dag(
    dag_display_name="ALMA ingest",
    description="Ingest the images of an ALMA MOUS into the archive",
    schedule=None,
    max_active_runs=MAX_ACTIVE_RUNS,
    is_paused_upon_creation=False,
    default_args=DEFAULT_ARGS,
    tags=["alma", "verdict", "archive"],
    doc_md=__doc__,
    params=params(ALMA.ingest_dag),
)
def alma_ingest() -> None:
    # Mapped over its one run, so that the grid shows which one it is.
    claimed = ClaimIngestOperator.partial(
        task_id=CLAIM,
        task_display_name="Check and claim",
        map_index_template="{{ task.pipeline_run_id }}",
        qa_flag="Pass",
        **values(ALMA.ingest_dag, "pipeline_run_id"),
    ).expand(pipeline_run_id=[RUN])
    add_ingest_tasks(claimed, ALMA)


alma_ingest()
