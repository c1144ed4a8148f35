"""What there is now, as metrics: runs, what waits to be sent, and the room in the areas."""

from __future__ import annotations

import logging
import shutil
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from srdp.check.concurrently import Check, findings
from srdp.domain.runs.states import RunState
from srdp.families import families
from srdp.hooks import metrics
from srdp.hooks.postgres import rows, transaction

if TYPE_CHECKING:
    from srdp.settings import Settings

log = logging.getLogger(__name__)

# A file system that is away answers never.
_AREA_SECONDS = 5.0
# The areas that are being looked at.
_LOOKED_AT: set[Path] = set()
_COUNTED = tuple(state for state in RunState if state is not RunState.CLEANED)


def send_gauges(settings: Settings) -> None:
    """Send every gauge; read nothing if Airflow sends no metrics.

    Args:
        settings: the ledger and the areas.

    Raises:
        ServiceUnavailable: the ledger cannot be reached.
    """
    if not metrics.are_sent():
        return
    with transaction(settings.ledger_connection, what="The ledger's database") as cursor:
        counted = rows(cursor, settings.sql / "ledger", "runs_counted")
        (outbox,) = rows(cursor, settings.sql / "ledger", "outbox_waiting")
    found = {(row["family"], row["state"]): row for row in counted}
    for family in families():
        for state in _COUNTED:
            # Also where there is none: a system that keeps the last value would show runs that are gone.
            row = found.get((family.name, state), {"runs": 0, "oldest_seconds": 0.0})
            metrics.send(metrics.RUNS, row["runs"], family=family.name, state=state)
            metrics.send(metrics.OLDEST_RUN, row["oldest_seconds"], family=family.name, state=state)
    metrics.send(metrics.MAILS, outbox["mails"])
    metrics.send(metrics.OLDEST_MAIL, outbox["oldest_seconds"])
    metrics.send(metrics.REINDEX, outbox["requests"])
    _send_room(settings)
    metrics.send(metrics.REPORTED, int(time.time()))


def _send_room(settings: Settings) -> None:
    looks = []
    for name, area in settings.named_areas().items():
        # A thread that waits for a file system that is away cannot be ended: it stays the only one.
        if area in _LOOKED_AT:
            log.warning("The room in %s is not known: %s has not answered since it was asked before.", name, area)
            continue
        _LOOKED_AT.add(area)
        looks.append(Check(name, partial(_room, name, area), f"{area} is left out", _AREA_SECONDS))
    for found in findings(looks):
        if not found.is_right:
            log.warning("The room in %s is not known: %s", found.name, found.sentence)


def _room(variable: str, area: Path) -> str:
    try:
        usage = shutil.disk_usage(area)
    finally:
        _LOOKED_AT.discard(area)
    name = variable.removeprefix("SRDP_").removesuffix("_AREA").lower()
    metrics.send(metrics.FREE, usage.free, area=name)
    metrics.send(metrics.SIZE, usage.total, area=name)
    return "is sent"
