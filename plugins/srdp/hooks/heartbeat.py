"""Signs of life in the ledger: when what has to be done again and again was last done.

Whoever looks from outside Airflow (:mod:`srdp.health`) sees by them that nothing is done any more, whatever the reason:
a DAG that is paused, a scheduler that is stuck because a clock was set back, a worker that hangs.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from srdp.hooks.postgres import rows, transaction

if TYPE_CHECKING:
    from srdp.settings import Settings

#: The watcher in the triggerer has asked the archive for new execution blocks, and got an answer.
ARCHIVE_ASKED: Final = "archive_asked"
#: The watcher in the triggerer has asked the ledger's outboxes, and got an answer.
OUTBOX_ASKED: Final = "outbox_asked"
#: A DAG run has decided about new execution blocks.
WATCH: Final = "watch_observations"
#: A DAG run has sent the mails that were due.
MAILS: Final = "send_mails"

_LEDGER = "The ledger's database"
# Often enough for a check each minute; a process that looks every few seconds writes no row each time.
_SECONDS_BETWEEN = 30.0
# By a clock that nobody sets.
_last: dict[str, float] = {}


def beat(settings: Settings, name: str) -> None:
    """Record that something was done now; from one process at most every 30 seconds.

    Args:
        settings: which connection leads to the ledger.
        name: what was done: one of the names above.

    Raises:
        ServiceUnavailable: the ledger cannot be reached.
    """
    now = time.monotonic()
    if now - _last.get(name, -_SECONDS_BETWEEN) < _SECONDS_BETWEEN:
        return
    with transaction(settings.ledger_connection, what=_LEDGER) as cursor:
        rows(cursor, settings.sql / "ledger", "heartbeat_beat", {"name": name})
    _last[name] = now


def heartbeats(settings: Settings) -> dict[str, float]:
    """Return for how long each thing has not been done, in seconds; less than 0 if the ledger's clock was set back.

    What was never done has not been done since the ledger's tables were made, or brought to this release.

    Raises:
        ServiceUnavailable: the ledger cannot be reached.
        SettingsError: its tables are of an earlier release.
    """
    with transaction(settings.ledger_connection, what=_LEDGER) as cursor:
        found = rows(cursor, settings.sql / "ledger", "heartbeats")
    seconds = {row["name"]: row["seconds_ago"] for row in found}
    since_ever = seconds.pop(None)
    return dict.fromkeys((ARCHIVE_ASKED, OUTBOX_ASKED, WATCH, MAILS), since_ever) | seconds
