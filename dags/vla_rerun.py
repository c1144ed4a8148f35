"""### VLA rerun

Calibrates a VLA execution block again, with other files or another CASA, after a run that waits for its verdict, failed
or was cancelled. The rerun is a new run in a directory of its own; the former one stays as it is, for comparison.

| step | what it does |
|---|---|
| Open the run | checks the form and all files, and makes nothing if anything is wrong; then ID, directory, ledger row |
| Tell the analysts it has begun | mail |
| Fetch raw data from NGAS | those of the former run are linked; fetched if they cannot be used again |
| Write the PPR | the PPR and the analyst's files, byte for byte as submitted |
| Run CASA | that of the former run, unless another is chosen |
| Judge the outcome | as for every run |
| Deliver to the QA area | beside the former run |
| Tell the analysts it is ready for review | mail with the QA scores and the weblog |
| Report the failure | only when a step failed |

**Files.** Each is given as a path below the processing area, the QA area or a folder of the site's settings, or pasted.
If you do not give a file, the one in the former run's `working/` is taken: you can edit it there. A flag template may
be called `flagtemplate.txt` there, or have the execution block's name before that. A file that no stage of the PPR
reads is refused: `antennapos.csv` needs `hif_antpos`, which the standard recipe does not have. *Adapt the PPR to the
submitted files* adds it; the log shows the difference, and both PPRs are kept. All files are checked before anything is
made, and all problems are reported at once, with line and column.

**Refused** while a run of the execution block is active; when one was archived, unless *Reopen* is given. After a
failed QA the execution block is set back to *Ready* in the archive, and its raw data are fetched again.
"""

from __future__ import annotations

from airflow.sdk import dag

from srdp.families import VLA
from srdp.task_chains.forms import params
from srdp.task_chains.pipeline_tasks import DEFAULT_ARGS, MAX_ACTIVE_RUNS, add_pipeline_tasks
from srdp.task_chains.rerun import open_rerun


@dag(
    dag_display_name="VLA rerun",
    description="Calibrate a VLA execution block again, with other flags, files or CASA",
    schedule=None,
    max_active_runs=MAX_ACTIVE_RUNS,
    is_paused_upon_creation=False,
    default_args=DEFAULT_ARGS,
    tags=["vla", "calibration", "verdict"],
    doc_md=__doc__,
    params=params(VLA.rerun_dag),
)
def vla_rerun() -> None:
    add_pipeline_tasks(open_rerun(VLA), VLA)


vla_rerun()
