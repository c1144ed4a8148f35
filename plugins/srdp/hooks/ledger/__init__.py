"""The ledger: pipeline runs and everything that happened to them, in PostgreSQL.

It is made of small repositories on one database (:mod:`srdp.hooks.ledger.database`). Each of their methods is one
transaction that may be repeated without harm, also where it writes into several tables; what they share within a
transaction are functions that take it. Transactions that open, archive or reject runs of a request lock the
request's row first: what one of them decides, the others see.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from srdp.domain.runs.retry import LEDGER_SECONDS
from srdp.hooks.ledger.archived_files import ArchivedFiles
from srdp.hooks.ledger.assignments import Assignments
from srdp.hooks.ledger.casa import CasaAttempts
from srdp.hooks.ledger.database import Database, only
from srdp.hooks.ledger.event_log import EventLog
from srdp.hooks.ledger.files import FetchedFiles, SubmittedFiles
from srdp.hooks.ledger.ingests import Ingests
from srdp.hooks.ledger.marks import Marks
from srdp.hooks.ledger.outbox import Outbox
from srdp.hooks.ledger.removals import Removals
from srdp.hooks.ledger.retention import MeasurementSets, Retention
from srdp.hooks.ledger.runs import Runs
from srdp.hooks.ledger.verdicts import Verdicts

if TYPE_CHECKING:
    from srdp.settings import Settings


class Ledger:
    """The ledger's repositories.

    Args:
        settings: the settings of this process, with the connection.
        retry_seconds: for how long a broken connection is tried again before ``ServiceUnavailable`` is raised.
        database: the database, if it is not the one of the settings' connection.

    Attributes:
        settings: the settings.
        runs: pipeline runs and their states.
        events: what happened to runs.
        casa: starts of CASA.
        fetched_files: the raw data of runs.
        submitted_files: the PPR and the analyst's files of runs.
        ingests: ingests into NGAS and the archive.
        archived_files: what ingests put into NGAS.
        verdicts: verdicts that are changed, withdrawn, or say that a run failed QA.
        marks: what failed QA does to execution blocks in the archive.
        assignments: who reviews which run.
        removals: removals of what is not kept any longer.
        measurement_sets: calibrated measurement sets that are kept for users.
        retention: for how long things are kept.
        outbox: mails, reminders and requests to the archive that wait to be sent.
    """

    def __init__(
        self, settings: Settings, *, retry_seconds: float = LEDGER_SECONDS, database: Database | None = None
    ) -> None:
        self.settings = settings
        self._database = database or Database(settings, retry_seconds=retry_seconds)
        self.runs = Runs(self._database)
        self.events = EventLog(self._database)
        self.casa = CasaAttempts(self._database)
        self.fetched_files = FetchedFiles(self._database)
        self.submitted_files = SubmittedFiles(self._database)
        self.ingests = Ingests(self._database)
        self.archived_files = ArchivedFiles(self._database)
        self.verdicts = Verdicts(self._database)
        self.marks = Marks(self._database)
        self.assignments = Assignments(self._database)
        self.removals = Removals(self._database, self.events)
        self.measurement_sets = MeasurementSets(self._database)
        self.retention = Retention(self._database)
        self.outbox = Outbox(self._database)

    def now(self) -> datetime:
        """Return the time by the ledger's clock, which is the one that the runs' times are set by."""
        now: datetime = only(self._database.row("clock"))["now"]
        return now
