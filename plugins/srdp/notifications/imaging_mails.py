"""The mails of an imaging's review: who has it, who has waited for it, and that it failed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from srdp.domain.mail import Mail, render_mail
from srdp.domain.web_addresses import dag_address
from srdp.notifications.about_run import about_run

if TYPE_CHECKING:
    from srdp.domain.ledger_records import PipelineRun
    from srdp.settings import Settings


def imaging_rejected(settings: Settings, run: PipelineRun, *, reason: str, by: str) -> list[Mail]:
    """Returns the mails that say that images failed QA: to the operations managers and, if that is set, to the user.

    Args:
        settings: recipients and addresses, and whether who asked is told.
        run: the run that is rejected.
        reason: why, as a person said it.
        by: who decided it.
    """
    context = about_run(settings, run)
    user = context["request"].asked_by_email if context["request"] and settings.tell_who_asked else None
    rerun = dag_address(settings.airflow_url, context["family"].rerun_dag)
    context |= {"reason": reason, "by": by, "told": user, "rerun_address": rerun}
    mails = [render_mail(settings.templates, "imaging_rejected", settings.operations_managers, context)]
    if user:
        mails.append(render_mail(settings.templates, "imaging_rejected_user", (user,), context))
    return mails
