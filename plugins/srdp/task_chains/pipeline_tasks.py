"""The task chain of a pipeline run from its opening on: one for both families, first runs and reruns."""

from __future__ import annotations

from typing import Any, Final

from airflow.sdk import chain

from srdp.families import Family
from srdp.operators.announce_start import AnnounceStartOperator
from srdp.operators.casa import RunCasaPipelineOperator
from srdp.operators.delivery import DeliverToQaAreaOperator
from srdp.operators.failure import ReportFailureOperator
from srdp.operators.fetch import FetchFromNgasOperator
from srdp.operators.mail import SendQueuedMailsOperator
from srdp.operators.outcome import JudgeOutcomeOperator
from srdp.operators.processing_request import WriteProcessingRequestOperator
from srdp.operators.retrying import retries
from srdp.operators.start_assignment import StartAssignmentOperator
from srdp.task_chains.priorities import Kind, priority

OPEN_RUN: Final = "open_run"
"""The task that opens the run; mapped over one value, so that the grid can show what it works on."""

OPENED_RUN: Final = f"{{{{ ti.xcom_pull(task_ids='{OPEN_RUN}', map_indexes=0) }}}}"
"""The pipeline run ID that :data:`OPEN_RUN` returned, as a template."""

MAX_ACTIVE_RUNS: Final = 64
"""DAG runs of one such DAG at once; what they do at once, the pools limit."""

DEFAULT_ARGS: Final[dict[str, Any]] = {
    "owner": "data analysts",
    **retries("step"),
    **priority(Kind.NEW_RUN),
}
"""What the tasks of a DAG with this task chain have in common."""


def add_pipeline_tasks(opened: Any, family: Family, pipeline_run_id: str = OPENED_RUN) -> None:  # noqa: ANN401  any task
    """Add the tasks of a pipeline run behind the one that opens it, to the DAG that is being made.

    Every step, the opening too, leads to the report of a failure, which is the chain's only end. It is skipped when all
    went well, and fails itself when it has reported: a DAG run with a failed step does not look successful.

    Args:
        opened: the task that opens the run, mapped or not.
        family: whose runs they are. The steps look into the run for what differs; only the mail at the beginning and
            the assignment are added for some families only.
        pipeline_run_id: the run, as a template.
    """
    kinds: list[tuple[type[Any], str, str]] = [
        (FetchFromNgasOperator, "fetch_from_ngas", "Fetch raw data from NGAS"),
        (WriteProcessingRequestOperator, "write_ppr", "Write the PPR"),
        (RunCasaPipelineOperator, "run_casa", "Run CASA"),
        (JudgeOutcomeOperator, "judge_outcome", "Judge the outcome"),
        (DeliverToQaAreaOperator, "deliver_to_qa_area", "Deliver to the QA area"),
        (SendQueuedMailsOperator, "mail_ready_for_review", f"Tell {family.recipients} it is ready for review"),
    ]
    if family.announces_start:
        kinds.insert(0, (AnnounceStartOperator, "mail_begun", f"Tell {family.recipients} it has begun"))
    if family.is_assigned:
        # Before the mail, whose link leads to the question.
        kinds.insert(-1, (StartAssignmentOperator, "ask_for_assignment", "Ask who reviews it"))
    steps = [opened]
    for depth, (operator, task_id, name) in enumerate(kinds, start=1):
        further = priority(Kind.STEP, depth)
        steps.append(operator(task_id=task_id, task_display_name=name, pipeline_run_id=pipeline_run_id, **further))
    failure = ReportFailureOperator(
        task_id="report_failure",
        task_display_name="Report the failure",
        pipeline_run_id=pipeline_run_id,
        trigger_rule="one_failed",
        **retries("report"),
        **priority(Kind.STEP, len(steps)),
    )
    chain(*steps)
    # The first is mapped, at which the scheduler could not look without a query of its own each time that it looks at
    # the DAG run. Its failure is that of the step behind it too.
    steps[1:] >> failure
