"""Verdicts on runs: changed, withdrawn, and runs that failed QA."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

from srdp.domain.common.errors import Refused, quoted
from srdp.domain.events.names import EventName
from srdp.domain.events.payloads import ChangedVerdictWritten, Rejected, VerdictChanged, VerdictWithdrawn
from srdp.domain.qa.verdict import QaFlag, QaVerdict, changes
from srdp.domain.runs.identifiers import PipelineRunId
from srdp.domain.runs.ledger_records import FileOfIngest, Ingest, PipelineRun, VerdictChange
from srdp.domain.runs.states import ACTIVE, RunState, check_transition, remedy_for
from srdp.families import family_of_run
from srdp.hooks.ledger.database import Repository, Transaction, unknown_run
from srdp.hooks.ledger.events import insert_event
from srdp.hooks.ledger.ingests import ingest_in_force, key_of_ingest, only_ingest, people_of, refuse_beside
from srdp.hooks.ledger.outbox import queue_mail
from srdp.hooks.ledger.requests import locked_request, locked_siblings, set_state, supersede_siblings
from srdp.hooks.postgres import postgres_safe

if TYPE_CHECKING:
    from srdp.domain.common.mail import Mail

_THROWN_AWAY = frozenset({RunState.REJECTED, RunState.CLEANING, RunState.CLEANED})


class Verdicts(Repository):
    """What is decided about runs once they await their verdict."""

    def withdraw(
        self, run_id: PipelineRunId, *, by: str, reason: str, mails: Sequence[Mail] = ()
    ) -> list[FileOfIngest]:
        """Take back a verdict whose ingest failed before the archive had its metadata.

        Args:
            run_id: the run, which then awaits its verdict again.
            by: who takes it back.
            reason: the reason that a person gave.
            mails: mails about it.

        Returns:
            The files that may be in NGAS without belonging to anything.

        Raises:
            Refused: the run's state does not allow it, or the archive has its metadata.
        """
        event_id = uuid.uuid4()

        def work(transaction: Transaction) -> list[FileOfIngest]:
            _, runs = locked_request(transaction, run_id)
            run = next(run for run in runs if run.pipeline_run_id == run_id)
            known = ingest_in_force(transaction, run_id)
            if run.state is not RunState.INGEST_FAILED or known is None:
                raise Refused(
                    f"The verdict on {run_id} cannot be withdrawn: the run is {run.state}; {remedy_for(run.state)}."
                )
            # An earlier ingest counts too: what was archived without NGAS, and is ingested again, stays archived.
            ingests = transaction.rows("ingests_of_run", pipeline_run_id=run_id)
            since = next((row["committed_at"] for row in ingests if row["committed_at"] is not None), None)
            if since is not None:
                raise Refused(
                    f"The verdict on {run_id} cannot be withdrawn: the archive has its metadata since "
                    f"{since:%Y-%m-%d %H:%M} UTC; give the same verdict again, which finishes the ingest."
                )
            files = [FileOfIngest(**row) for row in transaction.rows("ingest_files", **key_of_ingest(known))]
            orphans = [file for file in files if file.sent_at is not None]
            transaction.change("ingest_withdraw", pipeline_run_id=run_id)
            details = VerdictWithdrawn(by=by, reason=reason, orphans=[file.ngas_file_id for file in orphans])
            set_state(transaction, run, RunState.AWAITING_QA, event_id, EventName.VERDICT_WITHDRAWN, details)
            for mail in mails:
                queue_mail(transaction, run_id, mail)
            return orphans

        return self._database.transact(work)

    def change(self, run_id: PipelineRunId, verdict: QaVerdict, *, dag_id: str, dag_run_id: str, by: str) -> Ingest:
        """Record another verdict on a run that is archived; its files stay as they are.

        A change to Pass supersedes the siblings and seals the request, as an ingest with that flag does.

        Args:
            run_id: the run.
            verdict: the new verdict.
            dag_id: the DAG that writes it into the archive.
            dag_run_id: the DAG run that does.
            by: who gives it.

        Returns:
            The ingest with the new verdict.

        Raises:
            Refused: the run is not archived; or it is to pass, and a sibling is active or has passed.
        """
        event_id = uuid.uuid4()

        def work(transaction: Transaction) -> Ingest:
            request, runs = locked_request(transaction, run_id)
            run = next(run for run in runs if run.pipeline_run_id == run_id)
            known = ingest_in_force(transaction, run_id)
            if run.state is not RunState.ARCHIVED or known is None:
                raise Refused(
                    f"The QA flag of {run_id} cannot be changed: the run is {run.state}; {remedy_for(run.state)}."
                )
            if known.verdict == verdict:
                return known
            if verdict.flag is QaFlag.PASS and known.verdict.flag is not QaFlag.PASS:
                # Sealed by this run itself, which passed before, it is no reason against it.
                others = [ingest_in_force(transaction, other.pipeline_run_id) for other in runs if other != run]
                passed = any(ingest is not None and ingest.verdict.flag is QaFlag.PASS for ingest in others)
                refuse_beside(run, runs, request["sealed_at"] if passed else None)
                transaction.change("request_seal", request_id=request["request_id"])
                supersede_siblings(transaction, run, runs)
            stored = Jsonb(postgres_safe(asdict(verdict)))
            transaction.change("ingest_set_verdict", pipeline_run_id=run_id, qa_flag=verdict.flag, verdict=stored)
            details: VerdictChanged = {
                "by": by,
                "from": str(known.verdict.flag),
                "to": str(verdict.flag),
                "dag_id": dag_id,
                "dag_run_id": dag_run_id,
                "changes": changes(known.verdict, verdict),
                **people_of(verdict),
            }
            insert_event(transaction, event_id, run_id, EventName.VERDICT_CHANGED, details)
            transaction.change(
                "verdict_change_insert",
                pipeline_run_id=run_id,
                changed_by=postgres_safe(verdict.author or by),
                changes=postgres_safe(details["changes"]),
                dag_id=dag_id,
                dag_run_id=dag_run_id,
            )
            return only_ingest(transaction, run_id)

        return self._database.transact(work)

    def record_written(self, run_id: PipelineRunId, number: int) -> None:
        """Record that the archive has a changed verdict; until then the run is not removed.

        Args:
            run_id: the run.
            number: the number of the change, from 1.
        """
        event_id = uuid.uuid4()

        def work(transaction: Transaction) -> None:
            if transaction.change("verdict_changes_written", pipeline_run_id=run_id, number=number):
                insert_event(
                    transaction,
                    event_id,
                    run_id,
                    EventName.CHANGED_VERDICT_WRITTEN,
                    ChangedVerdictWritten(number=number),
                )

        self._database.change_run(run_id, work)

    def changes(self, run_id: PipelineRunId) -> list[VerdictChange]:
        """Return the changes of the verdict on a run, in order."""
        return [_change(row) for row in self._database.rows("verdict_changes_of_run", pipeline_run_id=run_id)]

    def why_due(self, run_id: PipelineRunId) -> str | None:
        """Return the sentence that the archive does not have a changed verdict yet; None if it has what it is to have.

        Args:
            run_id: the run.
        """
        return self._database.transact(lambda transaction: why_verdict_is_due(transaction, run_id))

    def due(self) -> list[PipelineRunId]:
        """Return the archived runs whose changed verdict the archive does not have yet."""
        found = self._database.rows("verdicts_due")
        return [PipelineRunId(row["pipeline_run_id"]) for row in found]

    def reject(
        self,
        run_ids: Sequence[PipelineRunId],
        *,
        reason: str,
        by: str,
        mails: Mapping[PipelineRunId, Sequence[Mail]] | None = None,
        assigned_to: Mapping[PipelineRunId, str] | None = None,
    ) -> list[PipelineRunId]:
        """Record that runs failed QA: all of them, or none.

        Args:
            run_ids: the runs; those that were rejected before are left as they are.
            reason: the reason that a person gave.
            by: who decided it.
            mails: mails about it, by run.
            assigned_to: to whom the review of a run was assigned, if that is somebody else, by run.

        Returns:
            The runs that were rejected now.

        Raises:
            Refused: a run of one of their requests is active, or a run's state does not allow it; nothing is changed.
            InvalidInput: the ledger holds no such run.
        """
        event_ids = {run_id: uuid.uuid4() for run_id in run_ids}

        def work(transaction: Transaction) -> list[PipelineRunId]:
            runs = {run.pipeline_run_id: run for run in locked_siblings(transaction, run_ids)[1]}
            for run_id in run_ids:
                if run_id not in runs:
                    raise unknown_run(run_id)
                if ingest_in_force(transaction, run_id):
                    raise _ingested_before(runs[run_id])
            wanted = [runs[run_id] for run_id in event_ids if runs[run_id].state not in _THROWN_AWAY]
            _refuse_while_active(runs.values(), {run.subject for run in wanted})
            for run in wanted:
                check_transition(run.pipeline_run_id, run.state, RunState.REJECTED)
                run_id = run.pipeline_run_id
                reviewer = (assigned_to or {}).get(run_id)
                details = Rejected(reason=reason, by=by)
                if reviewer:
                    details["assigned_to"] = reviewer
                set_state(transaction, run, RunState.REJECTED, event_ids[run_id], EventName.REJECTED, details)
                for mail in (mails or {}).get(run_id, ()):
                    queue_mail(transaction, run_id, mail)
            return [run.pipeline_run_id for run in wanted]

        return self._database.transact(work)


def why_verdict_is_due(transaction: Transaction, run_id: PipelineRunId) -> str | None:
    """Return why the archive does not have a changed verdict, within a transaction; see :meth:`Verdicts.why_due`."""
    changes = transaction.rows("verdict_changes_of_run", pipeline_run_id=run_id)
    if all(change["written_at"] is not None for change in changes):
        return None
    ingest = only_ingest(transaction, run_id)
    return (
        f"its QA flag was changed to {ingest.verdict.flag}, which the archive does not have yet; trigger "
        f"{family_of_run(run_id).ingest_dag} with the run and this flag again, and try again when it is done."
    )


def _refuse_while_active(runs: Iterable[PipelineRun], subjects: Collection[str]) -> None:
    for run in runs:
        if run.state in ACTIVE and run.subject in subjects:
            raise Refused(f"{quoted(run.subject)} cannot fail QA now: its {run.in_the_way}.")


def _ingested_before(run: PipelineRun) -> Refused:
    return Refused(
        f"{run.pipeline_run_id} cannot fail QA: a verdict to ingest it into the archive was given, and it is "
        f"{run.state}; {remedy_for(run.state)}."
    )


def _change(row: dict[str, Any]) -> VerdictChange:
    return VerdictChange(**row | {"pipeline_run_id": PipelineRunId(row["pipeline_run_id"])})
