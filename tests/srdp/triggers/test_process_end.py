"""The end of a job is noticed when its process ends, and a job that certainly runs costs no whole look."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO
from unittest import mock

import pytest
from tests.areas import make_areas

import srdp.triggers.casa_job
import srdp.triggers.process_end
from srdp.domain.files.spool_files import NotTheServicesOwn
from srdp.engines import JobState, JobStatus
from srdp.engines.local import LocalEngine
from srdp.triggers.casa_job import CasaJobTrigger
from srdp.triggers.process_end import Pauses

NAME = "vla-20261122-182453-4f7k.casa1"
RUNNING = JobStatus(JobState.RUNNING, host="node1")
ENDED = JobStatus(JobState.ENDED, exit_code=0)
# Longer than a test may take.
LONG = 600.0


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> mock.Mock:
    engine: mock.Mock = mock.create_autospec(LocalEngine, instance=True)
    engine.is_alive.return_value, engine.process.return_value = False, None
    monkeypatch.setattr(srdp.triggers.casa_job, "engine", {"local": engine}.__getitem__)
    return engine


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-I", "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


def opened(process: subprocess.Popen[bytes]) -> IO[bytes]:
    return os.fdopen(os.pidfd_open(process.pid), "rb", buffering=0)


def wait_for_the_end(place: Path, poll_seconds: float) -> None:
    make_areas({"SRDP_SPOOL_AREA": place / "spool"})
    trigger = CasaJobTrigger(
        engine="local",
        job_name=NAME,
        spool=str(place / "spool" / NAME.partition(".")[0]),
        directory=str(place / "run"),
        commands=[],
        deadline=(datetime.now(UTC) + timedelta(hours=1)).isoformat(),
        poll_seconds=poll_seconds,
        report_seconds=LONG,
    )
    asyncio.run(asyncio.wait_for(anext(trigger.run()), 20))


def run_in_loop(act: Callable[[Pauses], object]) -> None:
    async def run() -> None:
        with Pauses() as pauses:
            result = act(pauses)
            if asyncio.iscoroutine(result):
                await asyncio.wait_for(result, 20)

    asyncio.run(run())


def test_the_end_of_a_jobs_process_is_noticed_at_once(engine, process, tmp_path):
    def ended_meanwhile(*_):
        file = opened(process)
        process.kill()
        return file

    engine.status.side_effect = [RUNNING, ENDED]
    engine.process.side_effect = ended_meanwhile
    wait_for_the_end(tmp_path, LONG)
    assert not srdp.triggers.process_end._WATCHED


def test_a_job_of_which_only_the_process_has_ended_is_looked_at_as_often_as_before(engine, process, tmp_path):
    looked = []

    def look(*_):
        looked.append(time.monotonic())
        return RUNNING if len(looked) < 4 else ENDED

    process.kill()
    engine.status.side_effect = look
    engine.process.return_value = opened(process)
    wait_for_the_end(tmp_path, 0.1)
    assert looked[3] - looked[1] >= 0.2, "the end of the process cuts one pause short"
    engine.process.assert_called_once()


def test_what_stands_in_the_way_of_seeing_the_process_is_nothing_to_the_job(engine, tmp_path):
    engine.status.side_effect = [RUNNING, RUNNING, ENDED]
    engine.process.side_effect = [NotTheServicesOwn("started.json belongs to casa"), None]
    wait_for_the_end(tmp_path, 0.01)
    assert engine.process.call_count == 2


def test_a_job_that_certainly_runs_is_not_looked_at_as_a_whole(engine, tmp_path):
    engine.status.side_effect = [JobStatus(JobState.WAITING), RUNNING, ENDED]
    engine.is_alive.side_effect = [True, True, False]
    wait_for_the_end(tmp_path, 0.01)
    assert (engine.status.call_count, engine.is_alive.call_count) == (3, 3)


def test_a_process_that_ends_before_the_pause_cuts_it_short(process):
    async def pause(pauses: Pauses) -> None:
        pauses.watch(opened(process))
        process.kill()
        process.wait()
        await asyncio.sleep(0.05)
        await pauses.wait(LONG)

    run_in_loop(pause)


def test_a_triggerer_watches_no_more_processes_than_it_may_have_files_open(process, monkeypatch):
    monkeypatch.setattr(srdp.triggers.process_end, "_MOST_WATCHED", 1)
    file = opened(process)

    def watch(pauses: Pauses) -> None:
        assert pauses.can_watch
        pauses.watch(file)
        assert not Pauses().can_watch

    run_in_loop(watch)
    assert file.closed
    assert Pauses().can_watch
