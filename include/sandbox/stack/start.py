"""Starts a component after ending what a killed predecessor left: ``python -I start.py COMMAND ...``.

The workers of a scheduler that was killed would stay for ever, 130 MB each, and the triggers of a killed triggerer
would run twice. A service manager ends them with the service; the supervisor does not, so this does it. CASA jobs are
not touched: they carry no mark, because they are to survive.
"""

from __future__ import annotations

import contextlib
import os
import sys

import psutil

#: Names the component in the environment of its processes; beside the instance's own mark.
COMPONENT = "SRDP_COMPONENT"
INSTANCE = "SRDP_INSTANCE_FOLDER"


def end_predecessors() -> None:
    """Kills every process of this component and this instance but the present one."""
    mine = {name: os.environ[name] for name in (COMPONENT, INSTANCE)}
    left = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and mine.items() <= process.environ().items():
                process.kill()
                left.append(process)
    psutil.wait_procs(left, timeout=10)


if __name__ == "__main__":
    end_predecessors()
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606  that is its purpose
