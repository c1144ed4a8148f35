"""What keeps the next run of a request from being opened."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import psycopg

from srdp.domain.common.errors import Refused, quoted
from srdp.domain.runs.identifiers import PipelineRunId
from srdp.domain.runs.ledger_records import PipelineRun
from srdp.domain.runs.states import RunState, remedy_for
from srdp.hooks.ledger.database import Transaction, unknown_run
from srdp.hooks.ledger.requests import GOING_ON, run_of_row

_RUN_ID_TAKEN = "pipeline_run_pkey"
_DAG_RUN_HAS_RUN = "pipeline_run_dag_run"


def refuse_closed(transaction: Transaction, key: Mapping[str, str], sealed_at: datetime | None) -> None:
    """Refuses another run of a request that is sealed, or that has a run in the archive, and that is not reopened."""
    if sealed_at is not None:
        raise _sealed(key["subject"], sealed_at)
    archived = {row["pipeline_run_id"] for row in transaction.rows("archived_of_request", **key)}
    for run in map(run_of_row, reversed(transaction.rows("runs_of_request", **key))):
        if run.state in GOING_ON:
            return
        if run.pipeline_run_id in archived:
            raise Refused(
                f"{quoted(run.subject)} was not started: its pipeline run {run.pipeline_run_id} was archived; rerun it "
                "with Reopen if it is to be made again."
            )


def refuse_while_removed(transaction: Transaction, former_run: PipelineRunId, subject: str) -> None:
    """Refuses a rerun of a run whose directory is being removed; holds that run, so that no removal begins meanwhile.

    One whose directory is gone is rerun with raw data that are fetched again.
    """
    former = transaction.row("run_lock", pipeline_run_id=former_run)
    if former is None:
        raise unknown_run(former_run)
    if former["state"] == RunState.CLEANING:
        raise Refused(
            f"{quoted(subject)} is not rerun: its pipeline run {former_run} is being removed; "
            f"{remedy_for(RunState.CLEANING)}."
        )


def _sealed(subject: str, sealed_at: datetime) -> Refused:
    return Refused(
        f"{quoted(subject)} was not started: one of its runs passed QA on {sealed_at:%Y-%m-%d} and the request is "
        "sealed; rerun it with Reopen if it is to be made again."
    )


def settled_by_another_try(error: BaseException) -> bool:
    """Whether a run could not be inserted for a reason that the next try settles: its ID was taken, or its twin won."""
    return isinstance(error, psycopg.errors.UniqueViolation) and error.diag.constraint_name in (
        _RUN_ID_TAKEN,
        _DAG_RUN_HAS_RUN,
    )


def opened_before(run: PipelineRun, subject: str) -> PipelineRun:
    """Return a run that its DAG run has opened before; refuse it if that was for something else."""
    if run.subject != subject:
        raise Refused(
            f"{quoted(subject)} was not started: its DAG run {quoted(run.dag_run_id)} opened pipeline run "
            f"{run.pipeline_run_id} for {quoted(run.subject)} before; trigger a new DAG run."
        )
    return run
