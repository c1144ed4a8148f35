"""Starts a component after ending what a killed predecessor left: ``python -I start.py COMMAND ...``.

The workers of a scheduler that was killed would stay forever, 130 MB each, and the triggers of a killed triggerer
would run twice. A service manager ends them with the service; the supervisor does not, so this does it. CASA jobs are
not touched: they are in sessions of their own, because they are to survive.
"""

from __future__ import annotations

import contextlib
import os
import sys

import psutil

#: The variable that names the instance's folder in the environment of each of its processes.
INSTANCE = "SRDP_INSTANCE_FOLDER"


def end_predecessors() -> None:
    """Kill every process of the supervisor's session that has lost its parents: its component was killed.

    Their environment does not show it: Airflow's workers let nobody read theirs who has no right to everything.
    """
    supervisor = os.getppid()
    if os.getsid(0) != supervisor:
        return  # started by hand
    left = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if os.getsid(process.pid) != supervisor or process.pid == supervisor:
                continue
            if supervisor not in [parent.pid for parent in process.parents()]:
                process.kill()
                left.append(process)
    psutil.wait_procs(left, timeout=10)


if __name__ == "__main__":
    end_predecessors()
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606  that is its purpose
