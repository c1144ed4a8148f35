from __future__ import annotations

import json
import shutil
import threading
import time
from unittest import mock

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from tests.fetching import EB, hidden_sizes, pattern, stored, visible

from sandbox.ngas.server import NgasServer
from srdp.domain.errors import InvalidInput, ServiceUnavailable
from srdp.domain.fetch_file import Patience
from srdp.domain.pipeline_run import processing_directory, qa_directory
from srdp.domain.states import RunState
from srdp.hooks.locator import LocatorHook
from srdp.operators.fetch import FetchFromNgasOperator

pytestmark = pytest.mark.servers

FILES = {"ASDM.xml": b"<ASDM/>", "ASDMBinary/uid_1": pattern(2_000_000)}


@pytest.fixture
def ngas(tmp_path):
    with NgasServer(tmp_path / "ngas", user="vlapipe", password="secret", stall_seconds=30) as server:
        yield server


@pytest.fixture
def locator(monkeypatch):
    """The locator service, which has its own tests."""
    service = mock.create_autospec(LocatorHook, instance=True)
    monkeypatch.setattr("srdp.operators.fetch.LocatorHook", lambda _: service)
    return service


@pytest.fixture
def run(settings, ledger, open_run, ngas, locator, monkeypatch):
    """A run that is to be fetched: in the ledger, with its directory, and its files in NGAS."""
    monkeypatch.setattr("srdp.operators.fetch.load_settings", lambda: settings)
    monkeypatch.setenv(
        "AIRFLOW_CONN_SRDP_NGAS", json.dumps({"conn_type": "http", "login": "vlapipe", "password": "secret"})
    )
    locator.report.return_value = stored(ngas, FILES)
    run = open_run()
    processing_directory(settings.areas, run.pipeline_run_id).root.mkdir()
    ledger.transition(run.pipeline_run_id, RunState.FETCHING, event="begun")
    return run


@pytest.fixture
def rawdata(settings, run):
    return processing_directory(settings.areas, run.pipeline_run_id).rawdata


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("srdp.domain.fetch.Patience", lambda: Patience(attempts=2, first_wait_seconds=0.01))
    monkeypatch.setattr("random.uniform", lambda low, _: low)


def operator(run):
    return FetchFromNgasOperator(task_id="fetch_from_ngas", pipeline_run_id=run.pipeline_run_id)


def test_the_run_is_named_by_a_template():
    assert FetchFromNgasOperator.template_fields == ("pipeline_run_id",)


def test_the_files_arrive_are_recorded_and_the_run_is_handed_on(ngas, ledger, run, rawdata, locator):
    operator(run).execute({})
    assert visible(rawdata) == FILES
    locator.report.assert_called_once_with(run.locator)
    assert ledger.run(run.pipeline_run_id).state is RunState.PROCESSING
    recorded = {file.path.partition("/")[2]: file for file in ledger.fetched_files(run.pipeline_run_id)}
    assert {path: file.size_bytes for path, file in recorded.items()} == {path: len(FILES[path]) for path in FILES}
    event = ledger.events(run.pipeline_run_id)[-1]
    assert (event.event, event.state_after) == ("fetched", RunState.PROCESSING)
    assert event.details["files"] == 2
    assert event.details["bytes"] == 2_000_007


def test_once_more_when_everything_is_done_asks_nobody(ngas, run, locator):
    operator(run).execute({})
    ngas.requests.clear()
    locator.report.reset_mock()
    operator(run).execute({})
    assert len(ngas.requests) == 0
    locator.report.assert_not_called()


def test_killed_before_the_ledger_was_told_nothing_is_fetched_twice(ngas, ledger, run, rawdata, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("srdp.operators.fetch.LedgerHook.transition", mock.Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            operator(run).execute({})
    ngas.requests.clear()
    operator(run).execute({})
    assert len(ngas.requests) == 0
    assert ledger.run(run.pipeline_run_id).state is RunState.PROCESSING


def test_what_trying_again_does_not_cure_fails_without_a_retry(ngas, ledger, run):
    ngas.faults.add("wrong_size", file_id="ASDM.xml", bytes=1)
    with pytest.raises(AirflowFailException, match=r"ASDM\.xml.*1 bytes.*recorded 7"):
        operator(run).execute({})
    assert ledger.run(run.pipeline_run_id).state is RunState.FETCHING  # the DAG's failure report says failed


def test_a_server_that_is_away_leaves_a_retry_to_airflow(ngas, run, impatient, rawdata):
    fault = ngas.faults.add("busy")
    with pytest.raises(AirflowException, match=f"NGAS server 127.0.0.1:{ngas.port}") as caught:
        operator(run).execute({})
    assert not isinstance(caught.value, AirflowFailException)
    ngas.faults.clear()
    assert fault.hits
    operator(run).execute({})
    assert visible(rawdata) == FILES


@pytest.mark.parametrize(
    ("error", "kind"), [(InvalidInput("Unknown"), AirflowFailException), (ServiceUnavailable("Down"), AirflowException)]
)
def test_the_locators_failures_are_told_as_they_are(run, locator, error, kind):
    locator.report.side_effect = error
    with pytest.raises(AirflowException, match=str(error)) as caught:
        operator(run).execute({})
    assert type(caught.value) is kind


def test_a_run_that_is_over_is_not_fetched(ngas, ledger, run):
    ledger.transition(run.pipeline_run_id, RunState.CANCELLED, event="cancelled")
    with pytest.raises(AirflowFailException, match="cancelled"):
        operator(run).execute({})
    assert len(ngas.requests) == 0


def test_a_run_whose_directory_is_gone_is_not_made_anew(ngas, run, rawdata):
    rawdata.parent.rmdir()
    with pytest.raises(AirflowFailException, match="has no directory"):
        operator(run).execute({})
    assert not rawdata.parent.exists()
    assert len(ngas.requests) == 0


def test_a_run_that_does_not_exist(run):
    for unknown in ("vla-20260101-000000-0000", "../x"):
        with pytest.raises(AirflowFailException, match="pipeline run"):
            FetchFromNgasOperator(task_id="t", pipeline_run_id=unknown).execute({})


def test_killed_by_airflow_it_stops_at_once_and_may_be_tried_again(ngas, run, rawdata):
    ngas.faults.add("stall", command="RETRIEVE", file_id="ASDMBinary*", bytes=1_000_000)
    step = operator(run)

    def kill_when_it_stalls():
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and 1_000_000 not in hidden_sizes(rawdata):
            time.sleep(0.01)
        step.on_kill()

    threading.Thread(target=kill_when_it_stalls).start()
    started = time.monotonic()
    with pytest.raises(AirflowException, match="was stopped") as caught:
        step.execute({})
    assert time.monotonic() - started < 10
    assert not isinstance(caught.value, AirflowFailException)
    assert set(visible(rawdata)) == {"ASDM.xml"}


def test_killed_before_the_first_byte_it_does_not_begin(ngas, run, locator):
    step = operator(run)
    report = locator.report.return_value

    def killed_meanwhile(_):
        step.on_kill()
        return report

    locator.report.side_effect = killed_meanwhile
    with pytest.raises(AirflowException, match="was stopped"):
        step.execute({})
    assert len(ngas.requests) == 0


def states(ledger, run_id, *wanted):
    for state in wanted:
        ledger.transition(run_id, state, event="of a test")


@pytest.fixture
def former(settings, ledger, run):
    """A run that was fetched and failed: its directory lies in the processing area."""
    operator(run).execute({})
    states(ledger, run.pipeline_run_id, RunState.FAILED)
    return processing_directory(settings.areas, run.pipeline_run_id)


@pytest.fixture
def rerun(settings, ledger, open_run, run, former, ngas, locator):
    """A run that repeats it, and is to get its raw data."""
    rerun = open_run(subject=run.subject, locator=run.locator, former_run=run.pipeline_run_id)
    processing_directory(settings.areas, rerun.pipeline_run_id).rawdata.mkdir(parents=True)
    states(ledger, rerun.pipeline_run_id, RunState.FETCHING)
    ngas.requests.clear()
    locator.report.reset_mock()
    return rerun


def inodes(directory):
    return {path.name: path.stat().st_ino for path in directory.rawdata.rglob("*") if path.is_file()}


def last_event(ledger, run):
    return ledger.events(run.pipeline_run_id)[-1]


@pytest.mark.parametrize("area", ["processing", "qa"])
def test_a_rerun_is_linked_to_the_former_runs_raw_data_wherever_they_lie(
    settings, ledger, run, former, rerun, ngas, locator, area
):
    if area == "qa":
        former.root.rename(settings.qa_area / former.root.name)
        former = qa_directory(settings.areas, run.pipeline_run_id)
    operator(rerun).execute({})
    new = processing_directory(settings.areas, rerun.pipeline_run_id)
    assert inodes(new) == inodes(former)
    assert len(inodes(new)) == len(FILES)
    assert len(ngas.requests) == 0
    locator.report.assert_not_called()
    assert ledger.fetched_files(rerun.pipeline_run_id) == ledger.fetched_files(run.pipeline_run_id)
    event = last_event(ledger, rerun)
    assert (event.event, event.state_after) == ("linked", RunState.PROCESSING)
    assert event.details["former_run"] == run.pipeline_run_id
    assert (event.details["files"], event.details["bytes"], event.details["copied"]) == (2, 2_000_007, 0)


def fetched_anew(ledger, rerun, settings, former, why):
    operator(rerun).execute({})
    new = processing_directory(settings.areas, rerun.pipeline_run_id)
    assert visible(new.rawdata) == FILES
    assert sorted(path.name for path in new.rawdata.iterdir()) == [EB]
    assert ledger.run(rerun.pipeline_run_id).state is RunState.PROCESSING
    event = last_event(ledger, rerun)
    assert event.event == "fetched"
    assert why in event.details["not_linked"]
    return new


@pytest.mark.parametrize(
    "thrown_away",
    [
        [RunState.REJECTED],
        [RunState.REJECTED, RunState.CLEANING],
        [RunState.CLEANING, RunState.CLEANED],
    ],
)
def test_what_was_thrown_away_is_fetched_anew_even_if_it_is_still_there(
    settings, ledger, run, former, rerun, ngas, thrown_away
):
    states(ledger, run.pipeline_run_id, *thrown_away)
    new = fetched_anew(ledger, rerun, settings, former, f"that run is {thrown_away[-1]}")
    assert set(inodes(new).values()).isdisjoint(inodes(former).values())
    assert len(ngas.requests) == len(FILES)


def test_a_former_run_whose_directory_is_gone_is_fetched_anew(settings, ledger, former, rerun):
    shutil.rmtree(former.root)
    fetched_anew(ledger, rerun, settings, former, "has no directory")


def test_a_former_run_with_a_changed_file_is_fetched_anew(settings, ledger, former, rerun):
    (former.rawdata / EB / "ASDM.xml").unlink()
    fetched_anew(ledger, rerun, settings, former, "ASDM.xml' in rawdata/ is missing")


def test_a_former_run_whose_fetch_was_not_complete_is_fetched_anew(settings, ledger, open_run, run, locator):
    states(ledger, run.pipeline_run_id, RunState.FAILED)
    former = processing_directory(settings.areas, run.pipeline_run_id)
    (former.rawdata / EB).mkdir(parents=True)
    (former.rawdata / EB / "ASDM.xml").write_bytes(b"<ASDM/>")
    rerun = open_run(subject=run.subject, locator=run.locator, former_run=run.pipeline_run_id)
    processing_directory(settings.areas, rerun.pipeline_run_id).rawdata.mkdir(parents=True)
    states(ledger, rerun.pipeline_run_id, RunState.FETCHING)
    fetched_anew(ledger, rerun, settings, former, "no complete fetch")


def test_what_was_linked_before_the_former_run_vanished_is_not_fetched(settings, ledger, run, former, rerun, ngas):
    new = processing_directory(settings.areas, rerun.pipeline_run_id)
    (new.rawdata / EB).mkdir()
    (new.rawdata / EB / "ASDM.xml").hardlink_to(former.rawdata / EB / "ASDM.xml")
    shutil.rmtree(former.root)
    fetched_anew(ledger, rerun, settings, former, "has no directory")
    assert len(ngas.requests) == 1


def test_killed_before_the_ledger_was_told_the_next_try_finds_the_links(
    settings, ledger, former, rerun, ngas, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr("srdp.operators.fetch.LedgerHook.record_fetched_files", mock.Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            operator(rerun).execute({})
    operator(rerun).execute({})
    assert last_event(ledger, rerun).event == "linked"
    assert len(ngas.requests) == 0


def test_killed_by_airflow_while_it_links_it_stops_and_may_be_tried_again(ledger, rerun, ngas):
    step = operator(rerun)
    step.on_kill()
    with pytest.raises(AirflowException, match="was stopped") as caught:
        step.execute({})
    assert not isinstance(caught.value, AirflowFailException)
    assert ledger.run(rerun.pipeline_run_id).state is RunState.FETCHING
    assert len(ngas.requests) == 0


def test_raw_data_are_read_only(run, rawdata):
    operator(run).execute({})
    assert {path.stat().st_mode & 0o777 for path in rawdata.rglob("*") if path.is_file()} == {0o444}
