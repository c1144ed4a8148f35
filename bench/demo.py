"""How long ``make demo`` takes after the installation: from nothing to a calibration that awaits its verdict."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from bench import ROOT
from bench.frame import Case, Figure, Options, Sides, settle
from sandbox.stack.ports import PREFIX, Ports

_NAME = "demo"
_WHAT = "`make demo` with CASA, from the end of the installation to awaiting QA"


class _Demo:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SRDP_", "AIRFLOW_"))}
        ports = {f"{PREFIX}{name.upper()}": str(port) for name, port in asdict(Ports.free()).items()}
        paths = {"PYTHONPATH": f"{ROOT / 'include'}:{ROOT / 'plugins'}", "SRDP_DEMO_FOLDER": str(folder)}
        self._environment = kept | ports | paths

    def show(self) -> None:
        self._command("demo")

    def forget(self) -> None:
        self._command("stop")
        shutil.rmtree(self._folder, ignore_errors=True)
        settle()

    def _command(self, name: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "sandbox.stack", name],
            env=self._environment,
            cwd=ROOT,
            check=True,
            stdout=sys.stderr,
        )


@contextmanager
def arranged(options: Options) -> Iterator[Sides]:
    demo = _Demo(options.place / "demo")
    try:
        yield Sides(ours=demo.show, before=demo.forget)
    finally:
        demo.forget()


CASES = (Case(arranged, (Figure(_NAME, _WHAT, "", goal=75),), rounds=3, asked_for=True),)
