"""What an expiry does not remove without a confirmation: much at once, or recent runs.

A number that was mistyped in the retention file, a clock that jumped or a ledger that was restored from an old copy
make everything expire at once. What a person has seen on a list may go; nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from srdp.domain.common.errors import SrdpError
from srdp.domain.retention.expiry import Expiring

# So few are no share of anything: a site that has just begun has few in all.
_FEW: Final = 10


class ClocksDiffer(SrdpError):
    """The ledger's clock and that of this host differ, so that the age of things is not known."""


@dataclass(frozen=True)
class Brake:
    """How much goes without asking.

    Attributes:
        most: so many at once.
        largest_share: such a part of all that is there, from 0 to 1.
        youngest: nothing that is in its state for a shorter time.
    """

    most: int
    largest_share: float
    youngest: timedelta

    def why_it_stops(self, things: Sequence[Expiring], there: int, now: datetime) -> tuple[str, ...]:
        """Return why so much is not removed without asking, a sentence each; nothing if it may be.

        Args:
            things: what would be removed.
            there: how many there are in all.
            now: the moment that counts.
        """
        number = len(things)
        young = [thing for thing in things if now - thing.since < self.youngest]
        why = []
        if number > self.most:
            why.append(f"{number} would be removed at once, more than {self.most} (SRDP_EXPIRY_MOST_RUNS).")
        if number > _FEW and number > self.largest_share * there:
            why.append(
                f"{number} of {there} would be removed at once, a larger share than {self.largest_share:g} "
                "(SRDP_EXPIRY_LARGEST_SHARE)."
            )
        if young:
            named = ", ".join(thing.pipeline_run_id for thing in young[:3]) + (" and more" if len(young) > 3 else "")
            why.append(
                f"{len(young)} would be removed that came into their state less than "
                f"{self.youngest / timedelta(days=1):g} days ago (SRDP_EXPIRY_YOUNGEST_DAYS): {named}."
            )
        return tuple(why)


def list_name(things: Sequence[Expiring]) -> str:
    """Return a name for a list of what would be removed; the same for the same list, in any order."""
    names = sorted(f"{thing.kind} {thing.pipeline_run_id}" for thing in things)
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:32]


def check_clocks(ledger: datetime, before: datetime, after: datetime, largest: timedelta) -> timedelta:
    """Return by how much two clocks differ, if it is little.

    Args:
        ledger: the time of the ledger's clock.
        before: the time of this host's clock just before.
        after: its time just after.
        largest: the largest difference that is no fault.

    Raises:
        ClocksDiffer: they differ by more.
    """
    difference = max(before - ledger, ledger - after, timedelta())
    if difference > largest:
        raise ClocksDiffer(
            f"The ledger's clock says {ledger:%Y-%m-%d %H:%M:%S} UTC and this host's {after:%Y-%m-%d %H:%M:%S} UTC, "
            f"more than {largest / timedelta(minutes=1):g} minutes apart (SRDP_LARGEST_CLOCK_DIFFERENCE_MINUTES): "
            "correctthe wrong one; until then nothing is removed for its age."
        )
    return difference
