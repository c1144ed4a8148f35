"""What the methods of families work with, as the hooks have it; see :class:`srdp.families.site.FamilySite`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from airflow.sdk.types import Logger

    from srdp.domain.archiving.mous import Mous
    from srdp.domain.ngas.locator_report import LocatorReport
    from srdp.domain.runs.identifiers import Locator
    from srdp.domain.runs.ledger_records import PipelineRun
    from srdp.hooks.archive import ArchiveHook
    from srdp.hooks.locator import LocatorHook
    from srdp.hooks.verdict_ledger import VerdictLedger
    from srdp.settings import Settings


@dataclass(frozen=True)
class HookSite:
    """The settings, the ledger, the archive and the locator of this process.

    Attributes:
        settings: the settings.
        ledger: the ledger.
        log: the task's log.
    """

    settings: Settings
    ledger: VerdictLedger
    log: Logger

    @cached_property
    def archive(self) -> ArchiveHook:
        """The archive's database."""
        from srdp.hooks.archive import ArchiveHook

        return ArchiveHook(self.settings)

    @cached_property
    def _locator(self) -> LocatorHook:
        from srdp.hooks.locator import LocatorHook

        return LocatorHook(self.settings.locator_connection)

    def report(self, locator: Locator) -> LocatorReport:
        """Return what the archive says about the files of an execution block, an ASDM or a calibration.

        Args:
            locator: its key in the archive.
        """
        return self._locator.report(locator)

    def mous_of_run(self, run: PipelineRun) -> Mous:
        """Return which MOUS a run images; see :func:`srdp.operators.imaged_mous.mous_of_run`."""
        from srdp.operators.imaged_mous import mous_of_run

        return mous_of_run(self.settings, self.ledger, run)

    def mous_of_rerun(self, former: PipelineRun) -> Mous:
        """Return what a rerun images; see :func:`srdp.operators.imaged_mous.mous_of_rerun`."""
        from srdp.operators.imaged_mous import mous_of_rerun

        return mous_of_rerun(self.settings, self.ledger, former)
