from __future__ import annotations

import json
import shutil
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from tests.fetching import EB, OneAnswer, file_id_of, hidden_sizes, pattern, report_document, server_name
from tests.replacing import replace_everywhere

from sandbox.ngas.server import NgasServer
from srdp.domain.archiving.mous import Mous, mous
from srdp.domain.common.errors import InvalidInput, ServiceUnavailable
from srdp.domain.ngas.locator_report import UNFINISHED, LocatorReport, parse_locator_report
from srdp.domain.runs.pipeline_run import processing_directory, qa_directory
from srdp.domain.runs.retry import RequestRetryPolicy
from srdp.domain.runs.states import RunState
from srdp.families import ALMA, VLA, Family, families
from srdp.hooks.archive import ArchiveHook
from srdp.hooks.locator import LocatorHook
from srdp.operators.fetch import FetchFromNgasOperator
from srdp.operators.retrying import TryAgain
from srdp.services.context import RunContext
from srdp.services.processing.imaged_mous import mous_of_run

pytestmark = pytest.mark.servers

SDM = {"ASDM.xml": b"<ASDM/>", "ASDMBinary/uid_1": pattern(2_000_000)}
MOUS = "uid://A001/X1288/X3f"
ASDMS = {"uid://A002/X85c183/X36f": "uid___A002_X85c183_X36f", "uid://A002/X85c183/X60": "uid___A002_X85c183_X60"}
CALIBRATION = "uid://alma/calibration/00000000-0000-0000-0000-000000000001"
CALTABLES = "uid___A001_X1288_X3f.session_1.caltables.tgz"
MANIFEST = "uid___A001_X1288_X3f.hifa_calimage.pipeline_manifest.xml"
PRODUCTS = {
    MANIFEST: (
        f'<piperesults><ous><session><caltables name="{CALTABLES}"/>'
        + "".join(
            f'<asdm><finalflags name="{name}.ms.flagversions.tgz"/><applycmds name="{name}.ms.calapply.txt"/></asdm>'
            for name in ASDMS.values()
        )
        + "</session></ous></piperesults>"
    ).encode(),
    CALTABLES: pattern(50_000),
    **{f"{name}.ms.{kind}": pattern(999) for name in ASDMS.values() for kind in ("flagversions.tgz", "calapply.txt")},
}


@dataclass(frozen=True)
class Observed:
    """What a run of a family works on.

    Attributes:
        family: the family.
        request: what the run is opened with.
        located: the files of each locator: the folder in rawdata/, if there is one, and the content by path below it.
    """

    family: Family
    request: dict[str, str]
    located: dict[str, tuple[str | None, dict[str, bytes]]]

    @property
    def files(self) -> dict[str, bytes]:
        """All files by their paths in rawdata/."""
        return {
            f"{folder}/{path}" if folder else path: content
            for folder, files in self.located.values()
            for path, content in files.items()
        }

    @property
    def size(self) -> int:
        return sum(map(len, self.files.values()))


EB_LOCATOR = "uid://evla/execblock/00000000-0000-0000-0000-000000000007"
OBSERVED = {
    VLA: Observed(VLA, {"kind": VLA.kind, "subject": EB, "locator": EB_LOCATOR}, {EB_LOCATOR: (EB, SDM)}),
    ALMA: Observed(
        ALMA,
        {"kind": ALMA.kind, "subject": MOUS, "locator": MOUS, "recipe": "alma_imaging"},
        {**{uid: (name, SDM) for uid, name in ASDMS.items()}, CALIBRATION: (None, PRODUCTS)},
    ),
}


def the_mous(**changes: object) -> Mous:
    asdms = [(uid, name, uid) for uid, name in ASDMS.items()]
    return mous(**{"uid": MOUS, "project": "2019.1.00001.S", "asdms": asdms, "calibration": CALIBRATION} | changes)


def report_of(ngas: NgasServer, about: str, folder: str | None, files: dict[str, bytes]) -> LocatorReport:
    """Put files into NGAS, under ids that no other locator's have, and return the report that leads to them."""
    document = report_document(files, server_name(ngas))
    for file, (path, content) in zip(document["files"], files.items(), strict=True):
        file["subdirectory"] = folder
        file["ngas_file_id"] = f"{about[-3:].replace('/', '_')}.{file_id_of(path)}"[:64]
        ngas.put(file["ngas_file_id"], content, signed=True)
    return parse_locator_report(json.dumps(document).encode(), about)


def visible(rawdata: Path) -> dict[str, bytes]:
    """Everything that a person sees in rawdata/, by path."""
    return {
        str(path.relative_to(rawdata)): path.read_bytes()
        for path in rawdata.rglob("*")
        if path.is_file() and UNFINISHED not in path.parts
    }


@pytest.fixture(params=families(), ids=lambda family: family.name)
def observed(request) -> Observed:
    return OBSERVED[request.param]


@pytest.fixture
def ngas(tmp_path):
    with NgasServer(tmp_path / "ngas", user="vlapipe", password="secret", stall_seconds=30) as server:
        yield server


@pytest.fixture
def locator(monkeypatch):
    """The locator service, which has its own tests."""
    service = mock.create_autospec(LocatorHook, instance=True)
    replace_everywhere(monkeypatch, "srdp.hooks.locator:LocatorHook", lambda _: service)
    return service


@pytest.fixture
def archive(monkeypatch):
    """The archive, which has its own tests, and the MOUS."""
    hook = mock.create_autospec(ArchiveHook, instance=True)
    hook.mous.return_value = the_mous()
    replace_everywhere(monkeypatch, "srdp.hooks.archive:ArchiveHook", lambda _settings: hook)
    return hook


@pytest.fixture
def located(ngas, locator, observed):
    """What the locator service says, which a test may change."""
    reports = {about: report_of(ngas, about, *files) for about, files in observed.located.items()}
    locator.report.side_effect = lambda about: reports[about]
    return reports


@pytest.fixture
def run(settings, ledger, open_run, observed, located, archive, monkeypatch):
    """A run that is to be fetched: in the ledger, with its directory, and its files in NGAS."""
    monkeypatch.setattr("srdp.settings.load_settings", lambda: settings)
    connection = {"conn_type": "http", "host": "127.0.0.1", "login": "vlapipe", "password": "secret"}
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_NGAS", json.dumps(connection))
    run = open_run(**observed.request)
    processing_directory(settings.areas, run.pipeline_run_id).root.mkdir()
    if observed.family.announces_start:
        ledger.runs.transition(run.pipeline_run_id, RunState.FETCHING, event="begun")
    return run


@pytest.fixture
def rawdata(settings, run):
    return processing_directory(settings.areas, run.pipeline_run_id).rawdata


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("srdp.domain.raw_data.fetch.SERVER", RequestRetryPolicy(attempts=2, first_wait_seconds=0.01))
    monkeypatch.setattr("random.uniform", lambda low, _: low)


def operator(run):
    return FetchFromNgasOperator(task_id="fetch_from_ngas", pipeline_run_id=run.pipeline_run_id)


def test_the_run_is_named_by_a_template():
    assert FetchFromNgasOperator.template_fields == ("pipeline_run_id",)


def test_the_files_arrive_are_recorded_and_the_run_is_handed_on(ledger, run, rawdata, locator, observed):
    operator(run).execute({})
    assert visible(rawdata) == observed.files
    assert [call.args for call in locator.report.call_args_list] == [(about,) for about in observed.located]
    assert ledger.runs.get(run.pipeline_run_id).state is RunState.PROCESSING
    recorded = {file.path: file.size_bytes for file in ledger.fetched_files.of_run(run.pipeline_run_id)}
    assert recorded == {path: len(content) for path, content in observed.files.items()}
    begun, fetched = [event for event in ledger.events.of_run(run.pipeline_run_id) if event.state_before]
    assert (begun.event, begun.state_after) == ("begun", RunState.FETCHING)
    assert (fetched.event, fetched.state_after) == ("fetched", RunState.PROCESSING)
    assert (fetched.details["files"], fetched.details["bytes"]) == (len(observed.files), observed.size)


def test_the_login_goes_to_no_server_that_the_locator_alone_names(ngas, run, rawdata, located):
    with OneAnswer(host="127.0.0.2") as foreign:
        about, report = next(iter(located.items()))
        elsewhere = replace(report.files[-1], server=foreign.name)
        located[about] = replace(report, files=(*report.files[:-1], elsewhere))
        with pytest.raises(AirflowFailException, match=f"{foreign.name}.*locator report of .*{elsewhere.destination}"):
            operator(run).execute({})
        assert foreign.asked == []
    assert len(ngas.requests) == 0
    assert not rawdata.exists()


@pytest.mark.parametrize("good", [1, 0])
def test_a_damaged_copy_is_notified_of_whether_or_not_a_good_one_was_left(
    settings, ngas, ledger, run, rawdata, observed, good
):
    stored = max(ngas.store.like("%"), key=lambda row: row.file_size)
    copied = ngas.store.copy(stored, ngas.store.path(stored), ngas.store.volumes[1])
    for row in [copied, stored][: 2 - good]:
        ngas.store.path(row).write_bytes(bytes(row.file_size))
    if good:
        operator(run).execute({})
        assert visible(rawdata) == observed.files
    else:
        with pytest.raises(AirflowFailException, match="corrupt on disk"):
            operator(run).execute({})
    (event,) = [event for event in ledger.events.of_run(run.pipeline_run_id) if event.event == "ngas_copy_damaged"]
    disks = [row.disk_id for row in [stored, copied][good:]]
    assert (event.details["found_by"], [copy["disk_id"] for copy in event.details["copies"]]) == ("fetch", disks)
    (mail,) = [mail for mail in ledger.outbox.mails(run.pipeline_run_id) if mail.key.startswith("copy_damaged_")]
    assert mail.recipients == settings.operations_managers
    assert stored.file_id in mail.text


def test_once_more_when_everything_is_done_asks_nobody(ngas, run, locator):
    operator(run).execute({})
    ngas.requests.clear()
    locator.report.reset_mock()
    operator(run).execute({})
    assert len(ngas.requests) == 0
    locator.report.assert_not_called()


def test_killed_before_the_ledger_was_reported_nothing_is_fetched_twice(ngas, ledger, run, rawdata, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("srdp.hooks.ledger.files.FetchedFiles.record", mock.Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            operator(run).execute({})
    ngas.requests.clear()
    operator(run).execute({})
    assert len(ngas.requests) == 0
    assert ledger.runs.get(run.pipeline_run_id).state is RunState.PROCESSING


def test_what_trying_again_does_not_fix_fails_without_a_retry(ngas, ledger, run):
    ngas.faults.add("wrong_size", file_id="*ASDM.xml", bytes=1)
    with pytest.raises(AirflowFailException, match=r"ASDM\.xml.*1 bytes.*recorded 7"):
        operator(run).execute({})
    assert ledger.runs.get(run.pipeline_run_id).state is RunState.FETCHING  # the DAG's failure report says failed


def test_a_server_that_is_away_leaves_a_retry_to_airflow(ngas, run, impatient, rawdata, observed):
    fault = ngas.faults.add("busy")
    with pytest.raises(AirflowException, match=f"NGAS server 127.0.0.1:{ngas.port}") as caught:
        operator(run).execute({})
    assert not isinstance(caught.value, AirflowFailException)
    ngas.faults.clear()
    assert fault.hits
    operator(run).execute({})
    assert visible(rawdata) == observed.files


@pytest.mark.parametrize(
    ("error", "kind"), [(InvalidInput("Unknown"), AirflowFailException), (ServiceUnavailable("Down"), TryAgain)]
)
def test_the_locators_failures_are_reported_as_they_are(run, locator, error, kind):
    locator.report.side_effect = error
    with pytest.raises(AirflowException, match=str(error)) as caught:
        operator(run).execute({})
    assert type(caught.value) is kind


def test_a_run_that_is_over_is_not_fetched(ngas, ledger, run):
    ledger.runs.transition(run.pipeline_run_id, RunState.CANCELLED, event="cancelled")
    with pytest.raises(AirflowFailException, match="cancelled"):
        operator(run).execute({})
    assert len(ngas.requests) == 0


def test_a_run_whose_directory_is_gone_is_not_made_again(ngas, run, rawdata):
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
    ngas.faults.add("stall", command="RETRIEVE", file_id="*ASDMBinary*", bytes=1_000_000)
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
    assert not any(path.endswith("uid_1") for path in visible(rawdata))


def test_killed_before_the_first_byte_it_does_not_begin(ngas, run, locator):
    step = operator(run)
    answer = locator.report.side_effect

    def killed_meanwhile(about):
        step.on_kill()
        return answer(about)

    locator.report.side_effect = killed_meanwhile
    with pytest.raises(AirflowException, match="was stopped"):
        step.execute({})
    assert len(ngas.requests) == 0


def states(ledger, run_id, *wanted):
    for state in wanted:
        ledger.runs.transition(run_id, state, event="of a test")


@pytest.fixture
def former(settings, ledger, run):
    """A run that was fetched and failed: its directory is in the processing area."""
    operator(run).execute({})
    states(ledger, run.pipeline_run_id, RunState.FAILED)
    return processing_directory(settings.areas, run.pipeline_run_id)


@pytest.fixture
def rerun(settings, ledger, open_run, run, former, ngas, locator, observed):
    """A run that repeats it, and is to get its raw data."""
    rerun = open_run(**observed.request, former_run=run.pipeline_run_id)
    processing_directory(settings.areas, rerun.pipeline_run_id).rawdata.mkdir(parents=True)
    states(ledger, rerun.pipeline_run_id, RunState.FETCHING)
    ngas.requests.clear()
    locator.report.reset_mock()
    return rerun


def inodes(directory):
    return {
        str(path.relative_to(directory.rawdata)): path.stat().st_ino
        for path in directory.rawdata.rglob("*")
        if path.is_file()
    }


def last_event(ledger, run):
    return ledger.events.of_run(run.pipeline_run_id)[-1]


@pytest.mark.parametrize("area", ["processing", "qa"])
def test_a_rerun_is_linked_to_the_former_runs_raw_data_wherever_they_are(
    settings, ledger, run, former, rerun, ngas, locator, area, observed
):
    if area == "qa":
        former.root.rename(settings.qa_area / former.root.name)
        former = qa_directory(settings.areas, run.pipeline_run_id)
    operator(rerun).execute({})
    new = processing_directory(settings.areas, rerun.pipeline_run_id)
    assert inodes(new) == inodes(former)
    assert set(inodes(new)) == set(observed.files)
    assert len(ngas.requests) == 0
    locator.report.assert_not_called()
    assert ledger.fetched_files.of_run(rerun.pipeline_run_id) == ledger.fetched_files.of_run(run.pipeline_run_id)
    event = last_event(ledger, rerun)
    assert (event.event, event.state_after) == ("linked", RunState.PROCESSING)
    assert event.details["former_run"] == run.pipeline_run_id
    assert event.details["copied"] == 0
    assert (event.details["files"], event.details["bytes"]) == (len(observed.files), observed.size)


def fetched_anew(ledger, rerun, settings, observed, why):
    operator(rerun).execute({})
    new = processing_directory(settings.areas, rerun.pipeline_run_id)
    assert visible(new.rawdata) == observed.files
    assert {path.name for path in new.rawdata.iterdir()} == {path.partition("/")[0] for path in observed.files}
    assert ledger.runs.get(rerun.pipeline_run_id).state is RunState.PROCESSING
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
def test_what_was_discarded_is_fetched_again_even_if_it_is_still_there(
    settings, ledger, run, former, rerun, ngas, thrown_away, observed
):
    states(ledger, run.pipeline_run_id, *thrown_away)
    new = fetched_anew(ledger, rerun, settings, observed, f"that run is {thrown_away[-1]}")
    assert set(inodes(new).values()).isdisjoint(inodes(former).values())
    assert len(ngas.requests) == len(observed.files)


def test_a_former_run_whose_directory_is_gone_is_fetched_again(settings, ledger, former, rerun, observed):
    shutil.rmtree(former.root)
    fetched_anew(ledger, rerun, settings, observed, "has no directory")


def test_a_former_run_with_a_changed_file_is_fetched_again(settings, ledger, former, rerun, observed):
    (former.rawdata / next(iter(observed.files))).unlink()
    fetched_anew(ledger, rerun, settings, observed, "ASDM.xml' in rawdata/ is missing")


def test_a_former_run_whose_fetch_was_not_complete_is_fetched_again(settings, ledger, open_run, run, observed):
    states(ledger, run.pipeline_run_id, RunState.FETCHING, RunState.FAILED)
    former = processing_directory(settings.areas, run.pipeline_run_id)
    first = former.rawdata / next(iter(observed.files))
    first.parent.mkdir(parents=True)
    first.write_bytes(b"<ASDM/>")
    rerun = open_run(**observed.request, former_run=run.pipeline_run_id)
    processing_directory(settings.areas, rerun.pipeline_run_id).rawdata.mkdir(parents=True)
    states(ledger, rerun.pipeline_run_id, RunState.FETCHING)
    fetched_anew(ledger, rerun, settings, observed, "no complete fetch")


def test_what_was_linked_before_the_former_run_vanished_is_not_fetched(
    settings, ledger, run, former, rerun, ngas, observed
):
    new = processing_directory(settings.areas, rerun.pipeline_run_id)
    first = next(iter(observed.files))
    (new.rawdata / first).parent.mkdir()
    (new.rawdata / first).hardlink_to(former.rawdata / first)
    shutil.rmtree(former.root)
    fetched_anew(ledger, rerun, settings, observed, "has no directory")
    assert len(ngas.requests) == len(observed.files) - 1


def test_killed_before_the_ledger_was_reported_the_next_try_finds_the_links(
    settings, ledger, former, rerun, ngas, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr("srdp.hooks.ledger.files.FetchedFiles.record", mock.Mock(side_effect=KeyboardInterrupt))
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
    assert ledger.runs.get(rerun.pipeline_run_id).state is RunState.FETCHING
    assert len(ngas.requests) == 0


def test_raw_data_are_read_only(run, rawdata):
    operator(run).execute({})
    assert {path.stat().st_mode & 0o777 for path in rawdata.rglob("*") if path.is_file()} == {0o444}


# What only an MOUS has: several locators, and a calibration without which CASA is not started

of_alma = pytest.mark.parametrize("observed", [ALMA], indirect=True, ids=["alma"])


OTHER = CALIBRATION.replace("1", "2")


@of_alma
def test_a_rerun_that_was_opened_to_be_linked_is_fetched_as_it_was_opened(
    settings, ledger, former, rerun, archive, observed, locator
):
    assert mous_of_run(RunContext(settings, ledger, rerun)).calibration == CALIBRATION
    archive.mous.return_value = the_mous(calibration=OTHER)
    shutil.rmtree(former.root)
    fetched_anew(ledger, rerun, settings, observed, "has no directory")
    archive.mous.assert_called_once()


@of_alma
def test_another_calibration_is_not_linked_to_the_files_of_the_former_one(
    settings, ledger, former, rerun, archive, observed, locator
):
    archive.mous.return_value = the_mous(calibration=OTHER)
    hidden = former.root.rename(former.root.with_name("not mounted"))
    assert mous_of_run(RunContext(settings, ledger, rerun)).calibration == OTHER
    hidden.rename(former.root)
    answer = locator.report.side_effect
    locator.report.side_effect = lambda about: answer(CALIBRATION if about == OTHER else about)
    fetched_anew(ledger, rerun, settings, observed, "another calibration since")
    locator.report.assert_called_with(OTHER)


@of_alma
def test_without_a_calibration_nothing_is_fetched(ledger, run, ngas, archive, locator):
    archive.mous.return_value = the_mous(calibration=None)
    with pytest.raises(AirflowFailException, match=f"The archive has no calibration of {MOUS}"):
        operator(run).execute({})
    assert len(ngas.requests) == 0
    assert ledger.runs.get(run.pipeline_run_id).state is RunState.FETCHING


@of_alma
@pytest.mark.parametrize("left_out", PRODUCTS)
def test_an_incomplete_calibration_is_found_before_anything_is_fetched(ngas, run, located, left_out):
    products = {name: content for name, content in PRODUCTS.items() if name != left_out}
    located[CALIBRATION] = report_of(ngas, CALIBRATION, None, products)
    before = len(ngas.requests)
    with pytest.raises(AirflowFailException, match="cannot be restored, because it has no"):
        operator(run).execute({})
    assert len(ngas.requests) == before


@of_alma
def test_a_manifest_that_names_other_files_stops_the_run_before_casa(ledger, ngas, run, located):
    products = PRODUCTS | {MANIFEST: PRODUCTS[MANIFEST].replace(b"session_1", b"session_2")}
    located[CALIBRATION] = report_of(ngas, "uid://alma/calibration/other", None, products)
    with pytest.raises(AirflowFailException, match=r"session_2\.caltables\.tgz', the calibration tables that its"):
        operator(run).execute({})
    assert ledger.runs.get(run.pipeline_run_id).state is RunState.FETCHING
    assert ledger.fetched_files.of_run(run.pipeline_run_id) == []


@of_alma
def test_the_free_space_must_suffice_for_all_of_it(monkeypatch, ngas, run, observed, settings):
    enough = int(settings.fetch_spare_gb * 1e9) + observed.size
    free = mock.Mock(return_value=mock.Mock(free=enough - 1))
    monkeypatch.setattr("srdp.domain.raw_data.fetch.shutil.disk_usage", free)
    with pytest.raises(TryAgain, match="must stay free"):
        operator(run).execute({})
    assert len(ngas.requests) == 0
    free.return_value.free = enough
    operator(run).execute({})
