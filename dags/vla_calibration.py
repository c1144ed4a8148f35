"""### VLA calibration

Calibrates one VLA execution block with the CASA pipeline and hands the result to the QA area, where it waits for a
data analyst's verdict. Observations that have just been ingested are started by `watch_observations`; any other is
started here, with *Trigger*.

| step | what it does |
|---|---|
| Open the run | gives the run its pipeline run ID, its directory and its row in the ledger |
| Tell the analysts it has begun | mail |
| Fetch raw data from NGAS | every file by size and checksum, into `rawdata/` |
| Write the PPR | the recipe for this execution block, as `working/PPR.xml` |
| Run CASA | as a job of its own, which survives a restart of Airflow |
| Judge the outcome | proves that every stage ran and every product is there; CASA's exit status proves nothing |
| Deliver to the QA area | the directory moves, under the same name |
| Tell the analysts it is ready for review | mail with the QA scores and the weblog |
| Report the failure | only when a step failed: the run stays in the processing area, and a mail says what to do |

A second request for an execution block whose run is still active is refused. To stop a run, mark the step that is
running as failed: its CASA job is cancelled with it.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import Param, dag

from srdp.domain.identifiers import EXECUTION_BLOCK_PATTERN, LOCATOR_PATTERN
from srdp.operators.announce_start import AnnounceStartOperator
from srdp.operators.casa import RunCasaPipelineOperator
from srdp.operators.delivery import DeliverToQaAreaOperator
from srdp.operators.failure import ReportFailureOperator
from srdp.operators.fetch import FetchFromNgasOperator
from srdp.operators.mail import SendQueuedMailsOperator
from srdp.operators.open_run import OpenCalibrationRunOperator
from srdp.operators.outcome import JudgeOutcomeOperator
from srdp.operators.processing_request import WriteProcessingRequestOperator

SITE = "Empty: the site's setting."
RUN = "{{ ti.xcom_pull(task_ids='open_run', map_indexes=0) }}"


@dag(
    dag_display_name="VLA calibration",
    description="Calibrate one VLA execution block and hand it to the QA area",
    schedule=None,
    max_active_runs=64,
    is_paused_upon_creation=False,
    default_args={
        "owner": "data analysts",
        # Soon at first, for what was killed; about an hour in all, for a server or a file system that is away.
        "retries": 13,
        "retry_delay": timedelta(seconds=20),
        "retry_exponential_backoff": 1.4,
        "max_retry_delay": timedelta(minutes=10),
    },
    tags=["vla", "calibration"],
    doc_md=__doc__,
    params={
        "execution_block": Param(
            type="string",
            title="Execution block",
            description="Its name, or its locator in the archive.",
            examples=["13A-537.sb24066356.eb24324502.56514.05971091435"],
            pattern=f"({EXECUTION_BLOCK_PATTERN})|({LOCATOR_PATTERN})",
            maxLength=128,
        ),
        "recipe": Param(
            "vla_calibration",
            type="string",
            title="Recipe",
            description="The PPR template; vla_calibration is the standard recipe.",
            pattern="^[a-z][a-z0-9_]{0,39}$",
        ),
        "cores": Param(None, type=["null", "integer"], minimum=1, maximum=1024, title="Cores", description=SITE),
        "memory_gb": Param(
            None, type=["null", "integer"], minimum=1, maximum=65536, title="Memory [GB]", description=SITE
        ),
    },
)
def vla_calibration() -> None:
    # Mapped over its one execution block, so that the grid shows the EB's name on a run that was started by form.
    opened = OpenCalibrationRunOperator.partial(
        task_id="open_run",
        task_display_name="Open the run",
        map_index_template="{{ task.execution_block }}",
        recipe="{{ params.recipe }}",
        cores="{{ params.cores }}",
        memory_gb="{{ params.memory_gb }}",
    ).expand(execution_block=["{{ params.execution_block }}"])
    begun = AnnounceStartOperator(
        task_id="mail_begun", task_display_name="Tell the analysts it has begun", pipeline_run_id=RUN
    )
    fetched = FetchFromNgasOperator(
        task_id="fetch_from_ngas", task_display_name="Fetch raw data from NGAS", pipeline_run_id=RUN
    )
    requested = WriteProcessingRequestOperator(
        task_id="write_ppr", task_display_name="Write the PPR", pipeline_run_id=RUN
    )
    calibrated = RunCasaPipelineOperator(
        task_id="run_casa",
        task_display_name="Run CASA",
        pipeline_run_id=RUN,
        runner="runvlapipeline.py",
    )
    judged = JudgeOutcomeOperator(task_id="judge_outcome", task_display_name="Judge the outcome", pipeline_run_id=RUN)
    delivered = DeliverToQaAreaOperator(
        task_id="deliver_to_qa_area", task_display_name="Deliver to the QA area", pipeline_run_id=RUN
    )
    ready = SendQueuedMailsOperator(
        task_id="mail_ready_for_review",
        task_display_name="Tell the analysts it is ready for review",
        pipeline_run_id=RUN,
    )
    failure = ReportFailureOperator(
        task_id="report_failure",
        task_display_name="Report the failure",
        pipeline_run_id=RUN,
        trigger_rule="one_failed",
    )
    steps = [opened, begun, fetched, requested, calibrated, judged, delivered, ready]
    opened >> begun >> fetched >> requested >> calibrated >> judged >> delivered >> ready
    steps >> failure


vla_calibration()
