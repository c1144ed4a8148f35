"""What HTCondor's user log says about a job: it can be read without a pool, and it outlives the queue.

The schedd and the shadow write it as the service's own account into the job's folder. It is read by the official
bindings, and opened by the rules of the spool area: what is not the service's own is not believed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

from srdp.engines.base import Limit, QueuedJob, QueueState
from srdp.engines.local_records import opened

#: The log's name in the job's folder.
USER_LOG: Final = "condor.log"
#: How the reasons begin that the job itself gives HTCondor for its removal, see :mod:`srdp.engines.htcondor`.
TOO_LONG, TOO_MUCH_MEMORY = "longer than its wall time", "more memory than requested"
#: HTCondor's codes of a hold for a limit: out of resources; running, or executing, for longer than allowed.
LIMITS_OF_HOLDS: Final[Mapping[int, Limit]] = {34: Limit.MEMORY, 46: Limit.WALL_TIME, 47: Limit.WALL_TIME}
# A job of 10 days that logs its size every minute writes 3 MB.
_LARGEST_BYTES = 32 << 20


class _Event(IntEnum):
    SUBMITTED = 0
    EXECUTING = 1
    EVICTED = 4
    TERMINATED = 5
    ABORTED = 9
    HELD = 12
    RELEASED = 13
    DISCONNECTED = 22
    RECONNECTED = 23
    RECONNECT_FAILED = 24


# Where a job is after an event; one that is not named changes nothing.
_STATES = {
    _Event.SUBMITTED: QueueState.WAITING,
    _Event.EXECUTING: QueueState.RUNNING,
    _Event.EVICTED: QueueState.WAITING,
    _Event.TERMINATED: QueueState.ENDED,
    _Event.ABORTED: QueueState.ENDED,
    _Event.HELD: QueueState.HELD,
    _Event.RELEASED: QueueState.WAITING,
    _Event.DISCONNECTED: QueueState.RUNNING,
    _Event.RECONNECTED: QueueState.RUNNING,
    _Event.RECONNECT_FAILED: QueueState.WAITING,
}
_LOOKED_AT = tuple(f"{event:03d} (".encode() for event in _STATES)
_END = b"\n...\n"
# What takes a job off its node, in words; HTCondor's own reason follows.
_TAKEN_OFF = {
    _Event.EVICTED: "evicted",
    _Event.ABORTED: "removed from the queue",
    _Event.HELD: "held",
    _Event.RECONNECT_FAILED: "lost with its node",
}


@dataclass
class _Record:
    """What the events say so far."""

    state: QueueState | None = None
    native_id: str = ""
    host: str | None = None
    at_present: str = ""
    taken_off: str = ""
    limit: Limit | None = None
    holds: int = 0

    def add(self, event: Mapping[str, Any]) -> None:
        number = event.get("EventTypeNumber")
        if number not in _STATES:
            return
        kind, reason = _Event(number), _reason(event)
        if kind is _Event.SUBMITTED:
            # What the log has of a former submission is not this one's.
            self.taken_off, self.host, self.limit = "", None, None
        if kind is _Event.EXECUTING:
            self.host = str(event.get("SlotName", "")).rpartition("@")[2] or None
            if self.state is QueueState.RUNNING:
                self.taken_off = "started a second time, because its shadow was gone"
        elif kind in _TAKEN_OFF:
            self.taken_off = f"{_TAKEN_OFF[kind]}{f': {reason}' if reason else ''}"
        self.at_present, self.holds = reason, self.holds + (kind is _Event.HELD)
        self.limit = self.limit or limit_of(reason, event.get("HoldReasonCode"))
        self.native_id = f"{event.get('Cluster', 0)}.{event.get('Proc', 0)}"
        self.state = _STATES[kind]

    @property
    def reason(self) -> str:
        """Why the job is where it is."""
        is_here = self.state in {QueueState.RUNNING, QueueState.HELD}
        return self.at_present if is_here else self.taken_off


def make_log(folder: Path) -> None:
    """Make the user log in a job's folder, which HTCondor then writes on; nobody else may write it.

    Args:
        folder: the job's folder.

    Raises:
        NotTheServicesOwn: there is one that is not the service's own.
    """
    with opened(folder / USER_LOG, os.O_WRONLY | os.O_CREAT):
        pass


def read_log(folder: Path) -> QueuedJob | None:
    """Return what the user log in a job's folder says about the job; ``None`` if it says nothing yet.

    Of a job that is no longer on a node, the reason is why it was taken off it.

    Args:
        folder: the job's folder.

    Raises:
        NotTheServicesOwn: the log is not the service's own.
    """
    try:
        with opened(folder / USER_LOG, os.O_RDONLY) as descriptor:
            if os.fstat(descriptor).st_size > _LARGEST_BYTES:
                return None
            return _job(folder.name, _events(descriptor))
    except FileNotFoundError:
        return None


def limit_of(reason: str, hold_code: object = None) -> Limit | None:
    """Return for which limit HTCondor ended a job.

    Args:
        reason: HTCondor's reason of the removal or the hold.
        hold_code: its code of the hold.
    """
    if TOO_MUCH_MEMORY in reason:
        return Limit.MEMORY
    if TOO_LONG in reason:
        return Limit.WALL_TIME
    return LIMITS_OF_HOLDS.get(hold_code) if isinstance(hold_code, int) else None


def _events(descriptor: int) -> Iterable[Mapping[str, Any]]:
    import htcondor2

    # The bindings are given only what is looked at: nearly all of a log is about the size of the job.
    with os.fdopen(descriptor, "rb", closefd=False) as stream:
        *whole, _half_written = stream.read(_LARGEST_BYTES).split(_END)
    with os.fdopen(os.memfd_create(USER_LOG), "wb") as record:
        record.writelines(event + _END for event in whole if event.startswith(_LOOKED_AT))
        record.flush()
        log = htcondor2.JobEventLog(f"/proc/self/fd/{record.fileno()}")
        # An event that the bindings cannot read ends what counts: what a job left decides, not its log.
        with log, contextlib.suppress(htcondor2.HTCondorException):
            yield from log.events(stop_after=0)


def _job(name: str, events: Iterable[Mapping[str, Any]]) -> QueuedJob | None:
    record = _Record()
    for event in events:
        record.add(event)
    if record.state is None:
        return None
    return QueuedJob(
        name=name,
        native_id=record.native_id,
        state=record.state,
        reason=record.reason,
        host=record.host if record.state is QueueState.RUNNING else None,
        limit=record.limit,
        holds=record.holds,
    )


def _reason(event: Mapping[str, Any]) -> str:
    for name in ("HoldReason", "Reason", "DisconnectReason"):
        if value := event.get(name):
            return str(value).strip()
    return ""
