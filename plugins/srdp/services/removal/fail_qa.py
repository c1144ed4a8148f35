"""Failing the QA of runs: the decision; what follows from it is in :mod:`srdp.services.removal.rejected_runs`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from srdp.domain.common.errors import InvalidInput, Refused, quoted
from srdp.domain.common.mail import Mail
from srdp.domain.runs.identifiers import PipelineRunId
from srdp.domain.runs.ledger_records import PipelineRun
from srdp.domain.runs.qa_failure import FailedQa, failed_qa, failure_reason
from srdp.domain.runs.states import ACTIVE, RunState, remedy_for
from srdp.families import Family, family_of
from srdp.hooks.ledger import Ledger
from srdp.notifications.imaging_mails import imaging_rejected
from srdp.notifications.removal_mails import rejected
from srdp.services.context import Origin, SiteContext, check_dag
from srdp.services.removal.rejected_runs import archived_runs_of_request, mark_is_due
from srdp.settings import Settings

log = logging.getLogger(__name__)

#: Runs that somebody may still want: an execution block or a MOUS that fails QA fails with all of these.
_OPEN = frozenset({RunState.AWAITING_QA, RunState.FAILED, RunState.CANCELLED})
#: An archived run is found by its ingest: its directory may have been cleaned up.
_MAY_BECOME_IMAGES = ACTIVE | {RunState.AWAITING_QA}
_THROWN_AWAY = frozenset({RunState.REJECTED, RunState.CLEANING, RunState.CLEANED})
_MOST_NAMED = 20


@dataclass(frozen=True)
class _Selection:
    """What is to be done.

    Attributes:
        reject: the runs that are to be rejected now.
        finish: those that were rejected before and may have unfinished work.
    """

    reject: tuple[PipelineRun, ...]
    finish: tuple[PipelineRun, ...]


@dataclass(frozen=True, kw_only=True)
class FailedQaForm:
    """What the form says of runs that failed QA; exactly one of run ID, subject and project is given.

    Attributes:
        kind: of which kind the requests are, for example ``alma_imaging``.
        run_id: one run.
        subject: the name of an EB or the UID of a MOUS, whose open versions fail.
        project: a project code; every run of it that waits for QA fails.
        number: how many those are; what confirms a project.
        reason: why, in a person's words.
    """

    kind: str
    run_id: str | None
    subject: str | None
    project: str | None
    number: str | int | None
    reason: str


def fail_qa(site: SiteContext, origin: Origin, form: FailedQaForm) -> list[PipelineRunId]:
    """Decide that runs failed QA, in one transaction with the mail about it; may be repeated.

    Args:
        site: settings and ledger.
        origin: who decides.
        form: which runs, and why.

    Returns:
        The runs of which the directories are to be removed.

    Raises:
        InvalidInput: not exactly one of the three is given, there is no reason, or it is not known.
        Refused: a run is of another family, one of the requests has an active run, a state does not allow it, or a
            project is not confirmed with the right number; nothing was rejected.
    """
    settings, ledger, family = site.settings, site.ledger, family_of(form.kind)
    asked = failed_qa(
        family.check_subject, run_id=form.run_id, subject=form.subject, project=form.project, number=form.number
    )
    reason = failure_reason(form.reason)
    person = origin.requested_by
    # With the DAG run, so that this one knows its own decision again after it was killed.
    by = f"{person}, DAG run {origin.dag_run_id}"
    selection = _select(ledger, family, asked, by)
    ids = [run.pipeline_run_id for run in selection.reject]
    if ids:
        decision = _Decision(reason, person, origin.dag_id, origin.dag_run_id)
        reported = _mails_about_images if family.asked_by_users else _mails_about_calibrations
        others = _assigned_to_others(settings, selection.reject, person)
        mails = reported(settings, ledger, selection.reject, decision, others)
        ledger.verdicts.reject(ids, reason=reason, by=by, mails=mails, assigned_to=others)
    for run in selection.reject:
        log.info("%s, version %d of %s, failed QA", run.pipeline_run_id, run.version, run.subject)
    for run in selection.finish:
        log.info("%s failed QA before: what is left to do is done", run.pipeline_run_id)
    return [run.pipeline_run_id for run in (*selection.reject, *selection.finish)]


@dataclass(frozen=True)
class _Decision:
    """What the mails say of the decision: why, who made it, and in which DAG run."""

    reason: str
    by: str
    dag_id: str
    dag_run_id: str


def _assigned_to_others(settings: Settings, runs: Sequence[PipelineRun], person: str) -> dict[PipelineRunId, str]:
    """Return to whom the review of each run was assigned, of those that were assigned to somebody else."""
    assignments = Ledger(settings)
    reviewers = {run.pipeline_run_id: assignments.assignments.reviewer_other_than(run, person) for run in runs}
    return {run_id: reviewer for run_id, reviewer in reviewers.items() if reviewer}


def _mails_about_calibrations(
    settings: Settings,
    ledger: Ledger,
    runs: Sequence[PipelineRun],
    decision: _Decision,
    assigned_to: Mapping[PipelineRunId, str],  # noqa: ARG001  calibrations are not assigned
) -> dict[PipelineRunId, list[Mail]]:
    """Return the one mail to the data analysts about all of the runs."""
    kept = {run.subject for run in runs if archived_runs_of_request(ledger, run)}
    mail = rejected(
        settings, runs, reason=decision.reason, by=decision.by, kept=kept,
        dag_id=decision.dag_id, dag_run_id=decision.dag_run_id,
    )  # fmt: skip
    return {runs[0].pipeline_run_id: [mail]}


def _mails_about_images(
    settings: Settings,
    ledger: Ledger,
    runs: Sequence[PipelineRun],
    decision: _Decision,
    assigned_to: Mapping[PipelineRunId, str],
) -> dict[PipelineRunId, list[Mail]]:
    """Return a mail to the managers for each run, and one to the requester of each request without another version."""
    mails: dict[PipelineRunId, list[Mail]] = {}
    reported: set[str] = set()
    for run in sorted(runs, key=lambda run: run.version, reverse=True):
        left = _left_of_request(ledger, run, runs)
        managers, *user = imaging_rejected(
            settings, run, reason=decision.reason, by=decision.by, left=left,
            assigned_to=assigned_to.get(run.pipeline_run_id, ""),
        )  # fmt: skip
        # Several versions are one thing to the requester: the mail comes with the newest.
        mails[run.pipeline_run_id] = [managers] if run.request_digest in reported else [managers, *user]
        if user:
            reported.add(run.request_digest)
    return mails


def _left_of_request(ledger: Ledger, run: PipelineRun, rejected: Sequence[PipelineRun]) -> list[PipelineRunId]:
    """Return the other versions from which who asked has images, or may still get some."""
    gone = {each.pipeline_run_id for each in rejected}
    alive = [
        other.pipeline_run_id
        for other in ledger.runs.of_request(run.kind, run.subject, run.request_digest)
        if other.state in _MAY_BECOME_IMAGES and other.pipeline_run_id not in gone
    ]
    return [*alive, *archived_runs_of_request(ledger, run)]


def _select(ledger: Ledger, family: Family, asked: FailedQa, by: str) -> _Selection:
    runs = _candidates(ledger, family, asked)
    decisions = ledger.events.rejections([run.pipeline_run_id for run in runs])
    before = [run for run in runs if run.pipeline_run_id in decisions]
    own = [run for run in before if decisions[run.pipeline_run_id].details.get("by") == by]
    unfinished = [run for run in before if run.state is not RunState.CLEANED or run in own or mark_is_due(ledger, run)]
    if own:
        return _Selection((), tuple(unfinished))
    wanted = tuple(_wanted(asked, runs))
    if asked.project is not None and wanted:
        _check_confirmed(asked.project, asked.number, wanted)
    # All of a MOUS, for every request: a mail about all of it must not be true of half.
    active = [run for run in runs if run.state in ACTIVE and asked.subject is not None]
    # A project without a waiting run is likely to be another one's code; what is left of its runs is finished.
    if active or not (wanted or (unfinished if asked.project is not None else before)):
        raise _nothing_to_reject(asked, active or runs)
    if not wanted and not unfinished:
        log.info("They failed QA before, and nothing is left of them: there is nothing to do.")
    return _Selection(wanted, tuple(unfinished))


def _candidates(ledger: Ledger, family: Family, asked: FailedQa) -> list[PipelineRun]:
    if asked.run_id is not None:
        run = ledger.runs.get(asked.run_id)
        check_dag(run.pipeline_run_id, family_of(run.kind).fail_dag, family.fail_dag)
        return [run]
    if asked.subject is not None:
        runs = ledger.runs.of_subject(family.kind, asked.subject)
    else:
        runs = ledger.runs.of_project(family.kind, asked.project or "")
    if not runs:
        raise InvalidInput(
            f"The ledger knows no {family.action} of {quoted(asked.subject or asked.project)}: copy the name from "
            "the mail or the archive."
        )
    return runs


def _wanted(asked: FailedQa, runs: Sequence[PipelineRun]) -> list[PipelineRun]:
    if asked.run_id is not None:
        # Whatever its state is: the ledger says why it cannot be rejected.
        return [run for run in runs if run.state not in _THROWN_AWAY]
    states = {RunState.AWAITING_QA} if asked.project is not None else _OPEN
    return [run for run in runs if run.state in states]


def _check_confirmed(project: str, number: int | None, wanted: Sequence[PipelineRun]) -> None:
    if number == len(wanted):
        return
    for run in wanted:
        log.warning("%s  %s  version %d", run.pipeline_run_id, run.subject, run.version)
    named = ", ".join(f"{run.pipeline_run_id} ({run.subject})" for run in wanted[:_MOST_NAMED])
    more = f" and {len(wanted) - _MOST_NAMED} more, which the log lists" if len(wanted) > _MOST_NAMED else ""
    wrong = "" if number is None else f", not {number}"
    wait = "run waits" if len(wanted) == 1 else "runs wait"
    raise Refused(
        f"Nothing was rejected: of project {project}, {len(wanted)} {wait} for QA{wrong}: {named}{more}. Trigger it "
        f"again with the number {len(wanted)} to fail all of them."
    )


def _nothing_to_reject(asked: FailedQa, runs: Sequence[PipelineRun]) -> Refused:
    if asked.project is not None:
        return Refused(f"No run of project {asked.project} waits for QA: nothing was rejected.")
    newest = runs[-1]
    if newest.state in ACTIVE:
        return Refused(f"Nothing was rejected: version {newest.version} of {newest.subject}, {newest.in_the_way}.")
    what = f"{newest.pipeline_run_id}, version {newest.version} of {newest.subject},"
    return Refused(f"Nothing was rejected: {what} is {newest.state}; {remedy_for(newest.state)}.")
