"""For which limit a batch system has ended a job, and the message about it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from srdp.engines.base import JobStatus, Limit

# A batch system's clock and the job's own differ a little; so does what either calls the beginning.
_NEAR_THE_WALL_TIME = timedelta(seconds=60)
_NEAR_THE_MEMORY = 0.9
_GB = 10**9


def limit_by_figures(status: JobStatus, submission: Mapping[str, Any]) -> Limit | None:
    """Return for which limit a job that was killed was ended, as far as its figures say.

    Args:
        status: how it ended.
        submission: the record of its submission, with the limits that it was given.
    """
    hours, memory = submission.get("wall_time_hours"), submission.get("memory_gb")
    if hours and status.started_at and status.ended_at:
        wall_time = timedelta(hours=hours)
        if status.ended_at - status.started_at >= wall_time - min(_NEAR_THE_WALL_TIME, wall_time / 10):
            return Limit.WALL_TIME
    if memory and status.signal == "SIGKILL" and (status.peak_memory_bytes or 0) >= _NEAR_THE_MEMORY * memory * _GB:
        return Limit.MEMORY
    return None


def limit_sentence(limit: str | None, submission: Mapping[str, Any], title: str, variable: str) -> str | None:
    """Return that a job was ended for a limit, with the figure to raise, as the end of a sentence.

    Args:
        limit: the limit; ``None`` if there was none.
        submission: the record of its submission, with the limits that it was given.
        title: what people call the batch system.
        variable: how the variables of its settings begin.
    """
    if limit == Limit.WALL_TIME:
        length = length_of(submission["wall_time_hours"])
        return f"{title} ended it after its wall time of {length}; raise {variable}__WALL_TIME_HOURS"
    if limit == Limit.MEMORY:
        return (
            f"{title} ended it because it used more than the {submission.get('memory_gb', '?')} GB of memory that it "
            f"was given; ask for more in the form, or raise {variable}__MEMORY_GB"
        )
    return None


def length_of(hours: float) -> str:
    """Return a length of time for people: in hours from one on, below in minutes, and below one of these in seconds.

    Args:
        hours: the length, in hours.
    """
    if hours >= 1:
        return f"{hours:.4g} h"
    minutes = hours * 60
    return f"{minutes:.3g} min" if minutes >= 1 else f"{minutes * 60:.2g} s"
