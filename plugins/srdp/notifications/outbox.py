"""The outbox: mails that the ledger queued with the state they report, handed to the mail server from here.

A mail is sent while its row is locked, and marked as sent after the server's answer. So none is lost, no two
drains send the same one, and one is sent twice only if this process is killed between the server's answer and the
commit; both then carry the same Message-ID and the same date.

A recipient whose address is wrong, by the server's word, is given up at once. One who is refused for good for another
reason is tried for about a day: often it is a server that is configured wrongly, and no mail is to be lost by that. A
mail that cannot be written as a message at all is given up for everybody. The operations managers are notified of each
by a mail, and the next ones go.
"""

from __future__ import annotations

import logging
import re
import smtplib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.message import EmailMessage
from email.parser import BytesHeaderParser
from email.utils import format_datetime
from typing import TYPE_CHECKING

from srdp.domain.common.errors import quoted
from srdp.domain.common.mail import check_address, one_line, without_encoded_words
from srdp.hooks.ledger.outbox import MailAttempt
from srdp.notifications.given_up_mail import mail_given_up

if TYPE_CHECKING:
    from srdp.domain.common.mail import Mail
    from srdp.domain.runs.identifiers import PipelineRunId
    from srdp.hooks.ledger import Ledger
    from srdp.hooks.ledger.outbox_records import MailServerAway, QueuedMail
    from srdp.hooks.mail_server import MailServerHook
    from srdp.settings import Settings

log = logging.getLogger(__name__)

# RFC 3463: what is wrong is an address, and not (7, 8) the sender's.
_WRONG_ADDRESS = re.compile(r"5\d\d 5\.1\.(?![78]\b)")
# With the ledger's waits between them, about a day.
_MOST_ATTEMPTS = 150


@dataclass(frozen=True)
class OutboxReport:
    """What a drain did.

    Attributes:
        sent: Message-IDs of the mails that all recipients' servers have now, but for those who are given up.
        delayed: Message-IDs of the mails that will be tried again.
        cause: why the last delayed one was, in one sentence; None if none was.
        refused: Message-IDs of the mails with a recipient that was given up now.
        away: since when the mail server is away; None if it answers, or nobody had a reason to ask.
    """

    sent: tuple[str, ...] = ()
    delayed: tuple[str, ...] = ()
    cause: str | None = None
    refused: tuple[str, ...] = ()
    away: MailServerAway | None = None

    def __str__(self) -> str:
        """Says it for the log."""
        parts = [f"{len(self.sent)} mail(s) sent"] if self.sent else []
        if self.delayed:
            parts.append(f"{len(self.delayed)} delayed and tried again by itself: {self.cause}")
        if self.refused:
            parts.append(f"of {len(self.refused)} a recipient is given up, and the operations managers are notified")
        if self.away is not None:
            return "; ".join([*parts, str(self.away)])
        return "; ".join(parts) or "No mail is due."


def send_due_mails(ledger: Ledger, settings: Settings, *, pipeline_run_id: PipelineRunId | None = None) -> OutboxReport:
    """Send every mail that is due; a mail server that is down or refuses delays mails and raise nothing.

    It stops at the first sign that the server is not there: every further mail would wait for the same timeout. While
    it is away it is only asked whether it is there again, so that no mail uses up its attempts.

    Args:
        ledger: the outbox.
        settings: which connection leads to the mail server.
        pipeline_run_id: only mails about this run.

    Returns:
        What was sent and what was delayed.

    Raises:
        ServiceUnavailable: the ledger cannot be reached.
    """
    sent: list[str] = []
    delayed: list[str] = []
    refused: list[str] = []
    cause: str | None = None
    server = _Server(settings)
    if ledger.outbox.mail_server_away() is not None:
        server.try_to_reach()
        if not server.error:
            ledger.outbox.record_mail_server_answers()
    while (
        not server.error and (tried := ledger.outbox.deliver_next_mail(server.send, run_id=pipeline_run_id)) is not None
    ):
        mail, attempt = tried
        accepted = [one for one in mail.pending if one not in attempt.pending and one not in attempt.refused]
        if accepted:
            log.info("Mail %s was sent to %s", mail.message_id, ", ".join(accepted))
        if attempt.refused:
            refused.append(mail.message_id)
            log.error("Mail %s (%s) is given up for %s", mail.message_id, mail.key, quoted(attempt.refused, limit=600))
        if attempt.pending:
            delayed.append(mail.message_id)
            cause = attempt.error
            log.warning("Mail %s is delayed: %s", mail.message_id, attempt.error)
        elif accepted:
            sent.append(mail.message_id)
    if not server.error:
        return OutboxReport(tuple(sent), tuple(delayed), cause, tuple(refused))
    ledger.outbox.record_mail_server_away(server.error)
    return OutboxReport(tuple(sent), tuple(delayed), cause, tuple(refused), ledger.outbox.mail_server_away())


def message(mail: QueuedMail) -> EmailMessage:
    """Return a queued mail as the message that is sent, the same at every attempt.

    Args:
        mail: the mail; its row may be of an earlier release, or written by somebody else.

    Raises:
        Exception: it cannot be written as a message; the class is up to Python's email package.
    """
    for address in (mail.sender, *mail.recipients, *mail.pending):
        check_address(address, mail.key)
    letter = EmailMessage()
    letter["From"] = mail.sender
    letter["To"] = ", ".join(mail.recipients)
    letter["Subject"] = without_encoded_words(one_line(mail.subject))
    letter["Date"] = format_datetime(mail.queued_at)
    letter["Message-ID"] = mail.message_id
    # RFC 3834: no out-of-office answers, please.
    letter["Auto-Submitted"] = "auto-generated"
    if mail.pipeline_run_id is not None:
        letter["X-SRDP-Pipeline-Run"] = mail.pipeline_run_id
    letter.set_content(mail.text)
    letter.add_alternative(mail.html, subtype="html")
    written = BytesHeaderParser().parsebytes(letter.as_bytes())
    if written.keys() != letter.keys():
        raise ValueError(f"its headers would be read as {', '.join(written.keys())}")
    return letter


class _Server:
    """The mail server during one drain.

    Attributes:
        error: why it is taken to be away, in one sentence; empty as long as it is not.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection_id = settings.smtp_connection
        self.error = ""

    def try_to_reach(self) -> MailServerHook | None:
        """Open a session; returns None if that fails, and raises nothing."""
        from airflow.sdk.exceptions import AirflowException

        from srdp.hooks.mail_server import MailServerHook

        server = MailServerHook(self._connection_id)
        try:
            server.get_conn()
        except (OSError, AirflowException, RuntimeError, ValueError) as error:  # ValueError: a wrong extra
            self.error = self._sentence("cannot be reached", error)
            return None
        return server

    def send(self, mail: QueuedMail) -> MailAttempt:
        """Send one mail to those who are pending; raise nothing, because a mail must never fail a run."""
        attempt = self._try(mail)
        return replace(attempt, mails=self._report_given_up(mail, attempt.refused)) if attempt.refused else attempt

    def _report_given_up(self, mail: QueuedMail, given_up: Mapping[str, str]) -> tuple[Mail, ...]:
        try:
            return mail_given_up(self._settings, mail, given_up)
        except Exception:  # a template of the site's that is wrong must hold up no mail either
            log.exception("Nobody could be notified that mail %s was given up", mail.message_id)
            return ()

    def _try(self, mail: QueuedMail) -> MailAttempt:
        from srdp.hooks.mail_server import answers

        try:
            letter = message(mail)
        except Exception as error:  # noqa: BLE001  whatever it is, the next mail must go
            return _set_aside(mail, error)
        # A connection of its own for each mail: what went wrong with one is no matter to the next.
        server = self.try_to_reach()
        if server is None:
            return MailAttempt(mail.pending, self.error)
        try:
            with server:
                refused = server.send(letter, mail.pending)
        except (smtplib.SMTPServerDisconnected, ConnectionError, TimeoutError) as error:
            self.error = self._sentence("went away", error)
            return MailAttempt(mail.pending, self.error)
        except smtplib.SMTPRecipientsRefused as error:
            given_up = _given_up(mail, answers(error.recipients))
            return self._failed(mail, "accepts it for no recipient", error, given_up)
        except smtplib.SMTPResponseException as error:
            # Of the whole mail, or of its sender: no word of a wrong address is about a recipient.
            answer = answers(dict.fromkeys(mail.pending, (error.smtp_code, _in_bytes(error.smtp_error))))
            given_up = _given_up(mail, answer) if _was_tried_enough(mail) else {}
            return self._failed(mail, "does not accept it", error, given_up)
        except smtplib.SMTPNotSupportedError as error:
            return _set_aside(mail, error)
        except OSError as error:
            return self._failed(mail, "does not accept it", error)
        except Exception as error:  # noqa: BLE001  it is this mail that cannot be handed over
            return _set_aside(mail, error)
        if refused:
            given_up = _given_up(mail, refused)
            pending = tuple(one for one in mail.pending if one in refused and one not in given_up)
            return MailAttempt(pending, f"The mail server refuses {quoted(refused, limit=300)}.", given_up)
        return MailAttempt()

    def _failed(
        self, mail: QueuedMail, what: str, error: Exception, given_up: Mapping[str, str] | None = None
    ) -> MailAttempt:
        given_up = given_up or {}
        return MailAttempt(
            tuple(one for one in mail.pending if one not in given_up),
            self._sentence(what, error),
            given_up,
        )

    def _sentence(self, what: str, error: Exception) -> str:
        return f"The mail server (Airflow Connection {self._connection_id}) {what}: {quoted(error, limit=300)}."


def _set_aside(mail: QueuedMail, error: Exception) -> MailAttempt:
    """Return that a mail is given up for everybody, because it cannot be written as a message."""
    why = f"It cannot be sent as a message: {quoted(error, limit=300)}."
    return MailAttempt((), why, dict.fromkeys(mail.pending, why))


def _given_up(mail: QueuedMail, refused: Mapping[str, str]) -> dict[str, str]:
    """Return the recipients who are not tried again, each with the server's answer."""
    enough = _was_tried_enough(mail)
    return {
        address: answer
        for address, answer in refused.items()
        if _WRONG_ADDRESS.match(answer) or (enough and answer.startswith("5"))
    }


def _was_tried_enough(mail: QueuedMail) -> bool:
    return mail.attempts + 1 >= _MOST_ATTEMPTS


def _in_bytes(answer: bytes | str) -> bytes:
    return answer.encode() if isinstance(answer, str) else answer
