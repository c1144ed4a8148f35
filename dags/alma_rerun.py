"""### ALMA rerun

Images an ALMA member observing unit set (MOUS) again, with other files or another CASA, after a run that waits for its
verdict, failed or was cancelled. The rerun is a new run in a directory of its own; the former one stays as it is, for
comparison. The user's request stays the same.

| step | what it does |
|---|---|
| Open the run | checks the form and all files, and makes nothing if anything is wrong; then ID, ledger row, directory |
| Fetch raw data from NGAS | those of the former run are linked; fetched if they cannot be used again |
| Write the PPR | the PPR and the analyst's files, byte for byte as submitted |
| Run CASA | that of the former run, unless another is chosen |
| Judge the outcome | as for every run |
| Deliver to the QA area | beside the former run |
| Ask who reviews it | starts `alma_assign_qa`, which waits for the operations manager's answer |
| Tell the operations manager it is ready for review | mail with the images, the QA scores and the weblog |
| Report the failure | only when a step failed |

**Files.** Each is given as a path below the areas or a folder of the site's settings, or pasted. If you do not give
a file, the one in the former run's `working/` is taken: you can edit it there. Target flags that are called
`flagtargetstemplate.txt`, or pasted, are staged for every ASDM; with an ASDM's name before that, there or as a path in
the form, for that ASDM alone, while each other keeps its own. With target flags the PPR needs the stage
`hifa_flagtargets`, which the recipe does not have, and with a `cont.dat` it must not have `hif_findcont`. *Adapt the
PPR to the submitted files* adds the one and takes out the other; the log shows the difference, and both PPRs are kept.
All files are checked before anything is made, and all problems are reported at once, with line and column.

**Refused** while a run of the request is active; when one was archived, unless *Reopen* is given. A MOUS means its
newest run, whatever was asked for in that; name the run if users have asked for different images.
"""

from __future__ import annotations

from airflow.sdk import dag

from srdp.families import ALMA
from srdp.task_chains.forms import params
from srdp.task_chains.pipeline_tasks import DEFAULT_ARGS, MAX_ACTIVE_RUNS, add_pipeline_tasks
from srdp.task_chains.rerun import open_rerun


@dag(
    dag_display_name="ALMA rerun",
    description="Image an ALMA MOUS again as it was asked for, with other flags, files or CASA",
    schedule=None,
    max_active_runs=MAX_ACTIVE_RUNS,
    is_paused_upon_creation=False,
    default_args=DEFAULT_ARGS,
    tags=["alma", "imaging", "verdict"],
    doc_md=__doc__,
    params=params(ALMA.rerun_dag),
)
def alma_rerun() -> None:
    add_pipeline_tasks(open_rerun(ALMA), ALMA)


alma_rerun()
