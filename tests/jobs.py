"""A job of the local engine in a folder of its own, and programs for it."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import psutil

from srdp.engines import Job, JobState, local_job
from srdp.engines.local import LocalEngine

NAME = "vla-20261122-182453-4f7k.casa1"
COUNT = "import os, sys, time, signal; open('starts', 'a').write(f'{os.getpid()}\\n')\n"
SLEEP = COUNT + "time.sleep(600)\n"
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
# A process that left its parent, session and group, and does not end at SIGTERM. Its pid is in the file when it is so.
DAEMON = """
def daemon(name, environment):
    if os.fork():
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    code = (
        "import os, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "name = sys.argv[1]; open('.' + name, 'w').write(str(os.getpid())); os.rename('.' + name, name); "
        "time.sleep(600)"
    )
    os.execve(sys.executable, [sys.executable, '-I', '-c', code, name], environment)
"""


def wait_until(look, seconds=30.0):
    give_up = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < give_up, "it did not happen in time"
        time.sleep(0.02)
    return seen


class Bench:
    """A folder for one job, with an engine that does not wait long."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.engine = LocalEngine(grace_seconds=0.3, record_seconds=1.0)
        self.spool, self.working = folder / "spool", folder / "working"
        self.spool.mkdir(parents=True)
        self.working.mkdir()

    @property
    def records(self) -> Path:
        return self.spool / NAME

    def job(self, code: str, **environment: str) -> Job:
        return Job(
            name=NAME,
            command=(sys.executable, "-I", "-c", code),
            working_directory=self.working,
            environment=environment,
            spool=self.spool,
            cores=3,
            memory_gb=1,
        )

    def submit(self, code: str, **environment: str) -> None:
        self.engine.submit(self.job(code, **environment))

    def status(self):
        return self.engine.status(NAME, self.spool)

    def cancel(self, cause="it was asked for") -> None:
        self.engine.cancel(NAME, self.spool, cause)

    def starts(self) -> list[int]:
        path = self.working / "starts"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def pid_in(self, name: str) -> int:
        return int(wait_until(lambda: (self.working / name).exists() and (self.working / name).read_text()))

    def wrapper(self) -> int:
        return json.loads((self.records / local_job.STARTED).read_text())["wrapper_pid"]

    def ended(self):
        return wait_until(lambda: (status := self.status()).state is JobState.ENDED and status)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
