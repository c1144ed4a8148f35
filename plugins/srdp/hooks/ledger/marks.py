"""What failed QA does to the status of execution blocks in the archive, and what a rerun undoes of it."""

from __future__ import annotations

from srdp.domain.events.names import EventName
from srdp.domain.events.payloads import Nothing, StatusKept
from srdp.domain.runs.identifiers import PipelineRunId
from srdp.hooks.ledger.database import Repository, Transaction, only
from srdp.hooks.ledger.events import insert_event, once_a_run
from srdp.hooks.postgres import postgres_safe


class Marks(Repository):
    """Marks of execution blocks in the archive."""

    def is_settled(self, run_id: PipelineRunId) -> bool:
        """Return whether the archive knows that a run failed QA, or need not be.

        Args:
            run_id: the run.
        """
        return self._database.row("mark_is_settled", pipeline_run_id=run_id) is not None

    def record_marked(self, run_id: PipelineRunId) -> None:
        """Record that an execution block is marked in the archive because a run failed QA.

        Args:
            run_id: the run.
        """
        self._settle(run_id, EventName.MARKED_DO_NOT_CALIBRATE, None)

    def record_kept(self, run_id: PipelineRunId, why: str) -> None:
        """Record that an execution block keeps its status in the archive although a run failed QA.

        Args:
            run_id: the run.
            why: why, in one sentence.
        """
        self._settle(run_id, EventName.CALIBRATION_STATUS_KEPT, why)

    def record_set_back(self, run_id: PipelineRunId) -> None:
        """Record that the mark of a former run is set back for its rerun.

        Args:
            run_id: the rerun.
        """

        def work(transaction: Transaction) -> None:
            transaction.change("mark_set_back", pipeline_run_id=run_id)
            event = EventName.EXECUTION_BLOCK_SET_BACK
            insert_event(transaction, once_a_run(run_id, event), run_id, event, Nothing())

        self._database.change_run(run_id, work)

    def request_failed_qa(self, kind: str, subject: str, digest: str = "") -> bool:
        """Return whether a run of a request failed QA, and no rerun has set its execution block back since.

        Args:
            kind: what is made of the subject, for example ``vla_calibration``.
            subject: the EB name.
            digest: distinguishes what users ask of one subject; of a run its ``request_digest``.
        """
        failed: bool = only(self._database.row("request_failed_qa", kind=kind, subject=subject, digest=digest))[
            "failed"
        ]
        return failed

    def _settle(self, run_id: PipelineRunId, event: EventName, why: str | None) -> None:
        details = Nothing() if why is None else StatusKept(why=why)

        def work(transaction: Transaction) -> None:
            transaction.change("mark_settle", pipeline_run_id=run_id, kept_because=postgres_safe(why))
            insert_event(transaction, once_a_run(run_id, event), run_id, event, details)

        self._database.change_run(run_id, work)
