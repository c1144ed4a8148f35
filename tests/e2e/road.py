"""What the whole-DAG tests share: runs of `vla_calibration` started over REST, observed from outside, and disturbed.

Nothing here waits for a time in the hope that something has happened meanwhile: :func:`until` waits for what is seen in
the ledger, in Airflow's API, in files, in the process list, at NGAS, at the mail server or at CASA.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psutil
import psycopg
import requests
from psycopg.rows import dict_row
from tests.programs.casa_contract import ContractCasa

from sandbox.observe import ObservedBlock, observe
from sandbox.stack import Instance
from sandbox.stack.airflow_api import AirflowApi
from sandbox.stack.environment import ARCHIVE, LEDGER

DAG = "vla_calibration"
#: The stage in which the contract CASA waits until its run is released.
HELD_STAGE = "hifv_importdata"
#: How long, in seconds, anything at all may take. It is long for a busy machine; what is quick is measured by its test.
PATIENCE = 180.0
_POLL_SECONDS = 0.2

Seen = TypeVar("Seen")


def until(
    what: str,
    condition: Callable[[], Seen],
    *,
    seconds: float = PATIENCE,
    poll_seconds: float = _POLL_SECONDS,
    story: Callable[[], str] = str,
) -> Seen:
    """Returns what the condition returns as soon as that is true; servers that do not answer meanwhile are no matter.

    Args:
        what: what is waited for, for the sentence when it does not come.
        condition: asked again and again.
        seconds: how long.
        poll_seconds: how often.
        story: tells what there is instead.
    """
    deadline = time.monotonic() + seconds
    problem = ""
    while True:
        try:
            if seen := condition():
                return seen
            problem = ""
        except (requests.RequestException, psycopg.OperationalError, psutil.Error, OSError) as error:
            problem = f" ({error!r})"
        if time.monotonic() > deadline:
            raise AssertionError(f"Not seen within {seconds:.0f} s: {what}{problem}.\n{story()}")
        time.sleep(poll_seconds)


def play_at_once(road: Road, scenarios: Sequence[Callable[[Road], None]]) -> dict[str, Future[None]]:
    """Plays scenarios that do not disturb each other beside each other; returns what came of each, by its name.

    Most of a run is waiting: side by side they take little longer than one of them.
    """
    with ThreadPoolExecutor(len(scenarios)) as pool:
        return {scenario.__name__: pool.submit(scenario, road) for scenario in scenarios}


def is_alive(pid: int) -> bool:
    """Whether a process lives; one that only waits to be buried does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class NgasFaults:
    """What the instance's NGAS server does wrong, for execution blocks of one's own.

    Args:
        path: the list of faults that the server reads.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: list[dict[str, Any]] = []
        self._lock = threading.Lock()

    def add(self, block: ObservedBlock, kind: str, *, number: int | None = None, **options: Any) -> dict[str, Any]:
        """Adds a fault for an EB's files, or the one with a number, and returns it."""
        key = block.locator.rpartition("/")[2]
        entry = {"kind": kind, "file_id": f"uid___evla_execblock_{key}.{number or '*'}", **options}
        with self._lock:
            self._entries.append(entry)
            self._write()
        return entry

    def clear(self, block: ObservedBlock) -> None:
        """Takes away all faults of an EB."""
        key = block.locator.rpartition("/")[2]
        with self._lock:
            self._entries = [entry for entry in self._entries if key not in entry["file_id"]]
            self._write()

    def _write(self) -> None:
        temporary = self._path.with_suffix(".new")
        temporary.write_text(json.dumps({"faults": self._entries}, indent=1))
        temporary.replace(self._path)


class Ledger:
    """The ledger, read by a test's own statements.

    Args:
        url: its database.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def rows(self, statement: str, **parameters: object) -> list[dict[str, Any]]:
        with psycopg.connect(self.url, connect_timeout=5, row_factory=dict_row, autocommit=True) as connection:
            return connection.execute(statement, parameters).fetchall()

    def waits(self, pid: int) -> bool:
        """Whether a process waits for a lock in this database."""
        ports = [connection.laddr.port for connection in psutil.Process(pid).net_connections("tcp")]
        return bool(
            self.rows(
                "SELECT 1 FROM pg_stat_activity WHERE client_port = ANY(%(ports)s) AND wait_event_type = 'Lock'",
                ports=ports,
            )
        )


@dataclass
class Road:
    """The road of a calibration on one instance, and everything that was sent along it."""

    instance: Instance
    casa: ContractCasa
    sdm: Path
    runs: list[Run] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.airflow: AirflowApi = self.instance.airflow_api()
        self.ledger = Ledger(self.instance.postgres.url(LEDGER))
        self.faults = NgasFaults(self.instance.places.ngas_faults)
        self._numbers = itertools.count(1)

    def observe(self, *, status: str = "Ready") -> ObservedBlock:
        """Ingests one more EB and returns it."""
        ngas = f"http://127.0.0.1:{self.instance.ports.ngas}"
        archive = self.instance.postgres.url(ARCHIVE)
        (block,) = observe(archive=archive, ngas=ngas, sdm=self.sdm, calibration_status=status)
        return block

    def start(self, title: str, block: ObservedBlock | None = None, **conf: object) -> Run:
        """Starts a calibration of an EB, or of a new one, over REST."""
        block = block or self.observe()
        dag_run_id = f"{title.replace(' ', '_')}-{uuid.uuid4().hex[:8]}"
        run = Run(self, block, self.airflow.trigger(DAG, {"execution_block": block.name, **conf}, dag_run_id))
        self.runs.append(run)
        return run

    def set_casa_slots(self, slots: int) -> None:
        """Says how many CASA jobs may run at once."""
        # Whether deferred tasks count is not the test's to say.
        pool = self.airflow.get("pools/casa")
        kept = {name: pool[name] for name in ("name", "description", "include_deferred")}
        self.airflow.patch("pools/casa", {**kept, "slots": slots})

    def subjects(self) -> list[str]:
        """Returns the subjects of all mails that the mail server has received."""
        answer = requests.get(f"{self.instance.mail_url}/messages/", timeout=10)
        answer.raise_for_status()
        return [message["subject"] for message in answer.json()["messages"]]

    def retrievals(self, block: ObservedBlock) -> list[dict[str, Any]]:
        """Returns what NGAS was asked of an EB's files, by its access log, in the order of the requests."""
        key = block.locator.rpartition("/")[2]
        lines = (self.instance.places.ngas / "access.jsonl").read_text().splitlines()
        found = [json.loads(line) for line in lines if key in line]
        # The log has a request when it has ended.
        retrievals = (request for request in found if request["command"] == "RETRIEVE")
        return sorted(retrievals, key=lambda request: float(request["time"]))

    def kill(self, component: str) -> None:
        """Kills a component's process with SIGKILL and returns when the supervisor has started another."""
        before = self.instance.process(component)
        os.kill(before, signal.SIGKILL)
        until(f"another {component}", lambda: self.instance.process(component) not in (0, before))


@dataclass
class Run:
    """One DAG run of `vla_calibration` and its pipeline run."""

    road: Road
    block: ObservedBlock
    dag_run_id: str

    # What is seen of it

    def row(self) -> dict[str, Any]:
        """Returns the pipeline run's row of the ledger; nothing if there is none yet."""
        statement = "SELECT * FROM pipeline_run WHERE dag_id = %(dag)s AND dag_run_id = %(dag_run_id)s"
        return next(iter(self.road.ledger.rows(statement, dag=DAG, dag_run_id=self.dag_run_id)), {})

    @property
    def id(self) -> str:
        """The pipeline run ID; waits for it."""
        if "_id" not in self.__dict__:
            self._id: str = self.until("the run is opened", lambda: self.row().get("pipeline_run_id"))
        return self._id

    @property
    def state(self) -> str:
        return str(self.row()["state"])

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        statement = "SELECT * FROM event WHERE pipeline_run_id = %(id)s ORDER BY sequence"
        found = self.road.ledger.rows(statement, id=self.id)
        return [event for event in found if name in (None, event["event"])]

    def attempts(self) -> list[dict[str, Any]]:
        """Returns the ledger's rows about its starts of CASA."""
        return self.road.ledger.rows("SELECT * FROM casa_attempt WHERE pipeline_run_id = %(id)s", id=self.id)

    def directory(self, area: str) -> Path:
        return self.road.instance.places.areas[area] / self.id

    @property
    def job(self) -> Path:
        """The folder of its CASA job's records."""
        return self.directory("spool") / f"{self.id}.casa1"

    def starts(self) -> list[dict[str, Any]]:
        """Returns what each start of CASA in this run's directory left, at CASA."""
        working = str(self.directory("processing") / "working")
        return [start for start in self.road.casa.starts() if start["working_directory"] == working]

    def task(self, task_id: str) -> dict[str, Any]:
        """Returns what Airflow's API says about one of its tasks."""
        return self.road.airflow.get(f"dags/{DAG}/dagRuns/{self.dag_run_id}/taskInstances/{task_id}")

    def mails(self) -> Counter[str]:
        """Returns the subjects of the mails about it that the mail server has received, each with its number."""
        return Counter(subject for subject in self.road.subjects() if self.id in subject)

    # Waiting

    def until(self, what: str, condition: Callable[[], Seen], *, seconds: float = PATIENCE, poll: float = 0.2) -> Seen:
        return until(f"{self.dag_run_id}: {what}", condition, seconds=seconds, poll_seconds=poll, story=self.story)

    def until_event(self, name: str) -> None:
        self.until(f"the event {name}", lambda: self.events(name), poll=0.05)

    def until_state(self, *states: str, seconds: float = PATIENCE) -> None:
        self.until(f"state {' or '.join(states)}", lambda: self.row().get("state") in states, seconds=seconds)

    def until_task(self, task_id: str, *states: str, seconds: float = PATIENCE) -> None:
        self.until(f"{task_id} is {states}", lambda: self.task(task_id)["state"] in states, seconds=seconds)

    def until_bytes_flow(self) -> None:
        """Returns when some bytes of a file are here, and not all."""
        parts = self.directory("processing") / "rawdata"
        self.until("bytes flow", lambda: any(part.stat().st_size for part in parts.glob(".fetching/*.part")), poll=0.05)

    def until_casa_is_held(self) -> int:
        """Returns CASA's process id when CASA is in the stage in which it waits, and its task has been deferred."""
        log = self.directory("processing") / "working" / "casa.log"
        self.until("CASA has begun", lambda: log.exists() and HELD_STAGE in log.read_text())
        self.until_task("run_casa", "deferred")
        (start,) = self.starts()
        return int(start["pid"])

    def process(self, task_id: str, *, attempt: int = 1) -> int:
        """Returns the process id of a task's own process in one of its tries, as soon as it runs."""

        def running() -> int:
            task = self.task(task_id)
            is_this = task["state"] == "running" and task["try_number"] == attempt
            return int(task["pid"] or 0) if is_this else 0

        return self.until(f"try {attempt} of {task_id} runs", running, poll=0.05)

    # Disturbing it

    def kill_task(self, task_id: str, *, attempt: int = 1) -> None:
        """Kills a task's process, which runs."""
        os.kill(self.process(task_id, attempt=attempt), signal.SIGKILL)

    @contextmanager
    def locked(self) -> Iterator[psycopg.Connection]:
        """Holds the run's row of the ledger, so that whoever writes about the run waits."""
        with psycopg.connect(self.road.ledger.url) as connection:
            connection.execute("SELECT FROM pipeline_run WHERE pipeline_run_id = %s FOR UPDATE", (self.id,))
            yield connection
            # The server may have been killed meanwhile, and the lock with it.
            with suppress(psycopg.OperationalError):
                connection.rollback()

    def until_locked_out(self, task_id: str, *, attempt: int = 1) -> int:
        """Returns a task's process id when it waits for the ledger's row that the test holds."""
        pid = self.process(task_id, attempt=attempt)
        self.until(f"{task_id} waits for the ledger", lambda: self.road.ledger.waits(pid), poll=0.05)
        return pid

    def release(self) -> None:
        """Lets CASA go on, now or when it comes to the stage in which it waits."""
        working = self.directory("processing") / "working"
        self.until("the run has its directory", working.is_dir)
        (working / "release").touch()

    def mark(self, state: str, task_id: str | None = None) -> None:
        """Marks a task of it, or the DAG run itself, as a person does in Airflow."""
        path = f"dags/{DAG}/dagRuns/{self.dag_run_id}"
        if task_id is None:
            self.road.airflow.patch(path, {"state": state})
        else:
            self.road.airflow.patch(f"{path}/taskInstances/{task_id}", {"new_state": state})

    def clear(self, task_id: str) -> None:
        """Clears a task of it, as a person does in Airflow."""
        body = {"dry_run": False, "dag_run_id": self.dag_run_id, "task_ids": [task_id], "only_failed": False}
        self.road.airflow.post(f"dags/{DAG}/clearTaskInstances", body)

    # What must hold in the end

    def check_delivered(self) -> None:
        """Waits for the end, which must be the QA area; everything there, everything once, everybody told."""
        self.until_state("awaiting_qa", "failed", "cancelled")
        self.until("the DAG run has ended", lambda: self._dag_run_state() in ("success", "failed"))
        assert (self.state, self._dag_run_state()) == ("awaiting_qa", "success"), self.story()
        self._check_chain("created", "fetching", "processing", "awaiting_qa")
        assert self._directories() == [self.directory("qa")]
        assert len(self.starts()) == 1
        self._check_raw_data()
        assert list(self.directory("qa").glob("products/*.pipeline_manifest.xml"))
        (attempt,) = self.attempts()
        assert (attempt["exit_code"], attempt["signal"]) == (0, None)
        assert attempt["ppr_sha256_before"] == attempt["ppr_sha256_after"] == self.row()["ppr_sha256"]
        assert len(self.events("casa_started")) == 1, self.story()
        self._check_mails("Begun", "Ready for review")

    def check_failed(self, *words: str, state: str = "failed") -> str:
        """Waits for a failure, which must be told in one sentence with these words; returns the sentence."""
        self.until_state("awaiting_qa", "failed", "cancelled")
        self.until("the DAG run has ended", lambda: self._dag_run_state() in ("success", "failed"))
        assert (self.state, self._dag_run_state()) == (state, "failed"), self.story()
        sentence = str(self.row()["failure"])
        assert all(word in sentence for word in words), sentence
        self._check_chain(*["created", "fetching", "processing"][: len(self._chain()) - 1], state)
        assert self._directories() == [self.directory("processing")]
        assert len(self.starts()) <= 1
        self._check_mails("Begun", "CANCELLED" if state == "cancelled" else "FAILED")
        return sentence

    def check_again(self) -> None:
        """Checks, long after its end, that nothing came twice and nothing came later."""
        ends = {"awaiting_qa": "Ready for review", "failed": "FAILED", "cancelled": "CANCELLED"}
        if self.row():
            self._check_mails("Begun", ends[self.state])
            assert len(self.starts()) <= 1
            assert len(self._directories()) == 1

    def _check_mails(self, *beginnings: str) -> None:
        self.until(f"the mails {beginnings}", lambda: sum(self.mails().values()) >= len(beginnings))
        mails = self.mails()
        assert sum(mails.values()) == len(beginnings), mails
        for beginning in beginnings:
            assert sum(subject.startswith(f"[SRDP] {beginning}") for subject in mails) == 1, mails

    def _check_chain(self, *states: str) -> None:
        assert self._chain() == [*itertools.pairwise([None, *states])], self.story()
        versions = self.road.ledger.rows(
            "SELECT pipeline_run_id FROM pipeline_run JOIN request USING (request_id) WHERE subject = %(eb)s",
            eb=self.block.name,
        )
        assert [row["pipeline_run_id"] for row in versions] == [self.id]

    def _chain(self) -> list[tuple[str | None, str]]:
        return [(event["state_before"], event["state_after"]) for event in self.events() if event["state_after"]]

    def _check_raw_data(self) -> None:
        raw = self.directory("qa") / "rawdata"
        expected = _contents(self.road.sdm)
        assert _contents(raw / self.block.name) == expected
        assert [path.name for path in raw.iterdir()] == [self.block.name]
        fetched = self.road.ledger.rows(
            "SELECT path, size_bytes FROM fetched_file WHERE pipeline_run_id = %(id)s", id=self.id
        )
        sizes = {str(Path(row["path"]).relative_to(self.block.name)): row["size_bytes"] for row in fetched}
        assert sizes == {name: len(content) for name, content in expected.items()}

    def _directories(self) -> list[Path]:
        areas = self.road.instance.places.areas
        return [path for area in ("processing", "qa") for path in areas[area].iterdir() if self.id in path.name]

    def _dag_run_state(self) -> str:
        return str(self.road.airflow.get(f"dags/{DAG}/dagRuns/{self.dag_run_id}")["state"])

    def story(self) -> str:
        """Tells what there is of it, for a test that failed."""
        told = [f"{self.dag_run_id} of {self.block.name}"]
        for part in (self._ledger_story, self._airflow_story, self._file_story):
            try:
                told += part()
            except Exception as error:  # noqa: BLE001  it must not hide what it explains
                told.append(f"({part.__name__}: {error!r})")
        return "\n  ".join(told)

    def _ledger_story(self) -> list[str]:
        row = self.row()
        if not row:
            return ["the ledger has no run"]
        told = [f"{row['pipeline_run_id']} is {row['state']}; {row['failure'] or 'no failure'}"]
        told += [
            f"{event['happened_at']:%H:%M:%S} {event['event']} -> {event['state_after'] or ''} {event['details']}"
            for event in self.events()
        ]
        return [line[:400] for line in told]

    def _airflow_story(self) -> list[str]:
        tasks = self.road.airflow.get(f"dags/{DAG}/dagRuns/{self.dag_run_id}/taskInstances")["task_instances"]
        told = [f"{task['task_id']}: {task['state']}, try {task['try_number']}, pid {task['pid']}" for task in tasks]
        # The task that is, or was, at work last is the one to read.
        last = max((task for task in tasks if task["start_date"]), key=lambda task: task["start_date"], default=None)
        if last and last["map_index"] < 0:
            text = self.road.airflow.task_log(DAG, self.dag_run_id, last["task_id"], last["try_number"])
            told += [f"  | {line[:300]}" for line in text.splitlines()[-25:]]
        return told

    def _file_story(self) -> list[str]:
        told = [f"{path}" for path in self._directories()]
        told += [f"spool: {path.name}" for path in sorted(self.job.glob("*"))]
        return [*told, f"starts of CASA: {len(self.starts())}", f"mails: {dict(self.mails())}"]


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.stat().st_size
    }
