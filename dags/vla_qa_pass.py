"""### VLA QA pass

Gives the verdict on a VLA calibration that waits in the QA area, and ingests it into the archive. The QA flag, *Pass*,
*Fail* or *Null* (no SRDP QA was done), is separate from archiving.

| step | what it does |
|---|---|
| Check and claim | checks the form, report and flag template; proves that the run can be restored; claims it |
| Write the QA notes | into the weblog; its tar is made again |
| Pack the products | the calibration's tar; sizes and checksums are recorded |
| Put them into NGAS | tar and weblog, each once, each proved by the server's CHECKFILE |
| Write the archive's metadata | in one transaction: files, calibration, notes, status |
| Finish | the run is archived; on *Pass* its siblings are superseded and the request is sealed |
| Have the project indexed | so that the archive's front end shows it |
| Keep the measurement set | in the cache for users; the directory goes back to the processing area, where it expires |
| Tell the analysts it is archived | mail: what, where, how to restore |
| Report the failure | only when a step failed: the run is `ingest_failed`, and a mail says why |

**After a failure** trigger it again with the same run and flag and leave the rest empty: the notes are kept, it
continues where it stopped, and nothing is archived twice. Another verdict needs *VLA withdraw verdict* first. For a run
that is archived, another flag or other notes change the metadata only. If *Check and claim* refuses, nothing was
changed.
"""

from __future__ import annotations

from airflow.sdk import dag

from srdp.families import VLA
from srdp.operators.claim_ingest import ClaimIngestOperator
from srdp.task_chains.forms import params, values
from srdp.task_chains.ingest_tasks import CLAIM, DEFAULT_ARGS, MAX_ACTIVE_RUNS, RUN, add_ingest_tasks


@dag(
    dag_display_name="VLA QA pass",
    description="Give the verdict on a VLA calibration and ingest it into the archive",
    schedule=None,
    max_active_runs=MAX_ACTIVE_RUNS,
    is_paused_upon_creation=False,
    default_args=DEFAULT_ARGS,
    tags=["vla", "verdict", "archive"],
    doc_md=__doc__,
    params=params(VLA.ingest_dag),
)
def vla_qa_pass() -> None:
    # Mapped over its one run, so that the grid shows which one it is.
    claimed = ClaimIngestOperator.partial(
        task_id=CLAIM,
        task_display_name="Check and claim",
        map_index_template="{{ task.pipeline_run_id }}",
        **values(VLA.ingest_dag, "pipeline_run_id"),
    ).expand(pipeline_run_id=[RUN])
    add_ingest_tasks(claimed, VLA)


vla_qa_pass()
