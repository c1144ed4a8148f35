from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.install import ROOT, CannotInstall, Environment, find_python

PIN = re.compile(r"^([A-Za-z0-9_.-]+)(?:\[[a-z]+\])?==([^\s;]+)")


def fake_python(folder: Path, name: str, *, version: str, venv: bool = True) -> Path:
    """A program that answers what the installer asks a Python."""
    program = folder / name
    answer = f'case "$2" in *ensurepip*) {"echo yes" if venv else "exit 1"};; *) echo {version};; esac'
    program.write_text(f"#!/bin/sh\n{answer}\n")
    program.chmod(0o755)
    return program


def pins(*files: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for file in files:
        for line in (ROOT / file).read_text().splitlines():
            if match := PIN.match(line):
                found.setdefault(match[1].lower().replace("_", "-"), set()).add(match[2])
    return found


def test_a_python_that_does_not_fit_is_named_with_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_python(tmp_path, "python3", version="3.10")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotInstall, match=r"3\.11, 3\.12 or 3\.13 is needed, but python3 is Python 3\.10: .*PYTHON="):
        find_python("")
    with pytest.raises(CannotInstall, match=r"no python3\.9 is on the PATH"):
        find_python("python3.9")
    newer = fake_python(tmp_path, "python3.12", version="3.12")
    assert find_python("") == str(newer)
    assert find_python(str(newer)) == str(newer)


def test_missing_venv_module_names_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sandbox import install

    python = fake_python(tmp_path, "python3", version="3.12", venv=False)
    monkeypatch.setattr(install, "ROOT", tmp_path)
    monkeypatch.setattr(sys, "argv", ["install.py", "--python", str(python)])
    said: list[str] = []
    monkeypatch.setattr(sys.stderr, "write", said.append)
    assert install.main() == 1
    assert "cannot make virtual environments: install python3.12-venv (`apt-get install python3.12-venv`" in said[0]
    assert not (tmp_path / ".venv").exists()


def test_a_python_without_a_repair_that_is_needed_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sandbox import install

    install._check_machine(sys.executable)
    # As Python 3.11.3 has it.
    former = "import urllib.parse as u, re; split = u.urlsplit\nu.urlsplit = lambda a: split({})\n"
    without = {
        former.format("re.sub('[][]', '', a)"): "CVE-2024-11168",
        former.format("'x' + a"): "CVE-2023-24329",
        "raise SystemExit(1)\n": "it could not be tried which",
    }
    fixes = install._FIXES
    for fault, which in without.items():
        monkeypatch.setattr(install, "_FIXES", fault + fixes)
        with pytest.raises(CannotInstall, match=rf"lacks repairs .*\({which}\): install its latest patch release"):
            install._check_machine(sys.executable)


def test_complete_installation_is_kept_until_its_list_changes(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.lock"
    requirements.write_text("one==1\n")
    environment = Environment(tmp_path / "venv", requirements)
    assert not environment.is_complete("")
    environment.python.parent.mkdir(parents=True)
    fake_python(environment.python.parent, "python", version="3.12")
    uv = fake_python(environment.python.parent, "uv", version="")
    environment.install(str(environment.python), uv=uv)
    assert environment.is_complete("")
    assert environment.is_complete(str(fake_python(tmp_path, "python3.12", version="3.12")))
    assert not environment.is_complete(str(fake_python(tmp_path, "python3.13", version="3.13")))
    requirements.write_text("one==2\n")
    assert not environment.is_complete("")


def test_interrupted_installation_is_not_complete(tmp_path: Path) -> None:
    requirements = tmp_path / "requirements.lock"
    requirements.write_text("one==1\n")
    environment = Environment(tmp_path / "venv", requirements)
    environment.python.parent.mkdir(parents=True)
    fake_python(environment.python.parent, "python", version="3.12")
    environment.install(str(environment.python), uv=fake_python(environment.python.parent, "uv", version=""))
    broken = environment.python.parent / "uv"
    broken.write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(subprocess.CalledProcessError):
        environment.install(str(environment.python), uv=broken)
    assert not environment.is_complete("")


@pytest.mark.parametrize(
    ("lock", "lists"),
    [
        ("requirements.lock", ("requirements.txt", "include/sandbox/requirements.txt", "requirements-dev.txt")),
        ("requirements-casa.lock", ("include/casa/requirements-casa.txt",)),
    ],
)
def test_the_lock_holds_every_pin_and_no_address(lock: str, lists: tuple[str, ...]) -> None:
    locked, wanted = pins(lock), pins(*lists)
    assert wanted
    assert {name: versions for name, versions in wanted.items() if not versions <= locked.get(name, set())} == {}
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert all(PIN.match(line) for line in text.splitlines())


def test_each_direct_dependency_says_why_it_is_there() -> None:
    reported = (ROOT / "docs" / "dependencies.md").read_text()
    short = {f"apache-airflow-providers{name}" for name in re.findall(r"`(-[a-z-]+)`", reported)}
    named = {name.split("[")[0] for name in re.findall(r"`([^`]+)`", reported)} | short
    direct = pins("requirements.txt", "include/sandbox/requirements.txt", "requirements-dev.txt")
    assert [name for name in direct if name not in named and not name.startswith("types-")] == []
