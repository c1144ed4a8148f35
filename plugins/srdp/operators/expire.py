"""Removing what has expired."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.xcom import BaseXCom

from srdp.domain.common.errors import SrdpError
from srdp.operators.base import BYTES, SrdpOperator, origin_of, run_type

if TYPE_CHECKING:
    from airflow.sdk import Context

_SCHEDULED = "scheduled"


class ExpireOperator(SrdpOperator):
    """Remove what has been kept for long enough, and report what was done and what comes next.

    What is kept for how long is in a text file; what it says wrongly stays as it was, which the ledger remembers.
    Everything is looked at at one moment of the ledger's clock, and again just before it is removed. What cannot be
    removed holds up nothing else: it is reported, and the task fails at its end.

    If more has expired than the settings let through, or something that is young, nothing is removed before a person
    has seen the list: a mail to the operations managers has it, once for each list, and the task fails.

    Its result has everything in numbers, the log names everything, and a mail goes to the data analysts and the
    operations managers: one for each scheduled DAG run that has something to report, and one for each that was
    triggered by hand and removed something or could not. A scheduled one that could not come to its end, because an
    area or the archive is away, has a mail that says so after its last try.

    Args:
        only_report: whether to remove nothing, record nothing and send nothing: ``True`` or ``False`` (templated).
        number: how much may be removed although it is much or young; empty or ``None``: as much as the settings let
            through (templated).
    """

    work_queue = BYTES
    template_fields: Sequence[str] = ("only_report", "number")

    def __init__(
        self,
        *,
        only_report: str | bool = False,
        number: str | int | None = None,
        **kwargs: Any,  # noqa: ANN401  Airflow's own arguments
    ) -> None:
        super().__init__(**kwargs)
        self.number = number
        # Not dry_run, which is a method of every operator.
        self.only_report = only_report

    def run_step(self, context: Context) -> dict[str, Any]:
        """Remove; return the report in numbers.

        Raises:
            NotRemoved: something could not be removed; all else was. Or it is so much, or so young, that nothing was.
                The report is the task's XCom all the same.
            ClocksDiffer: the ledger's clock and this host's differ; nothing was removed.
            ServiceUnavailable: an area or the ledger cannot be reached.
        """
        from srdp.services.context import site_context
        from srdp.services.removal.expire import NotRemoved, expire

        try:
            report = expire(
                site_context(),
                origin_of(context),
                only_report=self.only_report,
                number=self.number,
                scheduled=run_type(context) == _SCHEDULED,
            )
        except NotRemoved as error:
            if error.report is not None:
                context["ti"].xcom_push(key=BaseXCom.XCOM_RETURN_KEY, value=error.report.summary())
            raise
        return report.summary()

    def given_up(self, context: Context, error: SrdpError) -> None:
        """Queue a mail that says why not everything that expires could be determined; another lists the rest.

        Args:
            context: Airflow's context of the task.
            error: why the task is not tried again.
        """
        from srdp.services.context import site_context
        from srdp.services.removal.expire import NotRemoved, report_not_done

        # Who triggers it by hand looks at it.
        if isinstance(error, NotRemoved) or run_type(context) != _SCHEDULED:
            return
        # The ledger may be what is away: the error that is reported must be the first.
        with suppress(SrdpError):
            report_not_done(site_context(), origin_of(context), error)
