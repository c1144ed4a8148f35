"""### VLA QA fail

Fails the QA of runs, and discards them. Give exactly one of the three:

* a **pipeline run ID**: that run;
* an **execution block**: all its open versions, those that wait for QA, failed or were cancelled;
* a **project**: every run of it that waits for QA. The first time it is refused, with the list of these runs and their
  number: trigger it again with this number to confirm that all of them are meant. A number that has changed meanwhile
  is refused with the new list.

| step | what it does |
|---|---|
| Fail the QA | the decision, with its reason, on all of the runs at once |
| Tell the analysts | mail |
| Mark Do Not Calibrate | in the archive. An execution block that has a calibration there keeps its status |
| Report a missing mark | mail, only if the archive could not be updated |
| Remove the directories | from wherever they are; what cannot be removed is reported in the log and by mail |

It is refused while a run of one of the execution blocks is active. You can clear every step: it finishes what is
left to do, even if a directory is partly or completely gone; so does another trigger. A rerun is still possible
afterwards: it fetches the raw data again and sets the execution block back to `Ready`.
"""

from __future__ import annotations

from airflow.sdk import dag

from srdp.families import VLA
from srdp.task_chains.forms import value
from srdp.task_chains.removal import failed_qa, failed_qa_dag


@dag(
    dag_display_name="VLA QA fail",
    description="Fail the QA of a run, of an execution block or of a whole project",
    schedule=None,
    doc_md=__doc__,
    **failed_qa_dag(VLA),
)
def vla_qa_fail() -> None:
    failed_qa(
        VLA,
        "{{ params.pipeline_run_id or params.execution_block or params.project or '' }}",
        subject=value(VLA.fail_dag, "execution_block"),
        project=value(VLA.fail_dag, "project"),
        number=value(VLA.fail_dag, "number"),
    )


vla_qa_fail()
