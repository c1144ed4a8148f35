"""Images of ALMA data from a user's request to the archive and out of the areas, with real CASA on the demo's stack.

The tests walk one site, each from where the one before it has come to.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from tests.e2e.site import DagRun, Run, Site, contents
from tests.e2e.site_demo import Demo
from tests.e2e.site_imaging import QUESTION, ImagingVerdict, Letter, letter
from tests.e2e.site_verdict import inodes
from tests.programs.casa_contract import ContractCasa

from sandbox.alma_observation import facts
from sandbox.alma_observation.facts import CURING_FLAG, request_for
from sandbox.observe import Observation, ObservedBlock
from sandbox.stack.credentials import USER
from sandbox.stack.ports import Ports
from srdp.domain.runs.identifiers import MousUid, disk_name

pytestmark = [pytest.mark.casa, pytest.mark.airflow, pytest.mark.timeout(1200)]

OPERATIONS, ANALYST, OTHER_ANALYST = (
    f"{who}@observatory.example" for who in ("operations", "first-analyst", "second-analyst")
)
ASKED_BY, ASKED_BY_MAIL = "a user of the archive", "user@example.org"
IMAGES = (
    "spw0.cube.regcal.I.mask", "spw0.cube.regcal.I.pb", "spw0.cube.regcal.I.pbcor",
    "spw0_1.cont.regcal.I.mask", "spw0_1.cont.regcal.I.pb", "spw0_1.cont.regcal.I.tt0.pbcor",
)  # fmt: skip
OTHERS = (
    "auxproducts.tgz", "casa_commands.log", "casa_pipescript.py", "pipeline_aquareport.xml", "pipeline_manifest.xml",
    "pprequest.xml", "weblog.tgz",
)  # fmt: skip
BYTES = {"bytes": 1, "kB": 1e3, "MB": 1e6}
FLAG_TARGETS = "<ProcessingCommand><Command>hifa_flagtargets</Command><ParameterSet/></ProcessingCommand>"
REPORT = "qa_analyst: Ada <br>\nqa_status: Pass <br>\nThe beam is round & small.\nqa_comments: DV07 is taken out\n"
REASON = "The user asks for another line."


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    settings = {"SRDP_TELL_WHO_ASKED": "true", "SRDP_MAIL_DOMAINS": "example.org"}
    demo = Demo(tmp_path_factory.mktemp("demo") / "demo", Ports.free(), settings)
    yield demo
    demo.command("stop")


@pytest.fixture(scope="module")
def first_call(demo: Demo) -> subprocess.CompletedProcess[str]:
    return demo.command("demo-alma")


@pytest.fixture(scope="module")
def site(demo: Demo, first_call: subprocess.CompletedProcess[str], tmp_path_factory: pytest.TempPathFactory) -> Site:
    """The demo's site; its CASA is real, so that nobody counts starts."""
    assert first_call.returncode == 0, first_call.stdout + first_call.stderr
    return Site(demo.instance, ContractCasa(tmp_path_factory.mktemp("no-casa")), demo.folder)


@pytest.fixture(scope="module")
def first(site: Site) -> ImagingVerdict:
    """The verdict on the images that the user asked for; an antenna damages them."""
    (row,) = site.ledger.rows("SELECT * FROM pipeline_run JOIN request USING (request_id)")
    mous = ObservedBlock(row["subject"], row["locator"], row["project"], "", Observation("ALMA", 0, 0), ())
    run = Run(site, row["dag_id"], row["dag_run_id"], mous)
    run.until_ended()
    assert run.state == "awaiting_qa", run.story()
    return ImagingVerdict(run, mails_before=("QA ERROR", "QA ERROR"))


@pytest.fixture(scope="module")
def edited(first: ImagingVerdict) -> dict[str, str]:
    """What an analyst gives beside the first run's files: target flags, and a continuum."""
    ranges = (first.run.directory("qa") / "working" / "cont.dat").read_text()
    window, _, others = ranges.partition("SpectralWindow: 1")
    beginning, _, _ = window.partition("SpectralWindow: 0")
    return {
        # No continuum beside the line: nothing is subtracted.
        "cont.dat": f"{beginning}SpectralWindow: 0\nNONE\n\nSpectralWindow: 1{others}",
        "flagtargetstemplate.txt": CURING_FLAG + "\n",
    }


@pytest.fixture(scope="module")
def fixed(site: Site, first: ImagingVerdict, edited: dict[str, str]) -> ImagingVerdict:
    """The verdict on the rerun, whose files were given in every way, and whose PPR was adapted to them."""
    ranges = first.run.directory("qa") / "edited.cont.dat"
    ranges.write_text(edited["cont.dat"])
    rerun = site.rerun(
        "fixed",
        first.run.block,
        dag="alma_rerun",
        adapt=True,
        flag_template_text=edited["flagtargetstemplate.txt"],
        continuum_ranges=str(ranges),
    )
    assert rerun.until_ended(seconds=600) == "success", rerun.story()
    assert rerun.state == "awaiting_qa"
    # Of a spectral window without continuum nothing is subtracted, which the pipeline calls an error. The second mail
    # goes to who reviews the first images, with whom the rerun stays.
    return ImagingVerdict(rerun, mails_before=("QA ERROR", "QA ERROR"))


# --- asked for ------------------------------------------------------------------------------------------------------


def test_it_says_where_to_look(first: ImagingVerdict, first_call: subprocess.CompletedProcess[str]) -> None:
    said, ports = first_call.stdout, first.site.instance.ports
    assert f"Pipeline run {first.run.id} of {first.run.block.name}: awaiting qa." in said
    assert f"http://127.0.0.1:{ports.airflow}/dags/alma_imaging/runs/{first.run.dag_run_id}" in said
    assert f"http://127.0.0.1:{ports.mail}" in said
    weblog = re.search(r"weblog\s+(\S+)", said)
    assert weblog is not None
    page = requests.get(weblog[1], timeout=10)
    assert page.ok
    assert first.run.block.name in page.text


def test_a_second_call_takes_seconds_and_starts_nothing(demo: Demo, first: ImagingVerdict) -> None:
    began = time.monotonic()
    second = demo.command("demo-alma")
    assert second.returncode == 0
    assert first.run.id in second.stdout
    assert time.monotonic() - began < 30
    assert len(first.site.ledger.rows("SELECT 1 FROM pipeline_run")) == 1


def test_what_was_asked_for_is_in_the_image_qa_area(first: ImagingVerdict) -> None:
    run, mous = first.run, first.run.block.name
    assert run.chain() == [
        (None, "created"), ("created", "fetching"), ("fetching", "processing"), ("processing", "awaiting_qa"),
    ]  # fmt: skip
    assert run.directories() == [run.directory("qa")]
    assert run.directory("qa").parent.name == "alma_qa"
    prefix = disk_name(MousUid(mous))
    assert {path.name for path in first.products()} == {
        *(f"{prefix}.{facts.TARGET}_sci.{image}.fits" for image in IMAGES),
        *(f"{prefix}.hifa_cubeimage.{name}" for name in OTHERS),
    }
    row = run.row()
    asked = request_for(mous)
    assert {name: row["asked"][name] for name in asked} == asked
    assert row["lowest_score"] <= 0.33
    (casa,) = run.attempts()
    assert casa["exit_code"] == 0
    assert casa["ppr_sha256_before"] == casa["ppr_sha256_after"] == row["ppr_sha256"]


def test_asdms_and_calibration_were_fetched_once_as_the_archive_has_them(first: ImagingVerdict) -> None:
    archive, run = first.site.archive, first.run
    group = (
        "SELECT * FROM file WHERE file_group_id IN (SELECT file_group_id FROM mous_member WHERE mous_uid = %(mous)s "
        "UNION SELECT file_group_id FROM calibration WHERE mous_uid = %(mous)s)"
    )
    files = archive.rows(group, mous=run.block.name)
    fetched = first.site.ledger.rows("SELECT * FROM fetched_file WHERE pipeline_run_id = %(id)s", id=run.id)
    assert {(row["path"], row["ngas_file_id"], row["size_bytes"]) for row in fetched} == {
        ("/".join(filter(None, (row["subdirectory"], row["relative_path"]))), row["ngas_file_id"], row["size"])
        for row in files
    }
    assert {row["path"] for row in fetched} == set(contents(run.directory("qa") / "rawdata"))
    retrieved = first.site.requests("uid___alma_", "RETRIEVE")
    assert sorted(request["file_id"] for request in retrieved) == sorted(row["ngas_file_id"] for row in files)


def test_one_mail_says_all_that_it_takes_to_assign_the_review(first: ImagingVerdict) -> None:
    run = first.run
    mail = letter(first.site, run.id)
    assert mail.subject.startswith("[SRDP] QA ERROR")
    assert mail.recipients == (OPERATIONS,)
    reported = [
        run.id,
        run.block.name,
        facts.PROJECT,
        f"{ASKED_BY} <{ASKED_BY_MAIL}>",
        f"{run.row()['lowest_score']:.2f}",
    ]
    assert [words for words in reported if words not in mail.text] == []
    sizes = {
        name: (float(number), BYTES[unit])
        for number, unit, name in re.findall(r"^ +([\d.]+) (bytes|kB|MB)  (\S+)$", mail.text, re.MULTILINE)
    }
    assert sizes.keys() == {path.name for path in first.products()}
    for path in first.products():
        number, unit = sizes[path.name]
        assert number == pytest.approx(path.stat().st_size / unit, abs=0.06), path.name
    scores = scores_reported(mail)
    request = (run.directory("qa") / "working" / "PPR.xml").read_text()
    assert [stage for stage, *_ in scores] == re.findall(r"<Command>(\w+)</Command>", request)[:-1]
    assert min(score for _, score, _ in scores) == pytest.approx(run.row()["lowest_score"], abs=0.006)
    (weblog,) = set(re.findall(r"http\S+/html/", mail.text))
    assert requests.get(weblog, timeout=10).ok
    assert set(re.findall(QUESTION, mail.text)) == {("alma_assign_qa", run.id, "ask_who_reviews_it")}


def scores_reported(mail: Letter) -> list[tuple[str, float, str]]:
    """Return what a mail says of each stage: its name, its score, and why."""
    found = re.findall(r"^ +\d+ +([\d.]+) +\w[\w ]*? +(hifa?_\w+): (.*)$", mail.text, re.MULTILINE)
    return [(stage, float(score), why) for score, stage, why in found]


# --- assigned -------------------------------------------------------------------------------------------------------


def assign(verdict: ImagingVerdict, analyst: str) -> None:
    """Answers the question to which the mail leads, as Airflow's page does it."""
    dag, dag_run, task = re.findall(QUESTION, letter(verdict.site, verdict.run.id).text)[0]
    question = DagRun(verdict.site, dag, dag_run)
    question.until_task(task, "awaiting_input")
    page = f"{question.path}/taskInstances/{task}/-1/hitlDetails"
    detail = verdict.site.airflow.get(page)
    assert detail["options"] == [ANALYST, OTHER_ANALYST]
    assert (verdict.run.id in detail["subject"], verdict.run.block.name in detail["body"]) == (True, True)
    assert verdict.assignments() == []
    verdict.site.airflow.patch(page, {"chosen_options": [analyst], "params_input": {}})
    question.check_success()


def test_an_answer_assigns_it_and_reports_the_analyst(first: ImagingVerdict) -> None:
    assign(first, ANALYST)
    (assigned,) = first.assignments()
    assert (assigned["data_analyst"], assigned["assigned_by"]) == (ANALYST, USER)
    mail = letter(first.site, "QA ERROR", "for your review", first.run.id)
    assert mail.recipients == (ANALYST,)
    assert first.run.block.name in mail.text
    (weblog,) = set(re.findall(r"http\S+/html/", mail.text))
    assert requests.get(weblog, timeout=10).ok


# --- rerun ----------------------------------------------------------------------------------------------------------


def test_target_flags_that_no_stage_would_read_are_refused_with_the_line_to_add(
    site: Site, first: ImagingVerdict, edited: dict[str, str]
) -> None:
    flags = {"flag_template_text": edited["flagtargetstemplate.txt"]}
    refused = site.rerun("ignored flags", first.run.block, dag="alma_rerun", **flags)
    refused.check_refused("open_run", "hifa_flagtargets", FLAG_TARGETS, "hif_mstransform")
    assert len(site.ledger.rows("SELECT 1 FROM pipeline_run")) == 1


def test_flags_and_a_given_continuum_make_other_images_beside_the_first(
    site: Site, first: ImagingVerdict, edited: dict[str, str], fixed: ImagingVerdict
) -> None:
    before, after = first.run.directory("qa"), fixed.run.directory("qa")
    row = fixed.run.row()
    assert (row["version"], row["former_run"], row["request_id"]) == (2, first.run.id, first.run.row()["request_id"])
    assert row["asked"] == first.run.row()["asked"]
    assert len(site.requests("uid___alma_", "RETRIEVE")) == len(inodes(after / "rawdata"))
    assert inodes(after / "rawdata") == inodes(before / "rawdata")

    working = contents(after / "working")
    former_request = (before / "working" / "PPR.xml").read_bytes()
    assert (b"hif_findcont<" in former_request, b"hifa_flagtargets<" in former_request) == (True, False)
    adapted = working["PPR.xml"].decode()
    assert "hif_findcont<" not in adapted
    assert adapted.index("hif_mstransform<") < adapted.index("hifa_flagtargets<") < adapted.index("hif_uvcontsub<")
    given = fixed.site.ledger.rows(
        "SELECT name, content FROM submitted_file WHERE pipeline_run_id = %(run)s AND name LIKE 'PPR.%%'",
        run=fixed.run.id,
    )
    assert {file["name"]: bytes(file["content"]) for file in given} == {
        "PPR.xml": working["PPR.xml"],
        "PPR.as_given.xml": former_request,
    }
    assert working["cont.dat"].decode() == edited["cont.dat"]
    templates = [path.name for path in sorted((after / "working").glob("*.flagtargetstemplate.txt"))]
    asdm = next(path.name for path in (after / "rawdata").iterdir() if path.is_dir())
    assert templates == [f"{asdm}.flagtargetstemplate.txt", f"{asdm}_targets.flagtargetstemplate.txt"]
    assert {working[name].decode() for name in templates} == {CURING_FLAG + "\n"}

    for directory in (before, after):
        (front,) = directory.glob("working/pipeline-*/html/t1-1.html")
        served = f"http://127.0.0.1:{site.instance.ports.run_files}/{directory.name}"
        assert requests.get(f"{served}/{front.relative_to(directory)}", timeout=10).ok


def test_the_images_are_better_by_what_the_flags_and_the_continuum_make(
    first: ImagingVerdict, fixed: ImagingVerdict
) -> None:
    before, after = (scores_reported(letter(one.site, "QA ERROR", one.run.id, to=OPERATIONS)) for one in (first, fixed))
    assert [(stage, score) for stage, score, _ in before if score <= 0.9] == [("hif_makeimages", 0.22)]
    ((stage, score, why),) = (each for each in after if each[1] <= 0.9)
    assert (stage, score) == ("hif_uvcontsub", 0.3)
    assert f"{facts.TARGET}, spw 0: nothing was subtracted" in why

    was, is_now = first.measured(), fixed.measured()
    assert was.residual == pytest.approx(2.01, rel=0.1)
    assert is_now.residual == pytest.approx(0.30, rel=0.1)
    assert was.continuum == pytest.approx(45.6, rel=0.02)
    assert is_now.continuum == pytest.approx(47.3, rel=0.02)
    # The line, and channels beside it: with the continuum subtracted, and without.
    beside = [*range(4), *range(12, 17)]
    assert max(was.cube) == was.cube[7] == pytest.approx(84, rel=0.05)
    assert max(was.cube[channel] for channel in beside) < 4
    assert max(is_now.cube) == is_now.cube[7] == pytest.approx(132, rel=0.03)
    assert [is_now.cube[channel] for channel in beside] == [pytest.approx(50.5, abs=2.5)] * len(beside)


# --- archived -------------------------------------------------------------------------------------------------------


def test_the_fixed_images_are_archived_and_seal_the_request(
    first: ImagingVerdict, fixed: ImagingVerdict, tmp_path: Path
) -> None:
    report = fixed.run.directory("qa") / "qa_report.txt"
    report.write_text(REPORT)
    fixed.report = REPORT
    ingest = fixed.archives(qa_report=str(report))
    ingest.check_success()
    fixed.check_archived(notes=["qa_analyst: given by analyst for Ada", "DV07 is taken out"], superseded=[first.run])
    assert first.archive.made() == fixed.archive.made()
    mail = letter(fixed.site, "Archived (Pass)", fixed.run.id)
    assert [file_id for file_id in fixed.ids if f"id {file_id}, version 1" not in mail.text] == []
    assert first.run.id in mail.text
    # The calibration that the images were made from is still the only one.
    made_from = "SELECT 1 FROM calibration WHERE mous_uid = %(mous)s"
    assert len(fixed.site.archive.rows(made_from, mous=fixed.run.block.name)) == 1


def test_it_is_cleaned_once(fixed: ImagingVerdict) -> None:
    for _ in range(2):
        fixed.cleans_up().check_success()
        fixed.check_cleaned()
    assert len(fixed.run.events("removed")) == 1, fixed.run.story()


# --- another request ------------------------------------------------------------------------------------------------


def test_another_request_for_the_same_mous_is_open_and_can_be_discarded(site: Site, fixed: ImagingVerdict) -> None:
    asked: dict[str, Any] = request_for(fixed.run.block.name)
    again = site.trigger("alma_imaging", "the same", **{**asked, "asked_by": "somebody else"})
    again.check_refused("open_run", "sealed")

    other = Run(
        site, "alma_imaging", site.trigger("alma_imaging", "another", **{**asked, "cubes": []}).dag_run_id,
        fixed.run.block,
    )  # fmt: skip
    assert other.until_ended(seconds=600) == "success", other.story()
    assert other.state == "awaiting_qa"
    assert other.row()["request_id"] != fixed.run.row()["request_id"]
    assert len(ImagingVerdict(other).products("*.fits")) == len(IMAGES) / 2

    failed = site.trigger("alma_qa_fail", "fail", pipeline_run_id=other.id, reason=REASON)
    failed.check_success()
    assert [after for _, after in other.chain()][-4:] == ["awaiting_qa", "rejected", "cleaning", "cleaned"]
    assert other.directories() == []
    to_managers = letter(site, "Failed QA", other.id)
    assert to_managers.recipients == (OPERATIONS,)
    to_user = letter(site, "Your images of", other.block.name)
    assert to_user.recipients == (ASKED_BY_MAIL,)
    assert all(REASON in mail.text for mail in (to_managers, to_user))
    assert fixed.is_sealed()
