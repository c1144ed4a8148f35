"""What the methods of families work with, as the hooks have it; see :class:`srdp.families.site.FamilySite`."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property

from srdp.domain.archiving.mous import Mous
from srdp.domain.ngas.locator_report import LocatorReport
from srdp.domain.runs.identifiers import Locator
from srdp.domain.runs.ledger_records import PipelineRun
from srdp.hooks.archive import ArchiveHook
from srdp.hooks.ledger import Ledger
from srdp.hooks.locator import LocatorHook
from srdp.services.context import SiteContext
from srdp.services.processing.imaged_mous import mous_of_rerun, mous_of_run
from srdp.settings import Settings

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class HookSite:
    """The settings, the ledger, the archive and the locator of this process.

    Attributes:
        context: settings and ledger.
    """

    context: SiteContext

    @property
    def log(self) -> logging.Logger:
        """The log, which Airflow writes into the task's."""
        return _LOG

    @property
    def settings(self) -> Settings:
        """The settings."""
        return self.context.settings

    @property
    def ledger(self) -> Ledger:
        """The ledger."""
        return self.context.ledger

    @cached_property
    def archive(self) -> ArchiveHook:
        """The archive's database."""
        return ArchiveHook(self.settings)

    @cached_property
    def _locator(self) -> LocatorHook:
        return LocatorHook(self.settings.locator_connection)

    def report(self, locator: Locator) -> LocatorReport:
        """Return what the archive says about the files of an execution block, an ASDM or a calibration.

        Args:
            locator: its key in the archive.
        """
        return self._locator.report(locator)

    def mous_of_run(self, run: PipelineRun) -> Mous:
        """Return which MOUS a run images; see :func:`srdp.services.processing.imaged_mous.mous_of_run`."""
        return mous_of_run(self.context.of_run(run))

    def mous_of_rerun(self, former: PipelineRun) -> Mous:
        """Return what a rerun images; see :func:`srdp.services.processing.imaged_mous.mous_of_rerun`."""
        return mous_of_rerun(self.context.of_run(former))
