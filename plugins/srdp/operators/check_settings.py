"""Checking the settings from within Airflow, where the tasks run that will use them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from srdp.operators.base import SrdpOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class CheckSettingsOperator(SrdpOperator):
    """Checks every setting and everything that it points to, and fails with all that is wrong.

    The pool of CASA jobs is not looked at: it is in Airflow's own database, which a task may not read. `make check`
    looks at it.
    """

    def run_step(self, context: Context) -> None:  # noqa: ARG002
        """Logs a line for each check.

        Raises:
            SettingsError: at least one is not right; the sentence names what to set.
        """
        from srdp.check import check_everything
        from srdp.domain.errors import SettingsError

        wrong = []
        for finding in check_everything(with_pool=False):
            self.log.info("%s", finding)
            if not finding.is_right:
                wrong.append(f"{finding.name}: {finding.sentence}")
        if wrong:
            raise SettingsError(" ".join(wrong))
