"""The mails of an imaging's review: who has it, who has waited for it, and that it failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from srdp.domain.common.mail import Mail, render_mail
from srdp.domain.runs.assignment import REMINDER_KEY, Assignment, WaitingRun
from srdp.domain.runs.states import RunState
from srdp.notifications.about_run import about_run, directory_of, next_actions, weblog_of, with_managers
from srdp.notifications.run_mails import scores_and_products

if TYPE_CHECKING:
    from srdp.domain.runs.identifiers import PipelineRunId
    from srdp.domain.runs.ledger_records import PipelineRun
    from srdp.settings import Settings


def imaging_rejected(
    settings: Settings,
    run: PipelineRun,
    *,
    reason: str,
    by: str,
    left: Sequence[PipelineRunId] = (),
    assigned_to: str = "",
) -> list[Mail]:
    """Return the mails that say that images failed QA: to the operations managers and, if that is set, to the user.

    Args:
        settings: recipients and addresses, and whether the requester is notified.
        run: the run that is rejected, as it was before; the requester is notified only if it waited for QA.
        reason: the reason that a person gave.
        by: who decided it.
        left: other versions of the request that are archived or may be; the requester is notified only if there is
            none.
        assigned_to: to whom the review was assigned, if that is somebody else; that person is notified too.
    """
    context = about_run(settings, run) | next_actions(settings, run)
    # Of a run that never had images to review, nobody is notified that they failed.
    reviewed = run.state is RunState.AWAITING_QA
    telling = reviewed and not left and settings.tell_who_asked
    user = context["request"].asked_by_email if context["request"] and telling else None
    outside = user is not None and not settings.may_be_mailed(user)
    context |= {"reason": reason, "by": by, "requester": user, "outside": outside, "reviewed": reviewed, "left": left}
    context |= {"assigned_to": assigned_to}
    those = with_managers(settings, (assigned_to,) if assigned_to else ())
    mails = [render_mail(settings.templates, "imaging_rejected", those, context)]
    if user:  # also if it does not go there: the ledger says so
        mails.append(render_mail(settings.templates, "imaging_rejected_user", (user,), context))
    return mails


def assignment_mails(
    settings: Settings, run: PipelineRun, assignment: Assignment, former: Assignment | None
) -> list[Mail]:
    """Return the mails that say who has a run now: one to the new reviewer, and one to the former.

    Args:
        settings: recipients and addresses.
        run: the run.
        assignment: who has it now.
        former: who had it before; None if nobody had.
    """
    directory = directory_of(settings, run)
    context = about_run(settings, run) | next_actions(settings, run)
    context |= {
        "assignment": assignment,
        "former": former,
        "directory": directory and str(directory.root),
        "weblog_address": weblog_of(settings, directory),
        **scores_and_products(run, directory),
    }
    notified = [("qa_assigned", assignment.data_analyst)]
    if former is not None:
        notified.append(("qa_reassigned", former.data_analyst))
    return [
        replace(
            render_mail(settings.templates, name, (address,), context),
            # Each assignment is announced once.
            key=f"{name}_{assignment.number}",
        )
        for name, address in notified
    ]


def assignment_reminder(settings: Settings, waiting: WaitingRun, now: datetime) -> Mail:
    """Return the mail that says that a run still waits: for a reviewer, or for the reviewer's verdict.

    Args:
        settings: recipients and addresses.
        waiting: the run.
        now: the time (UTC).
    """
    run, assignment = waiting.run, waiting.assignment
    context = about_run(settings, run) | next_actions(settings, run)
    context |= {
        "assignment": assignment,
        "waited": _in_words(now - waiting.since),
        "weblog_address": weblog_of(settings, directory_of(settings, run)),
    }
    reviewer = (assignment.data_analyst,) if assignment else ()
    mail = render_mail(settings.templates, "assignment_reminder", with_managers(settings, reviewer), context)
    number = assignment.number if assignment else 0
    return replace(mail, key=f"{REMINDER_KEY}{number}_{waiting.reminders + 1}")


def _in_words(time: timedelta) -> str:
    hours = round(time.total_seconds() / 3600)
    if hours >= 48:
        return f"{hours // 24} days"
    return "1 hour" if hours == 1 else f"{hours} hours" if hours else f"{int(time.total_seconds() // 60)} minutes"
