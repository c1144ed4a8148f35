"""Finding the processes of an instance again, by the mark that they carry in their environment."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

import psutil

from sandbox.stack.start import INSTANCE

#: Every process that an instance starts carries its folder under this name.
MARK = INSTANCE


def marked_processes(folder: Path) -> list[psutil.Process]:
    """Return the living processes that the instance in this folder started, directly or not.

    Args:
        folder: the instance's folder.
    """
    session = _session(folder)
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.status() != psutil.STATUS_ZOMBIE and _is_of(process, folder, session):
                found.append(process)
    return found


def _is_of(process: psutil.Process, folder: Path, session: int | None) -> bool:
    try:
        return process.environ().get(MARK) == str(folder)
    except psutil.AccessDenied:  # Airflow's workers let an ordinary account not even read its own
        return session is not None and os.getsid(process.pid) == session and process.uids().real == os.getuid()


def _session(folder: Path) -> int | None:
    """Return the session of the instance's supervisor, also of one that was killed; None if there was none."""
    try:
        session = int((folder / "supervisor" / "supervisord.pid").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    # The system's own session has the number 0.
    return session if session > 1 else None


def end(processes: Iterable[psutil.Process], *, grace_seconds: float) -> None:
    """End processes: asks, and kill what does not go.

    A process handle remembers when its process was made, so a number that was given to another meanwhile is not hit.

    Args:
        processes: which.
        grace_seconds: seconds between asking and killing.
    """
    processes = list(processes)
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, stubborn = psutil.wait_procs(processes, timeout=grace_seconds)
    for process in stubborn:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stubborn, timeout=grace_seconds)
