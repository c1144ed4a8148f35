"""Watching for mails, requests, runs and assignments that are to be looked after, in the triggerer."""

from __future__ import annotations

from typing import ClassVar, Final

from srdp.triggers.work import Look, WorkTrigger

# A mail is to leave within a minute: so often the outboxes are asked.
_OUTBOX_SECONDS: Final = 5.0
# For what takes more than one statement, or questions to Airflow.
_RUNS_SECONDS: Final = 30.0
# What there is, as metrics.
_GAUGES_SECONDS: Final = 60.0


class DueWorkTrigger(WorkTrigger):
    """Fires when a mail or a request is due, or a run, a CASA job or an assignment is to be looked after."""

    again: ClassVar[tuple[float, float]] = (60.0, 300.0)

    def __init__(self) -> None:
        super().__init__()
        self._of_runs: frozenset[str] = frozenset()
        self._runs_looked_at: float | None = None
        self._gauges_sent: float | None = None

    def looker(self) -> Look:
        """Return what asks the ledger's outboxes, and twice a minute after its runs."""
        from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

        from srdp.hooks.due_work import due_in_outboxes, due_of_runs
        from srdp.hooks.postgres import connections_kept
        from srdp.notifications.gauges import send_gauges
        from srdp.settings import load_settings

        def look(now: float) -> tuple[frozenset[str], float]:
            settings = load_settings()
            with connections_kept(self.connections):
                if self._runs_looked_at is None or now >= self._runs_looked_at + _RUNS_SECONDS:
                    self._of_runs = due_of_runs(settings, RuntimeTaskInstance)
                    self._runs_looked_at = now
                due = due_in_outboxes(settings) | self._of_runs
                if self._gauges_sent is None or now >= self._gauges_sent + _GAUGES_SECONDS:
                    send_gauges(settings)
                    self._gauges_sent = now
            return due, _OUTBOX_SECONDS

        return look
