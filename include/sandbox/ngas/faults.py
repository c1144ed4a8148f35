"""Faults on demand: what tests and demonstrations have the server do wrong.

A fault is chosen by kind, and narrowed to a command, to file IDs (shell pattern) and to a number of requests. A
test adds faults in its own process; for a server in a process of its own they stand in a JSON file that is read
again whenever it changes::

    {"faults": [{"kind": "cut", "command": "RETRIEVE", "file_id": "*.sb1.*", "bytes": 100000, "times": 2}]}
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

_LOGGER = logging.getLogger(__name__)

_EVERY: frozenset[str] = frozenset()
_READS = frozenset({"RETRIEVE"})
_WRITES = frozenset({"ARCHIVE", "QARCHIVE"})
_MOVES = _READS | _WRITES
_NAMES_A_FILE = frozenset({"RETRIEVE", "STATUS", "CHECKFILE"})

#: Each kind and the commands that it can befall (none means every command).
KINDS: Mapping[str, frozenset[str]] = {
    # `bytes` of the body pass, then the connection is reset.
    "cut": _MOVES,
    # The byte at offset `bytes` is changed on its way; what is stored stays right.
    "corrupt": _MOVES,
    # `bytes` of the body pass, then nothing, until the connection is closed silently as stalled.
    "stall": _MOVES,
    # The body passes at `rate` bytes a second.
    "slow": _MOVES,
    # A file of `bytes` bytes is served (cut off or padded) with a Content-Length that fits.
    "wrong_size": _READS,
    # The file is on another node: 303 to `url` and the same path.
    "redirect": frozenset({"RETRIEVE", "CHECKFILE"}),
    # After `bytes` of the upload the disk is full: the connection is reset.
    "disk_full": _WRITES,
    # The volumes are full: the connection is closed before anything is stored, and STATUS says ONLINE.
    "volume_full": _WRITES | {"QUERY"},
    # Nothing larger than `bytes` is taken: 400 with 3014.
    "too_large": _WRITES,
    # `seconds` pass between the choice of the version and the row: the window in which two clients collide.
    "slow_commit": _WRITES,
    # 503 and a reset, as with more than ten requests at once.
    "busy": _EVERY,
    # The server is offline: 400 with 4015, and State="OFFLINE" in STATUS.
    "offline": _EVERY,
    # The request is carried out, its reply is not sent.
    "reply_lost": _EVERY,
    # Nothing is done, the connection is closed without a reply.
    "empty_reply": _EVERY,
    # `seconds` pass before the request is looked at.
    "delay": _EVERY,
    # An answer with the HTTP status `status` (403, for instance) and `message`.
    "refuse": _EVERY,
    # The stored file is deleted from the disk, cut off after `bytes`, or changed at offset `bytes`.
    "delete_stored": _NAMES_A_FILE,
    "truncate_stored": _NAMES_A_FILE,
    "corrupt_stored": _NAMES_A_FILE,
}


@dataclass
class Fault:
    """One thing that the server does wrong.

    Attributes:
        kind: a key of :data:`KINDS`.
        command: the command that it befalls; empty for every one that the kind can befall.
        file_id: shell pattern of the file IDs that it befalls.
        times: how many requests it befalls; None for all.
        bytes: number of bytes or an offset, as the kind says.
        rate: bytes a second.
        seconds: how long, in seconds.
        status: HTTP status.
        message: text of a refusal.
        url: address of another node, for example ``http://127.0.0.1:7778``.
        hits: how many requests it has befallen.
    """

    kind: str
    command: str = ""
    file_id: str = "*"
    times: int | None = None
    bytes: int = 0
    rate: int = 0
    seconds: float = 0.0
    status: int = 403
    message: str = "Unauthorized access denied"
    url: str = ""
    hits: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"there is no fault {self.kind!r}: choose one of {', '.join(KINDS)}")
        if self.kind == "slow" and self.rate <= 0:
            raise ValueError("the fault 'slow' needs a rate above 0 in bytes a second")

    def befalls(self, command: str, file_id: str) -> bool:
        """Whether a request is one of those that this fault is meant for."""
        commands = KINDS[self.kind]
        return (
            (not commands or command in commands)
            and self.command in ("", command)
            and fnmatchcase(file_id, self.file_id)
            and (self.times is None or self.hits < self.times)
        )


class Faults:
    """The faults in force, from this process and from a file.

    Args:
        file: a JSON file of faults; it may be missing and may come later.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._seen: tuple[int, int] | None = None
        self._here: list[Fault] = []
        self._from_file: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, kind: str, **options: Any) -> Fault:  # noqa: ANN401
        """Put a fault into force and return it, so that its ``hits`` can be counted.

        Args:
            kind: a key of :data:`KINDS`.
            options: further attributes of :class:`Fault`.

        Raises:
            ValueError: there is no such kind.
        """
        fault = Fault(kind, **options)
        with self._lock:
            self._here.append(fault)
        return fault

    def clear(self) -> None:
        """Take the faults that were added in this process out of force."""
        with self._lock:
            self._here.clear()

    def take(self, command: str, file_id: str) -> dict[str, Fault]:
        """Return the faults that befall a request, by kind, and count it.

        Args:
            command: the request's command.
            file_id: the file it is about, or nothing.
        """
        with self._lock:
            self._read_file()
            found: dict[str, Fault] = {}
            for fault in (*self._here, *self._from_file):
                if fault.kind not in found and fault.befalls(command, file_id):
                    fault.hits += 1
                    found[fault.kind] = fault
            return found

    def _read_file(self) -> None:
        """Take over the file if it changed; faults that stand in it as before keep their count."""
        if self._file is None:
            return
        try:
            state = self._file.stat()
            seen = (state.st_mtime_ns, state.st_size)
            if seen == self._seen:
                return
            entries = json.loads(self._file.read_text(encoding="utf-8"))["faults"]
            faults = [_fault(entry) for entry in entries]
        except FileNotFoundError:
            self._seen, self._from_file = None, []
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            # Perhaps half written: the next request reads it again, until then the former faults stay.
            _LOGGER.warning("The fault list %s cannot be used: %s", self._file, error)
            return
        former = list(self._from_file)
        for place, fault in enumerate(faults):
            if fault in former:
                faults[place] = former.pop(former.index(fault))
        self._seen, self._from_file = seen, faults


def _fault(entry: Mapping[str, Any]) -> Fault:
    unknown = set(entry) - {item.name for item in fields(Fault)}
    if unknown:
        raise ValueError(f"a fault has no {', '.join(sorted(unknown))}")
    return Fault(**entry)
