"""The mail to the operations managers about a mail that was given up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from srdp.domain.common.mail import Mail, render_mail

if TYPE_CHECKING:
    from srdp.hooks.ledger.outbox_records import QueuedMail
    from srdp.settings import Settings

_KEY: Final = "mail_given_up"


def mail_given_up(settings: Settings, mail: QueuedMail, given_up: Mapping[str, str]) -> tuple[Mail, ...]:
    """Return the mail that says which recipients a mail does not reach, and why; none if it would be of no use.

    Args:
        settings: recipients.
        mail: the mail that is given up for somebody.
        given_up: the recipients, each with the reason.
    """
    managers = [address for address in settings.operations_managers if address not in given_up]
    # No mail is sent about such a mail: that would never end.
    if not managers or mail.key.startswith(_KEY):
        return ()
    context = {"mail": mail, "given_up": dict(given_up), "others": len(mail.recipients) - len(given_up)}
    mail_of_it = render_mail(settings.templates, _KEY, managers, context)
    return (replace(mail_of_it, key=f"{_KEY}_{mail.outbox_id}_{mail.attempts}"),)
