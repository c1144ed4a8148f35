"""One question for all triggers of a process; a batch system that hangs holds up nothing else."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.areas import make_areas
from tests.jobs import wait_until
from tests.slurm_server import SlurmServer
from tests.srdp.engines.contract.sites import slurm_engine

import srdp.triggers.casa_job
from srdp.engines import Engine, Job, JobState, Queue
from srdp.engines.local import LocalEngine
from srdp.engines.local_records import ENDED
from srdp.triggers.casa_job import CasaJobTrigger
from srdp.triggers.queue_poller import queue_of

JOBS = 500
SECONDS = 2.0
# In the place of squeue, first on the PATH: each call is a line; it hangs while there is a file that says so.
SQUEUE = """#!/bin/sh
echo called >> "{folder}/calls"
while [ -e "{folder}/hangs" ]; do sleep 0.2; done
exec /usr/bin/squeue "$@"
"""


class Asked:
    def __init__(self) -> None:
        self.times = 0
        self.may_answer = threading.Event()
        self.may_answer.set()

    def __call__(self) -> Queue:
        self.times += 1
        assert self.may_answer.wait(30)
        return Queue.of_none()


def test_triggers_that_ask_at_once_or_soon_after_share_one_answer() -> None:
    asked = Asked()

    async def ask() -> None:
        answers = await asyncio.gather(*(queue_of("batch", asked, 60) for _ in range(100)))
        assert len({id(answer) for answer in answers}) == 1
        assert await queue_of("batch", asked, 60) is answers[0]
        assert asked.times == 1
        await queue_of("batch", asked, 0)
        await queue_of("another", asked, 60)

    asyncio.run(ask())
    assert asked.times == 3


def test_a_trigger_that_is_cancelled_takes_the_answer_from_no_other() -> None:
    asked = Asked()
    asked.may_answer.clear()

    async def ask() -> None:
        first, second = (asyncio.create_task(queue_of("batch", asked, 60)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        asked.may_answer.set()
        await second

    asyncio.run(ask())
    assert asked.times == 1


def _trigger(engine: str, name: str, folder: Path) -> CasaJobTrigger:
    return CasaJobTrigger(
        engine=engine,
        job_name=name,
        spool=str(folder / "spool" / name.partition(".")[0]),
        directory=str(folder),
        commands=[],
        deadline=(datetime.now(UTC) + timedelta(hours=1)).isoformat(),
        poll_seconds=SECONDS,
        poll_max_seconds=SECONDS,
        report_seconds=3600.0,
    )


def _submit(engine: Engine, name: str, folder: Path, code: str | None = None) -> Path:
    """Submit a job, which waits for a file `go` by default; return the folder of its records."""
    spool = folder / "spool" / name.partition(".")[0]
    spool.mkdir(mode=0o711)
    code = code or f"import os, time\nwhile not os.path.exists({str(folder / 'go')!r}): time.sleep(0.05)"
    command = (sys.executable, "-I", "-c", code)
    engine.submit(Job(name, command, folder, {}, spool, cores=1, memory_gb=1))
    return spool / name


def _counted_squeue(programs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a program before squeue that counts its calls; return the file of them."""
    programs.mkdir()
    (programs / "squeue").write_text(SQUEUE.format(folder=programs))
    (programs / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    return programs / "calls"


async def _first(trigger: CasaJobTrigger) -> None:
    async for _ in trigger.run():
        return


async def _longest_lag(over: asyncio.Event) -> float:
    loop, longest = asyncio.get_running_loop(), 0.0
    while not over.is_set():
        before = loop.time()
        await asyncio.sleep(0.05)
        longest = max(longest, loop.time() - before - 0.05)
    return longest


@pytest.mark.team
def test_of_500_waiting_jobs_slurm_is_asked_once_an_interval_and_may_hang(
    slurm: SlurmServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "programs"
    batch = slurm_engine(partition="down", answer_timeout_seconds=18.0)
    engines = {"slurm": batch, "local": LocalEngine(grace_seconds=0.5, record_seconds=1.0)}
    monkeypatch.setattr(srdp.triggers.casa_job, "engine", engines.__getitem__)
    make_areas({"SRDP_SPOOL_AREA": tmp_path / "spool"})
    names = [f"vla-20261122-182453-{number:04x}.casa1" for number in range(JOBS)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda name: _submit(batch, name, tmp_path), names))
    calls = _counted_squeue(programs, monkeypatch)
    hangs, local_job = programs / "hangs", "vla-20261122-182454-aaaa.casa1"

    async def wait_for_all() -> tuple[float, float, float]:
        waiting = [asyncio.create_task(_first(_trigger("slurm", name, tmp_path))) for name in names]
        await asyncio.sleep(SECONDS)  # until all have begun
        over = asyncio.Event()
        lag = asyncio.create_task(_longest_lag(over))
        calls.unlink(missing_ok=True)
        began, cpu = time.monotonic(), time.process_time()
        await asyncio.sleep(5 * SECONDS)
        passed, used = time.monotonic() - began, time.process_time() - cpu
        asked = len(calls.read_text().split())
        assert 2 <= asked <= passed / SECONDS + 1, f"{asked} questions in {passed:.1f} s"
        hangs.touch()
        before = len(calls.read_text().split())
        while len(calls.read_text().split()) == before:  # noqa: ASYNC110  a file has no event
            await asyncio.sleep(0.1)
        _submit(engines["local"], local_job, tmp_path)
        local = asyncio.create_task(_first(_trigger("local", local_job, tmp_path)))
        (tmp_path / "go").touch()
        await asyncio.wait_for(local, 3 * SECONDS + 5)
        assert hangs.exists()
        assert not any(task.done() for task in waiting)
        hangs.unlink()
        over.set()
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return await lag, used / passed, asked / passed

    try:
        lag, cores, _ = asyncio.run(wait_for_all())
        print(json.dumps({"longest lag [s]": lag, "cores": cores}))
        assert lag < 5.0
        assert batch.status(names[0], tmp_path / "spool" / names[0].partition(".")[0]).state is JobState.WAITING
    finally:
        hangs.unlink(missing_ok=True)
        slurm.ask("scancel", "--user=root")


@pytest.mark.team
@pytest.mark.usefixtures("slurm")
def test_of_jobs_that_were_killed_together_slurm_is_asked_once_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = slurm_engine()
    monkeypatch.setattr(srdp.triggers.casa_job, "engine", {"slurm": batch}.__getitem__)
    make_areas({"SRDP_SPOOL_AREA": tmp_path / "spool"})
    names = [f"vla-20261122-182455-{number:04x}.casa1" for number in range(6)]
    killed = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    folders = [_submit(batch, name, tmp_path, killed) for name in names]
    wait_until(lambda: all((folder / ENDED).exists() for folder in folders), 180)
    calls = _counted_squeue(tmp_path / "programs", monkeypatch)

    async def follow_all() -> None:
        await asyncio.gather(*(_first(_trigger("slurm", name, tmp_path)) for name in names))

    asyncio.run(asyncio.wait_for(follow_all(), 60))
    assert calls.read_text().split() == ["called"]
