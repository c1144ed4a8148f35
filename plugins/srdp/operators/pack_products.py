"""Packing what is to be archived."""

from __future__ import annotations

from typing import TYPE_CHECKING

from srdp.operators.base import BYTES
from srdp.operators.ingest_step import IngestStepOperator

if TYPE_CHECKING:
    from srdp.services.ingesting.context import IngestContext


class PackProductsOperator(IngestStepOperator):
    """Packs the ingest's tar in the spool area, and records what goes into NGAS before a byte of it is sent.

    A tar that was recorded and is there unchanged is kept. Packed again, it has the same bytes as long as the
    products are the same; if they are not, and something was sent already, the step refuses.

    Args:
        pipeline_run_id: the run (templated).
    """

    work_queue = BYTES

    def ingest_step(self, work: IngestContext) -> None:
        """Pack and record."""
        from srdp.services.ingesting.pack_products import pack_products

        pack_products(work)
