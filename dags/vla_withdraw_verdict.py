"""### Withdraw a VLA verdict

Takes back a verdict whose ingest failed, so that another can be given, or the run rerun or failed.

| step | what it does |
|---|---|
| Withdraw the verdict | makes sure that the archive has no metadata of it; the run awaits its verdict again |
| Tell everybody | mail, with the files that may lie in NGAS without belonging to anything |

Refused for a run that is not `ingest_failed`, and as soon as the archive has the calibration's metadata: then give the
same verdict again, which finishes the ingest, and change its QA flag afterwards. The next ingest of the run uses other
ids in NGAS: what was sent is never sent again under the same id.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import Param, dag

from srdp.domain.identifiers import PIPELINE_RUN_ID_PATTERN
from srdp.operators.mail import SendQueuedMailsOperator
from srdp.operators.withdraw_verdict import WithdrawVerdictOperator

RUN = "{{ params.pipeline_run_id }}"


@dag(
    dag_display_name="VLA withdraw verdict",
    description="Take back a verdict whose ingest failed",
    schedule=None,
    max_active_runs=16,
    is_paused_upon_creation=False,
    default_args={"owner": "data analysts", "retries": 2, "retry_delay": timedelta(seconds=5)},
    tags=["vla", "verdict"],
    doc_md=__doc__,
    params={
        "pipeline_run_id": Param(
            type="string",
            title="Pipeline run ID",
            description="From the mail, or the name of the run's directory, for example vla-20261122-182453-4f7k.",
            pattern=PIPELINE_RUN_ID_PATTERN,
            maxLength=64,
        ),
        "reason": Param(
            type="string",
            title="Reason",
            description="Why; it stands in the ledger and in the mail.",
            format="multiline",
            minLength=1,
            maxLength=2000,
        ),
    },
)
def vla_withdraw_verdict() -> None:
    # Mapped over its one run, so that the grid shows which one it is.
    withdrawn = WithdrawVerdictOperator.partial(
        task_id="withdraw_verdict",
        task_display_name="Withdraw the verdict",
        map_index_template="{{ task.pipeline_run_id }}",
        reason="{{ params.reason }}",
    ).expand(pipeline_run_id=[RUN])
    told = SendQueuedMailsOperator(task_id="mail_withdrawn", task_display_name="Tell everybody", pipeline_run_id=RUN)
    withdrawn >> told


vla_withdraw_verdict()
