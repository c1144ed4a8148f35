"""The mails to data analysts and operations managers about what has expired and what will, or why that is not known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from srdp.domain.casa.web_addresses import dag_address, dag_run_address
from srdp.domain.common.mail import Mail, render_mail
from srdp.domain.retention.expiry import ExpiryReport, gigabytes

if TYPE_CHECKING:
    from srdp.settings import Settings

# What a mail names of each sort; the log and the ledger have all.
_SHOWN = 50
# And what one names that asks: who answers has to see all of it.
_LISTED = 1000


def expiry_report(settings: Settings, report: ExpiryReport, *, dag_id: str, dag_run_id: str) -> Mail:
    """Return the mail about what was removed, could not be removed, and will be within a week.

    Args:
        settings: recipients and addresses.
        report: what to report.
        dag_id: the DAG.
        dag_run_id: the DAG run.
    """
    context = {
        "removed": len(report.removed),
        "freed": gigabytes(sum(thing.size_bytes for thing in report.removed)),
        "failed": len(report.failed),
        "coming": len(report.coming),
        "problems": report.problems,
        "unknown_entries": report.unknown_entries[:_SHOWN],
        "more_unknown_entries": len(report.unknown_entries[_SHOWN:]),
        "sections": [(heading, things[:_SHOWN], len(things[_SHOWN:])) for heading, things in report.sections],
        "retention": str(settings.retention),
        "dag_address": dag_address(settings.airflow_url, dag_id),
        "dag_run_address": dag_run_address(settings.airflow_url, dag_id, dag_run_id),
    }
    return render_mail(settings.templates, "expiry_report", _recipients(settings), context)


def expiry_asks(settings: Settings, report: ExpiryReport, *, dag_id: str) -> Mail:
    """Return the mail that asks to confirm a large or recent removal; each list has one.

    Args:
        settings: recipients and addresses.
        report: what has expired, and why it is not removed without asking.
        dag_id: the DAG.
    """
    context = {
        "number": len(report.held),
        "why": report.why_held,
        "things": report.held[:_LISTED],
        "more": len(report.held[_LISTED:]),
        "retention": str(settings.retention),
        "dag_address": dag_address(settings.airflow_url, dag_id),
    }
    return render_mail(settings.templates, "expiry_asks", settings.operations_managers, context)


def expiry_not_done(settings: Settings, *, cause: str, dag_id: str, dag_run_id: str) -> Mail:
    """Return the mail that says that the expired runs could not be determined; a DAG run has one.

    Args:
        settings: recipients and addresses.
        cause: why, in one sentence.
        dag_id: the DAG.
        dag_run_id: the DAG run.
    """
    context = {
        "cause": cause,
        "dag_address": dag_address(settings.airflow_url, dag_id),
        "dag_run_address": dag_run_address(settings.airflow_url, dag_id, dag_run_id),
    }
    return render_mail(settings.templates, "expiry_not_done", _recipients(settings), context)


def _recipients(settings: Settings) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*settings.data_analysts, *settings.operations_managers)))
