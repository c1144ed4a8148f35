"""Removals of what is not kept any longer: each decision is recorded before anything is removed.

What a DAG run has removed because it had expired is read from there, so that its report is complete when a try of its
task was killed.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from srdp.domain.common.errors import Refused
from srdp.domain.events.names import EventName
from srdp.domain.events.payloads import Expiring as ExpiringEvent
from srdp.domain.events.payloads import ExpiryFailed, OwnFilesNamed, RemovalBegun
from srdp.domain.retention.expiry import Expiring
from srdp.domain.retention.kinds import CALIBRATED_MEASUREMENT_SETS
from srdp.domain.runs.identifiers import PipelineRunId
from srdp.domain.runs.states import TAKES_RAW_DATA, RunState, check_transition
from srdp.hooks.ledger.database import Database, Repository, Transaction
from srdp.hooks.ledger.event_log import EventLog
from srdp.hooks.ledger.events import insert_event
from srdp.hooks.ledger.requests import locked_request, set_state
from srdp.hooks.ledger.verdicts import why_verdict_is_due
from srdp.hooks.postgres import postgres_safe


class Removals(Repository):
    """Removals of runs' directories and of measurement sets.

    Args:
        database: the ledger's database.
        events: the log of events, in which each is recorded.
    """

    def __init__(self, database: Database, events: EventLog) -> None:
        super().__init__(database)
        self._events = events

    def begin(self, run_id: PipelineRunId, details: RemovalBegun) -> None:
        """Make a run ``cleaning``; from then on its verdict cannot be changed. May be repeated.

        Args:
            run_id: the run.
            details: what is there, and what proves that it may go.

        Raises:
            Refused: the run's state does not allow it, its verdict was changed and the archive does not know it, or a
                rerun of it is about to take its raw data.
        """
        event_id = uuid.uuid4()

        def work(transaction: Transaction) -> None:
            runs = locked_request(transaction, run_id)[1]
            run = next(run for run in runs if run.pipeline_run_id == run_id)
            if run.state is RunState.CLEANING:
                return
            check_transition(run_id, run.state, RunState.CLEANING)
            _refuse_while_raw_data_are_taken(transaction, run_id)
            why = why_verdict_is_due(transaction, run_id)
            if why:
                raise Refused(f"{run_id} is not removed now: {why}")
            set_state(transaction, run, RunState.CLEANING, event_id, EventName.REMOVAL_BEGUN, details)

        self._database.transact(work)

    def record_expiring(self, thing: Expiring, dag_run_id: str) -> None:
        """Record that something has expired and is removed now, unless this DAG run did so before.

        Args:
            thing: what, and how much space it gives. What is recorded first stays: when a removal that was killed is
                gone on with, there is less left to be measured.
            dag_run_id: the DAG run that removes it.
        """
        event_id, run_id = uuid.uuid4(), thing.pipeline_run_id
        is_set = thing.kind == CALIBRATED_MEASUREMENT_SETS
        facts = {"kind": thing.kind, "subject": thing.subject, "size_bytes": thing.size_bytes}
        times = {"since": thing.since, "expires_at": thing.expires_at}
        what = {"what": "measurement set" if is_set else "directory", "dag_run_id": dag_run_id}
        event = EventName.CACHED_MEASUREMENT_SET_EXPIRING if is_set else EventName.EXPIRING
        details = ExpiringEvent(
            dag_run_id=dag_run_id,
            kind=thing.kind,
            subject=thing.subject,
            since=thing.since.isoformat(),
            expires_at=thing.expires_at.isoformat(),
            size_bytes=thing.size_bytes,
        )

        def work(transaction: Transaction) -> None:
            if transaction.change("expiry_begin", pipeline_run_id=run_id, **what, **postgres_safe(facts), **times):
                insert_event(transaction, event_id, run_id, event, details)

        self._database.transact(work)

    def record_not_expired(self, thing: Expiring, dag_run_id: str) -> None:
        """Record that something that has expired could not be removed.

        Args:
            thing: what, and why.
            dag_run_id: the DAG run that tried.
        """
        self._events.record(
            thing.pipeline_run_id,
            EventName.EXPIRY_FAILED,
            ExpiryFailed(dag_run_id=dag_run_id, kind=thing.kind, why=thing.why),
        )

    def began_to_expire(self, run_id: PipelineRunId) -> bool:
        """Whether the removal of a run's directory was begun, or tried, because it had expired.

        Args:
            run_id: the run.
        """
        return self._database.row("expiry_began", pipeline_run_id=run_id) is not None

    def expired_by(self, dag_run_id: str) -> list[Expiring]:
        """Return what a DAG run has removed in all its tries, in order.

        Args:
            dag_run_id: the DAG run.
        """
        found = self._database.rows("expired_by_dag_run", dag_run_id=dag_run_id)
        return [Expiring(**row | {"pipeline_run_id": PipelineRunId(row["pipeline_run_id"])}) for row in found]

    def own_files_named_at(self, run_id: PipelineRunId, digest: str) -> datetime | None:
        """Return since when people know of their own files in a run's directory; None if they do not.

        Args:
            run_id: the run.
            digest: distinguishes what is there.
        """
        row = self._database.row("own_files_named_at", pipeline_run_id=run_id, digest=digest)
        return row["named_at"] if row else None

    def record_own_files_named(
        self, run_id: PipelineRunId, digest: str, *, directory: str, files: Sequence[str]
    ) -> None:
        """Record that people know of their own files in a run's directory; the first time stays.

        Args:
            run_id: the run.
            digest: distinguishes what is there.
            directory: the directory.
            files: what is there; the first of them are enough.
        """
        event_id = uuid.uuid4()
        details = OwnFilesNamed(directory=directory, digest=digest, files=[*files])

        def work(transaction: Transaction) -> None:
            if transaction.change("own_files_named", pipeline_run_id=run_id, digest=digest):
                insert_event(transaction, event_id, run_id, EventName.OWN_FILES_NAMED, details)

        self._database.transact(work)


def _refuse_while_raw_data_are_taken(transaction: Transaction, run_id: PipelineRunId) -> None:
    """Refuses while a rerun takes, or will take, a run's raw data; holds the run, so that no rerun is opened meanwhile.

    From then on the rerun finds the run in its new state, in which nothing of it is linked.
    """
    transaction.row("run_lock", pipeline_run_id=run_id)
    states = [str(state) for state in TAKES_RAW_DATA]
    for rerun in transaction.rows("reruns_taking_raw_data", pipeline_run_id=run_id, states=states):
        raise Refused(
            f"{run_id} is not removed now: its rerun {rerun['pipeline_run_id']} is taking its raw data (state "
            f"{rerun['state']}); try again when CASA is at work on it."
        )
