"""The ledger: pipeline runs and everything that happened to them, in PostgreSQL.

Every method is one transaction. Each may be repeated without harm, so each *is* repeated, for about a minute, when
the connection breaks or the server restarts, also when it is not known whether the commit came through:

* a state that is already there is left alone, and its mails are queued once for each run and key;
* a run is found again by the DAG run that opened it;
* an event carries an id that was made before the first try;
* all else is an update to the same values.

Sending a mail is the exception: it is never repeated here; see :meth:`LedgerHook.deliver_next_mail`.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg
import tenacity
from airflow.sdk import BaseHook
from psycopg.types.json import Jsonb

from srdp.domain.casa.queue import places
from srdp.domain.common.errors import InvalidInput, Refused, ServiceUnavailable, SettingsError, quoted
from srdp.domain.runs.identifiers import PipelineRunId, new_pipeline_run_id, pipeline_run_id
from srdp.domain.runs.ledger_records import (
    DEFAULT_CASA_RELEASE,
    CasaAttempt,
    Event,
    FetchedFile,
    MailServerAway,
    PipelineRun,
    QueuedMail,
    SubmittedFile,
)
from srdp.domain.runs.retry import LEDGER_SECONDS
from srdp.domain.runs.states import ACTIVE, RunState, check_transition, remedy_for
from srdp.families import family_of
from srdp.hooks.postgres import Cursor, each, rows, transaction

if TYPE_CHECKING:
    from srdp.domain.common.mail import Mail
    from srdp.settings import Settings

# Made up; the ids of events that happen to a run only once are derived from it.
_HAPPENS_ONCE = uuid.UUID("5f2b6c1e-6f0c-4c3b-9d0c-0d7f3a1f7a52")
#: The index that holds that a request has at most one active run.
ONE_ACTIVE_RUN = "pipeline_run_one_active"
_RUN_ID_TAKEN = "pipeline_run_pkey"
_DAG_RUN_HAS_RUN = "pipeline_run_dag_run"
# Of a request: what may still come to something, and what has failed without a decision for a sibling.
_GOING_ON = ACTIVE | {RunState.AWAITING_QA}
_CAME_TO_NOTHING = frozenset({RunState.FAILED, RunState.CANCELLED, RunState.REJECTED})
_FIRST_MAIL_RETRY = timedelta(seconds=15)
_LAST_MAIL_RETRY = timedelta(minutes=10)

_RUN_FIELDS = tuple(each.name for each in fields(PipelineRun))

Result = TypeVar("Result")


def once_a_run(run_id: PipelineRunId, what: str) -> uuid.UUID:
    """Return the id of an event that can happen to a run only once.

    Args:
        run_id: the run.
        what: what happens.
    """
    return uuid.uuid5(_HAPPENS_ONCE, f"{run_id} {what}")


def postgres_safe(value: Any) -> Any:  # noqa: ANN401  anything that JSON can hold
    """Return text, and text inside lists and mappings, without what PostgreSQL cannot store (from logs and names)."""
    if isinstance(value, str):
        return value.replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, Mapping):
        return {postgres_safe(str(key)): postgres_safe(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [postgres_safe(item) for item in value]
    return value


class LedgerTransaction:
    """One transaction's cursor, and the statements of the ledger by name.

    Args:
        cursor: the cursor.
        folder: where the statements are.
    """

    def __init__(self, cursor: Cursor, folder: Path) -> None:
        self._cursor = cursor
        self._folder = folder

    def rows(self, statement: str, /, **parameters: object) -> list[dict[str, Any]]:
        """Run a statement and return its rows."""
        return rows(self._cursor, self._folder, statement, parameters)

    def row(self, statement: str, /, **parameters: object) -> dict[str, Any] | None:
        """Run a statement and return its first row; None if it returns none."""
        return next(iter(self.rows(statement, **parameters)), None)

    def change(self, statement: str, /, **parameters: object) -> int:
        """Run a statement that returns nothing; returns how many rows it changed."""
        self.rows(statement, **parameters)
        return self._cursor.rowcount

    def change_each(self, statement: str, parameters: Iterable[Mapping[str, object]]) -> int:
        """Run a statement that returns nothing for each set of parameters; returns how many rows they changed."""
        return each(self._cursor, self._folder, statement, parameters)


@dataclass(frozen=True)
class MailAttempt:
    """What came of one attempt to send a mail.

    Attributes:
        pending: recipients whom the server has not accepted, and who are tried again.
        error: why not everybody was accepted, in one sentence; None if everybody was.
        refused: recipients who are given up, each with the server's answer.
        mails: the mails about that.
    """

    pending: tuple[str, ...] = ()
    error: str | None = None
    refused: Mapping[str, str] = field(default_factory=dict)
    mails: Sequence[Mail] = ()


class LedgerHook(BaseHook):
    """Reads and writes the ledger through the PostgreSQL connection that the settings name.

    Args:
        settings: the settings of this process.
        retry_seconds: for how long a broken connection is tried again before :class:`ServiceUnavailable` is raised.
    """

    def __init__(self, settings: Settings, *, retry_seconds: float = LEDGER_SECONDS) -> None:
        super().__init__()
        self.settings = settings
        self.retry_seconds = retry_seconds

    # Runs

    def open_run(
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
            warnings: warnings about the request for its reviewers, one sentence each.

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
        given = [{"name": file.name, "source": file.source, "sha256": file.sha256} for file in files]
        asked = postgres_safe(asked)
        event_id, reopened_id = uuid.uuid4(), uuid.uuid4()

        def work(ledger: LedgerTransaction) -> PipelineRun:
            request = _only(ledger.row("request_upsert", **key, project=project, locator=locator))
            existing = ledger.row("run_by_dag_run", dag_id=dag_id, dag_run_id=dag_run_id)
            if existing is not None:
                return _opened_before(run_of_row(existing), subject)
            if not reopen:
                _refuse_closed(ledger, key, request["sealed_at"])
            if former_run is not None:
                _refuse_while_removed(ledger, former_run, subject)
            run_id = new_pipeline_run_id(family_of(kind).name)
            stored = None if asked is None else Jsonb(asked)
            ledger.change("run_insert", pipeline_run_id=run_id, request_id=request["request_id"], asked=stored, **run)
            for file in files:
                self._insert_given_file(ledger, run_id, file)
            details = {"locator": locator, **run, "files": given, **({"warnings": [*warnings]} if warnings else {})}
            self._insert_event(ledger, event_id, run_id, "opened", details, after=RunState.CREATED)
            if request["sealed_at"] is not None:
                ledger.change("request_unseal", request_id=request["request_id"])
                was = {"sealed_at": request["sealed_at"].isoformat()}
                self._insert_event(ledger, reopened_id, run_id, "request_reopened", was)
            return run_of_row(_only(ledger.row("run_by_id", pipeline_run_id=run_id)))

        opening = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_settled_by_another_try),
            stop=tenacity.stop_after_attempt(8),
            reraise=True,
        )
        try:
            return opening(lambda: self._transact(work))
        except psycopg.errors.UniqueViolation as error:
            if error.diag.constraint_name != ONE_ACTIVE_RUN:
                raise
            raise self._refusal_by_active_run(key) from None

    def run(self, run_id: str) -> PipelineRun:
        """Return a run.

        Args:
            run_id: the pipeline run ID, also as a person typed it.

        Raises:
            InvalidInput: it is not a pipeline run ID, or the ledger holds no such run.
        """
        checked = pipeline_run_id(run_id)
        row = self._transact(lambda ledger: ledger.row("run_by_id", pipeline_run_id=checked))
        if row is None:
            raise unknown_run(checked)
        return run_of_row(row)

    def run_of_dag_run(self, dag_id: str, dag_run_id: str) -> PipelineRun | None:
        """Return the run that a DAG run opened, or None if it opened none."""
        row = self._transact(lambda ledger: ledger.row("run_by_dag_run", dag_id=dag_id, dag_run_id=dag_run_id))
        return run_of_row(row) if row else None

    def active_runs(self) -> list[PipelineRun]:
        """Return the runs that are being worked on, oldest first."""
        return self.runs_in(ACTIVE)

    def runs_in(self, states: Iterable[RunState]) -> list[PipelineRun]:
        """Return the runs in any of these states, oldest first."""
        values = [str(state) for state in states]
        return [run_of_row(row) for row in self._transact(lambda ledger: ledger.rows("runs_in_states", states=values))]

    def runs(self, limit: int = 100) -> list[PipelineRun]:
        """Return the newest runs, newest first.

        Args:
            limit: how many at most.
        """
        return [run_of_row(row) for row in self._transact(lambda ledger: ledger.rows("runs_newest", limit=limit))]

    def now(self) -> datetime:
        """Return the time by the ledger's clock, which is the one that the runs' times are set by."""
        now: datetime = _only(self._transact(lambda ledger: ledger.row("clock")))["now"]
        return now

    def transition(
        self,
        run_id: PipelineRunId,
        wanted: RunState,
        *,
        event: str,
        details: Mapping[str, Any] | None = None,
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

        def work(ledger: LedgerTransaction) -> bool:
            if wanted in _CAME_TO_NOTHING:
                # Before the run, as everybody does who holds both.
                ledger.rows("request_lock", pipeline_run_ids=[run_id])
            locked = ledger.row("run_lock", pipeline_run_id=run_id)
            if locked is None:
                raise unknown_run(run_id)
            current = RunState(locked["state"])
            if current is wanted:
                return False
            check_transition(run_id, current, wanted)
            ledger.change("run_set_state", pipeline_run_id=run_id, state=wanted, failure=postgres_safe(failure))
            self._insert_event(ledger, event_id, run_id, event, details or {}, before=current, after=wanted)
            self._seal_again(ledger, run_id, wanted)
            for mail in mails:
                self._queue(ledger, run_id, mail)
            return True

        try:
            return self._transact(work)
        except psycopg.errors.UniqueViolation as error:
            if error.diag.constraint_name != ONE_ACTIVE_RUN:
                raise
            run = self.run(run_id)
            key = {"kind": run.kind, "subject": run.subject, "digest": run.request_digest}
            raise self._refusal_by_active_run(key) from None

    # What happened to a run

    def record(
        self,
        run_id: PipelineRunId,
        event: str,
        details: Mapping[str, Any] | None = None,
        *,
        once: bool | str = False,
        mails: Sequence[Mail] = (),
    ) -> None:
        """Add an event that changes no state, and queue the mails about it.

        Args:
            run_id: the run.
            event: what happened, in a word.
            details: what else is known about it; must fit JSON.
            once: it can happen to a run only once, or only once for this text; what was recorded first stays.
            mails: the mails about it; each key is queued once a run.
        """
        what = event if once is True else f"{event} {once}"
        event_id = once_a_run(run_id, what) if once else uuid.uuid4()

        def work(ledger: LedgerTransaction) -> None:
            self._insert_event(ledger, event_id, run_id, event, details or {})
            for mail in mails:
                self._queue(ledger, run_id, mail)

        self._change_run(run_id, work)

    def events(self, run_id: PipelineRunId) -> list[Event]:
        """Return what happened to a run, in order."""
        rows = self._transact(lambda ledger: ledger.rows("events_of_run", pipeline_run_id=run_id))
        return [event_of_row(row) for row in rows]

    def casa_queue(self) -> Mapping[str, str]:
        """Return the runs that wait for a slot of the pool of CASA jobs, each with its place in words."""
        rows = self._transact(lambda ledger: ledger.rows("casa_queue"))
        return places((row["pipeline_run_id"], row["state_since"]) for row in rows)

    def record_ppr(self, run_id: PipelineRunId, sha256: str) -> None:
        """Record the checksum of the PPR that CASA is to be started with.

        Args:
            run_id: the run.
            sha256: 64 hexadecimal digits.
        """
        self._change_run(run_id, lambda ledger: ledger.change("run_set_ppr", pipeline_run_id=run_id, sha256=sha256))

    def record_scores(self, run_id: PipelineRunId, lowest: float | None, scores: Any) -> None:  # noqa: ANN401  JSON
        """Record a run's QA scores.

        Args:
            run_id: the run.
            lowest: the lowest score; None if there is none.
            scores: all of them; must fit JSON.
        """
        stored = Jsonb(postgres_safe(scores))
        self._change_run(
            run_id,
            lambda ledger: ledger.change("run_set_scores", pipeline_run_id=run_id, lowest=lowest, scores=stored),
        )

    def record_casa(self, run_id: PipelineRunId, attempt: int, **fields: Any) -> None:  # noqa: ANN401
        """Record what is known about one start of CASA; what is not given, or None, keeps what was recorded.

        Args:
            run_id: the run.
            attempt: 1 for the first start.
            **fields: fields of :class:`CasaAttempt`.
        """
        stored = CasaAttempt(pipeline_run_id=run_id, attempt=attempt, **postgres_safe(fields))
        self._change_run(run_id, lambda ledger: ledger.change("casa_upsert", **asdict(stored)))

    def casa_attempts(self, run_id: PipelineRunId) -> list[CasaAttempt]:
        """Return the starts of CASA for a run, in order."""
        rows = self._transact(lambda ledger: ledger.rows("casa_of_run", pipeline_run_id=run_id))
        return [_casa(row) for row in rows]

    def casa_attempts_without_task(self) -> list[CasaAttempt]:
        """Return the starts of CASA whose end is not recorded although their run is not ``processing`` any more."""
        return [_casa(row) for row in self._transact(lambda ledger: ledger.rows("casa_without_task"))]

    def record_fetched_files(self, run_id: PipelineRunId, rows: Iterable[FetchedFile]) -> None:
        """Record the raw data of a run as they were proved; a file recorded before is replaced.

        Args:
            run_id: the run.
            rows: its files.
        """
        stored = [postgres_safe({"pipeline_run_id": run_id, **asdict(row)}) for row in rows]

        self._change_run(run_id, lambda ledger: ledger.change_each("fetched_file_upsert", stored) if stored else None)

    def fetched_files(self, run_id: PipelineRunId) -> list[FetchedFile]:
        """Return the raw data of a run, by path."""
        rows = self._transact(lambda ledger: ledger.rows("fetched_files_of_run", pipeline_run_id=run_id))
        return [FetchedFile(**row) for row in rows]

    # Mails

    def mails(self, run_id: PipelineRunId) -> list[QueuedMail]:
        """Return the mails about a run, sent or not, in the order in which they were queued."""
        rows = self._transact(lambda ledger: ledger.rows("mails_of_run", pipeline_run_id=run_id))
        return [_mail(row) for row in rows]

    def deliver_next_mail(
        self, send: Callable[[QueuedMail], MailAttempt], *, run_id: PipelineRunId | None = None
    ) -> tuple[QueuedMail, MailAttempt] | None:
        """Lets the next mail that is due be sent, and records what came of it.

        The mail's row stays locked while it is sent, so that nobody else sends it; the lock ends with the process.
        Not repeated when the connection to the ledger breaks after the mail was handed over: it may be out already.
        The next drain finds it, and sends it again under the same Message-ID.

        Args:
            send: sends the mail to those who are pending; must not raise.
            run_id: only mails about this run.

        Returns:
            The mail and what came of it; None if none is due.

        Raises:
            ServiceUnavailable: the ledger cannot be reached.
        """
        handed_over = False

        def work(ledger: LedgerTransaction) -> tuple[QueuedMail, MailAttempt] | None:
            nonlocal handed_over
            row = ledger.row("mail_claim", pipeline_run_id=run_id)
            if row is None:
                return None
            mail = _mail(row)
            handed_over = True
            outcome = send(mail)
            wait = min(_FIRST_MAIL_RETRY * 2 ** min(mail.attempts, 10), _LAST_MAIL_RETRY)
            ledger.change(
                "mail_tried",
                mail_id=mail.mail_id,
                pending=list(outcome.pending),
                refused=Jsonb(postgres_safe(outcome.refused)),
                error=postgres_safe(outcome.error),
                retry_seconds=wait.total_seconds(),
            )
            if outcome.refused and mail.pipeline_run_id is not None:
                details = {"key": mail.key, "refused": outcome.refused}
                self._insert_event(ledger, uuid.uuid4(), mail.pipeline_run_id, "mail_refused", details)
            for reported in outcome.mails:
                self._queue(ledger, mail.pipeline_run_id, reported, about=f"mail-{mail.mail_id}")
            return mail, outcome

        return self._transact(work, repeatable=lambda: not handed_over)

    def mail_server_away(self) -> MailServerAway | None:
        """Return since when the mail server is away; None if nothing is known against it."""
        row = self._transact(lambda ledger: ledger.row("mail_server_away"))
        return None if row is None else MailServerAway(**row)

    def record_mail_server_away(self, error: str) -> None:
        """Record that the mail server is away, from now on unless it was before.

        Args:
            error: what the last try met, in one sentence.
        """
        self._transact(lambda ledger: ledger.change("mail_server_away_upsert", error=postgres_safe(error)))

    def record_mail_server_answers(self) -> None:
        """Record that the mail server is not away."""
        self._transact(lambda ledger: ledger.change("mail_server_answers"))

    def queue_mail_without_run(self, dag_id: str, dag_run_id: str, mail: Mail) -> None:
        """Queues a mail about a DAG run that could open no pipeline run; each has one under a key.

        Args:
            dag_id: the DAG.
            dag_run_id: the DAG run.
            mail: the mail.
        """
        # A DAG run id holds characters that a Message-ID may not.
        about = hashlib.sha256(f"{dag_id} {dag_run_id}".encode()).hexdigest()[:32]
        self._transact(lambda ledger: self._queue(ledger, None, mail, about=about))

    def _queue(
        self, ledger: LedgerTransaction, run_id: PipelineRunId | None, mail: Mail, *, about: str | None = None
    ) -> None:
        outside = [address for address in mail.recipients if not self.settings.may_be_mailed(address)]
        if outside:
            self._record_outside(ledger, run_id, mail, outside)
        recipients = [address for address in mail.recipients if address not in outside]
        if not recipients:
            return
        # Derived from what the mail is about and its key, and fixed here for every attempt.
        domain = self.settings.mail_from.rpartition("@")[2]
        ledger.change(
            "mail_queue",
            pipeline_run_id=run_id,
            key=mail.key,
            message_id=f"<{about or run_id}.{mail.key}@{domain}>",
            sender=self.settings.mail_from,
            recipients=recipients,
            subject=postgres_safe(mail.subject),
            text=postgres_safe(mail.text),
            html=postgres_safe(mail.html),
        )

    # How it is done

    def _record_outside(
        self, ledger: LedgerTransaction, run_id: PipelineRunId | None, mail: Mail, outside: Sequence[str]
    ) -> None:
        """Record to whom a mail does not go, because no setting allows it."""
        why = "SRDP_MAIL_DOMAINS does not allow it"
        self.log.warning("The mail %s does not go to %s: %s", mail.key, ", ".join(outside), why)
        if run_id is not None:
            details = {"key": mail.key, "refused": dict.fromkeys(outside, why)}
            event_id = once_a_run(run_id, f"{mail.key} to {' '.join(outside)}")
            self._insert_event(ledger, event_id, run_id, "mail_refused", details)

    @staticmethod
    def _seal_again(ledger: LedgerTransaction, run_id: PipelineRunId, became: RunState) -> None:
        """Restore a request to its state before it was reopened for a run that failed."""
        if became in _CAME_TO_NOTHING:
            ledger.change("request_seal_again", pipeline_run_id=run_id, going_on=[str(state) for state in _GOING_ON])

    def _transact(
        self, work: Callable[[LedgerTransaction], Result], *, repeatable: Callable[[], bool] = lambda: True
    ) -> Result:
        """Run work in a transaction of its own and commits; repeats it if the server went away (see the module)."""

        def once() -> Result:
            with transaction(self.settings.ledger_connection, what="The ledger's database") as cursor:
                try:
                    return work(LedgerTransaction(cursor, self.settings.sql / "ledger"))
                except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
                    raise SettingsError(
                        f"The database of the Airflow Connection {self.settings.ledger_connection} lacks the ledger's "
                        f"tables of this release ({str(error).partition(chr(10))[0]}): run "
                        "`python -m srdp.hooks.ledger_schema` with Airflow's environment."
                    ) from None

        repeating = tenacity.Retrying(
            retry=tenacity.retry_if_exception(lambda error: isinstance(error, ServiceUnavailable) and repeatable()),
            wait=tenacity.wait_exponential(multiplier=0.1, max=5),
            stop=tenacity.stop_after_delay(self.retry_seconds),
            before_sleep=self._say_that_it_is_tried_again,
            reraise=True,
        )
        return repeating(once)

    def _say_that_it_is_tried_again(self, state: tenacity.RetryCallState) -> None:
        self.log.warning("%s (trying again)", state.outcome.exception() if state.outcome else "")

    def _change_run(self, run_id: PipelineRunId, work: Callable[[LedgerTransaction], object]) -> None:
        """Run work that writes about a run, which must exist."""
        try:
            changed = self._transact(work)
        except psycopg.errors.ForeignKeyViolation:
            raise unknown_run(run_id) from None
        if changed == 0:
            raise unknown_run(run_id)

    def _insert_event(
        self,
        ledger: LedgerTransaction,
        event_id: uuid.UUID,
        run_id: PipelineRunId,
        event: str,
        details: Mapping[str, Any],
        *,
        before: RunState | None = None,
        after: RunState | None = None,
    ) -> None:
        ledger.change(
            "event_insert",
            event_id=event_id,
            pipeline_run_id=run_id,
            event=postgres_safe(event),
            details=Jsonb(postgres_safe(details)),
            state_before=before,
            state_after=after,
        )

    def _insert_given_file(self, ledger: LedgerTransaction, run_id: PipelineRunId, file: SubmittedFile) -> None:
        ledger.change(
            "given_file_upsert",
            pipeline_run_id=run_id,
            name=file.name,
            source=postgres_safe(file.source),
            sha256=file.sha256,
            content=file.content,
        )

    def _refusal_by_active_run(self, request: Mapping[str, str]) -> Refused:
        states = [str(state) for state in ACTIVE]
        row = self._transact(lambda ledger: ledger.row("run_of_request_in_states", **request, states=states))
        subject = request["subject"]
        if row is None:
            return Refused(f"{quoted(subject)} had an active run a moment ago: try again.")
        run = run_of_row(row)
        return Refused(f"{quoted(subject)} was not started: its {run.in_the_way}.")


def _refuse_closed(ledger: LedgerTransaction, key: Mapping[str, str], sealed_at: datetime | None) -> None:
    """Refuses another run of a request that is sealed, or that has a run in the archive, and that is not reopened."""
    if sealed_at is not None:
        raise _sealed(key["subject"], sealed_at)
    archived = {row["pipeline_run_id"] for row in ledger.rows("archived_of_request", **key)}
    for run in map(run_of_row, reversed(ledger.rows("runs_of_request", **key))):
        if run.state in _GOING_ON:
            return
        if run.pipeline_run_id in archived:
            raise Refused(
                f"{quoted(run.subject)} was not started: its pipeline run {run.pipeline_run_id} was archived; rerun it "
                "with Reopen if it is to be made again."
            )


def _refuse_while_removed(ledger: LedgerTransaction, former_run: PipelineRunId, subject: str) -> None:
    """Refuses a rerun of a run whose directory is being removed; holds that run, so that no removal begins meanwhile.

    One whose directory is gone is rerun with raw data that are fetched again.
    """
    former = ledger.row("run_lock", pipeline_run_id=former_run)
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


def _settled_by_another_try(error: BaseException) -> bool:
    """Whether a run could not be inserted for a reason that the next try settles: its ID was taken, or its twin won."""
    return isinstance(error, psycopg.errors.UniqueViolation) and error.diag.constraint_name in (
        _RUN_ID_TAKEN,
        _DAG_RUN_HAS_RUN,
    )


def _opened_before(run: PipelineRun, subject: str) -> PipelineRun:
    if run.subject != subject:
        raise Refused(
            f"{quoted(subject)} was not started: its DAG run {quoted(run.dag_run_id)} opened pipeline run "
            f"{run.pipeline_run_id} for {quoted(run.subject)} before; trigger a new DAG run."
        )
    return run


def _only(row: dict[str, Any] | None) -> dict[str, Any]:
    if row is None:  # pragma: no cover  the statement always returns a row
        raise AssertionError("a statement that always returns a row returned none")
    return row


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


def _casa(row: Mapping[str, Any]) -> CasaAttempt:
    return CasaAttempt(**{**row, "pipeline_run_id": PipelineRunId(row["pipeline_run_id"])})


def _mail(row: Mapping[str, Any]) -> QueuedMail:
    return QueuedMail(
        **{
            **row,
            "pipeline_run_id": PipelineRunId(row["pipeline_run_id"]),
            "recipients": tuple(row["recipients"]),
            "pending": tuple(row["pending"]),
        }
    )


def unknown_run(run_id: str) -> InvalidInput:
    """Return the error that says that the ledger holds no such run."""
    return InvalidInput(f"The ledger holds no pipeline run {run_id}: copy the ID from the mail or the run's directory.")
