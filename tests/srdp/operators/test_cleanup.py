"""Cleaning up on a real ledger, archive, NGAS server and file system."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import signal
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from tests.areas import entries, prepare
from tests.fetching import OneAnswer
from tests.ingesting import FILES, Observatory, fill_run_directory

from sandbox.ngas.server import NgasServer
from srdp.domain.archiving.metadata import ResultMetadata, proved_files
from srdp.domain.archiving.product_changes import describe_products
from srdp.domain.common.errors import Refused, ServiceUnavailable
from srdp.domain.ngas.client import FileCheck, NgasClient
from srdp.domain.qa.verdict import QaFlag, QaVerdict
from srdp.domain.runs.ledger_records import FileOfIngest, PipelineRun
from srdp.domain.runs.pipeline_run import RunDirectory
from srdp.domain.runs.retry import RequestRetryPolicy
from srdp.domain.runs.run_marker import make_marked
from srdp.domain.runs.states import TRANSITIONS, RunState
from srdp.families import ALMA, VLA, families, family_of, family_of_run
from srdp.hooks.archive import ArchiveHook
from srdp.hooks.ledger import Ledger
from srdp.hooks.ledger.database import Database
from srdp.operators.cleanup import CleanUpRunOperator
from srdp.services.removal.archive_proof import NotInArchive, prove_archived_run
from srdp.services.removal.remove_run import NotAllRemoved, remove_run

pytestmark = pytest.mark.servers

SENTENCE = (
    "The data products are not in the archive, please wait and try again. If failures are repeated, please file an SSA "
    "ticket."
)
PPR = b"<SciPipeRequest/>"


def clean_up(run: PipelineRun) -> None:
    CleanUpRunOperator(task_id="clean_up", pipeline_run_id=run.pipeline_run_id).execute(context(run.kind))


def context(kind: str) -> Any:
    return {"dag_run": SimpleNamespace(dag_id=family_of(kind).cleanup_dag)}


def give_ppr(observatory: Observatory, run: PipelineRun, directory: RunDirectory) -> None:
    directory.processing_request.write_bytes(PPR)
    observatory.ledger.runs.record_ppr(run.pipeline_run_id, hashlib.sha256(PPR).hexdigest())


@pytest.fixture
def archived(observatory: Observatory) -> PipelineRun:
    """A run as its ingest leaves it when all is done."""
    ledger, settings = observatory.ledger, observatory.settings
    run = observatory.open_run()
    run_id = run.pipeline_run_id
    directory = RunDirectory(settings.processing_area / run_id)
    make_marked(directory.root, run.marker)
    fill_run_directory(directory, run.subject)
    give_ppr(observatory, run, directory)
    for state in (RunState.FETCHING, RunState.PROCESSING, RunState.AWAITING_QA):
        ledger.runs.transition(run_id, state, event="of a test")
    ingest = ledger.ingests.claim(
        run_id, QaVerdict(QaFlag.PASS), dag_id="vla_qa_pass", dag_run_id="manual__pass", requested_by="analyst"
    )
    contents = {"calibration": b"a tar" * 1000, "weblog": b"a weblog" * 500}
    ids = {"calibration": calibration_id(run), "weblog": f"{run_id}.weblog.tgz"}
    files = [
        FileOfIngest(
            ngas_file_id=ids[kind], kind=kind, name=f"{kind}.tar", mime_type="application/x-tar",
            size_bytes=len(content), crc32=zlib.crc32(content),
        )
        for kind, content in contents.items()
    ]  # fmt: skip
    ledger.archived_files.record(ingest, files, describe_products(directory))
    for file in files:
        ledger.archived_files.mark_sent(file.ngas_file_id)
        ledger.archived_files.mark_proved(
            file.ngas_file_id, observatory.ngas.put(file.ngas_file_id, contents[file.kind])
        )
    ArchiveHook(settings).commit_result(
        ResultMetadata(
            begins=family_of_run(run.pipeline_run_id).result_locator,
            pipeline_run_id=run_id, ingest_number=1, belongs_to=run.locator, verdict=ingest.verdict, qa_notes="",
            files=proved_files(ledger.archived_files.of_ingest(ingest)),
            ngas_server=f"127.0.0.1:{observatory.ngas.port}",
            status="Calibrated",
        )
    )  # fmt: skip
    ledger.archived_files.mark_committed(ingest)
    ledger.ingests.finish(ingest, mails=[], details={}, supersede=True, seal=True, reindex_project=None)
    cached = observatory.cached(run)
    ledger.measurement_sets.record(run_id, str(cached), datetime.now(UTC) + timedelta(days=21))
    cached.parent.parent.mkdir()
    make_marked(cached.parent, run.marker)
    (directory.working / cached.name).rename(cached)
    make_marked(settings.spool_area / run_id, run.marker)
    (settings.spool_area / run_id / "casa-1.json").write_text("{}")
    return observatory.run(run)


def in_state(observatory: Observatory, state: RunState, *, ledger_url: str) -> PipelineRun:
    run = observatory.open_run()
    directory = RunDirectory(observatory.settings.processing_area / run.pipeline_run_id)
    make_marked(directory.root, run.marker)
    fill_run_directory(directory, run.subject)
    with psycopg.connect(ledger_url) as connection:
        connection.execute(
            "UPDATE pipeline_run SET state = %s WHERE pipeline_run_id = %s", (state, run.pipeline_run_id)
        )
    return observatory.run(run)


def places(observatory: Observatory, run: PipelineRun) -> list[Path]:
    settings = observatory.settings
    areas = (settings.processing_area, settings.qa_area, settings.spool_area)
    return [path for area in areas for path in area.iterdir() if run.pipeline_run_id in path.name]


# What the waiting runs of these tests have in products/.
_PRODUCTS = {VLA.kind: 8, ALMA.kind: 9}


def assert_untouched(observatory: Observatory, run: PipelineRun) -> None:
    assert observatory.run(run).state is RunState.ARCHIVED
    directory = observatory.settings.processing_area / run.pipeline_run_id
    assert places(observatory, run) == [directory, observatory.settings.spool_area / run.pipeline_run_id]
    assert sum(1 for _ in (directory / "products").iterdir()) == _PRODUCTS[run.kind]


def refused(observatory: Observatory, run: PipelineRun, caplog: pytest.LogCaptureFixture) -> str:
    """The log of a cleanup that must refuse with the sentence that people know."""
    with caplog.at_level(logging.ERROR), pytest.raises(AirflowFailException) as caught:
        clean_up(run)
    assert str(caught.value) == SENTENCE
    assert_untouched(observatory, run)
    return caplog.text


def calibration_id(run: PipelineRun) -> str:
    return f"{run.pipeline_run_id}.calibration.tar"


def test_what_the_archive_has_is_deleted_and_a_second_time_is_content(
    observatory: Observatory, archived: PipelineRun
) -> None:
    clean_up(archived)
    assert places(observatory, archived) == []
    assert (observatory.cached(archived) / "table.dat").exists()
    assert observatory.run(archived).state is RunState.CLEANED
    begun, removed = observatory.ledger.events.of_run(archived.pipeline_run_id)[-2:]
    assert (begun.event, begun.state_before, begun.state_after) == ("removal_begun", "archived", "cleaning")
    assert [file["file_id"] for file in begun.details["proved_in_archive"]] == [
        calibration_id(archived),
        f"{archived.pipeline_run_id}.weblog.tgz",
    ]
    assert removed.event == "removed"
    assert removed.details["bytes_freed"] > 100
    assert removed.details["left"] == []
    events = len(observatory.ledger.events.of_run(archived.pipeline_run_id))
    clean_up(archived)
    assert len(observatory.ledger.events.of_run(archived.pipeline_run_id)) == events


def test_it_is_found_wherever_it_is(observatory: Observatory, archived: PipelineRun) -> None:
    settings = observatory.settings
    (settings.processing_area / archived.pipeline_run_id).rename(settings.qa_area / archived.pipeline_run_id)
    clean_up(archived)
    assert places(observatory, archived) == []


def test_a_directory_that_is_wholly_gone_is_cleaned(observatory: Observatory, archived: PipelineRun) -> None:
    shutil.rmtree(observatory.settings.processing_area / archived.pipeline_run_id)
    clean_up(archived)
    assert observatory.run(archived).state is RunState.CLEANED


# The same of each family, as its ingest leaves it


@pytest.mark.parametrize("state", [RunState.SUPERSEDED, RunState.REJECTED, RunState.CLEANING])
def test_a_waiting_run_s_directory_that_was_given_a_discarded_run_s_name_is_not_deleted(
    observatory: Observatory, ledger_url: str, state: RunState
) -> None:
    thrown_away, waiting = in_state(observatory, state, ledger_url=ledger_url), observatory.waiting_run()
    shutil.rmtree(observatory.directory(thrown_away).root)
    place = observatory.settings.qa_area / thrown_away.pipeline_run_id
    observatory.directory(waiting).root.rename(place)
    with pytest.raises(AirflowFailException, match=r"is not the directory of .*nothing was removed"):
        clean_up(thrown_away)
    assert (place / "products" / "weblog.tgz").is_file()
    assert observatory.run(thrown_away).state is state
    place.rename(observatory.settings.qa_area / waiting.pipeline_run_id)
    clean_up(thrown_away)
    assert observatory.run(thrown_away).state is RunState.CLEANED
    assert observatory.directory(waiting).products.is_dir()


@pytest.fixture(params=families(), ids=lambda family: family.name)
def ingested(observatory: Observatory, request: pytest.FixtureRequest, tmp_path: Path) -> PipelineRun:
    """A run that was ingested, with a record in the spool; those of ALMA are in areas of their own."""
    areas = {name: tmp_path / name for name in ("alma_processing_area", "alma_qa_area")}
    observatory.change(**areas)
    prepare(observatory.settings)
    observatory.kind = request.param.kind
    run = observatory.waiting_run()
    give_ppr(observatory, run, observatory.directory(run))
    observatory.ingest(run)
    spool = observatory.settings.spool_area / run.pipeline_run_id
    make_marked(spool, run.marker)
    (spool / "casa-1.json").write_text("{}")
    return observatory.run(run)


def test_of_each_family_nothing_is_deleted_while_one_file_is_not_proved(
    observatory: Observatory, ingested: PipelineRun
) -> None:
    for file_id, _ in observatory.stored(ingested):
        observatory.ngas.faults.add("offline", command="CHECKFILE", file_id=file_id)
        with pytest.raises(AirflowFailException) as caught:
            clean_up(ingested)
        assert str(caught.value) == SENTENCE
        assert observatory.directory(ingested).products.is_dir()
        observatory.ngas.faults.clear()
    assert observatory.run(ingested).state is RunState.ARCHIVED


def test_each_family_goes_wholly(observatory: Observatory, ingested: PipelineRun) -> None:
    clean_up(ingested)
    areas = observatory.settings.areas
    everywhere = [path for root in (*areas.roots, areas.spool) for path in entries(root)]
    left = [path for path in everywhere if ingested.pipeline_run_id in path.name]
    assert (left, observatory.run(ingested).state) == ([], RunState.CLEANED)
    proved = observatory.ledger.events.of_run(ingested.pipeline_run_id)[-2].details["proved_in_archive"]
    assert {file["file_id"] for file in proved} == {file_id for file_id, _ in observatory.stored(ingested)}
    assert len(proved) == FILES[ingested.kind]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda root: next((root / "products").glob("*.fits")).write_bytes(b"other"), "not those that were archived"),
        (lambda root: (root / "working" / "out").symlink_to("/usr"), "lead out"),
        (lambda root: (root / "working" / "PPR.xml").write_bytes(b"<x/>"), "is not the directory of"),
    ],
    ids=["product", "link", "PPR"],
)
def test_of_each_family_only_what_was_archived_is_deleted(
    observatory: Observatory, ingested: PipelineRun, damage: Callable[[Path], object], said: str
) -> None:
    damage(observatory.directory(ingested).root)
    assert said in sentence_of_a_refusal(observatory, ingested)


def test_a_run_of_another_family_is_refused_with_the_dag_that_is_for_it(
    observatory: Observatory, ingested: PipelineRun
) -> None:
    (other,) = (family.kind for family in families() if family.kind != ingested.kind)
    with pytest.raises(AirflowFailException, match=f"trigger {family_of(ingested.kind).cleanup_dag} with it"):
        CleanUpRunOperator(task_id="clean_up", pipeline_run_id=ingested.pipeline_run_id).execute(context(other))
    assert observatory.directory(ingested).products.is_dir()


# The ways in which NGAS is


@pytest.mark.parametrize(
    ("are", "said"),
    [("corrupt_stored", "corrupt"), ("truncate_stored", "corrupt"), ("delete_stored", "its file is gone from there")],
)
@pytest.mark.parametrize("ending", ["calibration.tar", "weblog.tgz"])
def test_a_success_on_a_file_that_is_corrupt_cut_off_or_gone_deletes_nothing(
    observatory: Observatory, archived: PipelineRun, caplog: pytest.LogCaptureFixture, are: str, said: str, ending: str
) -> None:
    file_id = f"{archived.pipeline_run_id}.{ending}"
    observatory.ngas.faults.add(are, command="CHECKFILE", file_id=file_id, times=1)
    log = refused(observatory, archived, caplog)
    assert f"{file_id} version 1: " in log
    assert said in log


@pytest.fixture
def damaged_copy(observatory: Observatory, archived: PipelineRun) -> Path:
    """Where a damaged copy of the run's calibration is, beside a good one; CHECKFILE looks at that one."""
    store = observatory.ngas.store
    good = store.copies(calibration_id(archived))[0]
    bad = store.path(store.copy(good, store.path(good), store.volumes[1]))
    bad.write_bytes(b"!" + bad.read_bytes()[1:])
    assert NgasClient(f"127.0.0.1:{observatory.ngas.port}").check_file(good.file_id, 1) is FileCheck.INTACT
    return bad


def damage_reported(observatory: Observatory, run: PipelineRun) -> list[dict[str, Any]]:
    """What the events report damaged copies; each has a mail to the operators."""
    reported = [
        event.details
        for event in observatory.ledger.events.of_run(run.pipeline_run_id)
        if event.event == "ngas_copy_damaged"
    ]
    mails = [
        mail for mail in observatory.ledger.outbox.mails(run.pipeline_run_id) if mail.key.startswith("copy_damaged_")
    ]
    assert len(mails) == len(reported)
    assert {mail.recipients for mail in mails} <= {observatory.settings.operations_managers}
    return reported


def test_a_damaged_copy_beside_a_good_one_deletes_nothing_until_it_is_repaired(
    observatory: Observatory, archived: PipelineRun, damaged_copy: Path
) -> None:
    for _ in range(2):
        with pytest.raises(
            AirflowFailException, match=r"damaged copy beside a good one of .* on disk 'sandbox-volume-2'"
        ):
            clean_up(archived)
    assert_untouched(observatory, archived)
    (reported,) = damage_reported(observatory, archived)
    assert reported["found_by"] == "removal"
    assert [(copy["file_id"], copy["disk_id"]) for copy in reported["copies"]] == [
        (calibration_id(archived), "sandbox-volume-2")
    ]
    damaged_copy.write_bytes(b"a tar" * 1000)
    clean_up(archived)
    assert observatory.run(archived).state is RunState.CLEANED
    assert len(damage_reported(observatory, archived)) == 1


def test_a_setting_says_that_one_good_copy_is_enough_and_the_damaged_one_is_notified_of_all_the_same(
    observatory: Observatory, archived: PipelineRun, damaged_copy: Path
) -> None:
    observatory.change(one_good_copy_is_enough=True)
    clean_up(archived)
    assert observatory.run(archived).state is RunState.CLEANED
    assert len(damage_reported(observatory, archived)) == 1
    assert damaged_copy.is_file()


def test_a_copy_on_a_node_that_is_away_is_waited_for(
    observatory: Observatory, archived: PipelineRun, tmp_path: Path
) -> None:
    ngas = observatory.ngas
    with NgasServer(tmp_path / "far", cluster=ngas, volumes=("far-1",)) as far:
        good = ngas.store.copies(calibration_id(archived))[0]
        far.store.copy(good, ngas.store.path(good), "far-1")
    with pytest.raises(
        AirflowException, match=r"is not deleted now: .*'far-1'.*the node that has the disk is away"
    ) as no:
        clean_up(archived)
    assert not isinstance(no.value, AirflowFailException)  # it is tried again
    assert_untouched(observatory, archived)
    assert damage_reported(observatory, archived) == []
    with NgasServer(tmp_path / "far", cluster=ngas, volumes=("far-1",)):
        clean_up(archived)
    assert observatory.run(archived).state is RunState.CLEANED


def test_somebody_elses_version_2_deletes_nothing(
    observatory: Observatory, archived: PipelineRun, caplog: pytest.LogCaptureFixture
) -> None:
    observatory.ngas.put(calibration_id(archived), b"somebody else's")
    assert "holds something else" in refused(observatory, archived, caplog)


def test_another_size_than_recorded_deletes_nothing(
    observatory: Observatory, archived: PipelineRun, caplog: pytest.LogCaptureFixture, ledger_url: str
) -> None:
    # Cut off before NGAS recorded it: consistent, good by its own checksum, and not what we had.
    with psycopg.connect(ledger_url) as connection:
        connection.execute("UPDATE archived_file SET size_bytes = size_bytes + 1 WHERE kind = 'calibration'")
    with psycopg.connect(observatory.archive_url) as archive:
        archive.execute("UPDATE file SET size = size + 1 WHERE kind = 'calibration'")
    log = refused(observatory, archived, caplog)
    assert "holds something else" in log
    assert calibration_id(archived) in log


@pytest.mark.parametrize("fault", ["busy", "offline", "empty_reply", "reply_lost"])
def test_no_reply_is_no_proof(
    observatory: Observatory, archived: PipelineRun, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    observatory.ngas.faults.add(fault)
    log = refused(observatory, archived, caplog)
    assert all(f"{name} version 1: " in log for name in (calibration_id(archived), "weblog.tgz"))


def test_a_server_that_is_away_is_no_proof(
    observatory: Observatory, archived: PipelineRun, caplog: pytest.LogCaptureFixture
) -> None:
    observatory.ngas.__exit__(None, None, None)
    refused(observatory, archived, caplog)


def test_a_server_that_the_archive_names_and_nobody_has_listed_is_asked_nothing(
    observatory: Observatory, archived: PipelineRun
) -> None:
    with OneAnswer(host="127.0.0.2") as foreign, psycopg.connect(observatory.archive_url) as archive:
        archive.execute("UPDATE ngas_server SET address = %s", (foreign.name,))
        archive.commit()
        with pytest.raises(AirflowFailException, match=f"{foreign.name}, which the archive's database names") as caught:
            clean_up(archived)
        assert foreign.asked == []
    assert "allowed_hosts in the extra of the Airflow connection srdp_ngas" in str(caught.value)
    assert_untouched(observatory, archived)


def test_the_proof_is_asked_for_each_time(
    observatory: Observatory, archived: PipelineRun, caplog: pytest.LogCaptureFixture
) -> None:
    observatory.ngas.faults.add("delete_stored", command="CHECKFILE", file_id=calibration_id(archived), times=1)
    refused(observatory, archived, caplog)
    refused(observatory, archived, caplog)


# The archive's database


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM file WHERE kind = 'weblog'", "weblog.tgz"),
        ("UPDATE file SET checksum = '7' WHERE kind = 'calibration'", "calibration.tar"),
        ("UPDATE file SET size = 7 WHERE kind = 'calibration'", "calibration.tar"),
        ("UPDATE file SET version = 2 WHERE kind = 'calibration'", "calibration.tar"),
        ("TRUNCATE calibration CASCADE", "no such calibration"),
    ],
)
def test_missing_metadata_deletes_nothing(
    observatory: Observatory, archived: PipelineRun, caplog: pytest.LogCaptureFixture, statement: str, said: str
) -> None:
    with psycopg.connect(observatory.archive_url) as archive:
        archive.execute(statement)
    assert said in refused(observatory, archived, caplog)


def test_images_of_which_the_archive_reports_nothing_are_not_deleted(
    observatory: Observatory, caplog: pytest.LogCaptureFixture
) -> None:
    observatory.kind = ALMA.kind
    run = observatory.waiting_run()
    give_ppr(observatory, run, observatory.directory(run))
    observatory.ingest(run)
    for product in ("ancillary", "science"):
        with psycopg.connect(observatory.archive_url) as archive:
            (name,) = archive.execute(
                "SELECT min(relative_path) FROM image WHERE product = %s", (product,)
            ).fetchone() or ("",)
            kept = archive.execute("SELECT * FROM image WHERE relative_path = %s", (name,)).fetchone() or ()
            archive.execute("DELETE FROM image WHERE relative_path = %s", (name,))
        assert f"but no details of {name}." in refused(observatory, run, caplog)
        with psycopg.connect(observatory.archive_url) as archive:
            archive.execute(f"INSERT INTO image VALUES ({', '.join(['%s'] * len(kept))})", kept)  # noqa: S608
    clean_up(run)


def test_an_archive_that_is_away_is_no_proof(
    observatory: Observatory,
    archived: PipelineRun,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from srdp.hooks import postgres

    monkeypatch.setattr(postgres, "DATABASE", RequestRetryPolicy(attempts=4, first_wait_seconds=0.01))
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_ARCHIVE", "postgres://u:p@127.0.0.1:9/archive")
    assert "The archive's database" in refused(observatory, archived, caplog)


# What the ledger knows


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DELETE FROM archived_file", "put no file into NGAS"),
        ("UPDATE archived_file SET ngas_version = NULL WHERE kind = 'weblog'", "never proved"),
        ("UPDATE archived_file SET proved_at = NULL WHERE kind = 'weblog'", "never proved"),
        ("UPDATE ingest SET committed_at = NULL", "no ingest"),
        ("UPDATE ingest SET withdrawn_at = now()", "no ingest"),
    ],
)
def test_an_ingest_that_proves_nothing_deletes_nothing(
    observatory: Observatory,
    archived: PipelineRun,
    caplog: pytest.LogCaptureFixture,
    ledger_url: str,
    statement: str,
    said: str,
) -> None:
    with psycopg.connect(ledger_url) as connection:
        connection.execute(statement)
    assert said in refused(observatory, archived, caplog)


def test_without_ngas_nothing_is_ever_deleted(observatory: Observatory, caplog: pytest.LogCaptureFixture) -> None:
    observatory.change(ngas_ingest=False)
    run = observatory.waiting_run()
    give_ppr(observatory, run, observatory.directory(run))
    observatory.ingest(run)
    assert observatory.run(run).state is RunState.ARCHIVED
    with caplog.at_level(logging.ERROR), pytest.raises(AirflowFailException) as caught:
        clean_up(run)
    assert str(caught.value) == SENTENCE
    assert observatory.directory(run).products.is_dir()


# What is there


def sentence_of_a_refusal(observatory: Observatory, run: PipelineRun) -> str:
    with pytest.raises(AirflowFailException) as caught:
        clean_up(run)
    assert observatory.run(run).state is RunState.ARCHIVED
    assert observatory.directory(run).products.is_dir()
    return str(caught.value)


@pytest.mark.parametrize("change", ["added", "removed", "changed"])
def test_products_that_changed_since_the_ingest_are_kept(
    observatory: Observatory, archived: PipelineRun, change: str
) -> None:
    products = observatory.directory(archived).products
    if change == "added":
        (products / "mine.txt").write_text("of an analyst")
    elif change == "removed":
        (products / "pipeline_aquareport.xml").unlink()
    else:
        (products / "pipeline_aquareport.xml").write_text("<REPORT/>")
    name = "mine.txt" if change == "added" else "pipeline_aquareport.xml"
    said = sentence_of_a_refusal(observatory, archived)
    assert "not those that were archived" in said
    assert name in said


def test_every_change_is_in_the_log(
    observatory: Observatory, archived: PipelineRun, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(5):
        (observatory.directory(archived).products / f"mine{number}").write_text("x")
    with caplog.at_level(logging.ERROR):
        assert "And 2 more" in sentence_of_a_refusal(observatory, archived)
    assert all(f"mine{number}" in caplog.text for number in range(5))


def test_links_that_lead_out_are_refused(observatory: Observatory, archived: PipelineRun, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    link = observatory.directory(archived).working / "out"
    link.symlink_to(precious)
    said = sentence_of_a_refusal(observatory, archived)
    assert "lead out" in said
    assert str(link) in said
    link.unlink()
    clean_up(archived)
    assert precious.is_dir()


def test_a_directory_that_only_has_the_runs_name_is_refused(observatory: Observatory, archived: PipelineRun) -> None:
    observatory.directory(archived).processing_request.write_bytes(b"<SciPipeRequest> </SciPipeRequest>")
    assert "is not the directory of" in sentence_of_a_refusal(observatory, archived)


def test_each_of_two_directories_is_looked_at(observatory: Observatory, archived: PipelineRun) -> None:
    make_marked(observatory.settings.qa_area / archived.pipeline_run_id, archived.marker)
    with pytest.raises(AirflowFailException, match="is not the directory of"):
        clean_up(archived)
    assert (observatory.settings.processing_area / archived.pipeline_run_id / "products").is_dir()


def test_a_symbolic_link_in_its_place_is_refused(
    observatory: Observatory, archived: PipelineRun, tmp_path: Path
) -> None:
    root = observatory.directory(archived).root
    root.rename(tmp_path / "elsewhere")
    root.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AirflowFailException, match="a symbolic link"):
        clean_up(archived)
    assert observatory.run(archived).state is RunState.ARCHIVED
    assert (tmp_path / "elsewhere" / "products").is_dir()


def test_a_measurement_set_that_is_promised_to_users_is_not_deleted(observatory: Observatory) -> None:
    run = observatory.waiting_run()
    give_ppr(observatory, run, observatory.directory(run))
    observatory.ingest(run, end="finish_ingest")
    assert "is to be moved to" in sentence_of_a_refusal(observatory, run)
    observatory.step("keep_products", run)
    clean_up(run)
    assert (observatory.cached(run) / "table.dat").exists()
    assert places(observatory, run) == []


# What analysts wrote for themselves


def test_an_analysts_own_files_are_named_and_go_a_day_later(
    observatory: Observatory, archived: PipelineRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, run_id = observatory.directory(archived), archived.pipeline_run_id

    def refused(*names: str) -> None:
        with pytest.raises(AirflowFailException, match="is not removed yet: somebody's own files") as caught:
            clean_up(archived)
        assert [name for name in names if repr(name) not in str(caught.value)] == []
        assert observatory.run(archived).state is RunState.ARCHIVED

    write_later(directory.working / "selfcal.py")
    refused("working/selfcal.py")
    refused("working/selfcal.py")
    write_later(directory.root / "notes.txt")
    refused("working/selfcal.py", "notes.txt")
    named = [event for event in observatory.ledger.events.of_run(run_id) if event.event == "own_files_named"]
    assert [event.details["files"] for event in named] == [["working/selfcal.py"], ["notes.txt", "working/selfcal.py"]]
    now = Ledger.now
    monkeypatch.setattr(Ledger, "now", lambda ledger: now(ledger) + timedelta(hours=22, minutes=58))
    refused("working/selfcal.py", "notes.txt")
    monkeypatch.setattr(Ledger, "now", lambda ledger: now(ledger) + timedelta(hours=23))
    clean_up(archived)
    assert observatory.run(archived).state is RunState.CLEANED


def write_later(path: Path) -> None:
    """Write a file some time after what the ledger knows, whatever the two clocks are to each other."""
    path.touch()
    later = time.time() + 3600
    os.utime(path, (later, later))


# Killed in the middle


def killed_at(observatory: Observatory, run: PipelineRun, number: int, *, after: bool) -> bool:
    """Clean up in a process of its own, which is killed before or after its n-th transaction of the ledger.

    Returns whether there was one.
    """
    child = os.fork()
    if child == 0:
        real, count = Database.transact, 0

        def counted(*arguments: Any, **options: Any) -> object:
            nonlocal count
            count += 1
            if count == number and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = real(*arguments, **options)
            if count == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        try:
            Database.transact = counted  # type: ignore[method-assign]
            remove_run(observatory.of_run(run))
        except BaseException:  # noqa: BLE001  the child must end here, whatever happened
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("after", [False, True])
def test_killed_around_any_transaction_the_next_call_finishes(
    observatory: Observatory, archived: PipelineRun, ledger_url: str, after: bool, tmp_path: Path
) -> None:
    run_id = archived.pipeline_run_id
    keep = tmp_path / "keep"
    root = observatory.directory(archived).root
    shutil.copytree(root, keep, symlinks=True)
    number, ends = 1, set()
    while killed_at(observatory, archived, number, after=after):
        state = observatory.run(archived).state
        ends.add((state, root.exists()))
        assert root.exists() or state is not RunState.ARCHIVED, "deleted before it was written down"
        clean_up(archived)
        assert (observatory.run(archived).state, places(observatory, archived)) == (RunState.CLEANED, [])
        with psycopg.connect(ledger_url) as connection:
            connection.execute("UPDATE pipeline_run SET state = 'archived' WHERE pipeline_run_id = %s", (run_id,))
        shutil.copytree(keep, root, symlinks=True)
        number += 1
    assert {(RunState.ARCHIVED, True), (RunState.CLEANED if after else RunState.CLEANING, False)} <= ends


@pytest.mark.parametrize("hidden", [False, True])
def test_what_was_begun_is_only_finished(
    observatory: Observatory, archived: PipelineRun, hidden: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Killed after `cleaning`: what is hidden was proved; what still stands there whole is proved again."""
    observatory.ledger.runs.transition(archived.pipeline_run_id, RunState.CLEANING, event="removal_begun")
    root = observatory.settings.processing_area / archived.pipeline_run_id
    if hidden:
        (root / "products" / "weblog.tgz").unlink()
        root.rename(root.with_name(f".{root.name}.removed"))
    observatory.ngas.faults.add("busy")
    if hidden:
        clean_up(archived)
        assert places(observatory, archived) == []
        assert observatory.run(archived).state is RunState.CLEANED
        return
    with pytest.raises(AirflowFailException) as caught:
        clean_up(archived)
    assert str(caught.value) == SENTENCE
    assert observatory.run(archived).state is RunState.CLEANING
    assert (root / "products").is_dir()
    observatory.ngas.faults.clear()
    clean_up(archived)
    assert observatory.run(archived).state is RunState.CLEANED


# States


@pytest.mark.parametrize("state", [RunState.REJECTED, RunState.SUPERSEDED, RunState.CLEANING])
def test_what_was_discarded_is_deleted_without_a_proof(
    observatory: Observatory, ledger_url: str, state: RunState
) -> None:
    run = in_state(observatory, state, ledger_url=ledger_url)
    clean_up(run)
    assert places(observatory, run) == []
    assert observatory.run(run).state is RunState.CLEANED
    assert observatory.ngas.requests.count("CHECKFILE") == 0


@pytest.mark.parametrize(
    "state",
    [
        *(state for state in RunState if RunState.CLEANING not in TRANSITIONS[state] and "clean" not in state),
        RunState.FAILED,
        RunState.CANCELLED,
    ],
)
def test_no_other_state_is_cleaned_up(observatory: Observatory, ledger_url: str, state: RunState) -> None:
    run = in_state(observatory, state, ledger_url=ledger_url)
    with pytest.raises(AirflowFailException, match=f"{run.pipeline_run_id} is (in state )?{state}"):
        clean_up(run)
    assert observatory.run(run).state is state
    assert (observatory.settings.processing_area / run.pipeline_run_id / "products").is_dir()


@pytest.mark.parametrize("hostile", ["", "..", "../qa", "vla-20260101-000000-aaaa", "x; reboot"])
def test_only_a_known_pipeline_run_is_cleaned_up(observatory: Observatory, hostile: str) -> None:
    with pytest.raises(AirflowFailException):
        CleanUpRunOperator(task_id="clean_up", pipeline_run_id=hostile).execute({})


# The helper, as others call it


@pytest.mark.parametrize("state", [RunState.FAILED, RunState.CANCELLED])
def test_what_has_expired_is_removed(observatory: Observatory, ledger_url: str, state: RunState) -> None:
    run = in_state(observatory, state, ledger_url=ledger_url)
    removal = remove_run(observatory.of_run(run))
    assert removal.bytes_freed > 0
    assert observatory.run(run).state is RunState.CLEANED


def test_nobody_removes_an_archived_run_without_the_proof(observatory: Observatory, archived: PipelineRun) -> None:
    observatory.ngas.faults.add("delete_stored", command="CHECKFILE", file_id=calibration_id(archived), times=1)
    with pytest.raises(NotInArchive):
        remove_run(observatory.of_run(archived))
    assert_untouched(observatory, archived)


def test_the_state_is_read_again(observatory: Observatory, archived: PipelineRun) -> None:
    """What was superseded when somebody looked, and is archived now, needs the proof."""
    observatory.ngas.faults.add("delete_stored", command="CHECKFILE", file_id=calibration_id(archived), times=1)
    with pytest.raises(NotInArchive):
        remove_run(observatory.of_run(replace(archived, state=RunState.SUPERSEDED)))
    assert_untouched(observatory, archived)


@pytest.mark.parametrize("state", [RunState.AWAITING_QA, RunState.INGEST_FAILED, RunState.PROCESSING])
def test_what_somebody_still_wants_is_not_removed(observatory: Observatory, ledger_url: str, state: RunState) -> None:
    run = in_state(observatory, state, ledger_url=ledger_url)
    with pytest.raises(Refused, match=str(state)):
        remove_run(observatory.of_run(run))
    assert observatory.directory(run).products.is_dir()


@pytest.mark.parametrize("state", [RunState.CREATED, RunState.FETCHING])
def test_a_run_whose_raw_data_a_rerun_takes_is_kept_meanwhile(
    observatory: Observatory, ledger_url: str, state: RunState
) -> None:
    run = in_state(observatory, RunState.SUPERSEDED, ledger_url=ledger_url)
    rerun = observatory.ledger.runs.open(
        kind=run.kind, subject=run.subject, project=run.project, locator=run.locator, dag_id="vla_rerun",
        dag_run_id="manual__rerun", requested_by="analyst", recipe="vla_calibration", cores=1, memory_gb=1,
        former_run=run.pipeline_run_id,
    )  # fmt: skip
    if state is RunState.FETCHING:
        observatory.ledger.runs.transition(rerun.pipeline_run_id, state, event="begun")
    with pytest.raises(AirflowFailException, match=rerun.pipeline_run_id):
        clean_up(run)
    assert observatory.run(run).state is RunState.SUPERSEDED
    if state is RunState.CREATED:
        observatory.ledger.runs.transition(rerun.pipeline_run_id, RunState.FETCHING, event="begun")
    observatory.ledger.runs.transition(rerun.pipeline_run_id, RunState.PROCESSING, event="fetched")
    clean_up(run)
    assert observatory.run(run).state is RunState.CLEANED


def test_what_could_not_be_removed_is_reported_recorded_and_tried_again(
    observatory: Observatory, ledger_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = in_state(observatory, RunState.REJECTED, ledger_url=ledger_url)
    real = os.unlink

    # Root may delete everything, so the operating system's refusal is played.
    def busy(name: str, *, dir_fd: int) -> None:
        if name.endswith((".tgz", ".txt")):
            raise OSError(16, "Device or resource busy", name)
        real(name, dir_fd=dir_fd)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", busy)
        with caplog.at_level(logging.ERROR), pytest.raises(NotAllRemoved, match="Device or resource busy") as caught:
            remove_run(observatory.of_run(run))
    left = caught.value.removal.left
    assert len(left) == 5
    assert all(str(one.path) in caplog.text for one in left)
    assert observatory.run(run).state is RunState.CLEANING
    event = observatory.ledger.events.of_run(run.pipeline_run_id)[-1]
    assert (event.event, event.details["left_in_all"]) == ("removal_incomplete", 5)
    assert event.details["left"][0]["why"] == "Device or resource busy"
    remove_run(observatory.of_run(run))
    assert observatory.run(run).state is RunState.CLEANED


def test_an_area_that_is_away_is_tried_again(observatory: Observatory, archived: PipelineRun) -> None:
    shutil.rmtree(observatory.settings.qa_area)
    with pytest.raises(ServiceUnavailable):
        remove_run(observatory.of_run(archived))
    assert observatory.run(archived).state is RunState.ARCHIVED


def test_a_run_that_is_proved_is_proved_with_its_files(observatory: Observatory, archived: PipelineRun) -> None:
    proofs = prove_archived_run(observatory.of_run(archived))
    assert {(proof.file.file_id, proof.file.version) for proof in proofs} == set(observatory.stored(archived))
    assert observatory.run(archived).state is RunState.ARCHIVED


def test_a_measurement_set_that_expired_from_the_cache_hinders_nothing(
    observatory: Observatory, archived: PipelineRun
) -> None:
    observatory.cached(archived).rename(observatory.directory(archived).working / f"{archived.subject}.ms")
    observatory.ledger.measurement_sets.mark_removed(archived.pipeline_run_id)
    clean_up(archived)
    assert observatory.run(archived).state is RunState.CLEANED
