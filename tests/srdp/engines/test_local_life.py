"""What the local engine reports a job's life without a whole look at it, with real processes."""

from __future__ import annotations

import json
import os
import select
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.jobs import NAME, SLEEP, Bench, wait_until

from srdp.domain.files.storage import StorageUnavailable
from srdp.engines import JobState, local_job
from srdp.engines.local_records import STARTED, replace_record

pytestmark = pytest.mark.servers


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "run")
    yield bench
    bench.cancel("the test is over")


def has_ended(process, seconds=0.0) -> bool:
    return bool(select.select([process], [], [], seconds)[0])


def test_the_process_of_a_job_ends_when_the_end_is_recorded(bench):
    bench.submit(SLEEP)
    with bench.engine.process(NAME, bench.spool) as process:
        assert bench.engine.is_alive(NAME, bench.spool)
        assert not has_ended(process)
        bench.cancel()
        assert has_ended(process, 20)
    assert not bench.engine.is_alive(NAME, bench.spool)
    assert bench.status().state is JobState.ENDED


def test_the_process_of_a_lost_job_ends_as_well(bench):
    bench.submit(SLEEP)
    with bench.engine.process(NAME, bench.spool) as process:
        os.kill(bench.wrapper(), signal.SIGKILL)
        assert has_ended(process, 20)
    assert not bench.engine.is_alive(NAME, bench.spool)
    assert bench.status().state is JobState.LOST


def test_of_a_job_that_was_not_started_or_elsewhere_there_is_no_process(bench):
    assert bench.engine.process(NAME, bench.spool) is None
    assert not bench.engine.is_alive(NAME, bench.spool)
    bench.submit(SLEEP)
    started = json.loads((bench.records / local_job.STARTED).read_text())
    replace_record(bench.records / STARTED, {**started, "pid_namespace": "another container's"})
    assert bench.engine.process(NAME, bench.spool) is None
    assert bench.engine.is_alive(NAME, bench.spool), "its lock is seen from everywhere"
    replace_record(bench.records / STARTED, started)
    assert wait_until(lambda: bench.engine.process(NAME, bench.spool))


def test_records_that_others_can_write_are_not_believed(bench):
    bench.submit(SLEEP)
    bench.records.chmod(0o777)
    for ask in (bench.engine.is_alive, bench.engine.process):
        with pytest.raises(StorageUnavailable):
            ask(NAME, bench.spool)
    bench.records.chmod(0o700)
