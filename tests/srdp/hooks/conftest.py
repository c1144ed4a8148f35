"""A real archive beside the real ledger."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.observing import new_archive

from sandbox.postgres import PostgresServer


@pytest.fixture
def archive_url(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch, as_connection: Callable[[str], str]) -> str:
    """An empty archive's database, named by the connection ``srdp_archive``."""
    url = new_archive(postgres)
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_ARCHIVE", as_connection(url))
    return url
