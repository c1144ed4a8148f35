"""Fixtures for tests that use a real ledger."""

from __future__ import annotations

import itertools
import json
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from tests.areas import prepare
from tests.condor_pool import condor, condor_of_session  # noqa: F401  fixtures
from tests.slurm_server import slurm, slurm_of_session  # noqa: F401  fixtures

from sandbox.postgres import PostgresServer
from srdp.domain.runs.ledger_records import PipelineRun
from srdp.hooks.ledger import Ledger
from srdp.hooks.ledger_schema import apply_schema
from srdp.settings import Settings

HOME = Path(__file__).parents[2]
_NUMBERS = itertools.count(1)


def postgres_connection(url: str) -> str:
    """An Airflow Connection, as JSON for ``AIRFLOW_CONN_...``, to the database of a URL."""
    parts = urllib.parse.urlsplit(url)
    return json.dumps(
        {
            "conn_type": "postgres",
            "host": parts.hostname,
            "port": parts.port,
            "login": parts.username,
            "password": parts.password,
            "schema": parts.path.removeprefix("/"),
        }
    )


@pytest.fixture
def as_connection() -> Callable[[str], str]:
    """See :func:`postgres_connection`."""
    return postgres_connection


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Setting whose areas are in the test's own folder and which use the repository's SQL and templates."""
    areas = {name: tmp_path / name for name in ("processing", "qa", "spool")}
    made = Settings(
        home=HOME,
        processing_area=areas["processing"],
        qa_area=areas["qa"],
        spool_area=areas["spool"],
        casa=tmp_path / "casa",
        scipipe_heuristics=tmp_path / "heuristics",
        data_analysts=("one@example.org", "two@example.org"),
        operations_managers=("manager@example.org",),
        mail_from="do-not-reply@srdp.example.org",
        airflow_url="http://127.0.0.1:8080",
        run_files_url="http://127.0.0.1:8090/runs",
        weblog_url="http://127.0.0.1:8090/runs/{pipeline_run_id}/{weblog}/t1-1.html",
    )
    prepare(made)
    return made


@pytest.fixture(scope="session")
def empty_ledger(postgres: PostgresServer) -> str:
    """The name of an empty ledger's database, to be copied."""
    name = "empty_ledger"
    with psycopg.connect(postgres.create_database(name)) as connection:
        apply_schema(connection, HOME / "include" / "sql")
    return name


@pytest.fixture
def ledger_url(postgres: PostgresServer, empty_ledger: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An empty ledger's database, named by the connection ``srdp_ledger``."""
    url = postgres.copy_database(empty_ledger, "ledger")
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_LEDGER", postgres_connection(url))
    yield url
    postgres.drop_database("ledger")


@pytest.fixture
def ledger(settings: Settings, ledger_url: str) -> Ledger:
    """A real ledger without runs."""
    return Ledger(settings, retry_seconds=20)


@pytest.fixture
def open_run(ledger: Ledger) -> Callable[..., PipelineRun]:
    """Open a run for an EB; keywords replace what is asked for."""
    return opener(ledger)


def opener(ledger: Ledger) -> Callable[..., PipelineRun]:
    """What opens runs in a ledger, as `open_run` does."""

    def opened(**changes: object) -> PipelineRun:
        number = next(_NUMBERS)
        asked: dict[str, object] = {
            "kind": "vla_calibration",
            "subject": f"13A-537.sb24066356.eb{number}.56514.05971091435",
            "project": "13A-537",
            "locator": f"uid://evla/execblock/00000000-0000-0000-0000-{number:012d}",
            "dag_id": "vla_calibration",
            "dag_run_id": f"manual__{number}",
            "requested_by": "an analyst",
            "recipe": "vla_calibration",
            "cores": 8,
            "memory_gb": 248,
        }
        return ledger.runs.open(**(asked | changes))

    return opened
