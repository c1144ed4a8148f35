"""The processes below one that watches over a program: how they are started, found, ended and waited for.

The standard library only: it continues when the environment that started it is replaced.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import FrameType

#: The variable by which every process of a job is known; its value is the job's folder.
MARKER = "CASA_JOB_FOLDER"

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_PLUGINS = Path(__file__).parents[2]
_START = (
    "import importlib, sys; sys.path.insert(0, sys.argv[1]); "
    "sys.exit(importlib.import_module(sys.argv[2]).main(sys.argv[3:]))"
)


def own_program(module: str, *arguments: str, python: Path | None = None) -> list[str]:
    """Return the command line that calls ``main`` of a module, in a Python that sees nothing but this project.

    Args:
        module: the module, for example ``srdp.engines.local_job``.
        arguments: what ``main`` is given.
        python: the Python; this process's own if none is given.
    """
    return [str(python or sys.executable), "-I", "-c", _START, str(_PLUGINS), module, *arguments]


class Tree:
    """The processes below this one, and how they are ended: SIGTERM, some seconds, SIGKILL until none is left.

    Args:
        grace_seconds: how long, in seconds, they have between SIGTERM and SIGKILL.
        signal_others: called with the signal when some of them belong to another account, which this one may not
            signal; it starts a child process that does, and returns its pid.
    """

    def __init__(self, grace_seconds: float, signal_others: Callable[[signal.Signals], int] | None = None) -> None:
        self._grace_seconds = grace_seconds
        self._signal_others = signal_others
        self._signalling: list[int] = []
        self.stop_requested = False
        signal.signal(signal.SIGALRM, self._kill)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def end(self) -> None:
        """Tell all of them to end."""
        self._send(signal.SIGTERM)
        signal.setitimer(signal.ITIMER_REAL, self._grace_seconds, 1.0)

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if not self.stop_requested:
            self.stop_requested = True
            self.end()

    def _kill(self, _number: int, _frame: FrameType | None) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        below = descendants([os.getpid()])
        # Those that signal others are no part of what is to be ended; while one is at work, no further one is started.
        at_work = [pid for pid in self._signalling if pid in below]
        spared = {*at_work, *descendants(at_work)}
        refused = False
        for pid in below:
            if pid not in spared:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    continue
                except PermissionError:
                    refused = True
        if refused and self._signal_others and not at_work:
            with contextlib.suppress(OSError):
                self._signalling = [self._signal_others(number)]


def descendants(ancestors: Iterable[int]) -> list[int]:
    """Return the pids of all that descend from some processes, of any account."""
    children: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # The second field is the program's name in parentheses, and may hold anything.
                fields = Path(entry.path, "stat").read_bytes().rpartition(b")")[2].split()
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found: list[int] = []
    waiting = [*ancestors]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def adopt_orphans() -> None:
    """Adopt what a child leaves behind when it ends, so that it can be found."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def launch(
    command: Sequence[str], directory: str, environment: Mapping[str, str], stdout: int, stderr: int
) -> subprocess.Popen[bytes]:
    """Start the program, which dies with this process.

    Args:
        command: the program and its arguments.
        directory: where it starts.
        environment: its environment.
        stdout: the descriptor that its output goes to.
        stderr: likewise for its standard error.

    Raises:
        OSError: it cannot be started.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    adopt_orphans()
    watcher = os.getpid()

    def die_with_the_watcher() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != watcher:
            os._exit(1)

    return subprocess.Popen(
        command,
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,  # a signal that CASA's scripts send to their group is not for this process
        preexec_fn=die_with_the_watcher,  # noqa: PLW1509  there is one thread
    )


def start_in_background(act: Callable[[], None]) -> None:
    """Start a thread beside the main thread, which alone gets signals: it waits in the kernel and acts by itself."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        threading.Thread(target=act, daemon=True).start()  # it inherits what is blocked
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)


def stop_main_thread() -> None:
    """Send SIGTERM to the main thread, from another one."""
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)


def wait(program: int, tree: Tree) -> dict[str, object]:
    """Wait until the program and everything that it started is gone; returns how the program ended."""
    peak = 0
    status: int | None = None
    stop_requested = False
    while True:
        try:
            pid, ended, usage = os.wait4(-1, 0)
        except ChildProcessError:
            break
        peak = max(peak, usage.ru_maxrss)
        if pid == program:
            status, stop_requested = ended, tree.stop_requested
            if not stop_requested:
                tree.end()
    signal.setitimer(signal.ITIMER_REAL, 0)
    if status is None:
        raise AssertionError("the program vanished without being waited for")
    code = os.waitstatus_to_exitcode(status)
    return {
        "exit_code": code if code >= 0 else None,
        "signal": _signal_name(-code) if code < 0 else None,
        "peak_memory_bytes": peak * 1024,
        "stop_requested": stop_requested,
    }


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"
