"""What runs under CASA's account for the service, started by ``sudo``; see :mod:`srdp.engines.account`.

    python -I -c … srdp.engines.account_agent run FOLDER            starts what it reads from its standard input
    python -I -c … srdp.engines.account_agent signal FOLDER SIGNAL  signals every process of the job in that folder
    python -I -c … srdp.engines.account_agent open-up DIRECTORY     makes what is this account's writable by the group

It can do nothing that the account cannot do. The standard library only.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from srdp.engines.processes import (
    MARKER,
    Tree,
    descendants,
    launch,
    start_in_background,
    stop_main_thread,
    wait,
)

_MODULE = "srdp.engines.account_agent"
_BLOCK = 1 << 16
# What is nested deeper is removed by hand: see srdp.domain.disk.tree_removal.
_DEEPEST = 200
# What the service moves and removes, and data analysts edit, belongs to this account and their group.
_UMASK = 0o002
_OF_THE_ACCOUNT = ("HOME", "LOGNAME", "USER")


def run() -> int:
    """Start the program that the service names, wait until all that descends from it is gone, and end as it did."""
    channel = socket.socket(fileno=0)
    channel.sendall(b"ready\n")
    asked, streams = _asked(channel)
    if asked is None:
        return 0  # the service is gone, or found that it is not to be started
    os.umask(_UMASK)
    tree = Tree(float(asked["grace"]))
    own = {name: os.environ[name] for name in _OF_THE_ACCOUNT if name in os.environ}
    try:
        program = launch(asked["command"], asked["directory"], {**asked["environment"], **own}, *streams)
    except (OSError, subprocess.SubprocessError) as error:
        channel.sendall(str(error).encode())
        return 127
    for stream in streams:
        os.close(stream)
    start_in_background(lambda: _end_with_the_service(channel))
    end = wait(program.pid, tree)
    name = end["signal"]
    if isinstance(name, str):
        _die_by(name)
    return end["exit_code"] if isinstance(end["exit_code"], int) else 1


def _asked(channel: socket.socket) -> tuple[dict[str, Any] | None, list[int]]:
    message, streams, _, _ = socket.recv_fds(channel, _BLOCK, 2)
    while message and not message.endswith(b"\n"):
        more = channel.recv(_BLOCK)
        message = message + more if more else b""
    if len(streams) != 2:
        return None, streams
    return (json.loads(message) if message else None), streams


def _end_with_the_service(channel: socket.socket) -> None:
    with suppress(OSError):
        while channel.recv(_BLOCK):
            pass
    stop_main_thread()


def _die_by(name: str) -> None:
    """End by the signal that ended the program, so that sudo reports it; without a core."""
    number = getattr(signal, name, None)
    if number is not None:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if number != signal.SIGKILL:
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def signal_job(folder: str, name: str) -> None:
    """Signal every process of a job that this account may signal, and print their pids.

    Args:
        folder: the job's folder.
        name: the signal's name.
    """
    number = signal.Signals[name]
    roots = [pid for pid in _own_processes() if _belongs_to(pid, folder)]
    alive = []
    for pid in {*roots, *descendants(roots)} - {os.getpid()}:
        with suppress(OSError):
            if _is_zombie(pid):
                continue
            os.kill(pid, number)
            alive.append(str(pid))
    print(" ".join(alive))


def _own_processes() -> Iterator[int]:
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                if entry.stat().st_uid == os.geteuid():
                    yield int(entry.name)


def _belongs_to(pid: int, folder: str) -> bool:
    """Whether a process carries the job's mark, or is the one that started its program."""
    place = Path("/proc", str(pid))
    with suppress(OSError):
        if place.joinpath("cmdline").read_bytes().endswith(f"\0{_MODULE}\0run\0{folder}\0".encode()):
            return True
    with suppress(OSError):
        return f"{MARKER}={folder}".encode() in place.joinpath("environ").read_bytes().split(b"\0")
    return False


def _is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"Z"


def open_up(directory: str) -> None:
    """Give the group what the owner may do with each file and folder that is this account's.

    No symbolic link is followed, no other file system entered, and no file touched that has a further name, which may
    are anywhere.

    Args:
        directory: the run's directory.
    """
    try:
        device = Path(directory).lstat().st_dev
    except FileNotFoundError:
        return
    for place, folders, files, descriptor in os.fwalk(directory):
        for name in (*folders, *files):
            with suppress(OSError):
                _open_up_one(name, descriptor)
        is_deepest = place.count("/") - directory.count("/") >= _DEEPEST
        folders[:] = [name for name in folders if not is_deepest and _is_on(device, name, descriptor)]


def _is_on(device: int, name: str, folder: int) -> bool:
    with suppress(OSError):
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_dev == device
    return False


def _open_up_one(name: str, folder: int) -> None:
    entry = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=folder)
    try:
        found = os.fstat(entry)
        mode = stat.S_IMODE(found.st_mode)
        is_file = stat.S_ISREG(found.st_mode) and found.st_nlink == 1
        if found.st_uid == os.geteuid() and (is_file or stat.S_ISDIR(found.st_mode)):
            wanted = mode | (mode & stat.S_IRWXU) >> 3
            if wanted != mode:
                os.fchmod(entry, wanted)
    finally:
        os.close(entry)


def main(arguments: Sequence[str]) -> int:
    """Do one of the three actions; return the exit status."""
    action, *rest = arguments
    if action == "run":
        return run()
    if action == "signal":
        signal_job(*rest)
        return 0
    if action == "open-up":
        open_up(*rest)
        return 0
    print(f"There is no {action}.", file=sys.stderr)
    return 2
