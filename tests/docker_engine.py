"""A real Docker engine for tests: the one of DOCKER_HOST if it answers, else one of their own from Debian's packages.

Base images are made by ``debootstrap``, so that no image registry is needed. What they were made of is kept in
``~/.cache/srdp-tests``.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

_CACHE = Path.home() / ".cache" / "srdp-tests"
_MIRROR = "http://deb.debian.org/debian"
# What a base image is made with, before suite, folder and mirror.
_DEBOOTSTRAP = ("debootstrap", "--variant=minbase", "--include=ca-certificates")
_NEEDED = ("dockerd", "docker", "debootstrap", "iptables", "ip")
_READY_SECONDS = 90
_BOOTSTRAP_SECONDS = 900
# Networks of these engines; each takes parts that nothing on the machine uses.
_BRIDGES = ipaddress.ip_network("10.213.0.0/16")
_NETWORKS = ipaddress.ip_network("10.214.0.0/16")
# Where a machine trusts a certificate authority of its own, so do the images.
_MACHINES_AUTHORITIES = "/etc/ssl/machine-ca-certificates.crt"
_NAMES_OF_AUTHORITIES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@dataclass(frozen=True, kw_only=True)
class Engine:
    """A Docker engine that answers.

    Attributes:
        host: its address, as ``DOCKER_HOST`` has it.
    """

    host: str

    @property
    def environment(self) -> dict[str, str]:
        """The environment of whatever is to talk to it."""
        # The builder that comes with the engine: BuildKit's front ends are images of a registry.
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("DOCKER_", "COMPOSE_"))}
        return {**kept, "DOCKER_HOST": self.host, "DOCKER_BUILDKIT": "0", "COMPOSE_DOCKER_CLI_BUILD": "1"}

    def docker(self, *arguments: str | Path, timeout: float = 600, check: bool = True) -> str:
        """Run ``docker`` and return what it printed.

        Args:
            arguments: what follows ``docker`` on the command line.
            timeout: seconds that it may take.
            check: whether a failure fails the test.
        """
        done = subprocess.run(
            ["docker", *map(str, arguments)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check and done.returncode != 0:
            pytest.fail(f"docker {' '.join(map(str, arguments))}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout.strip()

    def base_image(self, suite: str) -> str:
        """Return the name of Debian's slim image, ``debian:<suite>-slim``, made here if the engine has none.

        Args:
            suite: Debian's name of the release, such as ``bookworm``.
        """
        name = f"debian:{suite}-slim"
        if self.docker("image", "ls", "--quiet", name):
            return name
        changes = ["CMD bash"]
        if "SSL_CERT_FILE" in os.environ:
            changes += [f"ENV {each}={_MACHINES_AUTHORITIES}" for each in _NAMES_OF_AUTHORITIES]
        options = [part for change in changes for part in ("--change", change)]
        self.docker("import", *options, _bootstrapped(suite), name)
        return name


def reason_to_skip(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return why there can be no engine on this machine, or nothing.

    Args:
        environment: where ``DOCKER_HOST`` may stand.
    """
    if _answers(environment.get("DOCKER_HOST", "")):
        return None
    if os.geteuid() != 0:
        return "an engine of their own is for root: set DOCKER_HOST to one that answers"
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    missing = [program for program in _NEEDED if shutil.which(program, path=path) is None]
    if missing:
        return f"{', '.join(missing)} not found: apt-get install docker.io iptables iproute2 debootstrap"
    return None


@contextmanager
def docker_engine() -> Iterator[Engine]:
    """Give a Docker engine that answers; one that was started for this is ended, with all that it ran.

    The test is skipped where none can be had.
    """
    reason = reason_to_skip()
    if reason is not None:
        pytest.skip(reason)
    given = os.environ.get("DOCKER_HOST", "")
    if _answers(given):
        yield Engine(host=given)
        return
    with own_engine() as engine:
        yield engine


def _answers(host: str) -> bool:
    if not host or shutil.which("docker") is None:
        return False
    command = ["docker", "--host", host, "version", "--format", "{{.Server.Version}}"]
    return subprocess.run(command, capture_output=True, timeout=30, check=False).returncode == 0


@contextmanager
def own_engine() -> Iterator[Engine]:
    """Start an engine, give it, and end it with all that it ran."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="srdp-docker-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        bridge = stack.enter_context(_bridge())
        host = f"unix://{folder}/docker.sock"
        log = stack.enter_context((folder / "dockerd.log").open("wb"))
        command = [
            *("dockerd", "--host", host, "--pidfile", f"{folder}/docker.pid"),
            *("--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--bridge", bridge),
            *("--default-address-pool", f"base={_NETWORKS},size=24", "--shutdown-timeout", "5"),
        ]
        daemon = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=_with_sbin())
        stack.callback(_end, daemon)
        deadline = time.monotonic() + _READY_SECONDS
        while not _answers(host):
            if daemon.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"dockerd does not answer: {(folder / 'dockerd.log').read_text()[-3000:]}")
            time.sleep(0.2)
        engine = Engine(host=host)
        stack.callback(_remove_all, engine)
        yield engine


@contextmanager
def _bridge() -> Iterator[str]:
    """Make a bridge of one's own: two engines with Docker's default one would cut each other's network."""
    name = f"srdp{secrets.token_hex(4)}"
    used = subprocess.run(["ip", "-4", "route"], capture_output=True, text=True, check=True, env=_with_sbin()).stdout
    network = next(each for each in _BRIDGES.subnets(new_prefix=24) if f"{each.network_address}/" not in used)
    for command in (
        ["ip", "link", "add", "name", name, "type", "bridge"],
        ["ip", "address", "add", f"{network[1]}/24", "dev", name],
        ["ip", "link", "set", name, "up"],
    ):
        subprocess.run(command, check=True, env=_with_sbin())
    try:
        yield name
    finally:
        _remove_rules(name, str(network))
        subprocess.run(["ip", "link", "delete", name], check=False, env=_with_sbin())


def _remove_rules(*words: str) -> None:
    """Remove the packet filter's rules that an engine leaves for its bridge."""
    for table in ("filter", "nat"):
        listed = subprocess.run(
            ["iptables", "-t", table, "-S"], capture_output=True, text=True, check=False, env=_with_sbin()
        ).stdout
        for rule in listed.splitlines():
            parts = rule.split()
            if parts[0] == "-A" and any(word in parts for word in words):
                subprocess.run(["iptables", "-t", table, "-D", *parts[1:]], check=False, env=_with_sbin())


def _remove_all(engine: Engine) -> None:
    containers = engine.docker("ps", "--all", "--quiet", check=False).split()
    if containers:
        engine.docker("rm", "--force", "--volumes", *containers, check=False)
    engine.docker("network", "prune", "--force", check=False)


def _end(daemon: subprocess.Popen[bytes]) -> None:
    started = psutil.Process(daemon.pid).children(recursive=True) if daemon.poll() is None else []
    daemon.send_signal(signal.SIGTERM)
    try:
        daemon.wait(60)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()
    for process in psutil.wait_procs(started, timeout=10)[1]:
        process.kill()


def version_of(*parts: str) -> str:
    """Return what tells apart what is made of different texts.

    Args:
        parts: the texts that it is made of.
    """
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def base_version(suite: str) -> str:
    """Return what tells a base image from one that is made otherwise.

    Args:
        suite: Debian's name of the release.
    """
    return version_of(*_DEBOOTSTRAP, suite, _MIRROR)


def _bootstrapped(suite: str) -> Path:
    """Return the file of a minimal Debian, made once."""
    archive = _CACHE / f"debian-{suite}-{base_version(suite)}.tar"
    if archive.exists():
        return archive
    _CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"debian-{suite}-", dir=_CACHE) as work:
        root = Path(work) / "root"
        command = [*_DEBOOTSTRAP, suite, str(root), _MIRROR]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_BOOTSTRAP_SECONDS, check=False, env=_with_sbin()
        )
        if done.returncode != 0:
            pytest.fail(f"debootstrap made no {suite}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
        if "SSL_CERT_FILE" in os.environ:
            shutil.copyfile(os.environ["SSL_CERT_FILE"], root / _MACHINES_AUTHORITIES.lstrip("/"))
        for package in (root / "var/cache/apt/archives").glob("*.deb"):
            package.unlink()
        made = Path(work) / "made.tar"
        subprocess.run(["tar", "--create", "--one-file-system", "-C", str(root), "-f", str(made), "."], check=True)
        made.rename(archive)
    return archive


def _with_sbin() -> dict[str, str]:
    return {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
