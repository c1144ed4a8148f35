"""The ledger's part in the removal of what has expired: each decision is recorded before anything is removed.

What a DAG run has removed is read from there, so that its report is complete when a try of its task was killed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from srdp.domain.retention.expiry import Expiring
from srdp.domain.retention.kinds import CALIBRATED_MEASUREMENT_SETS
from srdp.domain.runs.identifiers import PipelineRunId
from srdp.hooks.verdict_ledger import VerdictLedger

_RUN: Final = "expiring"
_MEASUREMENT_SET: Final = "cached_measurement_set_expiring"
_FAILED: Final = "expiry_failed"


class ExpiryLedger(VerdictLedger):
    """The ledger with what is known about removals; see :class:`~srdp.hooks.ledger.LedgerHook`."""

    def record_expiring(self, thing: Expiring, dag_run_id: str) -> None:
        """Record that something has expired and is removed now, unless this DAG run did so before.

        Args:
            thing: what, and how much space it gives. What is recorded first stays: when a removal that was killed is
                gone on with, there is less left to be measured.
            dag_run_id: the DAG run that removes it.
        """
        event = _event(thing)
        known = self.events(thing.pipeline_run_id)
        if not any(one.event == event and one.details.get("dag_run_id") == dag_run_id for one in known):
            details = {
                "dag_run_id": dag_run_id,
                "kind": thing.kind,
                "subject": thing.subject,
                "since": thing.since.isoformat(),
                "expires_at": thing.expires_at.isoformat(),
                "size_bytes": thing.size_bytes,
            }
            self.record(thing.pipeline_run_id, event, details)

    def record_not_expired(self, thing: Expiring, dag_run_id: str) -> None:
        """Record that something that has expired could not be removed.

        Args:
            thing: what, and why.
            dag_run_id: the DAG run that tried.
        """
        self.record(thing.pipeline_run_id, _FAILED, {"dag_run_id": dag_run_id, "kind": thing.kind, "why": thing.why})

    def began_to_expire(self, run_id: PipelineRunId) -> bool:
        """Whether the removal of a run's directory was begun, or tried, because it had expired.

        Args:
            run_id: the run.
        """
        return any(event.event == _RUN for event in self.events(run_id))

    def expired_by(self, dag_run_id: str) -> list[Expiring]:
        """Return what a DAG run has removed in all its tries, in order.

        Args:
            dag_run_id: the DAG run.
        """
        events = {"run_event": _RUN, "cached_event": _MEASUREMENT_SET}
        found = self._transact(lambda ledger: ledger.rows("expired_by_dag_run", dag_run_id=dag_run_id, **events))
        return [
            Expiring(
                kind=row["details"]["kind"],
                pipeline_run_id=PipelineRunId(row["pipeline_run_id"]),
                subject=row["details"]["subject"],
                # Of what was begun before this was recorded, it is not known.
                since=datetime.fromisoformat(row["details"].get("since", row["details"]["expires_at"])),
                expires_at=datetime.fromisoformat(row["details"]["expires_at"]),
                size_bytes=row["details"]["size_bytes"],
            )
            for row in found
        ]


def _event(thing: Expiring) -> str:
    return _MEASUREMENT_SET if thing.kind == CALIBRATED_MEASUREMENT_SETS else _RUN
