"""What the whole-DAG tests share: DAG runs started over REST, observed from outside, and disturbed."""

from __future__ import annotations

import itertools
import json
import os
import signal
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import requests
from tests.e2e.site_tools import PATIENCE, Database, NgasFaults, Seen, until
from tests.programs.casa_contract import ContractCasa

from sandbox.observe import PROJECT, ObservedBlock, observe
from sandbox.stack import Instance
from sandbox.stack.airflow_api import AirflowApi
from sandbox.stack.environment import ARCHIVE, LEDGER
from srdp.domain.casa.log import find_casa_log, running_stage
from srdp.domain.runs.pipeline_run import RunDirectory
from srdp.families import Family, family_of_run

DAG = "vla_calibration"
#: The stage in which the contract CASA waits until its run is released.
HELD_STAGE = "hifv_importdata"


@dataclass
class Site:
    """The site of a calibration on one instance, and everything that was sent along it."""

    instance: Instance
    casa: ContractCasa
    sdm: Path
    runs: list[Run] = field(default_factory=list)
    #: What was made for scenarios that are yet to be played, by project.
    prepared: dict[str, list[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.airflow: AirflowApi = self.instance.airflow_api()
        self.ledger = Database(self.instance.postgres.url(LEDGER))
        self.archive = Database(self.instance.postgres.url(ARCHIVE))
        self.faults = NgasFaults(self.instance.places.ngas_faults)

    def observe(self, *, status: str = "Ready", project: str = PROJECT) -> ObservedBlock:
        """Ingests one more EB and returns it."""
        ngas = f"http://127.0.0.1:{self.instance.ports.ngas}"
        (block,) = observe(
            archive=self.archive.url, ngas=ngas, sdm=self.sdm, project=project, calibration_status=status
        )
        return block

    def start(self, title: str, block: ObservedBlock | None = None, **conf: object) -> Run:
        """Start a calibration of an EB, or of a new one, over REST."""
        block = block or self.observe()
        run = Run(self, DAG, self._trigger(DAG, title, {"execution_block": block.name, **conf}), block)
        self.runs.append(run)
        return run

    def rerun(self, title: str, block: ObservedBlock, *, dag: str = "vla_rerun", **conf: object) -> Run:
        """Start a rerun of an EB over REST; without further words of the newest run of the EB."""
        return Run(self, dag, self._trigger(dag, title, {"run": block.name, **conf}), block)

    def trigger(self, dag: str, title: str, **conf: object) -> DagRun:
        """Start any DAG over REST."""
        return DagRun(self, dag, self._trigger(dag, title, conf))

    def _trigger(self, dag: str, title: str, conf: dict[str, object]) -> str:
        return self.airflow.trigger(dag, conf, f"{title.replace(' ', '_')}-{uuid.uuid4().hex[:8]}")

    def set_casa_slots(self, slots: int) -> None:
        """Says how many CASA jobs may run at once."""
        # Whether deferred tasks count is not the test's to say.
        pool = self.airflow.get("pools/casa")
        kept = {name: pool[name] for name in ("name", "description", "include_deferred")}
        self.airflow.patch("pools/casa", {**kept, "slots": slots})

    def subjects(self) -> list[str]:
        """Return the subjects of all mails that the mail server has received."""
        answer = requests.get(f"{self.instance.mail_url}/messages/", timeout=10)
        answer.raise_for_status()
        # A subject that is too long for a line of a mail comes folded.
        return [" ".join(message["subject"].split()) for message in answer.json()["messages"]]

    def retrievals(self, block: ObservedBlock) -> list[dict[str, Any]]:
        """Return what NGAS was asked of an EB's files, by its access log, in the order of the requests."""
        return self.requests(block.locator.rpartition("/")[2], "RETRIEVE")

    def requests(self, part: str, *commands: str) -> list[dict[str, Any]]:
        """Return what NGAS was asked of files whose ids hold a text, in the order of the requests."""
        lines = (self.instance.places.ngas / "access.jsonl").read_text().splitlines()
        found = [json.loads(line) for line in lines if part in line]
        # The log has a request when it has ended.
        asked = (request for request in found if request["command"] in commands)
        return sorted(asked, key=lambda request: float(request["time"]))

    def kill(self, component: str) -> None:
        """Kills a component's process with SIGKILL and returns when the supervisor has started another."""
        before = self.instance.process(component)
        os.kill(before, signal.SIGKILL)
        until(f"another {component}", lambda: self.instance.process(component) not in (0, before))


@dataclass
class DagRun:
    """One DAG run, of any DAG."""

    site: Site
    dag: str
    dag_run_id: str

    # What is seen of it

    @property
    def path(self) -> str:
        """Where Airflow's API has it."""
        return f"dags/{self.dag}/dagRuns/{self.dag_run_id}"

    def dag_run_state(self) -> str:
        return str(self.site.airflow.get(self.path)["state"])

    def tasks(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.site.airflow.get(f"{self.path}/taskInstances")["task_instances"]
        return found

    def task(self, task_id: str) -> dict[str, Any]:
        """Return what Airflow's API says about one of its tasks; of a mapped one, about its first."""
        return min((task for task in self.tasks() if task["task_id"] == task_id), key=lambda task: task["map_index"])

    def log(self, task_id: str) -> str:
        """Return what a task wrote in its last try."""
        return self._log(self.task(task_id))

    def _log(self, task: dict[str, Any]) -> str:
        answer = self.site.airflow.get(
            f"{self.path}/taskInstances/{task['task_id']}/logs/{max(1, task['try_number'])}",
            full_content="true",
            map_index=str(task["map_index"]),
        )
        lines = (item if isinstance(item, str) else str(item.get("event", "")) for item in answer["content"])
        return "\n".join(lines)

    # Waiting

    def until(self, what: str, condition: Callable[[], Seen], *, seconds: float = PATIENCE, poll: float = 0.2) -> Seen:
        return until(f"{self.dag_run_id}: {what}", condition, seconds=seconds, poll_seconds=poll, story=self.story)

    def until_task(self, task_id: str, *states: str, seconds: float = PATIENCE) -> None:
        self.until(f"{task_id} is {states}", lambda: self.task(task_id)["state"] in states, seconds=seconds)

    def until_ended(self, *, seconds: float = PATIENCE) -> str:
        """Return how the DAG run ended."""
        self.until("its end", lambda: self.dag_run_state() in ("success", "failed"), seconds=seconds)
        return self.dag_run_state()

    def process(self, task_id: str, *, attempt: int = 1) -> int:
        """Return the process id of a task's own process in one of its tries, as soon as it runs."""

        def running() -> int:
            task = self.task(task_id)
            is_this = task["state"] == "running" and task["try_number"] == attempt
            return int(task["pid"] or 0) if is_this else 0

        return self.until(f"try {attempt} of {task_id} runs", running, poll=0.05)

    def until_locked_out(self, task_id: str, *, attempt: int = 1, of: Database | None = None) -> int:
        """Return a task's process id when it waits for a lock that the test holds, by default in the ledger."""
        pid = self.process(task_id, attempt=attempt)
        database = of or self.site.ledger
        self.until(f"{task_id} waits for the test's lock", lambda: database.waits(pid), poll=0.05)
        return pid

    # Disturbing it

    def kill_task(self, task_id: str, *, attempt: int = 1) -> None:
        """Kills a task's process, which runs."""
        os.kill(self.process(task_id, attempt=attempt), signal.SIGKILL)

    def mark(self, state: str, task_id: str | None = None) -> None:
        """Mark a task of it, or the DAG run itself, as a person does in Airflow."""
        if task_id is None:
            self.site.airflow.patch(self.path, {"state": state})
        else:
            self.site.airflow.patch(f"{self.path}/taskInstances/{task_id}", {"new_state": state})

    def clear(self, task_id: str) -> None:
        """Clear a task of it, as a person does in Airflow."""
        body = {"dry_run": False, "dag_run_id": self.dag_run_id, "task_ids": [task_id], "only_failed": False}
        self.site.airflow.post(f"dags/{self.dag}/clearTaskInstances", body)

    # What must hold in the end

    def check_success(self) -> None:
        """Wait for its end, which must be a good one."""
        assert self.until_ended() == "success", self.story()

    def check_refused(self, task_id: str, *words: str, state: str = "skipped") -> str:
        """Wait for its end, which must be a task's refusal in one sentence with these words; return the sentence.

        Args:
            task_id: the task.
            *words: what the sentence must have.
            state: ``skipped`` if the refusal is an answer to who asked; ``failed`` if something is wrong.
        """
        assert self.until_ended() == ("success" if state == "skipped" else "failed"), self.story()
        assert (self.task(task_id)["state"], self.task(task_id)["try_number"]) == (state, 1), self.story()
        log = self.log(task_id)
        said = [line for line in log.splitlines() if all(word in line for word in words)]
        assert said, f"none of {words} in\n{log}"
        assert "Traceback" not in log, log
        return said[0]

    # Telling

    def story(self) -> str:
        """Tells what there is of it, for a test that failed."""
        reported = [f"{self.dag} {self.dag_run_id}"]
        for part in self._parts():
            try:
                reported += part()
            except Exception as error:  # noqa: BLE001  it must not hide what it explains
                reported.append(f"({part.__name__}: {error!r})")
        return "\n  ".join(reported)

    def _parts(self) -> list[Callable[[], list[str]]]:
        return [self._airflow_story]

    def _airflow_story(self) -> list[str]:
        tasks = self.tasks()
        reported = [
            f"{task['task_id']}: {task['state']}, try {task['try_number']}, pid {task['pid']}" for task in tasks
        ]
        # The task that is, or was, at work last is the one to read; what only reports a failure repeats it.
        begun = [task for task in tasks if task["start_date"] and task["task_id"] != "report_failure"]
        last = max(begun, key=lambda task: task["start_date"], default=None)
        if last:
            reported += [f"  | {line[:300]}" for line in self._log(last).splitlines()[-25:]]
        return reported


@dataclass
class Run(DagRun):
    """One DAG run that opens a pipeline run, and that pipeline run: of a DAG that a request starts, or a rerun."""

    block: ObservedBlock

    # What is seen of it

    def row(self) -> dict[str, Any]:
        """Return the pipeline run's row of the ledger; nothing if there is none yet."""
        statement = "SELECT * FROM pipeline_run WHERE dag_id = %(dag)s AND dag_run_id = %(dag_run_id)s"
        return next(iter(self.site.ledger.rows(statement, dag=self.dag, dag_run_id=self.dag_run_id)), {})

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
        found = self.site.ledger.rows(statement, id=self.id)
        return [event for event in found if name in (None, event["event"])]

    def attempts(self) -> list[dict[str, Any]]:
        """Return the ledger's rows about its starts of CASA."""
        return self.site.ledger.rows("SELECT * FROM casa_attempt WHERE pipeline_run_id = %(id)s", id=self.id)

    @property
    def family(self) -> Family:
        return family_of_run(self.id)

    def directory(self, area: str) -> Path:
        """Where it is when it is in an area, of those of its family if that has one of its own."""
        areas = self.site.instance.places.areas
        return areas.get(f"{self.family.name}_{area}", areas[area]) / self.id

    @property
    def job(self) -> Path:
        """The folder of its CASA job's records."""
        return self.directory("spool") / f"{self.id}.casa1"

    def starts(self) -> list[dict[str, Any]]:
        """Return what each start of CASA in this run's directory left, at CASA."""
        working = str(self.directory("processing") / "working")
        return [start for start in self.site.casa.starts() if start["working_directory"] == working]

    def mails(self) -> Counter[str]:
        """Return the subjects of the mails about it that the mail server has received, each with its number."""
        return Counter(subject for subject in self.site.subjects() if self.id in subject)

    # Waiting

    def until_event(self, name: str) -> None:
        self.until(f"the event {name}", lambda: self.events(name), poll=0.05)

    def until_state(self, *states: str, seconds: float = PATIENCE) -> None:
        self.until(f"state {' or '.join(states)}", lambda: self.row().get("state") in states, seconds=seconds)

    def until_bytes_flow(self) -> None:
        """Return when some bytes of a file are here, and not all."""
        parts = self.directory("processing") / "rawdata"
        self.until("bytes flow", lambda: any(part.stat().st_size for part in parts.glob(".fetching/*.part")), poll=0.05)

    def is_casa_held(self) -> bool:
        """Whether CASA is in its first stage, in which it waits, as its log says."""
        run = RunDirectory(self.directory("processing"))
        log = find_casa_log(run)
        stage = running_stage(run.root, log) if log else None
        return stage is not None and stage.number == 1

    def until_casa_is_held(self) -> int:
        """Return CASA's process id when CASA is in the stage in which it waits, and its task has been deferred."""
        self.until("CASA is held", self.is_casa_held)
        self.until_task("run_casa", "deferred")
        (start,) = self.starts()
        return int(start["pid"])

    # Disturbing it

    @contextmanager
    def locked(self) -> Iterator[psycopg.Connection]:
        """Hold the run's row of the ledger, so that a transaction that writes about the run waits."""
        statement = "SELECT FROM pipeline_run WHERE pipeline_run_id = %(id)s FOR UPDATE"
        with self.site.ledger.locked(statement, id=self.id) as connection:
            yield connection

    def release(self) -> None:
        """Lets CASA continue, now or when it comes to the stage in which it waits."""
        working = self.directory("processing") / "working"
        self.until("the run has its directory", working.is_dir)
        (working / "release").touch()

    # What must hold in the end

    def check_delivered(self, *, former: Collection[str] = ()) -> None:
        """Wait for the end, which must be the QA area; everything there, everything once, everybody notified.

        Args:
            former: the IDs of the other runs of the EB.
        """
        self.until_state("awaiting_qa", "failed", "cancelled")
        self.until_ended()
        assert (self.state, self.dag_run_state()) == ("awaiting_qa", "success"), self.story()
        self._check_chain("created", "fetching", "processing", "awaiting_qa", former=former)
        assert self.directories() == [self.directory("qa")]
        assert len(self.starts()) == 1
        self._check_raw_data()
        assert list(self.directory("qa").glob("products/*.pipeline_manifest.xml"))
        (attempt,) = self.attempts()
        assert (attempt["exit_code"], attempt["signal"]) == (0, None)
        assert attempt["ppr_sha256_before"] == attempt["ppr_sha256_after"] == self.row()["ppr_sha256"]
        assert len(self.events("casa_started")) == 1, self.story()
        self.check_mails("Begun", "Ready for review")

    def check_failed(self, *words: str, state: str = "failed") -> str:
        """Wait for a failure, which must be reported in one sentence with these words; return the sentence."""
        self.until_state("awaiting_qa", "failed", "cancelled")
        self.until_ended()
        assert (self.state, self.dag_run_state()) == (state, "failed"), self.story()
        sentence = str(self.row()["failure"])
        assert all(word in sentence for word in words), sentence
        self._check_chain(*["created", "fetching", "processing"][: len(self.chain()) - 1], state)
        assert self.directories() == [self.directory("processing")]
        assert len(self.starts()) <= 1
        self.check_mails("Begun", "CANCELLED" if state == "cancelled" else "FAILED")
        return sentence

    def check_again(self) -> None:
        """Check, long after its end, that nothing came twice and nothing came later."""
        ends = {"awaiting_qa": "Ready for review", "failed": "FAILED", "cancelled": "CANCELLED"}
        if self.row():
            self.check_mails("Begun", ends[self.state])
            assert len(self.starts()) <= 1
            assert len(self.directories()) == 1

    def check_mails(self, *beginnings: str) -> None:
        """Wait for the mails about it whose subjects begin so; each must have come as often as it is named, no other.

        Args:
            beginnings: without the mark that all of them begin with.
        """
        # Each time that a damaged copy in NGAS was found the operators have a mail of it, too.
        beginnings = (*beginnings, *["DAMAGED COPY IN NGAS"] * len(self.events("ngas_copy_damaged")))
        wanted = Counter(beginnings)
        self.until(f"the mails {beginnings}", lambda: sum(self.mails().values()) >= len(beginnings))
        mails = self.mails()
        assert sum(mails.values()) == len(beginnings), mails
        for beginning, times in wanted.items():
            found = (number for subject, number in mails.items() if subject.startswith(f"[SRDP] {beginning}"))
            assert sum(found) == times, mails

    def _check_chain(self, *states: str, former: Collection[str] = ()) -> None:
        assert self.chain() == [*itertools.pairwise([None, *states])], self.story()
        versions = self.site.ledger.rows(
            "SELECT pipeline_run_id FROM pipeline_run WHERE request_id = %(request)s", request=self.row()["request_id"]
        )
        assert {row["pipeline_run_id"] for row in versions} == {self.id, *former}

    def chain(self) -> list[tuple[str | None, str]]:
        """Return its changes of state."""
        return [(event["state_before"], event["state_after"]) for event in self.events() if event["state_after"]]

    def _check_raw_data(self) -> None:
        raw = self.directory("qa") / "rawdata"
        expected = contents(self.site.sdm)
        assert contents(raw / self.block.name) == expected
        assert [path.name for path in raw.iterdir()] == [self.block.name]
        fetched = self.site.ledger.rows(
            "SELECT path, size_bytes FROM fetched_file WHERE pipeline_run_id = %(id)s", id=self.id
        )
        sizes = {str(Path(row["path"]).relative_to(self.block.name)): row["size_bytes"] for row in fetched}
        assert sizes == {name: len(content) for name, content in expected.items()}

    def directories(self) -> list[Path]:
        """Return where there is something of its name in the areas, hidden things included."""
        areas = [path for name, path in self.site.instance.places.areas.items() if name != "spool"]
        return [path for area in areas for path in area.iterdir() if self.id in path.name]

    # Telling

    def _parts(self) -> list[Callable[[], list[str]]]:
        return [self._ledger_story, self._airflow_story, self._file_story]

    def _ledger_story(self) -> list[str]:
        row = self.row()
        if not row:
            return ["the ledger has no run"]
        reported = [f"{row['pipeline_run_id']} is {row['state']}; {row['failure'] or 'no failure'}"]
        reported += [
            f"{event['happened_at']:%H:%M:%S} {event['event']} -> {event['state_after'] or ''} {event['details']}"
            for event in self.events()
        ]
        return [line[:400] for line in reported]

    def _file_story(self) -> list[str]:
        reported = [f"{path}" for path in self.directories()]
        reported += [f"spool: {path.name}" for path in sorted(self.job.glob("*"))]
        return [*reported, f"starts of CASA: {len(self.starts())}", f"mails: {dict(self.mails())}"]


def contents(folder: Path) -> dict[str, bytes]:
    """Return the files in a folder, by path; empty ones, which NGAS takes from nobody, are left out."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.stat().st_size
    }
