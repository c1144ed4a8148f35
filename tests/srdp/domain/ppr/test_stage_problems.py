"""Which stage reads which file, and what is said if none does."""

from __future__ import annotations

import pytest

from srdp.domain.ppr.inputs import PipelineInputs
from srdp.domain.ppr.stage_problems import AddParameter, AddStage, RemoveStage, Stage, StageProblem, stage_problems
from srdp.families import families
from srdp.families.alma_imaging import ALMA as ALMA_FAMILY
from srdp.families.vla_calibration import VLA as VLA_FAMILY

VLA = [
    Stage("hifv_importdata"),
    Stage("hifv_flagdata", {"fracspw": "0.01"}),
    Stage("hifv_vlasetjy"),
    Stage("hifv_priorcals"),
    Stage("hifv_checkflag", {"checkflagmode": "bpd-vla"}),
    Stage("hifv_applycals"),
    Stage("hifv_checkflag", {"checkflagmode": "target-vla"}),
    Stage("hifv_statwt"),
    Stage("hifv_exportdata"),
]
ALMA = [
    Stage("hifa_restoredata"),
    Stage("hif_mstransform"),
    Stage("hif_findcont"),
    Stage("hif_uvcontsub"),
    Stage("hif_editimlist", {"imaging_mode": "ALMA"}),
    Stage("hif_makeimages"),
]
POSITIONS = Stage("hif_antpos", {"hm_antpos": "file"})
FLAGS = Stage("hifa_flagtargets")


def reported(inputs: PipelineInputs, stages: list[Stage], *given: str) -> list[StageProblem]:
    return list(stage_problems(inputs, stages, given))


def without(stages: list[Stage], *names: str) -> list[Stage]:
    return [stage for stage in stages if stage.name not in names]


def with_parameters(stages: list[Stage], name: str, **parameters: str) -> list[Stage]:
    return [Stage(each.name, {**each.parameters, **parameters}) if each.name == name else each for each in stages]


@pytest.mark.parametrize("given", ["flagtemplate.txt", "flux.csv", "cont.dat"])
def test_standard_recipe_does_not_read_antenna_positions(given: str) -> None:
    assert reported(VLA_FAMILY.inputs, VLA, given) == []
    [problem] = reported(VLA_FAMILY.inputs, VLA, given, "antennapos.csv")
    assert (problem.place, problem.value) == (3, "hifv_priorcals")
    assert "the pipeline ignores the antennapos.csv" in problem.problem
    assert problem.edits == (AddStage(behind=3, stage=POSITIONS),)
    assert reported(VLA_FAMILY.inputs, [*VLA[:4], POSITIONS, *VLA[4:]], "antennapos.csv") == []


@pytest.mark.parametrize(
    ("stages", "given", "said"),
    [
        (without(VLA, "hifv_flagdata"), "flagtemplate.txt", "add hifv_flagdata where the standard recipe has it"),
        (with_parameters(VLA, "hifv_flagdata", template="False"), "flagtemplate.txt", "template=False, so"),
        (with_parameters(VLA, "hifv_flagdata", template="false"), "flagtemplate.txt", "template=false, so"),
        (with_parameters(VLA, "hifv_flagdata", filetemplate="my.txt"), "flagtemplate.txt", "=my.txt, so it reads"),
        (without(VLA, "hifv_vlasetjy"), "flux.csv", "has no stage that reads the flux.csv"),
        (with_parameters(VLA, "hifv_vlasetjy", reffile="mine.csv"), "flux.csv", "reffile=mine.csv, so it reads"),
        (without(VLA, "hifv_checkflag", "hifv_statwt"), "cont.dat", "add hifv_checkflag with checkflagmode=target-vla"),
        ([*VLA[:6], VLA[8]], "cont.dat", "or hifv_statwt or hifv_targetflag"),
        (without(VLA, "hifv_priorcals"), "antennapos.csv", "add the line <ProcessingCommand><Command>hif_antpos"),
        ([POSITIONS, *VLA], "antennapos.csv", ""),
        ([Stage("hif_antpos"), *VLA], "antennapos.csv", "does not have hm_antpos=file, without which it does not read"),
        ([Stage("hif_antpos", {"hm_antpos": "file", "antposfile": "x.csv"})], "antennapos.csv", "antposfile=x.csv, so"),
        ([*VLA[:6], POSITIONS, *VLA[6:]], "antennapos.csv", "stands behind hifv_applycals, and the calibration would"),
    ],
)  # fmt: skip
def test_a_file_that_no_stage_of_the_vla_reads(stages: list[Stage], given: str, said: str) -> None:
    assert reported(VLA_FAMILY.inputs, stages, given) == [] or said
    problems = reported(VLA_FAMILY.inputs, stages, given)
    assert [said in f"{each.problem}: {each.fix}" for each in problems] == [True] * bool(said)


def test_one_stage_that_reads_a_file_is_enough() -> None:
    off = with_parameters(VLA, "hifv_checkflag", usecontdat="False")
    assert reported(VLA_FAMILY.inputs, off, "cont.dat") == []
    # The message names the stage that does not read it, not the missing stages.
    [problem] = reported(VLA_FAMILY.inputs, without(off, "hifv_statwt"), "cont.dat")
    assert problem.problem == "has usecontdat=False, so it does not read the cont.dat"


@pytest.mark.parametrize(
    ("stages", "given", "said", "edits"),
    [
        (ALMA, [], [], [()]),
        (ALMA, ["flagtargetstemplate.txt"], ["is followed by no hifa_flagtargets"],
         [(AddStage(behind=1, stage=FLAGS),)]),
        (ALMA, ["cont.dat"], ["may replace what is in the cont.dat"], [(RemoveStage(place=2),)]),
        (without(ALMA, "hif_findcont"), ["cont.dat"], [], [()]),
        ([*ALMA[:2], FLAGS, *ALMA[2:]], ["flagtargetstemplate.txt"], [], [()]),
        # Too late, whether a file is given or not.
        ([*ALMA[:4], FLAGS, *ALMA[4:]], [], ["stands behind hif_uvcontsub, and cubes"],
         [(RemoveStage(place=4), AddStage(behind=1, stage=FLAGS))]),
        ([*ALMA[:4], FLAGS, *ALMA[4:]], ["flagtargetstemplate.txt"], ["stands behind hif_uvcontsub, and cubes"],
         [(RemoveStage(place=4), AddStage(behind=1, stage=FLAGS))]),
        ([*without(ALMA, "hif_uvcontsub"), FLAGS], [], ["stands behind hif_makeimages, and its images"],
         [(RemoveStage(place=5), AddStage(behind=1, stage=FLAGS))]),
        (with_parameters(ALMA, "hif_editimlist", imaging_mode="VLA"), [], ["has imaging_mode=VLA"], [()]),
        ([*ALMA[:4], Stage("hif_editimlist"), ALMA[5]], [], ["has no imaging_mode"],
         [(AddParameter(place=4, keyword="imaging_mode", value="ALMA"),)]),
    ],
)  # fmt: skip
def test_the_stages_and_files_of_an_imaging(
    stages: list[Stage], given: list[str], said: list[str], edits: object
) -> None:
    problems = reported(ALMA_FAMILY.inputs, stages, *given)
    assert len(problems) == len(said)
    for problem, part, fix in zip(problems, said, edits, strict=False):
        assert part in problem.problem
        assert problem.edits == fix


def test_the_modes_of_images_are_not_asked_of_the_vla() -> None:
    assert reported(VLA_FAMILY.inputs, [Stage("hif_editimlist"), *VLA]) == []


def test_ppr_without_stages_has_no_position_to_report() -> None:
    assert reported(ALMA_FAMILY.inputs, [], "cont.dat") == []


def test_the_tables_are_whole() -> None:
    for files in (family.inputs.files for family in families()):
        fields = [file.form_field for file in files.values()]
        assert len(fields) == len(set(fields))
        for name, file in files.items():
            assert bool(file.readers) == (name != "PPR.xml")
            assert file.addition is None or file.addition.stage in {reader.stage for reader in file.readers}
    assert VLA_FAMILY.inputs.left_by_casa == {
        "flagtemplate.txt": "import stage", "flux.csv": "import stage", "cont.dat": "search for the continuum",
    }  # fmt: skip
    assert ALMA_FAMILY.inputs.left_by_casa == {"cont.dat": "search for the continuum"}
