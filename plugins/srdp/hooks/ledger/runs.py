"""Pipeline runs: which there are, and their way from state to state."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import psycopg
import tenacity
from psycopg.types.json import Jsonb

from srdp.domain.common.errors import Refused, quoted
from srdp.domain.events.names import EventName
from srdp.domain.events.payloads import EngineChosen, Judged, MousRead, Opened, RequestReopened, SubmittedFileNamed
from srdp.domain.runs.identifiers import PipelineRunId, new_pipeline_run_id, pipeline_run_id
from srdp.domain.runs.ledger_records import DEFAULT_CASA_RELEASE, PipelineRun, SubmittedFile
from srdp.domain.runs.states import ACTIVE, RunState, check_transition
from srdp.families import family_of
from srdp.hooks.ledger.database import Repository, Transaction, only, unknown_run
from srdp.hooks.ledger.events import insert_event, once_a_run
from srdp.hooks.ledger.files import insert_submitted_file
from srdp.hooks.ledger.opening import opened_before, refuse_closed, refuse_while_removed, settled_by_another_try
from srdp.hooks.ledger.outbox import queue_mail
from srdp.hooks.ledger.requests import (
    ONE_ACTIVE_RUN,
    WITHOUT_RESULT,
    run_of_row,
    seal_again,
)
from srdp.hooks.postgres import postgres_safe

if TYPE_CHECKING:
    from srdp.domain.common.mail import Mail


class Runs(Repository):
    """Pipeline runs."""

    def open(
        self,
        *,
        kind: str,
        subject: str,
        project: str,
        locator: str,
        dag_id: str,
        dag_run_id: str,
        requested_by: str,
        recipe: str,
        cores: int,
        memory_gb: int,
        casa_release: str = DEFAULT_CASA_RELEASE,
        former_run: PipelineRunId | None = None,
        files: Sequence[SubmittedFile] = (),
        reopen: bool = False,
        request_digest: str = "",
        asked: Mapping[str, Any] | None = None,
        warnings: Sequence[str] = (),
    ) -> PipelineRun:
        """Open the next run of a request, in state ``created``; a repeat for the same DAG run returns the same run.

        Args:
            kind: what is made of the subject, for example ``vla_calibration``.
            subject: the EB name or MOUS UID.
            project: its project code.
            locator: the archive's key of it.
            dag_id: the DAG that opens the run.
            dag_run_id: the DAG run that opens it.
            requested_by: who asked.
            recipe: the PPR template's name.
            cores: cores for its CASA jobs.
            memory_gb: memory for its CASA jobs, in GB.
            casa_release: which of the CASA installations of the settings it runs in.
            former_run: the run that it repeats with other files.
            files: its PPR and the analyst's files, if they are known already.
            reopen: whether a request is opened again that is sealed, or that has a run in the archive.
            request_digest: distinguishes what users ask of one subject.
            asked: what the user asked for, and who that is; must fit JSON.
            warnings: warnings for those who review it, one sentence each.

        Returns:
            The run.

        Raises:
            Refused: the request has an active run, is sealed, or has a run in the archive and none that was opened
                since and waits for its verdict; or the directory of the run that it repeats is being removed.
            ServiceUnavailable: the ledger cannot be reached.
        """
        run = {
            "dag_id": dag_id,
            "dag_run_id": dag_run_id,
            "requested_by": requested_by,
            "recipe": recipe,
            "cores": cores,
            "memory_gb": memory_gb,
            "casa_release": casa_release,
            "former_run": former_run,
        }
        key = {"kind": kind, "subject": subject, "digest": request_digest}
        given = [SubmittedFileNamed(name=file.name, source=file.source, sha256=file.sha256) for file in files]
        asked = postgres_safe(asked)
        event_id, reopened_id = uuid.uuid4(), uuid.uuid4()

        def work(transaction: Transaction) -> PipelineRun:
            request = only(transaction.row("request_upsert", **key, project=project, locator=locator))
            existing = transaction.row("run_by_dag_run", dag_id=dag_id, dag_run_id=dag_run_id)
            if existing is not None:
                return opened_before(run_of_row(existing), subject)
            if not reopen:
                refuse_closed(transaction, key, request["sealed_at"])
            if former_run is not None:
                refuse_while_removed(transaction, former_run, subject)
            run_id = new_pipeline_run_id(family_of(kind).name)
            stored = None if asked is None else Jsonb(asked)
            transaction.change(
                "run_insert", pipeline_run_id=run_id, request_id=request["request_id"], asked=stored, **run
            )
            for file in files:
                insert_submitted_file(transaction, run_id, file)
            details = Opened(
                locator=locator,
                dag_id=dag_id,
                dag_run_id=dag_run_id,
                requested_by=requested_by,
                recipe=recipe,
                cores=cores,
                memory_gb=memory_gb,
                casa_release=casa_release,
                former_run=former_run,
                files=given,
            )
            if warnings:
                details["warnings"] = [*warnings]
            insert_event(transaction, event_id, run_id, EventName.OPENED, details, after=RunState.CREATED)
            if request["sealed_at"] is not None:
                transaction.change("request_unseal", request_id=request["request_id"])
                was = RequestReopened(sealed_at=request["sealed_at"].isoformat())
                insert_event(transaction, reopened_id, run_id, EventName.REQUEST_REOPENED, was)
            return run_of_row(only(transaction.row("run_by_id", pipeline_run_id=run_id)))

        opening = tenacity.Retrying(
            retry=tenacity.retry_if_exception(settled_by_another_try),
            stop=tenacity.stop_after_attempt(8),
            reraise=True,
        )
        try:
            return opening(lambda: self._database.transact(work))
        except psycopg.errors.UniqueViolation as error:
            if error.diag.constraint_name != ONE_ACTIVE_RUN:
                raise
            raise self._refusal_by_active_run(key) from None

    def get(self, run_id: str) -> PipelineRun:
        """Return a run.

        Args:
            run_id: the pipeline run ID, also as a person typed it.

        Raises:
            InvalidInput: it is not a pipeline run ID, or the ledger holds no such run.
        """
        checked = pipeline_run_id(run_id)
        row = self._database.row("run_by_id", pipeline_run_id=checked)
        if row is None:
            raise unknown_run(checked)
        return run_of_row(row)

    def of_dag_run(self, dag_id: str, dag_run_id: str) -> PipelineRun | None:
        """Return the run that a DAG run opened, or None if it opened none."""
        row = self._database.row("run_by_dag_run", dag_id=dag_id, dag_run_id=dag_run_id)
        return run_of_row(row) if row else None

    def active(self) -> list[PipelineRun]:
        """Return the runs that are being worked on, oldest first."""
        return self.in_states(ACTIVE)

    def in_states(self, states: Iterable[RunState]) -> list[PipelineRun]:
        """Return the runs in any of these states, oldest first."""
        values = [str(state) for state in states]
        return [run_of_row(row) for row in self._database.rows("runs_in_states", states=values)]

    def newest(self, limit: int = 100) -> list[PipelineRun]:
        """Return the newest runs, newest first.

        Args:
            limit: how many at most.
        """
        return [run_of_row(row) for row in self._database.rows("runs_newest", limit=limit)]

    def of_request(self, kind: str, subject: str, digest: str = "") -> list[PipelineRun]:
        """Return the runs of a request, by version; none if it is not known.

        Args:
            kind: what is made of the subject, for example ``vla_calibration``.
            subject: the EB name or MOUS UID.
            digest: distinguishes what users ask of one subject; of a run its ``request_digest``.
        """
        found = self._database.rows("runs_of_request", kind=kind, subject=subject, digest=digest)
        return [run_of_row(row) for row in found]

    def of_subject(self, kind: str, subject: str) -> list[PipelineRun]:
        """Return the runs of all requests of a subject, oldest first; none if it is not known.

        Args:
            kind: what is made of the subject, for example ``alma_imaging``.
            subject: the EB name or MOUS UID.
        """
        found = self._database.rows("runs_of_subject", kind=kind, subject=subject)
        return [run_of_row(row) for row in found]

    def of_project(self, kind: str, project: str) -> list[PipelineRun]:
        """Return the runs of all requests of a project, by subject and version; none if it is not known.

        Args:
            kind: what is made of the subjects, for example ``vla_calibration``.
            project: the project code.
        """
        found = self._database.rows("runs_of_project", kind=kind, project=project)
        return [run_of_row(row) for row in found]

    def archived_of_request(self, kind: str, subject: str, digest: str = "") -> list[PipelineRunId]:
        """Return the runs of a request whose metadata the archive has, cleaned ones included.

        Args:
            kind: what is made of the subject, for example ``vla_calibration``.
            subject: the EB name or MOUS UID.
            digest: distinguishes what users ask of one subject; of a run its ``request_digest``.
        """
        key = {"kind": kind, "subject": subject, "digest": digest}
        found = self._database.rows("archived_of_request", **key)
        return [PipelineRunId(row["pipeline_run_id"]) for row in found]

    def archived_lately(self, days: int, also: Collection[PipelineRunId] = ()) -> list[PipelineRun]:
        """Return the archived runs that became so lately, and some more, oldest first.

        Args:
            days: how many days ago is late enough.
            also: runs that are returned whenever they were archived.
        """
        parameters = {"days": days, "also": list(also)}
        return [run_of_row(row) for row in self._database.rows("runs_archived_lately", **parameters)]

    def sealed_at(self, kind: str, subject: str, digest: str = "") -> datetime | None:
        """Return when one of a request's runs passed, after which no run of it is made; None if it is open.

        Args:
            kind: what is made of the subject, for example ``vla_calibration``.
            subject: the EB name or MOUS UID.
            digest: distinguishes what users ask of one subject; of a run its ``request_digest``.
        """
        key = {"kind": kind, "subject": subject, "digest": digest}
        row = self._database.row("request_by_key", **key)
        return row["sealed_at"] if row else None

    def transition(
        self,
        run_id: PipelineRunId,
        wanted: RunState,
        *,
        event: EventName,
        details: Mapping[str, object] | None = None,
        mails: Sequence[Mail] = (),
        failure: str | None = None,
    ) -> bool:
        """Change a run's state, records the event and queue its mails, in one transaction.

        Args:
            run_id: the run.
            wanted: its next state.
            event: what happened, in a word.
            details: what else is known about it; must fit JSON.
            mails: mails about it; each key is queued once a run, whatever happens.
            failure: why it failed, in one sentence.

        Returns:
            False if it was in that state already and nothing was done, else True.

        Raises:
            Refused: the table of states does not allow it, or the request has another active run.
            InvalidInput: the ledger holds no such run.
        """
        event_id = uuid.uuid4()

        def work(transaction: Transaction) -> bool:
            if wanted in WITHOUT_RESULT:
                # Before the run, as everybody does who holds both.
                transaction.rows("request_lock", pipeline_run_ids=[run_id])
            locked = transaction.row("run_lock", pipeline_run_id=run_id)
            if locked is None:
                raise unknown_run(run_id)
            current = RunState(locked["state"])
            if current is wanted:
                return False
            check_transition(run_id, current, wanted)
            transaction.change("run_set_state", pipeline_run_id=run_id, state=wanted, failure=postgres_safe(failure))
            insert_event(transaction, event_id, run_id, event, details or {}, before=current, after=wanted)
            seal_again(transaction, run_id, wanted)
            for mail in mails:
                queue_mail(transaction, run_id, mail)
            return True

        try:
            return self._database.transact(work)
        except psycopg.errors.UniqueViolation as error:
            if error.diag.constraint_name != ONE_ACTIVE_RUN:
                raise
            run = self.get(run_id)
            key = {"kind": run.kind, "subject": run.subject, "digest": run.request_digest}
            raise self._refusal_by_active_run(key) from None

    def record_ppr(self, run_id: PipelineRunId, sha256: str) -> None:
        """Record the checksum of the PPR that CASA is to be started with.

        Args:
            run_id: the run.
            sha256: 64 hexadecimal digits.
        """
        self._database.change_run(
            run_id, lambda transaction: transaction.change("run_set_ppr", pipeline_run_id=run_id, sha256=sha256)
        )

    def record_engine(self, run_id: PipelineRunId, engine: str) -> None:
        """Record what runs the CASA jobs of a run; what was recorded first stays.

        Args:
            run_id: the run.
            engine: the engine's name.
        """
        self._record_once(run_id, EventName.ENGINE_CHOSEN, EngineChosen(engine=engine), "run_set_engine", engine=engine)

    def record_mous(self, run_id: PipelineRunId, mous: Mapping[str, Any]) -> None:
        """Record what the archive has about a run's MOUS; what was recorded first stays.

        Args:
            run_id: the run.
            mous: the MOUS; must fit JSON.
        """
        stored = Jsonb(postgres_safe(mous))
        self._record_once(run_id, EventName.MOUS_READ, MousRead(mous=mous), "run_set_mous", mous=stored)

    def record_judged(
        self, run_id: PipelineRunId, *, is_proved: bool, missing: Sequence[str] = (), warnings: Sequence[str] = ()
    ) -> None:
        """Record whether what CASA left is proved complete; what was recorded last is in force.

        Args:
            run_id: the run.
            is_proved: whether it is.
            missing: what is missing, one sentence each.
            warnings: warnings for those who review it, one sentence each.
        """
        event_id = uuid.uuid4()
        details = Judged(proved=is_proved, missing=[*missing], warnings=[*warnings])

        def work(transaction: Transaction) -> int:
            changed = transaction.change("run_set_proved", pipeline_run_id=run_id, is_proved=is_proved)
            if changed:
                insert_event(transaction, event_id, run_id, EventName.JUDGED, details)
            return changed

        self._database.change_run(run_id, work)

    def record_scores(self, run_id: PipelineRunId, lowest: float | None, scores: Any) -> None:  # noqa: ANN401  JSON
        """Record a run's QA scores.

        Args:
            run_id: the run.
            lowest: the lowest score; None if there is none.
            scores: all of them; must fit JSON.
        """
        stored = Jsonb(postgres_safe(scores))
        self._database.change_run(
            run_id,
            lambda transaction: transaction.change(
                "run_set_scores", pipeline_run_id=run_id, lowest=lowest, scores=stored
            ),
        )

    def _record_once(
        self, run_id: PipelineRunId, event: EventName, details: Mapping[str, object], statement: str, **values: object
    ) -> None:
        def work(transaction: Transaction) -> int:
            changed = transaction.change(statement, pipeline_run_id=run_id, **values)
            if changed:
                insert_event(transaction, once_a_run(run_id, event), run_id, event, details)
            return changed

        self._database.change_run(run_id, work)

    def _refusal_by_active_run(self, request: Mapping[str, str]) -> Refused:
        states = [str(state) for state in ACTIVE]
        row = self._database.row("run_of_request_in_states", **request, states=states)
        subject = request["subject"]
        if row is None:
            return Refused(f"{quoted(subject)} had an active run a moment ago: try again.")
        run = run_of_row(row)
        return Refused(f"{quoted(subject)} was not started: its {run.in_the_way}.")
