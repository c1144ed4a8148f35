"""A demo in a folder of its own, driven as a person does: by its commands."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.site_tools import Database

from sandbox.stack.instance import Instance
from sandbox.stack.ports import PREFIX, Ports

HOME = Path(__file__).parents[2]


@dataclass
class Demo:
    """One demo.

    Attributes:
        folder: where it keeps everything.
        ports: where it answers.
        settings: variables beside the demo's own.
    """

    folder: Path
    ports: Ports
    settings: Mapping[str, str] = field(default_factory=dict)

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment: Mapping[str, str] = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("SRDP_", "AIRFLOW_"))},
            "PYTHONPATH": f"{HOME / 'include'}:{HOME / 'plugins'}",
            "SRDP_DEMO_FOLDER": str(self.folder),
            **{f"{PREFIX}{name.upper()}": str(port) for name, port in asdict(self.ports).items()},
            **self.settings,
        }
        return subprocess.run(
            [sys.executable, "-m", "sandbox.stack", *arguments],
            env=environment,
            cwd=HOME,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )

    @property
    def instance(self) -> Instance:
        return Instance(self.folder, ports=self.ports)

    def rows(self, database: str, statement: str, **parameters: object) -> list[dict[str, Any]]:
        return Database(self.instance.postgres.url(database)).rows(statement, **parameters)
