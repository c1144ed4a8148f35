"""Every statement of the ledger at 100,000 runs and at 100, on connections that are open.

Both ledgers have the same present, a hundred runs in all states; the large one has a past besides. A statement that
writes is rolled back. Of each the shortest of many times counts: what is longer, others on the machine have caused.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.types.json import Jsonb

from bench import ROOT
from bench.frame import Case, Figure, Options, Sides
from sandbox.ports import free_ports
from sandbox.postgres import PostgresServer
from srdp.domain.runs.states import ACTIVE, RunState
from srdp.hooks.ledger_schema import apply_schema
from srdp.hooks.statements import statements

STATEMENTS: Final = ROOT / "include" / "sql" / "ledger"
_FEW, _MANY, _MANY_QUICK = 100, 100_000, 3_000
_TIMES: Final = 40
_NAMED: Final = 5
#: A parameter in a statement.
PARAMETER = re.compile(r"%\((\w+)\)s")
_NOW: Final = datetime.now(UTC)
_TEXT = "somebody"
_DIGEST = "0123456789abcdef" * 4

#: What statements ask with, besides the run and what is named after it.
_GIVEN: Final[Mapping[str, Any]] = {
    "also": [], "answer": "a new answer", "asked": None, "assigned_by": _TEXT, "assignment_number": None,
    "attempt": 1, "casa_release": "default", "casa_version": "6.6.1", "changed_by": _TEXT,
    "changes": ["QA flag: from Null to Pass"], "content": b"<PPR/>", "cores": 8, "crc32": 1,
    "dag_id": "vla_calibration", "data_analyst": _TEXT, "days": 30, "decision": "calibrate", "details": Jsonb({}),
    "digest": "", "ended_at": None, "engine": "local", "error": "nobody answered", "event": "something",
    "exit_code": 0, "expires_at": _NOW, "failure": None, "first_started_at": _NOW - timedelta(minutes=50),
    "for_all": True, "former_run": None, "going_on": [state.value for state in ACTIVE], "grace_seconds": 0,
    "host": "node-1", "html": "<p>", "ingested_at": _NOW, "is_proved": True, "job": Jsonb({"name": "job"}),
    "job_name": "job", "kept_because": None, "key": "a new mail", "kind": "vla_calibration",
    "kinds": ["vla_calibration"], "limit": 20, "lowest": 0.5, "memory_gb": 64, "message_id": "a new mail",
    "mime_type": "application/x-tar", "minutes": 10, "mous": None, "mtime_ns": 0, "name": "vla",
    "ngas_file_id": "a-new-file", "ngas_version": 1, "number": 1, "outbox_id": 1, "path": "ASDMBinary/1",
    "peak_memory_bytes": 1, "pending": [], "pipeline_version": "2026", "places": 8, "ppr_sha256_after": None,
    "ppr_sha256_before": None, "product": None, "qa_flag": "Pass", "reason": "", "recipe": "hifv_calimage",
    "recipients": ["a@example.org"], "refused": Jsonb({}), "reindex": True, "replaced_reason": "history",
    "requested_by": _TEXT, "retry_seconds": 15.0, "scores": Jsonb([]), "sender": _TEXT, "sha256": _DIGEST,
    "signal": None, "since": _NOW, "size_bytes": 1, "source": "template", "started_at": None, "state": "failed",
    "state_after": None, "state_before": None, "text": "text", "verdict": Jsonb({}), "version": 1, "watermark": _NOW,
    "what": "directory",
    # What grows with the past alone, the runs that were cleaned up, nobody asks for.
    "states": [state.value for state in RunState if state is not RunState.CLEANED],
}  # fmt: skip
#: Where a statement must be asked something else: a key that is free, a run that has an ingest.
_NEW_RUN = "vla-20990101-000000-aaaa"
_OTHERWISE: Final[Mapping[str, Mapping[str, Any]]] = {
    "run_insert": {"pipeline_run_id": _NEW_RUN, "dag_run_id": "a new one"},
    "assignment_insert": {"number": 99},
    "outbox_claim": {"kinds": ["mail", "reminder"]},
    "outbox_of_run": {"kinds": ["mail", "reminder"]},
    "assignment_confirm": {"answer": "a new answer"},
    "ingest_product_insert": {"path": "a new one"},
}


class LedgerOfRuns:
    """One ledger with so many runs, and the statements on it."""

    def __init__(self, connection: psycopg.Connection[Any], runs: int) -> None:
        self._connection = connection
        # As the hook has it: a pooler gives each transaction another session.
        connection.prepare_threshold = None
        script = (Path(__file__).parent / "sql" / "history.sql").read_text()
        with connection.transaction():
            for part in script.split(";\n\n"):
                connection.execute(part.replace("%(runs)s", str(runs)).replace("%%", "%"))
        connection.execute("VACUUM ANALYZE")
        self._run, self._ingested = self._present("awaiting_qa"), self._present("archived")

    def _present(self, state: str) -> Mapping[str, Any]:
        """Return what is asked about one of the present's runs, which are the same in both ledgers."""
        text = """
            SELECT pipeline_run_id, request_id, dag_run_id, subject, project
            FROM pipeline_run JOIN request USING (request_id) WHERE state = %s ORDER BY version, subject DESC LIMIT 1
            """
        [(run_id, request, dag_run_id, subject, project)] = self._connection.execute(text, (state,)).fetchall()
        return {
            "pipeline_run_id": run_id, "pipeline_run_ids": [run_id], "request_id": request, "request_ids": [request],
            "dag_run_id": dag_run_id, "subject": subject, "eb_name": subject, "names": [subject], "project": project,
            "locator": "uid://evla/execblock/1", "event_id": uuid.uuid4(),
        }  # fmt: skip

    def seconds(self, name: str, text: str) -> float:
        """Return how long a statement takes; what it does is undone."""
        run = self._ingested if name.startswith("ingest_") and name != "ingest_insert" else self._run
        known = {**_GIVEN, **run, **_OTHERWISE.get(name, {})}
        parameters = {key: known[key] for key in PARAMETER.findall(text)}
        with self._connection.transaction(force_rollback=True):
            began = time.perf_counter()
            cursor = self._connection.execute(text, parameters)
            if cursor.description:
                cursor.fetchall()
            return time.perf_counter() - began


@contextmanager
def _ledgers(options: Options) -> Iterator[Sides]:
    texts = statements(STATEMENTS)
    with ExitStack() as opened:
        server = PostgresServer(options.place / "postgres", port=free_ports(1)[0])
        server.start()
        opened.callback(server.stop)
        ledgers = []
        for runs in (_MANY_QUICK if options.quick else _MANY, _FEW):
            connection = opened.enter_context(psycopg.connect(server.create_database(f"ledger_{runs}")))
            apply_schema(connection, ROOT / "include" / "sql")
            connection.autocommit = True
            ledgers.append(LedgerOfRuns(connection, runs))

        def ours() -> Mapping[str, float]:
            # In turn, so that both meet the same of what else the machine does.
            best: dict[str, list[float]] = {
                name: [min(taken) for taken in zip(*(
                    [ledger.seconds(name, text) for ledger in ledgers] for _ in range(_TIMES)
                ), strict=True)]
                for name, text in texts.items()
            }  # fmt: skip
            slowest = sorted(best, key=lambda name: best[name][0] / best[name][1], reverse=True)
            for name in slowest[:_NAMED]:
                many, few = best[name]
                print(f"    {name}: {many * 1e3:.2f} ms against {few * 1e3:.2f} ms")
            many, few = (sum(seconds) for seconds in zip(*best.values(), strict=True))
            most = max(many / few for many, few in best.values())
            return {"ledger-questions": many / few, "ledger-slowest-question": most}

        yield Sides(ours=ours, before=lambda: None)


CASES = (
    Case(
        _ledgers,
        (
            Figure("ledger-questions", "all statements of the ledger, 100,000 runs", "the same at 100", 1.5, "times"),
            Figure("ledger-slowest-question", "the one that grows most", "the same at 100", 1.5, "times"),
        ),
    ),
)
