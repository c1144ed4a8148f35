"""An observatory for each point of the table, made cheaply: its servers are made once."""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from tests.killing import Running
from tests.srdp.conftest import HOME, postgres_connection, settings
from tests.verdict.family import BLOCK_BYTES, AlmaImaging, RunFamily, VlaCalibration
from tests.verdict.looking import LEDGER_DATABASE, DatabaseToLookAt, ObservatoryToLookAt, connection_to_look_through

import srdp.settings
from sandbox.ngas.server import NgasServer
from sandbox.postgres import PostgresServer
from srdp.domain.archiving import upload as archive_upload
from srdp.domain.files import packing
from srdp.hooks.ledger import Ledger
from srdp.hooks.ledger_schema import apply_schema
from srdp.settings import Settings

__all__ = ["family", "observatory", "settings"]


@dataclass(frozen=True)
class Servers:
    """What all tests here share, because it takes long to make: each has runs of its own in it.

    Attributes:
        ledger_url: the ledger's database.
        ledger: to look into it.
        archive_url: the archive's database.
        archive: to look into it.
        ngas: the NGAS server that receives.
    """

    ledger_url: str
    ledger: psycopg.Connection[dict[str, Any]]
    archive_url: str
    archive: psycopg.Connection[dict[str, Any]]
    ngas: NgasServer


@pytest.fixture(scope="session")
def servers(
    postgres: PostgresServer, empty_archive: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Servers]:
    """A ledger, an archive and NGAS."""
    # Imported here once, so that not every process does it again; what an image is read with, too.
    importlib.import_module("astropy.io.fits")
    for module in pkgutil.walk_packages(srdp.__path__, "srdp."):
        importlib.import_module(module.name)
    ledger_url = postgres.create_database(LEDGER_DATABASE)
    archive_url = postgres.copy_database(empty_archive, "archive_of_verdicts")
    with psycopg.connect(ledger_url) as ledger:
        apply_schema(ledger, HOME / "include" / "sql")
    with (
        NgasServer(tmp_path_factory.mktemp("ngas"), stall_seconds=20) as ngas,
        connection_to_look_through(ledger_url) as kept_ledger,
        # A role does not see what the connections of others wait for.
        connection_to_look_through(postgres.superuser_url("archive_of_verdicts")) as archive,
    ):
        archive.execute("INSERT INTO ngas_server VALUES ('ours', %s, 'DSOC', 'DSOC')", (f"127.0.0.1:{ngas.port}",))
        yield Servers(ledger_url, kept_ledger, archive_url, archive, ngas)


@pytest.fixture
def observatory(settings: Settings, servers: Servers, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObservatoryToLookAt]:
    """Real ledger, archive and NGAS; what the steps read as settings are the observatory's."""
    ngas = servers.ngas
    connection = {"conn_type": "http", "host": "127.0.0.1", "port": ngas.port, "extra": {"stall_seconds": 5}}
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_NGAS", json.dumps(connection))
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_LEDGER", postgres_connection(servers.ledger_url))
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_ARCHIVE", postgres_connection(servers.archive_url))
    monkeypatch.setattr(archive_upload, "_BLOCK_BYTES", BLOCK_BYTES)
    monkeypatch.setattr(packing, "_COPY_BYTES", BLOCK_BYTES)
    ledger = Ledger(settings, database=DatabaseToLookAt(settings, servers.ledger))
    made = ObservatoryToLookAt(settings, ledger, servers.archive_url, ngas)
    made.archive = servers.archive
    monkeypatch.setattr(srdp.settings, "load_settings", lambda: made.settings)
    yield made
    ngas.faults.clear()
    ngas.requests.clear()


@pytest.fixture(params=[VlaCalibration, AlmaImaging], ids=lambda family: family.name)
def family(request: pytest.FixtureRequest, observatory: ObservatoryToLookAt) -> Iterator[RunFamily]:
    """What is calibrated or imaged, and how: all that the tests here know of it."""
    yield request.param(observatory)
    Running.end_all()
