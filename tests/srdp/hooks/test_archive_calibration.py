"""What is written into the archive about a calibration, against real PostgreSQL."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
import urllib.parse
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from tests.observing import ingest

from sandbox.archive import apply_schema
from srdp.domain.archiving.metadata import ImageMetadata, ProvedFile, ResultMetadata, metadata_gaps
from srdp.domain.common.errors import IntegrityError, InvalidInput, ServiceUnavailable, SettingsError
from srdp.domain.imaging.fits_header import ImageFacts
from srdp.domain.qa.verdict import QaFlag, QaVerdict
from srdp.domain.runs.retry import RequestRetryPolicy
from srdp.families import family_of_run, result_locator
from srdp.hooks import archive_results
from srdp.hooks import postgres as postgres_module
from srdp.hooks.archive import ArchiveHook
from srdp.hooks.archive_results import ArchiveResults
from srdp.hooks.statements import statement, statements

pytestmark = pytest.mark.servers

SERVER = "127.0.0.1:7777"
RUN = "vla-20261122-182453-4f7k"
ALMA_RUN = "alma-20261122-182453-4f7k"
OTHER_RUN = "vla-20261122-182454-4f7m"
OLD_SCHEMA = Path(__file__).with_name("archive_schema_of_0_1.sql")
ADD_A_FILE = """
INSERT INTO file (file_group_id, ngas_file_id, version, size, checksum, checksum_type, relative_path, ngas_server)
SELECT file_group_id, 'x', 1, 1, '1', 'crc32', 'x', 'one' FROM calibration
"""
HOSTILE = "it's; DROP TABLE calibration; -- %s %(x)s \\ $1 \N{SNOWMAN}"


@pytest.fixture(autouse=True)
def _no_long_pauses(monkeypatch):
    monkeypatch.setattr(postgres_module, "DATABASE", RequestRetryPolicy(attempts=4, first_wait_seconds=0.01))


@pytest.fixture
def archive(settings, archive_url):
    with psycopg.connect(archive_url) as connection:
        connection.execute("INSERT INTO ngas_server VALUES ('one', %s, 'DSOC', 'DSOC')", (SERVER,))
    return ArchiveHook(settings)


@pytest.fixture
def block(archive_url):
    locator = f"uid://evla/execblock/{uuid.uuid4()}"
    ingest(archive_url, locator=locator)
    return locator


def files(run_id=RUN, **changes):
    tar = ProvedFile(
        kind="calibration",
        ngas_file_id=f"{run_id}.calibration.tar",
        version=1,
        size_bytes=108677120,
        crc32=-1848259250,
        relative_path="13A-537_2026_11_22_T18_24_53.123.tar",
    )
    weblog = ProvedFile(
        kind="weblog",
        ngas_file_id=f"{run_id}.weblog.tgz",
        version=1,
        size_bytes=5,
        crc32=7,
        relative_path="weblog.tgz",
    )
    return (replace(tar, **changes), weblog)


def metadata(block, run_id=RUN, **changes):
    values = {
        "files": files(run_id),
        "ngas_server": SERVER,
        "verdict": QaVerdict(QaFlag.PASS, analyst="An Analyst", score=1.0),
        "qa_notes": "QA_Status: Pass",
        "casa_version": "6.6.1-17",
        "pipeline_version": "2024.1.1.22",
        "status": "Calibrated",
    }
    begins = family_of_run(run_id).result_locator
    return ResultMetadata(
        begins=begins, pipeline_run_id=run_id, ingest_number=1, belongs_to=block, **(values | changes)
    )


def select(url, statement, *parameters):
    with psycopg.connect(url) as connection:
        return connection.execute(statement, parameters).fetchall()


def everything(url):
    """All that an ingest writes, without times and the numbers that the database gives."""
    return {
        "calibration": select(
            url, "SELECT locator, execution_block_locator, qa_notes, casa_version FROM calibration ORDER BY 1"
        ),
        "file": select(url, "SELECT ngas_file_id, version, size, checksum, kind FROM file ORDER BY 1, 2"),
        "srdp_state": select(url, "SELECT calibration_locator, qa_flag FROM srdp_state ORDER BY 1"),
        "status": select(url, "SELECT locator, calibration_status FROM execution_block ORDER BY 1"),
        "empty groups": select(
            url,
            "SELECT count(*) FROM file_group g WHERE NOT EXISTS (SELECT FROM file f WHERE f.file_group_id = "
            "g.file_group_id) AND NOT EXISTS (SELECT FROM execution_block e WHERE e.file_group_id = g.file_group_id)",
        ),
    }


def locks(url):
    return select(url, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = "
                  "(SELECT oid FROM pg_database WHERE datname = current_database())")[0][0]  # fmt: skip


def wait_until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "what was waited for did not happen"
        time.sleep(0.02)


# What is written


def test_everything_is_written_and_read_again(archive, archive_url, block):
    archive.commit_result(metadata(block))
    committed = archive.committed(result_locator(RUN, 1))
    assert (committed.belongs_to, committed.casa_version, committed.pipeline_version, committed.qa_notes) == (
        block, "6.6.1-17", "2024.1.1.22", "QA_Status: Pass"
    )  # fmt: skip
    tar, weblog = committed.files
    assert (tar.kind, tar.ngas_file_id, tar.version, tar.size_bytes) == (
        "calibration", f"{RUN}.calibration.tar", 1, 108677120
    )  # fmt: skip
    assert (tar.relative_path, tar.checksum, tar.checksum_type) == (
        "13A-537_2026_11_22_T18_24_53.123.tar", str(-1848259250 % 2**32), "crc32"
    )  # fmt: skip
    assert (weblog.crc32, weblog.ngas_server) == (7, SERVER)
    assert metadata_gaps(committed, files()) == ()
    assert select(archive_url, "SELECT calibration_status FROM execution_block") == [("Calibrated",)]
    state = "SELECT calibration_locator, pipeline_run_id, qa_flag, qa_score, qa_analyst, qa_standard FROM srdp_state"
    assert select(archive_url, state) == [(committed.locator, RUN, "Pass", 1.0, "An Analyst", "SRDP Pilot")]


def image_set(archive_url, number=1, **changes):
    """What is written about the images of a MOUS, which the archive then has."""
    uid = "uid://A001/X1288/X3f"
    with psycopg.connect(archive_url) as connection:
        connection.execute(
            "INSERT INTO mous (mous_uid, disk_name, project_code, telescope) "
            "VALUES (%s, 'uid___A001_X1288_X3f', '13A-537', 'ALMA') ON CONFLICT DO NOTHING",
            (uid,),
        )
    facts = ImageFacts(
        kind="cube", field=HOSTILE, spw="25", stokes="I", beam_major_arcsec=2.0, beam_minor_arcsec=1.5,
        beam_pa_deg=None, rms=0.002, unit="Jy/beam", width=32, height=24, channels=8, rest_frequency_hz=345.796e9,
    )  # fmt: skip
    image = ImageMetadata(relative_path="x_sci.cube.I.pbcor.fits", product="science", facts=facts)
    values = {"status": None, "images": (image,), "asked": {"fields": [HOSTILE, "\0"]}}
    return replace(metadata(uid, ALMA_RUN, **values), ingest_number=number, **changes)


def test_an_image_set_of_a_mous_is_written_and_read_again(archive, archive_url):
    wanted = image_set(archive_url)
    archive.commit_result(wanted)
    archive.commit_result(wanted)
    committed = archive.committed(wanted.locator)
    assert (committed.belongs_to, committed.casa_version) == ("uid://A001/X1288/X3f", "6.6.1-17")
    assert committed.images == ("x_sci.cube.I.pbcor.fits",)
    assert metadata_gaps(committed, wanted.files) == ()
    asked = {"fields": [HOSTILE, "\N{REPLACEMENT CHARACTER}"]}
    assert select(archive_url, "SELECT locator, asked FROM image_set") == [(wanted.locator, asked)]
    columns = "image_set_locator, relative_path, product, kind, field, beam_major_arcsec, beam_pa_deg, rms, channels"
    assert select(archive_url, f"SELECT {columns} FROM image") == [  # noqa: S608
        (wanted.locator, "x_sci.cube.I.pbcor.fits", "science", "cube", HOSTILE, 2.0, None, 0.002, 8)
    ]
    verdicts = "SELECT calibration_locator, image_set_locator, qa_flag FROM srdp_state"
    assert select(archive_url, verdicts) == [(None, wanted.locator, "Pass")]
    archive.change_qa(wanted.locator, run_id=ALMA_RUN, verdict=QaVerdict(QaFlag.NULL), qa_notes="x", status=None)
    assert archive.committed(wanted.locator).qa_notes == "x"
    assert select(archive_url, verdicts) == [(None, wanted.locator, "Null")]
    with pytest.raises(InvalidInput, match="has no calibration status"):
        archive.change_qa(wanted.locator, run_id=ALMA_RUN, verdict=QaVerdict(QaFlag.FAIL), qa_notes="", status="Ready")


def test_an_image_that_the_tables_do_not_accept_leaves_nothing(archive, archive_url):
    wanted = image_set(archive_url)
    wrong = replace(wanted.images[0], facts=replace(wanted.images[0].facts, width=0))
    with pytest.raises(IntegrityError, match="do not accept the image set uid://alma/image_set/"):
        archive.commit_result(replace(wanted, images=(*wanted.images, wrong)))
    assert archive.committed(wanted.locator) is None
    assert [select(archive_url, f"SELECT count(*) FROM {table}")[0][0] for table in ("image", "image_set", "file")] == (  # noqa: S608
        [0, 0, 0]
    )


def test_verdicts_of_before_there_were_images_are_kept(archive, archive_url, block):
    archive.commit_result(metadata(block))
    with psycopg.connect(archive_url) as connection:
        connection.execute(
            "DROP INDEX srdp_state_one_of_each; ALTER TABLE srdp_state DROP COLUMN image_set_locator, "
            "ADD PRIMARY KEY (calibration_locator); DROP TABLE image, image_set"
        )
    for _ in range(2):
        apply_schema(archive_url)
    archive.change_qa(result_locator(RUN, 1), run_id=RUN, verdict=QaVerdict(QaFlag.FAIL), qa_notes="Fail", status=None)
    archive.commit_result(image_set(archive_url))
    flags = "SELECT calibration_locator IS NULL, qa_flag FROM srdp_state ORDER BY 1"
    assert select(archive_url, flags) == [(False, "Fail"), (True, "Pass")]


def test_without_a_status_the_execution_block_keeps_its_own(archive, archive_url, block):
    archive.commit_result(metadata(block, status=None))
    assert select(archive_url, "SELECT calibration_status FROM execution_block") == [("Ready",)]


@pytest.mark.parametrize("kind", ["calibration", "image_set"])
def test_what_was_written_without_files_gives_way_to_what_has_them(archive, archive_url, block, kind):
    wanted = metadata(block) if kind == "calibration" else image_set(archive_url)
    archive.commit_result(replace(wanted, files=(), status=None))
    archive.commit_result(replace(wanted, ingest_number=2))
    assert archive.committed(result_locator(wanted.pipeline_run_id, 1)) is None
    assert archive.committed(result_locator(wanted.pipeline_run_id, 2)) is not None
    assert select(archive_url, "SELECT count(*) FROM srdp_state") == [(1,)]
    assert everything(archive_url)["empty groups"] == [(0,)]


def test_what_was_written_with_files_gives_way_to_nothing(archive, archive_url, block):
    archive.commit_result(metadata(block))
    archive.commit_result(replace(metadata(block), ingest_number=2, files=(), status=None))
    archive.commit_result(replace(metadata(block), ingest_number=3, files=files(OTHER_RUN)))
    there = [archive.committed(result_locator(RUN, number)) is not None for number in (1, 2, 3)]
    assert there == [True, False, True]


def test_the_srdp_state_can_be_left_to_the_ledger(settings, archive, archive_url, block):
    with psycopg.connect(archive_url) as connection:
        connection.execute("DROP TABLE srdp_state")
    other = ArchiveHook(settings.model_copy(update={"record_srdp_state": False}))
    other.commit_result(metadata(block))
    other.change_qa(result_locator(RUN, 1), run_id=RUN, verdict=QaVerdict(QaFlag.FAIL), qa_notes="Fail", status=None)
    assert other.committed(result_locator(RUN, 1)).qa_notes == "Fail"
    other.check_statements()
    with pytest.raises(SettingsError, match='relation "srdp_state" does not exist'):
        archive.commit_result(metadata(block, OTHER_RUN))


def test_hostile_text_is_stored_as_text(archive, archive_url, block):
    notes = f"{HOSTILE}\nsecond line"
    verdict = QaVerdict(QaFlag.NULL, analyst=HOSTILE, standard=HOSTILE)
    versions = {"casa_version": HOSTILE + "\0", "pipeline_version": "\ud800"}
    archive.commit_result(metadata(block, verdict=verdict, qa_notes=notes, **versions))
    committed = archive.committed(result_locator(RUN, 1))
    assert (committed.qa_notes, committed.casa_version) == (notes, HOSTILE + "\N{REPLACEMENT CHARACTER}")
    assert select(archive_url, "SELECT qa_analyst, qa_standard, qa_score FROM srdp_state") == [(HOSTILE, HOSTILE, None)]


# What is refused, and leaves nothing


def unknown_block(block):
    return metadata(f"uid://evla/execblock/{uuid.uuid4()}")


def unknown_server(block):
    return metadata(block, ngas_server="127.0.0.1:7778")


@pytest.mark.parametrize(
    ("wrong", "error", "sentence"),
    [
        (unknown_block, InvalidInput, "The archive does not have uid://evla/execblock/"),
        (unknown_server, SettingsError, "knows no NGAS server with the address '127.0.0.1:7778'.*srdp_ngas"),
    ],
)
def test_what_is_not_known_leaves_nothing(archive, archive_url, block, wrong, error, sentence):
    before = everything(archive_url)
    with pytest.raises(error, match=sentence):
        archive.commit_result(wrong(block))
    assert everything(archive_url) == before
    assert locks(archive_url) == 0


def test_a_file_of_somebody_else_in_the_archive_is_named(archive, archive_url, block):
    archive.commit_result(metadata(block))
    before = everything(archive_url)
    stolen = metadata(block, OTHER_RUN, files=files(RUN), status="Ready")
    with pytest.raises(IntegrityError, match=f"'{RUN}.calibration.tar' version 1.*{stolen.locator}"):
        archive.commit_result(stolen)
    assert everything(archive_url) == before
    assert archive.committed(stolen.locator) is None


def test_what_the_tables_do_not_accept_is_one_sentence(archive, archive_url, block):
    with psycopg.connect(archive_url) as connection:
        connection.execute("ALTER TABLE calibration ADD CONSTRAINT short CHECK (length(qa_notes) < 5)")
    with pytest.raises(IntegrityError, match=r'do not accept the calibration uid://.*"short"') as caught:
        archive.commit_result(metadata(block))
    assert "\n" not in str(caught.value)


# Again


def test_again_it_changes_nothing(archive, archive_url, block):
    archive.commit_result(metadata(block))
    archive.set_calibration_status(block, "Do Not Calibrate")
    before = everything(archive_url)
    archive.commit_result(metadata(block))
    assert everything(archive_url) == before


def test_a_signed_record_is_the_same_checksum(archive, archive_url, block):
    archive.commit_result(metadata(block))
    with psycopg.connect(archive_url) as connection:
        connection.execute("UPDATE file SET checksum = '-1848259250', checksum_type = 'ngamsGenCrc32' WHERE size > 9")
    archive.commit_result(metadata(block))
    assert metadata_gaps(archive.committed(result_locator(RUN, 1)), files()) == ()


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ("UPDATE file SET size = size + 1 WHERE kind = 'weblog'", "weblog.tgz' version 1 with 6 bytes"),
        ("UPDATE file SET checksum = '8' WHERE kind = 'weblog'", "the checksum '8'"),
        ("UPDATE file SET checksum_type = 'crc32c' WHERE kind = 'weblog'", r"\('crc32c'\)"),
        ("UPDATE file SET version = 2 WHERE kind = 'weblog'", "version 1, but version 2"),
        ("DELETE FROM file WHERE kind = 'weblog'", "does not have .*weblog.tgz' version 1"),
        (
            ADD_A_FILE,
            "also has 'x' version 1",
        ),
    ],
)  # fmt: skip
def test_another_file_under_its_locator_is_named_and_left(archive, archive_url, block, damage, named):
    archive.commit_result(metadata(block))
    with psycopg.connect(archive_url) as connection:
        connection.execute(damage)
    before = everything(archive_url)
    with pytest.raises(IntegrityError, match=named):
        archive.commit_result(metadata(block))
    assert everything(archive_url) == before


def test_a_calibration_of_another_execution_block_under_its_locator_is_named(archive, archive_url, block):
    archive.commit_result(metadata(block))
    other = f"uid://evla/execblock/{uuid.uuid4()}"
    ingest(archive_url, locator=other)
    with pytest.raises(IntegrityError, match=f"belonging to '{block}', not to {other}"):
        archive.commit_result(metadata(other))


# At once


def test_two_ingests_into_one_project_follow_each_other(archive, archive_url, block, monkeypatch):
    inside, at_once = [], []
    written = ArchiveResults.insert

    def watched(hook, cursor, what):
        inside.append(what)
        at_once.append(len(inside))
        # Long enough that the other one is waiting, and seen to be.
        wait_until(lambda: locks(archive_url) == 2 or len(at_once) > 1)
        written(hook, cursor, what)
        inside.remove(what)

    monkeypatch.setattr(ArchiveResults, "insert", watched)
    with ThreadPoolExecutor(2) as both:
        list(both.map(archive.commit_result, (metadata(block), metadata(block, OTHER_RUN))))
    assert at_once == [1, 1]
    assert [row[0] for row in everything(archive_url)["calibration"]] == sorted(
        result_locator(run, 1) for run in (RUN, OTHER_RUN)
    )
    assert locks(archive_url) == 0


@pytest.mark.parametrize("lock", [None, "SELECT 1 AS none, %(project_code)s::text"])
def test_one_calibration_written_by_many_at_once_is_one_row(settings, archive, archive_url, block, lock, tmp_path):
    """Also where a site has no lock of its own."""
    if lock is not None:
        archive._statements._folder = _statements_with(settings, tmp_path, lock_project=lock)
    barrier = threading.Barrier(4)

    def commit(_number):
        barrier.wait()
        archive.commit_result(metadata(block))

    with ThreadPoolExecutor(4) as all_of_them:
        list(all_of_them.map(commit, range(4)))
    written = everything(archive_url)
    assert (len(written["calibration"]), len(written["file"]), len(written["srdp_state"])) == (1, 2, 1)
    assert written["empty groups"] == [(0,)]


def _statements_with(settings, folder, **replaced):
    found = {**statements(settings.sql / "archive"), **replaced}
    (folder / "all.sql").write_text("".join(f"-- name: {name}\n{text}\n" for name, text in found.items()))
    return folder


def test_an_ingest_that_does_not_end_is_named_and_waited_for_once(settings, archive, archive_url, block):
    before = everything(archive_url)
    impatient = ArchiveHook(settings, lock_seconds=0.5)
    with psycopg.connect(archive_url) as other:
        other.execute(
            statement(settings.sql / "archive", "lock_project"), {"project_code": "13A-537"}
        )  # fmt: skip
        begun = time.monotonic()
        with pytest.raises(ServiceUnavailable, match="Another ingest into the project '13A-537' has been at work"):
            impatient.commit_result(metadata(block))
        assert time.monotonic() - begun < 5
        assert everything(archive_url) == before
    impatient.commit_result(metadata(block))


def test_an_ingest_into_another_project_is_not_waited_for(settings, archive, archive_url, block):
    impatient = ArchiveHook(settings, lock_seconds=0.5)
    with psycopg.connect(archive_url) as other:
        other.execute(statement(settings.sql / "archive", "lock_project"), {"project_code": "13A-538"})
        impatient.commit_result(metadata(block))


def test_the_lock_ends_with_the_transaction_and_not_with_the_connection(settings, archive_url):
    with psycopg.connect(archive_url) as connection:
        for end in (connection.commit, connection.rollback):
            connection.execute(
                statement(settings.sql / "archive", "lock_project"), {"project_code": "13A-537"}
            )  # fmt: skip
            assert locks(archive_url) == 1
            end()
            assert locks(archive_url) == 0


def test_a_lock_of_a_process_that_is_silent_ends(archive, archive_url, block, monkeypatch):
    """The machine is gone, the server has not noticed: its transaction is ended and the next one is served."""
    monkeypatch.setattr(archive_results, "_LONGEST_SILENCE_SECONDS", 0.5)
    silent = threading.Event()
    written = ArchiveResults.insert

    def falls_silent(hook, cursor, what):
        if not silent.is_set():
            silent.set()
            wait_until(lambda: locks(archive_url) == 0)
        written(hook, cursor, what)

    monkeypatch.setattr(ArchiveResults, "insert", falls_silent)
    archive.commit_result(metadata(block))  # the first try is ended by the server, the second one comes through
    assert silent.is_set()
    assert len(everything(archive_url)["calibration"]) == 1


# Killed


def test_killed_at_each_statement_it_leaves_nothing_and_is_repeated(archive, archive_url, block):
    before = everything(archive_url)
    number = 0
    while _killed_at_statement(archive, metadata(block), number := number + 1):
        wait_until(lambda: locks(archive_url) == 0)
        assert everything(archive_url) == before, f"killed at statement {number}"
    assert number > 9
    after = everything(archive_url)
    assert len(after["calibration"]) == 1
    archive.commit_result(metadata(block))
    assert everything(archive_url) == after


def _killed_at_statement(archive, what, number):
    child = os.fork()
    if child == 0:
        executed = 0
        execute = psycopg.Cursor.execute

        def execute_and_die(*arguments, **keywords):
            nonlocal executed
            executed += 1
            result = execute(*arguments, **keywords)
            if executed == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        try:
            psycopg.Cursor.execute = execute_and_die
            archive.commit_result(what)
        except BaseException:  # noqa: BLE001  the child must end here, whatever happened
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


# The reply to COMMIT is lost


@contextmanager
def proxy(url, *, cut):
    """Stands before PostgreSQL; the first connection on which ``COMMIT`` is sent is cut, by ``cut(client, server)``."""
    target = urllib.parse.urlsplit(url)
    listener = socket.create_server(("127.0.0.1", 0))
    commits = []

    def serve():
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection((target.hostname, target.port))
                lost = threading.Event()
                for one, other, is_client in ((client, server, True), (server, client, False)):
                    threading.Thread(target=pump, args=(one, other, lost, is_client), daemon=True).start()

    def pump(one, other, lost, is_client):
        with suppress(OSError):
            while block := one.recv(65536):
                if is_client and b"COMMIT" in block:
                    commits.append(block)
                    if len(commits) == 1:
                        lost.set()
                        cut(one, other, block)
                        return
                if is_client or not lost.is_set():
                    other.sendall(block)
        with suppress(OSError):
            other.shutdown(socket.SHUT_WR)

    threading.Thread(target=serve, daemon=True).start()
    with closing(listener):
        yield (
            urllib.parse.urlunsplit(
                target._replace(netloc=f"{target.netloc.rpartition('@')[0]}@127.0.0.1:{listener.getsockname()[1]}")
            ),
            commits,
        )


def test_a_commit_whose_reply_was_lost_is_found_again(archive, archive_url, block, monkeypatch, as_connection):
    def commit_and_lose_the_reply(client, server, block):
        server.sendall(block)
        wait_until(lambda: everything(archive_url)["calibration"])
        client.shutdown(socket.SHUT_RDWR)

    with proxy(archive_url, cut=commit_and_lose_the_reply) as (url, commits):
        monkeypatch.setenv("AIRFLOW_CONN_SRDP_ARCHIVE", as_connection(url))
        archive.commit_result(metadata(block))
    assert len(commits) == 2
    written = everything(archive_url)
    assert (len(written["calibration"]), len(written["file"]), written["empty groups"]) == (1, 2, [(0,)])


def test_a_commit_that_never_arrived_is_made_again(archive, archive_url, block, monkeypatch, as_connection):
    def lose_the_commit(client, server, block):
        server.shutdown(socket.SHUT_RDWR)
        client.shutdown(socket.SHUT_RDWR)

    with proxy(archive_url, cut=lose_the_commit) as (url, commits):
        monkeypatch.setenv("AIRFLOW_CONN_SRDP_ARCHIVE", as_connection(url))
        archive.commit_result(metadata(block))
    assert len(commits) == 2
    assert len(everything(archive_url)["calibration"]) == 1


def test_an_archive_that_goes_away_in_the_middle_is_said_to_have_gone(archive, archive_url, block, monkeypatch):
    def terminated(hook, cursor, what):
        with psycopg.connect(archive_url, autocommit=True) as killer:
            killer.execute("SELECT pg_terminate_backend(%s)", (cursor.connection.info.backend_pid,))
        cursor.execute("SELECT 1")

    before = everything(archive_url)
    monkeypatch.setattr(ArchiveResults, "insert", terminated)
    with pytest.raises(ServiceUnavailable, match="is being stopped or started"):
        archive.commit_result(metadata(block))
    assert everything(archive_url) == before


# The verdict afterwards


def test_another_verdict_changes_flag_notes_and_status_and_no_file(archive, archive_url, block):
    archive.commit_result(metadata(block))
    calibration = result_locator(RUN, 1)
    before = archive.committed(calibration)
    verdict = QaVerdict(QaFlag.FAIL, analyst="Another", score=0.0)
    for _ in range(2):
        archive.change_qa(calibration, run_id=RUN, verdict=verdict, qa_notes="QA_Status: Fail", status="Ready")
        assert archive.committed(calibration) == replace(before, qa_notes="QA_Status: Fail")
        state = (
            "SELECT qa_flag, qa_score, qa_analyst, updated_at > (SELECT ingested_at FROM calibration) FROM srdp_state"
        )
        assert select(archive_url, state) == [("Fail", 0.0, "Another", True)]
        assert select(archive_url, "SELECT calibration_status FROM execution_block") == [("Ready",)]
    archive.change_qa(calibration, run_id=RUN, verdict=verdict, qa_notes="x", status=None)
    assert select(archive_url, "SELECT calibration_status FROM execution_block") == [("Ready",)]


def test_a_verdict_on_no_calibration_is_refused(archive, archive_url):
    with pytest.raises(InvalidInput, match="The archive has no calibration uid://evla/calibration/"):
        archive.change_qa(result_locator(RUN, 1), run_id=RUN, verdict=QaVerdict(QaFlag.PASS), qa_notes="", status=None)
    assert archive.committed(result_locator(RUN, 1)) is None


# Cached measurement sets


def test_a_cached_measurement_set_is_recorded_and_forgotten(archive, archive_url, block):
    archive.commit_result(metadata(block))
    calibration = result_locator(RUN, 1)
    expires = datetime(2026, 12, 24, tzinfo=UTC)
    path = f"/cache/{RUN}/a 'b'.ms"
    for _ in range(2):
        archive.record_cached_measurement_set(calibration, path, expires)
        assert select(
            archive_url, "SELECT calibration_locator, path, expires_at FROM cached_measurement_set"
        ) == [(calibration, path, expires)]  # fmt: skip
    for _ in range(2):
        archive.forget_cached_measurement_set(calibration)
        assert select(archive_url, "SELECT * FROM cached_measurement_set") == []


def test_a_cached_measurement_set_of_no_calibration_is_refused(archive):
    with pytest.raises(InvalidInput, match="The archive has no calibration"):
        archive.record_cached_measurement_set(result_locator(RUN, 1), "/cache/a.ms", datetime.now(UTC))


@pytest.mark.parametrize(
    ("path", "when"),
    [("a.ms", datetime.now(UTC)), ("/a\0.ms", datetime.now(UTC)), ("/\udcff.ms", datetime.now(UTC)),
     ("/a.ms", datetime.now(UTC).replace(tzinfo=None))],
)  # fmt: skip
def test_what_is_no_path_or_no_time_does_not_reach_the_archive(archive, monkeypatch, path, when):
    monkeypatch.delenv("AIRFLOW_CONN_SRDP_ARCHIVE")
    with pytest.raises(InvalidInput):
        archive.record_cached_measurement_set(result_locator(RUN, 1), path, when)


# The reference schema and the statements


def test_an_older_archive_is_brought_up_to_date_and_keeps_what_it_has(settings, postgres, monkeypatch, as_connection):
    url = postgres.create_database(f"old_archive_{uuid.uuid4().hex}")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(OLD_SCHEMA.read_text())
        connection.execute("INSERT INTO project (project_code) VALUES ('13A-537')")
        connection.execute("INSERT INTO ngas_server VALUES ('one', %s, 'DSOC', 'DSOC')", (SERVER,))
    block = f"uid://evla/execblock/{uuid.uuid4()}"
    name = ingest(url, locator=block)
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_ARCHIVE", as_connection(url))
    hook = ArchiveHook(settings)
    with pytest.raises(SettingsError):
        hook.check_statements()
    for _ in range(2):
        apply_schema(url)
    hook.check_statements()
    hook.commit_result(metadata(block))
    assert hook.execution_block(name).calibration_status == "Calibrated"


def test_an_upgraded_archive_has_the_tables_of_a_new_one(postgres, archive_url):
    url = postgres.create_database(f"old_archive_{uuid.uuid4().hex}")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(OLD_SCHEMA.read_text())
    apply_schema(url)
    columns = (
        "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns "
        "WHERE table_schema = 'public' ORDER BY table_name, column_name"
    )
    assert select(url, columns) == select(archive_url, columns)


def test_two_that_apply_the_schema_at_once_do_not_disturb_each_other(postgres):
    url = postgres.create_database(f"new_archive_{uuid.uuid4().hex}")
    with ThreadPoolExecutor(4) as all_of_them:
        list(all_of_them.map(apply_schema, [url] * 4))


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ("ALTER TABLE file DROP COLUMN kind", r"statement (file_insert|files_of_calibration):"),
        ("DROP TABLE srdp_state", "statement srdp_state_upsert:"),
        ("DROP TABLE cached_measurement_set", "statement cached_measurement_set_delete:"),
        ("DROP TABLE reindex_request", "statement request_reindex:"),
    ],
)
def test_what_the_archive_lacks_is_named_with_the_statement_that_needs_it(archive, archive_url, damage, named):
    archive.check_statements()
    with psycopg.connect(archive_url) as connection:
        connection.execute(damage)
    with pytest.raises(SettingsError, match=named):
        archive.check_statements()


def test_a_right_that_is_missing_is_noticed_too(settings, archive, archive_url, postgres, monkeypatch):
    with psycopg.connect(postgres.superuser_url("archive"), autocommit=True) as connection:
        role = f"reader_{uuid.uuid4().hex}"
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
        connection.execute(f"GRANT CONNECT ON DATABASE archive TO {role}")
        connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    target = urllib.parse.urlsplit(archive_url)
    url = target._replace(netloc=f"{role}:secret@{target.hostname}:{target.port}").geturl()
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_ARCHIVE", url.replace("postgresql://", "postgres://"))
    ArchiveHook(settings).ingested_since(datetime.now(UTC))
    with pytest.raises(SettingsError, match="permission denied"):
        ArchiveHook(settings).check_statements()


def test_a_statement_that_cannot_be_explained_is_left_to_its_site(settings, archive, tmp_path):
    archive._statements._folder = _statements_with(settings, tmp_path, lock_project="-- Ours.\nLOCK TABLE project")
    archive.check_statements()
