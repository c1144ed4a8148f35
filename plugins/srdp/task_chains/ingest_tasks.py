"""The task chain of an ingest from its claim on: one for both families."""

from __future__ import annotations

from typing import Any, Final

from airflow.sdk import chain

from srdp.families import Family
from srdp.operators.archive_metadata import WriteArchiveMetadataOperator
from srdp.operators.archive_products import ArchiveProductsOperator
from srdp.operators.finish_ingest import FinishIngestOperator
from srdp.operators.ingest_failure import ReportIngestFailureOperator
from srdp.operators.keep_products import KeepProductsOperator
from srdp.operators.mail import SendQueuedMailsOperator
from srdp.operators.pack_products import PackProductsOperator
from srdp.operators.qa_notes import WriteQaNotesOperator
from srdp.operators.reindex import ReindexProjectsOperator
from srdp.operators.retrying import retries
from srdp.task_chains.priorities import Kind, priority

CLAIM: Final = "claim_ingest"
"""The task that claims the ingest; mapped over its one run, so that the grid can show which one it is."""

RUN: Final = "{{ params.pipeline_run_id | trim }}"
"""The run that the form names, as a template."""

MAX_ACTIVE_RUNS: Final = 64
"""DAG runs of one such DAG at once."""

DEFAULT_ARGS: Final[dict[str, Any]] = {
    "owner": "data analysts",
    **retries("ingest"),
    **priority(Kind.PERSON),
}
"""What the tasks of a DAG with this task chain have in common."""


def add_ingest_tasks(claimed: Any, family: Family, pipeline_run_id: str = RUN) -> None:  # noqa: ANN401  any task
    """Add the tasks of an ingest behind the one that claims it, to the DAG that is being made.

    Every step, the claim too, leads to the report of a failure, which is the chain's only end. It is skipped when all
    went well, and fails itself when it has reported: a DAG run with a failed step does not look successful.

    Args:
        claimed: the task :data:`CLAIM`.
        family: whose runs they are. The steps look into the run for what differs; here only a name does.
        pipeline_run_id: the run, as a template.
    """
    kept = "Keep the measurement set" if family.contents.calibrates else "Move the directory back"
    kinds: list[tuple[type[Any], str, str]] = [
        (WriteQaNotesOperator, "write_qa_notes", "Write the QA notes"),
        (PackProductsOperator, "pack_products", "Pack the products"),
        (ArchiveProductsOperator, "archive_products", "Put them into NGAS"),
        (WriteArchiveMetadataOperator, "write_archive_metadata", "Write the archive's metadata"),
        (FinishIngestOperator, "finish_ingest", "Finish"),
        (ReindexProjectsOperator, "reindex_project", "Have the project indexed"),
        (KeepProductsOperator, "keep_products", kept),
        (SendQueuedMailsOperator, "mail_archived", "Tell the analysts it is archived"),
    ]
    steps = [claimed]
    for depth, (operator, task_id, name) in enumerate(kinds, start=1):
        further = priority(Kind.PERSON, depth)
        steps.append(operator(task_id=task_id, task_display_name=name, pipeline_run_id=pipeline_run_id, **further))
    failure = ReportIngestFailureOperator(
        task_id="report_failure",
        task_display_name="Report the failure",
        pipeline_run_id=pipeline_run_id,
        claimed_by=CLAIM,
        trigger_rule="one_failed",
        **retries("report"),
        **priority(Kind.PERSON, len(steps)),
    )
    chain(*steps)
    # The first is mapped, at which the scheduler could not look without a query of its own each time that it looks at
    # the DAG run. Its failure is that of the step behind it too.
    steps[1:] >> failure
