"""What is different when images are ingested; that all else is the same, tests/verdict shows."""

from __future__ import annotations

import hashlib
import io
import tarfile

import pytest
from astropy.io import fits
from tests.areas import prepare
from tests.imaging import (
    ANCILLARY,
    ASDM,
    FLAGS,
    NOISE,
    SCIENCE,
    WEBLOG,
    fits_image,
    manifest_of_images,
    weblog_of_images,
)

from srdp.domain.common.errors import InvalidInput, Refused
from srdp.domain.runs.identifiers import disk_name
from srdp.domain.runs.ledger_records import SubmittedFile
from srdp.domain.runs.states import RunState
from srdp.families import ALMA
from srdp.hooks.ledger import Ledger
from srdp.operators.withdraw_verdict import WithdrawVerdictOperator

pytestmark = pytest.mark.servers

AGAIN = "manual__again"
REPORT = "qa_analyst: An Analyst <br>\nqa_status: Pass\nThe beam is <round>.\nqa_comments: Looks well.\n"


@pytest.fixture(autouse=True)
def _images(observatory):
    observatory.kind = ALMA.kind


@pytest.fixture
def run(observatory):
    return observatory.waiting_run()


def name(run, ending):
    return f"{disk_name(run.subject)}.{ending}"


def in_weblog(observatory, run, file):
    tar = observatory.stored(run)[f"{run.pipeline_run_id}.weblog.tgz", 1]
    with tarfile.open(fileobj=io.BytesIO(tar)) as weblog:
        return weblog.extractfile(f"{WEBLOG}/{file}").read().decode()


def untouched(observatory, run):
    assert observatory.run(run).state is RunState.AWAITING_QA
    assert observatory.ledger.ingests.in_force(run.pipeline_run_id) is None
    assert (observatory.stored(run), observatory.mail_keys(run), observatory.results(run)) == ({}, [], [])


# What is archived


def test_images_are_archived_as_they_are_and_the_rest_in_a_tar(observatory, run):
    observatory.ingest(run, qa_report_text=REPORT)
    observatory.check_archived(run)
    files = {
        file.ngas_file_id: file for file in observatory.ledger.archived_files.of_ingest(observatory.ingest_of(run))
    }
    names = sorted(name(run, ending) for ending in (*SCIENCE, *ANCILLARY))
    stored, products = observatory.stored(run), observatory.directory(run).products
    for place, product in enumerate(names, 1):
        file = files[f"{run.pipeline_run_id}.image.{place:04d}.fits"]
        assert (file.name, file.product, file.mime_type) == (product, product, "image/x-fits")
        assert stored[file.ngas_file_id, 1] == (products / product).read_bytes()
    assert sorted(file.name for file in files.values() if file.kind == "science") == [name(run, end) for end in SCIENCE]
    tar = files[f"{run.pipeline_run_id}.associated.tar"]
    assert tar.kind == "associated"
    assert tar.name.startswith(f"{disk_name(run.subject)}_")
    members = observatory.tar_members(run)
    templates = [path.name for path in observatory.directory(run).working.glob("*.flagtargetstemplate.txt")]
    assert len(templates) == 2
    assert members.keys() == {path.name for path in products.iterdir()} - set(names) | set(templates)
    assert files[f"{run.pipeline_run_id}.weblog.tgz"].name == weblog_of_images(run.subject)


def test_the_archive_knows_what_each_image_is(observatory, run):
    observatory.ingest(run)
    (made,) = observatory.results(run)
    assert (made["mous_uid"], made["casa_version"], made["asked"]) == (run.subject, "6.7.0.31", run.asked)
    assert "QA_Status: Pass" in made["qa_notes"]
    images = {row["relative_path"]: row for row in observatory.images(run)}
    kinds = {path: (row["product"], row["kind"], row["spw"]) for path, row in images.items()}
    assert kinds == {
        name(run, SCIENCE[0]): ("science", "cube", "25"),
        name(run, SCIENCE[1]): ("science", "continuum", "25,27"),
        name(run, ANCILLARY[0]): ("ancillary", "mask", "25"),
        name(run, ANCILLARY[1]): ("ancillary", "pb", "25"),
    }
    cube = images[name(run, SCIENCE[0])]
    assert (cube["field"], cube["stokes"], cube["unit"], cube["channels"]) == ("TW_Hya", "I", "Jy/beam", 8)
    assert cube["rms"] == pytest.approx(NOISE, rel=0.05)
    assert images[name(run, ANCILLARY[0])]["rms"] is None
    assert observatory.rows("SELECT 1 FROM calibration WHERE mous_uid = %s", run.subject) == []
    assert observatory.ledger.measurement_sets.of_run(run.pipeline_run_id) is None
    (state,) = observatory.rows("SELECT * FROM srdp_state WHERE pipeline_run_id = %s", run.pipeline_run_id)
    assert (state["qa_flag"], state["image_set_locator"]) == ("Pass", made["locator"])


def test_an_image_of_scaled_whole_numbers_is_archived(observatory, run):
    """... as ``exportfits`` writes it with ``bitpix=16``."""
    path = observatory.directory(run).products / name(run, SCIENCE[0])
    with fits.open(path) as images:
        images[0].scale("int16", "minmax")
        images.writeto(path, overwrite=True)
    observatory.ingest(run)
    observatory.check_archived(run)
    image = next(row for row in observatory.images(run) if row["relative_path"] == path.name)
    assert image["rms"] == pytest.approx(NOISE, rel=0.05)


def test_the_patterns_of_the_settings_distinguish_images(observatory, run):
    observatory.change(alma_science_patterns=("*.pb.fits",))
    observatory.ingest(run)
    science = [row["relative_path"] for row in observatory.images(run) if row["product"] == "science"]
    assert science == [name(run, ANCILLARY[1])]


def test_the_same_product_archived_twice_is_two_files(observatory, run):
    """... of which the names are the same, and the ids are not."""
    other = observatory.waiting_run(subject=run.subject, asked=2)
    for each in (run, other):
        observatory.ingest(each)
        observatory.check_archived(each)
    assert observatory.run(other).state is RunState.ARCHIVED


def test_another_request_for_the_mous_stays_as_it_is(observatory, run):
    other = observatory.waiting_run(subject=run.subject, asked=2)
    sibling = observatory.waiting_run(subject=run.subject)
    observatory.ingest(run)
    states = [observatory.run(each).state for each in (run, sibling, other)]
    assert states == [RunState.ARCHIVED, RunState.SUPERSEDED, RunState.AWAITING_QA]
    assert observatory.ledger.runs.sealed_at(run.kind, run.subject, run.request_digest) is not None
    assert observatory.ledger.runs.sealed_at(run.kind, run.subject, other.request_digest) is None


def test_areas_of_its_own_are_used(observatory, tmp_path):
    observatory.change(alma_processing_area=tmp_path / "alma_processing", alma_qa_area=tmp_path / "alma_qa")
    prepare(observatory.settings)
    run = observatory.waiting_run()
    observatory.ingest(run)
    observatory.check_archived(run)
    assert observatory.directory(run).root.parent == tmp_path / "alma_processing"


# The report


def test_the_report_is_a_file_of_the_weblog_to_which_the_notes_have_a_link(observatory, run):
    observatory.ingest(run, qa_report_text=REPORT)
    assert in_weblog(observatory, run, "qa_report.txt") == REPORT
    notes = in_weblog(observatory, run, "qa_notes.html")
    assert '<a href="qa_report.txt">qa_report.txt</a>' in notes
    assert "qa_analyst: given by analyst for An Analyst" in notes
    assert "<round>" not in notes
    assert "The beam is <round>." in observatory.results(run)[0]["qa_notes"]


@pytest.mark.parametrize("reviewer", ["analyst@example.org", "ada@example.org"])
def test_a_verdict_on_what_is_assigned_to_somebody_else_says_so(observatory, run, reviewer):
    assigned = {"assigned_by": "mia", "answer": "1", "dag_id": "alma_assign_qa", "dag_run_id": "1"}
    Ledger(observatory.settings).assignments.assign(run.pipeline_run_id, reviewer, **assigned)
    observatory.ingest(run, qa_report_text="qa_analyst: ada@example.org")
    warning = f"The review was assigned to {reviewer}, but analyst has given the verdict."
    (claimed,) = [
        event for event in observatory.ledger.events.of_run(run.pipeline_run_id) if event.event == "ingest_claimed"
    ]
    mail = observatory.ledger.outbox.mails(run.pipeline_run_id)[-1]
    reported = (
        in_weblog(observatory, run, "qa_notes.html"),
        observatory.results(run)[0]["qa_notes"],
        mail.text,
        mail.html,
    )
    is_another = reviewer == "ada@example.org"
    assert [warning in text for text in reported] == [is_another] * 4
    assert ("assigned_to" in claimed.details) == is_another


def test_a_report_by_path_is_taken_byte_for_byte(observatory, run):
    report = observatory.directory(run).working / "qa_report.txt"
    report.write_bytes(REPORT.replace("\n", "\r\n").encode())
    observatory.ingest(run, qa_report=str(report))
    assert in_weblog(observatory, run, "qa_report.txt") == REPORT.replace("\n", "\r\n")


def test_without_a_report_there_is_no_file_and_no_link(observatory, run):
    observatory.ingest(run, qa_flag="Pass")
    assert "href" not in in_weblog(observatory, run, "qa_notes.html")
    with pytest.raises(KeyError):
        in_weblog(observatory, run, "qa_report.txt")


def test_a_report_is_kept_for_the_next_try_and_another_one_needs_a_withdrawal(observatory, run):
    observatory.ingest(run, end="archive_products", qa_report_text=REPORT)
    observatory.report_failure(run, "write_archive_metadata", "Away.")
    with pytest.raises(Refused, match=r"No other qa_report\.txt.*withdraw"):
        observatory.step("claim_ingest", run, dag_run_id=AGAIN, qa_report_text=f"{REPORT}More.\n")
    observatory.ingest(run, dag_run_id=AGAIN, qa_flag="Pass")
    observatory.check_archived(run)
    assert in_weblog(observatory, run, "qa_report.txt") == REPORT


def test_the_report_of_a_verdict_that_was_withdrawn_is_gone(observatory, run):
    observatory.ingest(run, end="archive_products", qa_report_text=REPORT)
    observatory.report_failure(run, "write_archive_metadata", "Away.")
    operator = WithdrawVerdictOperator(task_id="withdraw", pipeline_run_id=run.pipeline_run_id, reason="A mistake.")
    operator.run_step(observatory.context("withdraw", "manual__withdraw", operator))
    observatory.ingest(run, dag_run_id=AGAIN, qa_flag="Pass")
    ids = {file.ngas_file_id for file in observatory.ledger.archived_files.of_ingest(observatory.ingest_of(run))}
    assert {id_.split(".")[1] for id_ in ids} == {"2"}
    assert not (observatory.directory(run).working / WEBLOG / "qa_report.txt").exists()
    archived = {file[0] for file in observatory.files_in_archive(run)}
    assert archived == ids


def test_given_again_when_it_is_archived_changes_nothing(observatory, run):
    observatory.ingest(run, qa_report_text=REPORT)
    before = (observatory.results(run), observatory.stored(run), observatory.mail_keys(run))
    for form in ({"qa_flag": "Pass"}, {"qa_report_text": REPORT}):
        observatory.ingest(run, dag_run_id=AGAIN, **form)
    assert (observatory.results(run), observatory.stored(run), observatory.mail_keys(run)) == before


# Target flags


@pytest.mark.parametrize(("flags", "used"), [(FLAGS, True), ("mode='manual' antenna='DV02'\n", False)])
def test_it_is_said_whether_casa_has_read_the_target_flags(observatory, run, flags, used):
    observatory.ingest(run, flag_template_text=flags)
    (given,) = [
        event.details
        for event in observatory.ledger.events.of_run(run.pipeline_run_id)
        if event.event == "flag_template_given"
    ]
    assert (given["used"], given["sha256"]) == (used, hashlib.sha256(flags.encode()).hexdigest())
    kept = name(run, "flagtargetstemplate.not_used_by_this_run.txt")
    assert observatory.tar_members(run).get(kept) == (None if used else flags.encode())


def test_target_flags_are_linted(observatory, run):
    wrong = r"flagtargetstemplate\.txt, line 1, column 15: 'antena' is no parameter of a flag command"
    with pytest.raises(InvalidInput, match=wrong):
        observatory.step("claim_ingest", run, flag_template_text="mode='manual' antena='DV01'\n")
    untouched(observatory, run)


def give_its_own(observatory, run, flags):
    """The run's ASDM was given these flags, and the others of the MOUS would have been given some, too."""
    for name, text in ((f"{ASDM}.flagtargetstemplate.txt", flags), ("flagtargetstemplate.txt", "of the others\n")):
        given = SubmittedFile(name=name, content=text.encode(), source="pasted")
        observatory.ledger.submitted_files.record(run.pipeline_run_id, given)


def test_the_target_flags_of_each_asdm_are_archived_as_it_was_given_them(observatory, run):
    give_its_own(observatory, run, FLAGS)
    for path in observatory.directory(run).working.glob("*.flagtargetstemplate.txt"):
        other = path.with_name(path.name.replace(ASDM, "uid___A002_X1_X2"))
        other.write_text("of the others\n")
    observatory.ingest(run)
    members = observatory.tar_members(run)
    flags = {name: text.decode() for name, text in members.items() if name.endswith("flagtargetstemplate.txt")}
    assert {(name.startswith(ASDM), text) for name, text in flags.items()} == {
        (True, FLAGS),
        (False, "of the others\n"),
    }
    assert len(flags) == 4


@pytest.mark.parametrize("what", ["removed", "never given"])
def test_the_target_flags_of_an_asdm_are_those_that_it_was_given(observatory, what):
    run = observatory.waiting_run(flags_read=False)
    working = observatory.directory(run).working
    own = SubmittedFile(name="uid___A002_X1_X2.flagtargetstemplate.txt", content=FLAGS.encode(), source="pasted")
    observatory.ledger.submitted_files.record(run.pipeline_run_id, own)
    for path in [*working.glob("*.flagtargetstemplate.txt")]:
        path.with_name(path.name.replace(ASDM, "uid___A002_X1_X2")).write_text(FLAGS)
        path.write_text("# by CASA\n")
    if what == "removed":
        (working / "uid___A002_X1_X2_targets.flagtargetstemplate.txt").unlink()
    else:
        (working / f"{ASDM}.flagtargetstemplate.txt").write_text(FLAGS)
    said = "edited after CASA had read it, or removed" if what == "removed" else "this run was not given them"
    with pytest.raises(Refused, match=said):
        observatory.step("claim_ingest", run)
    untouched(observatory, run)


@pytest.mark.parametrize("of", ["all", "this ASDM"])
def test_target_flags_that_were_edited_after_casa_are_refused(observatory, run, of):
    edited = sorted(observatory.directory(run).working.glob("*.flagtargetstemplate.txt"))[1]
    if of == "this ASDM":
        give_its_own(observatory, run, FLAGS)
    edited.write_text(f"{FLAGS}# edited\n")
    with pytest.raises(Refused, match=f"{edited.name} was edited after CASA had read it"):
        observatory.step("claim_ingest", run)
    untouched(observatory, run)


# What is refused, and changes nothing


def damage(run, directory):
    image = directory.products / name(run, SCIENCE[0])
    return {
        "cut off": lambda: image.write_bytes(image.read_bytes()[:-2880]),
        "cannot be read as FITS": lambda: image.write_bytes(b"not FITS\n" * 1000),
        "which the manifest names": image.unlink,
        "or it is empty": lambda: image.write_bytes(b""),
        "errorexit-20990101T000000": (directory.working / "errorexit-20990101T000000.txt").touch,
        "0 manifests": (directory.products / manifest_of_images(run.subject)).unlink,
        "is a science product": lambda: [path.unlink() for path in directory.products.glob("*pbcor.fits")],
    }


@pytest.mark.parametrize(
    "what",
    [
        "cut off", "cannot be read as FITS", "which the manifest names", "or it is empty", "errorexit-20990101T000000",
        "0 manifests", "is a science product",
    ],
)  # fmt: skip
def test_images_that_cannot_be_archived_are_refused(observatory, run, what):
    damage(run, observatory.directory(run))[what]()
    with pytest.raises(Refused, match=f"cannot be archived.*{what}"):
        observatory.step("claim_ingest", run)
    untouched(observatory, run)


def test_a_report_that_says_fail_is_refused(observatory, run):
    with pytest.raises(InvalidInput, match="but the QA flag is Pass"):
        observatory.step("claim_ingest", run, qa_report_text="qa_status: Fail\n")
    untouched(observatory, run)


def test_a_run_is_not_for_the_dag_of_the_other_family(observatory, run):
    operator = observatory.operator("claim_ingest", run)
    context = observatory.context("claim_ingest", "manual__pass", operator)
    context["dag_run"].dag_id = "vla_qa_pass"
    with pytest.raises(Refused, match=f"{run.pipeline_run_id} is not for 'vla_qa_pass': trigger alma_ingest"):
        operator.run_step(context)
    untouched(observatory, run)
    operator = WithdrawVerdictOperator(task_id="withdraw", pipeline_run_id=run.pipeline_run_id, reason="Why.")
    with pytest.raises(Refused, match="trigger alma_withdraw_verdict"):
        operator.run_step(context)


def test_an_image_that_breaks_before_the_metadata_fails_the_ingest_which_goes_on_later(observatory, run):
    observatory.ingest(run, end="archive_products")
    image = observatory.directory(run).products / name(run, SCIENCE[0])
    good = image.read_bytes()
    image.write_bytes(good[:-2880])
    with pytest.raises(InvalidInput, match="has been cut off"):
        observatory.step("write_archive_metadata", run)
    assert observatory.results(run) == []
    image.write_bytes(good)
    observatory.ingest(run, begin="write_archive_metadata")
    observatory.check_archived(run)


def test_an_image_that_somebody_adds_before_it_is_packed_is_archived_and_later_it_is_not(observatory, run):
    products = observatory.directory(run).products
    (products / "mine_sci.pbcor.fits").write_bytes(fits_image((1, 1, 8, 8)))
    observatory.ingest(run, end="pack_products")
    (products / "late.fits").write_bytes(fits_image((1, 1, 8, 8)))
    observatory.ingest(run, begin="archive_products")
    names = [row["relative_path"] for row in observatory.images(run)]
    assert "mine_sci.pbcor.fits" in names
    assert "late.fits" not in names


def test_many_images_are_archived(observatory, run):
    products = observatory.directory(run).products
    image = fits_image((1, 1, 8, 8))
    for number in range(120):
        (products / f"extra_{number:03d}.fits").write_bytes(image)
    observatory.ingest(run)
    assert len(observatory.images(run)) == 124
    assert observatory.run(run).state is RunState.ARCHIVED


def test_without_ngas_nothing_is_superseded_or_sealed(observatory, run):
    sibling = observatory.waiting_run(subject=run.subject)
    observatory.change(ngas_ingest=False)
    observatory.ingest(run)
    assert observatory.run(run).state is RunState.ARCHIVED
    assert (observatory.stored(run), observatory.files_in_archive(run)) == ({}, [])
    assert observatory.run(sibling).state is RunState.AWAITING_QA
    assert observatory.ledger.runs.sealed_at(run.kind, run.subject, run.request_digest) is None
