"""Slurm over SSH: a real sshd on loopback, with keys of the test's own."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.jobs import COUNT, alive, wait_until
from tests.slurm_server import SlurmServer, until
from tests.srdp.engines.contract.sites import Site

from srdp.domain.site.engine_options import SlurmOptions
from srdp.engines import JobState
from srdp.engines.batch import BatchEngine
from srdp.engines.batch_system import NoAnswer
from srdp.engines.slurm import Slurm
from srdp.hooks.slurm_ssh import SshRunner

pytestmark = pytest.mark.team

CONFIGURATION = """
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
SetEnv SLURM_CONF={slurm} SQUEUE_PARTITION=down SCANCEL_STATE=PENDING
"""


@pytest.fixture
def sshd(slurm: SlurmServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """A server that one key opens, and the Airflow Connection ``slurm`` to it."""
    program = shutil.which("sshd", path="/usr/sbin:/usr/bin")
    if program is None:
        pytest.skip("apt-get install openssh-server")
    folder = tmp_path / "ssh"
    folder.mkdir()
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "sshd").write_text(CONFIGURATION.format(port=port, folder=folder, slurm=slurm.configuration))
    Path("/run/sshd").mkdir(exist_ok=True)
    host_key = (folder / "host.pub").read_text().split()[1]
    extra = {"key_file": str(folder / "user"), "host_key": f"ssh-ed25519 {host_key}", "no_host_key_check": False}
    connection = {"conn_type": "ssh", "host": "127.0.0.1", "port": port, "login": "root", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_SLURM", json.dumps(connection))
    with subprocess.Popen([program, "-D", "-e", "-f", str(folder / "sshd")], stderr=subprocess.DEVNULL) as server:
        try:
            until(lambda: not socket.socket().connect_ex(("127.0.0.1", port)))
            yield server
        finally:
            server.kill()


def test_a_job_is_submitted_followed_and_cancelled_over_ssh(
    sshd: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLURM_CONF")  # so that only the other host can answer
    options = SlurmOptions(grace_seconds=3.0, partition="casa", ssh_connection="slurm", answer_timeout_seconds=20)
    site = Site(tmp_path / "the world's $(folder)", lambda: BatchEngine(Slurm(options, SshRunner("slurm"))))
    site.submit(COUNT + "time.sleep(600)\n")
    site.started()
    assert site.status().note == "running RUNNING"
    site.cancel("it was asked for")
    status = site.until(JobState.ENDED)
    assert (status.cancelled, status.cause) == (True, "it was asked for")


def test_arguments_arrive_as_they_are_and_a_host_that_is_away_says_nothing(sshd: subprocess.Popen[bytes]) -> None:
    run = SshRunner("slurm")
    hostile = ["$(id)", "a b", "'", "; exit 7", ""]
    code = "import json, sys; print(json.dumps([sys.argv[1:], sys.stdin.read()])); sys.exit(3)"
    ran = run([sys.executable, "-c", code, *hostile], "given", 20.0)
    assert (ran.code, json.loads(ran.stdout)) == (3, [hostile, "given"])
    sshd.kill()
    sshd.wait()
    began = time.monotonic()
    with pytest.raises(NoAnswer, match="Airflow Connection slurm"):
        run(["true"], "", 5.0)
    assert time.monotonic() - began < 3.0, "it was tried again"


def test_a_command_that_goes_on_answering_is_given_up_in_time_and_ended_there(
    sshd: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    talks = f"echo $$ > {tmp_path / 'pid'}; for each in $(seq 75); do echo still here; sleep 0.2; done"
    began = time.monotonic()
    with pytest.raises(NoAnswer, match="gave no answer within 2 s"):
        SshRunner("slurm")(["sh", "-c", talks], "", 2.0)
    assert time.monotonic() - began < 8.0
    wait_until(lambda: not alive(int((tmp_path / "pid").read_text())), 5.0)
