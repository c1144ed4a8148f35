"""Requests and their runs, held while something is decided about them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from srdp.domain.events.names import EventName
from srdp.domain.events.payloads import Superseded
from srdp.domain.runs.identifiers import PipelineRunId
from srdp.domain.runs.ledger_records import PipelineRun
from srdp.domain.runs.states import ACTIVE, RunState
from srdp.hooks.ledger.database import Transaction, unknown_run
from srdp.hooks.ledger.events import insert_event

#: The index that holds that a request has at most one active run.
ONE_ACTIVE_RUN = "pipeline_run_one_active"
#: What becomes superseded when a sibling is archived on a pass.
SUPERSEDED_BY_A_PASS = frozenset({RunState.AWAITING_QA, RunState.FAILED, RunState.CANCELLED})
#: Of a request's runs: those that may still come to something.
GOING_ON = ACTIVE | {RunState.AWAITING_QA}
#: Of a request's runs: those that have failed without a decision for a sibling.
WITHOUT_RESULT = frozenset({RunState.FAILED, RunState.CANCELLED, RunState.REJECTED})
_RUN_FIELDS = tuple(each.name for each in fields(PipelineRun))


def run_of_row(row: dict[str, Any]) -> PipelineRun:
    """Return a run from its row, which may hold more than a run."""
    return PipelineRun(
        **{name: row[name] for name in _RUN_FIELDS}
        | {
            "pipeline_run_id": PipelineRunId(row["pipeline_run_id"]),
            "state": RunState(row["state"]),
            "former_run": PipelineRunId(row["former_run"]) if row["former_run"] else None,
        }
    )


def locked_request(transaction: Transaction, run_id: PipelineRunId) -> tuple[dict[str, Any], list[PipelineRun]]:
    """Return the request of a run and all its runs, which nobody else changes meanwhile.

    Raises:
        InvalidInput: the ledger holds no such run.
    """
    requests, runs = locked_siblings(transaction, [run_id])
    if not requests:
        raise unknown_run(run_id)
    return requests[0], runs


def locked_siblings(
    transaction: Transaction, run_ids: Sequence[PipelineRunId]
) -> tuple[list[dict[str, Any]], list[PipelineRun]]:
    """Return the requests of these runs, and all runs of those, which nobody else changes meanwhile."""
    requests = transaction.rows("request_lock", pipeline_run_ids=list(run_ids))
    rows = transaction.rows("runs_of_requests", request_ids=[request["request_id"] for request in requests])
    return requests, [run_of_row(row) for row in rows]


def set_state(
    transaction: Transaction,
    run: PipelineRun,
    wanted: RunState,
    event_id: uuid.UUID,
    event: EventName,
    details: Mapping[str, object],
) -> None:
    """Set the state of a run that is held, and record the event.

    Args:
        transaction: the transaction.
        run: the run.
        wanted: its next state, which is checked already.
        event_id: made before the first try.
        event: what happened, in a word.
        details: what else is known about it; must fit JSON.
    """
    transaction.change("run_set_state", pipeline_run_id=run.pipeline_run_id, state=wanted, failure=None)
    insert_event(transaction, event_id, run.pipeline_run_id, event, details, before=run.state, after=wanted)
    seal_again(transaction, run.pipeline_run_id, wanted)


def seal_again(transaction: Transaction, run_id: PipelineRunId, became: RunState) -> None:
    """Restore a request to its state before it was reopened for a run that failed."""
    if became in WITHOUT_RESULT:
        transaction.change("request_seal_again", pipeline_run_id=run_id, going_on=[str(state) for state in GOING_ON])


def supersede_siblings(transaction: Transaction, run: PipelineRun, runs: Sequence[PipelineRun]) -> None:
    """Make the siblings of a run that passes superseded, those that wait for a verdict or did not succeed."""
    for sibling in runs:
        if sibling.pipeline_run_id != run.pipeline_run_id and sibling.state in SUPERSEDED_BY_A_PASS:
            details = Superseded(by=run.pipeline_run_id)
            set_state(transaction, sibling, RunState.SUPERSEDED, uuid.uuid4(), EventName.SUPERSEDED, details)
