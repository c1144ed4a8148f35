"""The mail that says that a step waits for something that is away, and continues by itself."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from srdp.domain.casa.web_addresses import dag_run_address
from srdp.domain.common.mail import Mail, one_line, render_mail
from srdp.families import family_of
from srdp.notifications.about_run import analysts, with_managers

if TYPE_CHECKING:
    from srdp.domain.runs.ledger_records import PipelineRun
    from srdp.settings import Settings

_LONGEST_SUBJECT = 128


def step_waits(
    settings: Settings,
    run: PipelineRun | None,
    *,
    subject: str,
    dag_id: str,
    dag_run_id: str,
    step: str,
    cause: str,
    since: datetime,
    until: datetime,
    for_analysts: bool,
) -> Mail:
    """Return the mail about a wait; each wait has one.

    Args:
        settings: recipients and addresses.
        run: the run that the step works on; None if there is none yet.
        subject: what is worked on, as it was asked; it may be hostile.
        dag_id: the DAG.
        dag_run_id: the DAG run.
        step: the name of the task that waits, as the grid shows it.
        cause: what it waits for, in one sentence.
        since: since when.
        until: when it gives up.
        for_analysts: whether the data analysts are notified besides the operations managers.
    """
    context = {
        "subject": run.subject if run else one_line(subject)[:_LONGEST_SUBJECT],
        "pipeline_run_id": run and run.pipeline_run_id,
        "step": step,
        "cause": cause,
        "since": since,
        "until": until,
        "dag_run_address": dag_run_address(settings.airflow_url, dag_id, dag_run_id),
    }
    those = analysts(settings, family_of(run.kind)) if run and for_analysts else ()
    mail = render_mail(settings.templates, "step_waits", with_managers(settings, those), context)
    wait = hashlib.sha256(f"{dag_id} {dag_run_id} {step} {since.isoformat()}".encode()).hexdigest()[:16]
    return replace(mail, key=f"step_waits_{wait}")
