"""The local engine, with real processes: what is counted is counted by the jobs themselves."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from tests.jobs import COUNT, DAEMON, SLEEP, STUBBORN, Bench, alive, wait_until
from tests.killing import killed_at_each_file_operation

from srdp.domain.common.errors import IntegrityError, ServiceUnavailable
from srdp.domain.files.storage import StorageUnavailable
from srdp.engines import Job, JobNotGone, JobNotStarted, JobState, local_job, processes
from srdp.engines.local import LocalEngine

# They start many processes, of which some take seconds to be ended.
pytestmark = pytest.mark.servers


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "run")
    yield bench
    bench.cancel("the test is over")


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-I", "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


# --- a job's life --------------------------------------------------------------------------------------------------


def test_a_job_that_nobody_submitted_is_absent(bench):
    assert bench.status().state is JobState.ABSENT
    assert not list(bench.spool.iterdir()), "a look changes nothing"


def test_the_end_of_a_job_is_a_record_that_it_leaves(bench):
    bench.submit(COUNT + "print('out'); print('err', file=sys.stderr); bytearray(80_000_000).count(1); sys.exit(3)")
    status = bench.ended()
    assert (status.exit_code, status.signal, status.cause) == (3, None, None)
    assert status.host == os.uname().nodename
    assert status.started_at.tzinfo is not None
    assert status.started_at < status.ended_at
    assert 80_000_000 < status.peak_memory_bytes < 400_000_000
    assert (bench.records / "stdout").read_text() == "out\n"
    assert (bench.records / "stderr").read_text() == "err\n"


def test_the_job_gets_what_it_is_given_and_nothing_of_airflow(bench, monkeypatch):
    for name in ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "SRDP_HOME", "PGPASSWORD", "AIRFLOW_CONN_SRDP_LEDGER"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("PYTHONPATH", "/airflow")
    monkeypatch.setenv("LANG", "C.UTF-8")
    bench.submit(
        "import json, os\n"
        "print(json.dumps([dict(os.environ), os.getcwd(), os.getsid(0), os.listdir('/proc/self/fd')]))",
        SCIPIPE_ROOTDIR="/root of the run",
    )
    bench.ended()
    environment, directory, session, descriptors = json.loads((bench.records / "stdout").read_text())
    assert environment.pop("SCIPIPE_ROOTDIR") == "/root of the run"
    assert environment.pop("OMP_NUM_THREADS") == "3"
    assert environment.pop("CASA_JOB_FOLDER") == str(bench.records)
    assert environment["LANG"] == "C.UTF-8"
    assert "PATH" in environment
    assert set(environment) <= {"HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "PATH", "TMPDIR", "TZ", "USER"}
    assert directory == str(bench.working)
    assert session != os.getsid(0)
    assert len(descriptors) == 4, "stdin, stdout, stderr and the listing itself"
    assert "secret" not in "".join(path.read_text() for path in bench.records.iterdir())


@pytest.mark.parametrize(("cores", "processes", "threads"), [(8, 8, "1"), (8, 4, "2"), (8, 16, "1")])
def test_the_processes_of_mpi_share_the_cores(bench, cores, processes, threads):
    job = replace(bench.job("import os; print(os.environ['OMP_NUM_THREADS'])"), cores=cores, processes=processes)
    bench.engine.submit(job)
    bench.ended()
    assert (bench.records / "stdout").read_text().strip() == threads
    assert bench.engine.submitted(job.name, job.spool) == job


def test_while_it_runs_a_job_says_where_and_since_when(bench):
    bench.submit(SLEEP)
    status = bench.status()
    assert status.state is JobState.RUNNING
    assert status.host == os.uname().nodename
    assert status.started_at is not None
    assert status.exit_code is status.ended_at is status.cause is None


def test_the_job_is_nobodys_child_and_its_wrapper_in_a_session_of_its_own(bench):
    before = set(psutil.Process().children(recursive=True))
    bench.submit(SLEEP)
    assert not set(psutil.Process().children(recursive=True)) - before
    assert os.getsid(bench.wrapper()) not in {os.getsid(0), os.getsid(wait_until(bench.starts)[0])}


def test_a_program_that_cannot_be_started_ends_at_once_and_says_why(bench):
    job = bench.job("")
    bench.engine.submit(Job(**{**vars(job), "command": ("/no/such/casa",)}))
    status = bench.ended()
    assert status.exit_code == 127
    assert "/no/such/casa could not be started" in status.cause


def test_what_a_job_leaves_behind_is_ended_before_the_job_is(bench):
    bench.submit(COUNT + DAEMON + "daemon('left', os.environ)\nwhile not os.path.exists('left'): time.sleep(0.01)\n")
    status = bench.ended()
    assert (status.exit_code, status.signal, status.cause) == (0, None, None)
    assert not alive(bench.pid_in("left"))


def test_every_look_during_many_short_lives_is_true(tmp_path):
    order = [JobState.ABSENT, JobState.WAITING, JobState.RUNNING, JobState.ENDED]
    for number in range(5):
        bench = Bench(tmp_path / str(number))
        threading.Thread(target=bench.submit, args=(COUNT,)).start()
        seen = 0
        give_up = time.monotonic() + 30
        while seen < 3 and time.monotonic() < give_up:
            now = order.index(bench.status().state)  # a job that seems lost is not in the list
            assert now >= seen
            seen = now
        assert len(bench.starts()) == 1


# --- at most once --------------------------------------------------------------------------------------------------


def test_a_job_that_is_submitted_again_is_not_started_again(bench):
    for _ in range(3):
        bench.submit(SLEEP)
    wait_until(bench.starts)
    os.kill(bench.starts()[0], signal.SIGKILL)
    bench.ended()
    bench.submit(SLEEP)
    assert len(bench.starts()) == 1


def test_twenty_who_submit_at_once_start_it_once(bench):
    children = []
    for _ in range(20):
        if (child := os.fork()) == 0:
            try:
                bench.submit(SLEEP)
                os._exit(0)
            finally:
                os._exit(1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 20
    wait_until(bench.starts)
    assert bench.status().state is JobState.RUNNING
    assert len(bench.starts()) == 1


def test_where_locks_do_not_work_the_exclusive_record_lets_it_start_once(bench, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(LocalEngine, "_start_wrapper", lambda *_: None)
        bench.submit(COUNT)
    monkeypatch.setattr(local_job, "_lock", lambda _folder: True)
    _, writing = os.pipe()
    children = []
    for _ in range(5):
        if (child := os.fork()) == 0:
            try:
                local_job._run(bench.records, writing)
                os._exit(0)
            finally:
                os._exit(1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 5
    assert len(bench.starts()) == 1


def test_a_submitter_killed_at_any_file_operation_leaves_a_job_that_starts_once(bench):
    shutil.rmtree(bench.folder)
    benches = []

    def prepare():
        benches.append(Bench(bench.folder / str(len(benches))))

    for _ in killed_at_each_file_operation(prepare, lambda: benches[-1].submit(COUNT)):
        assert benches[-1].status().state is not JobState.LOST
        benches[-1].submit(COUNT)
        assert benches[-1].ended().exit_code == 0
        assert len(benches[-1].starts()) == 1
    assert len(benches) > 5


@pytest.mark.parametrize("moment", ["before the wrapper's start", "after the wrapper's start"])
def test_a_submitter_killed_around_the_wrappers_start_leaves_a_job_that_starts_once(bench, moment):
    start = subprocess.Popen.__init__

    def killed(*arguments, **keywords):
        if moment.startswith("after"):
            start(*arguments, **keywords)
        os.kill(os.getpid(), signal.SIGKILL)

    if (child := os.fork()) == 0:
        subprocess.Popen.__init__ = killed
        bench.submit(SLEEP)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    if moment.startswith("before"):
        assert bench.status().state is JobState.ABSENT
        assert (bench.records / local_job.JOB).exists(), "it was claimed"
    bench.submit(SLEEP)
    wait_until(bench.starts)
    assert bench.status().state is JobState.RUNNING
    assert len(bench.starts()) == 1


def test_a_wrapper_killed_at_any_file_operation_never_lets_the_job_start_twice(bench, monkeypatch):
    shutil.rmtree(bench.folder)
    benches = []
    reading, writing = os.pipe()

    def prepare():
        benches.append(Bench(bench.folder / str(len(benches))))
        with monkeypatch.context() as patch:
            patch.setattr(LocalEngine, "_start_wrapper", lambda *_: None)
            benches[-1].submit(COUNT)

    def wrapper():
        processes.descendants = lambda _: []  # which would read a file of every process on the machine
        local_job._run(benches[-1].records, os.dup(writing))

    states = set()
    for _ in killed_at_each_file_operation(prepare, wrapper):
        states.add(state := benches[-1].status().state)
        benches[-1].submit(COUNT)
        if state is JobState.ABSENT:
            assert benches[-1].ended().exit_code == 0
            assert len(benches[-1].starts()) == 1
        else:
            assert state in {JobState.LOST, JobState.ENDED}
            assert benches[-1].status().state is state
            assert len(benches[-1].starts()) <= 1
    assert states == {JobState.ABSENT, JobState.LOST}, "nothing is done after the end has its name"
    os.close(reading)
    os.close(writing)


def test_a_start_of_which_the_record_is_empty_is_a_start(bench):
    bench.records.mkdir()
    (bench.records / local_job.STARTED).touch()
    bench.submit(COUNT)
    assert bench.status().state is JobState.LOST
    assert bench.starts() == []


def test_a_job_that_cannot_be_read_is_not_started(bench):
    bench.records.mkdir()
    (bench.records / local_job.JOB).write_text("no JSON")
    with pytest.raises(IntegrityError, match="cannot be read"):
        bench.submit(COUNT)
    assert bench.status().state is JobState.ABSENT


def test_a_wrapper_that_fails_before_the_start_is_reported_and_may_be_tried_again(bench, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(bench.engine, "grace_seconds", "long")  # which the wrapper cannot read
        with pytest.raises(JobNotStarted, match="could not convert") as caught:
            bench.submit(COUNT)
    assert isinstance(caught.value, ServiceUnavailable)
    assert bench.status().state is JobState.ABSENT


def test_a_spool_that_cannot_be_written_is_reported_in_a_sentence(bench):
    bench.spool.rmdir()
    bench.spool.write_text("a file where a folder should be")
    with pytest.raises(StorageUnavailable, match="no folder"):
        bench.submit(COUNT)
    bench.spool.unlink()
    bench.spool.mkdir()


# --- killed and cancelled ------------------------------------------------------------------------------------------


def test_a_killed_program_is_an_end_with_its_signal_within_seconds(bench):
    bench.submit(SLEEP)
    os.kill(wait_until(bench.starts)[0], signal.SIGKILL)
    status = wait_until(lambda: (status := bench.status()).state is JobState.ENDED and status, seconds=5)
    assert (status.exit_code, status.signal, status.cause) == (None, "SIGKILL", None)


def test_a_killed_wrapper_takes_the_program_along_and_the_job_is_lost(bench):
    bench.submit(SLEEP)
    program = wait_until(bench.starts)[0]
    os.kill(bench.wrapper(), signal.SIGKILL)
    status = wait_until(lambda: (status := bench.status()).state is JobState.LOST and status, seconds=5)
    assert "was killed" in status.cause
    wait_until(lambda: not alive(program), seconds=5)
    bench.submit(SLEEP)
    assert bench.status().state is JobState.LOST
    assert len(bench.starts()) == 1


def test_what_survives_a_killed_wrapper_is_ended_by_a_cancellation(bench, bystander):
    bench.submit(COUNT + DAEMON + "daemon('unexpected', os.environ)\ntime.sleep(600)\n")
    unexpected = bench.pid_in("unexpected")
    os.kill(bench.wrapper(), signal.SIGKILL)
    wait_until(lambda: bench.status().state is JobState.LOST)
    assert alive(unexpected)
    bench.cancel("its wrapper was killed")
    assert not alive(unexpected)
    assert bystander.poll() is None
    assert not bench.status().cancelled, "it was lost before"


def test_a_cancellation_ends_daemons_and_what_ignores_sigterm_and_returns_when_all_are_gone(bench, bystander):
    bench.submit(
        COUNT
        + DAEMON
        + STUBBORN
        + "daemon('marked', os.environ)\ndaemon('unmarked', {})\nopen('ready', 'w').write('1')\ntime.sleep(600)\n"
    )
    pids = [bench.pid_in("marked"), bench.pid_in("unmarked"), bench.starts()[0], bench.wrapper()]
    bench.pid_in("ready")
    assert all(alive(pid) for pid in pids)
    bench.cancel("the deadline has passed")
    assert not [pid for pid in pids if alive(pid)]
    status = bench.status()
    assert status.state is JobState.ENDED
    assert (status.signal, status.cause, status.cancelled) == ("SIGKILL", "the deadline has passed", True)
    assert bystander.poll() is None
    bench.cancel("again")
    assert bench.status() == status


def test_a_program_that_heeds_sigterm_is_not_killed(bench):
    bench.submit(
        COUNT + "def tidy(*_):\n    time.sleep(0.1); open('tidied', 'w').close(); sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, tidy); open('ready', 'w').write('1'); time.sleep(600)"
    )
    bench.pid_in("ready")
    bench.cancel()
    status = bench.status()
    assert (bench.working / "tidied").exists()
    assert (status.state, status.exit_code, status.cause) == (JobState.ENDED, 0, "it was asked for")


def test_a_cancelled_job_that_was_not_started_never_starts(bench):
    bench.cancel("the run was cancelled")
    bench.submit(COUNT)
    status = bench.status()
    assert (status.state, status.cause, status.started_at) == (JobState.ENDED, "the run was cancelled", None)
    assert status.cancelled
    assert bench.starts() == []


def test_a_cancellation_of_a_job_that_has_ended_changes_nothing(bench):
    bench.submit(COUNT)
    status = bench.ended()
    bench.cancel()
    assert bench.status() == status
    assert not (bench.records / local_job.CANCEL).exists()


def test_processes_that_cannot_be_ended_are_named(bench, monkeypatch):
    bench.submit(SLEEP)
    program = wait_until(bench.starts)[0]
    os.kill(bench.wrapper(), signal.SIGSTOP)
    with monkeypatch.context() as patch:
        for act in ("terminate", "kill"):
            patch.setattr(psutil.Process, act, lambda _process: None)
        with pytest.raises(JobNotGone, match=f"{program}.* cannot be ended"):
            bench.cancel()


def test_a_stuck_wrapper_does_not_hold_up_a_cancellation(bench):
    bench.submit(SLEEP)
    program = wait_until(bench.starts)[0]
    os.kill(bench.wrapper(), signal.SIGSTOP)
    bench.cancel("it hangs")
    assert not alive(program)
    assert not alive(bench.wrapper())
    status = bench.status()
    assert (status.state, status.cause, status.cancelled) == (JobState.LOST, "it hangs", True)


def test_a_wrapper_asked_to_end_by_the_system_ends_its_job_and_says_so(bench):
    bench.submit(SLEEP)
    program = wait_until(bench.starts)[0]
    os.kill(bench.wrapper(), signal.SIGTERM)
    status = bench.ended()
    assert "SIGTERM" in status.cause
    assert not status.cancelled
    assert not alive(program)


def test_anyone_who_wins_between_submit_and_cancel_nothing_lives_afterwards(tmp_path):
    for number in range(6):
        bench = Bench(tmp_path / str(number))

        def submit(bench=bench):
            with contextlib.suppress(JobNotStarted):
                bench.submit(SLEEP)

        submitter = threading.Thread(target=submit)
        submitter.start()
        time.sleep(number * 0.04)  # not a wait for anything: another moment each time
        bench.cancel()
        submitter.join()
        assert bench.status().state is JobState.ENDED
        assert bench.status().cause == "it was asked for"
        assert not [pid for pid in bench.starts() if alive(pid)]


# --- never somebody else's process ---------------------------------------------------------------------------------


def test_a_reused_pid_is_nobody_of_the_jobs(bench, bystander):
    bench.records.mkdir()
    record = {**local_job.this_place(), "wrapper_pid": bystander.pid, "started_at": "2026-11-22T18:24:53+00:00"}
    (bench.records / local_job.STARTED).write_text(json.dumps(record))
    assert bench.status().state is JobState.LOST
    bench.cancel()
    assert bystander.poll() is None


def test_a_job_of_another_spool_with_the_same_name_is_left_alone(bench, tmp_path):
    other = Bench(tmp_path / "other")
    bench.submit(SLEEP)
    other.submit(SLEEP)
    other.cancel()
    assert bench.status().state is JobState.RUNNING
