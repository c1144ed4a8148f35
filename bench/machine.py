"""The machine that figures were taken on, in one paragraph."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import psutil

_GIGABYTE = 1e9


def machine(place: Path) -> str:
    """Return what the figures depend on.

    Args:
        place: where the files are that are measured.
    """
    memory = psutil.virtual_memory().total / _GIGABYTE
    load = ", ".join(f"{load:.1f}" for load in os.getloadavg())
    disk = _disk(place)
    return (
        f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GB of memory, {disk}; {platform.system()} "
        f"{platform.release()}, Python {platform.python_version()}, Airflow {version('apache-airflow')}, "
        f"{_first_words('curl')}, {_first_words('tar')}. Load when it began: {load}."
    )


def commit(root: Path) -> str:
    """Return the commit that was measured, with a ``+`` if files were changed since.

    Args:
        root: the project's own folder.
    """
    named = _output("git", "-C", str(root), "rev-parse", "--short", "HEAD")
    changed = _output("git", "-C", str(root), "status", "--porcelain", "--untracked-files=no", "--", ":!docs")
    return f"{named or 'no commit'}{'+' if changed else ''}"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if sys.platform == "linux" else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def _disk(place: Path) -> str:
    parts = [part for part in psutil.disk_partitions(all=True) if place.resolve().is_relative_to(part.mountpoint)]
    if not parts:
        return "an unknown disk"
    part = max(parts, key=lambda part: len(part.mountpoint))
    return f"{part.fstype} on {part.device} with {shutil.disk_usage(place).free / _GIGABYTE:.0f} GB free"


def _first_words(program: str) -> str:
    words = _output(program, "--version").split()
    if not words:
        return f"no {program}"
    return f"{program} {next((word for word in words if word[0].isdigit()), '')}".strip()


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
