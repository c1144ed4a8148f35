"""A team's Airflow from a clean clone, by the real Compose on a real engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from tests.docker_engine import Engine

from sandbox.ports import free_ports

ROOT = Path(__file__).parents[2]
_COMPOSE = Path(sys.executable).with_name("docker-compose")
_BUILD_SECONDS, _UP_SECONDS = 1500.0, 600.0
_ACCOUNTS = """
from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
import json, sys
with get_application_builder() as builder:
    for name, (role, password) in json.load(sys.stdin).items():
        mail = name + "@observatory.example"
        assert builder.sm.add_user(name, name, name, mail, builder.sm.find_role(role), password)
"""


@dataclass
class Team:
    """What `docker compose --profile observatory up` starts, under a project name and on ports of its own.

    Attributes:
        engine: the engine that it runs on.
        clone: a clone of this repository.
        name: the project's name, with which the names of its containers begin.
    """

    engine: Engine
    clone: Path
    name: str
    _tokens: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        airflow, run_files, mail = free_ports(3)
        self.url = f"http://localhost:{airflow}"
        self._environment = {
            **self.engine.environment,
            "COMPOSE_PROJECT_NAME": self.name,
            "COMPOSE_FILE": "docker-compose.yaml:tests/compose/docker-compose.ci.yaml",
            "COMPOSE_PROFILES": "observatory",
            "SRDP_PORT_AIRFLOW": str(airflow),
            "SRDP_PORT_RUN_FILES": str(run_files),
            "SRDP_PORT_MAIL": str(mail),
            "SRDP_IMAGE_TAG": self.name,
        }

    # Commands

    def compose(self, *arguments: str, timeout: float = 120.0, stdin: str = "") -> str:
        """Run docker compose in the clone and return what it printed."""
        command = [_COMPOSE, *arguments]
        done = subprocess.run(
            command,
            cwd=self.clone,
            env=self._environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode != 0:
            pytest.fail(f"docker compose {' '.join(arguments)}: {done.stdout[-3000:]}{done.stderr[-3000:]}")
        return done.stdout

    def build(self) -> None:
        """Build every image."""
        self.compose("build", timeout=_BUILD_SECONDS)

    def up(self) -> None:
        """Start everything and return when all of it is healthy."""
        self.compose("up", "--detach", "--no-build", timeout=_UP_SECONDS)
        self.wait("every service is healthy", self.is_healthy, seconds=_UP_SECONDS)

    def is_healthy(self) -> bool:
        """Whether every service runs and is healthy, if it has a health check, or has done its work."""
        states = [
            each["Health"] in {"healthy", ""} if each["State"] == "running" else each["ExitCode"] == 0
            for each in self.containers()
            if each["State"] != "created"
        ]
        return len(states) == len(self.containers()) and all(states)

    def containers(self) -> list[dict[str, Any]]:
        """What Compose says of each container."""
        return [json.loads(line) for line in self.compose("ps", "--all", "--format", "json").splitlines()]

    def inspect(self, service: str) -> dict[str, Any]:
        """What the engine says of a service's only container."""
        found: list[dict[str, Any]] = json.loads(self.engine.docker("inspect", f"{self.name}-{service}-1"))
        return found[0]

    def kill(self, service: str) -> None:
        """Kill the processes of a service, as the kernel would: the engine did not ask for it, and starts it again."""
        before = self.inspect(service)["State"]
        os.kill(before["Pid"], signal.SIGKILL)
        self.wait(
            f"{service} is started again",
            lambda: self.inspect(service)["State"]["StartedAt"] != before["StartedAt"],
            seconds=60,
        )

    def scale(self, service: str, number: int) -> None:
        """Have so many containers of a service, as install-with-compose.md says, and return when they are healthy."""
        self.compose("up", "--detach", "--no-build", "--no-deps", "--scale", f"{service}={number}", service)

        def is_so() -> bool:
            mine = [each["Health"] for each in self.containers() if each["Service"] == service]
            return mine == ["healthy"] * number

        self.wait(f"{number} containers of {service} are healthy", is_so, seconds=180)

    def rows(self, question: str) -> list[str]:
        """Ask the ledger, and return the rows of its answer."""
        asked = ("psql", "--username", "postgres", "--no-align", "--tuples-only", "--command", question, "srdp_ledger")
        return self.compose("exec", "--no-TTY", "postgres", *asked).splitlines()

    def state(self, run: str) -> str:
        """The state of a pipeline run."""
        states = dict(row.split("|") for row in self.rows("SELECT pipeline_run_id, state FROM pipeline_run"))
        return states[run]

    # People

    def make_accounts(self, accounts: dict[str, str]) -> None:
        """Make accounts, each with one role."""
        asked = {name: (role, _password(name)) for name, role in accounts.items()}
        run = ("exec", "--no-TTY", "apiserver", "python", "-c", _ACCOUNTS)
        self.compose(*run, stdin=json.dumps(asked), timeout=300)

    def ask(self, who: str, method: str, path: str, body: object = None) -> requests.Response:
        """Ask Airflow's REST API as somebody who is logged in."""
        if who not in self._tokens:
            login = {"username": who, "password": _password(who)}
            reply = requests.post(f"{self.url}/auth/token", json=login, timeout=60)
            reply.raise_for_status()
            self._tokens[who] = reply.json()["access_token"]
        headers = {"Authorization": f"Bearer {self._tokens[who]}"}
        return requests.request(method, f"{self.url}/api/v2/{path}", headers=headers, json=body, timeout=60)

    def trigger(self, who: str, dag: str, **conf: object) -> requests.Response:
        """Trigger a DAG as somebody."""
        return self.ask(who, "POST", f"dags/{dag}/dagRuns", {"logical_date": None, "conf": conf})

    def task(self, who: str, dag: str, task: str) -> dict[str, Any]:
        """A task of the newest run of a DAG, or nothing if there is none."""
        return next(iter(self.tasks(who, dag, task)), {})

    def tasks(self, who: str, dag: str, task: str) -> list[dict[str, Any]]:
        """A task of each run of a DAG, the newest first."""
        found = self.ask(who, "GET", f"dags/{dag}/dagRuns/~/taskInstances?task_id={task}&order_by=-run_after").json()
        tasks: list[dict[str, Any]] = found.get("task_instances", [])
        return tasks

    def wait(self, what: str, condition: Callable[[], bool], *, seconds: float) -> float:
        """Return after how many seconds something is so; the test fails if it takes longer."""
        began = time.monotonic()
        while not condition():
            if time.monotonic() - began > seconds:
                said = self.compose("logs", "--tail", "25", timeout=120)
                pytest.fail(f"Not within {seconds:.0f} s: {what}.\n{said[-12000:]}")
            time.sleep(1)
        return time.monotonic() - began


def _password(name: str) -> str:
    return f"of-{name}-and-nobody-else"
