"""Ingests: who may do one, what it puts into NGAS and the archive, and its end."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

from srdp.domain.archiving.casa_input import submitted_record
from srdp.domain.common.errors import Refused, quoted
from srdp.domain.events.names import EventName
from srdp.domain.events.payloads import Archived, IngestClaimed, OfIngest, People
from srdp.domain.qa.verdict import QaFlag, QaVerdict
from srdp.domain.runs.identifiers import PipelineRunId
from srdp.domain.runs.ledger_records import Ingest, PipelineRun, SubmittedFile
from srdp.domain.runs.states import ACTIVE, RunState, check_transition, remedy_for
from srdp.hooks.ledger.database import Repository, Transaction
from srdp.hooks.ledger.events import insert_event
from srdp.hooks.ledger.files import has_submitted_file, insert_submitted_file
from srdp.hooks.ledger.outbox import queue_mail, queue_reindex
from srdp.hooks.ledger.requests import locked_request, set_state, supersede_siblings
from srdp.hooks.postgres import postgres_safe

if TYPE_CHECKING:
    from srdp.domain.common.mail import Mail


class Ingests(Repository):
    """Ingests of runs into NGAS and the archive."""

    def claim(
        self,
        run_id: PipelineRunId,
        verdict: QaVerdict,
        *,
        dag_id: str,
        dag_run_id: str,
        requested_by: str,
        flag_template: SubmittedFile | None = None,
        template_facts: Mapping[str, Any] | None = None,
        report: SubmittedFile | None = None,
        once_more: bool = False,
    ) -> Ingest:
        """Lets a DAG run ingest a run, and nobody else.

        Args:
            run_id: the run.
            verdict: the verdict, which later tries cannot change.
            dag_id: the DAG that does it.
            dag_run_id: the DAG run that does it.
            requested_by: who asks for the ingest now.
            flag_template: a flag template that was given with it; recorded together with the claim, so that no later
                try is without it.
            template_facts: what else is known about that; must fit JSON.
            report: a report that is archived as a file; recorded likewise.
            once_more: whether an archived run without files in NGAS is ingested again.

        Returns:
            The ingest; the same one when it is claimed again after a failure, by the same DAG run, or when the run is
            archived with this verdict already.

        Raises:
            Refused: the run's state does not allow it, a sibling is active, the request is sealed, another DAG run is
                at it, or another verdict was given before.
        """
        event_id = uuid.uuid4()
        given = [
            (uuid.uuid4(), file, event, facts)
            for file, event, facts in (
                (flag_template, EventName.FLAG_TEMPLATE_GIVEN, template_facts or {}),
                (report, EventName.QA_REPORT_GIVEN, {}),
            )
            if file is not None
        ]
        stored = {"qa_flag": verdict.flag, "verdict": Jsonb(postgres_safe(asdict(verdict)))}
        worker = {"dag_id": dag_id, "dag_run_id": dag_run_id, "requested_by": requested_by}
        details: IngestClaimed = {
            "qa_flag": str(verdict.flag),
            "dag_id": dag_id,
            "dag_run_id": dag_run_id,
            "requested_by": requested_by,
            **people_of(verdict),
        }

        def work(transaction: Transaction) -> Ingest:
            request, runs = locked_request(transaction, run_id)
            run = next(run for run in runs if run.pipeline_run_id == run_id)
            known = ingest_in_force(transaction, run_id)
            if once_more and run.state is RunState.ARCHIVED and not (known and proved_in_ngas(transaction, known)):
                transaction.change("ingest_withdraw", pipeline_run_id=run_id)
                known = None
            if known and _is_at_it(run, known, verdict, dag_id, dag_run_id):
                return known
            check_transition(run_id, run.state, RunState.INGESTING)
            refuse_beside(run, runs, request["sealed_at"])
            if known:
                _refuse_other_verdict(run, known, verdict)
                transaction.change("ingest_claim_again", pipeline_run_id=run_id, **worker)
            else:
                transaction.change("ingest_insert", pipeline_run_id=run_id, **stored, **worker)
            set_state(transaction, run, RunState.INGESTING, event_id, EventName.INGEST_CLAIMED, details)
            ingest = only_ingest(transaction, run_id)
            for file_event_id, file, event, facts in given:
                named = replace(file, name=submitted_record(file.name, ingest.number))
                if not has_submitted_file(transaction, run_id, named):
                    insert_submitted_file(transaction, run_id, named)
                    insert_event(transaction, file_event_id, run_id, event, {"number": ingest.number, **facts})
            return ingest

        return self._database.transact(work)

    def finish(
        self,
        ingest: Ingest,
        *,
        mails: Sequence[Mail],
        details: Archived,
        supersede: bool,
        seal: bool,
        reindex_project: str | None,
    ) -> list[PipelineRunId]:
        """Make a run archived, with everything that follows from it, in one transaction.

        Args:
            ingest: the ingest, proved.
            mails: mails about it.
            details: what is known about it.
            supersede: whether the siblings that wait for a verdict or did not succeed are superseded.
            seal: whether no further run of the request is made.
            reindex_project: the project that the archive is to index again; None for no such request.

        Returns:
            The siblings that are superseded, also when the call is repeated.

        Raises:
            Refused: the run is not being ingested.
        """
        event_id, run_id = uuid.uuid4(), ingest.pipeline_run_id

        def work(transaction: Transaction) -> list[PipelineRunId]:
            request, runs = locked_request(transaction, run_id)
            run = next(run for run in runs if run.pipeline_run_id == run_id)
            # Done before: what has happened to the request since then, a reopening for example, stays as it is.
            if run.state is not RunState.ARCHIVED:
                check_transition(run_id, run.state, RunState.ARCHIVED)
                set_state(transaction, run, RunState.ARCHIVED, event_id, EventName.ARCHIVED, details)
                transaction.change("request_archived", request_id=request["request_id"])
                for mail in mails:
                    queue_mail(transaction, run_id, mail)
                if reindex_project is not None:
                    key = f"ingest_{ingest.number}"
                    queue_reindex(transaction, run_id, key, reindex_project)
                if seal:
                    transaction.change("request_seal", request_id=request["request_id"])
                if supersede:
                    supersede_siblings(transaction, run, runs)
            after = locked_request(transaction, run_id)[1]
            return [run.pipeline_run_id for run in after if run.state is RunState.SUPERSEDED]

        return self._database.transact(work)

    def record_metadata_begun(self, ingest: Ingest) -> None:
        """Record that from now on the archive's database may be written; the first time stays.

        Args:
            ingest: the ingest.
        """
        event_id = uuid.uuid4()

        def work(transaction: Transaction) -> None:
            if transaction.change("ingest_metadata_begun", **key_of_ingest(ingest)):
                details = OfIngest(number=ingest.number)
                insert_event(transaction, event_id, ingest.pipeline_run_id, EventName.METADATA_BEGUN, details)

        self._database.transact(work)

    def in_force(self, run_id: PipelineRunId) -> Ingest | None:
        """Return the ingest of a run that is in force; None if it has none, or none that was not withdrawn."""
        return self._database.transact(lambda transaction: ingest_in_force(transaction, run_id))

    def of_run(self, run_id: PipelineRunId) -> list[Ingest]:
        """Return all ingests of a run, those that were withdrawn too, oldest first."""
        found = self._database.rows("ingests_of_run", pipeline_run_id=run_id)
        return [_ingest(row) for row in found]


def ingest_in_force(transaction: Transaction, run_id: PipelineRunId) -> Ingest | None:
    """Return the ingest of a run that is in force, within a transaction; see :meth:`Ingests.in_force`."""
    row = transaction.row("ingest_in_force", pipeline_run_id=run_id)
    return None if row is None else _ingest(row)


def proved_in_ngas(transaction: Transaction, ingest: Ingest) -> bool:
    """Return whether every file of an ingest was proved to be in NGAS, within a transaction."""
    files = transaction.rows("ingest_files", **key_of_ingest(ingest))
    return bool(files) and all(file["proved_at"] is not None for file in files)


def key_of_ingest(ingest: Ingest) -> dict[str, object]:
    """Return what a statement names an ingest by."""
    return {"pipeline_run_id": ingest.pipeline_run_id, "number": ingest.number}


def only_ingest(transaction: Transaction, run_id: PipelineRunId) -> Ingest:
    """Return the ingest of a run that this transaction has written."""
    ingest = ingest_in_force(transaction, run_id)
    if ingest is None:  # pragma: no cover  it was written in this transaction
        raise AssertionError("an ingest that was just written is not there")
    return ingest


def people_of(verdict: QaVerdict) -> People:
    """Return who gave a verdict, and who was to, as an event records it."""
    people = People()
    if verdict.author:
        people["given_by"] = verdict.author
    if verdict.assigned_to:
        people["assigned_to"] = verdict.assigned_to
    return people


def refuse_beside(run: PipelineRun, runs: Sequence[PipelineRun], sealed_at: datetime | None) -> None:
    """Refuses to ingest a run beside what its siblings are doing or have done."""
    for sibling in runs:
        if sibling.pipeline_run_id != run.pipeline_run_id and sibling.state in ACTIVE:
            raise Refused(
                f"{run.pipeline_run_id} is not ingested, because version {sibling.version} of the same request is at "
                f"work: {sibling.in_the_way}."
            )
    if sealed_at is not None:
        raise Refused(
            f"{run.pipeline_run_id} is not ingested: another run of {quoted(run.subject)} passed QA on "
            f"{sealed_at:%Y-%m-%d} and the request is sealed."
        )


def _is_at_it(run: PipelineRun, known: Ingest, verdict: QaVerdict, dag_id: str, dag_run_id: str) -> bool:
    """Whether a claim changes nothing: the ingest is this DAG run's, or it is done with this verdict."""
    if run.state is RunState.ARCHIVED:
        if known.verdict == verdict:
            return True
        raise Refused(
            f"{run.pipeline_run_id} is in the archive with another verdict ({known.verdict.flag}): what is to change "
            "there is its QA flag, not the ingest."
        )
    if run.state is not RunState.INGESTING:
        return False
    if (known.dag_id, known.dag_run_id) == (dag_id, dag_run_id):
        return True
    raise Refused(
        f"{run.pipeline_run_id} is being ingested already, by the DAG run {quoted(known.dag_run_id)} of "
        f"{known.requested_by}: {remedy_for(run.state)}."
    )


def _refuse_other_verdict(run: PipelineRun, known: Ingest, verdict: QaVerdict) -> None:
    if known.verdict != verdict:
        raise Refused(
            f"The verdict on {run.pipeline_run_id} is {known.verdict.flag}, given by {known.given_by} on "
            f"{known.claimed_at:%Y-%m-%d %H:%M} UTC, and its ingest failed: give the same verdict and notes again, or "
            "withdraw it first."
        )


def _ingest(row: dict[str, Any]) -> Ingest:
    verdict = QaVerdict(**row["verdict"] | {"flag": QaFlag(row["verdict"]["flag"])})
    return Ingest(**row | {"pipeline_run_id": PipelineRunId(row["pipeline_run_id"]), "verdict": verdict})
