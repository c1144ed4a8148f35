"""A real HTCondor pool of one node for tests, Debian 13's, in a container that shares network and folder with them.

HTCondor refuses jobs of root, and the service is never root: a test that uses the pool becomes an ordinary account,
which the container knows too, for as long as it runs.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from tests import docker_engine
from tests.accounts import runnable_python

from srdp.domain.site.engine_options import HTCondorOptions
from srdp.engines import processes

_PROJECT = Path(__file__).parents[1]
_IMAGE = "srdp-tests-htcondor"
_CACHE = Path.home() / ".cache" / "srdp-tests"
# Named by its own text and its base in the cache: one of another text is another image.
_DOCKERFILE = """\
FROM {base}
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends minihtcondor procps python3 \\
    && rm -rf /var/lib/apt/lists/*
"""
_CLIENT = """\
CONDOR_HOST = 127.0.0.1
COLLECTOR_HOST = 127.0.0.1:{port}
ENABLE_IPV6 = False
NO_DNS = True
DEFAULT_DOMAIN_NAME = loop
UID_DOMAIN = loop
FILESYSTEM_DOMAIN = loop
SEC_CLIENT_AUTHENTICATION_METHODS = FS, CLAIMTOBE
"""
# Anybody on the loopback interface may do everything: a pool for a test, that acts within seconds.
_POOL = """\
NETWORK_INTERFACE = 127.0.0.1
BIND_ALL_INTERFACES = False
ALLOW_READ = *
ALLOW_WRITE = *
ALLOW_DAEMON = *
ALLOW_ADMINISTRATOR = *
ALLOW_NEGOTIATOR = *
SEC_DEFAULT_AUTHENTICATION_METHODS = FS, CLAIMTOBE
NUM_CPUS = 8
MEMORY = 32768
NEGOTIATOR_INTERVAL = 1
NEGOTIATOR_CYCLE_DELAY = 1
NEGOTIATOR_MIN_INTERVAL = 1
SCHEDD_INTERVAL = 2
SCHEDD_MIN_INTERVAL = 1
PERIODIC_EXPR_INTERVAL = 2
STARTER_INITIAL_UPDATE_INTERVAL = 1
STARTER_UPDATE_INTERVAL = 2
SHADOW_QUEUE_UPDATE_INTERVAL = 2
MASTER_BACKOFF_CONSTANT = 1
MASTER_BACKOFF_FACTOR = 1
"""
_READY_SECONDS = 180
# Where the pool's folder has a copy of what runs beside this process.
_PROGRAMS = "plugins"
_OWN_NAMES = ("htcondor2", "classad2", "htcondor.libs")


@dataclass(frozen=True, kw_only=True)
class Pool:
    """A pool that answers.

    Attributes:
        engine: the Docker engine that it runs in.
        container: its container.
        folder: a folder that the container has at the same path, and that is the account's own.
        account: the name of the account.
        config: HTCondor's configuration of who submits.
    """

    engine: docker_engine.Engine
    container: str
    folder: Path
    account: str
    config: Path

    def options(self, **more: object) -> HTCondorOptions:
        """Return the engine's options for this pool.

        Args:
            more: further settings of the engine.
        """
        reported = {"config": self.config, "python": Path("/usr/bin/python3"), "lease_minutes": 0.5, **more}
        return HTCondorOptions.model_validate(reported)

    def new_folder(self) -> Path:
        """Return a folder that the node has too, and that is the account's own."""
        return Path(tempfile.mkdtemp(dir=self.folder))

    def run(self, *command: str) -> str:
        """Run a command in the pool's container, as root, and return what it printed."""
        with _as_root():
            return self.engine.docker("exec", self.container, *command)

    def kill(self, daemon: str, cluster: str | None = None) -> None:
        """Kill a daemon with SIGKILL; of shadows the one of a job.

        Args:
            daemon: its program.
            cluster: the job.
        """
        found = self._daemons(daemon)
        if daemon == "condor_shadow" and cluster is not None:
            found = [process for process in found if cluster in process.cmdline()]
        assert found, f"there is no {daemon}"
        with _as_root():
            for process in found:
                process.kill()

    def stop(self, *daemons: str) -> None:
        """Stop daemons: they answer nothing then."""
        self._each(daemons, psutil.Process.suspend)

    def go_on(self, *daemons: str) -> None:
        """Let the stopped daemons continue."""
        self._each(daemons, psutil.Process.resume)

    def _each(self, daemons: tuple[str, ...], act: Callable[[psutil.Process], None]) -> None:
        for process in [process for daemon in daemons for process in self._daemons(daemon)]:
            with _as_root():
                act(process)

    def _daemons(self, program: str) -> list[psutil.Process]:
        with _as_root():
            first = psutil.Process(int(self.engine.docker("inspect", "--format", "{{.State.Pid}}", self.container)))
            return [process for process in first.children(recursive=True) if process.name() == program[:15]]

    def wait_until_ready(self) -> None:
        """Wait until there is a schedd and a node."""
        wait_for(self._is_ready, _READY_SECONDS, "the pool")

    def _is_ready(self) -> bool:
        with _as_root():
            asked = ("exec", self.container, "condor_status", "-any", "-autoformat", "MyType")
            return {"Scheduler", "Machine", "Negotiator"} <= set(self.engine.docker(*asked, check=False).split())


def wait_for(is_so: Callable[[], object], seconds: float, what: str) -> None:
    """Wait until something is so; fail the test if it is not in time."""
    give_up = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > give_up:
            pytest.fail(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.2)


@contextmanager
def condor_pool() -> Iterator[Pool]:
    """Give a pool, and end it with all that it left; the test is skipped where none can be had."""
    if os.geteuid() != 0:
        pytest.skip("only root can make an account and a pool")
    if runnable_python() is None or shutil.which("useradd") is None:
        pytest.skip("no account can be made here that can run Python 3.11 or newer")
    account = f"srdpjobs{secrets.token_hex(4)}"  # a run that was killed may have left one of its process ID
    folder = Path(tempfile.mkdtemp(prefix="srdp-condor-"))
    with docker_engine.docker_engine() as engine:
        try:
            subprocess.run(["useradd", "--no-create-home", "--home-dir", folder, account], check=True)
            shutil.chown(folder, account)
            folder.chmod(0o755)
            _copy_programs(folder / _PROGRAMS)
            yield _started(engine, folder, account)
        finally:
            engine.docker("rm", "--force", "--volumes", account, check=False)
            subprocess.run(["userdel", "--force", account], check=False, capture_output=True)
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def being(account: str) -> Iterator[None]:
    """Be an ordinary account, as the service is; only this process can become root again."""
    entry = pwd.getpwnam(account)
    groups, environment = os.getgroups(), dict(os.environ)
    os.setgroups([])
    os.setresgid(entry.pw_gid, entry.pw_gid, 0)
    os.setresuid(entry.pw_uid, entry.pw_uid, 0)
    os.environ.update(HOME=entry.pw_dir, USER=account, LOGNAME=account)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(environment)
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
        os.setgroups(groups)


@contextmanager
def _as_root() -> Iterator[None]:
    before = os.geteuid()
    os.seteuid(0)
    try:
        yield
    finally:
        os.seteuid(before)


def _copy_programs(place: Path) -> None:
    """Copy what runs beside this process to where every account can read it."""
    import htcondor2  # now: an account that is not root may not be able to read it

    shutil.copytree(_PROJECT / "plugins" / "srdp", place / "srdp", ignore=shutil.ignore_patterns("__pycache__"))
    found = importlib.util.find_spec(htcondor2.__name__)
    assert found is not None
    assert found.origin is not None
    for name in _OWN_NAMES:
        shutil.copytree(Path(found.origin).parents[1] / name, place / name)


def _started(engine: docker_engine.Engine, folder: Path, account: str) -> Pool:
    config = folder / "client.conf"
    config.write_text(_CLIENT.format(port=_free_port()))
    (folder / "pool.conf").write_text(config.read_text() + _POOL)
    uid = pwd.getpwnam(account).pw_uid
    engine.docker(
        "run", "--detach", "--name", account, "--network", "host", "--pid", "host", "--volume", f"{folder}:{folder}",
        "--volume", f"{folder}/pool.conf:/etc/condor/config.d/99-tests:ro", _image(engine),
        "sh", "-c", f"useradd --uid {uid} --no-create-home {account} && exec condor_master -f",
    )  # fmt: skip
    pool = Pool(engine=engine, container=account, folder=folder, account=account, config=config)
    pool.wait_until_ready()
    return pool


def _image(engine: docker_engine.Engine) -> str:
    """Return the pool's image, built once and kept."""
    name = f"{_IMAGE}:{docker_engine.version_of(_DOCKERFILE, docker_engine.base_version('trixie'))}"
    if engine.docker("image", "ls", "--quiet", name):
        return name
    kept = _CACHE / f"{name.replace(':', '-')}.tar"
    if kept.exists():
        engine.docker("load", "--input", kept)
        return name
    with tempfile.TemporaryDirectory() as context:
        described = Path(context, "Dockerfile")
        described.write_text(_DOCKERFILE.format(base=engine.base_image("trixie")))
        engine.docker("build", "--network", "host", "--tag", name, context)
    made = kept.with_suffix(f".{os.getpid()}")
    engine.docker("save", "--output", made, name)
    made.rename(kept)
    return name


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="session")
def condor_of_session() -> Iterator[Pool]:
    """A pool for all tests."""
    with condor_pool() as pool:
        yield pool


@pytest.fixture
def condor(condor_of_session: Pool, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pool]:
    """The pool, for a test that is the ordinary account meanwhile, with programs that this one can run."""
    monkeypatch.setattr(processes, "_PLUGINS", condor_of_session.folder / _PROGRAMS)
    monkeypatch.setattr(sys, "executable", runnable_python())
    with being(condor_of_session.account):
        yield condor_of_session
