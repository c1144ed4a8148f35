"""What the archive, its locator service and NGAS know of an observed MOUS."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import psycopg
import pytest
from tests.sandbox.alma_observation.making import ASDM, make_mous

from sandbox.alma_observation.observe import observe_mous
from sandbox.locator import location
from sandbox.ngas.server import NgasServer
from srdp.domain.common.errors import InvalidInput, SrdpError
from srdp.domain.ngas.locator_report import parse_locator_report
from srdp.domain.runs.identifiers import disk_name

pytestmark = pytest.mark.servers

INCLUDE = Path(__file__).parents[3] / "include"
DEADLINE = 20.0
UID = "uid://A001/X1288/X3f"


@pytest.fixture
def made(tmp_path):
    return make_mous(tmp_path / "made")


@pytest.fixture
def archive(new_archive):
    return new_archive


@pytest.fixture
def ngas(tmp_path):
    with NgasServer(tmp_path / "ngas", stall_seconds=DEADLINE) as running:
        yield running


@pytest.fixture
def do(archive, ngas, made):
    return lambda **options: list(observe_mous(archive=archive, ngas=ngas.url, made=made, **options))


def rows(archive: str, statement: str) -> list[tuple]:
    with psycopg.connect(archive) as connection:
        return connection.execute(statement).fetchall()


def everything(archive: str) -> tuple:
    (counts,) = rows(
        archive,
        "SELECT (SELECT count(*) FROM mous), (SELECT count(*) FROM mous_member), (SELECT count(*) FROM calibration), "
        "(SELECT count(*) FROM file_group), (SELECT count(*) FROM file)",
    )
    return counts


def report(archive: str, locator: str):
    return parse_locator_report(json.dumps(location(archive, locator)).encode(), locator)


def test_the_archive_has_the_mous_its_asdm_and_its_calibration(do, archive):
    (mous,) = do(uid=UID)
    assert rows(archive, "SELECT mous_uid, disk_name, project_code, telescope, file_group_id FROM mous") == [
        (UID, "uid___A001_X1288_X3f", "2019.1.00001.S", "ALMA", None)
    ]
    assert rows(archive, "SELECT frequency_ghz, resolution_arcsec FROM mous") == [(231.5, 0.9)]
    assert rows(archive, "SELECT mous_uid, asdm_uid, disk_name, locator FROM mous_member") == [
        (UID, asdm.uid, disk_name(asdm.uid), asdm.uid) for asdm in mous.asdms
    ]
    assert rows(
        archive, "SELECT locator, mous_uid, execution_block_locator, casa_version, pipeline_version FROM calibration"
    ) == [(mous.calibration, UID, None, "6.7.0.31", "sandbox-1.0")]
    assert re.fullmatch(r"uid://alma/calibration/[0-9a-f-]{36}", mous.calibration)


def test_the_locator_of_the_asdm_gives_its_files_below_its_name(do, archive, ngas, made):
    (made / ASDM / "Empty.bin").touch()
    (mous,) = do()
    files = {str(file.relative_path): file for file in report(archive, mous.asdms[0].uid).files}
    assert set(files) == {"ExecBlock.xml", "Main.xml", "ASDMBinary/uid___S0_X1_X14"}
    for name, file in files.items():
        content = (made / ASDM / name).read_bytes()
        assert (file.size, file.checksum) == (len(content), zlib.crc32(content))
        assert str(file.subdirectory) == disk_name(mous.asdms[0].uid)
        assert len(file.ngas_file_id) <= 64
        assert ngas.store.latest_version(file.ngas_file_id) == file.version == 1


def test_calibration_locator_lists_its_products(do, archive, ngas):
    (mous,) = do()
    asdm, name = disk_name(mous.asdms[0].uid), disk_name(mous.uid)
    files = report(archive, mous.calibration).files
    assert {str(file.relative_path) for file in files} == {
        f"{name}.hifa_calimage.pipeline_manifest.xml",
        f"{name}.session_1.caltables.tgz",
        f"{asdm}.ms.flagversions.tgz",
        f"{asdm}.ms.calapply.txt",
    }
    assert {file["subdirectory"] for file in location(archive, mous.calibration)["files"]} == {None}
    for file in files:
        assert len(file.ngas_file_id) <= 64
        assert ngas.store.latest_version(file.ngas_file_id) == file.version == 1


def test_each_observation_is_a_mous_of_its_own(do, archive):
    observed = do(count=3, project="2021.1.00002.S")
    for what in ("uid", "asdms", "calibration"):
        assert len({getattr(mous, what) for mous in observed}) == 3
    assert {mous.project for mous in observed} == {"2021.1.00002.S"}
    assert everything(archive) == (3, 3, 3, 6, 3 * 7)


def test_two_sessions_have_two_asdms_and_one_calibration(archive, ngas, tmp_path):
    made = make_mous(tmp_path / "two", sessions=2)
    (mous,) = observe_mous(archive=archive, ngas=ngas.url, made=made)
    names = [disk_name(asdm.uid) for asdm in mous.asdms]
    assert sorted(rows(archive, "SELECT disk_name FROM mous_member")) == sorted((name,) for name in names)
    assert everything(archive) == (1, 2, 1, 3, 2 * 3 + 7)
    for asdm, name in zip(mous.asdms, names, strict=True):
        assert {str(file.subdirectory) for file in report(archive, asdm.uid).files} == {name}
    products = {str(file.relative_path) for file in report(archive, mous.calibration).files}
    assert {f"{disk_name(mous.uid)}.session_{number}.caltables.tgz" for number in (1, 2)} < products
    assert {f"{name}.ms.calapply.txt" for name in names} < products


def test_known_mous_is_refused_and_unchanged(do, archive):
    do(uid=UID)
    before = everything(archive)
    with pytest.raises(SrdpError, match=f"has a MOUS '?{UID}'? already"):
        do(uid=UID)
    assert everything(archive) == before


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"uid": UID, "count": 2}, "One UID"),
        ({"uid": "uid://A001/../X3f"}, "not the UID"),
        ({"uid": ""}, "not the UID"),
        ({"project": "../x"}, "not a project code"),
    ],
    ids=["one UID for two", "UID that leaves", "empty UID", "project that leaves"],
)
def test_bad_input_is_refused_before_anything_is_stored(do, archive, ngas, options, sentence):
    with pytest.raises(InvalidInput, match=sentence):
        do(**options)
    assert len(ngas.requests) == 0
    assert everything(archive) == (0, 0, 0, 0, 0)


def test_a_refusal_of_a_product_leaves_nothing_visible(do, archive, ngas):
    ngas.faults.add("refuse", command="ARCHIVE", file_id="uid___alma_calibration_*.2")
    with pytest.raises(SrdpError, match="did not take"):
        do()
    assert everything(archive) == (0, 0, 0, 0, 0)


# The program

ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{INCLUDE}:{INCLUDE.parent / 'plugins'}"}


def command(archive: str, ngas: NgasServer, made: Path, *arguments: str) -> list[str]:
    places = ["--archive", archive, "--ngas", ngas.url, "--made", str(made)]
    return [sys.executable, "-m", "sandbox.alma_observation.observe", *places, *arguments]


def wait_until(condition) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_program_prints_what_it_observed(archive, ngas, made):
    done = subprocess.run(
        command(archive, ngas, made, "--count", "2"), env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert [tuple(line.split()) for line in done.stdout.splitlines()] == rows(
        archive,
        "SELECT mous_uid, asdm_uid, calibration.locator FROM mous JOIN mous_member USING (mous_uid) "
        "JOIN calibration USING (mous_uid) ORDER BY mous.ingested_at",
    )


def test_the_program_fails_with_one_sentence(archive, ngas, tmp_path):
    done = subprocess.run(
        command(archive, ngas, tmp_path / "none"), env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("file_id", ["uid___alma_asdm_*.2", "uid___alma_calibration_*.4"])
def test_killed_observation_is_invisible_and_repeatable(archive, ngas, made, do, file_id):
    fault = ngas.faults.add("delay", command="ARCHIVE", file_id=file_id, seconds=DEADLINE)
    process = subprocess.Popen(command(archive, ngas, made, "--uid", UID), env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    wait_until(lambda: fault.hits)
    process.send_signal(signal.SIGKILL)
    process.wait()
    ngas.faults.clear()
    assert everything(archive) == (0, 0, 0, 0, 0)
    (mous,) = do(uid=UID)
    assert {file.version for file in report(archive, mous.calibration).files} == {1}


@pytest.mark.parametrize("table", ["mous_member", "calibration"])
def test_killed_in_the_archives_transaction_nothing_is_visible(archive, ngas, made, table):
    """A lock held by somebody else keeps the transaction open at one of its rows."""
    with psycopg.connect(archive) as other:
        other.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        process = subprocess.Popen(command(archive, ngas, made), env=ENVIRONMENT, stdout=subprocess.DEVNULL)
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        wait_until(lambda: rows(archive, waiting) == [(1,)])
        process.send_signal(signal.SIGKILL)
        process.wait()
    wait_until(lambda: rows(archive, waiting) == [(0,)])
    assert everything(archive) == (0, 0, 0, 0, 0)
