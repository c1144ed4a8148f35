"""What the kernel says of a process."""

from __future__ import annotations

import os
from pathlib import Path

# An ordinary account cannot empty its bounding set, from which it gets nothing without further privileges.
_SETS = ("CapInh", "CapPrm", "CapEff", "CapAmb", *(["CapBnd"] if os.geteuid() == 0 else []))
#: Of a process without any capability, which can get none either.
NO_POWERS = {**dict.fromkeys(_SETS, 0), "NoNewPrivs": 1}


def powers(pid: int) -> dict[str, int]:
    """Return the capability sets of a process, and whether it is barred from getting further privileges."""
    lines = (line.partition(":") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    values = {name: value.strip() for name, _, value in lines}
    return {name: int(values[name], 16) for name in NO_POWERS}
