"""The servers that cases need: NGAS in a process of its own, and a ledger in PostgreSQL."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import tenacity

from bench import ROOT
from sandbox.ports import free_ports
from sandbox.postgres import PostgresServer
from srdp.hooks.ledger_schema import apply_schema
from srdp.settings import Settings

_WAIT = tenacity.retry(
    stop=tenacity.stop_after_delay(20), wait=tenacity.wait_fixed(0.05), retry=tenacity.retry_if_exception_type(OSError)
)
_BLOCK = 1 << 20
_LEDGER = "AIRFLOW_CONN_SRDP_LEDGER"


@contextmanager
def ngas_server(place: Path, given: str | None) -> Iterator[str]:
    """Yield the address, ``host:port``, of an NGAS server.

    Args:
        place: where the sandbox's keeps its files.
        given: a server that is used in place of the sandbox's; None for the sandbox's.
    """
    if given:
        yield given
        return
    port = free_ports(1)[0]
    command = [sys.executable, "-m", "sandbox.ngas", "--root", str(place / "ngas"), "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "include")}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as server:
        try:
            _WAIT(_ask)(f"http://127.0.0.1:{port}/STATUS")
            yield f"127.0.0.1:{port}"
        finally:
            server.terminate()


@contextmanager
def ledger_settings(place: Path) -> Iterator[Settings]:
    """Yield settings whose ledger is an empty one in a PostgreSQL server of its own, which syncs what it commits.

    Args:
        place: where the server's files and the areas are.
    """
    server = PostgresServer(place / "postgres", port=free_ports(1)[0])
    server.start()
    before = os.environ.get(_LEDGER)
    try:
        url = server.create_database("ledger")
        with psycopg.connect(url) as connection:
            apply_schema(connection, ROOT / "include" / "sql")
        os.environ[_LEDGER] = json.dumps({"conn_type": "postgres", **_parts(url)})
        yield _settings(place)
    finally:
        os.environ.pop(_LEDGER, None)
        if before is not None:
            os.environ[_LEDGER] = before
        server.stop()


def some_file_id() -> str:
    """Return a name that no NGAS server has a file of."""
    return f"bench-{secrets.token_hex(8)}"


def _parts(url: str) -> dict[str, object]:
    found = psycopg.conninfo.conninfo_to_dict(url)
    return {
        "host": found["host"],
        "port": int(str(found["port"])),
        "login": found["user"],
        "password": found["password"],
        "schema": found["dbname"],
    }


def _ask(url: str) -> None:
    with urllib.request.urlopen(url, timeout=1):  # noqa: S310
        return


def _settings(place: Path) -> Settings:
    return Settings(
        home=ROOT,
        processing_area=place / "processing",
        qa_area=place / "qa",
        spool_area=place / "spool",
        casa=place / "casa",
        scipipe_heuristics=place / "heuristics",
        data_analysts=("analyst@example.org",),
        operations_managers=("manager@example.org",),
        mail_from="do-not-reply@example.org",
        airflow_url="http://127.0.0.1:8080",
        run_files_url="http://127.0.0.1:8090/runs",
        weblog_url="http://127.0.0.1:8090/runs/{pipeline_run_id}/{weblog}/t1-1.html",
    )


def filled(path: Path, size: int) -> int:
    """Fill a file with bytes that do not compress; return their CRC-32.

    Args:
        path: the file.
        size: how many bytes.
    """
    checksum, block = 0, os.urandom(_BLOCK)
    with path.open("wb") as file:
        for begin in range(0, size, _BLOCK):
            # No two blocks are alike, so that a wrong offset is a wrong checksum.
            part = (begin.to_bytes(8) + block)[: min(_BLOCK, size - begin)]
            checksum = zlib.crc32(part, checksum)
            file.write(part)
    return checksum
