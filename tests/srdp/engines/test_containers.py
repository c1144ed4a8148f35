"""The local engine between containers: here, between two process namespaces of the kernel, which make a container."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.jobs import COUNT, DAEMON, SLEEP, STUBBORN, Bench, alive, wait_until

from srdp.engines import JobNotGone, JobState, local_job, local_records
from srdp.engines.local import LocalEngine
from srdp.engines.processes import MARKER

pytestmark = pytest.mark.servers

_UNSHARE = ("unshare", "--pid", "--uts", "--mount-proc", "--fork", "--kill-child")
_OURS = {**os.environ, "PYTHONPATH": str(Path(local_job.__file__).parents[2])}
# The first process of the container: it submits what it reads, says when that is done, and lives on.
_FIRST = """
import json, os, socket, sys, time
from pathlib import Path
from srdp.engines import Job
from srdp.engines.local import LocalEngine
socket.sethostname("worker-casa")
asked = json.loads(sys.argv[1])
LocalEngine(grace_seconds=0.3).submit(Job.of_record(asked, Path(sys.argv[2])))
print("submitted", flush=True)
while True:
    time.sleep(600)
"""


class Container(Bench):
    """A job's folder, and a container that shares it."""

    container: subprocess.Popen[str] | None = None

    def submit_in_container(self, code: str) -> None:
        arguments = (json.dumps(self.job(code).as_record()), str(self.spool))
        self.container = subprocess.Popen(
            [*_UNSHARE, sys.executable, "-c", _FIRST, *arguments], stdout=subprocess.PIPE, text=True, env=_OURS
        )
        assert self.container.stdout is not None
        assert self.container.stdout.readline() == "submitted\n"

    def stop_container(self) -> None:
        assert self.container is not None
        self.container.kill()
        self.container.wait()
        assert self.container.stdout is not None
        self.container.stdout.close()

    def processes(self) -> list[int]:
        """Return the pids, as they are known here, of all processes of the container but its first."""
        (first,) = psutil.Process(self.container.pid).children()
        return [process.pid for process in first.children(recursive=True)]


@pytest.fixture
def bench(tmp_path) -> Iterator[Container]:
    allowed = subprocess.run([*_UNSHARE, "true"], capture_output=True, text=True, check=False)
    if allowed.returncode:
        pytest.skip(f"no process namespace can be made here: {allowed.stderr.strip()}")
    bench = Container(tmp_path / "run")
    yield bench
    if bench.container is not None:
        bench.stop_container()


def test_a_job_of_another_container_is_seen_and_cancelled_with_all_that_it_started(bench):
    bench.submit_in_container(
        COUNT + DAEMON + STUBBORN + "daemon('left', {})\nopen('ready', 'w').write('1')\ntime.sleep(600)\n"
    )
    bench.pid_in("ready")
    status = bench.status()
    assert (status.state, status.host) == (JobState.RUNNING, "worker-casa")
    processes = bench.processes()
    assert len(processes) >= 3, "its wrapper, the program and the daemon"
    bench.cancel("the deadline has passed")
    status = bench.status()
    assert (status.state, status.cancelled, status.cause) == (JobState.ENDED, True, "the deadline has passed")
    wait_until(lambda: not [pid for pid in processes if alive(pid)], seconds=1)


def test_no_process_here_is_signalled_for_a_job_of_another_container(bench):
    """As of another installation, whose job has the same mark because its spool area has the same path there."""
    namesake = subprocess.Popen(
        [sys.executable, "-I", "-c", "import time; time.sleep(600)"],
        env={MARKER: str(bench.records)},
    )
    try:
        bench.submit_in_container(SLEEP)
        bench.cancel()
        assert bench.status().state is JobState.ENDED
        assert namesake.poll() is None
    finally:
        namesake.kill()
        namesake.wait()


def test_a_job_whose_container_is_stopped_is_lost_at_once_and_never_started_again(bench):
    bench.submit_in_container(SLEEP)
    wait_until(bench.starts)
    bench.stop_container()
    status = wait_until(lambda: (status := bench.status()).state is JobState.LOST and status, seconds=5)
    assert "worker-casa was stopped or restarted" in status.cause
    bench.cancel("it was lost")
    bench.submit(SLEEP)
    assert bench.status().state is JobState.LOST
    assert len(bench.starts()) == 1


def test_a_job_that_another_container_does_not_end_is_reported(bench):
    bench.submit_in_container(SLEEP)
    stuck = bench.processes()
    for pid in stuck:
        os.kill(pid, signal.SIGSTOP)
    bench.engine = LocalEngine(elsewhere_seconds=0.5)
    with pytest.raises(JobNotGone, match=r"still lives on worker-casa.*restart that container"):
        bench.cancel()
    for pid in stuck:
        os.kill(pid, signal.SIGCONT)
    bench.cancel("it continues")
    assert bench.ended().cause == "it was asked for", "the first request is the one reported"


def test_a_job_that_is_cancelled_just_before_its_start_does_not_start(bench, monkeypatch):
    """By somebody elsewhere, who cannot signal the wrapper: at the last moment at which it looked like a living job."""
    with monkeypatch.context() as patch:
        patch.setattr(LocalEngine, "_start_wrapper", lambda *_: None)
        bench.submit(COUNT)
    reserve = local_job.reserve
    cancel = {"cause": "it was not wanted"}
    monkeypatch.setattr(
        local_job, "reserve", lambda folder: (reserve(folder), local_records.write_once(folder / "cancel.json", cancel))
    )
    if (child := os.fork()) == 0:
        try:
            local_job._run(bench.records, os.open("/dev/null", os.O_WRONLY))
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    status = bench.status()
    assert (status.state, status.cancelled, status.cause) == (JobState.ENDED, True, "it was not wanted")
    assert bench.starts() == []


def test_no_container_is_taken_for_a_former_one_of_which_the_kernel_gave_it_the_number(bench):
    show = "from srdp.engines.local_records import this_place; print(this_place()['pid_namespace'])"
    seen = [
        subprocess.run(
            [*_UNSHARE, sys.executable, "-c", show], env=_OURS, stdout=subprocess.PIPE, text=True, check=True
        ).stdout
        for _ in range(5)
    ]
    assert len(set(seen)) == 5
