"""The wrapper process that keeps CASA independent of everything that may die: started once a job, in its own Python.

    python -I -c … srdp.engines.local_job <spool area>/<pipeline run ID>/<job name> [stay]

It needs the standard library only, because it must continue when the environment that started it is replaced.
Everything that others know of the job is a record in the job's folder, see :mod:`srdp.engines.local_records`. This
process is the service's own account's, and so are the records, whatever account the program runs under.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from srdp.domain.files.spool_files import NotTheServicesOwn
from srdp.engines.account import AccountNotAllowed, Agent, open_up_as, start_signalling_as
from srdp.engines.local_records import (
    CANCEL,
    ENDED,
    JOB,
    LOCK,
    STARTED,
    STDERR,
    STDOUT,
    STOP_REQUESTED,
    is_there,
    lock,
    now,
    opened,
    read_record,
    record_end,
    reserve,
    this_place,
    write_once,
)
from srdp.engines.processes import Tree, adopt_orphans, launch, start_in_background, stop_main_thread, wait

_LOCK_TIMEOUT_SECONDS = 30.0
# How often it is looked whether somebody, who may not be able to signal this process, has cancelled the job.
_CANCEL_SECONDS = 1.0
_STARTED = b"started"
_LONGEST_CAUSE = 1000
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND


def _lock(folder: Path) -> bool:
    """Locks the job for this process; ``False`` if it needs no start any more. The lock is never given back."""
    give_up = time.monotonic() + _LOCK_TIMEOUT_SECONDS
    while not lock(folder / LOCK):
        # Held by another start of the same job, or for an instant by somebody who looks.
        if _needs_no_start(folder):
            return False
        if time.monotonic() > give_up:
            sys.exit(f"{folder / LOCK} is locked by a process that does not start the job")
        time.sleep(0.02)
    return not _needs_no_start(folder)


def _needs_no_start(folder: Path) -> bool:
    return any(is_there(folder / name) for name in (STARTED, CANCEL, ENDED))


def _run(folder: Path, answer: int) -> None:
    """Start the program if it was not started, wait for it and record its end.

    Args:
        folder: the job's folder.
        answer: where to say that the job has been started, by this process or another.
    """
    if not _lock(folder):
        print(f"{now()} It was started, ended or cancelled before, and is not started again.", flush=True)
        os.write(answer, _STARTED)
        return
    job = read_record(folder / JOB)
    if not job:
        sys.exit(f"{folder / JOB} cannot be read")
    reserve(folder)
    account = job.get("account")
    tree = Tree(
        float(job["grace_seconds"]), (lambda number: start_signalling_as(account, folder, number)) if account else None
    )
    with opened(folder / STDOUT, _APPEND) as stdout, opened(folder / STDERR, _APPEND) as stderr:
        # Before the record that nobody else may start CASA: that sudo refuses is fixed, and then it is started.
        agent = _agent(account, folder) if account else None
        record: dict[str, object] = {**this_place(), "started_at": now()}
        if not write_once(folder / STARTED, {**record, "wrapper_pid": os.getpid()}):
            os.write(answer, _STARTED)
            return
        # Who cancels looks whether there is a start after it has written that; this looks the other way round.
        if tree.stop_requested or _is_cancelled(folder):
            end: dict[str, object] = {"stop_requested": True}
        else:
            end = _run_program(folder, job, agent, (stdout, stderr), tree, answer)
    if account:
        _open_up(account, job)
    stop_requested = end.pop("stop_requested", False)
    if stop_requested:
        cancel = _why_ended(folder)
        end["cancelled"] = cancel is not None and not cancel.get("lost")
        end["cause"] = (cancel or {}).get("cause", STOP_REQUESTED)
    if "cause" in end:
        end["cause"] = str(end["cause"])[:_LONGEST_CAUSE]
    record_end(folder, {**record, **end, "ended_at": now()})


def _agent(account: str, folder: Path) -> Agent:
    adopt_orphans()
    try:
        return Agent(account, folder)
    except AccountNotAllowed as error:
        sys.exit(str(error))


def _open_up(account: str, job: Mapping[str, Any]) -> None:
    try:
        open_up_as(account, Path(job["working_directory"]).parent)
    except AccountNotAllowed as error:
        print(f"{now()} {error}", file=sys.stderr, flush=True)


def _why_ended(folder: Path) -> dict[str, Any] | None:
    try:
        return read_record(folder / CANCEL)
    except (OSError, NotTheServicesOwn):  # that it ended must be recorded all the same
        return None


def _is_cancelled(folder: Path) -> bool:
    try:
        return is_there(folder / CANCEL)
    except (OSError, NotTheServicesOwn):  # it is looked again
        return False


def _end_when_cancelled(folder: Path, over: threading.Event) -> None:
    """Tell this process to end as soon as the job is cancelled, and again until its program is gone.

    Again, because a signal that comes just before the main thread waits in the kernel is noticed with the next one.
    """
    while not over.wait(_CANCEL_SECONDS):
        if _is_cancelled(folder):
            stop_main_thread()


def _run_program(
    folder: Path, job: Mapping[str, Any], agent: Agent | None, streams: tuple[int, int], tree: Tree, answer: int
) -> dict[str, object]:
    try:
        if agent is None:
            program = launch(job["command"], job["working_directory"], job["environment"], *streams)
        else:
            program = agent.process
            agent.launch(
                job["command"], job["working_directory"], job["environment"], float(job["grace_seconds"]), streams
            )
    except (OSError, subprocess.SubprocessError) as error:
        return {"exit_code": 127, "cause": f"{job['command'][0]} could not be started: {error}"}
    finally:
        with contextlib.suppress(BrokenPipeError):
            os.write(answer, _STARTED)
        os.close(answer)
    over = threading.Event()
    start_in_background(lambda: _end_when_cancelled(folder, over))  # not above: this thread alone is to fork
    if tree.stop_requested:  # between the look before the launch and the launch
        tree.end()
    end = wait(program.pid, tree)
    over.set()
    if agent is not None and (fault := agent.fault()):
        end["cause"] = f"{job['command'][0]} could not be started: {fault}"
    return end


def main(arguments: Sequence[str]) -> int:
    """Start the job in a process without a parent; returns 0 when it has been started, by this call or another.

    With ``stay``, as a batch system needs it, in this process; returns 0 when the job has ended.
    """
    folder = Path(arguments[0])
    reading, writing = os.pipe()
    if arguments[1:] == ["stay"]:
        _run(folder, writing)  # which is as little as a pipe takes that nobody reads
        return 0
    if os.fork():
        os.close(writing)
        return 0 if os.read(reading, len(_STARTED)) == _STARTED else 1
    os.close(reading)
    os.setsid()
    _run(folder, writing)
    return 0
