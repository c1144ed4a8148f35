"""CASA under an account of its own, with three real accounts: what it can reach, and that its processes are reached."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress

import pytest
from tests.accounts import Accounts, done_as, missing, owner_and_mode, three_accounts
from tests.jobs import COUNT, DAEMON, NAME, SLEEP, STUBBORN, Bench, alive, wait_until

from srdp.engines import Job, JobState
from srdp.engines.local import LocalEngine

pytestmark = [pytest.mark.servers, pytest.mark.skipif(bool(missing()), reason=missing() or "there are three accounts")]

RUN = NAME.removesuffix(".casa1")


@pytest.fixture(scope="module")
def accounts() -> Iterator[Accounts]:
    with three_accounts() as accounts:
        yield accounts


class BenchOfAccounts(Bench):
    """A job of the pipeline's account, started, looked at and cancelled by the service's."""

    def __init__(self, accounts: Accounts, name: str) -> None:
        self.accounts = accounts
        self.area = accounts.area(f"{name}-area", 0o2755, accounts.group)
        self.spool = accounts.area(f"{name}-spool", 0o711) / RUN
        self.working = self.area / RUN / "working"
        self.engine = LocalEngine(grace_seconds=0.5, record_seconds=2.0)
        self.as_service(lambda: self.working.mkdir(parents=True))
        self.working.chmod(0o2775)

    def as_service(self, act):
        return done_as(self.accounts.service, act)

    def job(self, code: str, **environment: str) -> Job:
        return Job(
            name=NAME, command=("/usr/bin/env", "python3", "-I", "-c", code), working_directory=self.working,
            environment={"SCIPIPE_ROOTDIR": "/root of the run", **environment}, spool=self.spool, cores=1, memory_gb=1,
            account=self.accounts.pipeline,
        )  # fmt: skip

    def submit(self, code: str, **environment: str) -> None:
        self.as_service(lambda: super(BenchOfAccounts, self).submit(code, **environment))

    def status(self) -> dict:
        def look():
            status = self.engine.status(NAME, self.spool)
            return {key: str(value) if key.endswith("_at") else value for key, value in vars(status).items()}

        return self.as_service(look)

    def ended(self) -> dict:
        return wait_until(lambda: (status := self.status())["state"] == JobState.ENDED and status)

    def cancel(self, cause: str = "it was asked for") -> None:
        self.as_service(lambda: super(BenchOfAccounts, self).cancel(cause))


@pytest.fixture
def bench(accounts, request) -> Iterator[BenchOfAccounts]:
    bench = BenchOfAccounts(accounts, f"t{abs(hash(request.node.name))}")
    yield bench
    bench.cancel("the test is over")


# What somebody who edits a PPR can have CASA do.
PRYING = """
import glob, json, os, resource, sys
def tried(act):
    try:
        return repr(act())
    except OSError as error:
        return type(error).__name__
spool, secrets, service = sys.argv[1:]
wrapper = next(pid for pid in os.listdir('/proc') if pid.isdigit()
               and b'srdp.engines.local_job\\0' + spool.encode() in open(f'/proc/{pid}/cmdline', 'rb').read())
print(json.dumps({
    'environment': dict(os.environ), 'uid': os.getuid(), 'groups': os.getgroups(),
    'environment of the service': tried(lambda: open(f'/proc/{service}/environ').read()),
    'environment of the wrapper': tried(lambda: open(f'/proc/{wrapper}/environ').read()),
    'memory of the service': tried(lambda: open(f'/proc/{service}/mem')),
    'secrets': tried(lambda: open(secrets).read()),
    'spool area': tried(lambda: os.listdir(os.path.dirname(os.path.dirname(spool)))),
    'job': tried(lambda: open(spool + '/job.json').read()),
    'end': tried(lambda: open(spool + '/ended.json', 'w')),
    'record': tried(lambda: open(os.path.dirname(spool) + '/record', 'w')),
    'kill': tried(lambda: os.kill(int(service), 9)),
    'working': tried(lambda: open('written', 'w').write('1')),
}))
bytearray(80_000_000).count(1)
sys.exit(3)
"""


def test_what_an_analyst_has_casa_do_reads_no_secret_and_writes_no_record(bench, accounts):
    secrets = accounts.folder / "environment of Airflow"
    secrets.write_text("SECRET=secret")
    os.chown(secrets, *(bench.area.stat().st_uid,) * 2)
    secrets.chmod(0o600)
    service = subprocess.Popen(
        ["/bin/sleep", "600"], user=accounts.service, env={"AIRFLOW_CONN_SRDP_LEDGER": "secret"}, cwd="/"
    )
    try:
        code = PRYING.replace("sys.argv[1:]", repr((str(bench.records), str(secrets), str(service.pid))))
        bench.submit(code)
        status = bench.ended()
        assert service.poll() is None
    finally:
        service.kill()
        service.wait()
    output = json.loads((bench.records / "stdout").read_text())
    assert (status["exit_code"], status["signal"], status["cause"]) == (3, None, None)
    assert 80_000_000 < status["peak_memory_bytes"] < 400_000_000
    environment = output.pop("environment")
    assert (environment["USER"], environment["HOME"]) == (
        accounts.pipeline, str(accounts.folder / accounts.pipeline),
    )  # fmt: skip
    assert environment["SCIPIPE_ROOTDIR"] == "/root of the run"
    assert set(environment) <= {
        "CASA_JOB_FOLDER", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LOGNAME", "OMP_NUM_THREADS", "PATH",
        "SCIPIPE_ROOTDIR", "TZ", "USER",
    }  # fmt: skip
    assert output.pop("uid") != bench.area.stat().st_uid
    assert bench.area.stat().st_gid in output.pop("groups")
    assert output.pop("working") == "1"
    assert set(output.values()) == {"PermissionError"}, output
    owners = {path.name: owner_and_mode(path) for path in (bench.records, *bench.records.iterdir())}
    mine = f"{accounts.service}:{accounts.service}"
    assert owners.pop(NAME) == f"{mine} 0700"
    assert set(owners.values()) == {f"{mine} 0600"}


def test_a_cancellation_ends_the_whole_tree_under_the_other_account(bench):
    bench.submit(
        COUNT + DAEMON + STUBBORN
        + "daemon('marked', os.environ)\ndaemon('unmarked', {})\nopen('ready', 'w').write('1')\ntime.sleep(600)\n"
    )  # fmt: skip
    pids = [bench.pid_in("marked"), bench.pid_in("unmarked"), bench.starts()[0], bench.wrapper()]
    bench.pid_in("ready")
    assert all(alive(pid) for pid in pids)
    bench.cancel("the deadline has passed")
    assert not [pid for pid in pids if alive(pid)]
    status = bench.status()
    assert (status["state"], status["signal"], status["cause"], status["cancelled"]) == (
        JobState.ENDED, "SIGKILL", "the deadline has passed", True,
    )  # fmt: skip


def test_a_wrapper_asked_to_end_by_the_system_ends_casa_under_the_other_account(bench):
    bench.submit(COUNT + DAEMON + STUBBORN + "daemon('unexpected', {})\ntime.sleep(600)\n")
    pids = [wait_until(bench.starts)[0], bench.pid_in("unexpected")]
    os.kill(bench.wrapper(), signal.SIGTERM)
    status = bench.ended()
    assert "SIGTERM" in status["cause"]
    assert not [pid for pid in pids if alive(pid)]


def test_a_killed_casa_is_an_end_with_its_signal(bench):
    bench.submit(SLEEP)
    os.kill(wait_until(bench.starts)[0], signal.SIGSEGV)
    status = bench.ended()
    assert (status["exit_code"], status["signal"], status["cancelled"]) == (None, "SIGSEGV", False)


def test_a_killed_wrapper_takes_casa_along_though_it_is_another_accounts(bench):
    bench.submit(COUNT + DAEMON + "daemon('unexpected', {})\ntime.sleep(600)\n")
    pids = [wait_until(bench.starts)[0], bench.pid_in("unexpected")]
    os.kill(bench.wrapper(), signal.SIGKILL)
    wait_until(lambda: not [pid for pid in pids if alive(pid)], seconds=10)
    assert bench.status()["state"] == JobState.LOST
    bench.submit(COUNT + DAEMON + "daemon('unexpected', {})\ntime.sleep(600)\n")
    assert len(bench.starts()) == 1, "it is not started again"


def test_what_is_left_when_everything_was_killed_is_found_again_and_ended(bench):
    bench.submit(COUNT + DAEMON + "daemon('unexpected', os.environ)\ntime.sleep(600)\n")
    unexpected, wrapper = bench.pid_in("unexpected"), bench.wrapper()
    chain = subprocess.run(["pgrep", "--full", str(bench.records)], capture_output=True, text=True, check=True)
    for pid in {wrapper, *map(int, chain.stdout.split()), *bench.starts()}:
        with suppress(ProcessLookupError):  # the death of another took it along
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: bench.status()["state"] == JobState.LOST)
    assert alive(unexpected)
    bench.cancel("it was lost")
    assert not alive(unexpected)


def test_a_sudo_that_refuses_starts_nothing_and_the_next_try_does(bench, accounts):
    accounts.forbid()
    try:
        with pytest.raises(AssertionError, match=rf"JobNotStarted.*under the account {accounts.pipeline}.*sudo said"):
            bench.submit(COUNT)
        assert bench.status()["state"] == JobState.ABSENT
    finally:
        accounts.allow()
    bench.submit(COUNT)
    assert bench.ended()["exit_code"] == 0
    assert len(bench.starts()) == 1


def test_a_program_that_the_account_may_not_run_ends_at_once_and_says_why(bench):
    bench.working.chmod(0o700)
    bench.submit(COUNT)
    status = bench.ended()
    assert status["exit_code"] == 127
    assert "could not be started: [Errno 13] Permission denied" in status["cause"]
