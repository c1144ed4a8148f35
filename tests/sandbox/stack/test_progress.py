from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg2
import pytest
import tenacity

from sandbox.stack.progress import _WHILE_IT_RESTARTS, Ledger, follow


class RestartingLedger(Ledger):
    """Its database refuses the first two calls of each kind."""

    refusals = 0

    def _look(self, answer: Any) -> Any:
        if type(self).refusals % 3 < 2:
            type(self).refusals += 1
            raise psycopg2.OperationalError("Connection refused")
        type(self).refusals += 1
        return answer

    def newest_run_of(self, subject: str) -> Any:
        return self._look({"pipeline_run_id": "vla-1", "state": "awaiting_qa", "subject": subject})

    def events(self, run_id: str) -> Any:  # noqa: ARG002  as the ledger's
        return self._look([])


def test_a_database_that_restarts_does_not_end_the_look_at_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_WHILE_IT_RESTARTS, "wait", tenacity.wait_none())
    ledger = RestartingLedger("", Path())

    run = follow(ledger, "EB", report=lambda _line: None, casa_says=lambda _run_id: "", timeout=10)

    assert run["state"] == "awaiting_qa"
    assert RestartingLedger.refusals == 6
