"""Two verdicts at once: one continues, the other is refused, and everything is there once.

Each is a process of its own. One stops in the middle of what it does; the other then comes, waits or is refused; the
first continues.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from tests.killing import Arm, Ended, Running, after_statement, at_file_operation, entering, leaving, stop
from tests.verdict.family import CLEAN, FAIL, FIRST, PASS, Found, RunFamily, VlaCalibration, ended_well
from tests.verdict.looking import LEDGER_DATABASE

from srdp.domain.archiving import upload as archive_upload
from srdp.domain.runs.states import RunState

pytestmark = pytest.mark.servers

AGAIN = "manual__again"
vla_only = pytest.mark.parametrize("family", [VlaCalibration], indirect=True, ids=["vla"])
CLAIMING = {"claim_ingest": after_statement("ledger/ingest_insert", then=stop)}


def stopped(family: RunFamily, dag: str, run, arms: dict[str, Arm]) -> Running:
    process = family.carry_out(dag, run, dag_run_id=FIRST, arms=arms)
    process.wait_until_stopped()
    return process


def refused(ended: Ended, *words: str) -> None:
    assert not ended.killed
    last = ended.error.splitlines()[-1]
    assert last.startswith("srdp.domain.common.errors.Refused: "), ended.error
    assert [word for word in words if word not in last] == []


def until_one_waits(family: RunFamily) -> None:
    """Return when a step's connection waits for a lock that another one holds."""
    waits = (
        "SELECT 1 FROM pg_stat_activity WHERE datname IN (%s, current_database()) AND wait_event_type = 'Lock' "
        "AND state = 'active'"
    )
    until(lambda: bool(family.observatory.rows(waits, LEDGER_DATABASE)))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.005)


def uploads(family: RunFamily) -> int:
    return family.observatory.ngas.requests.count("ARCHIVE")


# Of one project


def test_of_two_ingests_of_one_project_one_is_in_the_archive_at_a_time(family: RunFamily) -> None:
    one, other = family.waiting_run(), family.waiting_run()
    assert one.project == other.project
    first = stopped(
        family, PASS, one, {"write_archive_metadata": after_statement("archive/srdp_state_upsert", then=stop)}
    )
    second = family.carry_out(PASS, other, dag_run_id=AGAIN)
    until_one_waits(family)
    assert (family.observatory.results(one), family.observatory.results(other)) == ([], [])
    first.go_on()
    ended_well(first.end())
    ended_well(second.end())
    for run in (one, other):
        family.check_archived(run)
    times = [family.observatory.results(run)[0]["ingested_at"] for run in (one, other)]
    assert times == sorted(times)


def test_many_ingests_of_one_project_at_once_all_come_through(family: RunFamily) -> None:
    runs = [family.waiting_run() for _ in range(4)]
    started = [family.carry_out(PASS, run, dag_run_id=f"{FIRST}_{number}") for number, run in enumerate(runs)]
    for process in started:
        ended_well(process.end())
    for run in runs:
        family.check_archived(run)


# Of one request


def test_of_two_passes_of_one_run_the_second_is_reported_while_the_first_claims(family: RunFamily) -> None:
    run = family.waiting_run()
    first = stopped(family, PASS, run, CLAIMING)
    second = family.carry_out(PASS, run, dag_run_id=AGAIN)
    until_one_waits(family)
    first.go_on()
    refused(second.end(), "is being ingested already", FIRST)
    ended_well(first.end())
    family.check_archived(run)
    assert (uploads(family), family.observatory.ingest_of(run).tries) == (family.files, 1)


def test_of_many_passes_of_one_run_one_sends_and_the_others_touch_nothing(family: RunFamily) -> None:
    run = family.waiting_run()
    at_the_parser = {"claim_ingest": entering("srdp.hooks.ledger.ingests:Ingests.claim", then=stop)}
    started = [family.carry_out(PASS, run, dag_run_id=f"manual__{number}", arms=at_the_parser) for number in range(5)]
    for process in started:
        process.wait_until_stopped()
    for process in started:
        process.go_on()
    ends = [process.end() for process in started]
    # One that comes late finds it done, and has nothing to do.
    assert [end for end in ends if not end.error]
    for end in ends:
        if end.error:
            refused(end, "is being ingested already")
    family.check_archived(run)
    assert (uploads(family), family.observatory.ingest_of(run).tries) == (family.files, 1)


def test_of_two_versions_of_one_request_one_passes_and_the_other_is_superseded(family: RunFamily) -> None:
    one = family.waiting_run()
    other = family.waiting_run(subject=one.subject)
    first = stopped(family, PASS, one, CLAIMING)
    second = family.carry_out(PASS, other, dag_run_id=AGAIN)
    until_one_waits(family)
    first.go_on()
    refused(second.end(), one.pipeline_run_id, "is active")
    ended_well(first.end())
    family.check_archived(one)
    assert family.observatory.run(other).state is RunState.SUPERSEDED
    assert (family.observatory.stored(other), uploads(family)) == ({}, family.files)
    family.check_directory(other)
    refused(family.carry_out(PASS, other, dag_run_id="manual__third").end(), "superseded")


# A pass and something else


def test_a_pass_that_claims_first_wins_against_a_fail(family: RunFamily) -> None:
    run = family.waiting_run()
    first = stopped(family, PASS, run, CLAIMING)
    second = family.carry_out(FAIL, run, dag_run_id=AGAIN)
    until_one_waits(family)
    first.go_on()
    refused(second.end(), "ingesting")
    ended_well(first.end())
    family.check_archived(run)


def test_a_fail_that_decides_first_wins_against_a_pass(family: RunFamily) -> None:
    run = family.waiting_run()
    first = stopped(family, FAIL, run, {"fail_qa": after_statement("ledger/run_set_state", then=stop)})
    second = family.carry_out(PASS, run, dag_run_id=AGAIN)
    until_one_waits(family)
    first.go_on()
    refused(second.end(), "rejected")
    ended_well(first.end())
    family.check_rejected(run)


def test_a_cleanup_beside_the_move_back_leaves_nothing_and_loses_nothing(family: RunFamily) -> None:
    run = family.waiting_run()
    moving = stopped(
        family, PASS, run, {"keep_products": entering("srdp.domain.disk.delivery:move_run_directory", then=stop)}
    )
    ended_well(family.carry_out(CLEAN, run, dag_run_id=AGAIN).end())
    moving.go_on()
    moving.end()
    family.check_cleaned(run)


def test_what_is_moved_back_behind_a_cleanup_is_reported_and_removed_by_the_next(family: RunFamily) -> None:
    run = family.waiting_run()
    moving = stopped(
        family, PASS, run, {"keep_products": entering("srdp.domain.disk.delivery:move_run_directory", then=stop)}
    )
    # It has looked into the processing area, and the directory still is in the QA area.
    looked = {"clean_up": leaving("srdp.domain.disk.removal:_Removal.remove", then=stop)}
    cleaning = stopped(family, CLEAN, run, looked)
    moving.go_on()
    ended_well(moving.end())
    cleaning.go_on()
    ended = cleaning.end()
    assert not ended.killed
    assert "it came while the others were removed" in ended.error
    assert family.observatory.run(run).state is RunState.CLEANING
    family.check_whatever_happened(run)
    ended_well(family.carry_out(CLEAN, run, dag_run_id=AGAIN).end())
    family.check_cleaned(run)


@vla_only
def test_a_cleanup_before_the_cache_has_the_measurement_set_is_refused(family: RunFamily) -> None:
    run = family.waiting_run()
    keeping = stopped(family, PASS, run, {"keep_products": at_file_operation("os.rename", "*.ms", then=stop)})
    refused(family.carry_out(CLEAN, run, dag_run_id=AGAIN).end(), "is to be moved to")
    keeping.go_on()
    ended_well(keeping.end())
    family.check_archived(run)


def test_of_two_cleanups_the_one_that_comes_late_is_reported(family: RunFamily) -> None:
    run = family.waiting_run()
    ended_well(family.carry_out(PASS, run, dag_run_id=FIRST).end())
    proved = {"clean_up": leaving("srdp.services.removal.archive_proof:prove_archived_run", then=stop)}
    first = stopped(family, CLEAN, run, proved)
    ended_well(family.carry_out(CLEAN, run, dag_run_id=AGAIN).end())
    first.go_on()
    refused(first.end(), "its directory has been removed")
    family.check_cleaned(run)


@pytest.mark.parametrize(
    "arm",
    [
        at_file_operation("os.rename", "*-20*", ".*-20*.removed", then=stop),
        at_file_operation("os.remove", "*weblog.tgz", then=stop),
    ],
    ids=["before the rename", "half deleted"],
)
def test_two_cleanups_of_one_run_end_well(family: RunFamily, arm: Arm) -> None:
    run = family.waiting_run()
    ended_well(family.carry_out(PASS, run, dag_run_id=FIRST).end())
    first = stopped(family, CLEAN, run, {"clean_up": arm})
    ended_well(family.carry_out(CLEAN, run, dag_run_id=AGAIN).end())
    first.go_on()
    ended_well(first.end())
    family.check_cleaned(run)


# One that was taken for dead comes back


def test_who_was_taken_for_dead_while_sending_makes_no_second_version(family: RunFamily) -> None:
    run = family.waiting_run()
    sending = {"archive_products": entering("srdp.domain.archiving.upload:_Body._read", nth=3, then=stop)}
    first = stopped(family, PASS, run, sending)
    family.tell("leaf", run, "archive_products")
    assert family.observatory.run(run).state is RunState.INGEST_FAILED
    second = family.carry_out(PASS, run, dag_run_id=AGAIN, form={"qa_flag": "Pass"}).end()
    assert "Another process is sending" in second.error
    first.go_on()
    refused(first.end(), AGAIN)
    family.check_whatever_happened(run)
    assert uploads(family) == family.files
    ended_well(family.carry_out(PASS, run, dag_run_id=AGAIN, begin="archive_products").end())
    family.check_archived(run)
    assert uploads(family) == family.files


def test_who_comes_while_ngas_is_storing_what_a_dead_one_sent_waits_for_it(family: RunFamily) -> None:
    run = family.waiting_run()
    family.observatory.ngas.faults.add("slow_commit", command="ARCHIVE", seconds=1, times=1)
    sent = {"archive_products": entering("http.client:HTTPConnection.getresponse", nth=2)}
    assert family.carry_out(PASS, run, dag_run_id=FIRST, arms=sent).end().killed
    assert family.observatory.stored(run) == {}
    arms = {"archive_products": waiting_for_ngas}
    ended_well(family.carry_out(PASS, run, dag_run_id=FIRST, begin="archive_products", arms=arms).end())
    family.check_archived(run)
    assert uploads(family) == family.files


def waiting_for_ngas() -> None:
    """The tests' own timeouts are shorter than the server's."""
    archive = archive_upload.archive
    archive_upload.archive = lambda *given, **options: archive(*given, **options | {"settle_seconds": 20.0})


def test_who_was_taken_for_dead_before_the_commit_finds_it_done(family: RunFamily) -> None:
    run = family.waiting_run()
    first = stopped(
        family, PASS, run,
        {"write_archive_metadata": entering("srdp.hooks.archive:ArchiveHook.commit_result", then=stop)},
    )  # fmt: skip
    family.tell("leaf", run, "write_archive_metadata")
    assert family.observatory.run(run).state is RunState.INGEST_FAILED
    ended_well(family.carry_out(PASS, run, dag_run_id=AGAIN, form={"qa_flag": "Pass"}).end())
    first.go_on()
    ended_well(first.end())
    family.check_archived(run)


@pytest.mark.parametrize(
    "arm",
    [
        entering("srdp.hooks.archive:ArchiveHook.commit_result", then=stop),
        after_statement("archive/srdp_state_upsert", then=stop),
    ],
    ids=["before the transaction", "in the transaction"],
)
def test_who_was_taken_for_dead_does_not_write_what_was_withdrawn(family: RunFamily, arm: Arm) -> None:
    run = family.waiting_run()
    first = stopped(family, PASS, run, {"write_archive_metadata": arm})
    family.tell("leaf", run, "write_archive_metadata")
    family.withdraw(run)
    first.go_on()
    refused(first.end(), "is not being ingested")
    family.settled()
    assert family.found(run) == Found(RunState.AWAITING_QA, frozenset({"tar", "weblog"}), in_archive=False)
    family.check_subject(run, calibrated=False)
    ended_well(family.carry_out(PASS, run, dag_run_id=AGAIN).end())
    assert len(family.observatory.results(run)) == 1
    assert {file_id.split(".")[1] for file_id, _, _ in family.observatory.files_in_archive(run)} == {"2"}
