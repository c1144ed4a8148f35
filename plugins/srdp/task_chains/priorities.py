"""Which step comes first when more could run than there is room for: one place for the weights of all tasks.

Airflow's own rule gives a task the weight of all that comes after it. The first steps of a hundred runs then come
before the last step of any: every run is opened and fetched before one is delivered. Here weights are absolute: what
people wait for comes first, and a run that was begun continues before the next is opened.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any


class Kind(IntEnum):
    """What a task is for; the larger comes first. Of two tasks of a chain the later comes first."""

    NEW_RUN = 100
    """Opens a run: it may wait until there is nothing else to do."""

    HOUSEKEEPING = 200
    """Nobody waits for it, but it must not wait for the end of a burst."""

    STEP = 300
    """A step of a run that was begun."""

    PERSON = 500
    """Somebody has asked for it and looks at it: a verdict, an assignment, a removal."""

    OBSERVATIONS = 700
    """Notices observations: those of the next burst do not wait for the runs of this one."""

    EVERYBODY = 800
    """Mails, and the reconciling of runs: rare, short, and everybody waits for it."""


def priority(kind: Kind, depth: int = 0) -> dict[str, Any]:
    """Return the arguments of a task that give it its weight.

    Args:
        kind: what it is for.
        depth: how many tasks of its chain come before it.
    """
    return {"priority_weight": int(kind) + depth, "weight_rule": "absolute"}
