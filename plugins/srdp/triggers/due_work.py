"""Watching for mails, requests, runs and assignments that are due, in the triggerer."""

from __future__ import annotations

from typing import ClassVar, Final

from srdp.triggers.work import Look, WorkTrigger

# A mail is to leave within a minute: so often the outboxes are asked.
_OUTBOX_SECONDS: Final = 5.0
# For what takes more than one statement, or questions to Airflow.
_RUNS_SECONDS: Final = 30.0
# What there is, as metrics.
_GAUGES_SECONDS: Final = 60.0


class DueMailTrigger(WorkTrigger):
    """Fires when a mail or a request to the archive is due, and sends what there is as metrics.

    It needs the ledger alone: a mail waits neither for the areas nor for Airflow.
    """

    again: ClassVar[tuple[float, float]] = (60.0, 300.0)

    def __init__(self) -> None:
        super().__init__()
        self._gauges_sent: float | None = None

    def looker(self) -> Look:
        """Return what asks the ledger's outboxes."""
        from srdp.hooks.due_work import due_in_outboxes
        from srdp.hooks.postgres import connections_kept
        from srdp.notifications.gauges import send_gauges
        from srdp.settings import load_settings

        def look(now: float) -> tuple[frozenset[str], float]:
            settings = load_settings()
            with connections_kept(self.connections):
                due = due_in_outboxes(settings)
                if self._gauges_sent is None or now >= self._gauges_sent + _GAUGES_SECONDS:
                    # First: if it fails, the looks until the next time do not.
                    self._gauges_sent = now
                    send_gauges(settings)
            return due, _OUTBOX_SECONDS

        return look


class DueRunsTrigger(WorkTrigger):
    """Fires when a run, a CASA job or an assignment must be reconciled.

    It asks Airflow and the QA area too, which may be away or hang: so it is none with the mails.
    """

    again: ClassVar[tuple[float, float]] = (60.0, 300.0)

    def looker(self) -> Look:
        """Return what reconciles the ledger's runs."""
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        from srdp.hooks.due_work import due_of_runs
        from srdp.hooks.postgres import connections_kept
        from srdp.settings import load_settings

        def look(_now: float) -> tuple[frozenset[str], float]:
            settings = load_settings()
            with connections_kept(self.connections):
                return due_of_runs(settings, RuntimeTaskInstance), _RUNS_SECONDS

        return look
