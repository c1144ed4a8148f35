"""Fixtures that every folder of tests may use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.ports import free_ports
from sandbox.postgres import PostgresServer


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A real PostgreSQL of this test session: ``.url(database)``, ``.create_database(name)``."""
    server = PostgresServer(tmp_path_factory.mktemp("postgres"), port=free_ports(1)[0], durable=False)
    server.start()
    yield server
    server.stop()
