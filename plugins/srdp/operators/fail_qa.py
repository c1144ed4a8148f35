"""Failing the QA of runs: the decision, the execution blocks' status, the directories."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from srdp.domain.common.errors import SrdpError
from srdp.domain.runs.identifiers import pipeline_run_id
from srdp.domain.runs.steps import NO_CAUSE
from srdp.families import Family, family_of_run
from srdp.operators.base import BYTES, SrdpOperator, origin_of
from srdp.operators.failure import failure_of

if TYPE_CHECKING:
    from airflow.sdk import Context


class FailQaOperator(SrdpOperator):
    """Decides that runs failed QA: all of them in one transaction of the ledger, with the mail about it.

    Exactly one of pipeline run ID, subject and project is given. Repeated, it finds what it has decided before
    in the ledger, and is not decided again.

    Args:
        kind: the kind of the requests, for example ``alma_imaging``; a run of another kind is refused.
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
        """Reject; return the pipeline run IDs of which the directories are to be removed.

        Raises:
            InvalidInput: not exactly one of the three is given, there is no reason, or it is not known.
            Refused: a run is of another family, one of the requests has an active run, a state does not allow it, or
                a project is not confirmed with the right number; nothing was rejected.
        """
        from srdp.services.context import site_context
        from srdp.services.removal.fail_qa import FailedQaForm, fail_qa

        form = FailedQaForm(
            kind=self.kind,
            run_id=self.pipeline_run_id,
            subject=self.subject,
            project=self.project,
            number=self.number,
            reason=self.reason,
        )
        return [str(run_id) for run_id in fail_qa(site_context(), origin_of(context), form)]


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
        first = self._ids[:1]
        return family_of_run(pipeline_run_id(first[0])) if first else None

    @property
    def _ids(self) -> list[str]:
        return str(self.pipeline_run_ids).split()


class MarkDoNotCalibrateOperator(_RejectedRunsOperator):
    """Marks the execution blocks of runs that failed QA ``Do Not Calibrate`` in the archive.

    It is done once for each run. An execution block that has a calibration in the archive keeps its status, and so
    does one with a run that was made after the decision: that set it back. What cannot be marked holds nothing else up.

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
        from srdp.services.context import site_context
        from srdp.services.removal.rejected_runs import mark_do_not_calibrate

        mark_do_not_calibrate(site_context(), self._ids)


class ReportUnmarkedOperator(_RejectedRunsOperator):
    """Tells by mail which execution blocks could not be marked in the archive, why, and what to do.

    Give it the trigger rule ``one_failed``. The DAG run stays red: the removal waits for the marks.

    Args:
        pipeline_run_ids: the runs' IDs, separated by blanks (templated); none if nothing was decided.
    """

    needs_areas = False

    def run_step(self, context: Context) -> None:
        """Queue the mail; may be repeated."""
        from srdp.services.context import site_context
        from srdp.services.removal.rejected_runs import report_unmarked

        report_unmarked(site_context(), origin_of(context), self._ids, cause=failure_of(context).cause or NO_CAUSE)


class RemoveRejectedRunsOperator(_RejectedRunsOperator):
    """Removes the directories of runs that failed QA, from wherever they are.

    What cannot be removed holds nothing else up. At the end it is reported with its reason: by this task's failure, and
    by a mail. The next try, or the next day's expiry, tries again. A run with analysts' own files is left to the
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
        from srdp.services.context import site_context
        from srdp.services.removal.rejected_runs import remove_rejected_runs

        remove_rejected_runs(site_context(), origin_of(context), self._ids)

    def given_up(self, context: Context, error: SrdpError) -> None:
        """Queue the mail that says that nothing more is removed, because an area is away for too long.

        Args:
            context: Airflow's context of the task.
            error: why the task is not tried again.
        """
        from srdp.services.context import site_context
        from srdp.services.removal.rejected_runs import RejectedRunsLeft, report_not_removed

        if isinstance(error, RejectedRunsLeft):
            return
        # The ledger may be what is away: the error that is reported must be the first.
        with suppress(SrdpError):
            report_not_removed(site_context(), origin_of(context), self._ids, error)
