"""The mail about damaged copies in NGAS."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from srdp.domain.common.mail import Mail, render_mail
from srdp.domain.ngas.copies import DamagedCopy
from srdp.domain.runs.ledger_records import PipelineRun
from srdp.notifications.about_run import about_run

if TYPE_CHECKING:
    from srdp.settings import Settings


def copy_damaged(
    settings: Settings, run: PipelineRun, copies: Sequence[DamagedCopy], *, found_by: str, key: str
) -> Mail:
    """Return the mail to the operators that names each damaged copy, and what is held up until it is repaired.

    Args:
        settings: recipients and addresses.
        run: the run whose files they are copies of.
        copies: the copies; at least one.
        found_by: what was being done: ``fetch``, ``ingest`` or ``removal``.
        key: the mail's key.
    """
    context = {
        **about_run(settings, run),
        "copies": list(copies),
        "found_by": found_by,
        "one_is_enough": settings.one_good_copy_is_enough,
    }
    return replace(render_mail(settings.templates, "copy_damaged", settings.operations_managers, context), key=key)
