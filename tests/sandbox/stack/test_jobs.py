from __future__ import annotations

import sys
import time
from pathlib import Path

import psutil
import pytest

from sandbox.stack.jobs import cancel_jobs
from srdp.engines import Job, JobState
from srdp.hooks.engines import engine

pytestmark = pytest.mark.servers


def wrappers(spool: Path) -> list[psutil.Process]:
    return [process for process in psutil.process_iter(["cmdline"]) if str(spool) in str(process.info["cmdline"])]


def test_a_job_that_was_lost_does_not_count_as_running(tmp_path: Path) -> None:
    spool, name = tmp_path / "vla-20261122-182453-4f7k", "vla-20261122-182453-4f7k.casa1"
    working = tmp_path / "working"
    working.mkdir()
    command = (sys.executable, "-c", "import time; time.sleep(600)")
    engine("local").submit(
        Job(name=name, command=command, working_directory=working, environment={}, spool=spool, cores=1, memory_gb=1)
    )
    deadline = time.monotonic() + 60
    while engine("local").status(name, spool).state is not JobState.RUNNING:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for wrapper in wrappers(spool):
        wrapper.kill()
    while engine("local").status(name, spool).state is not JobState.LOST:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    said: list[str] = []
    assert [cancel_jobs(tmp_path, cause="a test stops it", tell=said.append) for _ in range(2)] == [0, 0]
    assert said == []
