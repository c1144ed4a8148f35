"""The mails to data analysts about a run: what each says, and who gets it."""

from __future__ import annotations

import logging
import stat
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from srdp.domain.analyst_files.names import PROCESSING_REQUEST, REQUEST_AS_GIVEN
from srdp.domain.archiving.products import is_fits
from srdp.domain.casa.aqua_report import band
from srdp.domain.casa.web_addresses import (
    audit_address,
    dag_address,
    dag_run_address,
    run_directory_address,
)
from srdp.domain.common.mail import Mail, one_line, render_mail
from srdp.domain.events.names import EventName
from srdp.domain.files.shared_folders import list_shared, look_at
from srdp.domain.files.storage import LocalFilesError
from srdp.domain.files.trusted_root import UnsafeFile
from srdp.domain.runs.ledger_records import CasaAttempt, Event, PipelineRun, submitted_at_opening, warned_at_opening
from srdp.domain.runs.pipeline_run import RunDirectory, RunDirectoryMissing, find_run_directory
from srdp.families import family_of, family_of_dag
from srdp.hooks.ledger import Ledger
from srdp.notifications.about_run import (
    about_run,
    analysts,
    kept_reviewer,
    next_actions,
    those_who_take_it_on,
    weblog_of,
    with_managers,
)

if TYPE_CHECKING:
    from srdp.domain.casa.end_report import CasaEnd
    from srdp.settings import Settings

log = logging.getLogger(__name__)

# A mail is no inventory; what it leaves out is in the run's directory.
_MOST_PRODUCTS = 100
# The longest e-mail address that the form takes.
_LONGEST_ASKED = 254


def run_has_begun(settings: Settings, run: PipelineRun, events: Sequence[Event] = ()) -> Mail:
    """Return the mail that says that a run has begun; that about a rerun says with which files.

    Args:
        settings: recipients and addresses.
        run: the run.
        events: what happened to it.
    """
    recipients = analysts(settings, family_of(run.kind))
    context = _links(settings, run) | _files(run, events)
    return render_mail(settings.templates, "run_has_begun", recipients, context)


def ready_for_review(settings: Settings, ledger: Ledger, run: PipelineRun, directory: RunDirectory) -> Mail:
    """Return the mail that says that a run waits in the QA area; its subject says when the QA scores are bad.

    It names the DAGs that are triggered next, or the page on which it is assigned. That about a rerun shows the former
    run beside it, and the files that were taken; that about images shows what was asked for, and the products.

    Args:
        settings: recipients and addresses.
        ledger: where the scores, the warnings and CASA's version were recorded.
        run: the run.
        directory: its directory in the QA area.
    """
    recorded = ledger.runs.get(run.pipeline_run_id)
    events = ledger.events.of_run(run.pipeline_run_id)
    context = {
        "casa": _last(ledger.casa.of_run(run.pipeline_run_id)),
        "warnings": _warnings(events),
        "directory": str(directory.root),
        "weblog_address": weblog_of(settings, directory),
        "former": _former(settings, ledger, recorded),
        "reviewer": kept_reviewer(settings, Ledger(settings), recorded),
    }
    recipients = those_who_take_it_on(settings, family_of(run.kind))
    context |= _files(run, events)
    context |= _links(settings, run) | next_actions(settings, run) | scores_and_products(recorded, directory)
    return render_mail(settings.templates, "ready_for_review", recipients, context)


def calibration_failed(
    settings: Settings,
    run: PipelineRun,
    *,
    step: str,
    cause: str,
    directory: RunDirectory,
    cancelled: bool = False,
    casa: CasaAttempt | None = None,
    said: CasaEnd | None = None,
    errorexit: str | None = None,
    waiting: Sequence[PipelineRun] = (),
) -> Mail:
    """Return the mail that says that a run failed or was cancelled, why, and what to do.

    That about images shows the scores and products that there are, as that about images that are ready does.

    Args:
        settings: recipients and addresses.
        run: the run.
        step: the name of the task that failed, as the grid shows it.
        cause: why, in one sentence.
        directory: the run's directory at its present place.
        cancelled: whether it was cancelled rather than failed.
        casa: the last start of CASA.
        said: what CASA has written about its end.
        errorexit: the name of the file by which the pipeline says that it failed.
        waiting: other versions of the request that await their verdict.
    """
    context = {
        "step": step,
        "cause": cause,
        "cancelled": cancelled,
        "casa": casa,
        "said": said,
        "errorexit": errorexit,
        "waiting": list(waiting),
        "audit_address": audit_address(settings.airflow_url, run.dag_id, run.dag_run_id),
        "directory": str(directory.root),
        "weblog_address": weblog_of(settings, directory),
    }
    recipients = those_who_take_it_on(settings, family_of(run.kind))
    context |= _links(settings, run) | next_actions(settings, run) | scores_and_products(run, directory)
    return render_mail(settings.templates, "calibration_failed", recipients, context)


def run_not_started(
    settings: Settings,
    *,
    subject: str,
    started_by: str,
    asked: Sequence[str] = (),
    dag_id: str,
    dag_name: str,
    dag_run_id: str,
    step: str,
    cause: str,
) -> Mail:
    """Return the mail that says that a run which another DAG asked for could not be opened.

    Args:
        settings: recipients and addresses.
        subject: what was asked for, as it was asked; it may be hostile.
        started_by: who or what triggered the DAG run.
        asked: the requester and that person's address, as far as they were given; they may be hostile.
        dag_id: the DAG, which opens runs.
        dag_name: the DAG as people know it.
        dag_run_id: the DAG run.
        step: the name of the task that failed, as the grid shows it.
        cause: why, in one sentence.
    """
    family = family_of_dag(dag_id)
    context = {
        "family": family,
        "subject": one_line(subject)[:128],
        "started_by": one_line(started_by),
        "asked_by": ", ".join(one_line(each)[:_LONGEST_ASKED] for each in asked),
        "dag_name": dag_name,
        "step": step,
        "cause": cause,
        "dag_address": dag_address(settings.airflow_url, dag_id),
        "dag_run_address": dag_run_address(settings.airflow_url, dag_id, dag_run_id),
    }
    recipients = with_managers(settings, those_who_take_it_on(settings, family))
    return render_mail(settings.templates, "run_not_started", recipients, context)


def _files(run: PipelineRun, events: Sequence[Event]) -> dict[str, Any]:
    """Return the files of a rerun, and whether its PPR was adapted to them; nothing of a first run."""
    given = submitted_at_opening(events) if run.former_run is not None else []
    names = {each["name"] for each in given}
    return {
        "files": [{**each, "source": one_line(each["source"])} for each in given],
        "adapted": REQUEST_AS_GIVEN in names,
        "request_given": PROCESSING_REQUEST in names,
    }


def _links(settings: Settings, run: PipelineRun) -> dict[str, Any]:
    address = dag_run_address(settings.airflow_url, run.dag_id, run.dag_run_id)
    return about_run(settings, run) | {"dag_run_address": address}


def _former(settings: Settings, ledger: Ledger, run: PipelineRun) -> dict[str, object] | None:
    """Return the run to compare a rerun with, and its addresses; None for a first run."""
    if run.former_run is None:
        return None
    try:
        directory = find_run_directory(settings.areas, run.former_run)
    except (RunDirectoryMissing, LocalFilesError):
        directory = None
    return {
        "run": ledger.runs.get(run.former_run),
        "directory": directory and str(directory.root),
        "run_directory_address": directory and run_directory_address(settings.run_files_url, run.former_run),
        "weblog_address": weblog_of(settings, directory),
    }


def scores_and_products(run: PipelineRun, directory: RunDirectory | None) -> dict[str, Any]:
    """Return what a mail with the scores and the products of a run uses.

    Args:
        run: the run.
        directory: its directory, from where it is now; None if it is nowhere.
    """
    return {
        "band": band(run.lowest_score),
        "lowest": run.lowest_score,
        "scores": _score_rows(run.scores),
        "products": _products(directory) if directory else [],
        "most_products": _MOST_PRODUCTS,
    }


def _products(directory: RunDirectory) -> list[tuple[str, str]]:
    """Return what is in ``products/``, FITS first, each with its size for people; none if it cannot be read."""
    found = []
    try:
        for path in list_shared(directory.root, directory.products):
            facts = look_at(directory.root, path)
            if facts is not None and stat.S_ISREG(facts.st_mode):
                found.append((path.name, facts.st_size))
    except (UnsafeFile, LocalFilesError) as error:
        # How the run ended must be reported all the same.
        log.warning("The products of %s are not listed in the mail: %s", directory.pipeline_run_id, error)
    found.sort(key=lambda product: (not is_fits(product[0]), product[0]))
    return [(name, _in_units(size)) for name, size in found]


def _in_units(size_bytes: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size_bytes < 1000:
            return f"{size_bytes:.0f} {unit}" if unit == "bytes" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1000
    return f"{size_bytes:.1f} TB"


def _last(attempts: Sequence[CasaAttempt]) -> CasaAttempt | None:
    return attempts[-1] if attempts else None


def _warnings(events: Sequence[Event]) -> list[str]:
    """Return what a run was opened with a warning of, and what the last judgement of it warns of."""
    judged = [event for event in events if event.event == EventName.JUDGED]
    return [
        *warned_at_opening(events),
        *(str(warning) for warning in (judged[-1].details.get("warnings", ()) if judged else ())),
    ]


def _score_rows(scores: object) -> list[dict[str, Any]]:
    """Return the stages' scores as they were recorded, as rows of a table."""
    rows = scores if isinstance(scores, Iterable) and not isinstance(scores, (str, Mapping)) else ()
    return [
        {
            "stage": row.get("stage") or "",
            "name": row.get("name", ""),
            "score": row.get("score"),
            "band": band(row.get("score")),
            "reason": row.get("reason") or "",
        }
        for row in rows
        if isinstance(row, Mapping)
    ]
