from __future__ import annotations

import configparser
import os
import shlex
from pathlib import Path

import pytest

from sandbox.stack import components, environment
from sandbox.stack.credentials import Secrets
from sandbox.stack.environment import Places
from sandbox.stack.ports import Ports
from srdp.settings import load_settings


def test_nothing_of_another_installation_reaches_the_servers() -> None:
    caller = {
        "PATH": "/usr/bin",
        "AIRFLOW_HOME": "/somebody/else",
        "AIRFLOW__CORE__FERNET_KEY": "x",
        "AIRFLOW_CONN_SRDP_LEDGER": "postgresql://production/ledger",
        "SRDP_QA_AREA": "/production",
        "PYTHONPATH": "/somebody/else",
        "PGHOST": "production",
        "VIRTUAL_ENV": "/venv",
        "http_proxy": "http://proxy:3128",
        "no_proxy": "example.org",
    }
    assert environment.inherited(caller) == {
        "PATH": "/usr/bin",
        "http_proxy": "http://proxy:3128",
        "no_proxy": "example.org,127.0.0.1,localhost",
        "NO_PROXY": "127.0.0.1,localhost",
    }


def test_the_settings_of_an_instance_are_complete_and_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = Places(root=tmp_path / "instance", home=Path(__file__).parents[3])
    values = environment.settings(places, Ports.free(), casa=Path("/opt/casa"), heuristics=Path("/opt/pipeline"))
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    settings = load_settings()
    areas = settings.areas
    assert {*areas.roots, areas.spool} == set(places.areas.values())
    assert len(areas.roots) == 4
    assert settings.sql.is_dir()


def test_instance_folders_are_private(tmp_path: Path) -> None:
    places = Places(root=tmp_path / "instance", home=tmp_path)
    places.make()
    secrets = Secrets.of(places.root)
    assert Secrets.of(places.root) == secrets
    assert len(set(vars(secrets).values())) == len(vars(secrets))
    # Where root calls, PostgreSQL's account passes to its own folder, and cannot look into any other.
    passed = {places.root, places.postgres} if os.geteuid() == 0 else set()
    for folder in (places.root, *(path for path in places.root.iterdir() if path.is_dir())):
        assert folder.stat().st_mode & 0o077 == (0o011 if folder in passed else 0), folder
    assert oct((places.root / "secrets.json").stat().st_mode & 0o777) == "0o600"


def test_log_servers_are_off_and_all_else_on_loopback() -> None:
    commands = {component.name: component.command for component in components.airflow_components(1234)}
    assert "--skip-serve-logs" in commands["scheduler"]
    assert "--skip-serve-logs" in commands["triggerer"]
    assert commands["api-server"][-6:] == ("--host", "127.0.0.1", "--port", "1234", "--workers", "1")


def test_only_the_sandboxs_own_servers_see_its_code(tmp_path: Path) -> None:
    sandbox = components.sandbox_component("ngas", tmp_path, "--port", 1)
    assert sandbox.variables == {"PYTHONPATH": f"{tmp_path}/include:{tmp_path}/plugins"}
    assert all("PYTHONPATH" not in component.command_line for component in components.airflow_components(1))


def test_the_supervisors_configuration_holds_any_path(tmp_path: Path) -> None:
    strange = tmp_path / '100% of "it\'s" here; really'
    component = components.Component(name="ngas", command=(f"{strange}/bin/python", "-m", "x"), stop_seconds=7)
    text = components.supervisor_configuration(
        [component], folder=strange, logs=strange / "logs", port=4321, password="50%", as_root=True
    )
    parser = configparser.RawConfigParser(inline_comment_prefixes=(" ;",), strict=True)
    parser.read_string(text)
    program = dict(parser["program:ngas"])
    # The supervisor expands %(...)s and halves %% before it splits the command as a shell would.
    command = shlex.split(program["command"].replace("%%", "%"))
    assert command[-3:] == [f"{strange}/bin/python", "-m", "x"]
    assert command[1:3] == ["--pdeathsig", "TERM"]
    assert parser["inet_http_server"]["port"] == "127.0.0.1:4321"
    assert parser["inet_http_server"]["password"] == "50%%"
    assert parser["supervisord"]["user"] == "root"
