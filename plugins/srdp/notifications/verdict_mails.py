"""The mails about a verdict and the ingest that follows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from srdp.domain.casa.web_addresses import dag_address, dag_run_address
from srdp.domain.common.mail import Mail, render_mail, unfinished_key
from srdp.domain.qa.notes import render_plain
from srdp.domain.runs.ledger_records import (
    CachedMeasurementSet,
    CasaAttempt,
    FileOfIngest,
    Ingest,
    PipelineRun,
)
from srdp.domain.runs.pipeline_run import RunDirectory
from srdp.families import family_of
from srdp.hooks.ledger.outbox_records import ReindexRequest
from srdp.notifications.about_run import about_run, analysts, with_managers

if TYPE_CHECKING:
    from srdp.settings import Settings


def archived(
    settings: Settings,
    run: PipelineRun,
    ingest: Ingest,
    *,
    files: Sequence[FileOfIngest],
    calibration: str,
    status: str | None,
    directory: RunDirectory,
    cached: CachedMeasurementSet | None,
    superseded: Sequence[str],
    casa: CasaAttempt | None,
) -> Mail:
    """Return the mail that says that a run is archived: what, where, and how to restore it.

    Args:
        settings: recipients and addresses.
        run: the run.
        ingest: its ingest.
        files: what NGAS has of it, proved; none if nothing was put there.
        calibration: the archive's key of the calibration.
        status: the execution block's status in the archive; None if it was left as it is.
        directory: where the run's directory goes.
        cached: where its measurement set is kept; None if it is not.
        superseded: the siblings that are superseded by it.
        casa: the start of CASA that made it.
    """
    context = {
        "files": list(files),
        "calibration": calibration,
        "status": status,
        "directory": str(directory.root),
        "cached": cached,
        "superseded": list(superseded),
        "casa": casa,
        "notes": render_plain(ingest.verdict, when=ingest.claimed_at),
    }
    return _mail(settings, "archived", analysts(settings, family_of(run.kind)), run, ingest, context)


def ingest_failed(settings: Settings, run: PipelineRun, ingest: Ingest, *, step: str, cause: str) -> Mail:
    """Return the mail that says that an ingest failed, that nothing is lost, and what to do.

    Args:
        settings: recipients and addresses.
        run: the run.
        ingest: its ingest; each of its tries has a mail of its own.
        step: the name of the task that failed, as the grid shows it.
        cause: why, in one sentence.
    """
    context = {
        "step": step,
        "cause": cause,
        "withdraw_address": dag_address(settings.airflow_url, family_of(run.kind).withdraw_dag),
        "notes": render_plain(ingest.verdict, when=ingest.claimed_at),
    }
    mail = _mail(settings, "ingest_failed", _everybody(settings, run), run, ingest, context)
    return replace(mail, key=f"ingest_failed_{ingest.number}_{ingest.tries}")


def ingest_unfinished(
    settings: Settings, run: PipelineRun, ingest: Ingest, *, dag_run_id: str, step: str, cause: str, is_archived: bool
) -> Mail:
    """Return the mail about a run that is archived, or may be, although a step failed.

    Args:
        settings: recipients and addresses.
        run: the run.
        ingest: its ingest.
        dag_run_id: the DAG run with the failed step; it has one such mail.
        step: the name of the task that failed, as the grid shows it.
        cause: why, in one sentence.
        is_archived: False if the archive's database could not be asked whether it has the calibration.
    """
    context = {
        "step": step,
        "cause": cause,
        "is_archived": is_archived,
        "dag_run_address": dag_run_address(settings.airflow_url, ingest.dag_id, dag_run_id),
    }
    mail = _mail(settings, "ingest_unfinished", _everybody(settings, run), run, ingest, context)
    return replace(mail, key=unfinished_key(dag_run_id, is_archived=is_archived))


def qa_flag_changed(
    settings: Settings,
    run: PipelineRun,
    ingest: Ingest,
    *,
    number: int,
    calibration: str,
    by: str,
    changes: Sequence[str],
) -> Mail:
    """Return the mail that says that the verdict on an archived run was changed.

    Args:
        settings: recipients and addresses.
        run: the run.
        ingest: its ingest, with the new verdict.
        number: the number of the change, from 1.
        calibration: the archive's key of the calibration.
        by: who changed it.
        changes: what was changed, from what to what; a line each.
    """
    context = {
        "by": by,
        "changes": list(changes),
        "calibration": calibration,
        "notes": render_plain(ingest.verdict, when=ingest.claimed_at),
    }
    mail = _mail(settings, "qa_flag_changed", analysts(settings, family_of(run.kind)), run, ingest, context)
    return replace(mail, key=f"qa_flag_changed_{number}")


def verdict_withdrawn(
    settings: Settings, run: PipelineRun, ingest: Ingest, *, by: str, reason: str, orphans: Sequence[FileOfIngest]
) -> Mail:
    """Return the mail that says that a verdict was withdrawn, and what may be in NGAS without belonging to anything.

    Args:
        settings: recipients and addresses.
        run: the run.
        ingest: the ingest that is given up.
        by: who withdrew it.
        reason: the reason that a person gave.
        orphans: the files that may be in NGAS.
    """
    context = {"by": by, "reason": reason, "orphans": list(orphans)}
    mail = _mail(settings, "verdict_withdrawn", _everybody(settings, run), run, ingest, context)
    return replace(mail, key=f"verdict_withdrawn_{ingest.number}")


def reindex_not_taken(
    settings: Settings, run: PipelineRun, request: ReindexRequest, *, cause: str, for_all: bool
) -> Mail:
    """Return the mail that says that the archive has not taken the request to index a project again.

    Args:
        settings: recipients and addresses.
        run: the run that was archived.
        request: the request, as it was before it was made again.
        cause: why the archive did not take it, in one sentence.
        for_all: whether the cause concerns the requests of all projects.
    """
    context = about_run(settings, run) | {
        "project": request.project,
        "attempts": request.attempts + 1,
        "cause": cause,
        "for_all": for_all,
    }
    mail = render_mail(settings.templates, "reindex_not_taken", settings.operations_managers, context)
    return replace(mail, key=f"reindex_not_taken_{request.outbox_id}")


def _mail(
    settings: Settings, name: str, recipients: Sequence[str], run: PipelineRun, ingest: Ingest, context: dict[str, Any]
) -> Mail:
    facts = about_run(settings, run) | {
        "ingest": ingest,
        "verdict": ingest.verdict,
        "dag_address": dag_address(settings.airflow_url, ingest.dag_id),
        "dag_run_address": dag_run_address(settings.airflow_url, ingest.dag_id, ingest.dag_run_id),
    }
    return render_mail(settings.templates, name, recipients, facts | context)


def _everybody(settings: Settings, run: PipelineRun) -> tuple[str, ...]:
    return with_managers(settings, analysts(settings, family_of(run.kind)))
