"""The steps and the form of taking a verdict back: the same for both families."""

from __future__ import annotations

from typing import Any, Final

from srdp.families import Family
from srdp.operators.mail import SendQueuedMailsOperator
from srdp.operators.withdraw_verdict import WithdrawVerdictOperator
from srdp.task_chains.forms import params, value
from srdp.task_chains.ingest_tasks import DEFAULT_ARGS, RUN

MAX_ACTIVE_RUNS: Final = 16
"""DAG runs of one such DAG at once."""


def withdrawal_dag(family: Family) -> dict[str, Any]:
    """Return what the DAG of a family is made with, besides its page, its schedule and what people call it.

    Args:
        family: whose verdicts are taken back.
    """
    return {
        "description": "Take back a verdict whose ingest failed",
        "max_active_runs": MAX_ACTIVE_RUNS,
        "is_paused_upon_creation": False,
        "default_args": DEFAULT_ARGS,
        "tags": [family.name, "verdict"],
        "params": params(family.withdraw_dag),
    }


def withdrawal(family: Family) -> None:
    """Add the tasks to the DAG that is being made.

    Args:
        family: whose verdicts are taken back.
    """
    # Mapped over its one run, so that the grid shows which one it is.
    withdrawn = WithdrawVerdictOperator.partial(
        task_id="withdraw_verdict",
        task_display_name="Withdraw the verdict",
        map_index_template="{{ task.pipeline_run_id }}",
        reason=value(family.withdraw_dag, "reason"),
    ).expand(pipeline_run_id=[RUN])
    notified = SendQueuedMailsOperator(
        task_id="mail_withdrawn", task_display_name="Tell everybody", pipeline_run_id=RUN
    )
    withdrawn >> notified
