"""What the contract is tried on: an engine, with its jobs' records and what a test may do to the batch system."""

from __future__ import annotations

import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from tests.condor_pool import Pool
from tests.jobs import alive, wait_until

from srdp.domain.site.engine_options import SlurmOptions
from srdp.engines import Engine, Job, JobState, JobStatus
from srdp.engines.batch import BatchEngine
from srdp.engines.htcondor import HTCondor
from srdp.engines.local_records import STARTED
from srdp.engines.slurm import Slurm


def new_name() -> str:
    """Return a name that no job of the batch system ever had."""
    return f"vla-20261122-182453-{secrets.token_hex(2)}.casa1"


# How late records and the queue's word may be in these tests.
GRACE_SECONDS = 3.0


def slurm_engine(**options: object) -> BatchEngine:
    given = {"grace_seconds": GRACE_SECONDS, "partition": "casa", "wall_time_hours": 0.5, **options}
    return BatchEngine(Slurm(SlurmOptions.model_validate(given)), grace_seconds=0.5)


def condor_engine(pool: Pool) -> BatchEngine:
    return BatchEngine(HTCondor(pool.options(grace_seconds=GRACE_SECONDS, answer_timeout_seconds=5)), grace_seconds=0.5)


def nothing() -> None:
    """What is done to a controller where there is none."""


@dataclass
class Site:
    """One job's world.

    Attributes:
        folder: an empty folder, which the engine's nodes see too.
        make: makes the engine, as another process would have it.
        stop_controller: takes away what the engine asks.
        start_controller: brings it back.
        settle: waits until the controller would find the running job again after it was killed.
        seconds: how long a job may take to start or to be noticed to have ended.
    """

    folder: Path
    make: Callable[[], Engine]
    stop_controller: Callable[[], None] = nothing
    start_controller: Callable[[], None] = nothing
    settle: Callable[[], None] = nothing
    seconds: float = 60.0
    name: str = field(default_factory=new_name)
    engine: Engine = field(init=False)

    def __post_init__(self) -> None:
        self.engine = self.make()
        self.spool.mkdir(parents=True, mode=0o700)
        self.working.mkdir()

    @property
    def spool(self) -> Path:
        return self.folder / "spool" / "run"

    @property
    def working(self) -> Path:
        return self.folder / "working"

    @property
    def records(self) -> Path:
        return self.spool / self.name

    def job(self, code: str, **changes: Any) -> Job:
        given: Mapping[str, Any] = {
            "name": self.name,
            "command": (sys.executable, "-I", "-c", code),
            "working_directory": self.working,
            "environment": {},
            "spool": self.spool,
            "cores": 1,
            "memory_gb": 1,
        }
        return Job(**{**given, **changes})

    def submit(self, code: str, **changes: Any) -> None:
        self.engine.submit(self.job(code, **changes))

    def status(self) -> JobStatus:
        return self.engine.status(self.name, self.spool)

    def cancel(self, cause: str = "it was asked for") -> None:
        self.engine.cancel(self.name, self.spool, cause)

    def until(self, *states: JobState) -> JobStatus:
        """Wait until the job is in one of some states; return what is known of it then."""
        return wait_until(lambda: (status := self.status()).state in states and status, self.seconds)

    def starts(self) -> list[int]:
        path = self.working / "starts"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def started(self) -> int:
        """Wait until the program has begun; return its pid."""
        return wait_until(self.starts, self.seconds)[0]

    def wrapper(self) -> int:
        return int(json.loads((self.records / STARTED).read_text())["wrapper_pid"])

    def kill_all(self) -> None:
        """Kills the wrapper and the program, so that nobody records an end."""
        program = self.started()
        for pid in (self.wrapper(), program):
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not psutil.pid_exists(program) or not alive(program))

    def stays(self, state: JobState, seconds: float) -> None:
        """Sees that nothing makes the job leave its state for some seconds."""
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            status = self.status()
            assert status.state is state, status
            time.sleep(0.2)
