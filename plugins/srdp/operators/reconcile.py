"""Catching up with runs and jobs that have no live DAG run any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from srdp.operators.base import SrdpOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class ReconcileRunsOperator(SrdpOperator):
    """Reports runs whose DAG run ended or vanished without a report, and cancels CASA jobs whose run has ended.

    Every task may be killed, and a DAG run may be marked failed, marked success or deleted by a person: then nobody is
    left to set the run's state, to send the mail and to end CASA. A run that was found so is looked at a second time
    after a while, because a task that is being stopped may still be delivering it, and because a DAG run that was just
    cleared continues. Whatever happens in between, the ledger's table of states decides. Of a run that was being
    ingested the archive is asked first whether it has the calibration. A run that is archived stays so: of what was
    left undone after that, the directory in the QA area or a changed verdict that the archive does not have, is
    reported once, by mail.

    Args:
        confirm_after_seconds: how long, in seconds, to wait before the second look.

    Note:
        Holds a worker while it waits, which it only does when a run was found.
    """

    needs_areas = False

    def __init__(self, *, confirm_after_seconds: float = 20.0, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self.confirm_after_seconds = confirm_after_seconds

    def run_step(self, context: Context) -> None:
        """Report and cancels; what goes wrong with one run or job is reported at the end and holds up no other."""
        from srdp.services.context import site_context
        from srdp.services.reconcile import reconcile

        reconcile(site_context(), context["ti"], confirm_after_seconds=self.confirm_after_seconds)
