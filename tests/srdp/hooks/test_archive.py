from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from tests.observing import ingest, new_name

from sandbox.archive import apply_schema
from sandbox.ports import free_ports
from srdp.domain.errors import InvalidInput, ServiceUnavailable, SettingsError
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
    monkeypatch.setattr(postgres_module, "_FIRST_PAUSE_SECONDS", 0.01)
    (port,) = free_ports(1)
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_ARCHIVE", f"postgres://u:p@127.0.0.1:{port}/archive")
    tries = []
    connect = postgres_module._connect
    monkeypatch.setattr(postgres_module, "_connect", lambda name: tries.append(name) or connect(name))
    with pytest.raises(ServiceUnavailable, match=r"The archive's database .* cannot serve now") as caught:
        ArchiveHook(settings).now()
    assert "\n" not in str(caught.value)
    assert tries == ["srdp_archive"] * 4


def test_a_connection_that_breaks_in_the_middle_is_made_again(archive, archive_url, monkeypatch):
    name = ingest(archive_url)
    monkeypatch.setattr(postgres_module, "_FIRST_PAUSE_SECONDS", 0.01)
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
