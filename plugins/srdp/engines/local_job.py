"""The process that stands between CASA and everything that may die: started once for each job, by its own file.

    python -I local_job.py <spool>/<job name>

It needs the standard library only, because it must go on when the environment that started it is replaced. Everything
that others know of the job is a file in the job's folder, and appears complete or not at all:

    job.json      what to run; the claim of the job's name
    lock          locked (flock) for as long as this process lives; the kernel unlocks it, however this process ends
    started.json  made exclusively, immediately before the program is started: the program is started at most once
    cancel.json   why the job is to end; a job that has one and was not started never starts
    ended.json    how the program ended; written when the last of its processes is gone
    .ended        the space for it, taken before the start: that a run of days has ended must not be lost in a full disk
    stdout stderr wrapper.log
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

#: The variable by which every process of a job is known; its value is the job's folder.
MARKER = "CASA_JOB_FOLDER"

JOB, LOCK, STARTED, CANCEL, ENDED = "job.json", "lock", "started.json", "cancel.json", "ended.json"
STDOUT, STDERR, WRAPPER_LOG = "stdout", "stderr", "wrapper.log"
RESERVED = ".ended"

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LOCK_PATIENCE_SECONDS = 30.0
_STARTED = b"started"
# One block of a usual file system; the record of an end is a few hundred bytes.
_RESERVED_BYTES = 4096
_LONGEST_CAUSE = 1000
# Nobody else knows how the program ended: a file server may be away, or the disk full, for a weekend.
_RECORD_PATIENCE_SECONDS = 72 * 3600.0
_LONGEST_PAUSE_SECONDS = 60.0


def read_record(path: Path) -> dict[str, Any] | None:
    """Returns a record of the job, ``None`` if there is none, and an empty one if it cannot be read."""
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def write_once(path: Path, record: Mapping[str, object]) -> bool:
    """Writes a record if there is none, exclusively: of any number of callers one wins, and it appears complete.

    A hard link is the exclusive creation (``O_EXCL``) of a name that has its content from the first moment.

    Returns:
        whether this call wrote it.
    """
    temporary = _write_temporary(path, record)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    _sync_folder(path.parent)
    return True


def host_and_boot() -> dict[str, str]:
    """Returns this machine's name and the identity of its present boot."""
    return {
        "host": socket.gethostname(),
        "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip(),
    }


def _write_temporary(path: Path, record: Mapping[str, object]) -> Path:
    temporary = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.{time.monotonic_ns()}")
    with temporary.open("xb") as stream:
        stream.write(json.dumps(record, indent=1).encode())
        stream.flush()
        os.fsync(stream.fileno())
    return temporary


def _replace(path: Path, record: Mapping[str, object]) -> None:
    _write_temporary(path, record).replace(path)
    _sync_folder(path.parent)


def _reserve(folder: Path) -> None:
    """Takes the space for the record of the end; raises OSError if there is none, before anything is started."""
    with (folder / RESERVED).open("wb") as stream:
        stream.write(b" " * _RESERVED_BYTES)
        stream.flush()
        os.fsync(stream.fileno())


def _write_end(folder: Path, record: Mapping[str, object]) -> None:
    """Writes the record of the end over the space that was taken for it, and gives it its name."""
    content = json.dumps(record, indent=1).encode().ljust(_RESERVED_BYTES)  # blanks behind JSON mean nothing
    reserved = folder / RESERVED
    try:
        descriptor = os.open(reserved, os.O_WRONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        if (folder / ENDED).exists():  # a former call gave it its name and was refused what comes after that
            _sync_folder(folder)
            return
        _replace(folder / ENDED, record)
        return
    try:
        written = 0
        while written < len(content):
            written += os.pwrite(descriptor, content[written:], written)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    reserved.replace(folder / ENDED)
    _sync_folder(folder)


def record_end(
    folder: Path,
    record: Mapping[str, object],
    *,
    pause: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Writes the record of the end, and goes on trying while the file system refuses, whatever it says.

    Args:
        folder: the job's folder.
        record: how the program ended.
        pause: waits, in seconds.
        clock: seconds.

    Raises:
        OSError: it refused for too long.
    """
    give_up, wait = clock() + _RECORD_PATIENCE_SECONDS, 1.0
    while True:
        try:
            _write_end(folder, record)
        except OSError as error:
            if clock() + wait > give_up:
                raise
            with contextlib.suppress(OSError):  # the log may lie on the same full disk
                print(f"{_now()} The end cannot be recorded ({error}); trying again.", file=sys.stderr, flush=True)
            pause(wait)
            wait = min(2 * wait, _LONGEST_PAUSE_SECONDS)
        else:
            return


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _lock(folder: Path) -> bool:
    """Locks the job for this process; ``False`` if it needs no start any more. The lock is never given back."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    give_up = time.monotonic() + _LOCK_PATIENCE_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            # Held by another start of the same job, or for an instant by somebody who looks.
            if _needs_no_start(folder):
                return False
            if time.monotonic() > give_up:
                sys.exit(f"{folder / LOCK} is locked by a process that does not start the job")
            time.sleep(0.02)
        else:
            return not _needs_no_start(folder)


def _needs_no_start(folder: Path) -> bool:
    return any((folder / name).exists() for name in (STARTED, CANCEL, ENDED))


class _Tree:
    """The processes below this one, and how they are ended: SIGTERM, some seconds, SIGKILL until none is left."""

    def __init__(self, grace_seconds: float) -> None:
        self._grace_seconds = grace_seconds
        self.told_to_end = False
        signal.signal(signal.SIGALRM, self._kill)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._told_to_end)

    def end(self) -> None:
        self._send(signal.SIGTERM)
        signal.setitimer(signal.ITIMER_REAL, self._grace_seconds, 1.0)

    def _told_to_end(self, _number: int, _frame: FrameType | None) -> None:
        if not self.told_to_end:
            self.told_to_end = True
            self.end()

    def _kill(self, _number: int, _frame: FrameType | None) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        for pid in _descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)


def _descendants(ancestor: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # The second field is the program's name in parentheses, and may hold anything.
                fields = Path(entry.path, "stat").read_bytes().rpartition(b")")[2].split()
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: list[int] = []
    waiting = [ancestor]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _launch(job: Mapping[str, Any], folder: Path) -> subprocess.Popen[bytes]:
    libc = ctypes.CDLL(None, use_errno=True)
    # What CASA leaves behind when it ends becomes a child of this process, not of init, and so can be found.
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wrapper = os.getpid()

    def die_with_the_wrapper() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != wrapper:
            os._exit(1)

    with (folder / STDOUT).open("ab") as stdout, (folder / STDERR).open("ab") as stderr:
        return subprocess.Popen(
            job["command"],
            cwd=job["working_directory"],
            env=job["environment"],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,  # a signal that CASA's scripts send to their group is not for this process
            preexec_fn=die_with_the_wrapper,  # noqa: PLW1509  there is one thread
        )


def _wait(program: int, tree: _Tree) -> dict[str, object]:
    """Waits until the program and everything that it started is gone; returns how the program ended."""
    peak = 0
    status: int | None = None
    told_to_end = False
    while True:
        try:
            pid, ended, usage = os.wait4(-1, 0)
        except ChildProcessError:
            break
        peak = max(peak, usage.ru_maxrss)
        if pid == program:
            status, told_to_end = ended, tree.told_to_end
            if not told_to_end:
                tree.end()
    signal.setitimer(signal.ITIMER_REAL, 0)
    if status is None:
        raise AssertionError("the program vanished without being waited for")
    code = os.waitstatus_to_exitcode(status)
    return {
        "exit_code": code if code >= 0 else None,
        "signal": _signal_name(-code) if code < 0 else None,
        "peak_memory_bytes": peak * 1024,
        "told_to_end": told_to_end,
    }


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def _run(folder: Path, answer: int) -> None:
    """Starts the program if nobody has, waits for it and records its end.

    Args:
        folder: the job's folder.
        answer: where to say that the job has been started, by this process or another.
    """
    if not _lock(folder):
        os.write(answer, _STARTED)
        return
    job = read_record(folder / JOB)
    if not job:
        sys.exit(f"{folder / JOB} cannot be read")
    _reserve(folder)
    tree = _Tree(float(job["grace_seconds"]))
    record: dict[str, object] = {**host_and_boot(), "started_at": _now()}
    if not write_once(folder / STARTED, {**record, "wrapper_pid": os.getpid()}):
        os.write(answer, _STARTED)
        return
    if tree.told_to_end:
        end: dict[str, object] = {"told_to_end": True}
    else:
        end = _run_program(job, folder, tree, answer)
    told_to_end = end.pop("told_to_end", False)
    if told_to_end:
        cancel = _why_told_to_end(folder)
        end["cancelled"] = cancel is not None
        end["cause"] = (cancel or {}).get("cause", "its wrapper was told to end by SIGTERM")
    if "cause" in end:
        end["cause"] = str(end["cause"])[:_LONGEST_CAUSE]
    record_end(folder, {**record, **end, "ended_at": _now()})


def _why_told_to_end(folder: Path) -> dict[str, Any] | None:
    try:
        return read_record(folder / CANCEL)
    except OSError:  # that it ended must be recorded all the same
        return None


def _run_program(job: Mapping[str, Any], folder: Path, tree: _Tree, answer: int) -> dict[str, object]:
    try:
        program = _launch(job, folder)
    except (OSError, subprocess.SubprocessError) as error:
        return {"exit_code": 127, "cause": f"{job['command'][0]} could not be started: {error}"}
    finally:
        with contextlib.suppress(BrokenPipeError):
            os.write(answer, _STARTED)
        os.close(answer)
    if tree.told_to_end:  # between the look before the launch and the launch
        tree.end()
    return _wait(program.pid, tree)


def main(folder: Path) -> int:
    """Starts the job in a process that is nobody's child; returns 0 when it has been started, by whomever."""
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        return 0 if os.read(reading, len(_STARTED)) == _STARTED else 1
    os.close(reading)
    os.setsid()
    _run(folder, writing)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
