"""Fixtures that every folder of tests may use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox.ports import free_ports
from sandbox.postgres import PostgresServer


# What is quickest to answer runs first; the number is the order.
_SLOWNESS = {"servers": 1, "casa": 2, "airflow": 3, "browser": 4}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: max((_SLOWNESS.get(mark.name, 0) for mark in item.iter_markers()), default=0))


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A real PostgreSQL of this test session: ``.url(database)``, ``.create_database(name)``."""
    server = PostgresServer(tmp_path_factory.mktemp("postgres"), port=free_ports(1)[0], durable=False)
    server.start()
    yield server
    server.stop()
