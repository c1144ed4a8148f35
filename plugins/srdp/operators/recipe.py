"""The ASDMs of a run's MOUS."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from srdp.domain.ppr.subject import Asdm
    from srdp.domain.runs.ledger_records import PipelineRun
    from srdp.hooks.ledger import LedgerHook
    from srdp.settings import Settings


def archived_asdms(settings: Settings, ledger: LedgerHook, run: PipelineRun) -> Sequence[Asdm]:
    """Return the ASDMs of a run's MOUS, which are those that it fetches."""
    from srdp.operators.imaged_mous import mous_of_run

    return mous_of_run(settings, ledger, run).named_asdms
