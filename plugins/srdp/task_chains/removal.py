"""The steps and the forms of what removes runs, by a failed QA or a cleanup: the same for both families."""

from __future__ import annotations

from typing import Any, Final

from srdp.families import Family
from srdp.operators.cleanup import CleanUpRunOperator
from srdp.operators.fail_qa import (
    FailQaOperator,
    MarkDoNotCalibrateOperator,
    RemoveRejectedRunsOperator,
    ReportUnmarkedOperator,
)
from srdp.operators.mail import SendQueuedMailsOperator
from srdp.operators.retrying import retries
from srdp.task_chains.forms import params, value
from srdp.task_chains.ingest_tasks import RUN
from srdp.task_chains.priorities import Kind, priority

FAIL: Final = "fail_qa"
"""The task that decides; mapped over its one input, so that the grid can show what failed."""

DEFAULT_ARGS: Final[dict[str, Any]] = {
    "owner": "data analysts",
    **retries("step"),
    **priority(Kind.PERSON),
}
"""What the tasks of these DAGs have in common."""

_REJECTED_RUNS: Final = f"{{{{ ti.xcom_pull(task_ids='{FAIL}', map_indexes=0) | join(' ') }}}}"
# The report of a failure also runs when nothing was decided.
_REJECTED_RUNS_IF_ANY: Final = f"{{{{ (ti.xcom_pull(task_ids='{FAIL}', map_indexes=0) or []) | join(' ') }}}}"


def failed_qa_dag(family: Family) -> dict[str, Any]:
    """Return what the DAG of a family is made with, besides its page, its schedule and its names.

    Args:
        family: whose runs fail.
    """
    return {
        # One decision after the other: two on the same runs would each report half.
        "max_active_runs": 1,
        "is_paused_upon_creation": False,
        "default_args": DEFAULT_ARGS,
        "tags": [family.name, "verdict"],
        "params": params(family.fail_dag),
    }


def failed_qa(family: Family, shown: str, **fields: str) -> None:
    """Add the tasks of a failed QA to the DAG that is being made.

    Args:
        family: whose runs fail. Only where a calibration was asked for is there something to mark in the archive.
        shown: the template of what the grid shows.
        **fields: the templates of what names runs otherwise than by their ID; see
            :class:`~srdp.operators.fail_qa.FailQaOperator`.
    """
    failed = FailQaOperator.partial(
        task_id=FAIL,
        task_display_name="Fail the QA",
        map_index_template=shown,
        kind=family.kind,
        reason=value(family.fail_dag, "reason"),
        **fields,
    ).expand(pipeline_run_id=[RUN])
    removed = RemoveRejectedRunsOperator(
        task_id="remove_directories", task_display_name="Remove the directories", pipeline_run_ids=_REJECTED_RUNS
    )
    if family.marks_failed:
        marked = MarkDoNotCalibrateOperator(
            task_id="mark_do_not_calibrate", task_display_name="Mark Do Not Calibrate", pipeline_run_ids=_REJECTED_RUNS
        )
        failed >> marked >> removed
        marked >> ReportUnmarkedOperator(
            task_id="report_unmarked",
            task_display_name="Report a missing mark",
            pipeline_run_ids=_REJECTED_RUNS_IF_ANY,
            trigger_rule="one_failed",
            **retries("report"),
        )
    else:
        failed >> removed
    failed >> SendQueuedMailsOperator(task_id="mail_rejected", task_display_name=f"Tell {family.recipients}")


def cleanup_dag(family: Family) -> dict[str, Any]:
    """Return what the DAG of a family is made with, besides its page, its schedule and what people call it.

    Args:
        family: whose runs are cleaned up.
    """
    return {
        "description": "Delete the directory of a run that is proved to be in the archive, or was discarded",
        "max_active_runs": 16,
        "is_paused_upon_creation": False,
        "default_args": DEFAULT_ARGS,
        "tags": [family.name, "verdict"],
        "params": params(family.cleanup_dag),
    }


def cleanup() -> None:
    """Add the task of a cleanup to the DAG that is being made."""
    # Mapped over its one run, so that the grid shows which one it is.
    CleanUpRunOperator.partial(
        task_id="clean_up",
        task_display_name="Clean up",
        map_index_template="{{ task.pipeline_run_id }}",
        queue=CleanUpRunOperator.work_queue,  # a mapped task has Airflow's default otherwise
    ).expand(pipeline_run_id=[RUN])
