"""The local engine in containers of a real Docker engine, which are what docker-compose.yaml makes of a service."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docker_engine import Engine
from tests.jobs import COUNT, SLEEP, wait_until

from srdp.engines import JobState

pytestmark = pytest.mark.team

_PLUGINS = Path(__file__).parents[2] / "plugins"
_ACCOUNT = "50000"
_DOCKERFILE = """
FROM {base}
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends python3 python3-psutil
"""
_DO = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from srdp.engines import Job
from srdp.engines.local import LocalEngine
verb, name, code = sys.argv[1:]
spool, working = Path('/srdp/areas/spool/run'), Path('/srdp/areas/working')
engine = LocalEngine(grace_seconds=0.5)
if verb == 'submit':
    engine.submit(Job(name=name, command=('/usr/bin/python3', '-I', '-c', code), working_directory=working,
                      environment={}, spool=spool, cores=1, memory_gb=1))
if verb == 'cancel':
    engine.cancel(name, spool, 'it was asked for')
print(json.dumps(asdict(engine.status(name, spool)), default=str))
"""


class Containers:
    """A worker and a triggerer, as they are in docker-compose.yaml, which share the areas and nothing else."""

    def __init__(self, docker: Engine, areas: Path) -> None:
        self._docker = docker
        self.areas = areas

    def start(self, service: str) -> None:
        self._docker.docker(
            *("run", "--detach", "--name", service, "--hostname", service, "--init", "--read-only"),
            *("--user", f"{_ACCOUNT}:{_ACCOUNT}", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
            *("--tmpfs", "/tmp", "--volume", f"{self.areas}:/srdp/areas"),
            *("--volume", f"{_PLUGINS}:/opt/srdp/plugins:ro", "--env", "PYTHONPATH=/opt/srdp/plugins"),
            *("srdp-tests-local-engine", "sleep", "infinity"),
        )

    def do(self, service: str, verb: str, name: str, code: str = "") -> dict[str, object]:
        """Have a service submit, cancel or look; return the job's status afterwards."""
        return json.loads(self._docker.docker("exec", service, "python3", "-c", _DO, verb, name, code))

    def restart(self, service: str) -> None:
        self._docker.docker("restart", "--time", "1", service)

    def programs(self, service: str) -> str:
        return self._docker.docker("top", service, "-o", "pid,args")

    def starts(self) -> int:
        path = self.areas / "working" / "starts"
        return len(path.read_text().splitlines()) if path.exists() else 0


@pytest.fixture
def containers(docker: Engine, tmp_path: Path) -> Iterator[Containers]:
    image = tmp_path / "image"
    image.mkdir()
    (image / "Dockerfile").write_text(_DOCKERFILE.format(base=docker.base_image("bookworm")))
    docker.docker("build", "--quiet", "--tag", "srdp-tests-local-engine", image)
    areas = tmp_path / "areas"
    containers = Containers(docker, areas)
    docker.docker(
        *("run", "--rm", "--volume", f"{areas}:/srdp/areas", "srdp-tests-local-engine", "sh", "-c"),
        f"cd /srdp/areas && mkdir -p spool working && chown -R {_ACCOUNT}:{_ACCOUNT} . && chmod 700 spool",
    )
    try:
        for service in ("worker-casa", "triggerer"):
            containers.start(service)
        yield containers
    finally:
        docker.docker("rm", "--force", "worker-casa", "triggerer", check=False)


def test_a_job_is_looked_at_and_cancelled_from_another_container_and_lost_with_its_own(containers):
    containers.do("worker-casa", "submit", "first", SLEEP)
    wait_until(containers.starts)
    status = containers.do("triggerer", "look", "first")
    assert (status["state"], status["host"]) == (JobState.RUNNING, "worker-casa")
    status = containers.do("triggerer", "cancel", "first")
    assert (status["state"], status["cancelled"], status["cause"]) == (JobState.ENDED, True, "it was asked for")
    assert "/usr/bin/python3" not in containers.programs("worker-casa")

    containers.do("worker-casa", "submit", "second", SLEEP)
    wait_until(lambda: containers.starts() == 2)
    containers.restart("worker-casa")
    for service in ("triggerer", "worker-casa"):
        status = containers.do(service, "look", "second")
        assert status["state"] == JobState.LOST
        assert "its container worker-casa was stopped or restarted while it ran" in str(status["cause"])
    assert containers.do("worker-casa", "submit", "second", SLEEP)["state"] == JobState.LOST
    assert containers.do("triggerer", "cancel", "second")["state"] == JobState.LOST

    containers.do("worker-casa", "submit", "third", COUNT)
    status = wait_until(lambda: (s := containers.do("triggerer", "look", "third"))["state"] == JobState.ENDED and s)
    assert (status["exit_code"], containers.starts()) == (0, 3), "the worker that came back takes the next job"
