"""What the ledger's outbox holds, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from srdp.domain.runs.identifiers import PipelineRunId


@dataclass(frozen=True, kw_only=True)
class QueuedMail:
    """A mail in the outbox.

    Attributes:
        outbox_id: its number in the outbox.
        pipeline_run_id: the run that it is about; None if none could be opened.
        key: which of the run's mails it is.
        message_id: its Message-ID, the same at every attempt so that a mail sent twice is seen as one.
        sender: the address that it comes from.
        recipients: whom it is addressed to.
        pending: those of them whom the server has not accepted yet.
        refused: those of them who are given up, each with the server's answer.
        subject: one line.
        text: the plain text.
        html: the same in HTML.
        queued_at: when the event that it reports was recorded (UTC); also the mail's date.
        attempts: how often it was tried before.
        done_at: when the server had accepted it for everybody who is not given up (UTC); None while it waits, and if it
            was accepted for nobody.
    """

    outbox_id: int
    pipeline_run_id: PipelineRunId | None
    key: str
    message_id: str
    sender: str
    recipients: tuple[str, ...]
    pending: tuple[str, ...]
    refused: Mapping[str, str]
    subject: str
    text: str
    html: str
    queued_at: datetime
    attempts: int
    done_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class MailServerAway:
    """That the mail server cannot be reached.

    Attributes:
        since: when it was first found to be away (UTC).
        last_error: what the last try met, in one sentence.
        lasts: for how long it has been away.
        waiting: how many mails wait for it.
    """

    since: datetime
    last_error: str
    lasts: timedelta
    waiting: int

    def __str__(self) -> str:
        """Say it in sentences."""
        return (
            f"The mail server takes no mail since {self.since:%Y-%m-%d %H:%M} UTC "
            f"({self.lasts.total_seconds() // 60:.0f} minutes), and {self.waiting} mail(s) wait. They are sent when it "
            f"answers again. {self.last_error}"
        )


@dataclass(frozen=True, kw_only=True)
class ReindexRequest:
    """The archive is asked to index a project again, so that its front end shows what was archived.

    Attributes:
        outbox_id: its number in the outbox.
        pipeline_run_id: the run that was archived.
        project: the project code.
        attempts: how often it was tried before.
        last_error: why the last attempt did not succeed; None if there was none.
        done_at: when the archive had taken it (UTC); None while it waits.
    """

    outbox_id: int
    pipeline_run_id: PipelineRunId
    project: str
    attempts: int
    last_error: str | None
    done_at: datetime | None
