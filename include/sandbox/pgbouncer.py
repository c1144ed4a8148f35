"""A real PgBouncer in transaction mode before a PostgreSQL server, as many sites have one."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from sandbox.ports import LOOPBACK
from sandbox.postgres import PostgresServer
from sandbox.privileges import without_root
from sandbox.test_tools import find

_START_SECONDS = 30.0


def pgbouncer() -> Path | None:
    """Return where the program is; None if it is not installed (``apt-get install pgbouncer``)."""
    found = find(("pgbouncer",))
    return Path(found) if found else None


@contextlib.contextmanager
def pooled(postgres: PostgresServer, folder: Path, *, port: int, sessions: int = 2) -> Iterator[None]:
    """Run a PgBouncer before a server; end it when the block ends.

    Args:
        postgres: the server.
        folder: a folder for its configuration, which becomes readable by everybody: PgBouncer refuses to run as root.
        port: the loopback port to listen on.
        sessions: how many sessions of the server all clients share.
    """
    program = pgbouncer()
    if program is None:
        raise FileNotFoundError("pgbouncer")
    logins = folder / "logins.txt"
    logins.write_text("".join(f'"{role}" "{password}"\n' for role, password in postgres.passwords().items()))
    configuration = folder / "pgbouncer.ini"
    configuration.write_text(
        f"[databases]\n* = host={LOOPBACK} port={postgres.port}\n"
        f"[pgbouncer]\nlisten_addr = {LOOPBACK}\nlisten_port = {port}\nunix_socket_dir =\n"
        f"auth_type = scram-sha-256\nauth_file = {logins}\n"
        f"pool_mode = transaction\ndefault_pool_size = {sessions}\nserver_reset_query_always = 0\n"
    )
    folder.chmod(0o755)
    command = [*without_root([folder.resolve()], last_will="INT"), str(program), str(configuration)]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(port, process)
        yield
    finally:
        process.terminate()
        process.wait()


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + _START_SECONDS
    while True:
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), timeout=1):
            return
        if process.poll() is not None or time.monotonic() > give_up:
            raise OSError(f"PgBouncer does not listen on port {port}")
        time.sleep(0.05)


def through(url: str, port: int) -> str:
    """Return the address of a database behind the pooler.

    Args:
        url: its address at the server itself.
        port: the pooler's port.
    """
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{port}"))
