"""The outbox: what is queued by the transaction that does what it reports, and is sent one by one.

Mails, reminders and requests to the archive are rows of one table, are claimed and tried again alike, and differ in who
sends them and in what counts as sent.
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg.types.json import Jsonb

from srdp.domain.events.names import EventName
from srdp.domain.events.payloads import MailRefused, ReindexNotTaken
from srdp.domain.runs.identifiers import PipelineRunId
from srdp.hooks.ledger.database import Repository, Transaction, unknown_run
from srdp.hooks.ledger.events import insert_event, once_a_run
from srdp.hooks.ledger.outbox_records import MailServerAway, QueuedMail, ReindexRequest
from srdp.hooks.postgres import postgres_safe

if TYPE_CHECKING:
    from srdp.domain.common.mail import Mail

log = logging.getLogger(__name__)

_MAILS: Final = ("mail", "reminder")
_REINDEX: Final = ("reindex",)
_FIRST_RETRY: Final = timedelta(seconds=15)
_LAST_RETRY: Final = timedelta(minutes=10)
_MAIL_FIELDS: Final = tuple(each.name for each in fields(QueuedMail))
_REQUEST_FIELDS: Final = tuple(each.name for each in fields(ReindexRequest))


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


class Outbox(Repository):
    """What waits to be sent, and whether the mail server answers."""

    # Mails

    def mails(self, run_id: PipelineRunId) -> list[QueuedMail]:
        """Return the mails about a run, sent or not, in the order in which they were queued."""
        rows = self._database.rows("outbox_of_run", pipeline_run_id=run_id, kinds=list(_MAILS))
        return [_mail(row) for row in rows]

    def deliver_next_mail(
        self, send: Callable[[QueuedMail], MailAttempt], *, run_id: PipelineRunId | None = None
    ) -> tuple[QueuedMail, MailAttempt] | None:
        """Let the next mail that is due be sent, and record the result.

        The mail's row stays locked while it is sent, so that nobody else sends it; the lock ends with the process.
        Not repeated when the connection to the ledger breaks after the mail was handed over: it may be out already.
        The next drain finds it, and sends it again under the same Message-ID.

        Args:
            send: sends the mail to those who are pending; must not raise.
            run_id: only mails about this run.

        Returns:
            The mail and the result; None if none is due.

        Raises:
            ServiceUnavailable: the ledger cannot be reached.
        """
        handed_over = False

        def work(transaction: Transaction) -> tuple[QueuedMail, MailAttempt] | None:
            nonlocal handed_over
            row = _claim(transaction, _MAILS, run_id)
            if row is None:
                return None
            mail = _mail(row)
            handed_over = True
            outcome = send(mail)
            _record_try(transaction, row, outcome.error, pending=outcome.pending, refused=outcome.refused)
            if outcome.refused and mail.pipeline_run_id is not None:
                refusal = MailRefused(key=mail.key, refused=outcome.refused)
                insert_event(transaction, uuid.uuid4(), mail.pipeline_run_id, EventName.MAIL_REFUSED, refusal)
            for further in outcome.mails:
                queue_mail(transaction, mail.pipeline_run_id, further, about=f"mail-{mail.outbox_id}")
            return mail, outcome

        return self._database.transact(work, repeatable=lambda: not handed_over)

    def mail_server_away(self) -> MailServerAway | None:
        """Return since when the mail server is away; None if nothing is known against it."""
        row = self._database.row("mail_server_away")
        return None if row is None else MailServerAway(**row)

    def record_mail_server_away(self, error: str) -> None:
        """Record that the mail server is away, from now on unless it was before.

        Args:
            error: what the last try met, in one sentence.
        """
        self._database.change("mail_server_away_upsert", error=postgres_safe(error))

    def record_mail_server_answers(self) -> None:
        """Record that the mail server is not away."""
        self._database.change("mail_server_answers")

    def queue_mail_without_run(self, dag_id: str, dag_run_id: str, mail: Mail) -> None:
        """Queue a mail about a DAG run that could open no pipeline run; each has one under a key.

        Args:
            dag_id: the DAG.
            dag_run_id: the DAG run.
            mail: the mail.
        """
        # A DAG run id holds characters that a Message-ID may not.
        about = hashlib.sha256(f"{dag_id} {dag_run_id}".encode()).hexdigest()[:32]
        self._database.transact(lambda transaction: queue_mail(transaction, None, mail, about=about))

    # Requests to the archive

    def reindex_requests(self, run_id: PipelineRunId) -> list[ReindexRequest]:
        """Return what the archive was asked for a run, done or not."""
        rows = self._database.rows("outbox_of_run", pipeline_run_id=run_id, kinds=list(_REINDEX))
        return [_request(row) for row in rows]

    def deliver_next_reindex(
        self, send: Callable[[ReindexRequest], str | None], *, run_id: PipelineRunId | None = None
    ) -> tuple[ReindexRequest, str | None] | None:
        """Let the archive be asked what it is to be asked next, and record the result.

        To index a project twice does no harm: what is not known to have arrived is asked again.

        Args:
            send: asks; returns None, or why it did not succeed, in one sentence; must not raise.
            run_id: only for this run.

        Returns:
            The request and the error; None if none is due.
        """

        def work(transaction: Transaction) -> tuple[ReindexRequest, str | None] | None:
            row = _claim(transaction, _REINDEX, run_id)
            if row is None:
                return None
            request = _request(row)
            error = send(request)
            _record_try(transaction, row, error)
            return request, error

        return self._database.transact(work)

    def report_reindex(self, request: ReindexRequest, mail: Mail, *, cause: str, for_all: bool) -> None:
        """Queue the mail about a request that the archive has not taken: once for each request.

        Args:
            request: the request.
            mail: the mail.
            cause: why, in one sentence.
            for_all: whether the cause concerns the requests of all projects; then one mail is enough as long as the
                request that it reports waits.
        """
        run_id = request.pipeline_run_id
        event_id = uuid.uuid4()
        details = ReindexNotTaken(project=request.project, sentence=cause, for_all=for_all)

        def work(transaction: Transaction) -> None:
            if for_all and transaction.row("outbox_reported_for_all"):
                return
            if transaction.change("outbox_report", outbox_id=request.outbox_id, for_all=for_all):
                insert_event(transaction, event_id, run_id, EventName.REINDEX_NOT_TAKEN, details)
                queue_mail(transaction, run_id, mail)

        self._database.transact(work)

    # Both

    def queue_follow_up(
        self,
        run_id: PipelineRunId,
        *,
        mails: Sequence[Mail] = (),
        reindex: tuple[str, str] | None = None,
    ) -> None:
        """Queue what follows from something that changed no state; each key is queued once a run.

        Args:
            run_id: the run.
            mails: mails about it.
            reindex: a key, and the project that the archive is to index again; None for no such request.
        """

        def work(transaction: Transaction) -> None:
            for mail in mails:
                queue_mail(transaction, run_id, mail)
            if reindex is not None:
                queue_reindex(transaction, run_id, *reindex)

        try:
            self._database.transact(work)
        except psycopg.errors.ForeignKeyViolation:
            raise unknown_run(run_id) from None


def queue_mail(
    transaction: Transaction,
    run_id: PipelineRunId | None,
    mail: Mail,
    *,
    about: str | None = None,
    assignment_number: int | None = None,
) -> None:
    """Queue a mail within a transaction; each key is queued once a run.

    Args:
        transaction: the transaction.
        run_id: the run that it is about; None if none could be opened.
        mail: the mail.
        about: what it is about, for its Message-ID, if that is not the run.
        assignment_number: the number of the assignment that it reminds of, 0 if there is none; None: it is no reminder.
    """
    outside = [address for address in mail.recipients if not transaction.settings.may_be_mailed(address)]
    if outside:
        _record_outside(transaction, run_id, mail, outside)
    recipients = [address for address in mail.recipients if address not in outside]
    if not recipients:
        return
    # Derived from what the mail is about and its key, and fixed here for every attempt.
    domain = transaction.settings.mail_from.rpartition("@")[2]
    transaction.change(
        "outbox_queue_mail",
        pipeline_run_id=run_id,
        key=mail.key,
        message_id=f"<{about or run_id}.{mail.key}@{domain}>",
        sender=transaction.settings.mail_from,
        recipients=recipients,
        subject=postgres_safe(mail.subject),
        text=postgres_safe(mail.text),
        html=postgres_safe(mail.html),
        assignment_number=assignment_number,
    )


def queue_reindex(transaction: Transaction, run_id: PipelineRunId, key: str, project: str) -> None:
    """Queue within a transaction that the archive is asked to index a project again; each key is queued once a run.

    Args:
        transaction: the transaction.
        run_id: the run for which it is.
        key: which of the run's requests it is.
        project: the project code.
    """
    transaction.change("outbox_queue_reindex", pipeline_run_id=run_id, key=key, project=project)


def _claim(transaction: Transaction, kinds: Sequence[str], run_id: PipelineRunId | None) -> dict[str, Any] | None:
    return transaction.row("outbox_claim", kinds=list(kinds), pipeline_run_id=run_id)


def _record_try(
    transaction: Transaction,
    row: Mapping[str, Any],
    error: str | None,
    *,
    pending: Sequence[str] | None = None,
    refused: Mapping[str, str] | None = None,
) -> None:
    wait = min(_FIRST_RETRY * 2 ** min(row["attempts"], 10), _LAST_RETRY)
    transaction.change(
        "outbox_tried",
        outbox_id=row["outbox_id"],
        error=postgres_safe(error),
        pending=None if pending is None else list(pending),
        refused=Jsonb(postgres_safe(refused or {})),
        retry_seconds=wait.total_seconds(),
    )


def _record_outside(transaction: Transaction, run_id: PipelineRunId | None, mail: Mail, outside: Sequence[str]) -> None:
    """Record to whom a mail does not go, because no setting allows it."""
    why = "SRDP_MAIL_DOMAINS does not allow it"
    log.warning("The mail %s does not go to %s: %s", mail.key, ", ".join(outside), why)
    if run_id is not None:
        details = MailRefused(key=mail.key, refused=dict.fromkeys(outside, why))
        event_id = once_a_run(run_id, f"{mail.key} to {' '.join(outside)}")
        insert_event(transaction, event_id, run_id, EventName.MAIL_REFUSED, details)


def _mail(row: Mapping[str, Any]) -> QueuedMail:
    return QueuedMail(
        **{name: row[name] for name in _MAIL_FIELDS}
        | {
            "pipeline_run_id": PipelineRunId(row["pipeline_run_id"]) if row["pipeline_run_id"] else None,
            "recipients": tuple(row["recipients"]),
            "pending": tuple(row["pending"]),
        }
    )


def _request(row: Mapping[str, Any]) -> ReindexRequest:
    run_id = PipelineRunId(row["pipeline_run_id"])
    return ReindexRequest(**{name: row[name] for name in _REQUEST_FIELDS} | {"pipeline_run_id": run_id})
