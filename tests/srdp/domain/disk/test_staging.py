from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from tests.srdp.domain.alma_files import (
    ASKED,
    FIRST,
    FLAGS,
    MOUS,
    PROJECT,
    RANGES,
    RUN,
    SECOND,
    SUBJECT,
    processing_request,
    stage_in,
)

from srdp.domain.common.errors import InvalidInput
from srdp.domain.common.lint import Report
from srdp.domain.disk.staging import (
    lint_staged,
    names_of_each,
    own_templates,
    read_staged,
    staged_names,
    subject_of_run,
)
from srdp.domain.files.trusted_root import UnsafeFile
from srdp.domain.ppr.subject import Subject, asdm
from srdp.domain.runs.identifiers import execution_block_name
from srdp.domain.runs.ledger_records import PipelineRun, SubmittedFile
from srdp.domain.runs.states import RunState
from srdp.families import ALMA, VLA
from srdp.families.alma_imaging import alma_subject
from srdp.families.vla_calibration import vla_subject

EB = execution_block_name("13A-537.sb24066356.eb24324502.56514.05971091435")


def test_a_vla_calibration_is_given_its_ppr_and_four_files() -> None:
    assert VLA.inputs.file_names == ("PPR.xml", "flagtemplate.txt", "flux.csv", "antennapos.csv", "cont.dat")
    assert [staged_names(vla_subject(EB), name) for name in VLA.inputs.file_names] == [
        ("PPR.xml",),
        (f"{EB}.flagtemplate.txt",),
        ("flux.csv",),
        ("antennapos.csv",),
        ("cont.dat",),
    ]


def test_imaging_gets_ppr_and_flags_for_each_asdm() -> None:
    assert {name: staged_names(SUBJECT, name) for name in ALMA.inputs.file_names} == {
        "PPR.xml": ("PPR.xml",),
        "flagtargetstemplate.txt": (
            f"{FIRST}.flagtargetstemplate.txt",
            f"{FIRST}_targets.flagtargetstemplate.txt",
            f"{SECOND}.flagtargetstemplate.txt",
            f"{SECOND}_targets.flagtargetstemplate.txt",
        ),
        "cont.dat": ("cont.dat",),
    }


def test_asdms_own_flags_are_staged_for_it_alone() -> None:
    own = (f"{FIRST}.flagtargetstemplate.txt", f"{SECOND}.flagtargetstemplate.txt")
    assert names_of_each(SUBJECT, "flagtargetstemplate.txt") == own
    assert staged_names(SUBJECT, own[1]) == (own[1], f"{SECOND}_targets.flagtargetstemplate.txt")
    alone = alma_subject(MOUS, SUBJECT.asdms[:1])
    for subject, name in ((SUBJECT, "cont.dat"), (alone, "flagtargetstemplate.txt"), (vla_subject(EB), "flux.csv")):
        assert names_of_each(subject, name) == (name,)
    with pytest.raises(InvalidInput, match="is not read by alma_imaging"):
        staged_names(alone, own[0])


def test_an_asdms_own_flags_are_known_by_their_places() -> None:
    name = "flagtargetstemplate.txt"
    given = {
        each: SubmittedFile(name=each, content=b"", source="pasted") for each in (name, f"{SECOND}.{name}", "PPR.xml")
    }
    own = given[f"{SECOND}.{name}"]
    assert own_templates(given, ALMA.inputs) == {f"{SECOND}.{name}": own, f"{SECOND}_targets.{name}": own}


@pytest.mark.parametrize(
    ("subject", "name", "reads"),
    [
        *(
            (vla_subject(EB), name, r"PPR\.xml, flagtemplate\.txt")
            for name in ("flagtargetstemplate.txt", "../PPR.xml", "")
        ),
        *((SUBJECT, name, r"PPR\.xml, flagtargetstemplate\.txt") for name in ("flagtemplate.txt", "flux.csv", "")),
    ],
    ids=lambda value: value.name if isinstance(value, Subject) else str(value),
)
def test_what_its_pipeline_does_not_read_has_no_place(subject: Subject, name: str, reads: str) -> None:
    with pytest.raises(InvalidInput, match=f"is not read by {subject.inputs.kind}: it reads {reads}"):
        staged_names(subject, name)


def test_without_its_asdms_nothing_of_a_mous_has_a_place() -> None:
    with pytest.raises(InvalidInput, match="The ASDMs of uid://A001/X1288/X3f are not known"):
        staged_names(Subject(inputs=ALMA.inputs, name=MOUS), "flagtargetstemplate.txt")


@pytest.mark.parametrize("uid", ["uid://A002/X1", "uid://A002/X1/X2/..", "", None, "uid://A001/X1/X2\n"])
def test_an_asdm_has_a_uid(uid: object) -> None:
    with pytest.raises(InvalidInput, match="is not the UID of an ALMA ASDM"):
        asdm(uid)
    with pytest.raises(InvalidInput, match="is not the name of an ASDM's directory"):
        asdm("uid://A002/X1/X2", str(uid))


def test_a_subject_is_named_by_its_parser() -> None:
    assert alma_subject(MOUS, SUBJECT.asdms, PROJECT) == SUBJECT
    assert vla_subject(EB).project == "13A-537"
    with pytest.raises(InvalidInput, match="No ASDM of"):
        alma_subject(MOUS, ())
    for wrong in (lambda: alma_subject("uid://../x", SUBJECT.asdms), lambda: vla_subject(MOUS)):
        with pytest.raises(InvalidInput):
            wrong()


def run_of(kind: str, subject: str) -> PipelineRun:
    return PipelineRun(
        pipeline_run_id=RUN, kind=kind, subject=subject, project=PROJECT, locator="x", version=1,
        state=RunState.PROCESSING, dag_id=kind, dag_run_id="manual__1", requested_by="one", recipe=kind, cores=1,
        memory_gb=1, failure=None, ppr_sha256=None, lowest_score=None, scores=None, created_at=None, state_since=None,
        asked={**ASKED, "fields": ["TW_Hya"]} if kind == ALMA.kind else None,
    )  # fmt: skip


def test_asdms_come_from_the_ppr_then_the_archive() -> None:
    run = run_of(ALMA.kind, MOUS)
    request = SubmittedFile(name="PPR.xml", content=processing_request(), source="recipe alma_imaging")
    other = (asdm("uid://A002/X1/X1"),)
    found = subject_of_run(ALMA.inputs, run, {"PPR.xml": request}, lambda: other)
    assert (found.asdms, found.project, found.fields) == (SUBJECT.asdms, PROJECT, ("TW_Hya",))
    assert subject_of_run(ALMA.inputs, run, {}, lambda: other).asdms == other
    # What an earlier release has recorded and this one refuses can be rerun all the same.
    refused = replace(request, content=request.content.replace(b"<Telescope>", b"<Telescope/><Telescope>"))
    assert subject_of_run(ALMA.inputs, run, {"PPR.xml": refused}, lambda: other).asdms == other
    with pytest.raises(InvalidInput, match="more than one Telescope"):
        subject_of_run(ALMA.inputs, run, {"PPR.xml": refused})
    assert subject_of_run(ALMA.inputs, run, {}).asdms == ()
    assert subject_of_run(VLA.inputs, run_of(VLA.kind, EB), {}, lambda: other) == vla_subject(EB)


def test_a_file_is_read_as_it_is(tmp_path: Path) -> None:
    place = tmp_path / "flux.csv"
    assert read_staged(tmp_path, place) is None
    place.write_bytes(b"ms,\r\n\xff\0")
    assert read_staged(tmp_path, place) == b"ms,\r\n\xff\0"


@pytest.mark.timeout(20)
def test_only_a_file_of_a_size_that_a_person_writes_is_read(tmp_path: Path) -> None:
    folder, pipe, link, dangling, large = (tmp_path / name for name in ("folder", "pipe", "link", "dangling", "large"))
    folder.mkdir()
    os.mkfifo(pipe)
    (tmp_path / "secret").write_text("of somebody else")
    link.symlink_to(tmp_path / "secret")
    dangling.symlink_to(tmp_path / "nothing")
    large.touch()
    os.truncate(large, 40 * 10**9)  # sparse
    for place in (folder, pipe, link, dangling, large):
        with pytest.raises(UnsafeFile, match=place.name):
            read_staged(tmp_path, place)
    folder.rmdir()
    folder.symlink_to(tmp_path)
    with pytest.raises(UnsafeFile, match="is a symbolic link"):
        read_staged(tmp_path, folder / "secret")


@pytest.mark.parametrize(
    ("subject", "bad"),
    [
        (vla_subject(EB), {"flagtemplate.txt": b"mode=manual\n", "flux.csv": b"a,b\n", "antennapos.csv": b"a,b\nc\n"}),
        (SUBJECT, {"flagtargetstemplate.txt": b"mode=manual\n", "cont.dat": b"a,b\n"}),
    ],
    ids=["vla", "alma"],
)
def test_every_file_is_linted_and_all_is_said_at_once(subject: Subject, bad: dict[str, bytes]) -> None:
    bad = {"PPR.xml": b"<SciPipeRequest>", **bad}
    report = lint_staged(bad, subject=subject, working=Path("/lustre/working"))
    assert {finding.file for finding in report.findings} == {
        f"/lustre/working/{staged_names(subject, name)[0]}" for name in bad
    }


def test_the_files_of_an_imaging_go_together() -> None:
    ppr = processing_request()
    flags, ranges = {"flagtargetstemplate.txt": FLAGS}, {"cont.dat": RANGES}

    def values(files: dict[str, bytes]) -> list[str]:
        return [each.value for each in lint_staged(files, subject=SUBJECT, working=Path("/w")).findings]

    assert values({"PPR.xml": ppr}) == []
    assert values({"PPR.xml": ppr, **flags, **ranges}) == ["hif_mstransform", "hif_findcont"]
    split = b"<ProcessingCommand><Command>hif_mstransform</Command><ParameterSet/></ProcessingCommand>"
    edited = ppr.replace(split, split + split.replace(b"hif_mstransform", b"hifa_flagtargets")).replace(
        stage_in(ppr, "hif_findcont"), b""
    )
    assert lint_staged({"PPR.xml": edited, **flags, **ranges}, subject=SUBJECT, working=Path("/w")) == Report()


@pytest.mark.parametrize(
    ("subject", "name", "ppr"),
    [(SUBJECT, "flagtargetstemplate.txt", processing_request())],
    ids=["alma"],
)
def test_a_template_without_a_command_needs_no_stage(subject: Subject, name: str, ppr: bytes) -> None:
    for content in (b"", b"# by CASA\n\n"):
        assert not lint_staged({"PPR.xml": ppr, name: content}, subject=subject, working=Path("/w")).findings


def test_ppr_without_the_reading_stage_is_a_finding() -> None:
    ppr = b"""<SciPipeRequest><ProcessingRequests><ProcessingRequest><ProcessingProcedure>
<ProcessingCommand><Command>hifv_exportdata</Command><ParameterSet/></ProcessingCommand>
</ProcessingProcedure></ProcessingRequest></ProcessingRequests></SciPipeRequest>"""

    def problems(files: dict[str, bytes]) -> set[str]:
        return {finding.problem for finding in lint_staged(files, subject=vla_subject(EB), working=Path("/w")).findings}

    (problem,) = problems({"PPR.xml": ppr, "flagtemplate.txt": b"antenna='ea18'\n"}) - problems({"PPR.xml": ppr})
    assert "has no stage that reads the flagtemplate.txt" in problem
