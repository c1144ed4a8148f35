"""What reading a DAG file imports: each second that it takes is taken again and again, without being asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "dags").glob("*.py"))
# What only the steps need, when they run.
HEAVY = {
    "aiohttp", "google_crc32c", "lxml", "psycopg", "psycopg_binary", "pydantic_settings", "srdp.check",
    "srdp.domain.disk.group_rights", "srdp.engines", "srdp.hooks",
    "srdp.notifications", "srdp.settings", "urllib3", "xml.dom",
}  # fmt: skip
# As the DAG processor does: one process has Airflow, and each file is read by a child of it.
PROGRAM = """
import json, os, runpy, sys
import airflow.dag_processing.manager, airflow.dag_processing.processor, airflow.sdk
had = set(sys.modules)
for file in sys.argv[1:]:
    sys.stdout.flush()
    if os.fork() == 0:
        runpy.run_path(file)
        print(json.dumps([file, sorted(set(sys.modules) - had)]), flush=True)
        os._exit(0)
    os.wait()
"""


@pytest.fixture(scope="module")
def imported() -> dict[str, set[str]]:
    """The modules that each DAG file has imported, beside those that Airflow's DAG processor has."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "plugins")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, FILES)], env=environment, check=True, capture_output=True, text=True
    )
    read = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("["))
    return {Path(file).name: set(modules) for file, modules in read}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_reading_a_dag_file_imports_nothing_that_only_its_steps_need(imported, file):
    modules = imported[file.name]
    assert any(module.startswith("srdp.") for module in modules)
    heavy = {module for module in modules if any(module == each or module.startswith(f"{each}.") for each in HEAVY)}
    assert not heavy


def test_only_the_dag_that_asks_people_imports_what_asks_them(imported):
    asks = "airflow.providers.standard.operators.hitl"
    assert [file for file, modules in imported.items() if asks in modules] == ["alma_assign_qa.py"]
