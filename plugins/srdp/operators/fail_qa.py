"""Failing the QA of runs: the decision, the execution blocks' status, the directories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from srdp.domain.common.errors import InvalidInput, Refused, ServiceUnavailable, SrdpError, quoted
from srdp.domain.runs.execution_block import DO_NOT_CALIBRATE
from srdp.domain.runs.states import ACTIVE, RunState, remedy_for
from srdp.families import Family, family_of, family_of_run
from srdp.operators.base import BYTES, SrdpOperator, asked_by
from srdp.operators.ingest_step import check_family

if TYPE_CHECKING:
    from airflow.sdk import Context
    from airflow.sdk.types import Logger

    from srdp.domain.common.mail import Mail
    from srdp.domain.runs.identifiers import PipelineRunId
    from srdp.domain.runs.ledger_records import Event, PipelineRun
    from srdp.domain.runs.qa_failure import FailedQa
    from srdp.hooks.archive import ArchiveHook
    from srdp.hooks.verdict_ledger import VerdictLedger
    from srdp.settings import Settings

#: Runs that somebody may still want: an execution block or a MOUS that fails QA fails with all of these.
_OPEN = frozenset({RunState.AWAITING_QA, RunState.FAILED, RunState.CANCELLED})
#: An archived run is found by its ingest: its directory may have been cleaned up.
_MAY_BECOME_IMAGES = ACTIVE | {RunState.AWAITING_QA}
_THROWN_AWAY = frozenset({RunState.REJECTED, RunState.CLEANING, RunState.CLEANED})
_MARKED = "marked_do_not_calibrate"
_STATUS_KEPT = "calibration_status_kept"
_MOST_NAMED = 20
_MOST_PROBLEMS = 3


class RejectedRunsLeft(SrdpError):
    """Something of the runs that failed QA could not be removed; each run is told with its reason."""


class NotAllMarked(SrdpError):
    """The archive refused to mark an execution block; all others are marked."""


@dataclass(frozen=True)
class _Selection:
    """What is to be done.

    Attributes:
        reject: the runs that are to be rejected now.
        finish: those that were rejected before and of which something may be left to do.
    """

    reject: tuple[PipelineRun, ...]
    finish: tuple[PipelineRun, ...]


class FailQaOperator(SrdpOperator):
    """Decides that runs failed QA: all of them in one transaction of the ledger, with the mail that tells of it.

    Exactly one of pipeline run ID, subject and project is given. Repeated, it finds what it has decided before
    in the ledger, and decides nothing anew.

    Args:
        kind: of which kind the requests are, for example ``alma_imaging``; a run of another is refused.
        pipeline_run_id: one run (templated).
        subject: the name of an EB or the UID of a MOUS, whose open versions fail (templated).
        project: a project code; every run of it that waits for QA fails (templated).
        number: how many those are; what confirms a project (templated).
        reason: why, in a person's words (templated).
    """

    needs_areas = False
    template_fields: Sequence[str] = ("pipeline_run_id", "subject", "project", "number", "reason")

    def __init__(
        self,
        *,
        kind: str,
        pipeline_run_id: str | None = None,
        subject: str | None = None,
        project: str | None = None,
        number: str | int | None = None,
        reason: str,
        **kwargs: Any,  # noqa: ANN401  Airflow's own arguments
    ) -> None:
        super().__init__(**kwargs)
        self.kind = kind
        self.pipeline_run_id = pipeline_run_id
        self.subject = subject
        self.project = project
        self.number = number
        self.reason = reason

    def run_step(self, context: Context) -> list[str]:
        """Rejects; returns the pipeline run IDs of which the directories are to be removed.

        Raises:
            InvalidInput: not exactly one of the three is given, there is no reason, or it is not known.
            Refused: a run is of another family, one of the requests has an active run, a state does not allow it, or
                a project is not confirmed with the right number; nothing was rejected.
        """
        from srdp.domain.runs.qa_failure import failed_qa, failure_reason
        from srdp.hooks.verdict_ledger import VerdictLedger
        from srdp.settings import load_settings

        family = family_of(self.kind)
        asked = failed_qa(
            family.check_subject,
            run_id=self.pipeline_run_id,
            subject=self.subject,
            project=self.project,
            number=self.number,
        )
        reason = failure_reason(self.reason)
        settings = load_settings()
        ledger = VerdictLedger(settings)
        dag_run = context["dag_run"]
        person = asked_by(context)
        # With the DAG run, so that this one knows its own decision again after it was killed.
        by = f"{person}, DAG run {dag_run.run_id}"
        selection = _select(ledger, family, asked, by, self.log)
        ids = [run.pipeline_run_id for run in selection.reject]
        if ids:
            decision = _Decision(reason, person, dag_run.dag_id, dag_run.run_id)
            told = _told_of_images if family.asked_by_users else _told_of_calibrations
            others = _assigned_to_others(settings, selection.reject, person)
            mails = told(settings, ledger, selection.reject, decision, others)
            ledger.reject_runs(ids, reason=reason, by=by, mails=mails, assigned_to=others)
        for run in selection.reject:
            self.log.info("%s, version %d of %s, failed QA", run.pipeline_run_id, run.version, run.subject)
        for run in selection.finish:
            self.log.info("%s failed QA before: what is left to do is done", run.pipeline_run_id)
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
    from srdp.hooks.assignment_ledger import AssignmentLedger

    assignments = AssignmentLedger(settings)
    reviewers = {run.pipeline_run_id: assignments.reviewer_other_than(run, person) for run in runs}
    return {run_id: reviewer for run_id, reviewer in reviewers.items() if reviewer}


def _told_of_calibrations(
    settings: Settings,
    ledger: VerdictLedger,
    runs: Sequence[PipelineRun],
    decision: _Decision,
    assigned_to: Mapping[PipelineRunId, str],  # noqa: ARG001  calibrations are not assigned
) -> dict[PipelineRunId, list[Mail]]:
    """Return the one mail that tells the data analysts of all of the runs."""
    from srdp.notifications.removal_mails import rejected

    kept = {run.subject for run in runs if _archived(ledger, run)}
    mail = rejected(
        settings, runs, reason=decision.reason, by=decision.by, kept=kept,
        dag_id=decision.dag_id, dag_run_id=decision.dag_run_id,
    )  # fmt: skip
    return {runs[0].pipeline_run_id: [mail]}


def _told_of_images(
    settings: Settings,
    ledger: VerdictLedger,
    runs: Sequence[PipelineRun],
    decision: _Decision,
    assigned_to: Mapping[PipelineRunId, str],
) -> dict[PipelineRunId, list[Mail]]:
    """Return a mail to the managers for each run, and one to who asked for each request of which nothing is left."""
    from srdp.notifications.imaging_mails import imaging_rejected

    mails: dict[PipelineRunId, list[Mail]] = {}
    told: set[str] = set()
    for run in sorted(runs, key=lambda run: run.version, reverse=True):
        left = _left_of_request(ledger, run, runs)
        managers, *user = imaging_rejected(
            settings, run, reason=decision.reason, by=decision.by, left=left,
            assigned_to=assigned_to.get(run.pipeline_run_id, ""),
        )  # fmt: skip
        # Several versions are one thing to who asked: it is told of with the newest.
        mails[run.pipeline_run_id] = [managers] if run.request_digest in told else [managers, *user]
        if user:
            told.add(run.request_digest)
    return mails


def _left_of_request(ledger: VerdictLedger, run: PipelineRun, rejected: Sequence[PipelineRun]) -> list[PipelineRunId]:
    """Return the other versions from which who asked has images, or may still get some."""
    gone = {each.pipeline_run_id for each in rejected}
    alive = [
        other.pipeline_run_id
        for other in ledger.runs_of_request(run.kind, run.subject, run.request_digest)
        if other.state in _MAY_BECOME_IMAGES and other.pipeline_run_id not in gone
    ]
    return [*alive, *_archived(ledger, run)]


def _select(ledger: VerdictLedger, family: Family, asked: FailedQa, by: str, log: Logger) -> _Selection:
    runs = _candidates(ledger, family, asked)
    decisions = ledger.rejections([run.pipeline_run_id for run in runs])
    before = [run for run in runs if run.pipeline_run_id in decisions]
    own = [run for run in before if decisions[run.pipeline_run_id].details.get("by") == by]
    unfinished = [run for run in before if run.state is not RunState.CLEANED or run in own or mark_is_due(ledger, run)]
    if own:
        return _Selection((), tuple(unfinished))
    wanted = tuple(_wanted(asked, runs))
    if asked.project is not None and wanted:
        _check_confirmed(asked.project, asked.number, wanted, log)
    # Of a MOUS, of whichever request: what is said of all of it is not to be true of half.
    active = [run for run in runs if run.state in ACTIVE and asked.subject is not None]
    # A project of which nothing waits is likely to be another one's code; what is left of its runs is finished.
    if active or not (wanted or (unfinished if asked.project is not None else before)):
        raise _nothing_to_reject(asked, active or runs)
    if not wanted and not unfinished:
        log.info("They failed QA before, and nothing is left of them: there is nothing to do.")
    return _Selection(wanted, tuple(unfinished))


def _candidates(ledger: VerdictLedger, family: Family, asked: FailedQa) -> list[PipelineRun]:
    if asked.run_id is not None:
        run = ledger.run(asked.run_id)
        check_family(run.pipeline_run_id, family_of(run.kind).fail_dag, family.fail_dag)
        return [run]
    if asked.subject is not None:
        runs = ledger.runs_of_subject(family.kind, asked.subject)
    else:
        runs = ledger.runs_of_project(family.kind, asked.project or "")
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


def _check_confirmed(project: str, number: int | None, wanted: Sequence[PipelineRun], log: Logger) -> None:
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


def mark_is_due(ledger: VerdictLedger, run: PipelineRun) -> bool:
    """Whether the archive is still to be told that a run failed QA; it may be cleaned up meanwhile.

    Args:
        ledger: the ledger.
        run: a run that failed QA.
    """
    if not family_of(run.kind).marks_failed:
        return False
    return not any(event.event in {_MARKED, _STATUS_KEPT} for event in ledger.events(run.pipeline_run_id))


class _RejectedRunsOperator(SrdpOperator):
    """Base of what is done with runs that failed QA.

    Args:
        pipeline_run_ids: their IDs, separated by blanks (templated).
    """

    template_fields: Sequence[str] = ("pipeline_run_ids",)

    def __init__(self, *, pipeline_run_ids: str, **kwargs: Any) -> None:  # noqa: ANN401  Airflow's own arguments
        super().__init__(**kwargs)
        self.pipeline_run_ids = pipeline_run_ids

    def family(self) -> Family | None:
        """Return the family of the runs, which is one; None if there are none."""
        from srdp.domain.runs.identifiers import pipeline_run_id

        first = str(self.pipeline_run_ids).split()[:1]
        return family_of_run(pipeline_run_id(first[0])) if first else None

    def rejected_runs(self, ledger: VerdictLedger) -> list[tuple[PipelineRun, Event]]:
        """Return the runs and the decisions on them, as the ledger has them; nobody else's word is taken.

        Raises:
            Refused: a run did not fail QA.
        """
        from srdp.domain.runs.identifiers import pipeline_run_id

        runs = [ledger.run(pipeline_run_id(run_id)) for run_id in str(self.pipeline_run_ids).split()]
        decisions = ledger.rejections([run.pipeline_run_id for run in runs])
        found = []
        for run in runs:
            decision = decisions.get(run.pipeline_run_id)
            if decision is None:
                raise Refused(f"{run.pipeline_run_id} did not fail QA: it is {run.state}; {remedy_for(run.state)}.")
            found.append((run, decision))
        return found


class MarkDoNotCalibrateOperator(_RejectedRunsOperator):
    """Marks the execution blocks of runs that failed QA ``Do Not Calibrate`` in the archive.

    It is done once for each run. An execution block that has a calibration in the archive keeps its status, and so
    does one of which a run was made after the decision: that set it back. What cannot be marked holds nothing else up.

    Args:
        pipeline_run_ids: the runs' IDs, separated by blanks (templated).
    """

    needs_areas = False

    def run_step(self, context: Context) -> None:  # noqa: ARG002
        """Mark; may be repeated.

        Raises:
            NotAllMarked: the archive refused one; the others are marked.
            ServiceUnavailable: the archive or the ledger cannot be reached.
        """
        from srdp.hooks.archive import ArchiveHook
        from srdp.hooks.verdict_ledger import VerdictLedger
        from srdp.settings import load_settings

        settings = load_settings()
        ledger = VerdictLedger(settings)
        archive = ArchiveHook(settings)
        refused: list[str] = []
        for run, decision in self.rejected_runs(ledger):
            if not mark_is_due(ledger, run):
                # It may have been set to something else by hand since.
                self.log.info("The archive was updated about %s before.", run.pipeline_run_id)
                continue
            try:
                self._mark(ledger, archive, run, decision)
            except ServiceUnavailable:
                raise
            except SrdpError as error:
                self.log.error("%s", error)  # noqa: TRY400  a sentence, not a traceback
                refused.append(str(error))
        if refused:
            further = len(refused) - _MOST_PROBLEMS
            told = " ".join(refused[:_MOST_PROBLEMS])
            raise NotAllMarked(f"{told} And {further} more, which the log names." if further > 0 else told)

    def _mark(self, ledger: VerdictLedger, archive: ArchiveHook, run: PipelineRun, decision: Event) -> None:
        from srdp.domain.runs.identifiers import locator

        kept = _why_status_is_kept(ledger, run, decision)
        if kept:
            ledger.record(run.pipeline_run_id, _STATUS_KEPT, {"why": kept}, once=True)
            self.log.warning("%s keeps its status in the archive: %s", run.subject, kept)
            return
        archive.set_calibration_status(locator(run.locator), DO_NOT_CALIBRATE)
        ledger.record(run.pipeline_run_id, _MARKED, once=True)
        self.log.info("%s is marked %s in the archive", run.subject, DO_NOT_CALIBRATE)


class ReportUnmarkedOperator(_RejectedRunsOperator):
    """Tells by mail which execution blocks could not be marked in the archive, why, and what to do.

    Give it the trigger rule ``one_failed``. The DAG run stays red: the removal waits for the marks.

    Args:
        pipeline_run_ids: the runs' IDs, separated by blanks (templated); none if nothing was decided.
    """

    needs_areas = False

    def run_step(self, context: Context) -> None:
        """Queues the mail; may be repeated."""
        from srdp.hooks.verdict_ledger import VerdictLedger
        from srdp.notifications.outbox import send_due_mails
        from srdp.notifications.removal_mails import mark_incomplete
        from srdp.operators.failure import NO_CAUSE, failure_of
        from srdp.settings import load_settings

        settings = load_settings()
        ledger = VerdictLedger(settings)
        unmarked = [run for run, _ in self.rejected_runs(ledger) if mark_is_due(ledger, run)]
        if not unmarked:
            self.log.info("No mark is missing.")
            return
        dag_run = context["dag_run"]
        cause = failure_of(context).cause or NO_CAUSE
        mail = mark_incomplete(settings, unmarked, cause=cause, dag_id=dag_run.dag_id, dag_run_id=dag_run.run_id)
        ledger.queue_mail_without_run(dag_run.dag_id, dag_run.run_id, mail)
        self.log.info("%s", send_due_mails(ledger, settings))


def _archived(ledger: VerdictLedger, run: PipelineRun) -> list[PipelineRunId]:
    return ledger.archived_runs_of_request(run.kind, run.subject, run.request_digest)


def _why_status_is_kept(ledger: VerdictLedger, run: PipelineRun, decision: Event) -> str | None:
    archived = _archived(ledger, run)
    if archived:
        return f"{', '.join(archived)} of it is in the archive."
    later = [
        sibling.pipeline_run_id
        for sibling in ledger.runs_of_request(run.kind, run.subject, run.request_digest)
        if sibling.created_at > decision.happened_at
    ]
    return f"{', '.join(later)} was started after {run.pipeline_run_id} had failed QA." if later else None


class RemoveRejectedRunsOperator(_RejectedRunsOperator):
    """Removes the directories of runs that failed QA, from wherever they lie.

    What cannot be removed holds nothing else up. At the end it is told with its reason: by this task's failure, and by
    a mail. The next try, or the next day's expiry, tries again. A run in which analysts' own files lie is left to the
    expiry, with the mail alone.

    Args:
        pipeline_run_ids: the runs' IDs, separated by blanks (templated).
    """

    work_queue = BYTES

    def run_step(self, context: Context) -> None:
        """Remove; may be repeated.

        Raises:
            RejectedRunsLeft: something could not be removed.
            ServiceUnavailable: an area or the ledger cannot be reached.
        """
        from srdp.hooks.verdict_ledger import VerdictLedger
        from srdp.operators.remove_run import OwnFilesNamed, remove_run
        from srdp.settings import load_settings

        settings = load_settings()
        ledger = VerdictLedger(settings)
        problems: dict[str, SrdpError] = {}
        rejected = self.rejected_runs(ledger)
        for run, _ in rejected:
            try:
                remove_run(settings, ledger, run)
            except ServiceUnavailable:
                raise
            except SrdpError as error:
                self.log.error("%s", error)  # noqa: TRY400  a sentence, not a traceback
                problems[run.pipeline_run_id] = error
        if not problems:
            return
        self._mail(settings, ledger, context, problems)
        left = [error for error in problems.values() if not isinstance(error, OwnFilesNamed)]
        if not left:
            return  # they go with the daily expiry
        told = " ".join(str(error) for error in left[:_MOST_PROBLEMS])
        further = len(left) - _MOST_PROBLEMS
        raise RejectedRunsLeft(f"{told} And {further} more, which the log names." if further > 0 else told)

    def given_up(self, context: Context, error: SrdpError) -> None:
        """Queue the mail that says that nothing more is removed, because an area is away for too long.

        Args:
            context: Airflow's context of the task.
            error: why the task is not tried again.
        """
        from srdp.hooks.verdict_ledger import VerdictLedger
        from srdp.settings import load_settings

        if isinstance(error, RejectedRunsLeft):
            return
        # The ledger may be what is away: the error that is told must be the first.
        with suppress(SrdpError):
            settings = load_settings()
            ledger = VerdictLedger(settings)
            left = [run for run, _ in self.rejected_runs(ledger) if run.state is not RunState.CLEANED]
            self._mail(settings, ledger, context, {run.pipeline_run_id: error for run in left})

    def _mail(
        self, settings: Settings, ledger: VerdictLedger, context: Context, problems: dict[str, SrdpError]
    ) -> None:
        from srdp.notifications.removal_mails import removal_incomplete

        # They are all of one family: so were those that the decision was on.
        family = self.family()
        if family is None or not problems:
            return
        dag_run = context["dag_run"]
        mail = removal_incomplete(settings, family, problems, dag_id=dag_run.dag_id, dag_run_id=dag_run.run_id)
        ledger.queue_mail_without_run(dag_run.dag_id, dag_run.run_id, mail)
