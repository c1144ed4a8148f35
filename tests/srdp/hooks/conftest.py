"""A real archive beside the real ledger, and runs in any state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from tests.srdp.hooks.verdicts import EB

from srdp.domain.runs.ledger_records import PipelineRun
from srdp.hooks.ledger import Ledger


@pytest.fixture
def archive_url(new_archive: str, monkeypatch: pytest.MonkeyPatch, as_connection: Callable[[str], str]) -> str:
    """An empty archive's database, named by the connection ``srdp_archive``."""
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_ARCHIVE", as_connection(new_archive))
    return new_archive


@pytest.fixture
def run_in(ledger_url: str, open_run: Callable[..., PipelineRun], ledger: Ledger) -> Callable[..., PipelineRun]:
    """Make a run that is in a state."""

    def made(state: str, **changes: Any) -> PipelineRun:
        run = open_run(**({"subject": EB} | changes))
        with psycopg.connect(ledger_url) as connection:
            connection.execute(
                "UPDATE pipeline_run SET state = %s WHERE pipeline_run_id = %s", (state, run.pipeline_run_id)
            )
        return ledger.runs.get(run.pipeline_run_id)

    return made
