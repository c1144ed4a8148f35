"""What follows from a failed QA: the execution blocks' status in the archive, and the directories."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from srdp.domain.common.errors import Refused, ServiceUnavailable, SrdpError
from srdp.domain.runs.execution_block import DO_NOT_CALIBRATE
from srdp.domain.runs.identifiers import PipelineRunId, locator, pipeline_run_id
from srdp.domain.runs.ledger_records import Event, PipelineRun
from srdp.domain.runs.states import RunState, remedy_for
from srdp.families import family_of, family_of_run
from srdp.hooks.archive import ArchiveHook
from srdp.hooks.ledger import Ledger
from srdp.notifications.outbox import send_due_mails
from srdp.notifications.removal_mails import mark_incomplete, removal_incomplete
from srdp.services.context import Origin, SiteContext
from srdp.services.removal.remove_run import OwnFilesNamed, remove_run

log = logging.getLogger(__name__)

_MOST_PROBLEMS = 3


class RejectedRunsLeft(SrdpError):
    """Something of the runs that failed QA could not be removed; each run is reported with its reason."""


class NotAllMarked(SrdpError):
    """The archive refused to mark an execution block; all others are marked."""


def mark_is_due(ledger: Ledger, run: PipelineRun) -> bool:
    """Whether the archive must still be updated that a run failed QA; it may be cleaned up meanwhile.

    Args:
        ledger: the ledger.
        run: a run that failed QA.
    """
    if not family_of(run.kind).marks_failed:
        return False
    return not ledger.marks.is_settled(run.pipeline_run_id)


def archived_runs_of_request(ledger: Ledger, run: PipelineRun) -> list[PipelineRunId]:
    """Return the runs of a run's request that are in the archive.

    Args:
        ledger: the ledger.
        run: the run.
    """
    return ledger.runs.archived_of_request(run.kind, run.subject, run.request_digest)


def rejected_runs(ledger: Ledger, run_ids: Sequence[str]) -> list[tuple[PipelineRun, Event]]:
    """Return runs and the decisions on them, as the ledger has them; nobody else's word is taken.

    Args:
        ledger: the ledger.
        run_ids: the runs' IDs.

    Raises:
        Refused: a run did not fail QA.
    """
    runs = [ledger.runs.get(pipeline_run_id(run_id)) for run_id in run_ids]
    decisions = ledger.events.rejections([run.pipeline_run_id for run in runs])
    found = []
    for run in runs:
        decision = decisions.get(run.pipeline_run_id)
        if decision is None:
            raise Refused(f"{run.pipeline_run_id} did not fail QA: it is {run.state}; {remedy_for(run.state)}.")
        found.append((run, decision))
    return found


def mark_do_not_calibrate(site: SiteContext, run_ids: Sequence[str]) -> None:
    """Mark the execution blocks of runs that failed QA in the archive; may be repeated.

    Args:
        site: settings and ledger.
        run_ids: the runs' IDs.

    Raises:
        NotAllMarked: the archive refused one; the others are marked.
        ServiceUnavailable: the archive or the ledger cannot be reached.
    """
    ledger, archive = site.ledger, ArchiveHook(site.settings)
    refused: list[str] = []
    for run, decision in rejected_runs(ledger, run_ids):
        if not mark_is_due(ledger, run):
            # It may have been set to something else by hand since.
            log.info("The archive was updated about %s before.", run.pipeline_run_id)
            continue
        try:
            _mark(ledger, archive, run, decision)
        except ServiceUnavailable:
            raise
        except SrdpError as error:
            log.error("%s", error)  # noqa: TRY400  a sentence, not a traceback
            refused.append(str(error))
    if refused:
        raise NotAllMarked(_first_of(refused))


def _first_of(sentences: Sequence[str]) -> str:
    reported = " ".join(sentences[:_MOST_PROBLEMS])
    further = len(sentences) - _MOST_PROBLEMS
    return f"{reported} And {further} more, which the log names." if further > 0 else reported


def _mark(ledger: Ledger, archive: ArchiveHook, run: PipelineRun, decision: Event) -> None:
    kept = _why_status_is_kept(ledger, run, decision)
    if kept:
        ledger.marks.record_kept(run.pipeline_run_id, kept)
        log.warning("%s keeps its status in the archive: %s", run.subject, kept)
        return
    archive.set_calibration_status(locator(run.locator), DO_NOT_CALIBRATE)
    ledger.marks.record_marked(run.pipeline_run_id)
    log.info("%s is marked %s in the archive", run.subject, DO_NOT_CALIBRATE)


def report_unmarked(site: SiteContext, origin: Origin, run_ids: Sequence[str], *, cause: str) -> None:
    """Queue the mail that says which execution blocks could not be marked; may be repeated.

    Args:
        site: settings and ledger.
        origin: the DAG run.
        run_ids: the runs' IDs; none if nothing was decided.
        cause: why, in one sentence.
    """
    settings, ledger = site.settings, site.ledger
    unmarked = [run for run, _ in rejected_runs(ledger, run_ids) if mark_is_due(ledger, run)]
    if not unmarked:
        log.info("No mark is missing.")
        return
    mail = mark_incomplete(settings, unmarked, cause=cause, dag_id=origin.dag_id, dag_run_id=origin.dag_run_id)
    ledger.outbox.queue_mail_without_run(origin.dag_id, origin.dag_run_id, mail)
    log.info("%s", send_due_mails(ledger, settings))


def remove_rejected_runs(site: SiteContext, origin: Origin, run_ids: Sequence[str]) -> None:
    """Remove the directories of runs that failed QA; may be repeated.

    Args:
        site: settings and ledger.
        origin: the DAG run.
        run_ids: the runs' IDs.

    Raises:
        RejectedRunsLeft: something could not be removed.
        ServiceUnavailable: an area or the ledger cannot be reached.
    """
    problems: dict[str, SrdpError] = {}
    for run, _ in rejected_runs(site.ledger, run_ids):
        try:
            remove_run(site.of_run(run))
        except ServiceUnavailable:
            raise
        except SrdpError as error:
            log.error("%s", error)  # noqa: TRY400  a sentence, not a traceback
            problems[run.pipeline_run_id] = error
    if not problems:
        return
    _report_problems(site, origin, problems)
    left = [str(error) for error in problems.values() if not isinstance(error, OwnFilesNamed)]
    if left:  # the others go with the daily expiry
        raise RejectedRunsLeft(_first_of(left))


def report_not_removed(site: SiteContext, origin: Origin, run_ids: Sequence[str], error: SrdpError) -> None:
    """Queue the mail that says that nothing more is removed of runs that failed QA.

    Args:
        site: settings and ledger.
        origin: the DAG run.
        run_ids: the runs' IDs.
        error: why.
    """
    left = [run for run, _ in rejected_runs(site.ledger, run_ids) if run.state is not RunState.CLEANED]
    _report_problems(site, origin, {run.pipeline_run_id: error for run in left})


def _report_problems(site: SiteContext, origin: Origin, problems: Mapping[str, SrdpError]) -> None:
    if not problems:
        return
    # They are all of one family: so were those that the decision was on.
    family = family_of_run(pipeline_run_id(next(iter(problems))))
    mail = removal_incomplete(site.settings, family, problems, dag_id=origin.dag_id, dag_run_id=origin.dag_run_id)
    site.ledger.outbox.queue_mail_without_run(origin.dag_id, origin.dag_run_id, mail)


def _why_status_is_kept(ledger: Ledger, run: PipelineRun, decision: Event) -> str | None:
    archived = archived_runs_of_request(ledger, run)
    if archived:
        return f"{', '.join(archived)} of it is in the archive."
    later = [
        sibling.pipeline_run_id
        for sibling in ledger.runs.of_request(run.kind, run.subject, run.request_digest)
        if sibling.created_at > decision.happened_at
    ]
    return f"{', '.join(later)} was started after {run.pipeline_run_id} had failed QA." if later else None
