"""An observatory for the steps of a verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.ingesting import Observatory, new_observatory

import srdp.settings
from sandbox.ngas.server import NgasServer
from srdp.settings import Settings


@pytest.fixture
def observatory(
    settings: Settings,
    ledger_url: str,
    new_archive: str,
    as_connection: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Observatory]:
    """Real ledger, archive and NGAS; what the steps read as settings are the observatory's."""
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_ARCHIVE", as_connection(new_archive))
    with NgasServer(tmp_path / "ngas", stall_seconds=20) as ngas:
        made = new_observatory(settings, new_archive, ngas, monkeypatch.setenv)
        monkeypatch.setattr(srdp.settings, "load_settings", lambda: made.settings)
        yield made
