"""Starts of CASA, and the runs that wait for one."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from psycopg.types.json import Jsonb

from srdp.domain.casa.queue import places
from srdp.domain.events.names import EventName
from srdp.domain.runs.identifiers import PipelineRunId
from srdp.domain.runs.ledger_records import CasaAttempt
from srdp.hooks.ledger.database import Repository, Transaction, unknown_run
from srdp.hooks.ledger.events import insert_event
from srdp.hooks.postgres import postgres_safe


class CasaAttempts(Repository):
    """Starts of CASA."""

    def record(self, run_id: PipelineRunId, attempt: int, **fields: Any) -> None:  # noqa: ANN401
        """Record what is known about one start of CASA; what is left out, or None, keeps what was recorded.

        Args:
            run_id: the run.
            attempt: 1 for the first start.
            **fields: fields of :class:`CasaAttempt`.
        """
        stored = CasaAttempt(pipeline_run_id=run_id, attempt=attempt, **postgres_safe(fields))
        self._database.change_run(run_id, lambda transaction: transaction.change("casa_upsert", **asdict(stored)))

    def of_run(self, run_id: PipelineRunId) -> list[CasaAttempt]:
        """Return the starts of CASA for a run, in order."""
        rows = self._database.rows("casa_of_run", pipeline_run_id=run_id)
        return [_casa(row) for row in rows]

    def without_task(self) -> list[CasaAttempt]:
        """Return the starts of CASA whose end is not recorded although their run is not ``processing`` any more."""
        return [_casa(row) for row in self._database.rows("casa_without_task")]

    def record_asked(self, run_id: PipelineRunId, job: Mapping[str, Any]) -> None:
        """Record which job is asked for, before it is; the same job is recorded once.

        Args:
            run_id: the run.
            job: the job; must fit JSON.
        """
        event_id = uuid.uuid4()
        stored = postgres_safe(job)

        def work(transaction: Transaction) -> None:
            if transaction.row("run_lock", pipeline_run_id=run_id) is None:
                raise unknown_run(run_id)
            if transaction.change("casa_job_insert", pipeline_run_id=run_id, job=Jsonb(stored)):
                insert_event(transaction, event_id, run_id, EventName.CASA_ASKED, stored)

        self._database.transact(work)

    def asked(self, run_id: PipelineRunId) -> list[dict[str, Any]]:
        """Return the jobs that were asked for, as they were recorded, in order."""
        return [row["job"] for row in self._database.rows("casa_jobs_of_run", pipeline_run_id=run_id)]

    def queue(self) -> Mapping[str, str]:
        """Return the runs that wait for a slot of the pool of CASA jobs, each with its place in words."""
        rows = self._database.rows("casa_queue")
        return places((row["pipeline_run_id"], row["state_since"]) for row in rows)


def _casa(row: Mapping[str, Any]) -> CasaAttempt:
    return CasaAttempt(**{**row, "pipeline_run_id": PipelineRunId(row["pipeline_run_id"])})
