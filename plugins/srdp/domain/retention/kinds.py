"""The kinds of things that are kept for a while."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from srdp.domain.runs.states import RunState

#: The kind of what is kept for users in the cache.
CALIBRATED_MEASUREMENT_SETS = "calibrated_measurement_sets"


@dataclass(frozen=True)
class Kind:
    """A kind of thing that is kept for a while.

    Attributes:
        name: what it is called in the text file and in the ledger.
        title: what it is, for people, in the plural.
        default_days: for how long it is kept by default.
        requests: of runs, the kinds of their requests; a run of any other is never removed.
        states: of runs, the states that they are in.
    """

    name: str
    title: str
    default_days: int
    requests: frozenset[str] = frozenset()
    states: frozenset[RunState] = frozenset()


#: What is kept for users, of no run.
MEASUREMENT_SETS: Final = Kind(CALIBRATED_MEASUREMENT_SETS, "calibrated measurement sets in the cache", 21)
