"""Asking the archive to index again what was archived."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from srdp.operators.base import SrdpOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class ReindexProjectsOperator(SrdpOperator):
    """Ask the archive to index again every project with newly archived data.

    The requests were queued by the transaction that set the run's state. An archive that is away or refuses never fails
    this task: the request is delayed, and made again every minute and then less often until the archive takes it. The
    operations managers are notified once, at the first refusal or when the archive has not answered for hours. With
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
        """Drain the outbox of such requests and log what was done."""
        from srdp.services.context import site_context
        from srdp.services.outboxes import send_reindex_requests

        send_reindex_requests(site_context(), self.pipeline_run_id)
