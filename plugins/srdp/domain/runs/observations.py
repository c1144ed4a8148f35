"""What ``watch_observations`` decides, and how far it looks: rules without a database.

Each SDM of the archive is decided once and for all; the ledger remembers it. New ones are found by the time of their
ingestion, from a watermark on. An overlap before the watermark finds rows whose transaction was committed late.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from srdp.domain.runs.execution_block import Decision, IngestedSdm, Verdict, verdict

#: How far back it looks when it starts for the first time: what it finds there is history, and is recorded as
#: such, so that no overlap can take it for something new. No overlap is longer.
LONGEST_OVERLAP = timedelta(hours=24)

#: Why what was there before the first start is left alone; the backlog, if one is asked for, takes up such rows.
HISTORY = "it was in the archive before the sensor first started"

_SMALLEST_STEP = timedelta(microseconds=1)


@dataclass(frozen=True)
class Noticed:
    """An SDM of the archive, and what was decided about it."""

    sdm: IngestedSdm
    verdict: Verdict


@dataclass(frozen=True)
class Backlog:
    """How far the backlog was worked through.

    Attributes:
        noticed: what was decided.
        reached: everything ingested up to this time, and at it, is decided.
        exhausted: whether the day's allowance is used up.
    """

    noticed: tuple[Noticed, ...]
    reached: datetime
    exhausted: bool


def look_from(watermark: datetime, overlap_minutes: float) -> datetime:
    """Return the time of ingestion from which the archive is asked.

    Args:
        watermark: the archive's time up to which everything visible was decided.
        overlap_minutes: how late a row may be committed, in minutes.
    """
    return watermark - min(timedelta(minutes=overlap_minutes), LONGEST_OVERLAP)


def backlog_start(date: str) -> datetime:
    """Return the time after which the backlog begins: everything ingested on the date itself belongs to it.

    Args:
        date: ``YYYY-MM-DD``, in UTC.
    """
    return datetime.fromisoformat(date).replace(tzinfo=UTC) - _SMALLEST_STEP


def decide(
    sdms: Iterable[IngestedSdm], *, decided: Mapping[str, str], existing_runs: Mapping[str, str]
) -> list[Noticed]:
    """Return a decision for each SDM that has none.

    Args:
        sdms: what the archive shows.
        decided: the reasons of the decisions that the ledger has, by ledger key.
        existing_runs: pipeline runs that somebody else has made for them, by EB name.
    """
    return [Noticed(sdm, _verdict(sdm, existing_runs)) for sdm in sdms if sdm.ledger_key not in decided]


def decide_history(sdms: Iterable[IngestedSdm]) -> list[Noticed]:
    """Return decisions that leave alone what was in the archive before the first start.

    Args:
        sdms: what the archive shows at the first start.
    """
    return [
        Noticed(sdm, Verdict(Decision.LEFT_ALONE, HISTORY) if found.decision is Decision.CALIBRATE else found)
        for sdm in sdms
        for found in [verdict(sdm)]
    ]


def decide_backlog(
    sdms: Sequence[IngestedSdm],
    *,
    date: str,
    allowance: int,
    decided: Mapping[str, str],
    existing_runs: Mapping[str, str],
) -> Backlog:
    """Works through rows of the backlog, in their order, until the day's allowance is used up.

    Args:
        sdms: at least one, in the order of their ingestion; all that share the last one's time are among them.
        date: the date from which on the backlog is wanted.
        allowance: how many may be started now.
        decided: the reasons of the decisions that the ledger has, by ledger key.
        existing_runs: pipeline runs that somebody has made for them, by EB name.
    """
    noticed: list[Noticed] = []
    for sdm in sdms:
        if decided.get(sdm.ledger_key, HISTORY) != HISTORY:
            continue
        found = _verdict(sdm, existing_runs)
        if found.decision is Decision.CALIBRATE:
            if allowance == 0:
                # The next look begins with this row.
                return Backlog(tuple(noticed), sdm.ingested_at - _SMALLEST_STEP, exhausted=True)
            allowance -= 1
            found = Verdict(Decision.CALIBRATE, f"backlog from {date}")
        noticed.append(Noticed(sdm, found))
    return Backlog(tuple(noticed), sdms[-1].ingested_at, exhausted=allowance == 0)


def _verdict(sdm: IngestedSdm, existing_runs: Mapping[str, str]) -> Verdict:
    found = verdict(sdm)
    if found.decision is Decision.CALIBRATE and sdm.name in existing_runs:
        return Verdict(Decision.LEFT_ALONE, f"pipeline run {existing_runs[sdm.name]} was already made for it")
    return found
