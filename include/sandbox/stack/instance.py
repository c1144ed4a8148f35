"""One instance of everything: the embedded observatory and Airflow, in one folder, on loopback."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg2
import requests

from sandbox.archive import apply_schema as apply_archive_schema
from sandbox.ports import LOOPBACK
from sandbox.postgres import PACKAGES, PostgresServer, plain_environment
from sandbox.private_files import write_private
from sandbox.privileges import INTERPRETER, PYTHON, without_capabilities, without_root
from sandbox.stack import components as parts
from sandbox.stack import environment as variables
from sandbox.stack.airflow_api import AirflowApi
from sandbox.stack.credentials import USER, Secrets
from sandbox.stack.environment import Places
from sandbox.stack.jobs import cancel_jobs
from sandbox.stack.ports import Ports
from sandbox.stack.processes import MARK, end, marked_processes
from sandbox.stack.supervision import Supervisor, Supervisors, launch
from srdp.check import POOLS
from srdp.domain.common.errors import ServiceUnavailable
from srdp.hooks.ledger_schema import apply_schema as apply_ledger_schema

HOME = Path(__file__).resolve().parents[3]
_POLL_SECONDS = 0.2
_START_SECONDS = 180.0


class Instance:
    """The embedded observatory and Airflow, all servers supervised, in a folder of their own.

    Args:
        root: the instance's folder.
        ports: where its servers listen; ports that are free now, if not given.
        casa: the ``casa`` executable; the project's own if not given.
        heuristics: the folder with ``pipeline/runvlapipeline.py``; the sandbox's small pipeline if not given.
        overrides: environment variables that come last, over everything else.
        parallelism: how many Airflow tasks run at once; sized to the machine if not given.
        dags: the DAGs to run; the project's own if not given.
        durable: whether its databases survive a power cut; tests do without.
        report: where progress goes, a line a call.
    """

    def __init__(
        self,
        root: Path,
        *,
        ports: Ports | None = None,
        casa: Path | None = None,
        heuristics: Path | None = None,
        overrides: Mapping[str, str] | None = None,
        parallelism: int | None = None,
        dags: Path | None = None,
        durable: bool = True,
        report: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self.places = Places(root=root.resolve(), home=HOME)
        self.ports = ports or Ports.free()
        self._casa = casa or HOME / "include" / "casa" / "casa"
        self._heuristics = heuristics or HOME / "include" / "sandbox" / "pipeline"
        self._overrides = dict(overrides or {})
        self._parallelism = parallelism or min(8, 2 + 2 * (os.cpu_count() or 1))
        self._dags = dags or HOME / "dags"
        self._report = report
        self.postgres = PostgresServer(self.places.postgres, port=self.ports.postgres, durable=durable)

    # What it is made of

    @property
    def secrets(self) -> Secrets:
        """The instance's generated secrets."""
        return Secrets.of(self.places.root)

    @property
    def airflow_url(self) -> str:
        """Where Airflow answers."""
        return f"http://{LOOPBACK}:{self.ports.airflow}"

    @property
    def mail_url(self) -> str:
        """Where the mail box is read."""
        return f"http://{LOOPBACK}:{self.ports.mail}"

    def environment(self) -> dict[str, str]:
        """Return the complete environment of the instance's Airflow, for its servers and for commands beside them."""
        database = self.postgres.url
        configuration = variables.airflow_configuration(
            self.places,
            self.ports,
            self.secrets,
            database=database(variables.AIRFLOW),
            parallelism=self._parallelism,
        )
        return (
            variables.inherited()
            | {"HOME": str(self.places.person)}
            | configuration
            | {"AIRFLOW__CORE__DAGS_FOLDER": str(self._dags)}
            | variables.connections(self.ports, ledger=database(variables.LEDGER), archive=database(variables.ARCHIVE))
            | variables.settings(self.places, self.ports, casa=self._casa, heuristics=self._heuristics)
            | self._overrides
        )

    def marked_environment(self) -> dict[str, str]:
        """Return the environment for what is to end when the instance is stopped."""
        return self.environment() | {MARK: str(self.places.root)}

    def environment_of_health(self) -> dict[str, str]:
        """Return the environment of ``srdp-health``, which alone has a login for Airflow's REST API."""
        login = f"{USER}:{quote(self.secrets.airflow_password, safe='')}"
        return self.environment() | {
            "AIRFLOW_CONN_SRDP_AIRFLOW": f"http://{login}@{LOOPBACK}:{self.ports.airflow}",
            "PYTHONPATH": str(HOME / "plugins"),
        }

    def airflow_api(self) -> AirflowApi:
        """Return Airflow's REST API with the rights of its user ``analyst``."""
        return AirflowApi(self.airflow_url, USER, self.secrets.airflow_password)

    def process(self, name: str) -> int:
        """Return the process id of a component, for example ``scheduler``; 0 while it does not run.

        Args:
            name: one of ``postgres ngas locator run_files mail api-server scheduler dag-processor triggerer``.
        """
        return self._supervisors.of(name).process_id(name)

    def states(self) -> dict[str, str]:
        """Return each component's state, or nothing if the instance is down."""
        return self._supervisors.states() if self.is_up() else {}

    def is_up(self) -> bool:
        """Return whether this instance's supervisors answer."""
        return (self.places.root / "secrets.json").exists() and self._supervisors.answers()

    # Life

    def up(self, *, beside: Callable[[], object] = lambda: None) -> bool:
        """Brings up whatever is down and returns when everything answers; if that fails, stops what it started.

        Args:
            beside: called when the folders are there, before the first server is started; not if servers run already.
                It returns at once: what it starts runs beside, and is stopped too if it carries the instance's mark.

        Returns:
            Whether anything had to be started.

        Raises:
            SettingsError: a port is taken; nothing was started.
            ServiceUnavailable: a server does not come up; the sentence holds the end of its log.
        """
        with self._alone():
            if self.is_up() and set(self._supervisors.states().values()) == {"RUNNING"} and self._answers("api-server"):
                return False
            fresh = not self.is_up()
            try:
                if fresh:
                    self._launch_supervisors(beside)
                self._start_everything()
            except BaseException:
                # Also on Ctrl-C: what this call started goes with it.
                if fresh:
                    self._stop_everything()
                raise
            return True

    def down(self) -> bool:
        """Stop everything that this instance started, CASA jobs included, and nothing else.

        Returns:
            Whether anything was running.
        """
        if not self.places.root.exists():
            return False
        with self._alone():
            return self._stop_everything()

    def restart(self, name: str) -> None:
        """Stop one component in order and start it again; returns when it answers.

        Args:
            name: the component's name.
        """
        self._supervisors.of(name).stop(name, timeout=60)
        self._supervisors.of(name).start(name)
        self._wait_for(name)

    def stop_component(self, name: str) -> None:
        """Stop one component in order; it stays down until it is started.

        Args:
            name: the component's name.
        """
        self._supervisors.of(name).stop(name, timeout=60)

    def start_component(self, name: str) -> None:
        """Start one component that is down; returns when it answers.

        Args:
            name: the component's name.
        """
        self._supervisors.of(name).start(name)
        self._wait_for(name)

    # How

    @property
    def _supervisors(self) -> Supervisors:
        ports, secrets = self.ports, self.secrets
        return Supervisors(
            Supervisor(ports.postgres_supervisor, secrets.postgres_supervisor_password),
            Supervisor(ports.supervisor, secrets.supervisor_password),
            name=parts.DATABASES,
        )

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Two commands at once on one instance take turns."""
        self.places.root.mkdir(parents=True, exist_ok=True)
        with (self.places.root / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _components(self) -> list[parts.Component]:
        ports, places = self.ports, self.places
        return [
            parts.sandbox_component(
                "ngas", places.home, "--root", places.ngas, "--port", ports.ngas, "--faults", places.ngas_faults
            ),
            parts.sandbox_component(
                "locator", places.home, "--port", ports.locator, "--ngas", f"{LOOPBACK}:{ports.ngas}"
            ),
            parts.sandbox_component(
                "run_files",
                places.home,
                *("--port", ports.run_files),
                *(part for name, area in places.areas.items() if name != "spool" for part in ("--area", area)),
            ),
            parts.sandbox_component(
                "mail_box",
                places.home,
                *("--foreground", "--no-quit", "--db", places.mail / "mail.sqlite"),
                *("--smtp-port", ports.smtp, "--http-port", ports.mail),
                name="mail",
            ),
            *parts.airflow_components(ports.airflow),
            parts.tidy_component(places.home),
        ]

    def _launch_supervisors(self, beside: Callable[[], object]) -> None:
        # Servers whose supervisor was killed end by themselves; what has not yet is ended here.
        end(self._leftovers(), grace_seconds=10)
        self.ports.check_free()
        self.places.make()
        self.ports.record(self.places.root)
        secrets = self.secrets
        write_private(self.places.airflow_home / "passwords.json", json.dumps({USER: secrets.airflow_password}) + "\n")
        beside()
        self._report("Preparing PostgreSQL ...")
        self.postgres.initialise()
        self._launch_postgres_supervisor()
        launch(
            self._components(),
            folder=self.places.supervisor,
            logs=self.places.logs,
            port=self.ports.supervisor,
            password=secrets.supervisor_password,
            command=(*without_capabilities(), sys.executable, "-m", "supervisor.supervisord"),
            # SPT_NOENV: Airflow's processes write their titles over their environment otherwise, mark and all.
            environment=self.marked_environment() | {"SPT_NOENV": "1"},
            output=self.places.logs / "supervisord.out",
        )
        self._until(self._supervisors.answers, "supervisord", 30)

    def _launch_postgres_supervisor(self) -> None:
        """Start what runs PostgreSQL: as its account, which nothing could change to later without a capability."""
        server = self.postgres
        component = parts.Component(
            name=parts.DATABASES, command=tuple(server.command()), stop_signal="INT", stop_seconds=30
        )
        launch(
            [component],
            folder=server.own,
            logs=server.own,
            port=self.ports.postgres_supervisor,
            password=self.secrets.postgres_supervisor_password,
            command=(*without_root([*server.shown, *PYTHON]), str(INTERPRETER), "-P", "-m", "supervisor.supervisord"),
            # None of Airflow's secrets.
            environment=plain_environment() | {MARK: str(self.places.root), "PYTHONPATH": str(PACKAGES)},
            output=self.places.logs / "postgres-supervisord.out",
            owner=server.account,
        )

    def _start_everything(self) -> None:
        supervisor = self._supervisors.of(parts.AIRFLOW[0])
        self._supervisors.of(parts.DATABASES).start(parts.DATABASES)
        self._wait_for(parts.DATABASES)
        for name in variables.DATABASES:
            self.postgres.create_database(name)
        self._apply_schemas()
        for name in parts.OBSERVATORY:
            supervisor.start(name)
        self._migrate_airflow()
        self._report("Starting Airflow ...")
        for name in parts.AIRFLOW:
            if name != "scheduler":
                supervisor.start(name)
        self._wait_for("api-server")
        # It has to import Airflow before it can start a task, and meanwhile the server is made ready for the first one.
        supervisor.start("scheduler")
        supervisor.start(parts.TIDY)
        self._warm_up()
        self._make_pools()
        for name in (*parts.OBSERVATORY, *parts.AIRFLOW):
            self._wait_for(name)
        self._until(lambda: self._is_running(parts.TIDY), parts.TIDY, _START_SECONDS)

    def _apply_schemas(self) -> None:
        sql = self.places.home / "include" / "sql"
        apply_archive_schema(self.postgres.url(variables.ARCHIVE))
        with contextlib.closing(psycopg2.connect(self.postgres.url(variables.LEDGER))) as connection:
            apply_ledger_schema(connection, sql)

    def _migrate_airflow(self) -> None:
        stamp = self.places.airflow_home / "migrated"
        present = version("apache-airflow-core")
        if stamp.exists() and stamp.read_text() == present:
            return
        self._report("Preparing Airflow's database ...")
        done = subprocess.run(
            [*without_capabilities(), str(Path(sys.executable).with_name("airflow")), "db", "migrate"],
            env=self.marked_environment(),
            cwd=self.places.root,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise ServiceUnavailable(f"Airflow's database could not be prepared: {done.stderr[-2000:]}")
        stamp.write_text(present)

    def _make_pools(self) -> None:
        """The pools that limit what runs at once; a number that a person changed stays."""
        # Fetches leave workers for watch_observations: it is to start a calibration within half a minute.
        slots = {"casa": max(1, (os.cpu_count() or 1) // 2), "fetch": max(1, self._parallelism // 2)}
        api = self.airflow_api()
        for name, (what, deferred) in POOLS.items():
            body = {"name": name, "slots": slots[name], "description": what, "include_deferred": deferred}
            try:
                api.post("pools", body)
            except requests.HTTPError as error:
                if error.response is None or error.response.status_code != requests.codes.conflict:
                    raise

    def _warm_up(self) -> None:
        """The API server builds its execution API at the first call, which takes some 10 s: before the first task."""
        requests.get(f"{self.airflow_url}/execution/health", timeout=_START_SECONDS)

    def _wait_for(self, name: str) -> None:
        # RUNNING as well: what answered and died within a second would be taken for up.
        self._until(lambda: self._answers(name) and self._is_running(name), name, _START_SECONDS)

    def _is_running(self, name: str) -> bool:
        return self._supervisors.of(name).states().get(name) == "RUNNING"

    def _answers(self, name: str) -> bool:
        urls = {
            "ngas": f"http://{LOOPBACK}:{self.ports.ngas}/STATUS",
            "locator": f"http://{LOOPBACK}:{self.ports.locator}/health",
            "run_files": f"http://{LOOPBACK}:{self.ports.run_files}/",
            "mail": f"{self.mail_url}/messages/",
            "api-server": f"{self.airflow_url}/api/v2/version",
        }
        if name == parts.DATABASES:
            with contextlib.suppress(ServiceUnavailable):
                self.postgres.wait(timeout=0)
                return True
            return False
        if name in urls:
            return _is_ok(urls[name])
        return self._is_healthy(name)

    def _is_healthy(self, name: str) -> bool:
        """What Airflow says about a component that has no port: its last heartbeat, since this process started."""
        try:
            health = requests.get(f"{self.airflow_url}/api/v2/monitor/health", timeout=10).json()
        except (requests.RequestException, ValueError):
            return False
        entry = health.get(name.replace("-", "_")) or {}
        beat = next((value for key, value in entry.items() if key.startswith("latest_")), None)
        process_id = self.process(name)
        return bool(process_id and beat and _is_since_start(beat, process_id))

    def _until(self, condition: Callable[[], bool], name: str, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            supervisor = self._supervisors.of(name)
            state = supervisor.states().get(name, "") if supervisor.answers() else ""
            if state == "FATAL" or time.monotonic() > deadline:
                raise ServiceUnavailable(f"{name} does not come up; its log ends with: {self._last_words(name)}")
            time.sleep(_POLL_SECONDS)

    def _last_words(self, name: str) -> str:
        logs, own = self.places.logs, self.postgres.own
        of_postgres = (own / f"{name}.log", own / "supervisord.log", logs / "postgres-supervisord.out")
        others = (logs / f"{name}.log", logs / "supervisord.out")
        for path in of_postgres if name == parts.DATABASES else others:
            if text := _text(path):
                return text[-1500:]
        return "(nothing)"

    def _stop_everything(self) -> bool:
        found = self.is_up()
        if found:
            self._stop_supervised()
        # What is left when the supervisor was killed, or did not end something in the time that it had.
        left = self._leftovers()
        end(left, grace_seconds=10)
        jobs = cancel_jobs(
            self.places.areas["spool"], self.environment, self._report, "everything was stopped (make stop)"
        )
        return found or bool(left) or bool(jobs)

    def _stop_supervised(self) -> None:
        supervisors = self._supervisors
        self._report("Stopping Airflow ...")
        # Airflow first, so that nothing is submitted any more; databases last, so that all can say goodbye.
        with contextlib.suppress(ServiceUnavailable):
            supervisors.of(parts.AIRFLOW[0]).stop(*parts.AIRFLOW, timeout=60)
            self._report("Stopping the observatory ...")
            supervisors.of(parts.OBSERVATORY[0]).stop(*parts.OBSERVATORY, timeout=20)
            supervisors.of(parts.DATABASES).stop(parts.DATABASES, timeout=40)
        supervisors.shutdown()
        deadline = time.monotonic() + 15
        while supervisors.any_answers() and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)

    def _leftovers(self) -> list[psutil.Process]:
        """Every process of this instance; this one, if it was started with the instance's mark, excepted."""
        return [process for process in marked_processes(self.places.root) if process.pid != os.getpid()]


def _text(path: Path) -> str:
    """What a log says; nothing if it is none. PostgreSQL's is in a folder of another account."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def _is_ok(url: str) -> bool:
    try:
        return requests.get(url, timeout=5).ok
    except requests.RequestException:
        return False


def _is_since_start(beat: str, process_id: int) -> bool:
    try:
        return datetime.fromisoformat(beat).timestamp() >= psutil.Process(process_id).create_time()
    except psutil.NoSuchProcess:
        return False
