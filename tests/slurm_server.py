"""A real Slurm of one node on loopback, from Debian's packages, whose daemons a test may kill and start again."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

# Debian keeps daemons where only root's PATH looks.
_DAEMONS = ("munged", "slurmctld", "slurmd")
_PLACES = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin"))
# What a job may use of the node; a test asks for less.
MEMORY_MB = 2000
_CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/node
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
ReturnToService=2
SlurmctldTimeout=10
SlurmdTimeout=10
KillWait=5
MessageTimeout=10
MaxJobCount=1000
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1,default_queue_depth=50
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=casa Nodes={host} Default=YES MaxTime=INFINITE State=UP
PartitionName=down Nodes={host} State=DOWN
"""


def why_not() -> str | None:
    """Return why no Slurm can be had here; None if one can."""
    missing = [name for name in (*_DAEMONS, "sbatch") if not shutil.which(name, path=_PLACES)]
    if missing:
        return f"apt-get install slurm-wlm munge: {', '.join(missing)} missing"
    return None if os.geteuid() == 0 else "only root can start Slurm's daemons"


class SlurmServer:
    """The daemons, each by its name.

    Args:
        folder: an empty folder for all that they keep; its path must be short.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.configuration = folder / "slurm.conf"
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        for name in ("munge", "state", "node"):
            (folder / name).mkdir()
        controller, node = _free_ports(2)
        self.configuration.write_text(
            _CONFIGURATION.format(
                folder=folder, host=socket.gethostname().split(".")[0], controller=controller, node=node,
                cpus=os.cpu_count(), memory=MEMORY_MB,
            )
        )  # fmt: skip

    def start(self, name: str) -> None:
        """Start a daemon that is not alive."""
        command = {
            "munged": self._munge(),
            "slurmctld": ["slurmctld", "-D", "-f", str(self.configuration)],
            "slurmd": ["slurmd", "-D", "-f", str(self.configuration)],
        }[name]
        program = shutil.which(command[0], path=_PLACES)
        assert program is not None
        with (self.folder / f"{name}.out").open("ab") as out:
            account = {"user": "munge", "group": "munge", "extra_groups": []} if name == "munged" else {}
            self._daemons[name] = subprocess.Popen(
                [program, *command[1:]], stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/",
                start_new_session=True, **account,
            )  # fmt: skip

    def revive(self) -> None:
        """Start what is not alive, and wait until the node takes jobs."""
        for name in _DAEMONS:
            if name not in self._daemons or self._daemons[name].poll() is not None:
                self.start(name)
                if name == "munged":
                    until((self.folder / "munge" / "socket").exists)
        until(self.is_up)

    def kill(self, name: str) -> None:
        """Kills a daemon, and waits until it is gone."""
        self._daemons[name].kill()
        self._daemons[name].wait()

    def pause(self, name: str) -> None:
        """Stop a daemon without ending it: a client waits for an answer."""
        self._daemons[name].send_signal(signal.SIGSTOP)

    def resume(self, name: str) -> None:
        """Lets a stopped daemon continue."""
        self._daemons[name].send_signal(signal.SIGCONT)

    def settle(self) -> None:
        """Wait until slurmctld has saved what it knows of the jobs that run now."""
        saved, now = self.folder / "state" / "job_state", time.time()
        self.submit("something to save")
        until(lambda: saved.exists() and saved.stat().st_mtime > now)

    def step_daemons(self) -> list[psutil.Process]:
        """Return the processes that stand between slurmd and the jobs."""
        place = str(self.folder / "node")
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                opened = process.environ().get("SLURM_CONF") == str(self.configuration)
                if process.name() == "slurmstepd" and (opened or place in " ".join(process.cmdline())):
                    found.append(process)
        return found

    def ask(self, *command: str) -> str:
        """Return what one of Slurm's commands says."""
        environment = {**os.environ, "SLURM_CONF": str(self.configuration)}
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60).stdout

    def submit(self, name: str, *options: str) -> str:
        """Submit a job of somebody else's; return its number."""
        return self.ask(
            "sbatch", "--parsable", f"--job-name={name}", "--output=/dev/null", *options, "--wrap=true"
        ).strip()

    def configure(self, **changed: str) -> None:
        """Change lines of the configuration, and has slurmctld started again with it."""
        text = self.configuration.read_text()
        for name, value in changed.items():
            text = re.sub(rf"^{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
        self.configuration.write_text(text)
        # It saves what it knows: a number that it gave twice would make slurmd refuse the job and drain the node.
        self._daemons["slurmctld"].terminate()
        self._daemons["slurmctld"].wait()
        self.revive()

    def is_up(self) -> bool:
        """Return whether the node takes jobs."""
        with suppress(subprocess.SubprocessError):
            return self.ask("sinfo", "--noheader", "--partition=casa", "--format=%T").strip() in {"idle", "mixed"}
        return False

    def end(self) -> None:
        """End all daemons, and every job that is left."""
        with suppress(subprocess.SubprocessError):
            self.resume("slurmctld")
            self.ask("scancel", "--signal=KILL", "--full", "--user=root")
        for name, daemon in reversed(self._daemons.items()):
            daemon.send_signal(signal.SIGCONT)
            daemon.terminate()
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                self.kill(name)
        for process in self.step_daemons():
            process.kill()

    def _munge(self) -> list[str]:
        place = self.folder / "munge"
        key = place / "key"
        if not key.exists():
            key.write_bytes(os.urandom(1024))
        account = pwd.getpwnam("munge")
        for path in (place, key):
            os.chown(path, account.pw_uid, account.pw_gid)
        key.chmod(0o400)
        place.chmod(0o711)
        files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        return ["munged", "--foreground", "--force", *(f"--{option}={place / file}" for option, file in files.items())]


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def until(look: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until something is true."""
    give_up = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < give_up, "it did not happen in time"
        time.sleep(0.05)


@contextmanager
def slurm_server(folder: Path) -> Iterator[SlurmServer]:
    """Start a Slurm, and end it.

    Args:
        folder: an empty folder.
    """
    server = SlurmServer(folder)
    try:
        server.revive()
        yield server
    finally:
        server.end()


@pytest.fixture(scope="session")
def slurm_of_session() -> Iterator[SlurmServer]:
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="srdp-slurm-"))
    folder.chmod(0o755)
    try:
        with slurm_server(folder) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def slurm(slurm_of_session: SlurmServer, monkeypatch: pytest.MonkeyPatch) -> SlurmServer:
    """A Slurm all of whose daemons are alive."""
    monkeypatch.setenv("SLURM_CONF", str(slurm_of_session.configuration))
    slurm_of_session.revive()
    return slurm_of_session
