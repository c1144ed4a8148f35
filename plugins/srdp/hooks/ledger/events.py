"""Events within a transaction: they are added and never changed."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from psycopg.types.json import Jsonb

from srdp.domain.events.names import EventName
from srdp.domain.runs.identifiers import PipelineRunId
from srdp.domain.runs.ledger_records import Event
from srdp.domain.runs.states import RunState
from srdp.hooks.ledger.database import Transaction
from srdp.hooks.postgres import postgres_safe

# Made up; the ids of events that happen to a run only once are derived from it.
_HAPPENS_ONCE = uuid.UUID("5f2b6c1e-6f0c-4c3b-9d0c-0d7f3a1f7a52")


def once_a_run(run_id: PipelineRunId, what: str) -> uuid.UUID:
    """Return the id of an event that can happen to a run only once.

    Args:
        run_id: the run.
        what: what happens.
    """
    return uuid.uuid5(_HAPPENS_ONCE, f"{run_id} {what}")


def insert_event(
    transaction: Transaction,
    event_id: uuid.UUID,
    run_id: PipelineRunId,
    event: EventName,
    details: Mapping[str, object],
    *,
    before: RunState | None = None,
    after: RunState | None = None,
) -> None:
    """Add an event within a transaction.

    Args:
        transaction: the transaction.
        event_id: made before its first try, so that a repeated transaction adds the event once.
        run_id: the run.
        event: what happened.
        details: what is known about it, see ``EVENTS``; must fit JSON.
        before: the state that the event ends, if it changes the state.
        after: the state that the event begins.
    """
    transaction.change(
        "event_insert",
        event_id=event_id,
        pipeline_run_id=run_id,
        event=event,
        details=Jsonb(postgres_safe(details)),
        state_before=before,
        state_after=after,
    )


def event_of_row(row: dict[str, Any]) -> Event:
    """Return an event from its row."""
    return Event(
        **row
        | {
            "pipeline_run_id": PipelineRunId(row["pipeline_run_id"]),
            "state_before": RunState(row["state_before"]) if row["state_before"] else None,
            "state_after": RunState(row["state_after"]) if row["state_after"] else None,
        }
    )
