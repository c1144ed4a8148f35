"""The states of a pipeline run, and which may follow which.

What is not on the list is refused with a sentence that names the state and the way out of it. That at most one
run of a request is active is held by a unique index of the ledger, not here.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from srdp.domain.common.errors import Refused


class RunState(StrEnum):
    """The state of a pipeline run; the value is what the ledger stores and what people read."""

    CREATED = "created"
    FETCHING = "fetching"
    PROCESSING = "processing"
    AWAITING_QA = "awaiting_qa"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INGESTING = "ingesting"
    INGEST_FAILED = "ingest_failed"
    ARCHIVED = "archived"
    SUPERSEDED = "superseded"
    REJECTED = "rejected"
    CLEANING = "cleaning"
    CLEANED = "cleaned"


#: Runs in these states are being worked on: a request has at most one of them.
ACTIVE: frozenset[RunState] = frozenset(
    {RunState.CREATED, RunState.FETCHING, RunState.PROCESSING, RunState.INGESTING, RunState.INGEST_FAILED}
)

#: The states that the DAG which opened the run is responsible for: when it ends, no run may stay in one of them.
BEFORE_DELIVERY: frozenset[RunState] = frozenset({RunState.CREATED, RunState.FETCHING, RunState.PROCESSING})

#: A rerun in one of these states takes, or will take, the raw data of the run that it repeats.
TAKES_RAW_DATA: frozenset[RunState] = frozenset({RunState.CREATED, RunState.FETCHING})

#: State -> the states that may follow it.
TRANSITIONS: Mapping[RunState, frozenset[RunState]] = MappingProxyType(
    {
        RunState.CREATED: frozenset({RunState.FETCHING, RunState.CANCELLED}),
        RunState.FETCHING: frozenset({RunState.PROCESSING, RunState.FAILED, RunState.CANCELLED}),
        RunState.PROCESSING: frozenset({RunState.AWAITING_QA, RunState.FAILED, RunState.CANCELLED}),
        # Superseded: a sibling was archived on a pass, which seals the request.
        RunState.FAILED: frozenset({RunState.REJECTED, RunState.SUPERSEDED, RunState.CLEANING}),
        RunState.CANCELLED: frozenset({RunState.REJECTED, RunState.SUPERSEDED, RunState.CLEANING}),
        RunState.AWAITING_QA: frozenset({RunState.INGESTING, RunState.REJECTED, RunState.SUPERSEDED}),
        RunState.INGESTING: frozenset({RunState.ARCHIVED, RunState.INGEST_FAILED}),
        RunState.INGEST_FAILED: frozenset({RunState.INGESTING, RunState.AWAITING_QA}),
        # Ingesting again what was never put into NGAS.
        RunState.ARCHIVED: frozenset({RunState.INGESTING, RunState.CLEANING}),
        RunState.SUPERSEDED: frozenset({RunState.CLEANING}),
        RunState.REJECTED: frozenset({RunState.CLEANING}),
        RunState.CLEANING: frozenset({RunState.CLEANED}),
        RunState.CLEANED: frozenset(),
    }
)

_MEANING: Mapping[RunState, str] = MappingProxyType(
    {
        RunState.CREATED: "it was opened and has not begun",
        RunState.FETCHING: "its raw data are being fetched",
        RunState.PROCESSING: "CASA is at work on it",
        RunState.AWAITING_QA: "it waits in the QA area for a verdict",
        RunState.FAILED: "it failed",
        RunState.CANCELLED: "it was cancelled",
        RunState.INGESTING: "it is being ingested into the archive",
        RunState.INGEST_FAILED: "its ingest into the archive failed",
        RunState.ARCHIVED: "it is in the archive",
        RunState.SUPERSEDED: "another run of its request was archived instead",
        RunState.REJECTED: "it failed QA",
        RunState.CLEANING: "its directory is being removed",
        RunState.CLEANED: "its directory has been removed",
    }
)

_WAY_OUT: Mapping[RunState, str] = MappingProxyType(
    {
        RunState.CREATED: "let it start, or stop it: mark its running step as failed in Airflow",
        RunState.FETCHING: "wait until it is done, or stop it: mark its running step as failed in Airflow",
        RunState.PROCESSING: "wait until it is done, or stop it: mark its running step as failed in Airflow",
        RunState.AWAITING_QA: "pass it, fail it or rerun it",
        RunState.FAILED: "rerun it, which makes a new run, or fail its QA",
        RunState.CANCELLED: "rerun it, which makes a new run, or fail its QA",
        RunState.INGESTING: "wait until the ingest is done",
        RunState.INGEST_FAILED: "give the same verdict again to repeat the ingest, or withdraw the verdict",
        RunState.ARCHIVED: "clean it up, reopen its request for a rerun or, of a calibration, change its QA flag",
        RunState.SUPERSEDED: "clean it up; the archived run is the one that counts",
        RunState.REJECTED: "remove its directory, or rerun it, which fetches again",
        RunState.CLEANING: "let the cleanup finish by running it again",
        RunState.CLEANED: "rerun it, which fetches again",
    }
)


def remedy_for(state: RunState) -> str:
    """Return what can be done with a run in this state, as the end of a sentence."""
    return _WAY_OUT[state]


def state_after_failure(state: RunState) -> RunState:
    """Return the state of a run whose DAG run ended without delivering it.

    A run that has not begun has nothing that could have failed in it: it is cancelled.

    Args:
        state: one of :data:`BEFORE_DELIVERY`.
    """
    return RunState.CANCELLED if state is RunState.CREATED else RunState.FAILED


def check_transition(run_id: str, current: RunState, wanted: RunState) -> None:
    """Refuse a change of state that is not allowed.

    Args:
        run_id: the pipeline run ID, for the sentence.
        current: the state that the run is in.
        wanted: the state that it shall be in next.

    Raises:
        Refused: the table does not allow it; the sentence names the state and what can be done.
    """
    if wanted not in TRANSITIONS[current]:
        raise Refused(
            f"Pipeline run {run_id} is in state {current} ({_MEANING[current]}) and cannot become {wanted}: "
            f"{_WAY_OUT[current]}."
        )
