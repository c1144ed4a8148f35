"""SIGKILL to real processes at observed moments of an ingest and of a cleanup.

Whatever is killed: after the DAG run continued, or the verdict was given again, there is one tar, one weblog and one
calibration, each with the checksum that was recorded before its first byte was sent.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path

import pytest
from tests.e2e.site import DagRun, Site
from tests.e2e.site_tools import is_alive, play_at_once, until
from tests.e2e.site_verdict import Verdict, prepare, wait_for_dags, waiting
from tests.programs.casa_contract import ContractCasa

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(900)]

# More than the buffers of a connection hold: when its sender is killed, not all of it is on its way.
_LARGE = 24_000_000
# Bytes a second: what is in the buffers then is read within half a minute, the time that a server is given to settle.
_SLOW = 400_000
# So many that their removal can be seen and stopped in the middle.
_MANY_FILES = 30_000


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    until("its end", lambda: not is_alive(pid))


def add_large_product(verdict: Verdict) -> None:
    """... as an analyst may: what is in ``products/`` is archived."""
    path = verdict.run.directory("qa") / "products" / "large.of.the.analyst.dat"
    path.write_bytes(os.urandom(_LARGE))


def until_bytes_flow(verdict: Verdict) -> None:
    """Return when NGAS has received some bytes of the calibration's tar, and not all."""
    tar = verdict.run.directory("spool") / verdict.ids[0]

    def flow() -> bool:
        return tar.is_file() and any(_begins(path, tar) for path in staging.iterdir())

    staging = verdict.site.instance.places.ngas / "staging"
    verdict.run.until("bytes flow into NGAS", flow, poll=0.05)


def _begins(part: Path, whole: Path) -> bool:
    try:
        with part.open("rb") as received, whole.open("rb") as sent:
            beginning = received.read(4096)
            return len(beginning) > 1000 and sent.read(len(beginning)) == beginning
    except FileNotFoundError:
        return False


def ends_archived(verdict: Verdict, dag_run: DagRun) -> None:
    """The DAG run continues by itself, and everything is there once."""
    dag_run.check_success()
    verdict.check_archived()
    (ingest,) = verdict.ingests()
    assert ingest["tries"] == 1


# --- what is done to one run, and disturbs no other: all of it at once ------------------------------------------------


def the_claim_is_killed(site: Site) -> None:
    verdict = waiting(site, "KILL-A")
    with verdict.run.locked():
        dag_run = verdict.passes()
        kill(dag_run.until_locked_out("claim_ingest"))
    assert (verdict.run.state, verdict.ingests()) == ("awaiting_qa", [])
    ends_archived(verdict, dag_run)
    assert dag_run.task("claim_ingest")["try_number"] == 2


def packing_is_killed_when_the_tar_lies_there_and_nobody_knows_it(site: Site) -> None:
    verdict = waiting(site, "KILL-B")
    tar = verdict.run.directory("spool") / verdict.ids[0]
    dag_run = verdict.passes()
    verdict.run.until("the claim", verdict.ingests, poll=0.05)
    with site.ledger.locked("SELECT FROM ingest WHERE pipeline_run_id = %(id)s FOR UPDATE", id=verdict.run.id):
        pid = dag_run.until_locked_out("pack_products")
        packed = tar.read_bytes()
        kill(pid)
        assert verdict.recorded_files() == {}
    ends_archived(verdict, dag_run)
    assert dag_run.task("pack_products")["try_number"] == 2
    # Packed again, it has the same bytes.
    assert verdict.ngas.bytes_of(verdict.ids[0], 1) == packed


def the_upload_is_killed_when_not_all_and_when_all_is_on_its_way(site: Site) -> None:
    """... of which the first stores nothing, and the second stores it although its sender is dead."""
    verdict = waiting(site, "KILL-C")
    add_large_product(verdict)
    site.faults.add(verdict.run.id, "slow", number="calibration.tar", command="ARCHIVE", rate=_SLOW, times=1)
    site.faults.add(verdict.run.id, "slow_commit", number="weblog.tgz", command="ARCHIVE", seconds=6, times=1)
    dag_run = verdict.passes()
    until_bytes_flow(verdict)
    recorded = verdict.recorded_files()
    kill(dag_run.process("archive_products"))
    assert verdict.ngas.versions(verdict.run.id) == []
    weblog = (verdict.run.directory("qa") / "products" / "weblog.tgz").read_bytes()
    verdict.run.until("NGAS has received the weblog", lambda: weblog in _received(verdict), poll=0.05)
    pid = dag_run.process("archive_products", attempt=2)
    kill(pid)
    ends_archived(verdict, dag_run)
    assert dag_run.task("archive_products")["try_number"] == 3
    assert [file["crc32"] for file in verdict.recorded_files().values()] == [
        file["crc32"] for file in recorded.values()
    ]
    # The tar was sent twice, of which one was cut off; the weblog, which arrived without its sender, once.
    assert sorted(verdict.sent()) == [verdict.ids[0], verdict.ids[0], verdict.ids[1]]


def _received(verdict: Verdict) -> list[bytes]:
    staging = verdict.site.instance.places.ngas / "staging"
    return [path.read_bytes() for path in staging.iterdir() if path.stat().st_size < _LARGE]


def the_archives_transaction_is_killed_before_and_after_its_commit(site: Site) -> None:
    verdict = waiting(site, "KILL-D")
    block = verdict.run.block
    # The status is set last: everything else has been written when the lock stops the transaction.
    statement = "SELECT FROM execution_block WHERE locator = %(block)s FOR NO KEY UPDATE"
    with site.archive.locked(statement, block=block.locator):
        dag_run = verdict.passes()
        kill(dag_run.until_locked_out("write_archive_metadata", of=site.archive))
        verdict.check_not_archived()
    with site.ledger.locked("SELECT FROM ingest WHERE pipeline_run_id = %(id)s FOR UPDATE", id=verdict.run.id):
        pid = dag_run.until_locked_out("write_archive_metadata", attempt=2)
        assert len(verdict.archive.made()) == 1
        assert verdict.ingests()[0]["committed_at"] is None
        kill(pid)
    ends_archived(verdict, dag_run)
    assert dag_run.task("write_archive_metadata")["try_number"] == 3


def finishing_is_killed(site: Site) -> None:
    verdict = waiting(site, "KILL-E")
    dag_run = verdict.passes()
    verdict.run.until_state("ingesting")
    with site.ledger.locked("SELECT FROM request WHERE subject = %(eb)s FOR UPDATE", eb=verdict.run.block.name):
        pid = dag_run.until_locked_out("finish_ingest")
        assert len(verdict.archive.made()) == 1
        kill(pid)
        assert (verdict.run.state, verdict.is_sealed()) == ("ingesting", False)
    ends_archived(verdict, dag_run)
    assert dag_run.task("finish_ingest")["try_number"] == 2


def keeping_is_killed_between_the_cache_and_the_move(site: Site) -> None:
    verdict = waiting(site, "KILL-F")
    dag_run = verdict.passes()
    (calibration,) = verdict.run.until("the calibration", verdict.archive.made, poll=0.05)
    statement = "SELECT FROM calibration WHERE locator = %(locator)s FOR UPDATE"
    with site.archive.locked(statement, locator=calibration["locator"]):
        pid = dag_run.until_locked_out("keep_products", of=site.archive)
        assert verdict.cached.is_dir()
        assert not verdict.measurement_set.exists()
        assert verdict.run.directories() == [verdict.run.directory("qa")]
        kill(pid)
    ends_archived(verdict, dag_run)
    assert dag_run.task("keep_products")["try_number"] == 2


def cleanup_is_killed_before_the_decision_and_in_the_middle_of_the_action(site: Site) -> None:
    verdict = waiting(site, "KILL-G")
    many = verdict.run.directory("qa") / "rawdata" / "many"
    many.mkdir()
    for number in range(_MANY_FILES):
        (many / str(number)).touch()
        # As old as raw data are: not somebody's own files, which would be named a day before.
        os.utime(many / str(number), (0, 0))
    ends_archived(verdict, verdict.passes())
    directory = verdict.run.directory("processing")
    with verdict.run.locked():
        cleanup = verdict.cleans_up()
        kill(cleanup.until_locked_out("clean_up"))
        assert (directory / "working" / "PPR.xml").is_file()
    assert verdict.run.state == "archived"
    pid = cleanup.process("clean_up", attempt=2)
    until("the removal", lambda: not directory.exists(), poll_seconds=0.005, story=cleanup.story)
    os.kill(pid, signal.SIGSTOP)
    (hidden,) = verdict.run.directories()
    kill(pid)
    assert hidden.name.startswith(".")
    assert verdict.run.state == "cleaning"
    cleanup.check_success()
    verdict.check_cleaned()


SCENARIOS: list[Callable[[Site], None]] = [
    the_claim_is_killed,
    packing_is_killed_when_the_tar_lies_there_and_nobody_knows_it,
    the_upload_is_killed_when_not_all_and_when_all_is_on_its_way,
    the_archives_transaction_is_killed_before_and_after_its_commit,
    finishing_is_killed,
    keeping_is_killed_between_the_cache_and_the_move,
    cleanup_is_killed_before_the_decision_and_in_the_middle_of_the_action,
]


@pytest.fixture(scope="module")
def outcomes(quiet_site: Site, contract_casa: ContractCasa) -> Mapping[str, Future[None]]:
    """What came of the scenarios, all of which have been played, at once, when the first test asks."""
    quiet_site.instance.up()
    wait_for_dags(quiet_site)
    contract_casa.behave()
    prepare(quiet_site, *(f"KILL-{letter}" for letter in "ABCDEFGXYZ"))
    return play_at_once(quiet_site, SCENARIOS)


@pytest.mark.parametrize("scenario", [scenario.__name__ for scenario in SCENARIOS])
def test_when(outcomes: Mapping[str, Future[None]], scenario: str) -> None:
    outcomes[scenario].result()


# --- what is done to everybody ----------------------------------------------------------------------------------------


def ends_archived_in_the_end(verdict: Verdict, dag_run: DagRun) -> None:
    """The DAG run continues by itself, or says why not; then the same verdict, given again, finishes it."""
    states = ["ingesting"]
    if dag_run.until_ended() == "failed":
        assert verdict.run.state == "ingest_failed", verdict.run.story()
        verdict.passes().check_success()
        states += ["ingest_failed", "ingesting"]
    verdict.check_archived(*states)


def test_ngas_the_scheduler_and_postgres_are_killed_and_everything_comes_once(site: Site) -> None:
    to_ngas, uploading, in_transaction = (waiting(site, f"KILL-{letter}") for letter in "XYZ")
    for verdict in (to_ngas, uploading):
        add_large_product(verdict)
        site.faults.add(verdict.run.id, "slow", number="calibration.tar", command="ARCHIVE", rate=_SLOW)
    first = to_ngas.passes()
    until_bytes_flow(to_ngas)
    site.kill("ngas")
    until("NGAS with nothing of it", lambda: to_ngas.ngas.versions(to_ngas.run.id) == [], story=first.story)
    site.faults.clear(to_ngas.run.id)

    second = uploading.passes()
    until_bytes_flow(uploading)
    worker = second.process("archive_products")
    site.kill("scheduler")
    until("the end of its tasks", lambda: not is_alive(worker))
    site.faults.clear(uploading.run.id)

    statement = "SELECT FROM execution_block WHERE locator = %(block)s FOR NO KEY UPDATE"
    with site.archive.locked(statement, block=in_transaction.run.block.locator):
        third = in_transaction.passes()
        third.until_locked_out("write_archive_metadata", of=site.archive)
        # SIGQUIT is PostgreSQL's immediate stop: every connection breaks, nothing is written any more.
        before = site.instance.process("postgres")
        os.kill(before, signal.SIGQUIT)
        until("another postgres", lambda: site.instance.process("postgres") not in (0, before))
    for verdict, dag_run in ((to_ngas, first), (uploading, second), (in_transaction, third)):
        ends_archived_in_the_end(verdict, dag_run)
