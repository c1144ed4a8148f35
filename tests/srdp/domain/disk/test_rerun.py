"""Which files a rerun has, and that all their problems are reported at once."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from tests.srdp.domain import alma_files
from tests.srdp.domain.alma_files import FIRST, MOUS, RANGES, SECOND, processing_request

from srdp.domain.analyst_files.names import (
    ANTENNA_POSITIONS,
    CONTINUUM_RANGES,
    FLAG_TEMPLATE,
    FLUX_DENSITIES,
    PROCESSING_REQUEST,
    REQUEST_AS_GIVEN,
    TARGET_FLAGS,
)
from srdp.domain.analyst_files.selections.observed import Observed
from srdp.domain.common.errors import InvalidInput, ServiceUnavailable
from srdp.domain.disk.rerun import Former, FormInput, RerunFiles, RerunFilesRefused, files_of_rerun
from srdp.domain.ppr.document import recipe_template, render_vla_processing_request
from srdp.domain.runs.identifiers import execution_block_name, pipeline_run_id
from srdp.domain.runs.ledger_records import PipelineRun, SubmittedFile
from srdp.domain.runs.pipeline_run import RunDirectory
from srdp.domain.runs.states import RunState
from srdp.families import ALMA, family_of

EB = execution_block_name("13A-537.sb24066356.eb24324502.56514.05971091435")
FORMER = pipeline_run_id("vla-20261122-182453-4f7k")
NOW = datetime(2026, 11, 22, tzinfo=UTC)
PPR = render_vla_processing_request(
    recipe_template(Path(__file__).parents[4] / "include" / "templates", "vla_calibration"),
    execution_block=EB,
    pipeline_run_id=FORMER,
    processing_site="Socorro",
    operator="vlapipe",
)
PRIORS = b"<ProcessingCommand><Command>hifv_priorcals</Command><ParameterSet/></ProcessingCommand>"
#: The standard recipe, in which no stage reads antenna positions; and with the one that does.
STANDARD, PPR = (
    PPR,
    PPR.replace(
        PRIORS,
        PRIORS
        + b"<ProcessingCommand><Command>hif_antpos</Command><ParameterSet><Parameter><Keyword>hm_antpos</Keyword>"
        b"<Value>file</Value></Parameter></ParameterSet></ProcessingCommand>",
    ),
)
FLAGS = b"mode='manual' antenna='ea18' reason='DTS'\n"
OTHER_FLAGS = b"mode='manual' antenna='ea19'\n"
FLUX = f"ms,field,spw,I,Q,U,V,spix,uvmin,uvmax,comment\n{EB}.ms,0,1,15.016,0,0,0,-0.46,0,0,3C286\n".encode()
VLA_RANGES = b"Field: NGC5921\n\nSpectralWindow: 0\n1.4143~1.4148GHz LSRK\n"
POSITIONS = f"ms,antenna,xoffset,yoffset,zoffset,comment\n{EB}.ms,ea01,0,0.010,-0.0205,none\n".encode()
STAGED = f"{EB}.{FLAG_TEMPLATE}"
GOOD = {
    PROCESSING_REQUEST: PPR,
    FLAG_TEMPLATE: FLAGS,
    FLUX_DENSITIES: FLUX,
    ANTENNA_POSITIONS: POSITIONS,
    CONTINUUM_RANGES: VLA_RANGES,
}


@dataclass
class Desk:
    """A former run that was delivered, a folder of the analyst, and what the analyst asks for."""

    area: Path
    folder: Path
    former: Former

    @property
    def working(self) -> Path:
        return self.area / FORMER / "working"

    def put(self, contents: Mapping[str, bytes]) -> None:
        """Put files into the former run's ``working/``."""
        for name, content in contents.items():
            (self.working / name).write_bytes(content)

    def given(self, name: str, content: bytes) -> FormInput:
        path = self.folder / name
        path.write_bytes(content)
        return FormInput(path=str(path))

    def files(
        self, said: Mapping[str, FormInput] | None = None, observed: Observed | None = None, *, adapt: bool = False
    ) -> RerunFiles:
        return files_of_rerun(
            said or {},
            self.former,
            roots=[self.area, self.folder],
            observed=observed or Observed(),
            from_recipe=lambda: PPR,
            adapt=adapt,
        )

    def contents(self, said: Mapping[str, FormInput] | None = None) -> dict[str, bytes]:
        return {file.name: file.content for file in self.files(said).files}

    def refusal(self, said: Mapping[str, FormInput] | None = None, observed: Observed | None = None) -> list[str]:
        with pytest.raises(RerunFilesRefused) as caught:
            self.files(said, observed)
        lines = str(caught.value).splitlines()
        assert all(line.isprintable() and line.endswith(".") for line in lines)
        return lines


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    area, folder = tmp_path / "qa", tmp_path / "files"
    (area / FORMER / "working").mkdir(parents=True)
    folder.mkdir()
    run = PipelineRun(
        pipeline_run_id=FORMER, kind="vla_calibration", subject=EB, project="13A-537", locator="uid://evla/execblock/x",
        version=1, state=RunState.AWAITING_QA, dag_id="vla_calibration", dag_run_id="manual__1", requested_by="one",
        recipe="vla_calibration", cores=1, memory_gb=1, failure=None, ppr_sha256="0" * 64, lowest_score=None,
        scores=None, created_at=NOW, state_since=NOW,
    )  # fmt: skip
    return Desk(area, folder, Former(family_of(run.kind).inputs, run, RunDirectory(area / FORMER), {}))


def recorded(contents: Mapping[str, bytes]) -> dict[str, SubmittedFile]:
    return {name: SubmittedFile(name=name, content=content, source="pasted") for name, content in contents.items()}


# Which file it is


def test_nothing_given_and_nothing_lying_is_the_recipe(desk: Desk) -> None:
    assert desk.contents() == {}


def test_what_the_former_run_left_is_picked_up_byte_for_byte(desk: Desk) -> None:
    desk.put({STAGED if name == FLAG_TEMPLATE else name: content for name, content in GOOD.items()})
    found = desk.files().files
    assert {file.name: file.content for file in found} == GOOD
    assert {file.source for file in found} == {str(desk.working / name) for name in ({*GOOD} - {FLAG_TEMPLATE})} | {
        str(desk.working / STAGED)
    }


@pytest.mark.parametrize("name", sorted(GOOD))
def test_what_is_given_counts_more_than_what_is_there(desk: Desk, name: str) -> None:
    desk.put({each: b"nonsense" if each == name else content for each, content in GOOD.items()})
    desk.former = replace(desk.former, recorded=recorded({name: b"nonsense"}))
    for said in (desk.given(name, GOOD[name]), FormInput(text=GOOD[name].decode())):
        assert desk.contents({name: said}) == GOOD


def test_edited_flagtemplate_under_own_name_is_found(desk: Desk) -> None:
    desk.put({FLAG_TEMPLATE: FLAGS})
    assert desk.contents()[FLAG_TEMPLATE] == FLAGS
    desk.put({STAGED: FLAGS})
    assert desk.contents()[FLAG_TEMPLATE] == FLAGS


def test_two_flag_templates_that_differ_are_refused_naming_both(desk: Desk) -> None:
    desk.put({FLAG_TEMPLATE: FLAGS, STAGED: OTHER_FLAGS})
    (line,) = desk.refusal()
    assert str(desk.working / FLAG_TEMPLATE) in line
    assert str(desk.working / STAGED) in line
    assert desk.contents({FLAG_TEMPLATE: FormInput(path=str(desk.working / STAGED))})[FLAG_TEMPLATE] == OTHER_FLAGS


@pytest.mark.parametrize("edited", [FLAG_TEMPLATE, STAGED])
def test_unedited_flag_template_gives_way_to_the_other(desk: Desk, edited: str) -> None:
    desk.put({FLAG_TEMPLATE: FLAGS, STAGED: FLAGS} | {edited: OTHER_FLAGS})
    desk.former = replace(desk.former, recorded=recorded({FLAG_TEMPLATE: FLAGS}))
    assert desk.contents()[FLAG_TEMPLATE] == OTHER_FLAGS


def test_without_a_directory_the_ledgers_files_count(desk: Desk) -> None:
    others = recorded({"ingest 1 flagtemplate.txt": b"of the verdict"})
    desk.former = replace(desk.former, directory=None, recorded=recorded(GOOD) | others)
    found = desk.files().files
    assert {file.name: file.content for file in found} == GOOD
    assert {file.source for file in found} == {f"pipeline run {FORMER}"}


def test_removed_files_stay_removed_except_the_ppr(desk: Desk) -> None:
    desk.former = replace(desk.former, recorded=recorded(GOOD))
    assert desk.contents() == {PROCESSING_REQUEST: PPR}


def test_run_that_ended_early_still_has_its_files(desk: Desk) -> None:
    unstaged = replace(desk.former.run, ppr_sha256=None)
    desk.former = replace(desk.former, run=unstaged, recorded=recorded(GOOD))
    desk.put({FLUX_DENSITIES: FLUX + FLUX.splitlines(keepends=True)[1].replace(b",0,1,", b",0,2,")})
    assert desk.contents() == GOOD | {FLUX_DENSITIES: (desk.working / FLUX_DENSITIES).read_bytes()}


def test_a_missing_working_directory_is_no_file(desk: Desk) -> None:
    desk.working.rmdir()
    assert desk.contents() == {}


def written_by_casa(desk: Desk) -> None:
    """The former run was given a PPR; its import wrote the other two, which were recorded."""
    by_casa = {
        name: SubmittedFile(name=name, content=GOOD[name], source="CASA's import stage")
        for name in (FLAG_TEMPLATE, FLUX_DENSITIES)
    }
    desk.former = replace(desk.former, recorded=recorded({PROCESSING_REQUEST: PPR}) | by_casa)
    desk.put({PROCESSING_REQUEST: PPR, STAGED: FLAGS, FLUX_DENSITIES: FLUX})


def test_unedited_import_files_are_written_again(desk: Desk) -> None:
    written_by_casa(desk)
    assert desk.contents() == {PROCESSING_REQUEST: PPR}
    # FormInput all the same: who edited one while CASA was at work must hear that it is not taken.
    lying = {FLAG_TEMPLATE: str(desk.working / STAGED), FLUX_DENSITIES: str(desk.working / FLUX_DENSITIES)}
    assert {file.name: file.source for file in desk.files().written_again} == lying
    desk.former = replace(desk.former, directory=None)
    assert desk.contents() == {PROCESSING_REQUEST: PPR}


@pytest.mark.parametrize(
    ("name", "place", "edited"),
    [(FLUX_DENSITIES, FLUX_DENSITIES, FLUX.replace(b"15.016", b"15.1")), (FLAG_TEMPLATE, STAGED, OTHER_FLAGS)],
)
def test_edited_or_submitted_import_files_are_taken(desk: Desk, name: str, place: str, edited: bytes) -> None:
    written_by_casa(desk)
    for said in (FormInput(path=str(desk.working / place)), FormInput(text=GOOD[name].decode())):
        assert desk.contents({name: said}) == {PROCESSING_REQUEST: PPR, name: GOOD[name]}
    desk.put({place: edited})
    assert desk.contents() == {PROCESSING_REQUEST: PPR, name: edited}


# What is refused, all at once


def test_everything_that_is_wrong_is_reported_at_once(desk: Desk) -> None:
    said = {
        PROCESSING_REQUEST: desk.given("mine.xml", PPR.replace(b"hifv_exportdata", b"hifv_export")),
        FLAG_TEMPLATE: FormInput(text="mode='manual' antena='ea01'\nmode='quack' quackinterval='x'"),
        FLUX_DENSITIES: FormInput(path=str(desk.folder / "missing.csv")),
        ANTENNA_POSITIONS: FormInput(path="x", text="y"),
    }
    lines = desk.refusal(said)
    reported = "\n".join(lines)
    assert f"{desk.folder / 'mine.xml'}, line " in reported
    assert "is the last stage and no export" in reported
    assert "pasted flagtemplate.txt, line 1, column 15: 'antena'" in reported
    assert "pasted flagtemplate.txt, line 2, column " in reported
    assert "missing.csv' is not there" in reported
    assert "antennapos.csv is given twice" in reported
    assert len(lines) == 5


@pytest.mark.parametrize("name", sorted(GOOD))
def test_picked_up_files_are_linted_like_submitted_ones(desk: Desk, name: str) -> None:
    desk.put(GOOD | {name: b"\xffnonsense"})
    lines = desk.refusal()
    assert all(line.startswith(f"{desk.working / name}, line 1, ") for line in lines)


def test_the_observation_is_looked_at(desk: Desk) -> None:
    observed = Observed(
        start=datetime(2013, 8, 10, 1, tzinfo=UTC), end=datetime(2013, 8, 10, 2, tzinfo=UTC), antennas=("ea01", "ea02")
    )
    text = "mode='manual' antenna='ea09'\nmode='manual' timerange='2013/08/10/03:00:00~2013/08/10/03:01:00'\n"
    positions = FormInput(text=POSITIONS.decode().replace("ea01", "ea07"))
    lines = desk.refusal({FLAG_TEMPLATE: FormInput(text=text), ANTENNA_POSITIONS: positions}, observed)
    assert len(lines) == 3
    for part in ("'ea09' is no antenna", "'ea07' is no antenna", "is not inside the observation"):
        assert sum(part in line for line in lines) == 1


@pytest.mark.parametrize("ppr", ["given", "picked up", "recipe"])
def test_a_flag_template_needs_a_stage_that_reads_it(desk: Desk, ppr: str) -> None:
    without = re.sub(rb"<ProcessingCommand>\s*<Command>hifv_flagdata.*?</ProcessingCommand>", b"", PPR, flags=re.DOTALL)
    assert without != PPR
    said = {FLAG_TEMPLATE: FormInput(text=FLAGS.decode())}
    if ppr == "given":
        said[PROCESSING_REQUEST] = desk.given("mine.xml", without)
    elif ppr == "picked up":
        desk.put({PROCESSING_REQUEST: without})
    with pytest.raises(RerunFilesRefused, match=r"has no stage that reads the flagtemplate\.txt"):
        files_of_rerun(
            said, desk.former, roots=[desk.area, desk.folder], observed=Observed(), from_recipe=lambda: without
        )
    desk.put({STAGED: FLAGS})
    del said[FLAG_TEMPLATE]
    with pytest.raises(RerunFilesRefused, match=f"so that {desk.working / STAGED} is taken: move it away") as caught:
        files_of_rerun(
            said, desk.former, roots=[desk.area, desk.folder], observed=Observed(), from_recipe=lambda: without
        )
    assert len(str(caught.value).splitlines()) == 2


def test_refused_flag_template_still_needs_its_stage(desk: Desk) -> None:
    desk.put({PROCESSING_REQUEST: PPR.replace(b"hifv_flagdata", b"hifv_flag")})
    lines = desk.refusal({FLAG_TEMPLATE: FormInput(path=str(desk.folder / "missing.txt"))})
    assert [part in line for part, line in zip(("is not there", "has no stage"), lines, strict=True)] == [True, True]


@pytest.mark.parametrize("name", ["flagtargetstemplate.txt", f"{EB}.flagtargetstemplate.txt"])
def test_target_flags_are_not_a_file_of_the_vla(desk: Desk, name: str) -> None:
    wanted = "is not read by the VLA pipeline: put target flags into flagtemplate.txt"
    (line,) = desk.refusal({FLAG_TEMPLATE: desk.given(name, FLAGS)})
    assert wanted in line
    desk.put({name: FLAGS})
    (line,) = desk.refusal()
    assert wanted in line
    assert str(desk.working / name) in line


# Adapted to the files

BY_ITSELF = "Of this, the rerun corrects what it can by itself with 'Adapt the PPR to the submitted files'."


def test_unread_positions_are_refused_or_get_a_stage(desk: Desk) -> None:
    said = {PROCESSING_REQUEST: desk.given("mine.xml", STANDARD), ANTENNA_POSITIONS: FormInput(text=POSITIONS.decode())}
    line, hint = desk.refusal(said)
    assert "'hifv_priorcals' is followed by no hif_antpos, without which the pipeline ignores the anten" in line
    assert hint == BY_ITSELF
    files = {file.name: file for file in desk.files(said, adapt=True).files}
    mine = str(desk.folder / "mine.xml")
    assert (files[REQUEST_AS_GIVEN].content, files[REQUEST_AS_GIVEN].source) == (STANDARD, mine)
    assert files[PROCESSING_REQUEST].source == f"adapted from {mine}"
    added = set(files[PROCESSING_REQUEST].content.splitlines()) - set(STANDARD.splitlines())
    assert [each.strip() for each in added] == [PPR[PPR.index(PRIORS) + len(PRIORS) :].split(b"\n")[0]]


def test_what_the_adaptation_cannot_fix_is_refused_all_the_same(desk: Desk) -> None:
    said = {
        PROCESSING_REQUEST: desk.given("mine.xml", STANDARD.replace(b"hifv_exportdata", b"hifv_export")),
        ANTENNA_POSITIONS: FormInput(text=POSITIONS.decode()),
    }
    with pytest.raises(RerunFilesRefused) as refused:
        desk.files(said, adapt=True)
    [line] = str(refused.value).splitlines()
    assert f"{desk.folder / 'mine.xml'}, adapted, line " in line
    assert "is the last stage and no export" in line


def test_a_ppr_that_needs_no_adaptation_stays_byte_for_byte(desk: Desk) -> None:
    desk.put(GOOD)
    found = desk.files(adapt=True)
    assert found.adaptation is None
    assert {file.name: file.content for file in found.files} == GOOD


def test_a_ppr_of_the_ledger_is_adapted_too(imaging: Desk) -> None:
    (imaging.working / PROCESSING_REQUEST).unlink()
    found = imaging.files({TARGET_FLAGS: FormInput(text=TARGETS.decode())}, adapt=True)
    files = {file.name: file for file in found.files}
    assert files[REQUEST_AS_GIVEN].content == IMAGING
    assert files[PROCESSING_REQUEST].source == f"adapted from pipeline run {FORMER}"
    assert b"hifa_flagtargets" in files[PROCESSING_REQUEST].content


# The images of a MOUS

SPLIT = b"<ProcessingCommand><Command>hif_mstransform</Command><ParameterSet/></ProcessingCommand>"
IMAGING = processing_request()
FIND = alma_files.stage_in(IMAGING, "hif_findcont")
#: With the stage that flags targets, without the one that looks for the continuum.
EDITED = IMAGING.replace(SPLIT, SPLIT + SPLIT.replace(b"hif_mstransform", b"hifa_flagtargets")).replace(FIND, b"")
TARGETS = alma_files.FLAGS
OTHERS = TARGETS.replace(b"41", b"42")
BY_CASA = b"# User flagging commands file\n"
OWN = [f"{name}.{TARGET_FLAGS}" for name in (FIRST, SECOND)]
PLACES = [f"{name}{ending}.{TARGET_FLAGS}" for name in (FIRST, SECOND) for ending in ("", "_targets")]


@pytest.fixture
def imaging(desk: Desk) -> Desk:
    """The desk of a run that imaged a MOUS of two ASDMs."""
    run = replace(
        desk.former.run, kind="alma_imaging", subject=MOUS, project=alma_files.PROJECT, recipe="alma_imaging",
        asked=alma_files.asked().as_json(),
    )  # fmt: skip
    desk.former = replace(desk.former, inputs=ALMA.inputs, run=run, recorded=recorded({PROCESSING_REQUEST: IMAGING}))
    desk.put({PROCESSING_REQUEST: IMAGING})
    return desk


def left_by_casa(desk: Desk, ranges: bytes) -> None:
    """The former run's CASA has found these ranges, which were recorded."""
    found = SubmittedFile(name=CONTINUUM_RANGES, content=ranges, source="CASA's search for the continuum")
    desk.former = replace(desk.former, recorded={**desk.former.recorded, CONTINUUM_RANGES: found})
    desk.put({CONTINUUM_RANGES: ranges})


def test_imaging_rerun_has_flags_ranges_and_edited_ppr(imaging: Desk) -> None:
    said = {
        PROCESSING_REQUEST: imaging.given("mine.xml", EDITED),
        TARGET_FLAGS: FormInput(text=TARGETS.decode()),
        CONTINUUM_RANGES: imaging.given("cont.dat", RANGES),
    }
    assert imaging.contents(said) == {PROCESSING_REQUEST: EDITED, TARGET_FLAGS: TARGETS, CONTINUUM_RANGES: RANGES}


def test_target_flags_under_own_name_are_every_asdms(imaging: Desk) -> None:
    imaging.put({PROCESSING_REQUEST: EDITED, **dict.fromkeys(PLACES, BY_CASA), TARGET_FLAGS: TARGETS})
    assert imaging.contents() == {PROCESSING_REQUEST: EDITED, TARGET_FLAGS: TARGETS}


@pytest.mark.parametrize("place", PLACES)
def test_target_flags_under_an_asdms_name_are_that_ones_alone(imaging: Desk, place: str) -> None:
    imaging.put({PROCESSING_REQUEST: EDITED, **dict.fromkeys(PLACES, BY_CASA), place: TARGETS})
    [own] = [name for name in OWN if place in {name, name.replace(".flag", "_targets.flag")}]
    assert imaging.contents() == {PROCESSING_REQUEST: EDITED, own: TARGETS}


@pytest.mark.parametrize("place", PLACES)
def test_editing_one_asdms_flags_keeps_the_others(imaging: Desk, place: str) -> None:
    imaging.former = replace(imaging.former, recorded=recorded({PROCESSING_REQUEST: EDITED, TARGET_FLAGS: TARGETS}))
    imaging.put({PROCESSING_REQUEST: EDITED, **dict.fromkeys(PLACES, TARGETS)})
    assert imaging.contents() == {PROCESSING_REQUEST: EDITED, TARGET_FLAGS: TARGETS}
    imaging.put({place: OTHERS})
    own, other = OWN if place in PLACES[:2] else reversed(OWN)
    assert imaging.contents() == {PROCESSING_REQUEST: EDITED, own: OTHERS, other: TARGETS}
    # And so does what is given by a path of that name.
    imaging.put({place: TARGETS})
    said = {TARGET_FLAGS: imaging.given(place, OTHERS)}
    assert imaging.contents(said) == {PROCESSING_REQUEST: EDITED, own: OTHERS, other: TARGETS}
    # An empty one takes the flags away from that one alone.
    imaging.put({place: b"# none\n"})
    assert imaging.contents() == {PROCESSING_REQUEST: EDITED, other: TARGETS}


def test_each_asdms_own_flags_are_passed_on_to_the_next_rerun(imaging: Desk) -> None:
    own = dict(zip(OWN, (OTHERS, TARGETS), strict=True))
    imaging.former = replace(imaging.former, recorded=recorded({PROCESSING_REQUEST: EDITED, **own}))
    imaging.put({PROCESSING_REQUEST: EDITED, **dict(zip(PLACES, (OTHERS, OTHERS, TARGETS, TARGETS), strict=True))})
    assert imaging.contents() == {PROCESSING_REQUEST: EDITED, **own}
    # An edit of one name counts more than what was given and is under the other.
    imaging.put({PLACES[1]: TARGETS})
    assert imaging.contents() == {PROCESSING_REQUEST: EDITED, TARGET_FLAGS: TARGETS}
    # Once the directory is gone, the ledger has them.
    shared = recorded({PROCESSING_REQUEST: EDITED, TARGET_FLAGS: TARGETS, OWN[0]: OTHERS})
    for files in (recorded({PROCESSING_REQUEST: EDITED, **own}), shared):
        imaging.former = replace(imaging.former, directory=None, recorded=files)
        assert imaging.contents() == {PROCESSING_REQUEST: EDITED, **own}


def test_one_pasted_template_is_every_asdms(imaging: Desk) -> None:
    imaging.put({PROCESSING_REQUEST: EDITED, **dict.fromkeys(PLACES[:2], OTHERS), **dict.fromkeys(PLACES[2:], TARGETS)})
    assert imaging.contents({TARGET_FLAGS: FormInput(text=FLAGS.decode())})[TARGET_FLAGS] == FLAGS


def test_each_asdms_own_flags_need_the_stage_that_reads_them(imaging: Desk) -> None:
    imaging.put({PLACES[0]: TARGETS, PLACES[2]: b"antena='DA41'\n"})
    lines = imaging.refusal()
    assert sum("antena" in line for line in lines) == 1
    assert sum("<Command>hifa_flagtargets</Command>" in line for line in lines) == 1
    for place in (PLACES[0], PLACES[2]):
        taken = f"so that {imaging.working / place} is taken: move it away if you do not want it."
        assert f"No {TARGET_FLAGS} was given, {taken}" in lines


def test_what_casa_left_of_itself_is_no_file_of_an_analyst(imaging: Desk) -> None:
    imaging.put({place: BY_CASA + b"# " + place.encode() for place in PLACES})
    imaging.put({f"{name}.{FLAG_TEMPLATE}": BY_CASA for name in (FIRST, SECOND)})
    left_by_casa(imaging, RANGES)
    assert imaging.contents() == {PROCESSING_REQUEST: IMAGING}
    imaging.put(dict.fromkeys(PLACES, BY_CASA))
    assert imaging.contents() == {PROCESSING_REQUEST: IMAGING}


def test_casas_ranges_stay_without_findcont(imaging: Desk) -> None:
    left_by_casa(imaging, RANGES)
    said = {PROCESSING_REQUEST: imaging.given("mine.xml", EDITED)}
    assert imaging.contents(said)[CONTINUUM_RANGES] == RANGES


def test_submitted_ranges_of_casa_are_the_analysts(imaging: Desk) -> None:
    left_by_casa(imaging, RANGES)
    ranges = {CONTINUUM_RANGES: FormInput(path=str(imaging.working / CONTINUUM_RANGES))}
    line, hint = imaging.refusal(ranges)
    assert hint == BY_ITSELF
    assert "remove this whole <ProcessingCommand>, or leave the cont.dat out" in line
    said = ranges | {PROCESSING_REQUEST: imaging.given("mine.xml", EDITED)}
    assert imaging.contents(said)[CONTINUUM_RANGES] == RANGES


def test_edited_ranges_survive_findcont(imaging: Desk) -> None:
    left_by_casa(imaging, RANGES)
    imaging.put({CONTINUUM_RANGES: RANGES.replace(b"345.900", b"345.850")})
    lines = imaging.refusal()
    assert "remove this whole <ProcessingCommand>, or leave the cont.dat out" in lines[0]
    taken = f"so that {imaging.working / CONTINUUM_RANGES} is taken: move it away if you do not want it."
    assert lines[1] == f"No cont.dat was given, {taken}"
    said = {PROCESSING_REQUEST: imaging.given("mine.xml", EDITED)}
    assert imaging.contents(said)[CONTINUUM_RANGES] == RANGES.replace(b"345.900", b"345.850")


def test_target_flags_without_stage_are_refused(imaging: Desk) -> None:
    line, hint = imaging.refusal({TARGET_FLAGS: FormInput(text=TARGETS.decode())})
    assert hint == BY_ITSELF
    assert "<Command>hifa_flagtargets</Command><ParameterSet/></ProcessingCommand> behind its </ProcessingComm" in line
    assert str(imaging.working / PROCESSING_REQUEST) in line


@pytest.mark.parametrize("name", [FLAG_TEMPLATE, f"{FIRST}.{FLAG_TEMPLATE}"])
def test_flags_of_the_calibration_are_not_a_file_of_an_imaging(imaging: Desk, name: str) -> None:
    wanted = "put flags of the targets into flagtargetstemplate.txt"
    imaging.put({PROCESSING_REQUEST: EDITED})
    [line] = imaging.refusal({TARGET_FLAGS: imaging.given(name, TARGETS)})
    assert wanted in line
    imaging.put({name: TARGETS})
    [line] = imaging.refusal()
    assert f"{wanted}, and remove it" in line


def test_two_sets_of_target_flags_are_refused_naming_both(imaging: Desk) -> None:
    imaging.put({PROCESSING_REQUEST: EDITED, TARGET_FLAGS: FLAGS, PLACES[1]: TARGETS, PLACES[3]: OTHERS})
    lines = imaging.refusal()
    assert len(lines) == 2
    for line, place in zip(lines, (PLACES[1], PLACES[3]), strict=True):
        assert str(imaging.working / TARGET_FLAGS) in line
        assert str(imaging.working / place) in line


def test_a_ppr_of_another_mous_is_refused(imaging: Desk) -> None:
    other = IMAGING.replace(MOUS.encode(), b"uid://A001/X1/X2")
    [line] = imaging.refusal({PROCESSING_REQUEST: imaging.given("mine.xml", other)})
    assert f'write entityId="{MOUS}"' in line


def test_before_a_run_has_a_ppr_its_asdms_are_the_archives(imaging: Desk) -> None:
    imaging.former = replace(imaging.former, recorded={}, archived_asdms=alma_files.ASDMS[:1])
    lines = imaging.refusal()
    assert any(f"is no ASDM of {MOUS}" in line for line in lines)
    imaging.former = replace(imaging.former, archived_asdms=alma_files.ASDMS)
    assert imaging.contents() == {PROCESSING_REQUEST: IMAGING}


# Hostile and broken file systems


@pytest.mark.parametrize("name", sorted(GOOD))
def test_no_symbolic_link_in_the_former_run_is_followed(desk: Desk, tmp_path: Path, name: str) -> None:
    """Not to a file below the roots either: that of another run, for example."""
    for target in (tmp_path / "secret", desk.folder / "secret"):
        target.write_bytes(GOOD[name])
        (desk.working / name).symlink_to(target)
        (line,) = desk.refusal()
        assert f"{desk.working / name}' is a symbolic link" in line
        (desk.working / name).unlink()


def test_linked_working_folder_is_not_followed(desk: Desk, tmp_path: Path) -> None:
    desk.put(GOOD)
    desk.working.rename(tmp_path / "aside")
    desk.working.symlink_to(tmp_path / "aside")
    with pytest.raises(InvalidInput, match="is a symbolic link"):
        desk.files()


def test_what_cannot_be_looked_at_is_not_taken_for_missing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.put(GOOD)

    def stale(*_: object, **__: object) -> int:
        raise OSError(116, "Stale file handle")

    monkeypatch.setattr(os, "open", stale)
    with pytest.raises(ServiceUnavailable, match="Stale file handle"):
        desk.files()


@hypothesis_settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    paths=st.dictionaries(st.sampled_from(sorted(GOOD)), st.text(max_size=40) | st.just("/etc/passwd")),
    texts=st.dictionaries(st.sampled_from(sorted(GOOD)), st.text(max_size=200)),
)
def test_whatever_is_typed_the_answer_is_sentences_or_files(
    desk: Desk, paths: dict[str, str], texts: dict[str, str]
) -> None:
    said = {name: FormInput(path=paths.get(name), text=texts.get(name)) for name in GOOD}
    try:
        found = desk.files(said)
    except RerunFilesRefused as refused:
        lines = str(refused).split("\n")
        assert all(line.isprintable() and line.endswith(".") for line in lines)
        return
    assert {file.source for file in found.files} <= {"pasted"}


def test_log_submitted_as_flags_is_refused_briefly(desk: Desk) -> None:
    desk.put(GOOD)
    log = b"2026-01-01 00:00:00 INFO task::casa something happened\n" * 10_000
    lines = desk.refusal({FLAG_TEMPLATE: desk.given("wrong.txt", log), FLUX_DENSITIES: desk.given("flux.csv", b"x")})
    assert len(lines) < 210
    assert any(line.startswith(f"{desk.folder / 'wrong.txt'} has 9800 more: ") for line in lines)
    assert any(line.startswith(f"{desk.folder / 'flux.csv'}, line 1, ") for line in lines)
