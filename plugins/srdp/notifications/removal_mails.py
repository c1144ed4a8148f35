"""The mails about runs that failed QA, and about what could not be marked or removed."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from srdp.domain.casa.web_addresses import dag_address, dag_run_address
from srdp.domain.common.errors import SrdpError
from srdp.domain.common.mail import Mail, render_mail
from srdp.domain.runs.ledger_records import PipelineRun
from srdp.families import Family, family_of
from srdp.notifications.about_run import analysts, those_who_take_it_on

if TYPE_CHECKING:
    from srdp.settings import Settings


def rejected(
    settings: Settings,
    runs: Sequence[PipelineRun],
    *,
    reason: str,
    by: str,
    kept: Collection[str],
    dag_id: str,
    dag_run_id: str,
) -> Mail:
    """Return the mail that says that runs failed QA, why, and what becomes of them.

    Args:
        settings: recipients and addresses.
        runs: the runs that one decision rejects; at least one.
        reason: the reason that a person gave.
        by: who decided it.
        kept: the execution blocks whose status in the archive stays as it is.
        dag_id: the DAG in which it was decided.
        dag_run_id: the DAG run.
    """
    subjects = list(dict.fromkeys(run.subject for run in runs))
    family = family_of(runs[0].kind)
    context = {
        "family": family,
        "runs": list(runs),
        "what": runs[0].subject if len(subjects) == 1 else f"{len(subjects)} execution blocks of {runs[0].project}",
        "to_mark": [subject for subject in subjects if subject not in kept] if family.marks_failed else [],
        "kept": [subject for subject in subjects if subject in kept],
        "reason": reason,
        "by": by,
        "rerun_address": dag_address(settings.airflow_url, family.rerun_dag),
        "dag_run_address": dag_run_address(settings.airflow_url, dag_id, dag_run_id),
    }
    return render_mail(settings.templates, "rejected", analysts(settings, family), context)


def removal_incomplete(
    settings: Settings, family: Family, problems: Mapping[str, SrdpError], *, dag_id: str, dag_run_id: str
) -> Mail:
    """Return the mail that says that directories of rejected runs could not be removed, and why.

    A DAG run has one for each thing that there is to report: the same problems at the next try make no second mail.

    Args:
        settings: recipients and addresses.
        family: the family of the runs.
        problems: the error of each run.
        dag_id: the DAG that was to remove them.
        dag_run_id: the DAG run.
    """
    reasons = {run_id: str(error) for run_id, error in problems.items()}
    context = {
        "family": family,
        "problems": reasons,
        "dag_run_address": dag_run_address(settings.airflow_url, dag_id, dag_run_id),
    }
    mail = render_mail(settings.templates, "removal_incomplete", those_who_take_it_on(settings, family), context)
    about = hashlib.sha256("\n".join(f"{run_id} {why}" for run_id, why in sorted(reasons.items())).encode()).hexdigest()
    return replace(mail, key=f"removal_incomplete_{about[:16]}")


def mark_incomplete(
    settings: Settings, runs: Sequence[PipelineRun], *, cause: str, dag_id: str, dag_run_id: str
) -> Mail:
    """Return the mail that says which execution blocks the archive does not know to have failed QA, and what to do.

    A DAG run has one for each thing that there is to report, as of :func:`removal_incomplete`.

    Args:
        settings: recipients and addresses.
        runs: the runs that failed QA whose execution blocks are not marked; at least one.
        cause: why, in one sentence.
        dag_id: the DAG that was to mark them.
        dag_run_id: the DAG run.
    """
    subjects = list(dict.fromkeys(run.subject for run in runs))
    family = family_of(runs[0].kind)
    context = {
        "family": family,
        "runs": list(runs),
        "what": subjects[0] if len(subjects) == 1 else f"{len(subjects)} execution blocks of {runs[0].project}",
        "cause": cause,
        "fail_address": dag_address(settings.airflow_url, dag_id),
        "dag_run_address": dag_run_address(settings.airflow_url, dag_id, dag_run_id),
    }
    mail = render_mail(settings.templates, "mark_incomplete", settings.data_analysts, context)
    about = hashlib.sha256("\n".join((cause, *(run.pipeline_run_id for run in runs))).encode()).hexdigest()
    return replace(mail, key=f"mark_incomplete_{about[:16]}")
