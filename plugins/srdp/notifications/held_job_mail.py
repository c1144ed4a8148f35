"""The mail that says that a batch system holds a run's CASA job until a person releases it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from srdp.domain.casa.web_addresses import dag_run_address
from srdp.domain.common.mail import Mail, render_mail
from srdp.families import family_of
from srdp.notifications.about_run import about_run, analysts, with_managers

if TYPE_CHECKING:
    from srdp.domain.runs.ledger_records import PipelineRun
    from srdp.settings import Settings


def job_held(settings: Settings, run: PipelineRun, *, job_name: str, cause: str, until: datetime, hold: int) -> Mail:
    """Return the mail about a hold to the data analysts and the operations managers.

    Args:
        settings: recipients and addresses.
        run: the run.
        job_name: the job's name in the batch system.
        cause: what the batch system says, with the command that releases the job.
        until: when the job is cancelled if it has not begun.
        hold: which of the job's holds this is.
    """
    context = about_run(settings, run) | {
        "job_name": job_name,
        "cause": cause,
        "until": until,
        "dag_run_address": dag_run_address(settings.airflow_url, run.dag_id, run.dag_run_id),
    }
    recipients = with_managers(settings, analysts(settings, family_of(run.kind)))
    return replace(render_mail(settings.templates, "casa_job_held", recipients, context), key=f"casa_job_held_{hold}")
