"""What every mail about a run says, and who gets it: this is where a mail's family shows."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from srdp.domain.casa.web_addresses import (
    answer_address,
    dag_address,
    newest_weblog,
    run_directory_address,
    weblog_address,
)
from srdp.domain.common.authors import is_same_person, on_behalf
from srdp.domain.common.errors import InvalidInput
from srdp.domain.files.storage import LocalFilesError
from srdp.domain.files.trusted_root import UnsafeFile
from srdp.domain.imaging.request import ImagingRequest
from srdp.domain.runs.assignment import QUESTION_TASK, question_dag_run_id
from srdp.domain.runs.pipeline_run import RunDirectory, RunDirectoryMissing, find_run_directory
from srdp.families import Family, family_of

if TYPE_CHECKING:
    from srdp.domain.runs.assignment import Assignment
    from srdp.domain.runs.ledger_records import PipelineRun
    from srdp.hooks.ledger import Ledger
    from srdp.settings import Settings

log = logging.getLogger(__name__)


def about_run(settings: Settings, run: PipelineRun) -> dict[str, Any]:
    """Return what the frame of every mail about a run uses.

    Args:
        settings: addresses.
        run: the run.
    """
    family = family_of(run.kind)
    request = imaging_request_of(run)
    return {
        "run": run,
        "family": family,
        "subject_name": _capital(family.subject.removeprefix(family.label).strip()),
        "request": request,
        "asked_by": _person(request) if request else run.requested_by,
        "run_directory_address": run_directory_address(settings.run_files_url, run.pipeline_run_id),
    }


def imaging_request_of(run: PipelineRun) -> ImagingRequest | None:
    """Return what a user asked for; None of a calibration, and if what the ledger has of it cannot be read.

    Args:
        run: the run.
    """
    # A mail must not fail because of what was asked by the rules of another release.
    with suppress(InvalidInput):
        return None if run.asked is None else ImagingRequest.from_json(run.asked)
    return None


def next_actions(settings: Settings, run: PipelineRun) -> dict[str, Any]:
    """Return the addresses at which people continue with a run: verdict, rerun and, where there is one, assignment.

    Args:
        settings: addresses, and who may be assigned to.
        run: the run.
    """
    family = family_of(run.kind)
    addresses = {
        "pass_address": dag_address(settings.airflow_url, family.ingest_dag),
        "fail_address": dag_address(settings.airflow_url, family.fail_dag),
        "rerun_address": dag_address(settings.airflow_url, family.rerun_dag),
    }
    if family.assign_dag is None:
        return addresses
    question = (settings.airflow_url, family.assign_dag, question_dag_run_id(run.pipeline_run_id), QUESTION_TASK)
    return addresses | {
        "assign_address": answer_address(*question),
        "choices": [(analyst, answer_address(*question, analyst)) for analyst in analysts(settings, family)],
        "reassign_address": dag_address(settings.airflow_url, family.assign_dag),
    }


def kept_reviewer(settings: Settings, ledger: Ledger, run: PipelineRun) -> Assignment | None:
    """Return who keeps the review of a rerun: who had the version before it, if the settings still name that person.

    Args:
        settings: the data analysts.
        ledger: the assignments.
        run: the run; of a first run, and of calibrations, nobody has the review.
    """
    family = family_of(run.kind)
    if not family.is_assigned:
        return None
    before = ledger.assignments.reviewer_before(run)
    return before if before is not None and before.data_analyst in analysts(settings, family) else None


def directory_of(settings: Settings, run: PipelineRun) -> RunDirectory | None:
    """Return a run's directory, from where it is now; None if it is nowhere.

    Args:
        settings: the areas.
        run: the run.
    """
    with suppress(RunDirectoryMissing, LocalFilesError):
        return find_run_directory(settings.areas, run.pipeline_run_id)
    return None


def weblog_of(settings: Settings, directory: RunDirectory | None) -> str | None:
    """Return the address of a run's newest weblog; None if there is none.

    Args:
        settings: addresses.
        directory: the run's directory, from where it is now; None if it is nowhere.
    """
    if directory is None:
        return None
    try:
        weblog = newest_weblog(directory)
    except (UnsafeFile, LocalFilesError) as error:
        # How the run ended must be reported all the same.
        log.warning("No weblog of %s is named in the mail: %s", directory.pipeline_run_id, error)
        return None
    return weblog_address(settings.weblog_url, directory.pipeline_run_id, weblog) if weblog else None


def analysts(settings: Settings, family: Family) -> tuple[str, ...]:
    """Return who reviews the runs of a family.

    Args:
        settings: the addresses.
        family: the family.
    """
    return tuple(getattr(settings, family.reviewers))


def those_who_take_it_on(settings: Settings, family: Family) -> tuple[str, ...]:
    """Return who is notified of a run that has ended: those who assign its QA, or all analysts.

    Args:
        settings: the addresses.
        family: the family.
    """
    return tuple(getattr(settings, family.result_recipients))


def with_managers(settings: Settings, addresses: tuple[str, ...]) -> tuple[str, ...]:
    """Return addresses, and those of the operations managers.

    Args:
        settings: the addresses.
        addresses: who else is notified.
    """
    return tuple(dict.fromkeys((*addresses, *settings.operations_managers)))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _person(request: ImagingRequest) -> str:
    named = f"{request.asked_by} <{request.asked_by_email}>" if request.asked_by_email else request.asked_by
    if not request.requested_by or is_same_person(request.requested_by, request.asked_by):
        return named
    return on_behalf(request.requested_by, named)
