"""A ledger with runs in every state, made as the workflows make one, and PostgreSQL's own programs to copy it with."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql
from tests.srdp.hooks.verdicts import NULL, PASS, TAR, WEBLOG, claim, finish

from sandbox.postgres import binaries, plain_environment
from srdp.domain.archiving.product_changes import ProductFile
from srdp.domain.common.mail import Mail
from srdp.domain.qa.verdict import QaVerdict
from srdp.domain.retention.expiry import Expiring
from srdp.domain.runs.ledger_records import FetchedFile, Ingest, PipelineRun, SubmittedFile
from srdp.domain.runs.states import RunState
from srdp.hooks.ledger import Ledger

# In which order a run gets to a state that no other row goes with.
_ROADS: dict[RunState, tuple[RunState, ...]] = {
    RunState.CREATED: (),
    RunState.FETCHING: (RunState.FETCHING,),
    RunState.PROCESSING: (RunState.FETCHING, RunState.PROCESSING),
    RunState.AWAITING_QA: (RunState.FETCHING, RunState.PROCESSING, RunState.AWAITING_QA),
    RunState.FAILED: (RunState.FETCHING, RunState.PROCESSING, RunState.FAILED),
    RunState.CANCELLED: (RunState.CANCELLED,),
}


def run_program(name: str, *arguments: str, url: str, input_: Path | None = None) -> bytes:
    """Run one of PostgreSQL's programs on a database, the password in its environment; return what it printed."""
    parts = urlsplit(url)
    where = {
        "PGHOST": str(parts.hostname),
        "PGPORT": str(parts.port),
        "PGUSER": str(parts.username),
        "PGPASSWORD": str(parts.password),
        "PGDATABASE": parts.path.removeprefix("/"),
    }
    with (input_ or Path(os.devnull)).open("rb") as stream:
        done = subprocess.run(
            [binaries() / name, *arguments],
            env=plain_environment() | where,
            stdin=stream,
            capture_output=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def contents(url: str, tables: Mapping[str, Sequence[str]] | None = None) -> dict[str, list[str]]:
    """Return every row of every table of a database, as text, sorted.

    Args:
        url: the database.
        tables: only these columns of these tables.
    """
    with psycopg.connect(url) as connection:
        wanted = tables or columns(url)
        return {
            table: [
                text
                for (text,) in connection.execute(
                    sql.SQL("SELECT row({})::text FROM {} ORDER BY 1").format(
                        sql.SQL(", ").join(map(sql.Identifier, names)), sql.Identifier(table)
                    )
                ).fetchall()
            ]
            for table, names in wanted.items()
        }


def columns(url: str) -> dict[str, list[str]]:
    """Return the tables of a database, each with its columns."""
    with psycopg.connect(url) as connection:
        return dict(
            connection.execute(
                "SELECT table_name::text, array_agg(column_name::text ORDER BY column_name) "
                "FROM information_schema.columns WHERE table_schema = 'public' GROUP BY 1"
            ).fetchall()
        )


def fill(url: str, ledger: Ledger, open_run: Callable[..., PipelineRun]) -> dict[RunState, PipelineRun]:
    """Make a run in every state, with all that belongs to one, and return them.

    Args:
        url: the ledger's database.
        verdicts: the ledger.
        open_run: opens a run of a new request, or of one that keywords name.
    """
    made = {state: _on_its_way(ledger, open_run(), state) for state in _ROADS}
    imaging = {"kind": "alma_imaging", "subject": "uid://A001/X1/X2", "request_digest": "0" * 64, "asked": {"by": "x"}}
    images = _on_its_way(ledger, open_run(**imaging), RunState.AWAITING_QA)
    _assign(ledger, images)

    made[RunState.INGESTING] = _on_its_way(ledger, open_run(), RunState.AWAITING_QA)
    _pack(ledger, made[RunState.INGESTING], NULL)
    made[RunState.INGEST_FAILED] = _on_its_way(ledger, open_run(), RunState.AWAITING_QA)
    _pack(ledger, made[RunState.INGEST_FAILED], PASS)
    _step(ledger, made[RunState.INGEST_FAILED], RunState.INGEST_FAILED)

    made[RunState.SUPERSEDED] = former = _on_its_way(ledger, open_run(), RunState.AWAITING_QA)
    again = {"subject": former.subject, "former_run": former.pipeline_run_id, "casa_release": "6.6.1"}
    made[RunState.ARCHIVED] = run = _on_its_way(ledger, open_run(**again), RunState.AWAITING_QA)
    ingest = _pack(ledger, run, PASS)
    for file in ledger.archived_files.of_ingest(ingest):
        ledger.archived_files.mark_sent(file.ngas_file_id)
        ledger.archived_files.mark_proved(file.ngas_file_id, 1)
    ledger.archived_files.mark_committed(ingest)
    finish(ledger, ingest)
    changed = replace(PASS, comments="Looked at again.")
    ledger.verdicts.change(run.pipeline_run_id, changed, dag_id="vla_qa_pass", dag_run_id="manual__2", by="an analyst")
    ledger.verdicts.record_written(run.pipeline_run_id, 1)
    ledger.measurement_sets.record(run.pipeline_run_id, "/cache/a.ms", ledger.now() + timedelta(days=21))

    made[RunState.REJECTED] = run = _on_its_way(ledger, open_run(), RunState.AWAITING_QA)
    ledger.verdicts.reject([run.pipeline_run_id], reason="no flux", by="an analyst")
    ledger.marks.record_marked(run.pipeline_run_id)
    for state in (RunState.CLEANING, RunState.CLEANED):
        made[state] = run = _on_its_way(ledger, open_run(), RunState.FAILED)
        ledger.removals.record_own_files_named(run.pipeline_run_id, "a digest", directory="/qa/a", files=["a"])
        ledger.removals.record_expiring(_expired(ledger, run), "scheduled__1")
        ledger.removals.begin(run.pipeline_run_id, {"directories": ["/qa/a"]})
    _step(ledger, made[RunState.CLEANED], RunState.CLEANED)
    ledger.retention.set("archived", 30)
    ledger.outbox.record_mail_server_away("the mail server is away")
    with psycopg.connect(url) as connection:
        connection.execute("INSERT INTO observation_watch (name, watermark) VALUES ('new observations', now())")
        connection.execute(
            "INSERT INTO observation (eb_name, locator, ingested_at, decision, reason) VALUES "
            "('13A-537.sb1.eb1.56514.1', 'uid://a', now(), 'left alone', 'it is history')"
        )
    return {state: ledger.runs.get(run.pipeline_run_id) for state, run in made.items()}


def _on_its_way(ledger: Ledger, run: PipelineRun, state: RunState) -> PipelineRun:
    run_id = run.pipeline_run_id
    for step in _ROADS[state]:
        if step is RunState.PROCESSING:
            files = [
                FetchedFile(path="ASDM.xml", size_bytes=7, crc32=4_294_967_295, ngas_file_id="uid____a", ngas_version=1)
            ]
            ledger.fetched_files.record(run_id, files)
            ledger.submitted_files.record(
                run_id, SubmittedFile(name="PPR.xml", content=b"<a>\xc3\xa9</a>", source="a recipe")
            )
            ledger.runs.record_engine(run_id, "local")
            ledger.casa.record_asked(run_id, {"name": f"{run_id}.casa1", "command": ["casa", "-c", "\u00e4"]})
            ledger.casa.record(run_id, 1, job_name=f"{run_id}.casa1", host="h", ppr_sha256_before="a")
        if step is RunState.AWAITING_QA:
            now = ledger.now()
            ledger.casa.record(run_id, 1, started_at=now, ended_at=now, exit_code=0, peak_memory_bytes=1 << 35)
            ledger.runs.record_scores(run_id, 0.85, {"1": 0.85})
            ledger.runs.record_judged(run_id, is_proved=True)
        _step(ledger, run, step)
    return run


def _step(ledger: Ledger, run: PipelineRun, state: RunState) -> None:
    mail = Mail(str(state), ("one@example.org",), f"It is {state}", "Ein 'Satz'\nund \\ noch einer", "<p>&auml;</p>")
    failure = "no 'flux' in\nit" if state in (RunState.FAILED, RunState.INGEST_FAILED) else None
    ledger.runs.transition(
        run.pipeline_run_id, state, event=str(state), details={"said": "\u00e4\t\\"}, mails=[mail], failure=failure
    )


def _pack(ledger: Ledger, run: PipelineRun, verdict: QaVerdict) -> Ingest:
    ingest = claim(ledger, run, verdict, dag_run_id=f"manual__{run.pipeline_run_id}")
    files = [replace(file, ngas_file_id=f"{run.pipeline_run_id}.{file.kind}") for file in (TAR, WEBLOG)]
    ledger.archived_files.record(ingest, files, [ProductFile(path="a.fits", size_bytes=2880, crc32=5)])
    return ingest


def _assign(ledger: Ledger, run: PipelineRun) -> None:
    of_dag_run = {"dag_id": "alma_assign_qa", "dag_run_id": run.pipeline_run_id}
    ledger.assignments.ask(run.pipeline_run_id, **of_dag_run)
    for answer in ("the first", "the same again"):
        ledger.assignments.assign(
            run.pipeline_run_id, "one@example.org", assigned_by="the manager", answer=answer, **of_dag_run
        )


def _expired(ledger: Ledger, run: PipelineRun) -> Expiring:
    return Expiring(
        kind="failed", pipeline_run_id=run.pipeline_run_id, subject=run.subject, since=ledger.now(),
        expires_at=ledger.now(), size_bytes=1 << 40,
    )  # fmt: skip
