from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
import requests
from tests.observing import ingest

from sandbox.archive import set_ngas_address, transaction
from sandbox.locator import LocatorServer
from sandbox.ports import free_ports
from srdp.domain.ngas.locator_report import parse_locator_report

pytestmark = pytest.mark.servers

INCLUDE = Path(__file__).parents[2] / "include"
DEADLINE = 20.0


@pytest.fixture
def archive(new_archive):
    with transaction(new_archive) as cursor:
        set_ngas_address(cursor, "nmngas01.aoc.nrao.edu:7777")
    return new_archive


@pytest.fixture
def server(archive):
    with LocatorServer(archive, port=0) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield running
        running.shutdown()


@pytest.fixture
def get(server):
    def ask(path):
        reply = requests.get(f"http://127.0.0.1:{server.server_port}{path}", timeout=DEADLINE)
        return reply.status_code, reply.json()

    return ask


def add_file(archive: str, locator: str, relative_path: str, **columns) -> None:
    row = {"subdirectory": "EB", "version": 1, "size": 10, "checksum": "-1", "checksum_type": "ngamsGenCrc32"} | columns
    with psycopg.connect(archive) as connection:
        connection.execute(
            "INSERT INTO file (file_group_id, ngas_file_id, version, size, checksum, checksum_type, subdirectory, "
            "relative_path, ngas_server) SELECT file_group_id, %(id)s, %(version)s, %(size)s, %(checksum)s, "
            "%(checksum_type)s, %(subdirectory)s, %(path)s, 'sandbox' FROM execution_block WHERE locator = %(locator)s",
            row | {"id": str(uuid.uuid4()), "path": relative_path, "locator": locator},
        )


@pytest.fixture
def block(archive):
    locator = f"uid://evla/execblock/{uuid.uuid4()}"
    ingest(archive, locator=locator)
    add_file(archive, locator, "Main.xml", subdirectory=None)
    add_file(archive, locator, "ASDMBinary/uid_1", size=108677120, checksum="-1848259250", version=3)
    return locator


def test_the_report_has_the_form_of_the_observatorys(get, block):
    status, report = get(f"/location?locator={quote(block, safe='')}")
    assert status == 200
    file_id = report["files"][0].pop("ngas_file_id")
    assert len(file_id) <= 64
    assert report["files"][0] == {
        "subdirectory": "EB",
        "relative_path": "ASDMBinary/uid_1",
        "version": 3,
        "size": 108677120,
        "checksum": "-1848259250",
        "checksum_type": "ngamsGenCrc32",
        "server": {"server": "nmngas01.aoc.nrao.edu:7777", "location": "DSOC", "cluster": "DSOC"},
    }
    assert report["files"][1]["subdirectory"] is None
    assert report["aggregate_size"] == 108677130


def test_the_report_is_one_that_the_fetch_reads(get, block):
    _, report = get(f"/location?locator={block}")
    assert parse_locator_report(json.dumps(report).encode(), block).aggregate_size == 108677130


def test_the_root_answers_like_the_location(get, block):
    assert get(f"/?locator={block}") == get(f"/location?locator={block}")


@pytest.mark.parametrize("locator", ["uid://evla/execblock/none", "' OR 1=1 --", "%25", "\u00e9", "x" * 5000])
def test_an_unknown_locator_is_not_found(get, block, locator):
    assert get(f"/location?locator={quote(locator, safe='')}") == (404, {"error": "no such locator"})


@pytest.mark.parametrize("query", ["", "?locator=", "?locator=a&locator=b", "?locator=a%00b", "?name=x"])
def test_a_question_without_one_locator_is_refused(get, query):
    assert get(f"/location{query}")[0] == 400


def test_another_path_is_not_found(get):
    assert get("/elsewhere")[0] == 404


def test_an_execution_block_without_files_has_an_empty_report(get, archive):
    locator = f"uid://evla/execblock/{uuid.uuid4()}"
    ingest(archive, locator=locator)
    assert get(f"/location?locator={locator}") == (200, {"files": [], "aggregate_size": 0})


def test_another_address_of_the_server_is_reported_at_once(get, archive, block):
    with transaction(archive) as cursor:
        set_ngas_address(cursor, "127.0.0.1:7778")
    _, report = get(f"/location?locator={block}")
    assert {file["server"]["server"] for file in report["files"]} == {"127.0.0.1:7778"}


def test_health_is_that_of_the_database(get, server, block):
    assert get("/health") == (200, {"status": "ok"})
    (port,) = free_ports(1)
    server.database = f"postgresql://u:secret@127.0.0.1:{port}/archive"
    for path in ("/health", f"/location?locator={block}"):
        status, document = get(path)
        assert status == 503
        assert "secret" not in json.dumps(document)


@pytest.fixture
def program(archive):
    """Start the service as a process, and return it when it answers."""
    started = []

    def start(*arguments, **variables):
        (port,) = free_ports(1)
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{INCLUDE}:{INCLUDE.parent / 'plugins'}", **variables}
        command = [sys.executable, "-m", "sandbox.locator", "--port", str(port), *arguments]
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        started.append(process)
        deadline = time.monotonic() + DEADLINE
        while process.poll() is None and time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                break
        return process, f"http://127.0.0.1:{port}"

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_the_program_serves_logs_and_ends_at_once(program, archive, block):
    process, url = program("--ngas", "127.0.0.1:9999", AIRFLOW_CONN_SRDP_ARCHIVE=archive)
    report = requests.get(f"{url}/location?locator={block}", timeout=DEADLINE).json()
    assert report["files"][0]["server"]["server"] == "127.0.0.1:9999"
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0
    assert log.count("GET /location?") == 1
    assert len(log.splitlines()) == 2


def test_the_program_says_what_to_set(program):
    process, _ = program()
    _, log = process.communicate(timeout=DEADLINE)
    assert process.returncode == 2
    assert "AIRFLOW_CONN_SRDP_ARCHIVE" in log
