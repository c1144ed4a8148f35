from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from tests.observing import ingest, new_name

from sandbox.archive import apply_schema
from sandbox.ports import free_ports
from srdp.domain.common.errors import InvalidInput, ServiceUnavailable, SettingsError
from srdp.domain.runs.identifiers import disk_name
from srdp.domain.runs.retry import RequestRetryPolicy
from srdp.hooks import postgres as postgres_module
from srdp.hooks.archive import ArchiveHook

pytestmark = pytest.mark.servers

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def archive(settings, archive_url):
    return ArchiveHook(settings)


def test_an_execution_block_is_found_by_its_name_and_by_its_locator(archive, archive_url):
    locator = f"uid://evla/execblock/{uuid.uuid4()}"
    name = ingest(archive_url, locator=locator, at=NOON)
    block = archive.execution_block(name)
    assert block == archive.execution_block(locator)
    assert (block.name, block.locator, block.project) == (name, locator, "13A-537")
    assert (block.telescope, block.calibration_status, block.ingested_at) == ("EVLA", "Ready", NOON)
    assert block.observed_start is None


@pytest.mark.parametrize("wanted", [new_name(), f"uid://evla/execblock/{uuid.UUID(int=7)}"])
def test_an_unknown_execution_block_is_named_in_one_sentence(archive, wanted):
    with pytest.raises(InvalidInput, match=f"The archive has no execution block {wanted}") as caught:
        archive.execution_block(wanted)
    assert str(caught.value).count(". ") == 0


@pytest.mark.parametrize("hostile", ["", "../x", "uid://evla/execblock/' OR 1=1 --", "x'; DROP TABLE file; --", None])
def test_what_is_neither_a_name_nor_a_locator_does_not_reach_the_database(archive, hostile, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_SRDP_ARCHIVE")
    with pytest.raises(InvalidInput):
        archive.execution_block(hostile)


def test_what_came_in_is_returned_in_its_order_with_the_archives_time(archive, archive_url):
    late, early, before = (ingest(archive_url, at=NOON + timedelta(seconds=seconds)) for seconds in (2, 0, -1))
    found = archive.ingested_since(NOON)
    assert [sdm.name for sdm in found.sdms] == [early, late]
    assert abs(found.asked_at - archive.now()) < timedelta(minutes=1)
    assert before not in [sdm.name for sdm in found.sdms]


def test_a_page_never_ends_between_rows_of_one_time(archive, archive_url):
    for seconds in (0, 1, 1, 1, 2):
        ingest(archive_url, at=NOON + timedelta(seconds=seconds))
    before = NOON - timedelta(seconds=1)
    assert len(archive.ingested_between(before, NOON + timedelta(hours=1), at_least=2)) == 4
    assert len(archive.ingested_between(NOON, NOON + timedelta(seconds=1), at_least=9)) == 3
    assert archive.ingested_between(NOON + timedelta(seconds=2), NOON + timedelta(hours=1), at_least=9) == ()


def test_a_missing_connection_is_a_setting_to_set(archive, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_SRDP_ARCHIVE")
    with pytest.raises(SettingsError, match="AIRFLOW_CONN_SRDP_ARCHIVE"):
        archive.now()


def test_another_database_is_a_wrong_setting_and_not_tried_again(settings, postgres, monkeypatch, as_connection):
    url = postgres.create_database("no_archive")
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_ARCHIVE", as_connection(url))
    with pytest.raises(SettingsError, match='relation "execution_block" does not exist'):
        ArchiveHook(settings).execution_block(new_name())


def test_a_database_that_is_down_is_tried_again_and_then_named(settings, monkeypatch):
    monkeypatch.setattr(postgres_module, "DATABASE", RequestRetryPolicy(attempts=4, first_wait_seconds=0.01))
    (port,) = free_ports(1)
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_ARCHIVE", f"postgres://u:p@127.0.0.1:{port}/archive")
    tries = []
    connect = postgres_module._connect
    monkeypatch.setattr(postgres_module, "_connect", lambda name: tries.append(name) or connect(name))
    with pytest.raises(ServiceUnavailable, match=r"The archive's database .* cannot be reached now") as caught:
        ArchiveHook(settings).now()
    assert "\n" not in str(caught.value)
    assert tries == ["srdp_archive"] * 4


def test_a_connection_that_breaks_in_the_middle_is_made_again(archive, archive_url, monkeypatch):
    name = ingest(archive_url)
    monkeypatch.setattr(postgres_module, "DATABASE", RequestRetryPolicy(attempts=4, first_wait_seconds=0.01))
    connect = postgres_module._connect
    broken = []

    def broken_once(connection_id):
        connection = connect(connection_id)
        if not broken:
            broken.append(connection)
            with psycopg.connect(archive_url, autocommit=True) as killer:
                killer.execute("SELECT pg_terminate_backend(%s)", (connection.info.backend_pid,))
        return connection

    monkeypatch.setattr(postgres_module, "_connect", broken_once)
    assert archive.execution_block(name).name == name
    assert len(broken) == 1


# The status of an execution block


def test_a_status_is_set_again_and_again_and_only_where_it_is_meant(archive, archive_url):
    locators = [f"uid://evla/execblock/{uuid.uuid4()}" for _ in range(2)]
    one, other = (ingest(archive_url, locator=locator, at=NOON) for locator in locators)
    for _ in range(2):
        archive.set_calibration_status(locators[0], "Do Not Calibrate")
        block = archive.execution_block(one)
        assert (block.calibration_status, block.ingested_at) == ("Do Not Calibrate", NOON)
    assert archive.execution_block(other).calibration_status == "Ready"


def test_the_status_of_an_unknown_execution_block_is_not_set(archive):
    locator = f"uid://evla/execblock/{uuid.uuid4()}"
    with pytest.raises(InvalidInput, match=f"The archive has no execution block {locator}"):
        archive.set_calibration_status(locator, "Ready")


@pytest.mark.parametrize("status", ["", " Ready", "Ready\0", "Ready'; --", "\ud800", "x" * 65, None])
def test_what_is_no_status_does_not_reach_the_database(archive, status, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_SRDP_ARCHIVE")
    with pytest.raises(InvalidInput, match="is not a calibration status"):
        archive.set_calibration_status(f"uid://evla/execblock/{uuid.uuid4()}", status)


# A MOUS


MOUS, ASDM = "uid://A001/X1288/X3f", "uid://A002/Xd5a7c2/X1f3"


@pytest.fixture
def mous_url(archive_url):
    """The archive with a MOUS of two ASDMs, given in no order, and another MOUS without any."""
    with psycopg.connect(archive_url) as connection:
        for uid in (MOUS, "uid://A001/X1288/X40"):
            connection.execute(
                "INSERT INTO mous (mous_uid, disk_name, project_code, telescope, resolution_arcsec) "
                "VALUES (%s, %s, '13A-537', 'ALMA', 0.9)",
                (uid, disk_name(uid)),
            )
        for uid in (ASDM, "uid://A002/Xd5a7c2/X1f0"):
            connection.execute(
                "WITH made AS (INSERT INTO file_group DEFAULT VALUES RETURNING file_group_id) "
                "INSERT INTO mous_member (locator, mous_uid, asdm_uid, disk_name, file_group_id) "
                "SELECT %(uid)s, %(mous)s, %(uid)s, %(name)s, file_group_id FROM made",
                {"uid": uid, "mous": MOUS, "name": disk_name(uid)},
            )
    return archive_url


def calibrate(url, number, at):
    locator = f"uid://alma/calibration/{uuid.UUID(int=number)}"
    with psycopg.connect(url) as connection:
        connection.execute(
            "WITH made AS (INSERT INTO file_group DEFAULT VALUES RETURNING file_group_id) "
            "INSERT INTO calibration (locator, mous_uid, file_group_id, ingested_at) "
            "SELECT %s, %s, file_group_id, %s FROM made",
            (locator, MOUS, at),
        )
    return locator


def test_a_mous_is_read_with_its_asdms_and_its_newest_calibration(archive, mous_url):
    assert archive.mous(MOUS).calibration is None
    calibrate(mous_url, 1, NOON)
    newest = calibrate(mous_url, 2, NOON + timedelta(hours=2))
    calibrate(mous_url, 3, NOON + timedelta(hours=1))
    found = archive.mous(MOUS)
    assert (found.uid, found.project, found.calibration) == (MOUS, "13A-537", newest)
    assert (found.resolution_arcsec, found.frequency_ghz) == (0.9, None)
    assert [(asdm.uid, asdm.disk_name, asdm.locator) for asdm in found.asdms] == [
        (uid, disk_name(uid), uid) for uid in ("uid://A002/Xd5a7c2/X1f0", ASDM)
    ]


@pytest.mark.parametrize(
    ("uid", "words"),
    [
        ("uid://A001/X1288/X41", "The archive has no MOUS uid://A001/X1288/X41"),
        ("uid://A001/X1288/X40", "The archive knows no ASDM of uid://A001/X1288/X40"),
    ],
)
def test_a_mous_that_cannot_be_imaged_is_named_in_one_sentence(archive, mous_url, uid, words):
    with pytest.raises(InvalidInput, match=words):
        archive.mous(uid)


@pytest.mark.parametrize("hostile", ["", "../x", "uid://A001/X1/X1' OR 1=1 --", "uid://evla/execblock/x", None])
def test_what_is_no_mous_does_not_reach_the_database(archive, hostile, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_SRDP_ARCHIVE")
    with pytest.raises(InvalidInput):
        archive.mous(hostile)


def test_what_the_archive_has_passes_the_doors_too(archive, mous_url):
    with psycopg.connect(mous_url) as connection:
        connection.execute("UPDATE mous_member SET disk_name = '../../etc' WHERE asdm_uid = %s", (ASDM,))
    with pytest.raises(InvalidInput, match=r"'\.\./\.\./etc' is not the name of an ASDM's directory"):
        archive.mous(MOUS)


# The reference schema


def test_the_schema_may_be_applied_again(archive_url):
    name = ingest(archive_url)
    apply_schema(archive_url)
    with psycopg.connect(archive_url) as connection:
        assert connection.execute("SELECT name, calibration_status FROM execution_block").fetchall() == [
            (name, "Ready")
        ]


@pytest.mark.parametrize(
    ("block", "mous", "accepted"),
    [(True, False, True), (False, True, True), (True, True, False), (False, False, False)],
)
def test_a_calibration_belongs_to_exactly_one_execution_block_or_one_mous(archive_url, block, mous, accepted):
    locator = f"uid://evla/execblock/{uuid.uuid4()}"
    ingest(archive_url, locator=locator)
    uid = "uid://A001/X1288/X3f"
    with psycopg.connect(archive_url) as connection:
        connection.execute(
            "INSERT INTO mous (mous_uid, disk_name, project_code, telescope) VALUES (%s, %s, '13A-537', 'ALMA')",
            (uid, uid.replace(":", "_").replace("/", "_")),
        )

    def insert():
        with psycopg.connect(archive_url) as connection:
            connection.execute(
                "INSERT INTO calibration (locator, execution_block_locator, mous_uid, file_group_id) "
                "VALUES ('uid://evla/calibration/1', %s, %s, (SELECT min(file_group_id) FROM file_group))",
                (locator if block else None, uid if mous else None),
            )

    if accepted:
        insert()
    else:
        with pytest.raises(psycopg.errors.CheckViolation, match="calibration_of_exactly_one_thing"):
            insert()
