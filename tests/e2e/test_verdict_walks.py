"""The verdict on a calibration, walked from the mail "ready for review" to the archive and out of the areas.

At every step everything is looked at from outside: what NGAS has, the archive's rows, the ledger, the mails and the
directories.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from datetime import timedelta

import pytest
from tests.e2e.site import HELD_STAGE, DagRun, Run, Site, contents
from tests.e2e.site_tools import play_at_once
from tests.e2e.site_verdict import (
    NOT_IN_THE_ARCHIVE,
    Verdict,
    calibrated,
    inodes,
    prepare,
    reported,
    wait_for_dags,
    waiting,
)
from tests.programs.casa_contract import ContractCasa

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(900)]

FLAGS = "mode='manual' antenna='ea12' reason='walk'\n"
REPORT = "qa_standard: SRDP Pilot <br>\nqa_analyst: An Analyst <br>\nqa_status: Pass <br>\nqa_comments: Good <br>\n"
# How long it may take until people know that an ingest failed.
_A_MINUTE = timedelta(seconds=60)


# --- from the first calibration to a directory that is gone -----------------------------------------------------------


def rerun_pass_and_cleanup(site: Site) -> None:
    """A DA edits the flag template where CASA left it, reruns by EB, passes the rerun and cleans up."""
    first = calibrated(site, "walk", project="WALK-A")
    block = first.run.block
    template = first.run.directory("qa") / "working" / f"{block.name}.flagtemplate.txt"
    template.write_text(FLAGS)
    before, fetched = contents(first.run.directory("qa")), len(site.retrievals(block))
    assert fetched

    rerun = site.rerun("walk rerun", block)
    rerun.until_casa_is_held()
    while_active_everything_else_is_refused(site, first, rerun)
    rerun.release()
    rerun.check_delivered(former=[first.run.id])
    second = Verdict(rerun)

    # Not fetched again, and the former run stays as it was.
    assert len(site.retrievals(block)) == fetched
    assert inodes(rerun.directory("qa") / "rawdata") == inodes(first.run.directory("qa") / "rawdata")
    assert contents(first.run.directory("qa")) == before
    assert first.run.state == "awaiting_qa"
    assert rerun.row()["former_run"] == first.run.id
    # The PPR byte for byte; the flags are the edited ones, and CASA made another calibration with them.
    assert rerun.row()["ppr_sha256"] == first.run.row()["ppr_sha256"]
    after = contents(rerun.directory("qa"))
    assert after["working/PPR.xml"] == before["working/PPR.xml"]
    assert after[f"working/{template.name}"].decode() == FLAGS
    assert after[f"working/{block.name}.ms/table.dat"] != before[f"working/{block.name}.ms/table.dat"]

    kept = contents(second.measurement_set)
    (rerun.directory("qa") / "products" / "notes.of.the.analyst.txt").write_text("by hand\n")
    two_passes_at_once(second)
    second.check_archived(
        notes=["An Analyst", "Looks <good>"],
        superseded=[first.run],
        changed_by_analyst={"notes.of.the.analyst.txt": b"by hand\n"},
    )
    assert contents(second.cached) == kept
    assert first.archive.made() == second.archive.made()

    when_sealed_everything_else_is_refused(site, first, second)
    second.cleans_up().check_success()
    second.check_cleaned()
    again = second.cleans_up()
    again.check_success()
    assert len(second.run.events("removed")) == 1, second.run.story()
    second.check_cleaned()
    second.passes("Fail").check_refused("claim_ingest", second.run.id, "cleaned")


def while_active_everything_else_is_refused(site: Site, first: Verdict, rerun: Run) -> None:
    block = first.run.block
    refused = [
        (first.passes(), "claim_ingest", [first.run.id, "was edited after CASA had read it"]),
        (Verdict(rerun).passes(), "claim_ingest", [rerun.id, "processing"]),
        (site.rerun("again", block), "open_run", [rerun.id]),
        (fails(site, execution_block=block.name), "fail_qa", [rerun.id, "processing"]),
        (Verdict(rerun).cleans_up(), "clean_up", [rerun.id, "processing"]),
    ]
    for dag_run, task, words in refused:
        dag_run.check_refused(task, *words)
    first.check_not_archived()
    assert (first.run.state, rerun.state) == ("awaiting_qa", "processing")


def two_passes_at_once(verdict: Verdict) -> None:
    """... one proceeds and the other is refused."""
    with verdict.run.locked():
        # Both stand in the claim before either is through it.
        notes = {"qa_report_text": REPORT, "qa_comments": "Looks <good>"}
        both = [verdict.passes(**notes), verdict.passes(**notes)]
        for dag_run in both:
            dag_run.until_locked_out("claim_ingest")
    for dag_run in both:
        dag_run.until_ended()
    ends = [dag_run.task("claim_ingest")["state"] for dag_run in both]
    assert sorted(ends) == ["skipped", "success"], verdict.run.story()
    both[ends.index("skipped")].check_refused("claim_ingest", verdict.run.id, "ingested already")
    (ingest,) = verdict.ingests()
    assert ingest["dag_run_id"] == both[ends.index("success")].dag_run_id
    assert sorted(verdict.sent()) == verdict.ids


def when_sealed_everything_else_is_refused(site: Site, first: Verdict, second: Verdict) -> None:
    block = first.run.block
    refused = [
        (site.rerun("sealed", block), "open_run", ["sealed"]),
        (first.passes(), "claim_ingest", [first.run.id, "superseded"]),
        (fails(site, pipeline_run_id=second.run.id), "fail_qa", [second.run.id, "archived"]),
        (withdraws(second), "withdraw_verdict", [second.run.id, "archived"]),
    ]
    for dag_run, task, words in refused:
        dag_run.check_refused(task, *words)
    assert (first.run.state, second.run.state) == ("superseded", "archived")


def fails(site: Site, **conf: object) -> DagRun:
    return site.trigger("vla_qa_fail", "fail", reason="The bandpass is not usable.", **conf)


def withdraws(verdict: Verdict) -> DagRun:
    return verdict.site.trigger(
        "vla_withdraw_verdict", "withdraw", pipeline_run_id=verdict.run.id, reason="It was damaged in NGAS."
    )


# --- fail -------------------------------------------------------------------------------------------------------------


def fail_and_rerun(site: Site) -> None:
    """An EB fails QA: nothing of it is left, and a rerun begins with the fetch."""
    first = calibrated(site, "fail", project="WALK-B")
    block, fetched = first.run.block, len(site.retrievals(first.run.block))
    fails(site, execution_block=block.name).check_success()
    assert first.archive.status() == "Do Not Calibrate"
    assert first.run.directories() == []
    assert [after for _, after in first.run.chain()][3:] == ["awaiting_qa", "rejected", "cleaning", "cleaned"]
    reported(first.run, "ailed QA")
    assert first.ngas.versions(first.run.id) == []
    assert first.archive.made() == []
    first.passes().check_refused("claim_ingest", first.run.id, "cleaned")
    fails(site, execution_block=block.name).check_success()
    assert len(first.run.events("rejected")) == 1

    rerun = site.rerun("fail rerun", block)
    rerun.until_casa_is_held()
    assert first.archive.status() == "Ready"
    assert len(site.retrievals(block)) == 2 * fetched
    rerun.release()
    rerun.check_delivered(former=[first.run.id])


def fail_a_project(site: Site) -> None:
    """A whole project fails QA, once the number of its runs is right; a directory that is half gone is no obstacle."""
    verdicts = [waiting(site, "WALK-P"), waiting(site, "WALK-P")]
    ids = sorted(verdict.run.id for verdict in verdicts)
    fails(site, project="WALK-P").check_refused("fail_qa", *ids)
    fails(site, project="WALK-P", number=3).check_refused("fail_qa", *ids, "not 3")
    for verdict in verdicts:
        verdict.check_not_archived()
    shutil.rmtree(verdicts[0].run.directory("qa") / "working")
    fails(site, project="WALK-P", number=2).check_success()
    for verdict in verdicts:
        assert verdict.run.state == "cleaned"
        assert verdict.run.directories() == []
        assert verdict.archive.status() == "Do Not Calibrate"


# --- NGAS is --------------------------------------------------------------------------------------------------------


def ngas_refuses(site: Site) -> None:
    """... and says so; the same verdict given again when it takes files continues where the ingest stopped."""
    verdict = waiting(site, "WALK-C")
    site.faults.add(verdict.run.id, "refuse", command="ARCHIVE", status=400, message="NGAMS_ER_NO_DISKS:4013 no disks")
    check_ingest_failed(verdict, verdict.passes(qa_comments="Looks <good>"), "no disks")
    assert verdict.ngas.versions(verdict.run.id) == []
    verdict.passes("Fail").check_refused("claim_ingest", verdict.run.id, "withdraw")
    site.rerun("not now", verdict.run.block).check_refused("open_run", verdict.run.id)
    fails(site, pipeline_run_id=verdict.run.id).check_refused("fail_qa", verdict.run.id, "ingest_failed")
    verdict.cleans_up().check_refused("clean_up", verdict.run.id, "ingest_failed")
    recorded = verdict.recorded_files()
    site.faults.clear(verdict.run.id)
    verdict.passes().check_success()
    verdict.check_archived("ingesting", "ingest_failed", "ingesting", notes=["Looks <good>"])
    again = verdict.recorded_files()
    assert {kind: file["crc32"] for kind, file in again.items()} == {
        kind: file["crc32"] for kind, file in recorded.items()
    }
    (ingest,) = verdict.ingests()
    assert ingest["tries"] == 2


def ngas_stores_something_else(site: Site) -> None:
    """... and answers SUCCESS to everything, though its copy is damaged; then the verdict is withdrawn."""
    verdict = waiting(site, "WALK-D")
    site.faults.add(verdict.run.id, "corrupt_stored", number="calibration.tar", bytes=700, command="CHECKFILE", times=1)
    check_ingest_failed(verdict, verdict.passes(), verdict.ids[0])
    # It is sent once and not again: a second version would not be the one that was recorded.
    check_ingest_failed(verdict, verdict.passes(), verdict.ids[0], tries=2)
    assert verdict.ngas.versions(verdict.run.id)[0] == (verdict.ids[0], 1)
    assert verdict.sent().count(verdict.ids[0]) == 1

    withdraws(verdict).check_success()
    assert verdict.run.state == "awaiting_qa"
    reported(verdict.run, "withdrawn", "left in NGAS")
    verdict.check_not_archived()
    # Another verdict, under ids of its own: an id is never used for other bytes.
    verdict.passes("Null").check_success()
    verdict.run.until_state("archived")
    assert {file["ngas_file_id"] for file in verdict.archive.files().values()} == {
        f"{verdict.run.id}.2.calibration.tar",
        f"{verdict.run.id}.2.weblog.tgz",
    }
    assert [state["qa_flag"] for state in verdict.archive.srdp_states()] == ["Null"]
    assert verdict.archive.status() == "Calibrated"
    assert not verdict.is_sealed()


def ngas_loses_its_replies(site: Site) -> None:
    """... and cuts an upload: that costs a try, and never a second version."""
    verdict = waiting(site, "WALK-E")
    site.faults.add(verdict.run.id, "reply_lost", number="calibration.tar", command="ARCHIVE", times=1)
    site.faults.add(verdict.run.id, "cut", number="weblog.tgz", command="ARCHIVE", bytes=100, times=1)
    verdict.passes(qa_comments="Looks <good>").check_success()
    verdict.check_archived(notes=["Looks <good>"])
    assert verdict.sent() == [verdict.ids[0], verdict.ids[1], verdict.ids[1]]


def check_ingest_failed(verdict: Verdict, dag_run: DagRun, *words: str, tries: int = 1) -> None:
    """Wait until an ingest has failed; the cause must be reported at once, and nothing wrongly be marked."""
    run = verdict.run
    assert dag_run.until_ended() == "failed", dag_run.story()
    assert run.state == "ingest_failed", run.story()
    cause = str(run.row()["failure"])
    assert all(word in cause for word in words), cause
    verdict.check_not_archived()
    run.until("the mail", lambda: sum("INGEST FAILED" in subject for subject in run.mails().elements()) == tries)
    ingest = verdict.ingests()[-1]
    assert (ingest["tries"], ingest["committed_at"]) == (tries, None)
    claimed, failed = (run.events(name)[-1]["happened_at"] for name in ("ingest_claimed", "ingest_failed"))
    assert failed - claimed < _A_MINUTE, run.story()
    (mail,) = run.site.ledger.rows(
        "SELECT done_at AS sent_at FROM outbox WHERE pipeline_run_id = %(id)s AND key LIKE 'ingest\\_failed%%' "
        "ORDER BY outbox_id DESC LIMIT 1",
        id=run.id,
    )
    assert mail["sent_at"] - failed < _A_MINUTE


# --- what expires -----------------------------------------------------------------------------------------------------


def expires(site: Site) -> None:
    """Time removes what is archived, by proof, and what is cached; never what waits for its verdict."""
    other = waiting(site, "WALK-F")
    verdict = waiting(site, "WALK-F")
    verdict.passes().check_success()
    verdict.check_archived()
    _make_old(verdict)
    _make_old(other)
    dry = site.trigger("expire_processing_area", "dry", dry_run=True)
    dry.check_success()
    log = dry.log("expire")
    assert verdict.run.id in log
    assert other.run.id not in log
    assert (verdict.run.state, verdict.run.directories()) == ("archived", [verdict.run.directory("processing")])
    assert contents(verdict.cached)

    # NGAS cannot prove its copy: the directory stays, and the measurement set goes, which was promised for 21 days.
    site.faults.add(verdict.run.id, "offline", command="CHECKFILE")
    unproved = site.trigger("expire_processing_area", "unproved")
    unproved.check_refused("expire", verdict.run.id, NOT_IN_THE_ARCHIVE, state="failed")
    assert (verdict.run.state, verdict.run.directories()) == ("archived", [verdict.run.directory("processing")])
    site.faults.clear(verdict.run.id)
    site.trigger("expire_processing_area", "real").check_success()
    assert verdict.run.state == "cleaned"
    assert verdict.run.directories() == []
    assert not verdict.cached.exists()
    assert verdict.archive.cached() == []
    assert len(verdict.archive.made()) == 1
    assert verdict.archive.status() == "Calibrated"
    assert other.run.state == "awaiting_qa"
    other.check_not_archived()


def _make_old(verdict: Verdict) -> None:
    old = {"id": verdict.run.id, "age": timedelta(days=40)}
    ledger = verdict.site.ledger
    statement = "UPDATE pipeline_run SET state_since = state_since - %(age)s WHERE pipeline_run_id = %(id)s"
    assert ledger.change(statement, **old) == 1
    ledger.change(
        "UPDATE cached_measurement_set SET cached_at = cached_at - %(age)s, expires_at = expires_at - %(age)s "
        "WHERE pipeline_run_id = %(id)s",
        **old,
    )


# --- all of it at once ------------------------------------------------------------------------------------------------

SCENARIOS: list[Callable[[Site], None]] = [
    rerun_pass_and_cleanup,
    fail_and_rerun,
    fail_a_project,
    ngas_refuses,
    ngas_stores_something_else,
    ngas_loses_its_replies,
    expires,
]


@pytest.fixture(scope="module")
def outcomes(quiet_site: Site, contract_casa: ContractCasa) -> Iterator[Mapping[str, Future[None]]]:
    """What came of the scenarios, all of which have been played, at once, when the first test asks."""
    quiet_site.instance.up()
    wait_for_dags(quiet_site)
    quiet_site.set_casa_slots(32)
    contract_casa.behave(hold_at=HELD_STAGE)
    prepare(quiet_site, *(f"WALK-{letter}" for letter in "CDEFFPP"))
    yield play_at_once(quiet_site, SCENARIOS)
    contract_casa.behave()


@pytest.mark.parametrize("scenario", [scenario.__name__ for scenario in SCENARIOS])
def test_that(outcomes: Mapping[str, Future[None]], scenario: str) -> None:
    outcomes[scenario].result()
