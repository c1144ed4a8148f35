"""Brings what tests need and no Python registry has: a browser, a connection pooler, and what a team runs it on.

Started by ``make test`` and ``make test-team`` with the project's own Python. What is on the machine is used; else,
where root calls and there is ``apt-get``, Debian's package; else, for the browser, Playwright's own download, into the
project's folder. A browser that cannot be had is asked for in a sentence; the tests of all else are skipped and say so.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT = Path(__file__).resolve().parents[2]
#: Where Playwright's own browser is, if the machine has none.
DOWNLOADED: Final = ROOT / ".cache" / "ms-playwright"
#: What a Chromium is called that the machine has.
BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
_DOWNLOAD_SECONDS: Final = 600
_APT: Final = "apt-get"


@dataclass(frozen=True)
class Tool:
    """A program, and the package of Debian that brings it.

    Attributes:
        programs: its names; one of them will do.
        package: the package.
        only_root: whether only root can use it.
    """

    programs: tuple[str, ...]
    package: str
    only_root: bool = False


_BROWSER: Final = Tool(BROWSERS, "chromium")
TOOLS: Final = (_BROWSER, Tool(("pgbouncer",), "pgbouncer"), Tool(("sudo",), "sudo", only_root=True))
#: What a team runs the workflows on, for root alone.
TEAM: Final = (
    Tool(("dockerd",), "docker.io", only_root=True),
    Tool(("iptables",), "iptables", only_root=True),
    Tool(("ip",), "iproute2", only_root=True),
    Tool(("debootstrap",), "debootstrap", only_root=True),
    Tool(("slurmctld",), "slurm-wlm", only_root=True),
    Tool(("munged",), "munge", only_root=True),
    Tool(("sshd",), "openssh-server", only_root=True),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Bring what is missing; return the exit code."""
    parser = argparse.ArgumentParser(description="Bring what tests need and no Python registry has.")
    parser.add_argument("--team", action="store_true", help="what the tests of a team need")
    tools = TEAM if parser.parse_args(arguments).team else TOOLS
    missing = [tool for tool in tools if not _is_there(tool) and (os.geteuid() == 0 or not tool.only_root)]
    if missing and _may_install():
        _install([tool.package for tool in missing])
        missing = [tool for tool in missing if not _is_there(tool)]
    if _BROWSER in missing:
        missing.remove(_BROWSER)
        if (problem := _download_browser()) is not None:
            sys.stderr.write(f"{problem}\n")
            return 1
    if missing:
        packages = " ".join(tool.package for tool in missing)
        _print_line(f"Tests that need these are skipped; to run them, as root: apt-get install {packages}")
    return 0


def find(names: Iterable[str]) -> str | None:
    """Return where the first program is that there is, also where only root's ``PATH`` leads; None if none is.

    Args:
        names: their names.
    """
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    return next((found for name in names if (found := shutil.which(name, path=path))), None)


def _is_there(tool: Tool) -> bool:
    return find(tool.programs) is not None


def _may_install() -> bool:
    return os.geteuid() == 0 and shutil.which(_APT) is not None


def _install(packages: Sequence[str]) -> None:
    _print_line(f"Installing {', '.join(packages)} ...")
    plain = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *packages]):
        done = subprocess.run([_APT, *command], env=plain, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            _print_line(f"`apt-get {' '.join(command)}` failed: {' '.join(done.stderr.split())[-500:]}")
            return


def _download_browser() -> str | None:
    """Have Playwright download its browser, once; return what to do if there is none after that."""
    from playwright.sync_api import Error, sync_playwright

    os.environ["PLAYWRIGHT_BROWSERS_PATH"] = str(DOWNLOADED)
    problem = ""
    if not any(DOWNLOADED.glob("chromium*/INSTALLATION_COMPLETE")):
        _print_line("Downloading Playwright's Chromium ...")
        command = [sys.executable, "-m", "playwright", "install", "--only-shell", "--no-progress", "chromium"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_DOWNLOAD_SECONDS)
            problem = "" if done.returncode == 0 else "it could not be downloaded"
        except subprocess.TimeoutExpired:
            problem = f"it was not downloaded within {_DOWNLOAD_SECONDS} s"
    if not problem:
        try:
            with sync_playwright() as playwright:
                playwright.chromium.launch(args=["--no-sandbox"]).close()
        except Error:
            problem = "Playwright's own does not start here, for want of the system's libraries"
    if not problem:
        return None
    return (
        f"The tests need Chromium, which is not on this machine, and {problem}: install it (Debian, as root: `apt-get "
        "install chromium`), or see that this machine reaches the network, and repeat the command; `make test-fast` "
        "needs none."
    )


def _print_line(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
