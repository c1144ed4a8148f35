"""Any sequence of what people, DAGs and failing servers do with the runs of two execution blocks.

Hypothesis draws the calls and their arguments, wrong states included, and makes them on a real ledger, archive, NGAS
and file system. After each one everything is looked at from outside: no run got into its state by a way that is not on
the table, nothing was refused and changed all the same, and no product went that nobody had discarded and the archive
did not have at that moment.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import tarfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowException
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from psycopg import sql
from psycopg.rows import dict_row
from tests import observing
from tests.areas import prepare
from tests.ingesting import FITS, STEPS, Observatory, fill_run_directory

from sandbox.postgres import PostgresServer
from srdp.domain.archiving import upload as archive_upload
from srdp.domain.common.errors import InvalidInput, Refused, SrdpError
from srdp.domain.disk.delivery import move_run_directory
from srdp.domain.runs.pipeline_run import processing_directory, qa_directory
from srdp.domain.runs.retry import RequestRetryPolicy
from srdp.domain.runs.run_marker import make_marked
from srdp.domain.runs.states import ACTIVE, BEFORE_DELIVERY, TRANSITIONS, RunState
from srdp.domain.runs.steps import StepFailure
from srdp.families import result_locator
from srdp.hooks.ledger import Ledger
from srdp.operators.archive_products import ArchiveProductsOperator
from srdp.operators.base import SrdpOperator
from srdp.operators.cleanup import CleanUpRunOperator
from srdp.operators.expire import ExpireOperator
from srdp.operators.fail_qa import FailQaOperator, MarkDoNotCalibrateOperator, RemoveRejectedRunsOperator
from srdp.operators.open_rerun import OpenRerunOperator
from srdp.operators.open_run import OpenExecutionBlockRunOperator
from srdp.operators.processing_request import WriteProcessingRequestOperator
from srdp.operators.withdraw_verdict import WithdrawVerdictOperator
from srdp.services.context import RunContext
from srdp.services.processing.failure import report_failure
from srdp.services.removal.archive_proof import NotInArchive
from srdp.services.removal.remove_run import remove_run

pytestmark = pytest.mark.servers

DAYS = {"archived": 10, "failed": 20, "cancelled": 20, "superseded": 10, "rejected": 1}
#: Runs in these states were given up by somebody's decision, which is in the ledger.
THROWN_AWAY = frozenset({RunState.REJECTED, RunState.SUPERSEDED, RunState.FAILED, RunState.CANCELLED})
#: What says no, and must then have changed nothing.
NO = (Refused, InvalidInput, NotInArchive)
ROWS_THAT_STAY = {"schema_version", "project", "ngas_server"}


def _tells_of_damage(before: Any, after: Any) -> bool:
    """Whether rows were added to a table, each of which reports a damaged copy."""
    if not isinstance(before, list) or not isinstance(after, list) or not set(before) < set(after):
        return False
    return all("copy_damaged" in row for row in set(after) - set(before))


class Killed(BaseException):
    """As if the process were killed there."""


@dataclass(frozen=True)
class Seen:
    """What is to be seen from outside at one moment.

    Attributes:
        runs: rows of the ledger by run: state, execution block, the run before it, since when; and its request's seal.
        events: by run, in order.
        ingests: rows of the ledger.
        calibrations: rows of the archive by locator, each with its files.
        statuses: of the execution blocks in the archive.
        products: by run, what is in ``products/`` below a name that people see, by path.
        places: by run, the areas in which it has a directory.
        now: the ledger's clock.
    """

    runs: dict[str, dict[str, Any]]
    events: dict[str, list[dict[str, Any]]]
    ingests: list[dict[str, Any]]
    calibrations: dict[str, dict[str, Any]]
    statuses: dict[str, str]
    products: dict[str, dict[str, bytes]]
    places: dict[str, list[str]]
    now: datetime

    def state(self, run: str) -> RunState:
        return RunState(self.runs[run]["state"])

    def changes(self, run: str) -> list[tuple[str | None, str]]:
        """The changes of a run's state, in order."""
        return [
            (event["state_before"], event["state_after"])
            for event in self.events.get(run, [])
            if event["state_after"] is not None
        ]

    def flag(self, run: str) -> str | None:
        """The QA flag in force."""
        return next((row["qa_flag"] for row in _of(self.ingests, run) if row["withdrawn_at"] is None), None)

    def has_passed(self, run: str) -> bool:
        """Whether a run was in the archive with a pass, at any time."""
        events = self.events[run]
        return any(event["event"] == "archived" for event in events) and "Pass" in {
            event["details"].get("to", event["details"].get("qa_flag")) for event in events
        }


@dataclass
class World:
    """The servers and areas of all examples, of which each begins with nothing in them.

    Attributes:
        observatory: the servers and areas.
        postgres: whose superuser empties their databases.
    """

    observatory: Observatory
    postgres: PostgresServer
    _open: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        self.ledger = self._connect(json.loads(os.environ["AIRFLOW_CONN_SRDP_LEDGER"])["schema"])
        self.archive = self._connect(urlsplit(self.observatory.archive_url).path.strip("/"))
        self._tables = {database: list(self._tables_of(database)) for database in (self.ledger, self.archive)}

    def _connect(self, database: str) -> psycopg.Connection[dict[str, Any]]:
        url = self.postgres.superuser_url(database)
        return self._open.enter_context(psycopg.connect(url, autocommit=True, row_factory=dict_row))

    @staticmethod
    def _tables_of(database: psycopg.Connection[dict[str, Any]]) -> Iterator[sql.Identifier]:
        found = database.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1").fetchall()
        yield from (sql.Identifier(row["tablename"]) for row in found if row["tablename"] not in ROWS_THAT_STAY)

    @property
    def roots(self) -> dict[str, Path]:
        settings = self.observatory.settings
        return {
            "processing": settings.processing_area,
            "qa": settings.qa_area,
            "spool": settings.spool_area,
            "cache": settings.measurement_set_cache,
        }

    def close(self) -> None:
        self._open.close()

    def begin(self) -> None:
        """Empty everything."""
        for database, tables in self._tables.items():
            with database.transaction():
                # Events cannot be deleted, and tables refer to each other.
                database.execute("SET LOCAL session_replication_role = replica")
                for table in tables:
                    database.execute(sql.SQL("DELETE FROM {}").format(table))
        for root in self.roots.values():
            shutil.rmtree(root, ignore_errors=True)
            root.mkdir()
        prepare(self.observatory.settings)
        self.observatory.ngas.faults.clear()
        with self.observatory.ngas.store._transaction() as index:
            index.execute("DELETE FROM ngas_files")
        self.observatory.change(ngas_ingest=True)

    def everything(self) -> dict[str, Any]:
        """All there is, to be compared: rows, files, and what NGAS has."""
        found: dict[str, Any] = {
            f"{database.info.dbname}.{table.as_string()}": sorted(
                str(row) for row in database.execute(sql.SQL("SELECT * FROM {}").format(table)).fetchall()
            )
            for database, tables in self._tables.items()
            for table in tables
        }
        for root in self.roots.values():
            for path in root.rglob("*"):
                found[str(path)] = path.lstat().st_size if path.is_file() else "not a file"
        for stored in self.observatory.ngas.store.like("%"):
            found[f"{stored.file_id} {stored.file_version}"] = self.content(stored)
        return found

    def content(self, stored: Any) -> bytes | None:
        path = self.observatory.ngas.store.path(stored)
        return path.read_bytes() if path.exists() else None

    def status(self) -> Seen:
        """Look."""
        runs = self.ledger.execute("SELECT * FROM pipeline_run JOIN request USING (request_id) ORDER BY version")
        events = self.ledger.execute("SELECT * FROM event ORDER BY sequence")
        ingests = self.ledger.execute("SELECT * FROM ingest ORDER BY pipeline_run_id, number").fetchall()
        calibrations = self.archive.execute("SELECT * FROM calibration").fetchall()
        files = self.archive.execute("SELECT * FROM file").fetchall()
        blocks = self.archive.execute("SELECT name, calibration_status FROM execution_block").fetchall()
        clock = self.ledger.execute("SELECT clock_timestamp() AS now").fetchone()
        assert clock is not None
        by_run = {row["pipeline_run_id"]: row for row in runs.fetchall()}
        seen_events: dict[str, list[dict[str, Any]]] = {run: [] for run in by_run}
        for event in events.fetchall():
            seen_events[event["pipeline_run_id"]].append(event)
        places = {run: [name for name in ("processing", "qa") if (self.roots[name] / run).exists()] for run in by_run}
        return Seen(
            by_run,
            seen_events,
            ingests,
            {
                row["locator"]: row
                | {"files": [file for file in files if file["file_group_id"] == row["file_group_id"]]}
                for row in calibrations
            },
            {row["name"]: row["calibration_status"] for row in blocks},
            {run: _files(self.roots[areas[0]] / run / "products") for run, areas in places.items() if areas},
            places,
            clock["now"],
        )

    def why_unproved(self, seen: Seen, run: str) -> str | None:
        """Why the archive, as it is now, does not have the products that were seen of a run; None if it has them."""
        ingest = next((row for row in _of(seen.ingests, run) if row["withdrawn_at"] is None), None)
        if ingest is None:
            return "it has no ingest"
        calibration = seen.calibrations.get(result_locator(run, ingest["number"]))
        if calibration is None:
            return "the archive has no calibration of it"
        problem = self.why_not_in_ngas(calibration)
        if problem:
            return problem
        (tar,) = [file for file in calibration["files"] if file["kind"] == "calibration"]
        archived = _tar_members(self.observatory.ngas.store.path(self._stored(tar)))
        lost = [
            path
            for path, content in seen.products[run].items()
            if not path.endswith(FITS[-5:]) and archived.get(path) != content
        ]
        return f"its tar in NGAS does not hold {', '.join(lost)}" if lost else None

    def why_not_in_ngas(self, calibration: dict[str, Any]) -> str | None:
        """Why NGAS does not have the files of a calibration; None if it has both."""
        if len(calibration["files"]) != 2:
            return f"the archive has {len(calibration['files'])} files of it"
        for file in calibration["files"]:
            stored = self._stored(file)
            content = self.content(stored) if stored else None
            if content is None or (len(content), str(zlib.crc32(content))) != (file["size"], file["checksum"]):
                return f"NGAS does not have {file['ngas_file_id']} as it was archived"
        return None

    def _stored(self, file: dict[str, Any]) -> Any:
        return self.observatory.ngas.store.find(file["ngas_file_id"], file["version"])


def _files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def _tar_members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as tar:
        return {member.name: stream.read() for member in tar.getmembers() if (stream := tar.extractfile(member))}


def _of(rows: list[dict[str, Any]], run: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["pipeline_run_id"] == run]


class PatientObservatory(Observatory):
    """One in which nothing is waited for that will not come."""

    def operator(self, name: str, run: Any, **form: Any) -> SrdpOperator:
        made = super().operator(name, run, **form)
        if isinstance(made, ArchiveProductsOperator):
            made.settle_seconds = 0.0
        return made


flags = st.sampled_from(["Pass", "Pass", "Fail", "Null"])
dag_runs = st.sampled_from(["manual__one", "manual__two"])
steps = st.sampled_from(list(STEPS))
rarely = st.sampled_from([False, False, False, False, True])
kills = st.sampled_from([None, "before", "within"])


class AnySequence(RuleBasedStateMachine):
    """What people, DAGs and failing servers do, and what must hold after each of their actions.

    Args:
        world: where they do it.
    """

    runs: Bundle[str] = Bundle("runs")

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        world.begin()
        self.observatory = world.observatory
        self.blocks = [observing.ingest(world.observatory.archive_url) for _ in range(2)]
        self.last_opened = {"vla_calibration": 0, "vla_rerun": 0}
        self.reopens = False
        self.expires = False
        self.edited: set[str] = set()
        self.before = world.status()

    @property
    def ledger(self) -> Ledger:
        return self.observatory.ledger

    # How something is done

    def do(self, action: Callable[[], object]) -> object:
        """Do something; what says no must have changed nothing. Returns what it returned, None if it failed.

        It may have found a damaged copy in NGAS, of which it tells all the same.
        """
        before = self.world.everything()
        try:
            return action()
        except NO as no:
            after = self.world.everything()
            changed = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
            changed = [key for key in changed if not _tells_of_damage(before.get(key), after.get(key))]
            if changed:
                raise AssertionError(f"it said no ({no}) and changed {', '.join(changed)}") from no
        except (SrdpError, AirflowException, Killed):
            pass
        return None

    def step(self, operator: SrdpOperator, dag_id: str, dag_run_id: str) -> object:
        dag_run = SimpleNamespace(dag_id=dag_id, run_id=dag_run_id, run_type="manual", triggering_user_name="analyst")
        ti = SimpleNamespace(
            task_id=operator.task_id, dag_id=dag_id, run_id=dag_run_id, try_number=1, xcom_push=lambda **_: None
        )
        return self.do(lambda: operator.run_step({"dag_run": dag_run, "ti": ti, "params": {}}))

    def opened(self, operator: SrdpOperator, dag_id: str, *, again: bool) -> Any:
        if not again or not self.last_opened[dag_id]:
            self.last_opened[dag_id] += 1
        run = self.step(operator, dag_id, f"manual__{self.last_opened[dag_id]}")
        return multiple() if run is None else str(run)

    def run(self, run: str) -> Any:
        return self.ledger.runs.get(run)

    # Making runs

    @initialize(
        target=runs,
        until=st.sampled_from([*["keep_products"] * 8, *STEPS, "awaiting_qa", "awaiting_qa"]),
        flag=flags,
        rerun_until=st.sampled_from([None, None, None, "awaiting_qa", "keep_products"]),
    )
    def begin(self, until: str, flag: str, rerun_until: str | None) -> Any:
        """So that there is something to do something with."""
        first = self.open_first(block=0, again=False)
        self.bring(run=first, to="awaiting_qa")
        if until in STEPS:
            self.ingest(run=first, flag=flag, dag_run_id="manual__one", until=until)
        self.check()
        if not rerun_until:
            return first
        second = self.rerun(run=first, newest_of_block=False, reopen=True, again=False, to="awaiting_qa")
        if not isinstance(second, str):
            return first
        if rerun_until in STEPS:
            self.ingest(run=second, flag="Pass", dag_run_id="manual__two", until=rerun_until)
        self.check()
        return multiple(first, second)

    @rule(target=runs, block=st.integers(0, 1), again=rarely)
    def open_first(self, block: int, again: bool) -> Any:
        operator = OpenExecutionBlockRunOperator(
            task_id="open_run", execution_block=self.blocks[block], recipe="vla_calibration"
        )
        return self.opened(operator, "vla_calibration", again=again)

    @rule(
        target=runs, run=runs, newest_of_block=st.booleans(), reopen=st.booleans(), again=rarely,
        to=st.sampled_from(["awaiting_qa", "created", "fetching", "failed", "cancelled"]),
    )  # fmt: skip
    def rerun(self, run: str, newest_of_block: bool, reopen: bool, again: bool, to: str) -> Any:
        """A rerun is opened, and continues."""
        self.reopens = reopen
        wanted = self.run(run).subject if newest_of_block else run
        operator = OpenRerunOperator(
            task_id="open_run", kind="vla_calibration", run_or_subject=wanted, reopen=str(reopen)
        )
        opened = self.opened(operator, "vla_rerun", again=again)
        self.check()
        if isinstance(opened, str) and to != "created":
            self.bring(run=opened, to=to)
        return opened

    @rule(
        run=runs, to=st.sampled_from(["awaiting_qa", "awaiting_qa", "awaiting_qa", "fetching", "failed", "cancelled"])
    )
    def bring(self, run: str, to: str) -> None:
        """Its DAG run continues, or ends."""
        now = self.run(run)
        if now.state not in BEFORE_DELIVERY:
            if RunState(to) not in {now.state, *TRANSITIONS[now.state]}:
                self.do(lambda: self.ledger.runs.transition(now.pipeline_run_id, RunState(to), event=to))
        elif to == "failed":
            report_failure(RunContext(self.observatory.settings, self.ledger, now), StepFailure("A step", "It failed."))
        elif to == "cancelled":
            self.ledger.runs.transition(now.pipeline_run_id, RunState.CANCELLED, event="cancelled")
        else:
            self.process(now, deliver=to == "awaiting_qa")

    def process(self, run: Any, *, deliver: bool) -> None:
        run_id, areas = run.pipeline_run_id, self.observatory.settings.areas
        if run.state is RunState.CREATED:
            self.ledger.runs.transition(run_id, RunState.FETCHING, event="begun")
        if not deliver:
            return
        self.ledger.runs.transition(run_id, RunState.PROCESSING, event="fetched")
        directory = processing_directory(areas, run_id)
        shutil.rmtree(directory.root)
        make_marked(directory.root, run.marker)
        fill_run_directory(directory, run.subject)
        (directory.products / "made_by_this_run.txt").write_text(run_id)
        operator = WriteProcessingRequestOperator(task_id="write_processing_request", pipeline_run_id=run_id)
        self.step(operator, "vla_calibration", "manual__it")
        self.ledger.casa.record(run_id, 1, started_at=self.ledger.now(), ended_at=self.ledger.now())
        move_run_directory(directory, qa_directory(areas, run_id), run.marker)
        self.ledger.runs.transition(run_id, RunState.AWAITING_QA, event="delivered")

    # The verdict

    @rule(run=runs, flag=flags, dag_run_id=dag_runs, until=st.just("keep_products") | steps)
    def ingest(self, run: str, flag: str, dag_run_id: str, until: str) -> None:
        """Give a verdict, and its DAG run gets as far as a step; or changes a verdict."""
        names = list(STEPS)
        for name in names[: names.index(until) + 1]:
            if not self.succeeds(name, run, dag_run_id, flag):
                return

    def succeeds(self, name: str, run: str, dag_run_id: str, flag: str) -> bool:
        done: list[bool] = []
        form = {"qa_flag": flag} if name == "claim_ingest" else {}

        def action() -> None:
            self.observatory.step(name, self.run(run), dag_run_id=dag_run_id, **form)
            done.append(True)

        self.do(action)
        self.check()
        return bool(done)

    @rule(run=runs, step=steps, dag_run_id=dag_runs, flag=flags)
    def ingest_step(self, run: str, step: str, dag_run_id: str, flag: str) -> None:
        """A single task is cleared."""
        self.succeeds(step, run, dag_run_id, flag)

    @rule(run=runs, step=steps, dag_run_id=dag_runs)
    def report_ingest_failure(self, run: str, step: str, dag_run_id: str) -> None:
        self.observatory.report_failure(self.run(run), step, "It failed.", dag_run_id=dag_run_id)

    @rule(run=runs, step=steps, dag_run_id=dag_runs, flag=flags, withdraw=st.booleans())
    def fail_an_ingest(self, run: str, step: str, dag_run_id: str, flag: str, withdraw: bool) -> None:
        """An ingest gets as far as a step, then fails."""
        self.ingest(run, flag, dag_run_id, step)
        self.report_ingest_failure(run, step, dag_run_id)
        self.check()
        if withdraw:
            self.withdraw(run)

    @rule(run=runs)
    def withdraw(self, run: str) -> None:
        operator = WithdrawVerdictOperator(task_id="withdraw", pipeline_run_id=run, reason="A mistake.")
        self.step(operator, "vla_withdraw_verdict", "manual__withdraw")

    @rule(run=runs, whole_block=st.booleans(), dag_run_id=dag_runs, then=st.booleans(), killed=kills)
    def fail_qa(self, run: str, whole_block: bool, dag_run_id: str, then: bool, killed: str | None) -> None:
        which = {"subject": self.run(run).subject} if whole_block else {"pipeline_run_id": run}
        operator = FailQaOperator(task_id="fail_qa", kind="vla_calibration", **which, reason="Bad.")
        self.step(operator, "vla_qa_fail", dag_run_id)
        self.check()
        if then:
            self.remove_rejected(run, killed)

    @rule(run=runs, killed=kills)
    def remove_rejected(self, run: str, killed: str | None) -> None:
        self.step(MarkDoNotCalibrateOperator(task_id="mark", pipeline_run_ids=run), "vla_qa_fail", "manual__one")
        self.check()
        with _killed(killed):
            self.step(RemoveRejectedRunsOperator(task_id="rm", pipeline_run_ids=run), "vla_qa_fail", "manual__one")

    # Removing

    @rule(run=runs, killed=kills)
    def clean_up(self, run: str, killed: str | None) -> None:
        with _killed(killed):
            self.step(CleanUpRunOperator(task_id="clean_up", pipeline_run_id=run), "vla_cleanup", "manual__one")

    @rule(run=runs, killed=kills)
    def remove(self, run: str, killed: str | None) -> None:
        with _killed(killed):
            self.do(lambda: remove_run(RunContext(self.observatory.settings, self.ledger, self.run(run))))

    @rule(days=st.sampled_from([12, 2, 30]), killed=kills)
    def expire(self, days: int, killed: str | None) -> None:
        """Some days pass, and then what has expired is removed."""
        days_ago = timedelta(days=days)
        self.world.ledger.execute("UPDATE pipeline_run SET state_since = state_since - %s", [days_ago])
        self.world.ledger.execute(
            "UPDATE cached_measurement_set SET cached_at = cached_at - %(ago)s, expires_at = expires_at - %(ago)s",
            {"ago": days_ago},
        )
        self.before = self.world.status()
        self.expires = True
        with _killed(killed):
            self.step(ExpireOperator(task_id="expire"), "expire_processing_area", "manual__one")

    # What goes wrong elsewhere

    @rule(run=runs, harm=st.sampled_from(["deleted", "corrupted"]), kind=st.sampled_from([".tar", ".tgz"]))
    def ngas_loses(self, run: str, harm: str, kind: str) -> None:
        for stored in self.observatory.ngas.store.like(f"{run}%{kind}"):
            path = self.observatory.ngas.store.path(stored)
            content = self.world.content(stored)
            if harm == "deleted":
                path.unlink(missing_ok=True)
            elif content:
                path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))

    @rule(how=st.sampled_from(["offline", "refuse", "reply_lost", None, None]), times=st.sampled_from([1, 2, None]))
    def ngas_fails(self, how: str | None, times: int | None) -> None:
        """NGAS does something wrong as often as it is said, or never from now on."""
        self.observatory.ngas.faults.clear()
        if how:
            self.observatory.ngas.faults.add(how, times=times)

    @rule(run=runs)
    def archive_loses(self, run: str) -> None:
        for row in _of(self.before.ingests, run):
            group = self.before.calibrations.get(result_locator(run, row["number"]), {}).get("file_group_id")
            for table in ("file", "calibration"):
                self.world.archive.execute(f"DELETE FROM {table} WHERE file_group_id = %s", [group])  # noqa: S608

    @rule(run=runs)
    def analyst_edits_a_product(self, run: str) -> None:
        for area in self.before.places.get(run, []):
            path = self.world.roots[area] / run / "products" / "made_by_this_run.txt"
            if path.exists():
                # The second time, back to what it was.
                path.write_text(run if path.read_text() != run else f"{run}, edited")
                self.edited.add(run)

    @rule(on=st.booleans())
    def set_ngas_ingest(self, on: bool) -> None:
        self.observatory.change(ngas_ingest=on)

    # What must hold

    @invariant()
    def check(self) -> None:
        before, now = self.before, self.world.status()
        for run in now.runs:
            self.check_states(before, now, run)
            self.check_opening(before, now, run)
            self.check_products(before, now, run)
            assert len(now.places[run]) <= 1, f"{run} is in two areas"
        self.check_requests(now)
        self.check_archive(before, now)
        self.check_mails()
        self.before, self.reopens, self.expires = now, False, False
        self.edited.clear()

    def check_states(self, before: Seen, now: Seen, run: str) -> None:
        changes = now.changes(run)
        assert changes[0] == (None, "created")
        for (_, was), (said, becomes) in itertools.pairwise(changes):
            assert said == was, f"{run} was {was}, and its event says {said}"
            assert RunState(becomes) in TRANSITIONS[RunState(was)], f"{run} went from {was} to {becomes}"
        assert changes[-1][1] == now.state(run)
        known = before.changes(run) if run in before.runs else []
        if before.runs.get(run, {}).get("sealed_at"):
            new = [after for _, after in changes[len(known) :]]
            assert "ingesting" not in new, f"{run} is ingested although its request is sealed"
            # A seal by this run itself, or by one whose flag was changed since, is no reason against it.
            others = [other for other in _of_block(before, now.runs[run]["subject"]) if other != run]
            passes = now.flag(run) == "Pass" != before.flag(run)
            assert not passes or "Pass" not in map(before.flag, others), f"{run} passes beside another that passed"

    def check_opening(self, before: Seen, now: Seen, run: str) -> None:
        if run in before.runs:
            return
        block = now.runs[run]["subject"]
        sealed = [row for row in before.runs.values() if row["subject"] == block and row["sealed_at"]]
        assert not sealed or self.reopens, f"{run} was opened although the request of {block} is sealed"

    def check_products(self, before: Seen, now: Seen, run: str) -> None:
        if run not in before.products:
            return
        if run in now.products:
            self.check_kept(before, now, run)
        else:
            self.check_removed(before, now, run)

    def check_kept(self, before: Seen, now: Seen, run: str) -> None:
        """A directory that people see is whole."""
        may_change = {"weblog.tgz"} | ({"made_by_this_run.txt"} if run in self.edited else set())
        lost = {
            path
            for path, content in before.products[run].items()
            if now.products[run].get(path) != content and path not in may_change
        }
        assert not lost, f"{run} is {now.state(run)} and lost {', '.join(sorted(lost))}"

    def check_removed(self, before: Seen, now: Seen, run: str) -> None:
        was = before.state(run)
        if was is RunState.CLEANING:
            was = RunState(next(earlier for earlier, after in before.changes(run) if after == "cleaning") or "")
        if was not in THROWN_AWAY:
            assert was is RunState.ARCHIVED, f"{run} was {was}, and its products are gone"
            seen = Seen(**vars(now) | {"products": before.products})
            why = self.world.why_unproved(seen, run)
            assert why is None, f"{run} was archived, its products are gone, and {why}"
        takers = [
            other
            for other, row in before.runs.items()
            if row["former_run"] == run and row["state"] in {"created", "fetching"}
        ]
        assert not takers, f"{run} was removed while {takers} took its raw data"
        if self.expires and before.state(run) is not RunState.CLEANING:
            age = now.now - before.runs[run]["state_since"]
            assert age >= timedelta(days=DAYS[was]), f"{run} expired after {age} of being {was}"

    def check_requests(self, now: Seen) -> None:
        active = Counter(row["subject"] for row in now.runs.values() if RunState(row["state"]) in ACTIVE)
        assert not active or max(active.values()) == 1, f"more than one active run: {active}"
        for row in now.runs.values():
            passed = [other for other in _of_block(now, row["subject"]) if now.has_passed(other)]
            assert passed or not row["sealed_at"], f"the request of {row['subject']} is sealed, and no run ever passed"
            assert passed or row["state"] != "superseded", f"{row['pipeline_run_id']} is superseded, and no run passed"

    def check_archive(self, before: Seen, now: Seen) -> None:
        numbers = {result_locator(row["pipeline_run_id"], row["number"]): row for row in now.ingests}
        assert now.calibrations.keys() <= numbers.keys()
        came = now.calibrations.keys() - before.calibrations.keys()
        for locator in came:
            problem = self.world.why_not_in_ngas(now.calibrations[locator])
            assert not now.calibrations[locator]["files"] or not problem, f"{locator} came, and {problem}"
        for block, status in now.statuses.items():
            if status == "Calibrated" and before.statuses[block] != status:
                self.check_calibrated(now, block)
        recorded = {row["ngas_file_id"] for row in self.world.ledger.execute("SELECT * FROM archived_file").fetchall()}
        for run in now.runs:
            stored = [(row.file_id, row.file_version) for row in self.observatory.ngas.store.like(f"{run}%")]
            assert {file_id for file_id, _ in stored} <= recorded, f"nobody recorded all of {stored}"
            assert {version for _, version in stored} <= {1}, f"NGAS was sent something twice: {stored}"

    def check_calibrated(self, now: Seen, block: str) -> None:
        """An execution block has become calibrated in this moment."""
        known = [
            result_locator(row["pipeline_run_id"], row["number"])
            for row in now.ingests
            if row["withdrawn_at"] is None and now.runs[row["pipeline_run_id"]]["subject"] == block
        ]
        files = [len(now.calibrations[locator]["files"]) for locator in known if locator in now.calibrations]
        assert 2 in files, f"{block} is Calibrated, and the archive has no calibration of it with its files"

    def check_mails(self) -> None:
        twice = self.world.ledger.execute(
            "SELECT pipeline_run_id, key FROM outbox GROUP BY pipeline_run_id, kind, key HAVING count(*) > 1"
        ).fetchall()
        assert not twice, f"queued twice: {twice}"


def _of_block(seen: Seen, block: str) -> list[str]:
    return [run for run, row in seen.runs.items() if row["subject"] == block]


@contextmanager
def _killed(moment: str | None) -> Iterator[None]:
    """Kills a removal when the ledger knows of it: before anything is touched, or at the second file."""
    from srdp.domain.disk import removal, tree_removal

    count = itertools.count(1)
    delete = tree_removal.TreeRemoval._file

    def die(*_: object) -> None:
        raise Killed

    def die_at_the_second(self: Any, directory: int, name: str, path: Path) -> None:
        if next(count) == 2:
            raise Killed
        delete(self, directory, name, path)

    with pytest.MonkeyPatch.context() as patch, suppress(Killed):
        if moment == "before":
            patch.setattr(removal, "remove_run_directories", die)
        elif moment == "within":
            patch.setattr(tree_removal.TreeRemoval, "_file", die_at_the_second)
        yield


def test_no_sequence_of_calls_breaks_the_rules(
    observatory: Observatory, postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heuristics = observatory.settings.scipipe_heuristics / "pipeline"
    heuristics.mkdir(parents=True)
    (heuristics / "runvlapipeline.py").touch()
    retention = tmp_path / "retention.txt"
    retention.write_text("".join(f"{kind} {days} days\n" for kind, days in DAYS.items()))
    observatory.change(retention_file=retention)
    monkeypatch.setattr(archive_upload, "RECEIVER", RequestRetryPolicy(attempts=2, first_wait_seconds=0.0))
    observatory.__class__ = PatientObservatory
    world = World(observatory, postgres)
    try:
        run_state_machine_as_test(
            lambda: AnySequence(world),
            settings=hypothesis_settings(
                # Before a release: some hundreds, as SRDP_TEST_SEQUENCES=300 says.
                max_examples=int(os.environ.get("SRDP_TEST_SEQUENCES", "12")),
                stateful_step_count=20,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
            ),
        )
    finally:
        world.close()
