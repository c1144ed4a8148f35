"""Delivering a run's directory to the QA area."""

from __future__ import annotations

from srdp.domain.common.errors import Refused
from srdp.domain.disk.delivery import move_run_directory
from srdp.domain.events.names import EventName
from srdp.domain.events.payloads import Delivered
from srdp.domain.runs.pipeline_run import RunDirectory, processing_directory, qa_directory
from srdp.domain.runs.states import RunState, check_transition
from srdp.notifications.run_mails import ready_for_review
from srdp.services.context import RunContext


def deliver(context: RunContext) -> RunDirectory:
    """Move a run's directory to the QA area, and let the run await its verdict; may be repeated.

    Args:
        context: the run.

    Returns:
        The directory in the QA area.

    Raises:
        Refused: the run's state does not allow it, or its outcome has not been proved.
        StorageUnavailable: an area cannot be reached.
        LocalFilesError: the directory cannot be moved.
    """
    settings, ledger, run = context.settings, context.ledger, context.run
    target = qa_directory(settings.areas, run.pipeline_run_id)
    if run.state is RunState.AWAITING_QA:
        return target
    check_transition(run.pipeline_run_id, run.state, RunState.AWAITING_QA)
    # The step before may have been marked successful by hand; what is delivered was proved.
    if not run.is_proved:
        raise Refused(
            f"{run.pipeline_run_id} is not delivered: its outcome has not been proved, because the step that "
            "judges it was marked successful by hand; trigger a new run."
        )
    move_run_directory(processing_directory(settings.areas, run.pipeline_run_id), target, run.marker)
    ledger.runs.transition(
        run.pipeline_run_id,
        RunState.AWAITING_QA,
        event=EventName.DELIVERED,
        details=Delivered(directory=str(target.root)),
        mails=[ready_for_review(settings, ledger, run, target)],
    )
    return target
