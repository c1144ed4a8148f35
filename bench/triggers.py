"""What five hundred CASA jobs cost the triggerer: its part of them, in one event loop, without the rest of Airflow.

Each trigger looks at the records of a job as the local engine leaves them, and at CASA's log, whose end it reports.
Young jobs have just begun, old ones hours ago. The beginning of the wait, with its first report, is not counted. Whole
Airflow, with as many DAG runs, is looked at by ``waiting-casa``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bench.frame import Case, Figure, Options, Sides
from bench.servers import ledger_settings
from srdp.domain.runs.areas import prepare_areas
from srdp.engines.local_records import JOB, LOCK, STARTED, lock, this_place, write_once
from srdp.triggers.casa_job import CasaJobTrigger

_NUMBER = 500
_SECONDS, _QUICK_SECONDS = 60.0, 5.0
_LIMIT_SECONDS = 600.0
_JOB = "vla-20261122-182453-4f7k.casa1"
_AGES = {"young": timedelta(0), "old": timedelta(hours=5)}
_LOG_LINES = 20_000


def _job(place: Path, age: timedelta) -> CasaJobTrigger:
    """Return a trigger that waits for a job of some age, whose lock this process holds."""
    directory = place / "processing" / f"vla-{age.seconds}"
    spool = place / "spool" / directory.name
    (directory / "working").mkdir(parents=True)
    (spool / _JOB).mkdir(parents=True, mode=0o700)
    spool.chmod(0o700)
    log = directory / "working" / "casa-20261122-182500.log"
    line = "2026-11-22 18:25:00\tINFO\thifv_flagdata::::casa\tExecuting command ...hifv_flagdata\n"
    log.write_text(line * _LOG_LINES)
    started = datetime.now(UTC) - age
    write_once(spool / _JOB / JOB, {})
    write_once(spool / _JOB / STARTED, {**this_place(), "started_at": started.isoformat()})
    assert lock(spool / _JOB / LOCK)
    return CasaJobTrigger(
        engine="local",
        job_name=_JOB,
        spool=str(spool),
        directory=str(directory),
        commands=["hifv_importdata", "hifv_flagdata"],
        deadline=(datetime.now(UTC) + timedelta(days=1)).isoformat(),
    )


class _Lines:
    """Counts the headlines of the triggers' reports, and shows none of the lines."""

    def __init__(self) -> None:
        self.headlines = 0

    def info(self, _form: str, line: str, *_: object) -> None:
        self.headlines += line.startswith("CASA's stage")


class _Counted(CasaJobTrigger):
    lines = _Lines()

    @property
    def log(self) -> Any:  # noqa: ANN401  in the place of Airflow's logger
        return self.lines


async def _wait_for(trigger: CasaJobTrigger) -> None:
    async for event in trigger.run():
        raise AssertionError(event)


async def _cores(one: CasaJobTrigger, seconds: float) -> float:
    """Return how much of a core as many triggers need that wait for such a job."""
    _, arguments = one.serialize()
    _Counted.lines.headlines = 0
    waiting = [asyncio.create_task(_wait_for(_Counted(**arguments))) for _ in range(_NUMBER)]
    began = time.monotonic()
    while _Counted.lines.headlines < _NUMBER:
        if time.monotonic() - began > _LIMIT_SECONDS:
            raise TimeoutError("The triggers did not all begin.")
        await asyncio.sleep(0.5)
    before, began = time.process_time(), time.monotonic()
    await asyncio.sleep(seconds)
    used = (time.process_time() - before) / (time.monotonic() - began)
    assert not any(task.done() for task in waiting), next(task for task in waiting if task.done())
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    return used


@contextmanager
def _triggers(options: Options) -> Iterator[Sides]:
    with ExitStack() as opened:
        settings = opened.enter_context(ledger_settings(options.place))
        for area in settings.named_areas().values():
            area.mkdir(exist_ok=True)
        settings.spool_area.chmod(0o700)
        list(prepare_areas(settings.named_areas(), force=True))
        number = iter(range(1000))

        def ours() -> Mapping[str, float]:
            seconds = _QUICK_SECONDS if options.quick else _SECONDS
            jobs = {name: age + timedelta(seconds=next(number)) for name, age in _AGES.items()}
            return {
                f"waiting-triggers-{name}": asyncio.run(_cores(_job(options.place, age), seconds))
                for name, age in jobs.items()
            }

        yield Sides(ours=ours)


CASES = (
    Case(
        _triggers,
        tuple(
            Figure(f"waiting-triggers-{name}", f"{_NUMBER} {name} CASA jobs in the triggerer", "", 0.1, "cores")
            for name in _AGES
        ),
        rounds=3,
        warm_up=0,
    ),
)
