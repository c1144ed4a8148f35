"""The ledger's part in the verdict: what is decided about runs, from reruns and claims to failed QA and removal.

As in :mod:`srdp.hooks.ledger`, every method is one transaction that may be repeated without harm, and is repeated when
the connection breaks. Whoever opens, archives or rejects runs of a request holds the request's row first: what one of
them decides, the others see.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from psycopg.types.json import Jsonb

from srdp.domain.archiving.casa_input import given_record
from srdp.domain.common.errors import Refused, quoted
from srdp.domain.qa.verdict import QaFlag, QaVerdict, changes
from srdp.domain.runs.identifiers import PipelineRunId
from srdp.domain.runs.ledger_records import (
    Event,
    FileOfIngest,
    Ingest,
    PipelineRun,
    SubmittedFile,
)
from srdp.domain.runs.states import ACTIVE, TAKES_RAW_DATA, RunState, check_transition, remedy_for
from srdp.families import family_of_run
from srdp.hooks.ingest_ledger import IngestLedger, ingest_in_force, key_of_ingest, proved_in_ngas
from srdp.hooks.ledger import (
    LedgerTransaction,
    event_of_row,
    postgres_safe,
    run_of_row,
    unknown_run,
)

if TYPE_CHECKING:
    from srdp.domain.common.mail import Mail

#: The event by which the verdict on an archived run becomes another.
VERDICT_CHANGED = "verdict_changed"
_VERDICT_WRITTEN = "changed_verdict_written"
#: What becomes superseded when a sibling is archived on a pass.
SUPERSEDED_BY_A_PASS = frozenset({RunState.AWAITING_QA, RunState.FAILED, RunState.CANCELLED})
_THROWN_AWAY = frozenset({RunState.REJECTED, RunState.CLEANING, RunState.CLEANED})


class VerdictLedger(IngestLedger):
    """The ledger with everything that a verdict writes; see :class:`~srdp.hooks.ledger.LedgerHook`."""

    # Reruns

    def runs_of_request(self, kind: str, subject: str, digest: str = "") -> list[PipelineRun]:
        """Return the runs of a request, by version; none if it is not known.

        Args:
            kind: what is made of the subject, for example ``vla_calibration``.
            subject: the EB name or MOUS UID.
            digest: distinguishes what users ask of one subject; of a run its ``request_digest``.
        """
        found = self._transact(lambda ledger: ledger.rows("runs_of_request", kind=kind, subject=subject, digest=digest))
        return [run_of_row(row) for row in found]

    def runs_of_subject(self, kind: str, subject: str) -> list[PipelineRun]:
        """Return the runs of all requests of a subject, oldest first; none if it is not known.

        Args:
            kind: what is made of the subject, for example ``alma_imaging``.
            subject: the EB name or MOUS UID.
        """
        found = self._transact(lambda ledger: ledger.rows("runs_of_subject", kind=kind, subject=subject))
        return [run_of_row(row) for row in found]

    def runs_of_project(self, kind: str, project: str) -> list[PipelineRun]:
        """Return the runs of all requests of a project, by subject and version; none if it is not known.

        Args:
            kind: what is made of the subjects, for example ``vla_calibration``.
            project: the project code.
        """
        found = self._transact(lambda ledger: ledger.rows("runs_of_project", kind=kind, project=project))
        return [run_of_row(row) for row in found]

    def archived_runs_of_request(self, kind: str, subject: str, digest: str = "") -> list[PipelineRunId]:
        """Return the runs of a request whose metadata the archive has, cleaned ones included.

        Args:
            kind: what is made of the subject, for example ``vla_calibration``.
            subject: the EB name or MOUS UID.
            digest: distinguishes what users ask of one subject; of a run its ``request_digest``.
        """
        key = {"kind": kind, "subject": subject, "digest": digest}
        found = self._transact(lambda ledger: ledger.rows("archived_of_request", **key))
        return [PipelineRunId(row["pipeline_run_id"]) for row in found]

    def sealed_at(self, kind: str, subject: str, digest: str = "") -> datetime | None:
        """Return when one of a request's runs passed, after which no run of it is made; None if it is open.

        Args:
            kind: what is made of the subject, for example ``vla_calibration``.
            subject: the EB name or MOUS UID.
            digest: distinguishes what users ask of one subject; of a run its ``request_digest``.
        """
        key = {"kind": kind, "subject": subject, "digest": digest}
        row = self._transact(lambda ledger: ledger.row("request_by_key", **key))
        return row["sealed_at"] if row else None

    def record_given_file(self, run_id: PipelineRunId, file: SubmittedFile) -> None:
        """Record a file that CASA is given, byte for byte; one of the same name is replaced.

        Args:
            run_id: the run.
            file: the file.
        """
        self._change_run(run_id, lambda ledger: self._insert_given_file(ledger, run_id, file))

    def submitted_files(self, run_id: PipelineRunId) -> dict[str, SubmittedFile]:
        """Return the files that a run was given, its PPR among them, by name."""
        found = self._transact(lambda ledger: ledger.rows("given_files_of_run", pipeline_run_id=run_id))
        return {row["name"]: SubmittedFile(**row | {"content": bytes(row["content"])}) for row in found}

    # Ingest

    def claim_ingest(
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
                (flag_template, "flag_template_given", template_facts or {}),
                (report, "qa_report_given", {}),
            )
            if file is not None
        ]
        stored = {"qa_flag": verdict.flag, "verdict": Jsonb(postgres_safe(asdict(verdict)))}
        worker = {"dag_id": dag_id, "dag_run_id": dag_run_id, "requested_by": requested_by}
        details = {"qa_flag": str(verdict.flag), **worker, **_people(verdict)}

        def work(ledger: LedgerTransaction) -> Ingest:
            request, runs = self._locked_request(ledger, run_id)
            run = next(run for run in runs if run.pipeline_run_id == run_id)
            known = ingest_in_force(ledger, run_id)
            if once_more and run.state is RunState.ARCHIVED and not (known and proved_in_ngas(ledger, known)):
                ledger.change("ingest_withdraw", pipeline_run_id=run_id)
                known = None
            if known and _is_at_it(run, known, verdict, dag_id, dag_run_id):
                return known
            check_transition(run_id, run.state, RunState.INGESTING)
            _refuse_beside(run, runs, request["sealed_at"])
            if known:
                _refuse_other_verdict(run, known, verdict)
                ledger.change("ingest_claim_again", pipeline_run_id=run_id, **worker)
            else:
                ledger.change("ingest_insert", pipeline_run_id=run_id, **stored, **worker)
            self._set_state(ledger, run, RunState.INGESTING, event_id, "ingest_claimed", details)
            ingest = _only_ingest(ledger, run_id)
            for file_event_id, file, event, facts in given:
                named = replace(file, name=given_record(file.name, ingest.number))
                if not _has_file(ledger, run_id, named):
                    self._insert_given_file(ledger, run_id, named)
                    self._insert_event(ledger, file_event_id, run_id, event, {"number": ingest.number, **facts})
            return ingest

        return self._transact(work)

    def finish_ingest(
        self,
        ingest: Ingest,
        *,
        mails: Sequence[Mail],
        details: Mapping[str, Any],
        supersede: bool,
        seal: bool,
        reindex_project: str | None,
    ) -> list[PipelineRunId]:
        """Make a run archived, with everything that follows from it, in one transaction.

        Args:
            ingest: the ingest, proved.
            mails: mails about it.
            details: what else is known about it; must fit JSON.
            supersede: whether the siblings that wait for a verdict or did not succeed are superseded.
            seal: whether no further run of the request is made.
            reindex_project: the project that the archive is to index again; None for no such request.

        Returns:
            The siblings that are superseded, also when the call is repeated.

        Raises:
            Refused: the run is not being ingested.
        """
        event_id, run_id = uuid.uuid4(), ingest.pipeline_run_id

        def work(ledger: LedgerTransaction) -> list[PipelineRunId]:
            request, runs = self._locked_request(ledger, run_id)
            run = next(run for run in runs if run.pipeline_run_id == run_id)
            # Done before: what has happened to the request since then, a reopening for example, stays as it is.
            if run.state is not RunState.ARCHIVED:
                check_transition(run_id, run.state, RunState.ARCHIVED)
                self._set_state(ledger, run, RunState.ARCHIVED, event_id, "archived", details)
                for mail in mails:
                    self._queue(ledger, run_id, mail)
                if reindex_project is not None:
                    key = f"ingest_{ingest.number}"
                    ledger.change("reindex_queue", pipeline_run_id=run_id, key=key, project=reindex_project)
                if seal:
                    ledger.change("request_seal", request_id=request["request_id"])
                if supersede:
                    self._supersede_siblings(ledger, run, runs)
            after = self._locked_request(ledger, run_id)[1]
            return [run.pipeline_run_id for run in after if run.state is RunState.SUPERSEDED]

        return self._transact(work)

    def withdraw_verdict(
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

        def work(ledger: LedgerTransaction) -> list[FileOfIngest]:
            _, runs = self._locked_request(ledger, run_id)
            run = next(run for run in runs if run.pipeline_run_id == run_id)
            known = ingest_in_force(ledger, run_id)
            if run.state is not RunState.INGEST_FAILED or known is None:
                raise Refused(
                    f"The verdict on {run_id} cannot be withdrawn: the run is {run.state}; {remedy_for(run.state)}."
                )
            # An earlier ingest counts too: what was archived without NGAS, and is ingested again, stays archived.
            ingests = ledger.rows("ingests_of_run", pipeline_run_id=run_id)
            since = next((row["committed_at"] for row in ingests if row["committed_at"] is not None), None)
            if since is not None:
                raise Refused(
                    f"The verdict on {run_id} cannot be withdrawn: the archive has its metadata since "
                    f"{since:%Y-%m-%d %H:%M} UTC; give the same verdict again, which finishes the ingest."
                )
            files = [FileOfIngest(**row) for row in ledger.rows("ingest_files", **key_of_ingest(known))]
            orphans = [file for file in files if file.sent_at is not None]
            ledger.change("ingest_withdraw", pipeline_run_id=run_id)
            details = {"by": by, "reason": reason, "orphans": [file.ngas_file_id for file in orphans]}
            self._set_state(ledger, run, RunState.AWAITING_QA, event_id, "verdict_withdrawn", details)
            for mail in mails:
                self._queue(ledger, run_id, mail)
            return orphans

        return self._transact(work)

    def change_verdict(
        self, run_id: PipelineRunId, verdict: QaVerdict, *, dag_id: str, dag_run_id: str, by: str
    ) -> Ingest:
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

        def work(ledger: LedgerTransaction) -> Ingest:
            request, runs = self._locked_request(ledger, run_id)
            run = next(run for run in runs if run.pipeline_run_id == run_id)
            known = ingest_in_force(ledger, run_id)
            if run.state is not RunState.ARCHIVED or known is None:
                raise Refused(
                    f"The QA flag of {run_id} cannot be changed: the run is {run.state}; {remedy_for(run.state)}."
                )
            if known.verdict == verdict:
                return known
            if verdict.flag is QaFlag.PASS and known.verdict.flag is not QaFlag.PASS:
                # Sealed by this run itself, which passed before, it is no reason against it.
                others = [ingest_in_force(ledger, other.pipeline_run_id) for other in runs if other != run]
                passed = any(ingest is not None and ingest.verdict.flag is QaFlag.PASS for ingest in others)
                _refuse_beside(run, runs, request["sealed_at"] if passed else None)
                ledger.change("request_seal", request_id=request["request_id"])
                self._supersede_siblings(ledger, run, runs)
            stored = Jsonb(postgres_safe(asdict(verdict)))
            ledger.change("ingest_set_verdict", pipeline_run_id=run_id, qa_flag=verdict.flag, verdict=stored)
            details: dict[str, Any] = {"by": by, "from": str(known.verdict.flag), "to": str(verdict.flag)}
            details |= {"dag_id": dag_id, "dag_run_id": dag_run_id, "changes": changes(known.verdict, verdict)}
            details |= _people(verdict)
            self._insert_event(ledger, event_id, run_id, VERDICT_CHANGED, postgres_safe(details))
            return _only_ingest(ledger, run_id)

        return self._transact(work)

    def record_verdict_written(self, run_id: PipelineRunId, number: int) -> None:
        """Record that the archive has a changed verdict; until then the run is not removed.

        Args:
            run_id: the run.
            number: the number of the change, from 1.
        """
        event_id = uuid.uuid4()

        def work(ledger: LedgerTransaction) -> None:
            if _changes(ledger, run_id)[1] < number:
                self._insert_event(ledger, event_id, run_id, _VERDICT_WRITTEN, {"number": number})

        self._change_run(run_id, work)

    def why_verdict_is_due(self, run_id: PipelineRunId) -> str | None:
        """Return the sentence that the archive does not have a changed verdict yet; None if it has what it is to have.

        Args:
            run_id: the run.
        """
        return self._transact(lambda ledger: _why_verdict_is_due(ledger, run_id))

    def verdicts_due(self) -> list[PipelineRunId]:
        """Return the archived runs whose changed verdict the archive does not have yet."""
        found = self._transact(lambda ledger: ledger.rows("verdicts_due"))
        return [PipelineRunId(row["pipeline_run_id"]) for row in found]

    def archived_runs(self, days: int, also: Collection[PipelineRunId] = ()) -> list[PipelineRun]:
        """Return the archived runs that became so lately, and some more, oldest first.

        Args:
            days: how many days ago is late enough.
            also: runs that are returned whenever they were archived.
        """
        parameters = {"days": days, "also": list(also)}
        return [
            run_of_row(row) for row in self._transact(lambda ledger: ledger.rows("runs_archived_lately", **parameters))
        ]

    # Removal

    def begin_removal(self, run_id: PipelineRunId, details: Mapping[str, Any]) -> None:
        """Make a run ``cleaning``; from then on its verdict cannot be changed. May be repeated.

        Args:
            run_id: the run.
            details: what is there, and what proves that it may go; must fit JSON.

        Raises:
            Refused: the run's state does not allow it, its verdict was changed and the archive does not know it, or a
                rerun of it is about to take its raw data.
        """
        event_id = uuid.uuid4()

        def work(ledger: LedgerTransaction) -> None:
            runs = self._locked_request(ledger, run_id)[1]
            run = next(run for run in runs if run.pipeline_run_id == run_id)
            if run.state is RunState.CLEANING:
                return
            check_transition(run_id, run.state, RunState.CLEANING)
            _refuse_while_raw_data_are_taken(ledger, run_id)
            why = _why_verdict_is_due(ledger, run_id)
            if why:
                raise Refused(f"{run_id} is not removed now: {why}")
            self._set_state(ledger, run, RunState.CLEANING, event_id, "removal_begun", details)

        self._transact(work)

    # Failed QA

    def reject_runs(
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

        def work(ledger: LedgerTransaction) -> list[PipelineRunId]:
            runs = {run.pipeline_run_id: run for run in self._locked_siblings(ledger, run_ids)[1]}
            for run_id in run_ids:
                if run_id not in runs:
                    raise unknown_run(run_id)
                if ingest_in_force(ledger, run_id):
                    raise _ingested_before(runs[run_id])
            wanted = [runs[run_id] for run_id in event_ids if runs[run_id].state not in _THROWN_AWAY]
            _refuse_while_active(runs.values(), {run.subject for run in wanted})
            for run in wanted:
                check_transition(run.pipeline_run_id, run.state, RunState.REJECTED)
                run_id = run.pipeline_run_id
                reviewer = (assigned_to or {}).get(run_id)
                details = {"reason": reason, "by": by, **({"assigned_to": reviewer} if reviewer else {})}
                self._set_state(ledger, run, RunState.REJECTED, event_ids[run_id], "rejected", details)
                for mail in (mails or {}).get(run_id, ()):
                    self._queue(ledger, run_id, mail)
            return [run.pipeline_run_id for run in wanted]

        return self._transact(work)

    def rejections(self, run_ids: Sequence[PipelineRunId]) -> dict[PipelineRunId, Event]:
        """Return, of those of some runs that failed QA, the events by which they did.

        Args:
            run_ids: the runs.
        """
        found = self._transact(lambda ledger: ledger.rows("rejections", pipeline_run_ids=list(run_ids)))
        return {event.pipeline_run_id: event for event in map(event_of_row, found)}

    # How it is done

    def _locked_request(
        self, ledger: LedgerTransaction, run_id: PipelineRunId
    ) -> tuple[dict[str, Any], list[PipelineRun]]:
        requests, runs = self._locked_siblings(ledger, [run_id])
        if not requests:
            raise unknown_run(run_id)
        return requests[0], runs

    @staticmethod
    def _locked_siblings(
        ledger: LedgerTransaction, run_ids: Sequence[PipelineRunId]
    ) -> tuple[list[dict[str, Any]], list[PipelineRun]]:
        """Return the requests of these runs, and all runs of those, which nobody else changes meanwhile."""
        requests = ledger.rows("request_lock", pipeline_run_ids=list(run_ids))
        rows = ledger.rows("runs_of_requests", request_ids=[request["request_id"] for request in requests])
        return requests, [run_of_row(row) for row in rows]

    def _set_state(
        self,
        ledger: LedgerTransaction,
        run: PipelineRun,
        wanted: RunState,
        event_id: uuid.UUID,
        event: str,
        details: Mapping[str, Any],
    ) -> None:
        ledger.change("run_set_state", pipeline_run_id=run.pipeline_run_id, state=wanted, failure=None)
        self._insert_event(ledger, event_id, run.pipeline_run_id, event, details, before=run.state, after=wanted)
        self._seal_again(ledger, run.pipeline_run_id, wanted)

    def _supersede_siblings(self, ledger: LedgerTransaction, run: PipelineRun, runs: Sequence[PipelineRun]) -> None:
        for sibling in runs:
            if sibling.pipeline_run_id != run.pipeline_run_id and sibling.state in SUPERSEDED_BY_A_PASS:
                details = {"by": run.pipeline_run_id}
                self._set_state(ledger, sibling, RunState.SUPERSEDED, uuid.uuid4(), "superseded", details)


def _people(verdict: QaVerdict) -> dict[str, str]:
    """Return who gave a verdict, and who was to, as an event records it."""
    people = {"given_by": verdict.author, "assigned_to": verdict.assigned_to}
    return {name: postgres_safe(person) for name, person in people.items() if person}


def _changes(ledger: LedgerTransaction, run_id: PipelineRunId) -> tuple[int, int]:
    """Return how often a verdict was changed, and up to which change the archive has it."""
    events = [event_of_row(row) for row in ledger.rows("events_of_run", pipeline_run_id=run_id)]
    written = [int(event.details["number"]) for event in events if event.event == _VERDICT_WRITTEN]
    return sum(event.event == VERDICT_CHANGED for event in events), max(written, default=0)


def _why_verdict_is_due(ledger: LedgerTransaction, run_id: PipelineRunId) -> str | None:
    changed, written = _changes(ledger, run_id)
    if written >= changed:
        return None
    ingest = _only_ingest(ledger, run_id)
    return (
        f"its QA flag was changed to {ingest.verdict.flag}, which the archive does not have yet; trigger "
        f"{family_of_run(run_id).ingest_dag} with the run and this flag again, and try again when it is done."
    )


def _refuse_while_raw_data_are_taken(ledger: LedgerTransaction, run_id: PipelineRunId) -> None:
    """Refuses while a rerun takes, or will take, a run's raw data; holds the run, so that no rerun is opened meanwhile.

    From then on the rerun finds the run in its new state, in which nothing of it is linked.
    """
    ledger.row("run_lock", pipeline_run_id=run_id)
    states = [str(state) for state in TAKES_RAW_DATA]
    for rerun in ledger.rows("reruns_taking_raw_data", pipeline_run_id=run_id, states=states):
        raise Refused(
            f"{run_id} is not removed now: its rerun {rerun['pipeline_run_id']} is taking its raw data (state "
            f"{rerun['state']}); try again when CASA is at work on it."
        )


def _has_file(ledger: LedgerTransaction, run_id: PipelineRunId, file: SubmittedFile) -> bool:
    found = ledger.rows("given_files_of_run", pipeline_run_id=run_id)
    return any((row["name"], bytes(row["content"])) == (file.name, file.content) for row in found)


def _only_ingest(ledger: LedgerTransaction, run_id: PipelineRunId) -> Ingest:
    ingest = ingest_in_force(ledger, run_id)
    if ingest is None:  # pragma: no cover  it was written in this transaction
        raise AssertionError("an ingest that was just written is not there")
    return ingest


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


def _refuse_beside(run: PipelineRun, runs: Sequence[PipelineRun], sealed_at: datetime | None) -> None:
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


def _refuse_while_active(runs: Iterable[PipelineRun], subjects: Collection[str]) -> None:
    for run in runs:
        if run.state in ACTIVE and run.subject in subjects:
            raise Refused(f"{quoted(run.subject)} cannot fail QA now: its {run.in_the_way}.")


def _ingested_before(run: PipelineRun) -> Refused:
    return Refused(
        f"{run.pipeline_run_id} cannot fail QA: a verdict to ingest it into the archive was given, and it is "
        f"{run.state}; {remedy_for(run.state)}."
    )


def _refuse_other_verdict(run: PipelineRun, known: Ingest, verdict: QaVerdict) -> None:
    if known.verdict != verdict:
        raise Refused(
            f"The verdict on {run.pipeline_run_id} is {known.verdict.flag}, given by {known.given_by} on "
            f"{known.claimed_at:%Y-%m-%d %H:%M} UTC, and its ingest failed: give the same verdict and notes again, or "
            "withdraw it first."
        )
