"""Installs everything into the project's own folders, once: ``.venv`` and, for CASA, ``.venv-casa``.

Started by ``make install`` with the system's Python and nothing but its standard library. A stamp in each
environment says what was installed from which list; while it fits, nothing is done.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VERSIONS = ("3.11", "3.12", "3.13")
_NEEDED_FREE_GB = 8
# Repaired faults of Python that a promise rests on: the login of NGAS goes to listed hosts only, which are read from
# addresses. Each is tried; the version does not help, because distributions carry such repairs back.
_FIXES = """
from urllib.parse import urlsplit
def refuses(address):
    try:
        urlsplit(address)
    except ValueError:
        return True
fixed = {"CVE-2023-24329": urlsplit(" http://host/").scheme == "http", "CVE-2024-11168": refuses("http://[host]/")}
print(*[name for name, there in fixed.items() if not there] or ["none is missing"], sep=", ")
"""


class CannotInstall(Exception):
    """What is missing, in one sentence for the person who typed the command."""


def find_python(wanted: str) -> str:
    """Return a Python that everything can be installed for.

    Args:
        wanted: what the caller asked for (``PYTHON=python3.12``); empty means any that fits.

    Raises:
        CannotInstall: there is none.
    """
    candidates = (wanted,) if wanted else ("python3", *(f"python{version}" for version in VERSIONS))
    seen = []
    for candidate in candidates:
        path = shutil.which(candidate)
        if path is None:
            continue
        version = _say([path, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"])
        if version in VERSIONS:
            return path
        seen.append(f"{candidate} is Python {version or 'of an unknown version'}")
    there = "; ".join(seen) or f"no {' or '.join(candidates)} is on the PATH"
    raise CannotInstall(
        f"Python {VERSIONS[0]}, {VERSIONS[1]} or {VERSIONS[2]} is needed, but {there}: install one of them and name "
        "it, for example `make demo PYTHON=python3.12`."
    )


def main() -> int:
    """Installs what is missing; returns the exit code."""
    parser = argparse.ArgumentParser(description="Install everything into the project's own folders.")
    parser.add_argument("--python", default=os.environ.get("PYTHON", ""), help="the Python to use")
    parser.add_argument("--without-casa", action="store_true", help="leave CASA's environment alone")
    arguments = parser.parse_args()
    try:
        _install(arguments.python, with_casa=not arguments.without_casa)
    except CannotInstall as problem:
        sys.stderr.write(f"{problem}\n")
        return 1
    except subprocess.CalledProcessError as problem:
        sys.stderr.write(
            f"Installing stopped: `{' '.join(map(str, problem.cmd[:4]))} ...` failed, see above. Its cause is often "
            "the network: see that this machine reaches its Python package registry, then repeat the command.\n"
        )
        return 1
    return 0


def _install(wanted: str, *, with_casa: bool) -> None:
    project = Environment(ROOT / ".venv", ROOT / "requirements.lock")
    casa = Environment(ROOT / ".venv-casa", ROOT / "requirements-casa.lock")
    missing = [environment for environment in (project, casa)[: 1 + with_casa] if not environment.is_complete(wanted)]
    if not missing:
        return
    python = find_python(wanted)
    _check_machine(python)
    # Everything stays below the project; a cache shared between checkouts is configured outside.
    os.environ.setdefault("UV_CACHE_DIR", str(ROOT / ".cache" / "uv"))
    os.environ.setdefault("UV_NO_PROGRESS", "1")
    os.environ.setdefault("UV_HTTP_TIMEOUT", "300")
    for environment in missing:
        started = time.monotonic()
        _print_line(f"Installing {environment.requirements.name} into {environment.folder.name} ...")
        environment.install(python, uv=project.folder / "bin" / "uv")
        _print_line(f"  done in {time.monotonic() - started:.0f} s.")


class Environment:
    """A virtual environment and the list of what must be in it.

    Args:
        folder: where it is.
        requirements: the complete list of pinned packages.
    """

    def __init__(self, folder: Path, requirements: Path) -> None:
        self.folder = folder
        self.requirements = requirements

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.folder / "bin" / "python"

    @property
    def _stamp(self) -> Path:
        return self.folder / ".installed"

    def _sum(self) -> str:
        return hashlib.sha256(self.requirements.read_bytes()).hexdigest()

    def is_complete(self, wanted: str) -> bool:
        """Return whether everything was installed from the present list, for the Python that is asked for."""
        try:
            version, checksum, *_ = self._stamp.read_text(encoding="ascii").split()
        except (OSError, ValueError):
            return False
        if checksum != self._sum() or not self.python.exists():
            return False
        return not wanted or version == _say([wanted, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"])

    def install(self, python: str, *, uv: Path) -> None:
        """Make the environment if it is not there or is another Python's, and puts exactly the list into it.

        Args:
            python: the interpreter that it is made with.
            uv: the installer, put into the project's environment first.

        Raises:
            subprocess.CalledProcessError: a program failed; it has reported why.
        """
        question = "import sys; print('%d.%d' % sys.version_info[:2])"
        version = _say([python, "-c", question])
        self._stamp.unlink(missing_ok=True)
        if _say([str(self.python), "-c", question]) != version:
            shutil.rmtree(self.folder, ignore_errors=True)
            # Only the project's environment needs pip, to fetch uv; uv fills the other one from outside.
            _run([python, "-m", "venv", *(() if self._holds(uv) else ("--without-pip",)), str(self.folder)])
        if not uv.exists():
            pin = next(line for line in self.requirements.read_text().splitlines() if line.startswith("uv=="))
            _run([str(self.python), "-m", "pip", "install", "--quiet", "--no-cache-dir", pin])
        _run([str(uv), "pip", "sync", "--quiet", "--python", str(self.python), str(self.requirements)])
        self._stamp.write_text(f"{version} {self._sum()}\n", encoding="ascii")

    def _holds(self, program: Path) -> bool:
        return self.folder in program.parents


def _check_machine(python: str) -> None:
    if sys.platform != "linux":
        raise CannotInstall("This runs on Linux only: CASA and PostgreSQL come as Linux wheels.")
    if _say([python, "-c", "import ensurepip, venv; print('yes')"]) != "yes":
        version = _say([python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"])
        raise CannotInstall(
            f"{python} cannot make virtual environments: install python{version}-venv "
            f"(`apt-get install python{version}-venv`, or python3-venv) and repeat the command."
        )
    if (missing := _say([python, "-c", _FIXES])) != "none is missing":
        which = missing or "it could not be tried which"
        raise CannotInstall(
            f"{python} lacks repairs on which the safety of logins rests ({which}): install its latest patch release "
            f"(3.11.4 or later, or the distribution's security update) and repeat the command."
        )
    if shutil.which("setpriv") is None:
        raise CannotInstall("setpriv is not on the PATH: install util-linux and repeat the command.")
    free = shutil.disk_usage(ROOT).free / 1e9
    if free < _NEEDED_FREE_GB and not (ROOT / ".venv-casa").exists():
        raise CannotInstall(
            f"{ROOT} has {free:.1f} GB of free space and {_NEEDED_FREE_GB} GB are needed: free some and repeat "
            "the command."
        )


def _say(command: list[str]) -> str:
    """What a program prints, or nothing if it is not there or fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _run(command: list[str]) -> None:
    # An activated environment of somebody else must not be what uv and pip install into.
    plain = {
        name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")
    }
    subprocess.run(command, check=True, cwd=ROOT, env=plain)


def _print_line(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
