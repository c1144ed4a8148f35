"""What every engine promises, each in turn. What is counted is counted by the jobs themselves."""

from __future__ import annotations

import os
import signal
import sys

import pytest
from tests.jobs import COUNT, DAEMON, SLEEP, alive, wait_until
from tests.srdp.engines.contract.sites import Site

from srdp.domain.common.errors import IntegrityError
from srdp.engines import JobState


def test_a_job_that_nobody_submitted_is_absent(site: Site) -> None:
    assert site.status().state is JobState.ABSENT
    assert site.engine.submitted(site.name, site.spool) is None


def test_a_job_is_started_once_under_its_name_and_leaves_a_record_of_its_end(site: Site) -> None:
    code = COUNT + "print('err', file=sys.stderr); bytearray(80_000_000).count(1); sys.exit(3)"
    for _ in range(3):
        site.submit(code)
    status = site.until(JobState.ENDED)
    site.submit(code)
    assert (status.exit_code, status.signal, status.cause, status.cancelled) == (3, None, None, False)
    assert status.host == os.uname().nodename
    assert status.started_at < status.ended_at
    assert 80_000_000 < status.peak_memory_bytes < 400_000_000
    assert site.engine.stderr(site.name, site.spool).read_text() == "err\n"
    assert len(site.starts()) == 1


def test_another_process_finds_the_job_by_its_name_and_starts_no_second_one(site: Site) -> None:
    site.submit(SLEEP)
    site.started()
    other = site.make()
    assert other.submitted(site.name, site.spool) == site.job(SLEEP)
    other.submit(site.job(SLEEP))
    status = other.status(site.name, site.spool)
    assert (status.state, status.host) == (JobState.RUNNING, os.uname().nodename)
    assert status.started_at is not None
    assert len(site.starts()) == 1


def test_the_records_of_another_job_are_refused(site: Site) -> None:
    site.submit(SLEEP)
    with pytest.raises(IntegrityError, match="is not the one that was asked for"):
        site.submit(SLEEP, cores=2)


def test_a_cancelled_job_is_gone_with_all_that_it_has_started(site: Site) -> None:
    site.submit(COUNT + DAEMON + "daemon('left', os.environ)\ntime.sleep(600)\n")
    left = site.working / "left"
    wait_until(left.exists, site.seconds)
    child = int(left.read_text())
    site.cancel("it was asked for")
    assert not alive(site.starts()[0])
    assert not alive(child)
    status = site.until(JobState.ENDED, JobState.LOST)
    assert (status.cancelled, status.cause) == (True, "it was asked for")


def test_a_job_that_is_cancelled_before_it_starts_never_does(site: Site) -> None:
    site.cancel("nobody wants it")
    site.submit(COUNT)
    status = site.status()
    assert (status.state, status.cancelled, status.cause) == (JobState.ENDED, True, "nobody wants it")
    assert not site.starts()


def test_a_program_that_is_killed_says_by_what(site: Site) -> None:
    site.submit(SLEEP)
    os.kill(site.started(), signal.SIGKILL)
    status = site.until(JobState.ENDED)
    assert (status.exit_code, status.signal, status.cancelled) == (None, "SIGKILL", False)


def test_a_program_that_cannot_be_started_says_why(site: Site) -> None:
    site.submit("", command=("/no/such/casa",))
    status = site.until(JobState.ENDED)
    assert status.exit_code == 127
    assert "/no/such/casa could not be started" in str(status.cause)


def test_a_job_that_vanished_without_an_end_is_lost_and_not_started_again(site: Site) -> None:
    site.submit(SLEEP)
    site.kill_all()
    status = site.until(JobState.LOST)
    assert status.cause
    assert not status.cancelled
    site.submit(SLEEP)
    site.cancel("it was lost")
    assert site.status().state is JobState.LOST
    assert len(site.starts()) == 1


def test_a_controller_that_is_away_ends_no_job_and_one_that_is_back_finds_it(site: Site) -> None:
    site.submit(COUNT + f"import os\nwhile not os.path.exists('go'): time.sleep(0.05)\nprint({sys.maxsize})")
    site.started()
    site.settle()
    site.stop_controller()
    try:
        for _ in range(2):
            assert site.status().state is JobState.RUNNING
        site.engine = site.make()
        assert site.status().state is JobState.RUNNING
    finally:
        site.start_controller()
    assert site.status().state is JobState.RUNNING
    (site.working / "go").touch()
    assert site.until(JobState.ENDED).exit_code == 0
    assert len(site.starts()) == 1
