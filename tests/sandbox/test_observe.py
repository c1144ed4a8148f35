from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import zlib
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from tests.observing import make_sdm

from sandbox import observe as module
from sandbox.locator import location
from sandbox.ngas.server import NgasServer
from sandbox.observe import observe, read_observation
from sandbox.ports import free_ports
from srdp.domain.common.errors import InvalidInput, ServiceUnavailable, SrdpError
from srdp.domain.ngas.locator_report import parse_locator_report
from srdp.domain.runs.identifiers import execution_block_name, locator, project_of

INCLUDE = Path(__file__).parents[2] / "include"
DEADLINE = 20.0

servers = pytest.mark.servers


@pytest.fixture
def sdm(tmp_path):
    return make_sdm(tmp_path / "sdm")


@pytest.fixture
def archive(new_archive):
    return new_archive


@pytest.fixture
def ngas(tmp_path):
    with NgasServer(tmp_path / "ngas", stall_seconds=DEADLINE) as running:
        yield running


@pytest.fixture
def do(archive, ngas, sdm):
    return lambda **options: list(observe(**({"archive": archive, "ngas": ngas.url, "sdm": sdm} | options)))


def rows(archive: str, statement: str) -> list[tuple]:
    with psycopg.connect(archive) as connection:
        return connection.execute(statement).fetchall()


def visible(archive: str) -> list[str]:
    return [name for (name,) in rows(archive, "SELECT name FROM execution_block ORDER BY ingested_at")]


def test_what_was_observed_is_what_the_sdm_says(sdm):
    observation = read_observation(sdm)
    assert observation.telescope == "EVLA"
    assert re.fullmatch(r"X\.sb\d{8}\.eb\d{8}\.49820\.38836808734", module.new_name("X", observation))


@pytest.mark.parametrize(
    "content", [None, "", "<x/>", "<ExecBlockTable/>", "<!DOCTYPE a [<!ENTITY b 'c'>]><ExecBlockTable/>"]
)
def test_a_directory_that_is_no_sdm_is_refused_in_one_sentence(tmp_path, content):
    if content is not None:
        (tmp_path / "ExecBlock.xml").write_text(content)
    with pytest.raises(InvalidInput, match=r"ExecBlock\.xml"):
        read_observation(tmp_path)


@servers
def test_each_observation_is_an_execution_block_of_its_own(do, archive):
    blocks = do(count=3)
    assert len({block.name for block in blocks}) == len({block.locator for block in blocks}) == 3
    assert visible(archive) == [block.name for block in blocks]
    for block in blocks:
        assert project_of(execution_block_name(block.name)) == "NGC5921"
        assert locator(block.locator) == block.locator
    assert rows(archive, "SELECT DISTINCT telescope, calibration_status, observed_start FROM execution_block") == [
        ("EVLA", "Ready", datetime(1995, 4, 13, 9, 19, 15, 2746, tzinfo=UTC))
    ]
    assert rows(archive, "SELECT now() - max(ingested_at) < interval '1 minute' FROM execution_block") == [(True,)]


@servers
def test_every_file_is_in_ngas_as_the_report_says(do, archive, ngas, sdm, tmp_path):
    (sdm / "Empty.bin").touch()
    (block,) = do()
    report = parse_locator_report(json.dumps(location(archive, block.locator)).encode(), block.locator)
    paths = {str(file.relative_path): file for file in report.files}
    assert set(paths) == {"ExecBlock.xml", "Main.xml", "ASDMBinary/uid___S0_X1_X14"}
    for name, file in paths.items():
        content = (sdm / name).read_bytes()
        assert (file.size, file.checksum) == (len(content), zlib.crc32(content))
        assert str(file.subdirectory) == block.name
        assert len(file.ngas_file_id) <= 64
        assert file.server == f"127.0.0.1:{ngas.port}"
        assert ngas.store.latest_version(file.ngas_file_id) == file.version == 1


@servers
def test_checksums_are_signed_as_old_servers_wrote_them(do, archive, sdm):
    for number in range(20):
        (sdm / f"{number}.bin").write_bytes(bytes([number]))
    do()
    recorded = [(int(checksum), kind) for checksum, kind in rows(archive, "SELECT checksum, checksum_type FROM file")]
    assert {kind for _, kind in recorded} == {"ngamsGenCrc32"}
    assert any(checksum < 0 for checksum, _ in recorded)
    assert all(-(2**31) <= checksum < 2**31 for checksum, _ in recorded)


@servers
def test_a_system_sdm_or_another_status_can_be_observed_too(do, archive):
    do(name="sysstartS.58955.83384832176", calibration_status="Do Not Calibrate", project="13A-537")
    assert rows(archive, "SELECT name, calibration_status, project_code FROM execution_block") == [
        ("sysstartS.58955.83384832176", "Do Not Calibrate", "13A-537")
    ]


@servers
def test_all_become_visible_in_one_instant_if_so_asked(archive, ngas, sdm, monkeypatch):
    seen = []
    store = module.store
    monkeypatch.setattr(module, "store", lambda *args, **kw: seen.append(visible(archive)) or store(*args, **kw))
    blocks = list(observe(archive=archive, ngas=ngas.url, sdm=sdm, count=3, at_once=True))
    assert seen == [[], [], []]
    assert set(visible(archive)) == {block.name for block in blocks}


@servers
def test_a_name_that_is_taken_is_refused_and_leaves_nothing(do, archive):
    (block,) = do()
    with pytest.raises(SrdpError, match="already"):
        do(name=block.name)
    assert visible(archive) == [block.name]
    assert rows(archive, "SELECT count(*) FROM file_group") == [(1,)]


@servers
def test_one_name_for_several_is_refused(do, archive, ngas):
    with pytest.raises(InvalidInput, match="One name"):
        do(name="sysstartS.58955.8", count=2)
    assert len(ngas.requests) == 0


# NGAS in trouble


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(module, "_FIRST_PAUSE_SECONDS", 0.001)


@servers
@pytest.mark.parametrize("kind", ["busy", "offline", "empty_reply", "reply_lost", "disk_full", "cut"])
def test_a_server_in_passing_trouble_is_tried_again(do, archive, ngas, sdm, impatient, kind):
    ngas.faults.add(kind, command="ARCHIVE", times=2)
    (block,) = do()
    assert visible(archive) == [block.name]
    for file_id, version in rows(archive, "SELECT ngas_file_id, version FROM file"):
        # A reply that was lost leaves a version behind; the archive names the one that was confirmed.
        assert ngas.store.latest_version(file_id) == version


@servers
@pytest.mark.parametrize("kind", ["too_large", "refuse"])
def test_a_refusal_is_reported_and_nothing_is_visible(do, archive, ngas, impatient, kind):
    ngas.faults.add(kind, command="ARCHIVE", file_id="*.2")
    with pytest.raises(SrdpError, match="did not take"):
        do()
    assert ngas.requests.count("ARCHIVE") == 2
    assert visible(archive) == []


@servers
def test_bytes_that_change_on_their_way_are_not_stored(do, archive, ngas, impatient):
    ngas.faults.add("corrupt", command="ARCHIVE", file_id="*.1")
    with pytest.raises(SrdpError, match="did not take"):
        do()
    assert visible(archive) == []


@servers
def test_a_server_that_is_down_is_given_up_in_the_end(archive, sdm, impatient):
    (port,) = free_ports(1)
    with pytest.raises(ServiceUnavailable, match=f"127.0.0.1:{port}"):
        list(observe(archive=archive, ngas=f"http://127.0.0.1:{port}", sdm=sdm))
    assert visible(archive) == []


@servers
def test_a_server_that_wants_a_login_gets_it(archive, sdm, tmp_path):
    with NgasServer(tmp_path / "closed", user="ngas", password="p@ss/word") as closed:
        with pytest.raises(SrdpError):
            list(observe(archive=archive, ngas=closed.url, sdm=sdm))
        url = closed.url.replace("http://", "http://ngas:p%40ss%2Fword@")
        assert len(list(observe(archive=archive, ngas=url, sdm=sdm))) == 1


# The program


def command(archive: str, ngas: NgasServer, sdm: Path, *arguments: str) -> list[str]:
    places = ["--archive", archive, "--ngas", ngas.url, "--sdm", str(sdm)]
    return [sys.executable, "-m", "sandbox.observe", *places, *arguments]


ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{INCLUDE}:{INCLUDE.parent / 'plugins'}"}


@servers
def test_the_program_prints_what_it_observed(archive, ngas, sdm):
    done = subprocess.run(
        command(archive, ngas, sdm, "--count", "2"), env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert [line.split()[0] for line in done.stdout.splitlines()] == visible(archive)


@servers
def test_the_program_fails_with_one_sentence(archive, ngas, tmp_path):
    done = subprocess.run(
        command(archive, ngas, tmp_path / "none"), env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


def wait_until(condition) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@servers
@pytest.mark.parametrize("file_id", ["*.1", "*.2", "*.3"])
def test_killed_while_a_file_is_stored_nothing_is_visible(archive, ngas, sdm, file_id):
    fault = ngas.faults.add("delay", command="ARCHIVE", file_id=file_id, seconds=DEADLINE)
    process = subprocess.Popen(command(archive, ngas, sdm), env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    wait_until(lambda: fault.hits)
    process.send_signal(signal.SIGKILL)
    process.wait()
    ngas.faults.clear()
    assert visible(archive) == []
    assert rows(archive, "SELECT count(*) FROM file") == [(0,)]


@servers
def test_killed_in_the_archives_transaction_nothing_is_visible(archive, ngas, sdm):
    """A lock held by somebody else keeps the transaction open where its last row is written."""
    with psycopg.connect(archive) as other:
        other.execute("LOCK TABLE execution_block IN ACCESS EXCLUSIVE MODE")
        process = subprocess.Popen(command(archive, ngas, sdm), env=ENVIRONMENT, stdout=subprocess.DEVNULL)
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        wait_until(lambda: rows(archive, waiting) == [(1,)])
        process.send_signal(signal.SIGKILL)
        process.wait()
    wait_until(lambda: rows(archive, waiting) == [(0,)])
    assert visible(archive) == []
    assert rows(archive, "SELECT (SELECT count(*) FROM file), (SELECT count(*) FROM file_group)") == [(0, 0)]
