"""The log of what happened to runs, as repositories and steps write and read it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from srdp.domain.events.names import EventName
from srdp.domain.runs.identifiers import PipelineRunId
from srdp.domain.runs.ledger_records import Event
from srdp.hooks.ledger.database import Repository, Transaction
from srdp.hooks.ledger.events import event_of_row, insert_event, once_a_run
from srdp.hooks.ledger.outbox import queue_mail

if TYPE_CHECKING:
    from srdp.domain.common.mail import Mail


class EventLog(Repository):
    """What happened to runs."""

    def of_run(self, run_id: PipelineRunId) -> list[Event]:
        """Return what happened to a run, in order."""
        rows = self._database.rows("events_of_run", pipeline_run_id=run_id)
        return [event_of_row(row) for row in rows]

    def rejections(self, run_ids: Sequence[PipelineRunId]) -> dict[PipelineRunId, Event]:
        """Return, of those of some runs that failed QA, the events by which they did.

        Args:
            run_ids: the runs.
        """
        found = self._database.rows("rejections", pipeline_run_ids=list(run_ids))
        return {event.pipeline_run_id: event for event in map(event_of_row, found)}

    def record(
        self,
        run_id: PipelineRunId,
        event: EventName,
        details: Mapping[str, object] | None = None,
        *,
        once: bool | str = False,
        mails: Sequence[Mail] = (),
    ) -> None:
        """Add an event that changes no state, and queue the mails about it.

        Args:
            run_id: the run.
            event: what happened.
            details: what is known about it, see ``EVENTS``; must fit JSON.
            once: it can happen to a run only once, or only once for this text; what was recorded first stays.
            mails: mails about it; each key is queued once a run.
        """
        what = event if once is True else f"{event} {once}"
        event_id = once_a_run(run_id, what) if once else uuid.uuid4()

        def work(transaction: Transaction) -> None:
            insert_event(transaction, event_id, run_id, event, details or {})
            for mail in mails:
                queue_mail(transaction, run_id, mail)

        self._database.change_run(run_id, work)
