"""Opening a rerun on a real ledger, a real archive and a real file system."""

from __future__ import annotations

import itertools
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from tests.areas import entries, prepare
from tests.observing import ingest, make_sdm
from tests.srdp.domain import alma_files

import srdp.settings
from srdp.domain.common.errors import ServiceUnavailable
from srdp.domain.ppr.document import recipe_template, render_vla_processing_request
from srdp.domain.qa.verdict import QaFlag, QaVerdict
from srdp.domain.runs.identifiers import disk_name, execution_block_name
from srdp.domain.runs.ledger_records import FetchedFile, PipelineRun, SubmittedFile, warned_at_opening
from srdp.domain.runs.pipeline_run import RunDirectory, processing_directory, qa_directory
from srdp.domain.runs.states import ACTIVE, RunState
from srdp.families import ALMA, VLA, Family
from srdp.hooks.archive import ArchiveHook
from srdp.hooks.ledger import Ledger
from srdp.hooks.ledger.marks import Marks
from srdp.operators.open_rerun import OpenRerunOperator
from srdp.services.context import RunContext
from srdp.services.opening import open_rerun
from srdp.services.processing.imaged_mous import mous_of_run
from srdp.settings import CasaInstallation, Settings

pytestmark = pytest.mark.servers

FLAGS = b"mode='manual' antenna='ea18' reason='DTS'\n"
RUNS = {VLA.name: "vla-20261122-182453-4f7k", ALMA.name: "alma-20261122-182453-4f7k"}
FLAG_FILES = {VLA.name: "flagtemplate.txt", ALMA.name: "flagtargetstemplate.txt"}
CALIBRATION = "uid://alma/calibration/00000000-0000-0000-0000-000000000001"
#: The ALMA recipe's PPR with the stage that flags targets, and without the one that looks for the continuum.
SPLIT = b"<ProcessingCommand><Command>hif_mstransform</Command><ParameterSet/></ProcessingCommand>"
FLAGGING = SPLIT.replace(b"hif_mstransform", b"hifa_flagtargets")
FINDING = alma_files.stage_in(alma_files.processing_request(), "hif_findcont")

of_both_families = pytest.mark.parametrize("desk", [VLA, ALMA], indirect=True, ids=lambda family: family.name)
of_images = pytest.mark.parametrize("desk", [ALMA], indirect=True, ids=lambda family: family.name)


def desks_in_states(**states: Sequence[RunState]) -> pytest.MarkDecorator:
    """Parametrises a test over desks and states of their former runs; a family is named in capitals."""
    rows = [(family, state) for family in (VLA, ALMA) for state in states[family.label]]
    return pytest.mark.parametrize(("desk", "state"), rows, indirect=["desk"], ids=lambda value: value.name.lower())


#: State -> the states on the way to it from the opening.
WAYS: Mapping[RunState, tuple[RunState, ...]] = {
    RunState.CREATED: (),
    RunState.FETCHING: (RunState.FETCHING,),
    RunState.PROCESSING: (RunState.FETCHING, RunState.PROCESSING),
    RunState.CANCELLED: (RunState.CANCELLED,),
    RunState.FAILED: (RunState.FETCHING, RunState.FAILED),
    RunState.AWAITING_QA: (RunState.FETCHING, RunState.PROCESSING, RunState.AWAITING_QA),
}
DELIVERED = WAYS[RunState.AWAITING_QA]
WAYS |= {
    RunState.INGESTING: (*DELIVERED, RunState.INGESTING),
    RunState.INGEST_FAILED: (*DELIVERED, RunState.INGESTING, RunState.INGEST_FAILED),
    RunState.ARCHIVED: (*DELIVERED, RunState.INGESTING, RunState.ARCHIVED),
    RunState.SUPERSEDED: (*DELIVERED, RunState.SUPERSEDED),
    RunState.REJECTED: (*DELIVERED, RunState.REJECTED),
    RunState.CLEANING: (*DELIVERED, RunState.REJECTED, RunState.CLEANING),
    RunState.CLEANED: (*DELIVERED, RunState.REJECTED, RunState.CLEANING, RunState.CLEANED),
}


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    """With a second CASA, and a folder of the analysts."""
    second = CasaInstallation(casa=tmp_path / "casa2", scipipe_heuristics=tmp_path / "heuristics2")
    for heuristics in (settings.scipipe_heuristics, second.scipipe_heuristics):
        (heuristics / "pipeline").mkdir(parents=True)
        for family in (VLA, ALMA):
            (heuristics / "pipeline" / family.runner).touch()
    (tmp_path / "analysts").mkdir()
    made = settings.model_copy(
        update={
            "casa_installations": {"6.6.1": second},
            "analyst_files": (tmp_path / "analysts",),
            "alma_processing_area": tmp_path / "alma_processing",
            "alma_qa_area": tmp_path / "alma_qa",
        }
    )
    prepare(made)
    return made


@dataclass
class Desk:
    """A request with one run that was delivered, and the archive that knows what it worked on."""

    settings: Settings
    ledger: Ledger
    archive_url: str
    family: Family
    former: PipelineRun

    @property
    def subject(self) -> str:
        return self.former.subject

    @property
    def archive(self) -> ArchiveHook:
        return ArchiveHook(self.settings)

    @property
    def directory(self) -> RunDirectory:
        return qa_directory(self.settings.areas, self.former.pipeline_run_id)

    def state(self, state: RunState, run: PipelineRun | None = None) -> None:
        """Brings a run into a state, on the way that runs go."""
        run = run or self.former
        for step in WAYS[state]:
            self.ledger.runs.transition(run.pipeline_run_id, step, event=str(step))

    def open_sibling(self, number: int = 2, **changes: Any) -> PipelineRun:
        asked: dict[str, Any] = {name: getattr(self.former, name) for name in (
            "kind", "subject", "project", "locator", "dag_id", "requested_by", "recipe", "cores", "memory_gb",
            "request_digest", "asked",
        )}  # fmt: skip
        return self.ledger.runs.open(**(asked | {"dag_run_id": f"manual__{number}"} | changes))

    def status(self, status: str | None = None) -> str:
        """Set the archive's status of the execution block, if one is given; return what it is."""
        if status is not None:
            self.archive.set_calibration_status(self.archive.execution_block(self.subject).locator, status)
        return self.archive.execution_block(self.subject).calibration_status

    def rerun(
        self,
        dag_run_id: str = "manual__rerun",
        *,
        files: Mapping[str, str | bytes | Path] | None = None,
        form_faults: Sequence[str] = (),
        **said: object,
    ) -> PipelineRun:
        """Open a rerun; files are paths or what is pasted. Of each other file the form says nothing, in its words."""
        given = {name: {"path": "None", "text": "None"} for name in self.family.inputs.file_names} | {
            name: {"path": str(file), "text": "None"} if isinstance(file, Path)
            else {"path": "None", "text": file.decode() if isinstance(file, bytes) else file}
            for name, file in (files or {}).items()
        }  # fmt: skip
        arguments: dict[str, Any] = {"run_or_subject": self.subject, "files": given} | said
        dag_run = SimpleNamespace(
            dag_id=self.family.rerun_dag, run_id=dag_run_id, triggering_user_name="analyst", run_type="manual"
        )
        operator = OpenRerunOperator(task_id="open_run", kind=self.family.kind, **arguments)
        for fault in form_faults:
            operator.faults.add(fault)
        return self.ledger.runs.get(str(operator.execute({"dag_run": dag_run})))

    def refused(self, match: str, **said: Any) -> str:
        """Assert that a rerun is refused and leaves nothing; return the sentences."""
        before = self.everything()
        with pytest.raises(AirflowFailException, match=match) as caught:
            self.rerun(**said)
        assert self.everything() == before
        return str(caught.value)

    def everything(self) -> tuple[object, ...]:
        return self.ledger.runs.newest(), self.directories(), self.archived()

    def directories(self) -> list[Path]:
        return sorted(path for root in self.settings.areas.roots for path in entries(root))

    def archived(self) -> list[object]:
        """All that the archive says of execution blocks and MOUS, the changes of a rejected run included."""
        with psycopg.connect(self.archive_url) as archive:
            return [
                archive.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()  # noqa: S608  ours
                for table in ("execution_block", "mous", "mous_member", "calibration", "srdp_state")
            ]


@pytest.fixture
def desk(
    request: pytest.FixtureRequest,
    settings: Settings,
    ledger_url: str,
    new_archive: str,
    as_connection: Callable[[str], str],
    monkeypatch: pytest.MonkeyPatch,
) -> Desk:
    """Of VLA, unless the test is parametrised with a family."""
    family: Family = getattr(request, "param", VLA)
    monkeypatch.setenv("AIRFLOW_CONN_SRDP_ARCHIVE", as_connection(new_archive))
    monkeypatch.setattr(srdp.settings, "load_settings", lambda: settings)
    ledger = Ledger(settings, retry_seconds=20)
    begun = {VLA.name: begun_calibration, ALMA.name: begun_imaging}[family.name](new_archive)
    former = ledger.runs.open(
        kind=family.kind, dag_id=family.kind, recipe=family.kind, dag_run_id="manual__1", requested_by="one", cores=2,
        memory_gb=3, casa_release="default", **begun,
    )  # fmt: skip
    content = ppr(settings, former)
    ledger.submitted_files.record(
        former.pipeline_run_id, SubmittedFile(name="PPR.xml", content=content, source=f"recipe {family.kind}")
    )
    ledger.runs.record_ppr(former.pipeline_run_id, "0" * 64)
    desk = Desk(settings, ledger, new_archive, family, ledger.runs.get(former.pipeline_run_id))
    desk.directory.working.mkdir(parents=True)
    desk.directory.processing_request.write_bytes(content)
    return desk


def begun_calibration(archive_url: str) -> dict[str, Any]:
    """Put an execution block into the archive; return what its first run is opened with."""
    locator = f"uid://evla/execblock/{uuid.uuid4()}"
    return {"subject": ingest(archive_url, locator=locator), "project": "13A-537", "locator": locator}


def begun_imaging(archive_url: str) -> dict[str, Any]:
    """Likewise a MOUS of two ASDMs with a calibration."""
    with psycopg.connect(archive_url) as archive:
        archive.execute("INSERT INTO project (project_code) VALUES (%s)", (alma_files.PROJECT,))
        archive.execute(
            "INSERT INTO mous (mous_uid, disk_name, project_code, telescope) VALUES (%s, %s, %s, 'ALMA')",
            (alma_files.MOUS, disk_name(alma_files.MOUS), alma_files.PROJECT),
        )
        for asdm in alma_files.ASDMS:
            archive.execute(
                "WITH made AS (INSERT INTO file_group DEFAULT VALUES RETURNING file_group_id) "
                "INSERT INTO mous_member (locator, mous_uid, asdm_uid, disk_name, file_group_id) "
                "SELECT %(uid)s, %(mous)s, %(uid)s, %(name)s, file_group_id FROM made",
                {"uid": asdm.uid, "mous": alma_files.MOUS, "name": asdm.disk_name},
            )
        archive.execute(
            "WITH made AS (INSERT INTO file_group DEFAULT VALUES RETURNING file_group_id) "
            "INSERT INTO calibration (locator, mous_uid, file_group_id) SELECT %s, %s, file_group_id FROM made",
            (CALIBRATION, alma_files.MOUS),
        )
    asked = alma_files.asked()
    return {
        "subject": alma_files.MOUS, "project": alma_files.PROJECT, "locator": alma_files.MOUS,
        "request_digest": asked.digest, "asked": asked.as_json(),
    }  # fmt: skip


def ppr(settings: Settings, run: PipelineRun) -> bytes:
    if run.kind == ALMA.kind:
        return alma_files.processing_request()
    return render_vla_processing_request(
        recipe_template(settings.templates, run.recipe),
        execution_block=execution_block_name(run.subject),
        pipeline_run_id=run.pipeline_run_id,
        processing_site="Socorro",
        operator="vlapipe",
    )


def edited(desk: Desk) -> bytes:
    """Edits the former run's PPR where it is."""
    edits = {VLA.name: {b"<Value>0.01</Value>": b"<Value>0.02</Value>"}, ALMA.name: {SPLIT: SPLIT + FLAGGING}}
    place = desk.directory.processing_request
    content = place.read_bytes()
    for old, new in edits[desk.family.name].items():
        assert old in content
        content = content.replace(old, new)
    place.write_bytes(content + b" \n")
    return place.read_bytes()


# The states, by the table


@desks_in_states(VLA=sorted(ACTIVE), ALMA=[RunState.CREATED, RunState.INGEST_FAILED])
def test_while_a_run_is_active_there_is_no_other(desk: Desk, state: RunState) -> None:
    desk.state(state)
    for said, reopen in itertools.product((desk.subject, desk.former.pipeline_run_id), (False, True)):
        sentence = desk.refused(
            f"{desk.former.pipeline_run_id} is active \\(state {state}\\)",
            run_or_subject=said,
            reopen=reopen,
            files={"PPR.xml": "nonsense"},
        )
        assert len(sentence.splitlines()) == 1, "its files are not looked at"


@desks_in_states(
    VLA=[RunState.AWAITING_QA, RunState.FAILED, RunState.CANCELLED, RunState.REJECTED, RunState.CLEANED],
    ALMA=[RunState.AWAITING_QA, RunState.FAILED],
)
@pytest.mark.parametrize("named", [False, True])
def test_after_these_states_a_rerun_is_the_next_version(desk: Desk, state: RunState, named: bool) -> None:
    desk.state(state)
    before = desk.ledger.runs.get(desk.former.pipeline_run_id)
    run = desk.rerun(run_or_subject=desk.former.pipeline_run_id if named else desk.subject)
    assert (run.version, run.state, run.former_run) == (2, RunState.CREATED, desk.former.pipeline_run_id)
    for name in ("kind", "subject", "project", "locator", "request_digest", "asked", "recipe", "casa_release"):
        assert getattr(run, name) == getattr(before, name)
    assert (run.requested_by, run.dag_id) == ("analyst", desk.family.rerun_dag)
    assert (run.pipeline_run_id.partition("-")[0], run.cores, run.memory_gb) == (desk.family.name, 2, 3)
    assert {path.name for path in processing_directory(desk.settings.areas, run.pipeline_run_id).root.iterdir()} == {
        ".srdp-run.json",
        "rawdata",
        "working",
        "products",
    }
    assert desk.ledger.runs.get(desk.former.pipeline_run_id) == before
    assert desk.directory.processing_request.is_file()


@of_both_families
@pytest.mark.parametrize("state", [RunState.ARCHIVED, RunState.SUPERSEDED])
def test_what_is_archived_or_superseded_is_rerun_only_when_it_is_reopened(desk: Desk, state: RunState) -> None:
    desk.state(state)
    sentence = desk.refused(f"{desk.former.pipeline_run_id} is {state}; rerun it with Reopen", reopen="False")
    assert sentence.count("\n") == 0
    assert desk.rerun(reopen="True").version == 2


@of_both_families
def test_what_is_being_removed_is_let_finish(desk: Desk) -> None:
    desk.state(RunState.CLEANING)
    for reopen in (False, True):
        desk.refused("is cleaning; let the cleanup finish", reopen=reopen)


@of_both_families
def test_a_sealed_request_is_opened_again_only_when_that_is_said(desk: Desk) -> None:
    desk.state(RunState.AWAITING_QA)
    ingest_of_run = desk.ledger.ingests.claim(
        desk.former.pipeline_run_id, QaVerdict(flag=QaFlag.PASS, standard="s", analyst="a", score=1.0, comments=""),
        dag_id=desk.family.ingest_dag, dag_run_id="manual__p", requested_by="one",
    )  # fmt: skip
    desk.ledger.ingests.finish(ingest_of_run, mails=[], details={}, supersede=True, seal=True, reindex_project=None)
    desk.refused("the request is sealed")
    run = desk.rerun(reopen=True)
    assert desk.ledger.runs.sealed_at(run.kind, desk.subject, run.request_digest) is None
    events = [event.event for event in desk.ledger.events.of_run(run.pipeline_run_id)]
    assert events[:2] == ["opened", "request_reopened"]


@of_both_families
def test_the_newest_run_is_meant_and_an_older_one_may_be_named(desk: Desk) -> None:
    desk.state(RunState.AWAITING_QA)
    newest = desk.open_sibling()
    desk.state(RunState.FAILED, newest)
    first = desk.rerun("manual__a")
    assert first.former_run == newest.pipeline_run_id
    desk.state(RunState.CANCELLED, first)
    assert desk.rerun("manual__b", run_or_subject=desk.former.pipeline_run_id).former_run == (
        desk.former.pipeline_run_id
    )


@of_both_families
def test_an_older_run_is_not_rerun_beside_an_active_one(desk: Desk) -> None:
    desk.state(RunState.FAILED)
    newest = desk.open_sibling()
    desk.refused(f"{newest.pipeline_run_id} is active", run_or_subject=desk.former.pipeline_run_id)


def test_of_two_reruns_at_once_one_proceeds_and_the_other_is_reported(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.state(RunState.AWAITING_QA)
    check = open_rerun.check_site
    won: list[PipelineRun] = []

    def meanwhile(*arguments: Any) -> None:
        check(*arguments)
        if not won:
            won.append(desk.open_sibling())

    monkeypatch.setattr(open_rerun, "check_site", meanwhile)
    with pytest.raises(AirflowFailException, match="is active") as caught:
        desk.rerun()
    assert won[0].pipeline_run_id in str(caught.value)
    assert [run.version for run in desk.ledger.runs.newest()] == [2, 1]


@of_both_families
def test_what_is_no_run_starts_none(desk: Desk) -> None:
    wrong = ["", "None", *RUNS.values(), "vla-nonsense", "alma-", "13A-537.sb1.eb1.56514.1", "../x", "uid://A001/X1/X1"]
    for wanted in wrong:
        desk.refused("pipeline run", run_or_subject=wanted)


@of_both_families
def test_what_could_have_been_named_is_said(desk: Desk) -> None:
    words = {VLA.name: "the name of a VLA execution block", ALMA.name: "the UID of an ALMA MOUS"}[desk.family.name]
    desk.refused(f"^'../x' is neither a pipeline run ID nor {words}: copy", run_or_subject="../x")


@of_both_families
def test_a_run_of_the_other_family_is_refused_naming_its_dag(desk: Desk) -> None:
    other, words = (ALMA, "ALMA imaging") if desk.family is VLA else (VLA, "VLA calibration")
    subject = {VLA.name: "13A-537.sb1.eb1.56514.1", ALMA.name: alma_files.MOUS}[other.name]
    run = desk.open_sibling(kind=other.kind, subject=subject, request_digest="")
    sentence = desk.refused(f"{run.pipeline_run_id} is a run of {words}", run_or_subject=run.pipeline_run_id)
    assert f"{other.label} rerun ({other.rerun_dag})" in sentence


@of_both_families
def test_what_was_never_run_is_reported_its_first_dag(desk: Desk) -> None:
    never = {VLA.name: "13A-537.sb1.eb1.56514.1", ALMA.name: "uid://A001/X1/X1"}[desk.family.name]
    desk.refused(f"start its first with {desk.family.label} {desk.family.action}", run_or_subject=never)


# What the user asked for


@of_images
def test_of_two_requests_of_a_mous_the_newest_run_is_meant_and_keeps_what_was_asked_of_it(desk: Desk) -> None:
    desk.state(RunState.AWAITING_QA)
    asked = alma_files.asked(continuum=False, asked_by="somebody else")
    other = desk.open_sibling(request_digest=asked.digest, asked=asked.as_json(), warnings=["large"])
    desk.state(RunState.FAILED, other)
    newest = desk.rerun("manual__a")
    assert warned_at_opening(desk.ledger.events.of_run(newest.pipeline_run_id)) == ["large"]
    assert (newest.former_run, newest.asked, newest.version) == (other.pipeline_run_id, asked.as_json(), 2)
    named = desk.rerun("manual__b", run_or_subject=desk.former.pipeline_run_id)
    assert (named.former_run, named.asked, named.version) == (desk.former.pipeline_run_id, desk.former.asked, 2)


@of_images
def test_an_active_run_of_another_request_of_the_mous_is_no_obstacle(desk: Desk) -> None:
    desk.state(RunState.AWAITING_QA)
    asked = alma_files.asked(continuum=False)
    desk.open_sibling(request_digest=asked.digest, asked=asked.as_json())
    assert desk.rerun(run_or_subject=desk.former.pipeline_run_id).version == 2
    desk.refused("is active", dag_run_id="manual__again")


def calibrated_anew(desk: Desk) -> str:
    """The former run's MOUS is known from the archive, which has another calibration since; returns that."""
    assert mous_of_run(RunContext(desk.settings, desk.ledger, desk.former)).calibration == CALIBRATION
    other = CALIBRATION.replace("1", "2")
    with psycopg.connect(desk.archive_url) as archive:
        archive.execute("UPDATE calibration SET locator = %s", (other,))
    return other


def fetched(desk: Desk) -> Path:
    """The former run has raw data; returns the file."""
    path = desk.directory.rawdata / alma_files.FIRST / "ASDM.xml"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"<ASDM/>")
    name, mtime_ns = str(path.relative_to(desk.directory.rawdata)), path.stat().st_mtime_ns
    file = FetchedFile(path=name, size_bytes=7, crc32=1, ngas_file_id="a", mtime_ns=mtime_ns)
    desk.ledger.fetched_files.record(desk.former.pipeline_run_id, [file])
    return path


@of_images
def test_images_are_made_again_of_what_the_former_run_was_made_of(desk: Desk) -> None:
    """... also if the archive has another calibration by now: the two are compared."""
    desk.state(RunState.AWAITING_QA)
    raw = fetched(desk)
    calibrated_anew(desk)
    run = desk.rerun()
    raw.unlink()
    assert mous_of_run(RunContext(desk.settings, desk.ledger, run)).calibration == CALIBRATION


@of_images
@pytest.mark.parametrize("state", [RunState.FAILED, RunState.REJECTED, RunState.CLEANED])
def test_what_is_fetched_again_is_imaged_from_the_newest_calibration(desk: Desk, state: RunState) -> None:
    """... for which an incomplete one was asked for: a run whose fetch was not complete has nothing to compare."""
    if state is not RunState.FAILED:
        fetched(desk)
    desk.state(state)
    other = calibrated_anew(desk)
    run = desk.rerun()
    assert mous_of_run(RunContext(desk.settings, desk.ledger, run)).calibration == other
    with psycopg.connect(desk.archive_url) as archive:
        archive.execute("UPDATE calibration SET locator = %s", (CALIBRATION,))
    assert mous_of_run(RunContext(desk.settings, desk.ledger, run)).calibration == other


@of_images
def test_a_mous_that_has_lost_its_calibration_is_refused(desk: Desk) -> None:
    desk.state(RunState.CANCELLED)
    with psycopg.connect(desk.archive_url) as archive:
        archive.execute("DELETE FROM calibration")
    desk.refused("The archive has no calibration of")


# A failed QA


@pytest.mark.parametrize("state", [RunState.REJECTED, RunState.CLEANED])
def test_after_a_failed_qa_the_execution_block_is_ready_again(desk: Desk, state: RunState) -> None:
    desk.state(state)
    desk.status("Do Not Calibrate")
    desk.rerun()
    assert desk.status() == "Ready"


@of_images
@pytest.mark.parametrize("state", [RunState.REJECTED, RunState.CLEANED])
def test_after_a_failed_qa_of_images_nothing_is_set_back(desk: Desk, state: RunState) -> None:
    desk.state(state)
    before = desk.archived()
    run = desk.rerun()
    assert desk.archived() == before
    assert [event.event for event in desk.ledger.events.of_run(run.pipeline_run_id)] == [
        "opened",
        "mous_read",
        "engine_chosen",
    ]


def test_a_sibling_that_failed_qa_counts_too(desk: Desk) -> None:
    desk.state(RunState.REJECTED)
    sibling = desk.open_sibling()
    desk.state(RunState.FAILED, sibling)
    desk.status("Do Not Calibrate")
    desk.rerun()
    assert desk.status() == "Ready"


def test_anyone_who_else_marked_it_is_respected(desk: Desk) -> None:
    desk.state(RunState.FAILED)
    desk.status("Do Not Calibrate")
    desk.refused("is marked Do Not Calibrate in the archive")


def test_a_mark_that_was_made_after_it_was_set_back_is_somebody_elses(desk: Desk) -> None:
    desk.state(RunState.REJECTED)
    desk.status("Do Not Calibrate")
    first = desk.rerun("manual__a")
    desk.state(RunState.FAILED, first)
    desk.status("Do Not Calibrate")
    desk.refused("is marked Do Not Calibrate", dag_run_id="manual__b")


@pytest.mark.parametrize("status", ["Calibrated", "Ready", "Something else"])
def test_no_other_status_is_changed(desk: Desk, status: str) -> None:
    desk.state(RunState.REJECTED)
    desk.status(status)
    desk.rerun()
    assert desk.status() == status


@pytest.mark.parametrize("killed_at", ["set_calibration_status", "record_set_back", "make_directory_of_opened_run"])
def test_a_rerun_that_is_killed_anywhere_is_finished_by_its_next_try(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, killed_at: str
) -> None:
    desk.state(RunState.REJECTED)
    desk.status("Do Not Calibrate")

    class Killed(BaseException):
        pass

    def kill(*_: object, **__: object) -> None:
        raise Killed

    places = {"set_calibration_status": ArchiveHook, "record_set_back": Marks}
    with monkeypatch.context() as patched:
        patched.setattr(places.get(killed_at, open_rerun), killed_at, kill)
        with pytest.raises(Killed):
            desk.rerun()
    (opened,) = (run for run in desk.ledger.runs.newest() if run.version == 2)
    assert desk.status() == ("Do Not Calibrate" if killed_at == "set_calibration_status" else "Ready")
    assert desk.rerun().pipeline_run_id == opened.pipeline_run_id
    assert desk.status() == "Ready"
    assert processing_directory(desk.settings.areas, opened.pipeline_run_id).working.is_dir()
    assert len(desk.ledger.runs.newest()) == 2


def test_a_rerun_whose_archive_stayed_away_leaves_the_mark_to_the_next(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.state(RunState.REJECTED)
    desk.status("Do Not Calibrate")

    def away(*_: object) -> None:
        raise ServiceUnavailable("The archive is away.")

    with monkeypatch.context() as patched:
        patched.setattr(ArchiveHook, "set_calibration_status", away)
        with pytest.raises(AirflowException) as caught:
            desk.rerun("manual__a")
    assert not isinstance(caught.value, AirflowFailException), "Airflow would not try again"
    desk.state(RunState.CANCELLED, desk.ledger.runs.newest()[0])
    desk.rerun("manual__b")
    assert desk.status() == "Ready"


# Its files and its CASA


@of_both_families
def test_edits_in_the_former_runs_directory_become_the_reruns(desk: Desk) -> None:
    desk.state(RunState.AWAITING_QA)
    ppr, flags = edited(desk), FLAG_FILES[desk.family.name]
    (desk.directory.working / flags).write_bytes(FLAGS)
    run = desk.rerun()
    given = desk.ledger.submitted_files.of_run(run.pipeline_run_id)
    assert {name: file.content for name, file in given.items()} == {"PPR.xml": ppr, flags: FLAGS}
    assert given["PPR.xml"].source == str(desk.directory.processing_request)
    assert desk.directory.processing_request.read_bytes() == ppr


@pytest.mark.parametrize("where", ["analysts", "processing", "qa", "alma_processing", "alma_qa", "pasted"])
def test_files_are_taken_from_the_shared_folders_and_from_the_form(desk: Desk, tmp_path: Path, where: str) -> None:
    desk.state(RunState.AWAITING_QA)
    if where == "pasted":
        said: str | Path = FLAGS.decode().replace("\n", "\r\n")
    else:
        said = tmp_path / where / "mine.txt"
        said.write_bytes(FLAGS)
    run = desk.rerun(files={"flagtemplate.txt": said})
    assert desk.ledger.submitted_files.of_run(run.pipeline_run_id)["flagtemplate.txt"].content == FLAGS


def test_everything_that_is_wrong_is_reported_at_once_and_nothing_is_made(desk: Desk, tmp_path: Path) -> None:
    desk.state(RunState.AWAITING_QA)
    (tmp_path / "secret").write_bytes(FLAGS)
    make_sdm(desk.directory.rawdata / desk.subject)
    (desk.directory.rawdata / desk.subject / "Antenna.xml").write_text(
        "<AntennaTable><row><name> ea01 </name></row></AntennaTable>"
    )
    sentence = desk.refused(
        "line 1",
        form_faults=["Cores is '0': write a whole number."],
        casa_release="9.9",
        files={
            "PPR.xml": "<SciPipeRequest>",
            "flagtemplate.txt": "antenna='ea18' timerange='2013/08/10/03:00:00~2013/08/10/03:01:00'",
            "flux.csv": tmp_path / "secret",
            "antennapos.csv": "ms,antenna,xoffset,yoffset,zoffset,comment\nother.ms,ea01,0,0,0,none",
        },
    )
    for part in (
        "Cores is '0'",
        "There is no CASA release '9.9'",
        "pasted PPR.xml, line 1, ",
        "'ea18' is no antenna of this observation",
        "choose times from 1995/04/13/",
        "is not below a folder",
        "'other.ms' is not this execution block's measurement set",
    ):
        assert sum(part in line for line in sentence.splitlines()) == 1


def test_what_is_wrong_with_the_form_alone_is_refused_too(desk: Desk) -> None:
    desk.state(RunState.AWAITING_QA)
    fault = "'flagtemplate' is not a field of vla_rerun."
    desk.refused(fault, form_faults=[fault])
    desk.refused(fault, form_faults=[fault], run_or_subject="None")


def test_without_an_sdm_the_archives_times_count(desk: Desk) -> None:
    desk.state(RunState.AWAITING_QA)
    with psycopg.connect(desk.archive_url) as archive:
        archive.execute(
            "UPDATE execution_block SET observed_start = '2013-08-10 01:00+00', observed_end = '2013-08-10 02:00+00'"
        )
    desk.refused("is not inside", files={"flagtemplate.txt": "timerange='2013/08/10/03:00:00~2013/08/10/03:01:00'"})
    desk.rerun(files={"flagtemplate.txt": "timerange='2013/08/10/01:00:00~2013/08/10/01:01:00'"})


@of_images
def test_target_flags_a_ppr_with_their_stage_and_continuum_ranges_are_taken_together(desk: Desk) -> None:
    desk.state(RunState.AWAITING_QA)
    given = {
        "PPR.xml": desk.directory.processing_request.read_bytes()
        .replace(SPLIT, SPLIT + FLAGGING)
        .replace(FINDING, b""),
        "flagtargetstemplate.txt": alma_files.FLAGS,
        "cont.dat": alma_files.RANGES,
    }
    run = desk.rerun(files=given)
    assert {
        name: file.content for name, file in desk.ledger.submitted_files.of_run(run.pipeline_run_id).items()
    } == given


@of_images
def test_target_flags_are_refused_with_the_lines_that_the_ppr_lacks(desk: Desk) -> None:
    desk.state(RunState.AWAITING_QA)
    sentence = desk.refused("ignores", files={"flagtargetstemplate.txt": alma_files.FLAGS})
    assert f"add the line {FLAGGING.decode()} behind its </ProcessingCommand>" in sentence
    assert len(sentence.splitlines()) == 2


@of_images
def test_ranges_that_a_stage_would_replace_are_refused(desk: Desk) -> None:
    desk.state(RunState.AWAITING_QA)
    desk.refused("looks for the continuum itself", files={"cont.dat": alma_files.RANGES})


@of_images
def test_target_flags_are_held_to_the_antennas_and_times_of_all_asdms(desk: Desk) -> None:
    desk.state(RunState.AWAITING_QA)
    edited(desk)
    for name, antenna in ((alma_files.FIRST, "DA41"), (alma_files.SECOND, "DA42")):
        sdm = make_sdm(desk.directory.rawdata / name)
        (sdm / "Antenna.xml").write_text(f"<AntennaTable><row><name> {antenna} </name></row></AntennaTable>")
    flag = "antenna='{}' timerange='1995/04/13/{}:00:00~1995/04/13/{}:00:01'\n"
    flags = {"flagtargetstemplate.txt": flag.format("DA43", "03", "03")}
    assert "'DA43' is no antenna of this observation" in desk.refused("choose times from 1995/04/13/", files=flags)
    second = {"flagtargetstemplate.txt": "antenna='DA42'\n"}
    assert desk.ledger.submitted_files.of_run(desk.rerun(files=second).pipeline_run_id).keys() == {"PPR.xml", *second}


@of_both_families
def test_a_file_that_the_family_does_not_read_is_refused(desk: Desk) -> None:
    desk.state(RunState.AWAITING_QA)
    other = FLAG_FILES[(ALMA if desk.family is VLA else VLA).name]
    desk.refused(f"'{other}' is not read by {desk.family.kind}: it reads PPR.xml, ", files={other: FLAGS})


@of_both_families
def test_a_removed_run_is_repeated_with_the_ledgers_files(desk: Desk) -> None:
    desk.state(RunState.CLEANED)
    ppr = desk.directory.processing_request.read_bytes()
    desk.directory.processing_request.unlink()
    desk.directory.working.rmdir()
    desk.directory.root.rmdir()
    run = desk.rerun()
    assert {name: file.content for name, file in desk.ledger.submitted_files.of_run(run.pipeline_run_id).items()} == {
        "PPR.xml": ppr
    }


@of_both_families
def test_a_run_that_never_had_a_ppr_is_repeated_by_its_recipe(desk: Desk, ledger_url: str) -> None:
    desk.state(RunState.CANCELLED)
    with psycopg.connect(ledger_url) as ledger:
        ledger.execute("DELETE FROM submitted_file")
    desk.directory.processing_request.unlink()
    run = desk.rerun()
    assert desk.ledger.submitted_files.of_run(run.pipeline_run_id) == {}


@of_both_families
def test_a_repeated_try_keeps_the_files_of_the_first(desk: Desk) -> None:
    desk.state(RunState.AWAITING_QA)
    ppr = edited(desk)
    first = desk.rerun()
    desk.directory.processing_request.write_bytes(b"nonsense")
    assert desk.rerun(files={"PPR.xml": "nonsense"}) == first
    assert {name: file.content for name, file in desk.ledger.submitted_files.of_run(first.pipeline_run_id).items()} == {
        "PPR.xml": ppr
    }


@pytest.mark.parametrize("ended", [RunState.FAILED, RunState.AWAITING_QA])
def test_a_cleared_rerun_that_has_ended_does_not_begin_again(desk: Desk, ended: RunState) -> None:
    desk.state(RunState.AWAITING_QA)
    run = desk.rerun()
    desk.state(ended, run)
    desk.refused(f"{run.pipeline_run_id} of this DAG run is {ended}")


@of_both_families
def test_another_casa_more_cores_and_more_memory_may_be_asked_for(desk: Desk) -> None:
    desk.state(RunState.AWAITING_QA)
    run = desk.rerun(casa_release=" 6.6.1", cores="16", memory_gb=64)
    assert (run.casa_release, run.cores, run.memory_gb) == ("6.6.1", 16, 64)
    desk.state(RunState.FAILED, run)
    again = desk.rerun("manual__b", casa_release="None", cores="None", memory_gb="None")
    assert (again.casa_release, again.cores, again.memory_gb) == ("6.6.1", 16, 64)


@of_both_families
def test_a_casa_that_is_not_in_the_settings_or_not_there_is_found_before_anything_is_made(desk: Desk) -> None:
    desk.state(RunState.AWAITING_QA)
    desk.refused("There is no CASA release '9.9'", casa_release="9.9")
    (desk.settings.casa_installations["6.6.1"].scipipe_heuristics / "pipeline" / desk.family.runner).unlink()
    desk.refused("6.6.1 in SRDP_CASA_INSTALLATIONS", casa_release="6.6.1")


def test_reopen_is_a_truth_value(desk: Desk) -> None:
    desk.state(RunState.AWAITING_QA)
    desk.refused("Reopen is 'perhaps'", reopen="perhaps")


def test_everything_that_a_form_says_is_a_template() -> None:
    import inspect

    arguments = set(inspect.signature(OpenRerunOperator.__init__).parameters) - {"self", "kind", "kwargs"}
    assert arguments == set(OpenRerunOperator.template_fields)


@of_both_families
def test_a_ppr_that_is_adapted_is_in_the_ledger_as_it_was_too_and_the_log_shows_the_difference(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    desk.state(RunState.AWAITING_QA)
    positions = f"ms,antenna,xoffset,yoffset,zoffset,comment\n{desk.subject}.ms,ea01,0,0.01,0,none\n"
    given: dict[str, str | bytes | Path] = {
        VLA.name: {"antennapos.csv": positions},
        ALMA.name: {"cont.dat": alma_files.RANGES, "flagtargetstemplate.txt": alma_files.FLAGS},
    }[desk.family.name]
    refused = desk.refused("without which the pipeline ignores the", files=given)
    assert "corrects what it can by itself with 'Adapt the PPR to the submitted files'" in refused
    desk.refused("Adapt the PPR to the submitted files is 'maybe'", files=given, adapt="maybe")
    with caplog.at_level(logging.INFO):
        run = desk.rerun(files=given, adapt="True")
    former = desk.directory.processing_request.read_bytes()
    files = desk.ledger.submitted_files.of_run(run.pipeline_run_id)
    assert {*files} == {"PPR.xml", "PPR.as_given.xml", *given}
    assert files["PPR.as_given.xml"].content == former != files["PPR.xml"].content
    assert files["PPR.xml"].source == f"adapted from {desk.directory.processing_request}"
    (opened,) = [event for event in desk.ledger.events.of_run(run.pipeline_run_id) if event.event == "opened"]
    recorded = {each["name"]: each["sha256"] for each in opened.details["files"]}
    assert {recorded[name] for name in ("PPR.xml", "PPR.as_given.xml")} == {
        files[name].sha256 for name in ("PPR.xml", "PPR.as_given.xml")
    }
    reported = caplog.text
    assert "+++ PPR as adapted" in reported
    assert {VLA.name: "hif_antpos", ALMA.name: "hifa_flagtargets"}[desk.family.name] in reported


@of_images
def test_ranges_that_casa_found_are_left_to_the_rerun_that_looks_for_them(desk: Desk) -> None:
    found = SubmittedFile(name="cont.dat", content=alma_files.RANGES, source="CASA's search for the continuum")
    desk.ledger.submitted_files.record(desk.former.pipeline_run_id, found)
    (desk.directory.working / "cont.dat").write_bytes(alma_files.RANGES)
    assert FINDING in desk.directory.processing_request.read_bytes()
    desk.state(RunState.AWAITING_QA)
    run = desk.rerun()
    assert "cont.dat" not in desk.ledger.submitted_files.of_run(run.pipeline_run_id)


def test_flux_densities_that_the_import_wrote_are_left_to_that_of_the_rerun_which_says_so(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    written = b"ms,field,spw,I,Q,U,V,spix,uvmin,uvmax,comment\n"
    found = SubmittedFile(name="flux.csv", content=written, source="CASA's import stage")
    desk.ledger.submitted_files.record(desk.former.pipeline_run_id, found)
    (desk.directory.working / "flux.csv").write_bytes(written)
    desk.state(RunState.AWAITING_QA)
    with caplog.at_level(logging.INFO):
        unasked = desk.rerun()
    assert "flux.csv" not in desk.ledger.submitted_files.of_run(unasked.pipeline_run_id)
    assert f"flux.csv is not taken from '{desk.directory.working / 'flux.csv'}'" in caplog.text
    desk.state(RunState.CANCELLED, unasked)
    row = f"{desk.subject}.ms,0,1,15.016,0,0,0,-0.46,0,0,3C286\n".encode()
    (desk.directory.working / "flux.csv").write_bytes(written + row)
    edited_since = desk.rerun("manual__edited", run_or_subject=desk.former.pipeline_run_id)
    assert desk.ledger.submitted_files.of_run(edited_since.pipeline_run_id)["flux.csv"].content == written + row
