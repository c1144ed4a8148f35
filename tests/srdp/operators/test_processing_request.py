"""What CASA is given: from the ledger, from the recipe, or from a person who was at work in the run's directory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest
from airflow.sdk.exceptions import AirflowFailException
from tests.replacing import replace_everywhere
from tests.srdp.domain import alma_files

import srdp.settings
from srdp.domain.ppr.adaptation import adapted
from srdp.domain.ppr.document import recipe_template, render_vla_processing_request
from srdp.domain.runs.identifiers import PipelineRunId, execution_block_name
from srdp.domain.runs.ledger_records import PipelineRun, SubmittedFile
from srdp.domain.runs.pipeline_run import processing_directory
from srdp.domain.runs.states import RunState
from srdp.families import VLA
from srdp.hooks.ledger import Ledger
from srdp.hooks.ledger.event_log import EventLog
from srdp.hooks.ledger.files import SubmittedFiles
from srdp.hooks.ledger.runs import Runs
from srdp.operators.processing_request import WriteProcessingRequestOperator
from srdp.settings import Settings

pytestmark = pytest.mark.servers

EB = "13A-537.sb24066356.eb24324502.56514.05971091435"
FORMER = PipelineRunId("vla-20261122-182453-4f7k")
FLAGS = b"# by hand\nmode='manual' antenna='ea18' reason='DTS'\n"
OTHER_FLAGS = b"mode='manual' antenna='ea19'\n"
FLUX = f"ms,field,spw,I,Q,U,V,spix,uvmin,uvmax,comment\n{EB}.ms,0,1,15.016,0,0,0,-0.46,0,0,3C286\n".encode()
POSITIONS = f"ms,antenna,xoffset,yoffset,zoffset,comment\n{EB}.ms,ea01,0,0.010,-0.0205,none\n".encode()
RANGES = b"Field: NGC5921\n\nSpectralWindow: 0\n1.4143~1.4148GHz LSRK\n"
STAGED = {
    "flagtemplate.txt": f"{EB}.flagtemplate.txt",
    "flux.csv": "flux.csv",
    "antennapos.csv": "antennapos.csv",
    "cont.dat": "cont.dat",
}


@pytest.fixture(autouse=True)
def own_settings(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(srdp.settings, "load_settings", lambda: settings)


@pytest.fixture
def ledger(settings: Settings, ledger_url: str) -> Ledger:
    return Ledger(settings, retry_seconds=20)


@pytest.fixture
def former_ppr(settings: Settings) -> bytes:
    """A PPR of another run, with antenna positions, and with a blank that no renderer would write."""
    content = (
        render_vla_processing_request(
            recipe_template(settings.templates, "vla_calibration"),
            execution_block=execution_block_name(EB),
            pipeline_run_id=FORMER,
            processing_site="Socorro",
            operator="vlapipe",
        )
        + b" \n"
    )
    made = adapted(content, VLA.inputs, ["antennapos.csv"])
    assert made is not None
    return made.content


def given(name: str, content: bytes) -> SubmittedFile:
    return SubmittedFile(name=name, content=content, source="pasted")


class Step:
    """A run whose raw data are there, and the step that writes its files."""

    def __init__(self, settings: Settings, ledger: Ledger, run: PipelineRun) -> None:
        self.ledger = ledger
        self.run_id = run.pipeline_run_id
        self.working = processing_directory(settings.areas, run.pipeline_run_id).working
        self.working.mkdir(parents=True)
        for state in (RunState.FETCHING, RunState.PROCESSING):
            ledger.runs.transition(self.run_id, state, event="of a test")

    def write(self) -> str:
        return WriteProcessingRequestOperator(task_id="write_ppr", pipeline_run_id=self.run_id).execute({})

    def read(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.working.iterdir()}

    def recorded(self) -> dict[str, bytes]:
        return {name: file.content for name, file in self.ledger.submitted_files.of_run(self.run_id).items()}

    def events(self) -> list[str]:
        return [event.event for event in self.ledger.events.of_run(self.run_id)]


@pytest.fixture
def step(settings: Settings, ledger: Ledger, open_run: Callable[..., PipelineRun]) -> Callable[..., Step]:
    def opened(**files: bytes) -> Step:
        names = [given(name.replace("_", "."), content) for name, content in files.items()]
        return Step(settings, ledger, open_run(subject=EB, files=names))

    return opened


def test_the_ppr_of_a_first_run_comes_from_its_recipe_and_goes_to_the_ledger(step: Callable[..., Step]) -> None:
    first = step()
    sha256 = first.write()
    (name, content), *others = first.read().items()
    assert (name, others) == ("PPR.xml", [])
    assert hashlib.sha256(content).hexdigest() == sha256 == first.ledger.runs.get(first.run_id).ppr_sha256
    assert first.run_id.encode() in content
    (file,) = first.ledger.submitted_files.of_run(first.run_id).values()
    assert (file.name, file.content, file.source) == ("PPR.xml", content, "recipe vla_calibration")


def test_what_was_given_is_written_byte_for_byte_under_the_names_that_casa_looks_for(
    step: Callable[..., Step], former_ppr: bytes
) -> None:
    rerun = step(PPR_xml=former_ppr, flagtemplate_txt=FLAGS, flux_csv=FLUX, antennapos_csv=POSITIONS, cont_dat=RANGES)
    for _ in range(2):
        assert rerun.write() == hashlib.sha256(former_ppr).hexdigest()
        assert rerun.read() == {
            "PPR.xml": former_ppr,
            f"{EB}.flagtemplate.txt": FLAGS,
            "flux.csv": FLUX,
            "antennapos.csv": POSITIONS,
            "cont.dat": RANGES,
        }
    assert {file.source for file in rerun.ledger.submitted_files.of_run(rerun.run_id).values()} == {"pasted"}
    assert "submitted_file_edited" not in rerun.events()


def test_a_file_may_be_given_without_a_ppr(step: Callable[..., Step]) -> None:
    rerun = step(flagtemplate_txt=FLAGS)
    rerun.write()
    assert set(rerun.read()) == {"PPR.xml", f"{EB}.flagtemplate.txt"}
    assert set(rerun.recorded()) == {"PPR.xml", "flagtemplate.txt"}


def test_all_is_linted_before_anything_is_written(step: Callable[..., Step], former_ppr: bytes) -> None:
    rerun = step(
        PPR_xml=former_ppr.replace(b"hifv_flagdata", b"hifv_hanning"), flagtemplate_txt=FLAGS, flux_csv=b"ms\n"
    )
    with pytest.raises(AirflowFailException) as caught:
        rerun.write()
    assert "has no stage that reads the flagtemplate.txt" in str(caught.value)
    assert "flux.csv, line 1" in str(caught.value)
    assert rerun.read() == {}
    assert rerun.ledger.runs.get(rerun.run_id).ppr_sha256 is None


def test_what_the_pipeline_does_not_read_is_refused(step: Callable[..., Step]) -> None:
    with_another = step(flagtargetstemplate_txt=FLAGS)
    with pytest.raises(AirflowFailException, match=r"'flagtargetstemplate\.txt' is not read by vla_calibration"):
        with_another.write()
    assert with_another.read() == {}


@pytest.mark.parametrize("name", STAGED)
def test_an_edit_in_the_runs_own_directory_stays_and_the_ledger_has_it(
    step: Callable[..., Step], former_ppr: bytes, name: str
) -> None:
    before, after = {
        "flagtemplate.txt": (FLAGS, OTHER_FLAGS),
        "flux.csv": (FLUX, FLUX.replace(b"15.016", b"15.1")),
        "antennapos.csv": (POSITIONS, POSITIONS.replace(b"0.010", b"0.020")),
        "cont.dat": (RANGES, RANGES.replace(b"1.4143", b"1.4144")),
    }[name]
    rerun = step(PPR_xml=former_ppr, **{name.replace(".", "_"): before})
    rerun.write()
    place = rerun.working / STAGED[name]
    place.write_bytes(after)
    rerun.write()
    assert place.read_bytes() == after
    recorded = rerun.ledger.submitted_files.of_run(rerun.run_id)[name]
    assert (recorded.content, recorded.source) == (after, str(place))
    (edited,) = [event for event in rerun.ledger.events.of_run(rerun.run_id) if event.event == "submitted_file_edited"]
    assert edited.details == {
        "name": name,
        "sha256_submitted": hashlib.sha256(before).hexdigest(),
        "sha256_edited": hashlib.sha256(after).hexdigest(),
    }
    rerun.write()
    assert rerun.events().count("submitted_file_edited") == 1


def test_an_edited_ppr_is_the_one_that_casa_is_started_with(step: Callable[..., Step], former_ppr: bytes) -> None:
    rerun = step(PPR_xml=former_ppr)
    rerun.write()
    edited = former_ppr + b" "
    (rerun.working / "PPR.xml").write_bytes(edited)
    sha256 = rerun.write()
    assert sha256 == hashlib.sha256(edited).hexdigest() == rerun.ledger.runs.get(rerun.run_id).ppr_sha256
    assert rerun.recorded() == {"PPR.xml": edited}


def test_an_edit_that_is_wrong_is_refused_and_not_recorded(step: Callable[..., Step], former_ppr: bytes) -> None:
    rerun = step(PPR_xml=former_ppr, flagtemplate_txt=FLAGS)
    rerun.write()
    place = rerun.working / f"{EB}.flagtemplate.txt"
    place.write_bytes(b"mode=manual\n")
    with pytest.raises(AirflowFailException, match=r"flagtemplate\.txt, line 1"):
        rerun.write()
    assert place.read_bytes() == b"mode=manual\n"
    assert rerun.recorded()["flagtemplate.txt"] == FLAGS


def test_a_file_that_somebody_added_is_recorded(step: Callable[..., Step]) -> None:
    first = step()
    (first.working / "flux.csv").write_bytes(FLUX)
    first.write()
    assert first.recorded()["flux.csv"] == FLUX
    assert "submitted_file_edited" not in first.events()


def test_a_link_in_a_files_place_is_refused(step: Callable[..., Step], tmp_path: Path) -> None:
    first = step()
    (tmp_path / "elsewhere.csv").write_bytes(FLUX)
    (first.working / "flux.csv").symlink_to(tmp_path / "elsewhere.csv")
    with pytest.raises(AirflowFailException, match=r"flux\.csv' is a symbolic link"):
        first.write()


@pytest.mark.timeout(30)
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.touch() or os.truncate(path, 40 * 10**9)])
def test_a_pipe_or_a_sparse_file_as_the_ppr_is_refused_at_once(
    step: Callable[..., Step], make: Callable[[Path], None]
) -> None:
    first = step()
    make(first.working / "PPR.xml")
    with pytest.raises(AirflowFailException, match=r"PPR\.xml' is (a named pipe|larger than)"):
        first.write()


def test_once_casa_is_started_nothing_is_written_or_recorded(step: Callable[..., Step], former_ppr: bytes) -> None:
    rerun = step(PPR_xml=former_ppr)
    sha256 = rerun.write()
    rerun.ledger.casa.record(rerun.run_id, 1, job_name=f"{rerun.run_id}.casa1", ppr_sha256_before=sha256)
    (rerun.working / "PPR.xml").write_bytes(former_ppr + b" ")
    (rerun.working / "flux.csv").write_bytes(b"of the pipeline, in another form\n")
    assert rerun.write() == sha256
    assert rerun.ledger.runs.get(rerun.run_id).ppr_sha256 == sha256
    assert rerun.recorded() == {"PPR.xml": former_ppr}


@pytest.mark.parametrize(("repository", "method"), [(SubmittedFiles, "record"), (Runs, "record_ppr")])
def test_killed_in_between_the_next_try_comes_to_the_same(
    step: Callable[..., Step], monkeypatch: pytest.MonkeyPatch, repository: type, method: str
) -> None:
    first = step(flagtemplate_txt=FLAGS)
    with monkeypatch.context() as patch:
        patch.setattr(repository, method, mock.Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            first.write()
    sha256 = first.write()
    assert first.read() == {"PPR.xml": first.recorded()["PPR.xml"], f"{EB}.flagtemplate.txt": FLAGS}
    assert hashlib.sha256(first.recorded()["PPR.xml"]).hexdigest() == sha256
    assert first.ledger.submitted_files.of_run(first.run_id)["PPR.xml"].source == "recipe vla_calibration"


def test_the_ledger_has_the_ppr_before_it_is_written(
    step: Callable[..., Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = step()
    replace_everywhere(
        monkeypatch, "srdp.domain.files.whole_file:write_whole_file", mock.Mock(side_effect=KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        first.write()
    assert set(first.recorded()) == {"PPR.xml"}


# --- the images of a MOUS -------------------------------------------------------------------------------------------

SPLIT = b"<ProcessingCommand><Command>hif_mstransform</Command><ParameterSet/></ProcessingCommand>"
WITH_FLAGS = alma_files.processing_request().replace(
    SPLIT, SPLIT + SPLIT.replace(b"hif_mstransform", b"hifa_flagtargets")
)
TARGETS = alma_files.FLAGS
PLACES = [
    f"{asdm}{ending}.flagtargetstemplate.txt"
    for asdm in (alma_files.FIRST, alma_files.SECOND)
    for ending in ("", "_targets")
]


@pytest.fixture
def imaging(settings: Settings, ledger: Ledger, open_run: Callable[..., PipelineRun]) -> Callable[..., Step]:
    def opened(*files: SubmittedFile) -> Step:
        request = alma_files.asked()
        run = open_run(
            kind="alma_imaging", subject=alma_files.MOUS, project=alma_files.PROJECT, recipe="alma_imaging",
            request_digest=request.digest, asked=request.as_json(), files=list(files),
        )  # fmt: skip
        return Step(settings, ledger, run)

    return opened


def test_the_ppr_of_an_imaging_is_made_of_what_was_asked_and_the_asdms_of_the_archive(
    imaging: Callable[..., Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    replace_everywhere(
        monkeypatch,
        "srdp.services.processing.imaged_mous:mous_of_run",
        mock.Mock(return_value=SimpleNamespace(named_asdms=alma_files.ASDMS)),
    )
    first = imaging()
    first.write()
    content = first.read()["PPR.xml"]
    assert content == alma_files.processing_request().replace(alma_files.RUN.encode(), first.run_id.encode())
    assert first.recorded() == {"PPR.xml": content}
    # From now on the archive is not asked any more.
    replace_everywhere(
        monkeypatch, "srdp.services.processing.imaged_mous:mous_of_run", mock.Mock(side_effect=AssertionError)
    )
    first.write()


def test_target_flags_are_under_both_names_of_every_asdm(imaging: Callable[..., Step]) -> None:
    as_given = given("PPR.as_given.xml", WITH_FLAGS.replace(b"hifa_flagtargets", b"hif_findcont"))
    rerun = imaging(given("PPR.xml", WITH_FLAGS), as_given, given("flagtargetstemplate.txt", TARGETS))
    rerun.write()
    # A PPR as it was before it was adapted stays in the ledger.
    assert rerun.read() == {"PPR.xml": WITH_FLAGS, **dict.fromkeys(PLACES, TARGETS)}
    assert rerun.recorded()["PPR.as_given.xml"] == as_given.content


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("killed_in", [None, (EventLog, "record"), (SubmittedFiles, "record"), (Runs, "record_ppr")])
def test_an_edit_under_one_name_is_carried_to_the_asdms_other_one_and_never_undone(
    imaging: Callable[..., Step], monkeypatch: pytest.MonkeyPatch, place: str, killed_in: tuple[type, str] | None
) -> None:
    rerun = imaging(given("PPR.xml", WITH_FLAGS), given("flagtargetstemplate.txt", TARGETS))
    rerun.write()
    edited = TARGETS.replace(b"DA41", b"DA42")
    (rerun.working / place).write_bytes(edited)
    if killed_in is not None:
        with monkeypatch.context() as patch:
            patch.setattr(*killed_in, mock.Mock(side_effect=KeyboardInterrupt))
            with pytest.raises(KeyboardInterrupt):
                rerun.write()
    rerun.write()
    its = PLACES[:2] if place in PLACES[:2] else PLACES[2:]
    assert rerun.read() == {"PPR.xml": WITH_FLAGS, **dict.fromkeys(PLACES, TARGETS), **dict.fromkeys(its, edited)}
    # What all share is the others'.
    flags = {"flagtargetstemplate.txt": TARGETS, its[0]: edited}
    assert rerun.recorded() == {"PPR.xml": WITH_FLAGS, **flags}
    assert "submitted_file_edited" in rerun.events()


def test_after_edits_of_one_asdm_an_edit_of_all_is_each_ones_own(imaging: Callable[..., Step]) -> None:
    rerun = imaging(given("PPR.xml", WITH_FLAGS), given("flagtargetstemplate.txt", TARGETS))
    rerun.write()
    for places, antenna in ((PLACES[:1], b"DA42"), (PLACES, b"DA43"), (PLACES[3:], b"DA41")):
        edited = TARGETS.replace(b"DA41", antenna)
        for place in places:
            (rerun.working / place).write_bytes(edited)
        rerun.write()
    first, second = TARGETS.replace(b"DA41", b"DA43"), TARGETS
    lying = {"PPR.xml": WITH_FLAGS, **dict.fromkeys(PLACES[:2], first), **dict.fromkeys(PLACES[2:], second)}
    assert rerun.read() == lying
    recorded = rerun.recorded()
    assert (recorded[PLACES[0]], recorded[PLACES[2]]) == (first, second)


def test_each_asdm_is_given_its_own_target_flags(imaging: Callable[..., Step]) -> None:
    other = TARGETS.replace(b"DA41", b"DA42")
    rerun = imaging(given("PPR.xml", WITH_FLAGS), given(PLACES[0], TARGETS), given(PLACES[2], other))
    for _ in range(2):
        rerun.write()
        lying = {**dict.fromkeys(PLACES[:2], TARGETS), **dict.fromkeys(PLACES[2:], other)}
        assert rerun.read() == {"PPR.xml": WITH_FLAGS, **lying}
    assert rerun.recorded() == {"PPR.xml": WITH_FLAGS, PLACES[0]: TARGETS, PLACES[2]: other}


def test_target_flags_of_one_asdm_are_not_anothers(imaging: Callable[..., Step]) -> None:
    rerun = imaging(given("PPR.xml", WITH_FLAGS), given(PLACES[2], TARGETS))
    rerun.write()
    assert rerun.read() == {"PPR.xml": WITH_FLAGS, **dict.fromkeys(PLACES[2:], TARGETS)}


@pytest.mark.parametrize("writes", range(4))
def test_killed_while_an_edit_is_carried_over_it_is_still_the_edit_that_counts(
    imaging: Callable[..., Step], monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    from srdp.domain.files.whole_file import write_whole_file

    rerun = imaging(given("PPR.xml", WITH_FLAGS), given("flagtargetstemplate.txt", TARGETS))
    rerun.write()
    edited = TARGETS.replace(b"DA41", b"DA42")
    (rerun.working / PLACES[2]).write_bytes(edited)
    done: list[Path] = []

    def written(root: Path, place: Path, content: bytes) -> bool:
        if place.name in PLACES and len(done) == writes:
            raise KeyboardInterrupt
        if place.name in PLACES:
            done.append(place)
        return write_whole_file(root, place, content)

    with monkeypatch.context() as patch:
        replace_everywhere(patch, "srdp.domain.files.whole_file:write_whole_file", written)
        with pytest.raises(KeyboardInterrupt):
            rerun.write()
    rerun.write()
    its = dict.fromkeys(PLACES[2:], edited)
    assert rerun.read() == {"PPR.xml": WITH_FLAGS, **dict.fromkeys(PLACES, TARGETS), **its}
    assert rerun.recorded()[PLACES[2]] == edited


def test_an_edit_that_takes_away_an_asdm_is_refused(imaging: Callable[..., Step]) -> None:
    rerun = imaging(given("PPR.xml", WITH_FLAGS))
    rerun.write()
    block = WITH_FLAGS[WITH_FLAGS.rindex(b"<AsdmIdentifier>") : WITH_FLAGS.rindex(b"</AsdmIdentifier>") + 17]
    (rerun.working / "PPR.xml").write_bytes(WITH_FLAGS.replace(block, b""))
    with pytest.raises(AirflowFailException, match=f"does not name {alma_files.ASDMS[1].uid}, which belongs to"):
        rerun.write()
    assert rerun.recorded() == {"PPR.xml": WITH_FLAGS}


def test_sessions_that_the_calibration_in_rawdata_does_not_have_are_refused(imaging: Callable[..., Step]) -> None:
    rerun = imaging(given("PPR.xml", WITH_FLAGS))
    rawdata = rerun.working.with_name("rawdata")
    rawdata.mkdir()
    moved = alma_files.ASDMS[1]
    (rawdata / "x.pipeline_manifest.xml").write_text(
        f'<piperesults><ous name="x"><session name="session_2"><asdm name="{moved.disk_name}.ms"/></session></ous>'
        "</piperesults>"
    )
    with pytest.raises(AirflowFailException, match=f"{moved.uid}.*put it into the Value of SESSION_2"):
        rerun.write()
    assert rerun.read() == {}
