"""Asking the archive to index again what was archived."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from srdp.operators.base import SrdpOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

# With the ledger's waits between them, more than two hours.
_TOLD_AFTER = 20


class ReindexProjectsOperator(SrdpOperator):
    """Asks the archive to index again every project of which something was archived.

    The requests were queued by the transaction that set the run's state. An archive that is away or refuses never fails
    this task: the request is delayed, and made again every minute and then less often until the archive takes it. The
    operations managers are told once, at the first refusal or when the archive has not answered for hours. With
    ``SRDP_REINDEX=off`` nothing is asked, and what is queued stays queued.

    Args:
        pipeline_run_id: only requests of this run (templated); None for all.
    """

    needs_areas = False
    template_fields: Sequence[str] = ("pipeline_run_id",)

    def __init__(self, *, pipeline_run_id: str | None = None, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(**kwargs)
        self.pipeline_run_id = pipeline_run_id

    def run_step(self, context: Context) -> None:  # noqa: ARG002
        """Drains the outbox of such requests and logs what was done."""
        from srdp.domain.runs.identifiers import pipeline_run_id
        from srdp.hooks.reindex import ReindexDrain, ReindexHook
        from srdp.hooks.verdict_ledger import VerdictLedger
        from srdp.notifications.verdict_mails import reindex_not_taken
        from srdp.settings import load_settings

        settings = load_settings()
        hook = ReindexHook(settings)
        if not hook.is_on:
            self.log.info("SRDP_REINDEX is off: the archive is not asked.")
            return
        run_id = None if self.pipeline_run_id is None else pipeline_run_id(self.pipeline_run_id)
        ledger, drain = VerdictLedger(settings), ReindexDrain(hook)
        asked = delayed = 0
        while not drain.away and (tried := ledger.deliver_next_reindex(drain.send, run_id=run_id)) is not None:
            request, error = tried
            asked, delayed = asked + (error is None), delayed + (error is not None)
            if error is not None and (drain.refused or request.attempts + 1 >= _TOLD_AFTER):
                # Said at each try and queued once: a kill in between loses nothing.
                mail = reindex_not_taken(
                    settings, ledger.run(request.pipeline_run_id), request, cause=error, for_all=drain.away
                )
                ledger.tell_of_reindex(request, mail, cause=error, for_all=drain.away)
        self.log.info("%d request(s) taken by the archive, %d delayed and made again by itself", asked, delayed)
