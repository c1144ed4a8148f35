"""Putting what was packed into NGAS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from srdp.operators.base import BYTES
from srdp.operators.ingest_step import IngestStepOperator

if TYPE_CHECKING:
    from srdp.services.ingesting.context import IngestContext


class ArchiveProductsOperator(IngestStepOperator):
    """Puts tar, images and weblog into NGAS, each once, and proves each copy by the server's own CHECKFILE.

    A file is archived if one copy of it is good. Another copy that is damaged is reported to the operators.

    What is recorded as proved is not looked at again. Before the first byte of a file is sent the ledger says so; a try
    that finds it looks for the file, for a while, before it sends anything.

    Args:
        pipeline_run_id: the run (templated).
        settle_seconds: for how long, in seconds, a server may be storing what it received after the connection is gone.

    Note:
        With the setting ``ngas_ingest`` off it does nothing.
    """

    work_queue = BYTES

    def __init__(self, *, pipeline_run_id: str, settle_seconds: float = 30.0, **kwargs: object) -> None:
        super().__init__(pipeline_run_id=pipeline_run_id, **kwargs)
        self.settle_seconds = settle_seconds

    def ingest_step(self, work: IngestContext) -> None:
        """Send and prove."""
        from srdp.services.ingesting.archive_products import archive_products

        archive_products(work, settle_seconds=self.settle_seconds)
