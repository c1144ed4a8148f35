"""### ALMA QA fail

Fails the QA of images, and discards their runs. Give exactly one of the two:

* a **pipeline run ID**: that run;
* a **MOUS**: all open versions of everything that was asked of it: those that wait for QA, failed or were cancelled.

| step | what it does |
|---|---|
| Fail the QA | the decision, with its reason, on all of the runs at once |
| Tell the operations manager | mail; also to the requester of the images, if the setting `SRDP_TELL_WHO_ASKED` is on |
| Remove the directories | from wherever they are; what cannot be removed is reported in the log and by mail |

It is refused while a run of the request (with a MOUS: any run of it) is active. You can clear every step: it
finishes what is left to do, even if a directory is partly or completely gone. The archive does not change. A rerun is
still possible afterwards: it fetches the data again.
"""

from __future__ import annotations

from airflow.sdk import dag

from srdp.families import ALMA
from srdp.task_chains.forms import value
from srdp.task_chains.removal import failed_qa, failed_qa_dag


@dag(
    dag_display_name="ALMA QA fail",
    description="Fail the QA of the images of a run, or of all that was asked of a MOUS",
    schedule=None,
    doc_md=__doc__,
    **failed_qa_dag(ALMA),
)
def alma_qa_fail() -> None:
    failed_qa(ALMA, "{{ params.pipeline_run_id or params.mous or '' }}", subject=value(ALMA.fail_dag, "mous"))


alma_qa_fail()
