"""The environment of an instance: Airflow's configuration, its connections and the project's settings."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sandbox.hosts import OWN_NAMES
from sandbox.ports import LOOPBACK
from sandbox.stack.credentials import USER, Secrets
from sandbox.stack.ports import Ports
from srdp.domain.runs.areas import prepare_areas
from srdp.domain.site.airflow_options import FILE, read_options

LEDGER = "srdp_ledger"
ARCHIVE = "srdp_archive"
AIRFLOW = "airflow"
DATABASES = (AIRFLOW, LEDGER, ARCHIVE)
_NOT_INHERITED = ("AIRFLOW", "SRDP_", "PYTHON", "VIRTUAL_ENV", "SUPERVISOR_", "PG", "MAKE", "MFLAGS", "XDG_", "CASA")


@dataclass(frozen=True, kw_only=True)
class Places:
    """The folders of an instance.

    Attributes:
        root: the instance's own folder; everything else is below it.
        home: the project's folder.
    """

    root: Path
    home: Path

    @property
    def airflow_home(self) -> Path:
        """Airflow's own folder."""
        return self.root / "airflow"

    @property
    def logs(self) -> Path:
        """Each server's output, as ``<name>.log``."""
        return self.root / "logs"

    @property
    def areas(self) -> dict[str, Path]:
        """The processing, QA and spool areas: folders of one file system, so that a delivery is a rename."""
        names = ("processing", "qa", "alma_processing", "alma_qa", "spool")
        return {name: self.root / "areas" / name for name in names}

    @property
    def ngas(self) -> Path:
        """The volumes of the NGAS-compatible server."""
        return self.root / "ngas"

    @property
    def ngas_faults(self) -> Path:
        """What the NGAS-compatible server does wrong on purpose, if this file is there."""
        return self.root / "ngas-faults.json"

    @property
    def observatory(self) -> Path:
        """The observations that were made, before and while they are ingested."""
        return self.root / "observatory"

    @property
    def postgres(self) -> Path:
        """PostgreSQL's folder."""
        return self.root / "postgres"

    @property
    def supervisor(self) -> Path:
        """The supervisor's folder."""
        return self.root / "supervisor"

    @property
    def mail(self) -> Path:
        """The mail box's folder."""
        return self.root / "mail"

    @property
    def person(self) -> Path:
        """What the servers and CASA take for the home directory: they write nothing into a person's own."""
        return self.root / "home"

    def make(self) -> None:
        """Make the folders that are not there; only their owner may look into them.

        Where root calls, the account that PostgreSQL runs as may pass to that server's own folder.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        to_pass = 0o711 if os.geteuid() == 0 else 0o700
        self.root.chmod(to_pass)
        self.postgres.mkdir(exist_ok=True)
        self.postgres.chmod(to_pass)
        own = (self.airflow_home, self.logs, self.ngas, self.observatory, self.supervisor, self.mail, self.person)
        for folder in (*own, *self.areas.values()):
            folder.mkdir(parents=True, exist_ok=True)
            self.root.joinpath(folder.relative_to(self.root).parts[0]).chmod(0o700)
        self.areas["spool"].chmod(0o700)  # whatever the umask of who calls
        # All of it is the instance's own, whatever is there.
        list(prepare_areas({_variable(name): area for name, area in self.areas.items()}, force=True))


def _variable(area: str) -> str:
    return f"SRDP_{area.upper()}_AREA"


def inherited(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables of the caller that an instance's servers may see.

    Another Airflow's configuration, another Python's path or another PostgreSQL's address in the caller's shell
    must not reach them; a proxy must not be asked for loopback addresses.

    Args:
        environment: the caller's variables.
    """
    kept = {name: value for name, value in environment.items() if not name.startswith(_NOT_INHERITED)}
    for name in ("NO_PROXY", "no_proxy"):
        kept[name] = ",".join(part for part in (kept.get(name, ""), LOOPBACK, "localhost") if part)
    return kept


def airflow_configuration(
    places: Places, ports: Ports, secrets: Secrets, *, database: str, parallelism: int
) -> dict[str, str]:
    """Return Airflow's configuration as environment variables: what the project ships, and what is the instance's own.

    Args:
        places: the instance's folders.
        ports: its ports.
        secrets: its secrets.
        database: the address of Airflow's database.
        parallelism: how many tasks run at once; each of the workers holds some 130 MB.
    """
    shipped = {option.variable: option.value for option in read_options(places.home / FILE)}
    address = f"http://{LOOPBACK}:{ports.airflow}"
    own: dict[str, object] = {
        "AIRFLOW_HOME": places.airflow_home,
        "AIRFLOW__CORE__DAGS_FOLDER": places.home / "dags",
        "AIRFLOW__CORE__PLUGINS_FOLDER": places.home / "plugins",
        "AIRFLOW__CORE__PARALLELISM": parallelism,
        "AIRFLOW__CORE__FERNET_KEY": secrets.fernet_key,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{address}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": places.airflow_home / "passwords.json",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database.replace("postgresql://", "postgresql+psycopg2://", 1),
        "AIRFLOW__API__HOST": LOOPBACK,
        "AIRFLOW__API__PORT": ports.airflow,
        "AIRFLOW__API__BASE_URL": address,
        "AIRFLOW__API__WORKERS": 1,
        "AIRFLOW__API__SECRET_KEY": secrets.api_secret_key,
        "AIRFLOW__API__INSTANCE_NAME": "SRDP workflows",
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.jwt_secret,
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": places.airflow_home / "logs",
    }
    return shipped | {name: str(value) for name, value in own.items()}


def connections(ports: Ports, *, ledger: str, archive: str) -> dict[str, str]:
    """Return the Airflow Connections as environment variables.

    Args:
        ports: the instance's ports.
        ledger: the address of the ledger's database.
        archive: the address of the archive's database.
    """
    mail = {
        "conn_type": "smtp",
        "host": LOOPBACK,
        "port": ports.smtp,
        "extra": {"disable_ssl": True, "disable_tls": True, "timeout": 10, "retry_limit": 1},
    }
    return {
        "AIRFLOW_CONN_SRDP_LEDGER": ledger,
        "AIRFLOW_CONN_SRDP_ARCHIVE": archive,
        "AIRFLOW_CONN_SRDP_NGAS": f"http://{LOOPBACK}:{ports.ngas}",
        "AIRFLOW_CONN_SRDP_LOCATOR": f"http://{LOOPBACK}:{ports.locator}",
        "AIRFLOW_CONN_SRDP_SMTP": json.dumps(mail),
    }


def settings(places: Places, ports: Ports, *, casa: Path, heuristics: Path) -> dict[str, str]:
    """Return the project's settings as environment variables.

    Args:
        places: the instance's folders.
        ports: its ports.
        casa: the ``casa`` executable.
        heuristics: the folder that holds ``pipeline/runvlapipeline.py``.
    """
    files = f"http://{LOOPBACK}:{ports.run_files}"
    return {
        "SRDP_HOME": str(places.home),
        **{_variable(name): str(area) for name, area in places.areas.items()},
        "SRDP_CASA": str(casa),
        "SRDP_SCIPIPE_HEURISTICS": str(heuristics),
        "SRDP_CASA_DEADLINE_HOURS": "2",
        "SRDP_DEFAULT_CORES": "1",
        "SRDP_DEFAULT_MEMORY_GB": "4",
        "SRDP_WATCH_POLL_SECONDS": "3",
        "SRDP_DATA_ANALYSTS": "data-analysts@observatory.example",
        "SRDP_ALMA_DATA_ANALYSTS": "first-analyst@observatory.example,second-analyst@observatory.example",
        "SRDP_OPERATIONS_MANAGERS": "operations@observatory.example",
        "SRDP_MAIL_FROM": "do-not-reply@observatory.example",
        "SRDP_AIRFLOW_HOSTS": ",".join(OWN_NAMES),
        "SRDP_AIRFLOW_URL": f"http://{LOOPBACK}:{ports.airflow}",
        "SRDP_RUN_FILES_URL": files,
        "SRDP_WEBLOG_URL": f"{files}/{{pipeline_run_id}}/{{weblog}}/",
    }
