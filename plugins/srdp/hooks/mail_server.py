"""The mail server: Airflow's SMTP connection, for mails with a text and an HTML form and a Message-ID of our own."""

from __future__ import annotations

import smtplib
from collections.abc import Mapping, Sequence
from email.message import EmailMessage
from typing import cast

from airflow.providers.smtp.hooks.smtp import SmtpHook


class MailServerHook(SmtpHook):
    """Airflow's ``SmtpHook`` with one more way to send.

    Its own ``send_email_smtp`` makes messages of HTML only, sends a refused mail again at once and without a pause,
    and does not say which recipients were refused. Connecting, encryption and login are the provider's.
    """

    def send(self, message: EmailMessage, recipients: Sequence[str]) -> dict[str, str]:
        """Send a message over the open connection, once.

        Args:
            message: the message.
            recipients: to whom, whatever its headers say.

        Returns:
            The recipients whom the server refused although it accepted others, each with its answer.

        Raises:
            OSError: the server accepted the mail for nobody, or went away (``smtplib.SMTPException`` is one).
        """
        client = cast("smtplib.SMTP", self._smtp_client)
        return answers(client.send_message(message, to_addrs=list(recipients)))


def answers(refused: Mapping[str, tuple[int, bytes]]) -> dict[str, str]:
    """Return what the server said of recipients, as text that begins with its code.

    Args:
        refused: the recipients, as ``smtplib`` reports them.
    """
    return {address: f"{code} {answer.decode('utf-8', 'replace')}" for address, (code, answer) in refused.items()}
