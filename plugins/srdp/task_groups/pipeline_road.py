"""The road of a pipeline run from its opening on: one for both families, for the first run and for every rerun."""

from __future__ import annotations

from typing import Any, Final

from airflow.sdk import chain

from srdp.domain.families import Family
from srdp.operators.announce_start import AnnounceStartOperator
from srdp.operators.assign_qa import StartAssignmentOperator
from srdp.operators.casa import RunCasaPipelineOperator
from srdp.operators.delivery import DeliverToQaAreaOperator
from srdp.operators.failure import ReportFailureOperator
from srdp.operators.fetch import FetchFromNgasOperator
from srdp.operators.mail import SendQueuedMailsOperator
from srdp.operators.outcome import JudgeOutcomeOperator
from srdp.operators.processing_request import WriteProcessingRequestOperator
from srdp.operators.retrying import retries

OPEN_RUN: Final = "open_run"
"""The task that opens the run; mapped over one value, so that the grid can show what it works on."""

OPENED_RUN: Final = f"{{{{ ti.xcom_pull(task_ids='{OPEN_RUN}', map_indexes=0) }}}}"
"""The pipeline run ID that :data:`OPEN_RUN` returned, as a template."""

MAX_ACTIVE_RUNS: Final = 64
"""DAG runs of one such DAG at once; what they do at once, the pools limit."""

DEFAULT_ARGS: Final[dict[str, Any]] = {
    "owner": "data analysts",
    **retries("step"),
}
"""What the tasks of a DAG with this road have in common."""


def pipeline_road(opened: Any, family: Family, pipeline_run_id: str = OPENED_RUN) -> None:  # noqa: ANN401  any task
    """Lays the steps of a pipeline run behind the task that opens it, in the DAG that is being made.

    Every step, the opening too, leads to the report of a failure, which is the road's only end. It is skipped when all
    went well, and fails itself when it has reported: a DAG run of which a step failed does not look successful.

    Args:
        opened: the task that opens the run, mapped or not.
        family: whose runs they are. The steps look into the run for what differs; only the mail at the beginning and
            the assignment are laid for some families alone.
        pipeline_run_id: the run, as a template.
    """
    fetched = FetchFromNgasOperator(
        task_id="fetch_from_ngas", task_display_name="Fetch raw data from NGAS", pipeline_run_id=pipeline_run_id
    )
    requested = WriteProcessingRequestOperator(
        task_id="write_ppr", task_display_name="Write the PPR", pipeline_run_id=pipeline_run_id
    )
    processed = RunCasaPipelineOperator(
        task_id="run_casa", task_display_name="Run CASA", pipeline_run_id=pipeline_run_id
    )
    judged = JudgeOutcomeOperator(
        task_id="judge_outcome", task_display_name="Judge the outcome", pipeline_run_id=pipeline_run_id
    )
    delivered = DeliverToQaAreaOperator(
        task_id="deliver_to_qa_area", task_display_name="Deliver to the QA area", pipeline_run_id=pipeline_run_id
    )
    ready = SendQueuedMailsOperator(
        task_id="mail_ready_for_review",
        task_display_name=f"Tell {family.told} it is ready for review",
        pipeline_run_id=pipeline_run_id,
    )
    failure = ReportFailureOperator(
        task_id="report_failure",
        task_display_name="Report the failure",
        pipeline_run_id=pipeline_run_id,
        trigger_rule="one_failed",
        **retries("report"),
    )
    steps = [opened, fetched, requested, processed, judged, delivered, ready]
    if family.tells_of_beginning:
        begun = AnnounceStartOperator(
            task_id="mail_begun",
            task_display_name=f"Tell {family.told} it has begun",
            pipeline_run_id=pipeline_run_id,
        )
        steps.insert(1, begun)
    if family.assign_dag:
        # Before the mail, whose link leads to the question.
        asked = StartAssignmentOperator(
            task_id="ask_for_assignment",
            task_display_name="Ask who reviews it",
            pipeline_run_id=pipeline_run_id,
        )
        steps.insert(-1, asked)
    chain(*steps)
    steps >> failure
