"""The engine over a real pool of HTCondor: what the suite over all engines does not ask."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from tests.condor_pool import wait_for

from srdp.engines import Job, JobNotStarted, JobState
from srdp.engines.batch import BatchEngine
from srdp.engines.htcondor import HTCondor
from srdp.engines.local_records import SUBMISSION, read_record

pytestmark = pytest.mark.team

# How late HTCondor's word may be, and how long anything may take, on a busy machine.
_LATE_SECONDS, _TIMEOUT_SECONDS = 15, 180


@pytest.fixture
def pool(condor):
    return condor


@pytest.fixture
def engine(pool):
    return BatchEngine(HTCondor(pool.options(grace_seconds=_LATE_SECONDS)), grace_seconds=3)


@pytest.fixture
def new_job(pool, request):
    def make(script: str, **more) -> Job:
        run = pool.folder / "spool" / f"run-{time.monotonic_ns()}"
        run.mkdir(parents=True, exist_ok=True)
        made = {"name": f"{run.name}.casa1", "command": ("/bin/sh", "-c", script), "working_directory": run,
                "environment": {}, "spool": run, "cores": 1, "memory_gb": 1, **more}  # fmt: skip
        return Job(**made)

    return make


def end_of(engine, job, seconds=_TIMEOUT_SECONDS):
    wait_for(
        lambda: engine.status(job.name, job.spool).state in {JobState.ENDED, JobState.LOST}, seconds, "the job's end"
    )
    return engine.status(job.name, job.spool)


def started(engine, job, seconds=_TIMEOUT_SECONDS):
    wait_for(lambda: engine.status(job.name, job.spool).state is JobState.RUNNING, seconds, "the job's start")
    wait_for((job.spool / "began").exists, _TIMEOUT_SECONDS, "the program")


def beginning(job):
    """What a job does first: it says that it was begun again."""
    return f"echo begun >> {job.spool}/began; "


def cluster(job):
    return read_record(job.spool / job.name / SUBMISSION)["native_id"]


@pytest.fixture
def running(engine, new_job):
    """A job that runs until it is ended."""

    def make(script="sleep 300", **more):
        job = new_job("", **more)
        job = replace(job, command=("/bin/sh", "-c", beginning(job) + script))
        engine.submit(job)
        started(engine, job)
        return job

    return make


def wait_until_gone(engine, job):
    def is_gone():
        jobs = engine.queue().jobs
        return jobs is not None and job.name not in jobs

    wait_for(is_gone, _TIMEOUT_SECONDS, "the queue to forget the job")


def begun(job):
    return (job.spool / "began").read_text().count("begun")


@pytest.mark.parametrize(
    ("daemon", "word"),
    [("condor_shadow", "its shadow was gone"), ("condor_starter", "Job not found at execution machine")],
)
def test_a_killed_daemon_that_takes_casa_with_it_is_reported_and_casa_is_not_started_again(
    pool, engine, running, daemon, word
):
    job = running()
    pool.kill(daemon, cluster(job))
    assert word in end_of(engine, job).cause
    wait_until_gone(engine, job)
    assert begun(job) == 1


def test_a_killed_node_is_reported_when_its_lease_is_over_and_casa_is_not_started_again(pool, engine, running):
    job = running()
    pool.kill("condor_startd")
    assert "JobLeaseDuration (30 seconds) expired" in end_of(engine, job).cause
    wait_until_gone(engine, job)
    assert begun(job) == 1


def test_a_job_outlives_the_schedd(pool, engine, running):
    job = running("while [ ! -e go ]; do sleep 0.2; done; exit 4")
    pool.kill("condor_schedd")
    assert engine.status(job.name, job.spool).state is JobState.RUNNING
    wait_for(lambda: engine.queue().jobs is not None, _TIMEOUT_SECONDS, "the schedd")
    assert engine.status(job.name, job.spool).state is JobState.RUNNING
    (job.working_directory / "go").touch()
    assert (end_of(engine, job).exit_code, begun(job)) == (4, 1)


def test_a_pool_that_is_away_says_nothing_of_a_job(pool, engine, running):
    job = running("while [ ! -e go ]; do sleep 0.2; done; exit 5")
    pool.stop("condor_schedd", "condor_collector")
    try:
        began = time.monotonic()
        hasty = BatchEngine(HTCondor(pool.options(answer_timeout_seconds=2)))
        status = hasty.status(job.name, job.spool)
        assert time.monotonic() - began < 10
        assert (status.state, "no answer within 2 s" in status.note) == (JobState.RUNNING, True)
        with pytest.raises(JobNotStarted, match="no answer"):
            hasty.submit(replace(job, name="casa2"))
        (job.working_directory / "go").touch()
        assert end_of(hasty, job).exit_code == 5
    finally:
        pool.go_on("condor_schedd", "condor_collector")
    assert begun(job) == 1


def test_a_job_that_is_held_for_a_missing_file_says_so_and_goes_on_when_it_is_released(pool, engine, new_job):
    python = pool.folder / "python-of-the-node"
    job = new_job("exit 6")
    BatchEngine(HTCondor(pool.options(python=python))).submit(job)
    wait_for(lambda: "held" in (engine.status(job.name, job.spool).note or ""), _TIMEOUT_SECONDS, "the hold")
    status = engine.status(job.name, job.spool)
    assert (status.state, status.hold) == (JobState.WAITING, 1)
    assert f"condor_release {cluster(job)}" in status.note
    assert str(python) in status.note
    pool.run("condor_release", cluster(job))
    wait_for(lambda: engine.status(job.name, job.spool).hold == 2, _TIMEOUT_SECONDS, "the second hold")
    python.symlink_to("/usr/bin/python3")
    pool.run("condor_release", cluster(job))
    assert end_of(engine, job).exit_code == 6


def test_a_held_job_is_cancelled_and_leaves_the_queue(pool, engine, new_job):
    job = new_job("exit 6")
    BatchEngine(HTCondor(pool.options(python=pool.folder / "missing"))).submit(job)
    wait_for(lambda: "held" in (engine.status(job.name, job.spool).note or ""), _TIMEOUT_SECONDS, "the hold")
    engine.cancel(job.name, job.spool, "a test says so")
    status = engine.status(job.name, job.spool)
    assert (status.state, status.cancelled, status.cause) == (JobState.ENDED, True, "a test says so")
    assert job.name not in engine.queue().jobs


@pytest.mark.parametrize(
    ("command", "word"), [("condor_rm", "removed from the queue"), ("condor_vacate_job", "evicted"),
                          ("condor_hold", "condor_hold")]
)  # fmt: skip
def test_who_takes_a_running_job_off_its_node_is_notified(pool, engine, running, command, word):
    job = running()
    pool.run(command, cluster(job))
    status = end_of(engine, job)
    assert word in status.cause
    assert not status.cancelled
    engine.cancel(job.name, job.spool, "it is over")
    wait_until_gone(engine, job)
    assert begun(job) == 1


def test_a_job_that_uses_more_memory_than_it_asked_for_is_reported_the_figure(engine, running):
    job = running("exec /usr/bin/python3 -c 'import time; held = bytearray(1300 << 20); time.sleep(300)'")
    cause = end_of(engine, job).cause
    assert "more than the 1 GB of memory" in cause
    assert "raise SRDP_HTCONDOR__MEMORY_GB" in cause


def test_a_job_that_runs_longer_than_its_wall_time_is_reported_the_figure(pool, new_job):
    engine = BatchEngine(HTCondor(pool.options(wall_time_hours=0.002, grace_seconds=_LATE_SECONDS)), grace_seconds=3)
    job = new_job("sleep 300")
    engine.submit(job)
    assert "wall time of 7.2 s; raise SRDP_HTCONDOR__WALL_TIME_HOURS" in end_of(engine, job).cause


def test_a_cancelled_job_is_gone_with_what_it_had_started(pool, engine, running):
    job = running("trap '' TERM; sleep 3210 & sleep 3210; sleep 3210")
    engine.cancel(job.name, job.spool, "a test says so")
    status = engine.status(job.name, job.spool)
    assert (status.state, status.cancelled, status.cause) == (JobState.ENDED, True, "a test says so")
    assert "sleep 3210" not in pool.run("ps", "-e", "-o", "args=")


def test_a_spool_area_with_a_hostile_name_reaches_htcondor_as_it_is(pool, engine, new_job):
    run = pool.folder / "a $(Cluster) 'b' \"c\" %d" / "run"
    run.mkdir(parents=True)
    job = new_job("exit 7", spool=run, working_directory=run)
    engine.submit(job)
    assert end_of(engine, job).exit_code == 7


def test_what_htcondor_refuses_is_said_and_nothing_is_in_its_queue(pool, engine, new_job):
    job = new_job("exit 8")
    wrong = BatchEngine(HTCondor(pool.options(options=("requirements = ((",))))
    with pytest.raises(JobNotStarted, match=r"HTCondor refused.*Parse error"):
        wrong.submit(job)
    assert job.name not in engine.queue().jobs


@pytest.mark.parametrize(
    ("setting", "word"),
    [({"schedd": "nobody"}, "no schedd nobody"), ({"collector": "127.0.0.1:1"}, "collector"),
     ({"config": "/nowhere/condor_config"}, "/nowhere/condor_config")],
)  # fmt: skip
def test_a_pool_that_is_named_wrongly_gives_no_answer(pool, setting, word):
    queue = BatchEngine(HTCondor(pool.options(**setting))).queue()
    assert queue.jobs is None
    assert word in queue.fault
