"""Checking the settings from within Airflow, where the tasks run that will use them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from srdp.domain.common.errors import ServiceUnavailable, SettingsError
from srdp.operators.base import CASA, SrdpOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class CheckSettingsOperator(SrdpOperator):
    """Check every setting and everything that it points to, all at once, and fail with all that is wrong.

    The pool of CASA jobs is not looked at: it is in Airflow's own database, which a task may not read. `make check`
    looks at it.
    """

    work_queue = CASA
    needs_areas = False

    def run_step(self, context: Context) -> None:  # noqa: ARG002
        """Log a line for each check, as its answer comes.

        Raises:
            ServiceUnavailable: a system did not answer, and nothing else is wrong; asked again it may be right.
            SettingsError: at least one is not right; the sentence names what to set.
        """
        from srdp.check.services import check_everything

        wrong = []
        for finding in check_everything(with_pool=False, report=lambda line: self.log.info("%s", line)):
            self.log.info("%s", finding)
            if not finding.is_right:
                wrong.append(finding)
        if wrong:
            kind = ServiceUnavailable if all(finding.may_heal for finding in wrong) else SettingsError
            raise kind(" ".join(f"{finding.name}: {finding.sentence}" for finding in wrong))
