"""Runs that wait for a slot of the pool of CASA jobs, in words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime


def places(waiting: Iterable[tuple[str, datetime]]) -> Mapping[str, str]:
    """Return, of each run that waits for CASA, that it does, and at which place, as the end of a sentence.

    The place is by the time since when a run waits. Airflow does not promise to keep that order.

    Args:
        waiting: each run with the time (UTC) since when it can be processed, longest first.
    """
    runs = list(waiting)
    return {
        run_id: f"waits for a free slot of the CASA pool since {since:%Y-%m-%d %H:%M} UTC, place {place} of {len(runs)}"
        for place, (run_id, since) in enumerate(runs, start=1)
    }
