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


def fail(verdicts, run):
    verdicts.transition(run.pipeline_run_id, RunState.INGEST_FAILED, event="ingest_failed", failure="NGAS is away.")


def states(verdicts):
    return [run.state for run in verdicts.runs_of_request("vla_calibration", EB)]


# Reruns


def test_a_rerun_knows_its_former_run_its_casa_and_its_files_byte_for_byte(verdicts, open_run, run_in):
    former = run_in("failed")
    files = [SubmittedFile(name="PPR.xml", content=b"\x00\xff<a/>\r\n", source="pasted")]
    run = open_run(subject=EB, former_run=former.pipeline_run_id, casa_release="6.6.1", files=files)
    found = verdicts.runs_of_request("vla_calibration", EB)
    assert [each.pipeline_run_id for each in found] == [former.pipeline_run_id, run.pipeline_run_id]
    assert (run.version, run.former_run, run.casa_release) == (2, former.pipeline_run_id, "6.6.1")
    assert (former.former_run, former.casa_release) == (None, "default")
    assert verdicts.submitted_files(run.pipeline_run_id) == {"PPR.xml": files[0]}
    opened = verdicts.events(run.pipeline_run_id)[0].details
    assert opened["files"] == [{"name": "PPR.xml", "source": "pasted", "sha256": files[0].sha256}]


def test_a_given_file_is_replaced_by_one_of_its_name(verdicts, open_run):
    run = open_run()
    for content in (b"first", b"second"):
        verdicts.record_given_file(run.pipeline_run_id, SubmittedFile(name="PPR.xml", content=content, source="recipe"))
    assert verdicts.submitted_files(run.pipeline_run_id)["PPR.xml"].content == b"second"
    with pytest.raises(InvalidInput, match="holds no pipeline run"):
        verdicts.record_given_file("vla-20260101-000000-aaaa", SubmittedFile(name="PPR.xml", content=b"", source="x"))


def test_a_sealed_request_is_opened_again_only_when_asked(verdicts, run_in, open_run):
    run = run_in("awaiting_qa")
    finish(verdicts, claim(verdicts, run))
    assert verdicts.sealed_at("vla_calibration", EB) is not None
    with pytest.raises(Refused, match="sealed"):
        open_run(subject=EB)
    again = open_run(subject=EB, reopen=True)
    assert verdicts.sealed_at("vla_calibration", EB) is None
    assert [event.event for event in verdicts.events(again.pipeline_run_id)] == ["opened", "request_reopened"]


def test_a_request_of_which_the_archive_has_a_run_is_opened_again_only_when_asked(verdicts, run_in, open_run):
    ingest = claim(verdicts, run_in("awaiting_qa"), NULL)
    verdicts.mark_committed(ingest)
    finish(verdicts, ingest, supersede=False, seal=False)
    with pytest.raises(Refused, match="was archived; rerun it with Reopen"):
        open_run(subject=EB)
    again = open_run(subject=EB, reopen=True)
    with pytest.raises(Refused, match="is active"):
        open_run(subject=EB)
    come_to(verdicts, again, "awaiting_qa")
    third = open_run(subject=EB)
    come_to(verdicts, third, "failed")
    verdicts.reject_runs([again.pipeline_run_id], reason="Bad.", by="an analyst")
    with pytest.raises(Refused, match="was archived; rerun it with Reopen"):
        open_run(subject=EB)


def come_to(verdicts, run, state):
    """Lets a run that was just opened come to this state."""
    way = {"cancelled": ["cancelled"], "failed": ["fetching", "failed"]}
    for step in way.get(state, ["fetching", "processing", "awaiting_qa"]):
        verdicts.transition(run.pipeline_run_id, RunState(step), event=step)
    if state == "rejected":
        verdicts.reject_runs([run.pipeline_run_id], reason="Bad.", by="an analyst")


@pytest.mark.parametrize("state", ["failed", "cancelled", "rejected"])
def test_a_request_whose_reopening_came_to_nothing_is_sealed_as_before(verdicts, run_in, open_run, state):
    finish(verdicts, claim(verdicts, run_in("awaiting_qa")))
    sealed_at = verdicts.sealed_at("vla_calibration", EB)
    first = open_run(subject=EB, reopen=True)
    come_to(verdicts, first, "awaiting_qa")
    come_to(verdicts, open_run(subject=EB), state)
    assert verdicts.sealed_at("vla_calibration", EB) is None  # the first one still waits
    verdicts.reject_runs([first.pipeline_run_id], reason="Bad.", by="an analyst")
    assert verdicts.sealed_at("vla_calibration", EB) == sealed_at
    with pytest.raises(Refused, match="sealed"):
        open_run(subject=EB)
    come_to(verdicts, open_run(subject=EB, reopen=True), state)
    assert verdicts.sealed_at("vla_calibration", EB) == sealed_at


def test_what_was_archived_after_a_reopening_is_not_sealed_by_what_comes_to_nothing(verdicts, run_in, open_run):
    finish(verdicts, claim(verdicts, run_in("awaiting_qa")))
    second = open_run(subject=EB, reopen=True)
    come_to(verdicts, second, "awaiting_qa")
    finish(verdicts, claim(verdicts, second, NULL), supersede=False, seal=False)
    come_to(verdicts, open_run(subject=EB, reopen=True), "failed")
    assert verdicts.sealed_at("vla_calibration", EB) is None
    assert change(verdicts, second, PASS).verdict == PASS


# Claims


@pytest.mark.parametrize("state", [state for state in RunState if RunState.INGESTING not in TRANSITIONS[state]])
def test_only_what_awaits_qa_or_failed_to_be_ingested_is_claimed(verdicts, run_in, state):
    run = run_in(state)
    with pytest.raises(Refused, match=f"state {state} "):
        claim(verdicts, run)
    assert verdicts.ingest(run.pipeline_run_id) is None


def test_a_claim_is_kept_with_its_verdict(verdicts, run_in):
    run = run_in("awaiting_qa")
    ingest = claim(verdicts, run)
    assert ingest == verdicts.ingest(run.pipeline_run_id) == claim(verdicts, run)
    assert (ingest.verdict, ingest.number, ingest.tries, ingest.committed_at) == (PASS, 1, 1, None)
    assert verdicts.run(run.pipeline_run_id).state is RunState.INGESTING
    assert [event.event for event in verdicts.events(run.pipeline_run_id)] == ["opened", "ingest_claimed"]


def test_of_many_passes_at_once_one_proceeds(verdicts, run_in):
    runs = [run_in("awaiting_qa") for _ in range(2)]
    together = threading.Barrier(8)

    def passing(number):
        together.wait()
        try:
            return claim(verdicts, runs[number % 2], dag_run_id=f"manual__{number}")
        except Refused as refused:
            return str(refused)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(passing, range(8)))
    assert len([result for result in results if not isinstance(result, str)]) == 1
    assert sorted(states(verdicts)) == ["awaiting_qa", "ingesting"]


@pytest.mark.parametrize("state", sorted(ACTIVE - {RunState.INGESTING}))
def test_nothing_is_ingested_beside_an_active_sibling(verdicts, run_in, state):
    run, _ = run_in("awaiting_qa"), run_in(state)
    with pytest.raises(Refused, match=f"state {state}"):
        claim(verdicts, run)
    assert verdicts.run(run.pipeline_run_id).state is RunState.AWAITING_QA


def test_a_failed_ingest_goes_on_with_the_same_verdict_only(verdicts, run_in):
    run = run_in("awaiting_qa")
    first = claim(verdicts, run)
    fail(verdicts, run)
    with pytest.raises(Refused, match="withdraw it first"):
        claim(verdicts, run, NULL, "manual__2")
    again = claim(verdicts, run, PASS, "manual__2")
    assert again == replace(first, tries=2, dag_run_id="manual__2")


def test_a_claim_of_another_dag_run_is_refused_while_one_is_at_it(verdicts, run_in):
    run = run_in("awaiting_qa")
    claim(verdicts, run)
    with pytest.raises(Refused, match="being ingested already"):
        claim(verdicts, run, dag_run_id="manual__other")


# The end


def test_a_pass_supersedes_seals_reports_and_asks_for_the_index_at_once_and_once(verdicts, run_in):
    siblings = {state: run_in(state) for state in ("awaiting_qa", "failed", "cancelled", "rejected", "cleaned")}
    run = run_in("awaiting_qa")
    ingest = claim(verdicts, run)
    superseded = finish(verdicts, ingest)
    assert superseded == [siblings[state].pipeline_run_id for state in ("awaiting_qa", "failed", "cancelled")]
    assert finish(verdicts, ingest) == superseded
    assert states(verdicts) == ["superseded", "superseded", "superseded", "rejected", "cleaned", "archived"]
    assert [mail.key for mail in verdicts.mails(run.pipeline_run_id)] == ["archived"]
    assert [request.project for request in verdicts.reindex_requests(run.pipeline_run_id)] == ["13A-537"]
    assert claim(verdicts, run, dag_run_id="manual__again") == ingest
    with pytest.raises(Refused, match="another verdict"):
        claim(verdicts, run, NULL)


def test_an_ingest_without_a_pass_leaves_the_siblings_and_the_request(verdicts, run_in):
    run_in("awaiting_qa")
    ingest = claim(verdicts, run_in("awaiting_qa"), NULL)
    assert finish(verdicts, ingest, supersede=False, seal=False) == []
    assert states(verdicts) == ["awaiting_qa", "archived"]
    assert verdicts.sealed_at("vla_calibration", EB) is None


def test_a_repeat_after_a_reopening_does_not_touch_the_new_run(verdicts, run_in, open_run, ledger_url):
    ingest = claim(verdicts, run_in("awaiting_qa"))
    finish(verdicts, ingest)
    open_run(subject=EB, reopen=True)
    with psycopg.connect(ledger_url) as connection:
        connection.execute("UPDATE pipeline_run SET state = 'awaiting_qa' WHERE version = 2")
    finish(verdicts, ingest)
    assert states(verdicts) == ["archived", "awaiting_qa"]
    assert verdicts.sealed_at("vla_calibration", EB) is None


def test_only_one_of_two_siblings_passes(verdicts, run_in):
    first, second = run_in("awaiting_qa"), run_in("awaiting_qa")
    finish(verdicts, claim(verdicts, first), supersede=False)
    with pytest.raises(Refused, match="sealed"):
        claim(verdicts, second)


def test_a_verdict_is_withdrawn_until_the_archive_has_it(verdicts, run_in):
    run = run_in("awaiting_qa")
    ingest = claim(verdicts, run)
    taken_back = {"by": "an analyst", "reason": "Other flags."}
    with pytest.raises(Refused, match="ingesting"):
        verdicts.withdraw_verdict(run.pipeline_run_id, **taken_back)
    verdicts.record_files_of_ingest(ingest, [TAR, WEBLOG], [])
    verdicts.mark_sent(TAR.ngas_file_id)
    fail(verdicts, run)
    assert [file.ngas_file_id for file in verdicts.withdraw_verdict(run.pipeline_run_id, **taken_back)] == [
        TAR.ngas_file_id
    ]
    # With the state, in one transaction: a process that is killed after it has nothing left to report.
    (event,) = [each for each in verdicts.events(run.pipeline_run_id) if each.event == "verdict_withdrawn"]
    assert event.details == taken_back | {"orphans": [TAR.ngas_file_id]}
    assert (verdicts.run(run.pipeline_run_id).state, verdicts.ingest(run.pipeline_run_id)) == ("awaiting_qa", None)
    second = claim(verdicts, run, NULL, "manual__2")
    assert (second.number, second.verdict) == (2, NULL)
    verdicts.mark_committed(second)
    fail(verdicts, run)
    with pytest.raises(Refused, match="has its metadata since"):
        verdicts.withdraw_verdict(run.pipeline_run_id, **taken_back)


def change(verdicts, run, verdict):
    worker = {"dag_id": "vla_qa_pass", "dag_run_id": "manual__change"}
    return verdicts.change_verdict(run.pipeline_run_id, verdict, **worker, by="an analyst")


def test_the_flag_of_an_archived_run_is_changed(verdicts, run_in):
    other, run = run_in("awaiting_qa"), run_in("awaiting_qa")
    finish(verdicts, claim(verdicts, run, NULL), supersede=False, seal=False)
    assert change(verdicts, run, PASS).verdict == PASS
    assert states(verdicts) == ["superseded", "archived"]
    assert verdicts.sealed_at("vla_calibration", EB) is not None
    with pytest.raises(Refused, match="cannot be changed"):
        change(verdicts, other, PASS)


def test_a_flag_that_was_changed_by_mistake_is_changed_back(verdicts, run_in):
    run = run_in("awaiting_qa")
    finish(verdicts, claim(verdicts, run, PASS), supersede=True, seal=True)
    change(verdicts, run, NULL)
    assert change(verdicts, run, PASS).verdict == PASS
    assert verdicts.sealed_at("vla_calibration", EB) is not None


def test_a_run_is_not_removed_before_the_archive_has_its_last_verdict(verdicts, run_in):
    run = run_in("awaiting_qa")
    run_id = run.pipeline_run_id
    finish(verdicts, claim(verdicts, run, PASS), supersede=False, seal=False)
    assert (verdicts.why_verdict_is_due(run_id), verdicts.verdicts_due()) == (None, [])
    change(verdicts, run, NULL)
    change(verdicts, run, PASS)
    verdicts.record_verdict_written(run_id, 1)
    for _ in range(2):
        with pytest.raises(Refused, match=r"changed to Pass, .* trigger vla_qa_pass with the run and this flag"):
            verdicts.begin_removal(run_id, {})
    assert verdicts.run(run_id).state is RunState.ARCHIVED
    assert verdicts.verdicts_due() == [run_id]
    for number in (2, 2, 1):
        verdicts.record_verdict_written(run_id, number)
    assert (verdicts.why_verdict_is_due(run_id), verdicts.verdicts_due()) == (None, [])
    for _ in range(2):
        verdicts.begin_removal(run_id, {"places": ["x"]})
    events = verdicts.events(run_id)
    assert [event.details["number"] for event in events if event.event == "changed_verdict_written"] == [1, 2]
    (begun,) = [event for event in events if event.event == "removal_begun"]
    assert (begun.state_before, begun.state_after, begun.details) == ("archived", "cleaning", {"places": ["x"]})
    verdicts.transition(run_id, RunState.CLEANED, event="removed")
    with pytest.raises(Refused, match="has been removed"):
        verdicts.begin_removal(run_id, {})


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


def test_a_run_is_not_removed_while_a_rerun_that_takes_its_raw_data_is_opened(verdicts, open_run, run_in, ledger_url):
    former = run_in("failed").pipeline_run_id
    error = beside(
        ledger_url,
        lambda: open_run(subject=EB, former_run=former),
        after_statement("ledger/run_insert", then=stop),
        lambda: verdicts.begin_removal(former, {}),
    )
    assert "is taking its raw data (state created)" in str(error)
    rerun = verdicts.runs_of_request("vla_calibration", EB)[-1].pipeline_run_id
    verdicts.transition(rerun, RunState.FETCHING, event="begun")
    with pytest.raises(Refused, match="is not removed now"):
        verdicts.begin_removal(former, {})
    verdicts.transition(rerun, RunState.PROCESSING, event="fetched")
    verdicts.begin_removal(former, {})
    assert states(verdicts) == [RunState.CLEANING, RunState.PROCESSING]


def test_no_rerun_of_a_run_is_opened_while_its_removal_begins(verdicts, open_run, run_in, ledger_url):
    former = run_in("failed").pipeline_run_id
    error = beside(
        ledger_url,
        lambda: verdicts.begin_removal(former, {}),
        after_statement("ledger/run_set_state", then=stop),
        lambda: open_run(subject=EB, former_run=former),
    )
    assert isinstance(error, Refused)
    assert f"its pipeline run {former} is being removed" in str(error)
    assert states(verdicts) == [RunState.CLEANING]
    # What is gone is not linked, and so is not in the way.
    verdicts.transition(former, RunState.CLEANED, event="removed")
    open_run(subject=EB, former_run=former)


def test_a_flag_is_not_changed_to_pass_beside_another_that_passed(verdicts, run_in):
    run, other = run_in("awaiting_qa"), run_in("awaiting_qa")
    finish(verdicts, claim(verdicts, run, NULL), supersede=False, seal=False)
    finish(verdicts, claim(verdicts, other, PASS), supersede=False, seal=True)
    with pytest.raises(Refused, match="another run"):
        change(verdicts, run, PASS)


def test_a_flag_is_not_changed_to_pass_beside_an_active_sibling(verdicts, run_in):
    run = run_in("awaiting_qa")
    finish(verdicts, claim(verdicts, run, NULL), supersede=False, seal=False)
    run_in("processing")
    with pytest.raises(Refused, match="is active"):
        change(verdicts, run, PASS)
    assert verdicts.ingest(run.pipeline_run_id).verdict == NULL


# Failed QA


def test_runs_are_rejected_all_or_none(verdicts, run_in):
    runs = [run_in(state) for state in ("awaiting_qa", "failed", "cancelled", "rejected", "cleaned")]
    ids = [run.pipeline_run_id for run in runs]
    mail = Mail("rejected", ("one@example.org",), "Rejected", "text", "<p>html</p>")
    superseded = run_in("superseded")
    with pytest.raises(Refused, match="state superseded"):
        verdicts.reject_runs([*ids, superseded.pipeline_run_id], reason="bad", by="an analyst")
    assert states(verdicts)[:3] == ["awaiting_qa", "failed", "cancelled"]
    for _ in range(2):
        rejected = verdicts.reject_runs(ids, reason="bad", by="an analyst", mails={ids[0]: [mail]})
    assert rejected == []
    assert states(verdicts) == ["rejected", "rejected", "rejected", "rejected", "cleaned", "superseded"]
    assert [mail.key for mail in verdicts.mails(ids[0])] == ["rejected"]
    assert verdicts.events(ids[0])[-1].details == {"reason": "bad", "by": "an analyst"}


@pytest.mark.parametrize("state", sorted(ACTIVE))
def test_nothing_is_rejected_beside_an_active_run(verdicts, run_in, state):
    waiting, active = run_in("awaiting_qa"), run_in(state)
    for wanted in ([waiting.pipeline_run_id], [waiting.pipeline_run_id, active.pipeline_run_id]):
        with pytest.raises(Refused, match=f"state {state}"):
            verdicts.reject_runs(wanted, reason="bad", by="an analyst")
    assert states(verdicts) == ["awaiting_qa", state]


def test_what_was_ingested_does_not_fail_qa(verdicts, run_in, ledger_url):
    run = run_in("awaiting_qa")
    ingest = claim(verdicts, run)
    verdicts.mark_committed(ingest)
    finish(verdicts, ingest)
    assert verdicts.archived_runs_of_request("vla_calibration", EB) == [run.pipeline_run_id]
    for state in (RunState.CLEANING, RunState.CLEANED):
        verdicts.transition(run.pipeline_run_id, state, event=str(state))
        with pytest.raises(Refused, match="a verdict to ingest it into the archive was given"):
            verdicts.reject_runs([run.pipeline_run_id], reason="bad", by="an analyst")


def test_an_unknown_run_is_not_rejected(verdicts, run_in):
    run = run_in("awaiting_qa")
    with pytest.raises(InvalidInput, match="holds no pipeline run"):
        verdicts.reject_runs([run.pipeline_run_id, "vla-20260101-000000-aaaa"], reason="bad", by="an analyst")
    assert states(verdicts) == ["awaiting_qa"]
