"""The records of a job: files that appear complete or not at all, and are the service's own.

They are in the job's folder, ``<spool area>/<pipeline run ID>/<job>``:

    job.json      what to run; the claim of the job's name
    lock          locked (flock) for as long as the job's wrapper lives; the kernel unlocks it, however that ends
    started.json  made exclusively, immediately before the program is started: the program is started at most once
    cancel.json   why the job is to end, and whether it was lost before; the wrapper looks for it, and a job that has
                  one and was not started never starts
    ended.json    how the program ended; written when the last of its processes is gone
    .ended        the space for it, taken before the start: that a run of days has ended must not be lost in a full disk
    stdout stderr wrapper.log

and of a job that is given to a batch system:

    submitting       locked while it is handed over
    submission.json  when it was handed over, with which limits, and as what the batch system knows it
    left.json        when it was first seen to have left the queue, and why, as far as the batch system reported

Whose a record is, and that nobody else can write it, is looked at whenever it is used: see
:mod:`srdp.domain.files.spool_files`. The standard library only, as in the wrapper that uses it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from srdp.domain.files.spool_files import NotTheServicesOwn, open_in_spool, spool_folder

JOB, LOCK, STARTED, CANCEL, ENDED = "job.json", "lock", "started.json", "cancel.json", "ended.json"
STDOUT, STDERR, WRAPPER_LOG = "stdout", "stderr", "wrapper.log"
SUBMITTING, SUBMISSION, LEFT = "submitting", "submission.json", "left.json"
RESERVED = ".ended"
#: The cause of an end by somebody who left no word.
STOP_REQUESTED = "its wrapper was ended by SIGTERM"

# One block of a usual file system; the record of an end is a few hundred bytes.
_RESERVED_BYTES = 4096
_LARGEST_BYTES = 1 << 20
# Nobody else knows how the program ended: a file server may be away, or the disk full, for a weekend.
_RECORD_TIMEOUT_SECONDS = 72 * 3600.0
_LONGEST_PAUSE_SECONDS = 60.0


@contextmanager
def job_folder(folder: Path) -> Iterator[int]:
    """Open a job's folder, for ``dir_fd``.

    Args:
        folder: ``<spool area>/<pipeline run ID>/<job>``.

    Raises:
        FileNotFoundError: it is not there.
        NotTheServicesOwn: it, or a folder on the way to it, is not the service's own.
    """
    with spool_folder(folder.parents[1], folder.parent.name, folder.name) as descriptor:
        yield descriptor


@contextmanager
def opened(path: Path, flags: int) -> Iterator[int]:
    """Open a record.

    Args:
        path: the record.
        flags: as for ``os.open``.

    Raises:
        FileNotFoundError: it is not there.
        NotTheServicesOwn: it is not the service's own.
    """
    with job_folder(path.parent) as folder:
        descriptor = open_in_spool(folder, path, flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read_record(path: Path) -> dict[str, Any] | None:
    """Return a record of the job, ``None`` if there is none, and an empty one if it cannot be read.

    Raises:
        NotTheServicesOwn: it is not the service's own, and says nothing therefore.
    """
    try:
        with opened(path, os.O_RDONLY) as descriptor, os.fdopen(descriptor, "rb", closefd=False) as stream:
            content = json.loads(stream.read(_LARGEST_BYTES))
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def is_there(path: Path) -> bool:
    """Whether there is such a record, whatever it says.

    Raises:
        NotTheServicesOwn: it is not the service's own.
    """
    try:
        with opened(path, os.O_RDONLY):
            return True
    except FileNotFoundError:
        return False


def write_once(path: Path, record: Mapping[str, object]) -> bool:
    """Write a record if there is none, exclusively: of any number of callers one wins, and it appears complete.

    A hard link is the exclusive creation (``O_EXCL``) of a name that has its content from the first moment.

    Returns:
        whether this call wrote it.
    """
    with job_folder(path.parent) as folder:
        temporary = _write_temporary(folder, path, record)
        try:
            os.link(temporary, path.name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        except FileExistsError:
            return False
        finally:
            os.unlink(temporary, dir_fd=folder)
        os.fsync(folder)
    return True


def replace_record(path: Path, record: Mapping[str, object]) -> None:
    """Write a record in the place of the former one, which appears complete."""
    with job_folder(path.parent) as folder:
        temporary = _write_temporary(folder, path, record)
        os.replace(temporary, path.name, src_dir_fd=folder, dst_dir_fd=folder)
        os.fsync(folder)


def remove_record(path: Path) -> None:
    """Remove a record, if it is there."""
    with job_folder(path.parent) as folder, contextlib.suppress(FileNotFoundError):
        os.unlink(path.name, dir_fd=folder)


def lock(path: Path) -> bool:
    """Lock a record for the rest of this process; ``False`` if another process holds it.

    The lock is given back by the kernel when the process ends.
    """
    with job_folder(path.parent) as folder:
        descriptor = open_in_spool(folder, path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return False
    return True


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait for a lock, and hold it: of several processes that do the same action, one does it after the other."""
    with opened(path, os.O_RDWR | os.O_CREAT) as descriptor:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock. It is tested with a shared lock, which does not disturb other tests."""
    try:
        with opened(path, os.O_RDONLY) as descriptor:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def this_place() -> dict[str, str]:
    """Return where this process runs: the name of the machine or container, its boot, and what its pids mean."""
    return {
        "host": socket.gethostname(),
        "boot_id": Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip(),
        "pid_namespace": _pid_namespace(),
    }


def is_here(record: Mapping[str, object]) -> bool:
    """Whether what a record describes was started where this process runs, so that its pids are pids here too.

    Args:
        record: one with what :func:`this_place` returned. One of a former release names no namespace, and had none but
            the machine's own.
    """
    return all(record.get(name, value) == value for name, value in this_place().items())


def _pid_namespace() -> str:
    # The kernel gives the number of a namespace that is gone to the next one: a container that is started again. When
    # its first process was started distinguishes them; some systems hide that process.
    started = ""
    with contextlib.suppress(OSError, IndexError):
        started = Path("/proc/1/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    return f"{Path('/proc/self/ns/pid').readlink()} {started}".strip()


def now() -> str:
    """Return the present moment, as records write it."""
    return datetime.now(UTC).isoformat()


def reserve(folder: Path) -> None:
    """Take the space for the record of the end; raises OSError if there is none, before anything is started."""
    with opened(folder / RESERVED, os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as descriptor:
        _write(descriptor, b" " * _RESERVED_BYTES)
        os.fsync(descriptor)


def record_end(
    folder: Path,
    record: Mapping[str, object],
    *,
    pause: Callable[[float], object] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Write the record of the end, and keep trying while the file system refuses, whatever it says.

    Args:
        folder: the job's folder.
        record: how the program ended.
        pause: waits, in seconds.
        clock: seconds.

    Raises:
        OSError: it refused for too long.
        NotTheServicesOwn: the folder was somebody else's for too long.
    """
    give_up, wait = clock() + _RECORD_TIMEOUT_SECONDS, 1.0
    while True:
        try:
            _write_end(folder, record)
        except (OSError, NotTheServicesOwn) as error:
            if clock() + wait > give_up:
                raise
            with contextlib.suppress(OSError):  # the log may be on the same full disk
                print(f"{now()} The end cannot be recorded ({error}); trying again.", file=sys.stderr, flush=True)
            pause(wait)
            wait = min(2 * wait, _LONGEST_PAUSE_SECONDS)
        else:
            return


def _write_end(folder: Path, record: Mapping[str, object]) -> None:
    """Write the record of the end over the space that was taken for it, and give it its name."""
    content = json.dumps(record, indent=1).encode().ljust(_RESERVED_BYTES)  # blanks behind JSON mean nothing
    with job_folder(folder) as descriptor:
        try:
            reserved = open_in_spool(descriptor, folder / RESERVED, os.O_WRONLY)
        except FileNotFoundError:
            if not is_there(folder / ENDED):  # else a former call named it and was refused what comes after that
                temporary = _write_temporary(descriptor, folder / ENDED, record)
                os.replace(temporary, ENDED, src_dir_fd=descriptor, dst_dir_fd=descriptor)
        else:
            try:
                _write(reserved, content)
                os.fsync(reserved)
            finally:
                os.close(reserved)
            os.replace(RESERVED, ENDED, src_dir_fd=descriptor, dst_dir_fd=descriptor)
        os.fsync(descriptor)


def _write(descriptor: int, content: bytes) -> None:
    written = 0
    while written < len(content):
        written += os.pwrite(descriptor, content[written:], written)


def _write_temporary(folder: int, path: Path, record: Mapping[str, object]) -> str:
    """Write a record beside its place; return its name there."""
    temporary = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.{time.monotonic_ns()}")
    descriptor = open_in_spool(folder, temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        _write(descriptor, json.dumps(record, indent=1).encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return temporary.name
