"""Looking after assignments: questions that were lost or are pointless, and people who are to be reminded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from srdp.operators.base import SrdpOperator
from srdp.operators.dag_runs import start_dag_run

if TYPE_CHECKING:
    from airflow.sdk import Context


class ReconcileAssignmentsOperator(SrdpOperator):
    """Sees to it that of each run that is to be assigned somebody is asked, of no other, and that nobody forgets it.

    * A question that nobody needs to answer any more, because the verdict is given or the run was assigned by form, is
      ended: its DAG run is cleared, asks the ledger, and ends.
    * A run without an analyst and without an open question, because the DAG run was deleted, marked or refused the
      answer, is asked for again. Who answered believes that the run is assigned: a mail says that it is not.
    * A run that has waited too long for its assignment, or for the verdict of who has it, is mailed about again.

    What goes wrong with one run is reported at the end and holds up no other.
    """

    needs_areas = False

    def run_step(self, context: Context) -> None:
        """Do it, once.

        Raises:
            SrdpError: what went wrong with single runs.
            ServiceUnavailable: the ledger cannot be reached.
        """
        from srdp.services.assignment.reconcile_assignments import reconcile_assignments
        from srdp.services.context import site_context

        reconcile_assignments(site_context(), context["ti"], start_dag_run)
