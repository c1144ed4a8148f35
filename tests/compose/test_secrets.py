"""``make compose-secrets``, and that docker-compose.yaml starts nothing without a secret."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from compose import make_secrets

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
SECRETS = re.findall(r"(?m)^([A-Z_]+)=  # generated$", EXAMPLE)
COMPOSE = Path(sys.executable).with_name("docker-compose")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What `make compose-secrets` and docker compose read, without a .env."""
    for name in (".env.example", "docker-compose.yaml", "include/compose", "include/airflow"):
        target = tmp_path / name
        target.parent.mkdir(exist_ok=True)
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, target)
    return tmp_path


def make(project: Path) -> None:
    subprocess.run([sys.executable, "include/compose/make_secrets.py"], cwd=project, check=True, capture_output=True)


def config(project: Path, *options: str) -> subprocess.CompletedProcess[str]:
    # Not what the caller's shell has under the same names.
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(project)}
    command = [COMPOSE, "--profile", "observatory", "config", *(options or ("--quiet",))]
    return subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, check=False)


def test_secrets_are_each_their_own_and_nobody_elses_to_read(project: Path) -> None:
    make(project)
    env = project / ".env"
    assert env.stat().st_mode & 0o777 == 0o600
    values = dict(line.split("=", 1) for line in env.read_text().splitlines() if re.match("[A-Z]", line))
    made = [values[name] for name in SECRETS]
    assert len(SECRETS) == 10
    assert len(set(made)) == len(made)
    assert all(len(value) >= 43 and re.fullmatch(r"[\w=-]+", value) for value in made)
    Fernet(values["AIRFLOW_FERNET_KEY"])
    assert config(project).returncode == 0


def test_what_is_there_stays_and_what_an_upgrade_brings_is_added() -> None:
    first, made = make_secrets.filled(EXAMPLE, "")
    assert made == SECRETS
    chosen = first.replace("SRDP_ADMIN_USER=admin", "SRDP_ADMIN_USER=jdoe") + "SRDP_OWN=kept\n"
    assert make_secrets.filled(EXAMPLE, chosen) == (chosen, [])
    second, made = make_secrets.filled(EXAMPLE + "SRDP_NEW=\nSRDP_NEW_SECRET=  # generated\n", chosen)
    assert second.startswith(chosen + "SRDP_NEW=\nSRDP_NEW_SECRET=")
    assert made == ["SRDP_NEW_SECRET"]


@pytest.mark.parametrize("name", SECRETS)
def test_a_missing_secret_stops_with_a_sentence(project: Path, name: str) -> None:
    make(project)
    env = project / ".env"
    env.write_text(re.sub(rf"(?m)^{name}=.*$", f"{name}=", env.read_text()))
    done = config(project)
    assert done.returncode != 0
    (line,) = done.stderr.splitlines()
    assert f"required variable {name} is missing a value: run `make compose-secrets`" in line


def test_every_variable_of_the_compose_file_is_in_the_example() -> None:
    asked = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", (ROOT / "docker-compose.yaml").read_text(encoding="utf-8")))
    named = set(re.findall(r"(?m)^([A-Z_]+)=", EXAMPLE))
    assert len(asked) > 30
    assert asked == named


def test_every_container_is_limited_and_every_service_is_asked_for_its_health(project: Path) -> None:
    make(project)
    env = project / ".env"
    env.write_text(re.sub(r"_CPUS=0\n", "_CPUS=1.5\n", env.read_text()))
    services = json.loads(config(project, "--format", "json").stdout)["services"]
    assert len(services) > 15
    for name, service in services.items():
        assert int(service["mem_limit"]) > 0, name
        assert service["cpus"] == 1.5, name
        assert service["pids_limit"] > 0, name
        assert service["restart"] == "no" or service["healthcheck"]["test"], name


def test_images_have_every_package_that_the_workflows_need() -> None:
    locked = (ROOT / "requirements-team.lock").read_text(encoding="utf-8")
    there = {line.partition(" ")[0] for line in locked.splitlines()}
    for name in ("requirements.txt", "requirements-team.txt"):
        wanted = re.findall(r"(?m)^([\w-]+)(?:\[\w+\])?(==\S+)", (ROOT / name).read_text(encoding="utf-8"))
        assert len(wanted) >= 3
        assert [package + release for package, release in wanted if package + release not in there] == []


def test_images_are_built_with_the_installer_of_the_lock() -> None:
    version = re.search(r"(?m)^ARG UV_VERSION=(\S+)$", (ROOT / "Dockerfile").read_text())
    assert version is not None
    assert f"uv=={version[1]}" in (ROOT / "requirements.lock").read_text().splitlines()
