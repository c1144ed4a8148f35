from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import psycopg
import pytest
from tests.killing import Running, after_statement, stop
from tests.srdp.hooks.verdicts import EB, NULL, PASS, TAR, WEBLOG, claim, finish

from srdp.domain.common.errors import InvalidInput, Refused
from srdp.domain.common.mail import Mail
from srdp.domain.runs.ledger_records import SubmittedFile
from srdp.domain.runs.states import ACTIVE, TRANSITIONS, RunState

pytestmark = pytest.mark.servers


def fail(ledger, run):
    ledger.runs.transition(run.pipeline_run_id, RunState.INGEST_FAILED, event="ingest_failed", failure="NGAS is away.")


def states(ledger):
    return [run.state for run in ledger.runs.of_request("vla_calibration", EB)]


# Reruns


def test_a_rerun_knows_its_former_run_its_casa_and_its_files_byte_for_byte(ledger, open_run, run_in):
    former = run_in("failed")
    files = [SubmittedFile(name="PPR.xml", content=b"\x00\xff<a/>\r\n", source="pasted")]
    run = open_run(subject=EB, former_run=former.pipeline_run_id, casa_release="6.6.1", files=files)
    found = ledger.runs.of_request("vla_calibration", EB)
    assert [each.pipeline_run_id for each in found] == [former.pipeline_run_id, run.pipeline_run_id]
    assert (run.version, run.former_run, run.casa_release) == (2, former.pipeline_run_id, "6.6.1")
    assert (former.former_run, former.casa_release) == (None, "default")
    assert ledger.submitted_files.of_run(run.pipeline_run_id) == {"PPR.xml": files[0]}
    opened = ledger.events.of_run(run.pipeline_run_id)[0].details
    assert opened["files"] == [{"name": "PPR.xml", "source": "pasted", "sha256": files[0].sha256}]


def test_a_given_file_is_replaced_by_one_of_its_name(ledger, open_run):
    run = open_run()
    for content in (b"first", b"second"):
        ledger.submitted_files.record(
            run.pipeline_run_id, SubmittedFile(name="PPR.xml", content=content, source="recipe")
        )
    assert ledger.submitted_files.of_run(run.pipeline_run_id)["PPR.xml"].content == b"second"
    with pytest.raises(InvalidInput, match="holds no pipeline run"):
        ledger.submitted_files.record(
            "vla-20260101-000000-aaaa", SubmittedFile(name="PPR.xml", content=b"", source="x")
        )


def test_a_sealed_request_is_opened_again_only_when_asked(ledger, run_in, open_run):
    run = run_in("awaiting_qa")
    finish(ledger, claim(ledger, run))
    assert ledger.runs.sealed_at("vla_calibration", EB) is not None
    with pytest.raises(Refused, match="sealed"):
        open_run(subject=EB)
    again = open_run(subject=EB, reopen=True)
    assert ledger.runs.sealed_at("vla_calibration", EB) is None
    assert [event.event for event in ledger.events.of_run(again.pipeline_run_id)] == ["opened", "request_reopened"]


def test_a_request_of_which_the_archive_has_a_run_is_opened_again_only_when_asked(ledger, run_in, open_run):
    ingest = claim(ledger, run_in("awaiting_qa"), NULL)
    ledger.archived_files.mark_committed(ingest)
    finish(ledger, ingest, supersede=False, seal=False)
    with pytest.raises(Refused, match="was archived; rerun it with Reopen"):
        open_run(subject=EB)
    again = open_run(subject=EB, reopen=True)
    with pytest.raises(Refused, match="is active"):
        open_run(subject=EB)
    come_to(ledger, again, "awaiting_qa")
    third = open_run(subject=EB)
    come_to(ledger, third, "failed")
    ledger.verdicts.reject([again.pipeline_run_id], reason="Bad.", by="an analyst")
    with pytest.raises(Refused, match="was archived; rerun it with Reopen"):
        open_run(subject=EB)


def come_to(ledger, run, state):
    """Lets a run that was just opened come to this state."""
    way = {"cancelled": ["cancelled"], "failed": ["fetching", "failed"]}
    for step in way.get(state, ["fetching", "processing", "awaiting_qa"]):
        ledger.runs.transition(run.pipeline_run_id, RunState(step), event=step)
    if state == "rejected":
        ledger.verdicts.reject([run.pipeline_run_id], reason="Bad.", by="an analyst")


@pytest.mark.parametrize("state", ["failed", "cancelled", "rejected"])
def test_a_request_whose_reopening_came_to_nothing_is_sealed_as_before(ledger, run_in, open_run, state):
    finish(ledger, claim(ledger, run_in("awaiting_qa")))
    sealed_at = ledger.runs.sealed_at("vla_calibration", EB)
    first = open_run(subject=EB, reopen=True)
    come_to(ledger, first, "awaiting_qa")
    come_to(ledger, open_run(subject=EB), state)
    assert ledger.runs.sealed_at("vla_calibration", EB) is None  # the first one still waits
    ledger.verdicts.reject([first.pipeline_run_id], reason="Bad.", by="an analyst")
    assert ledger.runs.sealed_at("vla_calibration", EB) == sealed_at
    with pytest.raises(Refused, match="sealed"):
        open_run(subject=EB)
    come_to(ledger, open_run(subject=EB, reopen=True), state)
    assert ledger.runs.sealed_at("vla_calibration", EB) == sealed_at


def test_what_was_archived_after_a_reopening_is_not_sealed_by_what_comes_to_nothing(ledger, run_in, open_run):
    finish(ledger, claim(ledger, run_in("awaiting_qa")))
    second = open_run(subject=EB, reopen=True)
    come_to(ledger, second, "awaiting_qa")
    finish(ledger, claim(ledger, second, NULL), supersede=False, seal=False)
    come_to(ledger, open_run(subject=EB, reopen=True), "failed")
    assert ledger.runs.sealed_at("vla_calibration", EB) is None
    assert change(ledger, second, PASS).verdict == PASS


# Claims


@pytest.mark.parametrize("state", [state for state in RunState if RunState.INGESTING not in TRANSITIONS[state]])
def test_only_what_awaits_qa_or_failed_to_be_ingested_is_claimed(ledger, run_in, state):
    run = run_in(state)
    with pytest.raises(Refused, match=f"state {state} "):
        claim(ledger, run)
    assert ledger.ingests.in_force(run.pipeline_run_id) is None


def test_a_claim_is_kept_with_its_verdict(ledger, run_in):
    run = run_in("awaiting_qa")
    ingest = claim(ledger, run)
    assert ingest == ledger.ingests.in_force(run.pipeline_run_id) == claim(ledger, run)
    assert (ingest.verdict, ingest.number, ingest.tries, ingest.committed_at) == (PASS, 1, 1, None)
    assert ledger.runs.get(run.pipeline_run_id).state is RunState.INGESTING
    assert [event.event for event in ledger.events.of_run(run.pipeline_run_id)] == ["opened", "ingest_claimed"]


def test_of_many_passes_at_once_one_proceeds(ledger, run_in):
    runs = [run_in("awaiting_qa") for _ in range(2)]
    together = threading.Barrier(8)

    def passing(number):
        together.wait()
        try:
            return claim(ledger, runs[number % 2], dag_run_id=f"manual__{number}")
        except Refused as refused:
            return str(refused)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(passing, range(8)))
    assert len([result for result in results if not isinstance(result, str)]) == 1
    assert sorted(states(ledger)) == ["awaiting_qa", "ingesting"]


@pytest.mark.parametrize("state", sorted(ACTIVE - {RunState.INGESTING}))
def test_nothing_is_ingested_beside_an_active_sibling(ledger, run_in, state):
    run, _ = run_in("awaiting_qa"), run_in(state)
    with pytest.raises(Refused, match=f"state {state}"):
        claim(ledger, run)
    assert ledger.runs.get(run.pipeline_run_id).state is RunState.AWAITING_QA


def test_a_failed_ingest_goes_on_with_the_same_verdict_only(ledger, run_in):
    run = run_in("awaiting_qa")
    first = claim(ledger, run)
    fail(ledger, run)
    with pytest.raises(Refused, match="withdraw it first"):
        claim(ledger, run, NULL, "manual__2")
    again = claim(ledger, run, PASS, "manual__2")
    assert again == replace(first, tries=2, dag_run_id="manual__2")


def test_a_claim_of_another_dag_run_is_refused_while_one_is_at_it(ledger, run_in):
    run = run_in("awaiting_qa")
    claim(ledger, run)
    with pytest.raises(Refused, match="being ingested already"):
        claim(ledger, run, dag_run_id="manual__other")


# The end


def test_a_pass_supersedes_seals_reports_and_asks_for_the_index_at_once_and_once(ledger, run_in):
    siblings = {state: run_in(state) for state in ("awaiting_qa", "failed", "cancelled", "rejected", "cleaned")}
    run = run_in("awaiting_qa")
    ingest = claim(ledger, run)
    superseded = finish(ledger, ingest)
    assert superseded == [siblings[state].pipeline_run_id for state in ("awaiting_qa", "failed", "cancelled")]
    assert finish(ledger, ingest) == superseded
    assert states(ledger) == ["superseded", "superseded", "superseded", "rejected", "cleaned", "archived"]
    assert [mail.key for mail in ledger.outbox.mails(run.pipeline_run_id)] == ["archived"]
    assert [request.project for request in ledger.outbox.reindex_requests(run.pipeline_run_id)] == ["13A-537"]
    assert claim(ledger, run, dag_run_id="manual__again") == ingest
    with pytest.raises(Refused, match="another verdict"):
        claim(ledger, run, NULL)


def test_an_ingest_without_a_pass_leaves_the_siblings_and_the_request(ledger, run_in):
    run_in("awaiting_qa")
    ingest = claim(ledger, run_in("awaiting_qa"), NULL)
    assert finish(ledger, ingest, supersede=False, seal=False) == []
    assert states(ledger) == ["awaiting_qa", "archived"]
    assert ledger.runs.sealed_at("vla_calibration", EB) is None


def test_a_repeat_after_a_reopening_does_not_touch_the_new_run(ledger, run_in, open_run, ledger_url):
    ingest = claim(ledger, run_in("awaiting_qa"))
    finish(ledger, ingest)
    open_run(subject=EB, reopen=True)
    with psycopg.connect(ledger_url) as connection:
        connection.execute("UPDATE pipeline_run SET state = 'awaiting_qa' WHERE version = 2")
    finish(ledger, ingest)
    assert states(ledger) == ["archived", "awaiting_qa"]
    assert ledger.runs.sealed_at("vla_calibration", EB) is None


def test_only_one_of_two_siblings_passes(ledger, run_in):
    first, second = run_in("awaiting_qa"), run_in("awaiting_qa")
    finish(ledger, claim(ledger, first), supersede=False)
    with pytest.raises(Refused, match="sealed"):
        claim(ledger, second)


def test_a_verdict_is_withdrawn_until_the_archive_has_it(ledger, run_in):
    run = run_in("awaiting_qa")
    ingest = claim(ledger, run)
    taken_back = {"by": "an analyst", "reason": "Other flags."}
    with pytest.raises(Refused, match="ingesting"):
        ledger.verdicts.withdraw(run.pipeline_run_id, **taken_back)
    ledger.archived_files.record(ingest, [TAR, WEBLOG], [])
    ledger.archived_files.mark_sent(TAR.ngas_file_id)
    fail(ledger, run)
    assert [file.ngas_file_id for file in ledger.verdicts.withdraw(run.pipeline_run_id, **taken_back)] == [
        TAR.ngas_file_id
    ]
    # With the state, in one transaction: a process that is killed after it has nothing left to report.
    (event,) = [each for each in ledger.events.of_run(run.pipeline_run_id) if each.event == "verdict_withdrawn"]
    assert event.details == taken_back | {"orphans": [TAR.ngas_file_id]}
    assert (ledger.runs.get(run.pipeline_run_id).state, ledger.ingests.in_force(run.pipeline_run_id)) == (
        "awaiting_qa",
        None,
    )
    second = claim(ledger, run, NULL, "manual__2")
    assert (second.number, second.verdict) == (2, NULL)
    ledger.archived_files.mark_committed(second)
    fail(ledger, run)
    with pytest.raises(Refused, match="has its metadata since"):
        ledger.verdicts.withdraw(run.pipeline_run_id, **taken_back)


def change(ledger, run, verdict):
    worker = {"dag_id": "vla_qa_pass", "dag_run_id": "manual__change"}
    return ledger.verdicts.change(run.pipeline_run_id, verdict, **worker, by="an analyst")


def test_the_flag_of_an_archived_run_is_changed(ledger, run_in):
    other, run = run_in("awaiting_qa"), run_in("awaiting_qa")
    finish(ledger, claim(ledger, run, NULL), supersede=False, seal=False)
    assert change(ledger, run, PASS).verdict == PASS
    assert states(ledger) == ["superseded", "archived"]
    assert ledger.runs.sealed_at("vla_calibration", EB) is not None
    with pytest.raises(Refused, match="cannot be changed"):
        change(ledger, other, PASS)


def test_a_flag_that_was_changed_by_mistake_is_changed_back(ledger, run_in):
    run = run_in("awaiting_qa")
    finish(ledger, claim(ledger, run, PASS), supersede=True, seal=True)
    change(ledger, run, NULL)
    assert change(ledger, run, PASS).verdict == PASS
    assert ledger.runs.sealed_at("vla_calibration", EB) is not None


def test_a_run_is_not_removed_before_the_archive_has_its_last_verdict(ledger, run_in):
    run = run_in("awaiting_qa")
    run_id = run.pipeline_run_id
    finish(ledger, claim(ledger, run, PASS), supersede=False, seal=False)
    assert (ledger.verdicts.why_due(run_id), ledger.verdicts.due()) == (None, [])
    change(ledger, run, NULL)
    change(ledger, run, PASS)
    ledger.verdicts.record_written(run_id, 1)
    for _ in range(2):
        with pytest.raises(Refused, match=r"changed to Pass, .* trigger vla_qa_pass with the run and this flag"):
            ledger.removals.begin(run_id, {})
    assert ledger.runs.get(run_id).state is RunState.ARCHIVED
    assert ledger.verdicts.due() == [run_id]
    for number in (2, 2, 1):
        ledger.verdicts.record_written(run_id, number)
    assert (ledger.verdicts.why_due(run_id), ledger.verdicts.due()) == (None, [])
    for _ in range(2):
        ledger.removals.begin(run_id, {"places": ["x"]})
    events = ledger.events.of_run(run_id)
    assert [event.details["number"] for event in events if event.event == "changed_verdict_written"] == [1, 2]
    (begun,) = [event for event in events if event.event == "removal_begun"]
    assert (begun.state_before, begun.state_after, begun.details) == ("archived", "cleaning", {"places": ["x"]})
    ledger.runs.transition(run_id, RunState.CLEANED, event="removed")
    with pytest.raises(Refused, match="has been removed"):
        ledger.removals.begin(run_id, {})


def until_one_waits(ledger_url):
    waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    deadline = time.monotonic() + 30
    with psycopg.connect(ledger_url, autocommit=True) as connection:
        while not connection.execute(waits).fetchall():
            assert time.monotonic() < deadline, "nobody waits for the other"
            time.sleep(0.005)


def beside(ledger_url, first, arm, second):
    """Make both calls at once: the second begins while the transaction of the first is open; return its error."""
    process = Running(lambda _say: (arm(), first()))
    process.wait_until_stopped()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(second)
        until_one_waits(ledger_url)
        process.go_on()
        assert process.end().error == ""
        return waiting.exception()


def test_a_run_is_not_removed_while_a_rerun_that_takes_its_raw_data_is_opened(ledger, open_run, run_in, ledger_url):
    former = run_in("failed").pipeline_run_id
    error = beside(
        ledger_url,
        lambda: open_run(subject=EB, former_run=former),
        after_statement("ledger/run_insert", then=stop),
        lambda: ledger.removals.begin(former, {}),
    )
    assert "is taking its raw data (state created)" in str(error)
    rerun = ledger.runs.of_request("vla_calibration", EB)[-1].pipeline_run_id
    ledger.runs.transition(rerun, RunState.FETCHING, event="begun")
    with pytest.raises(Refused, match="is not removed now"):
        ledger.removals.begin(former, {})
    ledger.runs.transition(rerun, RunState.PROCESSING, event="fetched")
    ledger.removals.begin(former, {})
    assert states(ledger) == [RunState.CLEANING, RunState.PROCESSING]


def test_no_rerun_of_a_run_is_opened_while_its_removal_begins(ledger, open_run, run_in, ledger_url):
    former = run_in("failed").pipeline_run_id
    error = beside(
        ledger_url,
        lambda: ledger.removals.begin(former, {}),
        after_statement("ledger/run_set_state", then=stop),
        lambda: open_run(subject=EB, former_run=former),
    )
    assert isinstance(error, Refused)
    assert f"its pipeline run {former} is being removed" in str(error)
    assert states(ledger) == [RunState.CLEANING]
    # What is gone is not linked, and so is not in the way.
    ledger.runs.transition(former, RunState.CLEANED, event="removed")
    open_run(subject=EB, former_run=former)


def test_a_flag_is_not_changed_to_pass_beside_another_that_passed(ledger, run_in):
    run, other = run_in("awaiting_qa"), run_in("awaiting_qa")
    finish(ledger, claim(ledger, run, NULL), supersede=False, seal=False)
    finish(ledger, claim(ledger, other, PASS), supersede=False, seal=True)
    with pytest.raises(Refused, match="another run"):
        change(ledger, run, PASS)


def test_a_flag_is_not_changed_to_pass_beside_an_active_sibling(ledger, run_in):
    run = run_in("awaiting_qa")
    finish(ledger, claim(ledger, run, NULL), supersede=False, seal=False)
    run_in("processing")
    with pytest.raises(Refused, match="is active"):
        change(ledger, run, PASS)
    assert ledger.ingests.in_force(run.pipeline_run_id).verdict == NULL


# Failed QA


def test_runs_are_rejected_all_or_none(ledger, run_in):
    runs = [run_in(state) for state in ("awaiting_qa", "failed", "cancelled", "rejected", "cleaned")]
    ids = [run.pipeline_run_id for run in runs]
    mail = Mail("rejected", ("one@example.org",), "Rejected", "text", "<p>html</p>")
    superseded = run_in("superseded")
    with pytest.raises(Refused, match="state superseded"):
        ledger.verdicts.reject([*ids, superseded.pipeline_run_id], reason="bad", by="an analyst")
    assert states(ledger)[:3] == ["awaiting_qa", "failed", "cancelled"]
    for _ in range(2):
        rejected = ledger.verdicts.reject(ids, reason="bad", by="an analyst", mails={ids[0]: [mail]})
    assert rejected == []
    assert states(ledger) == ["rejected", "rejected", "rejected", "rejected", "cleaned", "superseded"]
    assert [mail.key for mail in ledger.outbox.mails(ids[0])] == ["rejected"]
    assert ledger.events.of_run(ids[0])[-1].details == {"reason": "bad", "by": "an analyst"}


@pytest.mark.parametrize("state", sorted(ACTIVE))
def test_nothing_is_rejected_beside_an_active_run(ledger, run_in, state):
    waiting, active = run_in("awaiting_qa"), run_in(state)
    for wanted in ([waiting.pipeline_run_id], [waiting.pipeline_run_id, active.pipeline_run_id]):
        with pytest.raises(Refused, match=f"state {state}"):
            ledger.verdicts.reject(wanted, reason="bad", by="an analyst")
    assert states(ledger) == ["awaiting_qa", state]


def test_what_was_ingested_does_not_fail_qa(ledger, run_in, ledger_url):
    run = run_in("awaiting_qa")
    ingest = claim(ledger, run)
    ledger.archived_files.mark_committed(ingest)
    finish(ledger, ingest)
    assert ledger.runs.archived_of_request("vla_calibration", EB) == [run.pipeline_run_id]
    for state in (RunState.CLEANING, RunState.CLEANED):
        ledger.runs.transition(run.pipeline_run_id, state, event=str(state))
        with pytest.raises(Refused, match="a verdict to ingest it into the archive was given"):
            ledger.verdicts.reject([run.pipeline_run_id], reason="bad", by="an analyst")


def test_an_unknown_run_is_not_rejected(ledger, run_in):
    run = run_in("awaiting_qa")
    with pytest.raises(InvalidInput, match="holds no pipeline run"):
        ledger.verdicts.reject([run.pipeline_run_id, "vla-20260101-000000-aaaa"], reason="bad", by="an analyst")
    assert states(ledger) == ["awaiting_qa"]
