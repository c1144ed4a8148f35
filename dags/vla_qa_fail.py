"""### VLA QA fail

Fails the QA of runs, and throws them away. Give exactly one of the three:

* a **pipeline run ID**: that run;
* an **execution block**: all its open versions, those that wait for QA, failed or were cancelled;
* a **project**: every run of it that waits for QA. The first time it is refused, with the list of these runs and their
  number: trigger it again with this number to confirm that all of them are meant. A number that is not right any more
  is refused with the new list.

| step | what it does |
|---|---|
| Fail the QA | the decision, with its reason, on all of the runs at once |
| Tell the analysts | mail |
| Mark Do Not Calibrate | in the archive. An execution block that has a calibration there keeps its status |
| Remove the directories | from wherever they lie; what cannot be removed is told, by the step and by mail |

Refused while a run of one of the execution blocks is being worked on. Every step can be cleared and finishes what is
left to do, also when a directory is half or wholly gone. A rerun is still possible afterwards: it fetches the raw data
anew and sets the execution block back to `Ready`.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import Param, dag

from srdp.domain.identifiers import EXECUTION_BLOCK_PATTERN, PIPELINE_RUN_ID_PATTERN, PROJECT_PATTERN
from srdp.domain.qa_failure import LONGEST_REASON
from srdp.operators.fail_qa import FailQaOperator, MarkDoNotCalibrateOperator, RemoveRejectedRunsOperator
from srdp.operators.mail import SendQueuedMailsOperator

REJECTED_RUNS = "{{ ti.xcom_pull(task_ids='fail_qa', map_indexes=0) | join(' ') }}"


@dag(
    dag_display_name="VLA QA fail",
    description="Fail the QA of a run, of an execution block or of a whole project",
    schedule=None,
    # One decision after the other: two on the same runs would each tell of half.
    max_active_runs=1,
    is_paused_upon_creation=False,
    default_args={"owner": "data analysts", "retries": 3, "retry_delay": timedelta(seconds=20)},
    tags=["vla", "verdict"],
    doc_md=__doc__,
    params={
        "pipeline_run_id": Param(
            None,
            type=["null", "string"],
            title="Pipeline run ID",
            description="One run: from the mail, or the name of its directory.",
            pattern=PIPELINE_RUN_ID_PATTERN,
            maxLength=64,
        ),
        "execution_block": Param(
            None,
            type=["null", "string"],
            title="Execution block",
            description="Or an execution block, with all its open versions: its name.",
            pattern=EXECUTION_BLOCK_PATTERN,
            maxLength=128,
        ),
        "project": Param(
            None,
            type=["null", "string"],
            title="Project",
            description="Or a project, with every run that waits for QA: its code, for example 13A-537.",
            pattern=PROJECT_PATTERN,
            maxLength=64,
        ),
        "number": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            title="Number of runs",
            description="With a project only: empty the first time, then the number that the refusal names.",
        ),
        "reason": Param(
            type="string",
            title="Reason",
            description="Why, in words that the observers would understand; it stands in the ledger and in the mail.",
            format="multiline",
            minLength=1,
            maxLength=LONGEST_REASON,
        ),
    },
)
def vla_qa_fail() -> None:
    # Mapped over its one input, so that the grid shows what failed.
    failed = FailQaOperator.partial(
        task_id="fail_qa",
        task_display_name="Fail the QA",
        map_index_template="{{ params.pipeline_run_id or params.execution_block or params.project or '' }}",
        execution_block="{{ params.execution_block }}",
        project="{{ params.project }}",
        number="{{ params.number }}",
        reason="{{ params.reason }}",
    ).expand(pipeline_run_id=["{{ params.pipeline_run_id }}"])
    told = SendQueuedMailsOperator(task_id="mail_rejected", task_display_name="Tell the analysts")
    marked = MarkDoNotCalibrateOperator(
        task_id="mark_do_not_calibrate", task_display_name="Mark Do Not Calibrate", pipeline_run_ids=REJECTED_RUNS
    )
    removed = RemoveRejectedRunsOperator(
        task_id="remove_directories", task_display_name="Remove the directories", pipeline_run_ids=REJECTED_RUNS
    )
    failed >> marked >> removed
    failed >> told


vla_qa_fail()
