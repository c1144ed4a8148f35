"""The proofs of a success, one missing thing at a time, on trees of files made by hand."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.calibration_files import apply_list, packed_tables, table_names
from tests.real_run import log_of_a_failed_stage, log_until

from srdp.domain.casa.aqua_report import Band
from srdp.domain.casa.outcome import find_errorexit, judge
from srdp.domain.runs.ledger_records import FetchedFile
from srdp.domain.runs.pipeline_run import RunDirectory

EB = "13A-537.sb24066356.eb24324502.56514.05971091435"
START = datetime(2026, 11, 22, 18, 24, 53, 700_000, UTC)
STAGES = ["hifv_importdata", "hifv_checkflag", "hifv_checkflag", "hifv_applycal"]
COMMANDS = [*STAGES, "hifv_exportdata"]
FILES = {
    "piperequest": "unknown.hifv.pprequest.xml",
    "caltables": "unknown.session_1.caltables.tgz",
    "finalflags": f"{EB}.ms.flagversions.tgz",
    "applycmds": f"{EB}.ms.calapply.txt",
    "weblog": "weblog.tgz",
    "casa_cmdlog": "casa_commands.log",
    "image": "oussid.3C286_bp.spw0.mfs.I.fits",
}


class Tree:
    """A run directory whose outcome is a success until something is changed."""

    def __init__(self, root: Path) -> None:
        self.directory = RunDirectory(root)
        for folder in (self.directory.working, self.directory.products):
            folder.mkdir(parents=True)
        for name in FILES.values():
            (self.directory.products / name).write_bytes(b"content")
        (self.directory.products / FILES["caltables"]).write_bytes(packed_tables(table_names(EB)))
        (self.directory.products / FILES["applycmds"]).write_text(apply_list(EB, table_names(EB)))
        self.write_manifest(FILES)
        self.write_report([(stage, "0.95") for stage in STAGES])
        self.log(log_until("Executing command ...hifv_exportdata"))

    @property
    def manifest(self) -> Path:
        return self.directory.products / "unknown.hifv.pipeline_manifest.xml"

    @property
    def report(self) -> Path:
        return self.directory.products / "pipeline_aquareport.xml"

    def log(self, text: str) -> None:
        (self.directory.working / "casa-20261122-182453.log").write_text(text)

    def write_manifest(self, names: dict[str, str]) -> None:
        names = dict(names)
        session = "".join(f'<{kind} name="{names.pop(kind)}"/>' for kind in ("caltables",) if kind in names)
        asdm = "".join(f'<{kind} name="{names.pop(kind)}"/>' for kind in ("finalflags", "applycmds") if kind in names)
        others = "".join(f'<{kind} name="{name}" new="attribute"/>' for kind, name in names.items())
        self.manifest.write_text(
            '<piperesults name="x"><ous name="unknown"><casaversion name="6.6.1.17"/><pipeline_version '
            f'name="2024.1.0.8"/><procedure_name name="hifv"/><session name="session_1">{session}'
            f'<asdm name="{EB}.ms">{asdm}</asdm></session>{others}</ous></piperesults>'
        )

    def write_report(self, scores: list[tuple[str, str]]) -> None:
        stages = "".join(
            f'<Stage Number="{number}" Name="{name}"><RepresentativeScore Score="{score}" Reason="because"/></Stage>'
            for number, (name, score) in enumerate(scores, start=1)
        )
        self.report.write_text(
            "<PipelineAquaReport><QaSummary><ReportDate>2026</ReportDate><CasaVersion>6.6.1</CasaVersion>"
            f"<PipelineVersion>2024.1</PipelineVersion></QaSummary><QaPerStage>{stages}</QaPerStage></PipelineAquaReport>"
        )

    def judge(self, **changes):
        return judge(self.directory, changes.pop("commands", COMMANDS), START, **changes)

    def one_gap(self, **changes) -> str:
        (gap,) = self.judge(**changes).missing
        return gap


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path / "vla-20261122-182453-4f7k")


def test_raw_data_that_were_changed_are_named_each(tree: Tree) -> None:
    files = []
    for name in ("Main.xml", "Scan.xml", "Source.xml"):
        path = tree.directory.rawdata / EB / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        files.append(
            FetchedFile(
                path=f"{EB}/{name}", size_bytes=len(name), crc32=0, ngas_file_id=name, mtime_ns=path.stat().st_mtime_ns
            )
        )
    assert tree.judge(raw_data=files).proved
    (tree.directory.rawdata / EB / "Main.xml").write_text("something else")
    (tree.directory.rawdata / EB / "Source.xml").unlink()
    first, second = tree.judge(raw_data=files).missing
    assert "Main.xml' in rawdata/ has 14 bytes" in first
    assert "Source.xml' in rawdata/ is missing" in second


def touch(path: Path, when: datetime) -> Path:
    path.touch()
    os.utime(path, (when.timestamp(), when.timestamp()))
    return path


# --- a success -----------------------------------------------------------------------------------------------------


def test_a_complete_run_is_proved(tree):
    outcome = tree.judge()
    assert outcome.missing == outcome.warnings == ()
    assert outcome.proved
    assert outcome.restorable
    assert (outcome.casa_version, outcome.pipeline_version) == ("6.6.1", "2024.1")
    assert [(stage.number, stage.name, stage.score, stage.reason) for stage in outcome.stages] == [
        (number, name, 0.95, "because") for number, name in enumerate(STAGES, start=1)
    ]
    assert outcome.failed_stage is outcome.errorexit is None
    assert outcome.log_tail[-1].endswith("Executing command ...hifv_exportdata")


def test_an_older_errorexit_of_another_run_is_no_failure(tree):
    touch(tree.directory.working / "errorexit-20261121T000000.txt", START - timedelta(days=1))
    assert tree.judge().proved


def test_the_exit_status_decides_nothing_and_is_said(tree):
    outcome = tree.judge(exit_code=3)
    assert outcome.proved
    assert outcome.warnings == ("CASA exited with status 3.",)


def test_of_several_exports_the_last_proves_what_is_before_it(tree):
    # The first export has left a manifest and a report, and the run was killed before the second.
    twice = [*COMMANDS, "hif_makeimages", "hifv_exportdata"]
    first, second = tree.judge(commands=twice).missing
    assert "'hifv_exportdata' of the PPR is not in the AQUA report" in first
    assert "'hif_makeimages' of the PPR is not in the AQUA report" in second
    assert tree.judge(commands=twice).failed_stage == "hifv_exportdata"
    tree.write_report([(stage, "0.95") for stage in twice[:-1]])
    assert tree.judge(commands=twice).proved
    assert tree.judge(commands=[*COMMANDS, "hif_other"]).proved


def test_versions_fall_back_to_the_manifest(tree):
    tree.report.write_text(tree.report.read_text().replace("CasaVersion", "X").replace("PipelineVersion", "Y"))
    outcome = tree.judge()
    assert (outcome.casa_version, outcome.pipeline_version) == ("6.6.1.17", "2024.1.0.8")


# --- the first proof: errorexit ------------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["working", "products"])
def test_errorexit_is_a_failure_despite_all_products(tree, folder):
    touch(tree.directory.root / folder / "errorexit-20261122T182500.txt", START + timedelta(seconds=7))
    outcome = tree.judge()
    assert "errorexit-20261122T182500.txt" in outcome.missing[0]
    assert f"in {folder}/" in outcome.missing[0]
    assert len(outcome.missing) == 1
    assert outcome.errorexit == "errorexit-20261122T182500.txt"
    assert outcome.failed_stage is None, "the log reports no failure"


def test_errorexit_names_stage_and_pipeline_error(tree):
    tree.log(log_of_a_failed_stage())
    touch(tree.directory.working / "errorexit-20261122T182500.txt", START + timedelta(seconds=7))
    outcome = tree.judge()
    assert "'hifv_checkflag', stage 8, failed with \"KeyError: 'spw'\"." in outcome.missing[0]
    assert outcome.failed_stage == "hifv_checkflag"


@pytest.mark.parametrize(
    ("name", "written"),
    [
        # In the very second of the start, of which the name knows only the second.
        ("errorexit-20261122T182453.txt", START - timedelta(hours=1)),
        # The file server's clock is behind.
        ("errorexit-20261122T182455.txt", START - timedelta(hours=1)),
        # The host's clock is behind.
        ("errorexit-20261122T172455.txt", START + timedelta(seconds=2)),
        ("errorexit-without a time.txt", START + timedelta(seconds=2)),
    ],
)
def test_either_clock_makes_an_errorexit_newer_than_the_start(tree, name, written):
    path = touch(tree.directory.working / name, written)
    assert find_errorexit(tree.directory, START) == path
    assert find_errorexit(tree.directory, START.astimezone(timezone(timedelta(hours=-7)))) == path
    assert not tree.judge().proved


@pytest.mark.parametrize(
    ("log", "where"), [("", "before the first stage"), (log_until("for stage 4"), "in the stage 'hifv_priorcals'")]
)
def test_traceless_casa_error_is_reported_with_its_status(tree, log, where):
    for path in tree.directory.products.iterdir():
        path.unlink()
    tree.log(log)
    gap, *_ = tree.judge(exit_code=1).missing
    assert gap.startswith(f"CASA exited with status 1 {where} and the pipeline left no errorexit file")
    assert "exited" not in tree.judge(exit_code=0).missing[0]


# --- the second proof: the manifest and its files -------------------------------------------------------------------


def test_without_products_everything_is_missing_at_once(tree):
    for path in tree.directory.products.iterdir():
        path.unlink()
    tree.directory.products.rmdir()
    tree.log(log_until("checkflagmode='allcals-vla')"))
    outcome = tree.judge()
    assert len(outcome.missing) == 2
    assert "no manifest" in outcome.missing[0]
    assert "no AQUA report" in outcome.missing[1]
    assert outcome.failed_stage == "hifv_checkflag"
    assert outcome.band is Band.NO_SCORE
    assert not outcome.restorable


def test_two_manifests_are_no_proof(tree):
    (tree.directory.products / "other.pipeline_manifest.xml").write_text(tree.manifest.read_text())
    assert "2 manifests" in tree.one_gap()


@pytest.mark.parametrize("element", FILES)
@pytest.mark.parametrize(
    ("damage", "words"), [("missing", "lacks"), ("empty", "is empty"), ("folder", "is no regular file")]
)
def test_every_file_that_the_manifest_names_must_be_there(tree, element, damage, words):
    path = tree.directory.products / FILES[element]
    path.unlink()
    if damage == "empty":
        path.touch()
    if damage == "folder":
        path.mkdir()
    gap = tree.one_gap()
    assert words in gap
    assert FILES[element] in gap


def test_all_gaps_are_listed_not_only_the_first(tree):
    for element in ("weblog", "caltables", "image"):
        (tree.directory.products / FILES[element]).unlink()
    tree.write_report([("hifv_importdata", "1.0")])
    touch(tree.directory.working / "errorexit-20261122T182500.txt", START + timedelta(seconds=7))
    assert len(tree.judge().missing) == 1 + 3 + 3


@pytest.mark.parametrize(
    "name",
    ["../working/casa.log", "/etc/passwd", "a/../../rawdata/x.xml", "..", "../../x.txt", "link.txt", "linked/x.txt"],
)  # fmt: skip
def test_a_name_that_leaves_products_is_refused(tree, name):
    (tree.directory.products / "link.txt").symlink_to("/etc/passwd")
    (tree.directory.products / "linked").symlink_to("/etc")
    tree.write_manifest({**FILES, "weblog": name})
    gap = tree.one_gap()
    assert "refused" in gap
    assert ascii(name) in gap


def _a_link_to_itself_elsewhere(path: Path) -> None:
    elsewhere = path.parent.parent.parent / "elsewhere.xml"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


def _a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _a_sparse_file_of_40_gb(path: Path) -> None:
    os.truncate(path, 40 << 30)


@pytest.mark.parametrize("document", ["manifest", "report"])
@pytest.mark.parametrize(
    ("made", "said"),
    [
        (_a_link_to_itself_elsewhere, "is a symbolic link"),
        (_a_pipe, "is a named pipe"),
        (_a_sparse_file_of_40_gb, "is larger than the"),
    ],
)
def test_invalid_document_proves_nothing(tree, document, made, said):
    path = getattr(tree, document)
    made(path)
    gap = tree.one_gap()
    assert said in gap
    assert str(path) in gap


@pytest.mark.parametrize("folder", ["working", "products"])
def test_a_run_with_a_linked_folder_is_not_proved(tree, folder):
    place = getattr(tree.directory, folder)
    place.rename(place.parent.parent / "elsewhere")
    place.symlink_to("../elsewhere")
    assert f"{folder}' is a symbolic link" in tree.one_gap()


def test_a_linked_log_is_reported_in_its_place(tree):
    (tree.directory.root.parent / "secrets").write_text("password")
    (tree.directory.working / "casa-20261122-182453.log").unlink()
    (tree.directory.working / "casa.log").symlink_to("../../secrets")
    (line,) = tree.judge().log_tail
    assert "is a symbolic link" in line


def test_a_hostile_name_is_shown_escaped_and_short(tree):
    tree.write_manifest({**FILES, "image": "x&#10;Subject: hello" + "é" * 10_000 + ".fits"})
    gap = tree.one_gap()
    assert "\n" not in gap
    assert gap.isascii()
    assert len(gap) < 300


def test_newer_manifest_element_with_a_product_counts(tree):
    tree.write_manifest({**FILES, "newtables": "new.tbl.tgz", "newversion": "2030.1", "newthing": f"{EB}.ms"})
    assert "new.tbl.tgz" in tree.one_gap()


@pytest.mark.parametrize("element", ["caltables", "finalflags", "applycmds"])
@pytest.mark.parametrize("how", ["Undefined", "", "left out"])
def test_what_a_restore_needs_must_be_made_and_named(tree, element, how):
    names = {**FILES, element: how}
    if how == "left out":
        del names[element]
    tree.write_manifest(names)
    outcome = tree.judge()
    assert len(outcome.missing) == 1
    assert "cannot be restored" in outcome.missing[0]
    assert not outcome.restorable
    images_only = tree.judge(science_images=["*.fits"])
    assert images_only.proved
    assert images_only.warnings == ()
    assert not images_only.restorable


SCIENCE = ("*_sci.*pbcor.fits",)
CUBE = "uid___A001_X1288_X3f.TW_Hya_sci.spw25.cube.I.pbcor.fits"


@pytest.fixture
def images(tree):
    """The tree of a run that made images from a calibration that exists, which it exports nothing of."""
    (tree.directory.products / CUBE).write_bytes(b"content")
    tree.write_manifest({"piperequest": FILES["piperequest"], "weblog": FILES["weblog"], "image": CUBE})
    return tree


def test_images_are_proved_without_a_calibration(images):
    outcome = images.judge(science_images=SCIENCE)
    assert (outcome.missing, outcome.warnings) == ((), ())
    assert not images.judge().proved, "of a calibration it would not be enough"


@pytest.mark.parametrize(
    ("named", "gap"),
    [
        ({}, "The manifest names no image."),
        (
            {"image": FILES["image"]},
            "None of the 1 images that the manifest names is a science image, which is called '*_sci.*pbcor.fits'.",
        ),
    ],
)
def test_images_of_which_none_is_the_users_are_none(images, named, gap):
    images.write_manifest({"piperequest": FILES["piperequest"], **named})
    assert images.judge(science_images=SCIENCE).missing == (gap,)


def test_a_science_image_that_is_named_must_be_there(images):
    (images.directory.products / CUBE).unlink()
    (gap,) = images.judge(science_images=SCIENCE).missing
    assert gap == f"products/ lacks '{CUBE}', which the manifest names."


def test_raw_data_of_several_asdms_and_beside_them_are_looked_at(images):
    rawdata = images.directory.rawdata
    recorded = []
    for name in ("uid___A002_X1_X1/ASDM.xml", "uid___A002_X1_X2/ASDM.xml", "x.session_1.caltables.tgz"):
        path = rawdata / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"raw")
        mtime = path.stat().st_mtime_ns
        recorded.append(FetchedFile(path=name, size_bytes=3, crc32=0, ngas_file_id="x", mtime_ns=mtime))
    assert images.judge(science_images=SCIENCE, raw_data=recorded).proved
    for file in recorded:
        path = rawdata / file.path
        path.write_bytes(b"rawer")
        (gap,) = images.judge(science_images=SCIENCE, raw_data=recorded).missing
        assert file.path in gap
        path.write_bytes(b"raw")
        os.utime(path, ns=(file.mtime_ns, file.mtime_ns))


def test_of_several_sessions_each_needs_its_tables(tree):
    tree.manifest.write_text(
        tree.manifest.read_text().replace(
            "</session>", '</session><session name="session_2"><caltables name="Undefined"/></session>'
        )
    )
    assert "cannot be restored" in tree.one_gap()


def test_an_undefined_weblog_is_missing(tree):
    tree.write_manifest({**FILES, "weblog": "Undefined"})
    assert "'weblog'" in tree.one_gap()


ENTITIES = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><piperesults><weblog name="&a;"/></piperesults>'


@pytest.mark.parametrize("content", [b"", b"<piperesults>", b"\xff\xfe\x00", b"<other/>", ENTITIES.encode()])
def test_a_manifest_that_cannot_be_read_is_a_gap_of_one_sentence(tree, content):
    tree.manifest.write_bytes(content)
    gap = tree.one_gap()
    assert "unknown.hifv.pipeline_manifest.xml" in gap
    assert "root:" not in gap


def test_a_manifest_that_is_a_folder_is_a_gap(tree):
    tree.manifest.unlink()
    tree.manifest.mkdir()
    assert "is a folder, which the manifest may not be" in tree.one_gap()


def test_missing_table_fails_calibration_but_not_imaging(tree):
    (tree.directory.products / FILES["caltables"]).write_bytes(packed_tables(table_names(EB)[:1]))
    assert "does not hold the table" in tree.one_gap()
    assert not tree.judge().restorable
    assert tree.judge(science_images=["*.fits"]).proved


# --- the third proof: the stages ------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", range(len(STAGES)))
def test_every_stage_before_the_export_must_be_in_the_report(tree, place):
    stages = [(name, "1.0") for number, name in enumerate(STAGES) if number != place]
    tree.write_report(stages)
    outcome = tree.judge()
    assert len(outcome.missing) == 1
    assert STAGES[place] in outcome.missing[0]
    assert outcome.failed_stage == "hifv_exportdata", "in which CASA was last, by its log"
    (tree.directory.working / "casa-20261122-182453.log").unlink()
    assert tree.judge().failed_stage == STAGES[place]


@pytest.mark.parametrize("content", [b"", b"<PipelineAquaReport>", ENTITIES.encode()])
def test_a_report_that_cannot_be_read_is_a_gap_of_one_sentence(tree, content):
    tree.report.write_bytes(content)
    assert "pipeline_aquareport.xml" in tree.one_gap()


def test_a_ppr_that_the_reader_empties_is_no_success(tree):
    assert "no stage" in tree.one_gap(commands=[])


def test_a_ppr_that_lost_its_export_is_no_success(tree):
    assert "no export stage" in tree.one_gap(commands=STAGES)


# --- scores ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("score", "band"),
    [("0.0", "error"), ("0.33", "error"), ("0.331", "warning"), ("0.66", "warning"), ("0.67", "suboptimal"),
     ("0.90", "suboptimal"), ("0.9001", "good"), ("1.0", "good"), ("-0.1", "error")],
)  # fmt: skip
def test_the_lowest_score_has_a_band(tree, score, band):
    tree.write_report([(name, score if number == 1 else "1.0") for number, name in enumerate(STAGES)])
    outcome = tree.judge()
    assert outcome.band == band
    assert outcome.proved, "a bad score is for the analyst to judge"
    assert outcome.lowest is not None
    assert outcome.lowest.score == float(score)


def test_a_crashed_scorer_is_a_warning_that_names_the_stage(tree):
    tree.write_report([(name, "-0.1" if name == "hifv_applycal" else "1.0") for name in STAGES])
    assert "hifv_applycal" in tree.judge().warnings[0]


@pytest.mark.parametrize("score", ["None", "", "nan", "inf", "much"])
def test_what_is_no_number_is_no_score(tree, score):
    tree.write_report([(name, score) for name in STAGES])
    outcome = tree.judge()
    assert outcome.proved
    assert outcome.lowest is None
    assert outcome.band is Band.NO_SCORE
    assert outcome.warnings == ("No stage has a QA score.",)


@pytest.mark.parametrize(("said", "taken"), [("57", 1.0), ("1.01", 1.0), ("-0.11", -0.1), ("-1e300", -0.1)])
def test_a_score_that_no_scorer_gives_is_cut_with_a_warning(tree, said, taken):
    tree.write_report([(name, said if name == "hifv_applycal" else "1.0") for name in STAGES])
    outcome = tree.judge()
    assert [stage.score for stage in outcome.stages] == [1.0, 1.0, 1.0, taken]
    (warning,) = outcome.warnings
    assert re.search(rf"stage 4, 'hifv_applycal', the QA score '{said}', .* recorded as {taken:g}", warning)


def test_texts_of_megabytes_are_cut_with_a_note(tree):
    megabytes = "x" * 3_000_000
    tree.write_report([(name, "1.0") for name in STAGES])
    said = tree.report.read_text().replace("because", megabytes).replace(">6.6.1<", f">{megabytes}<")
    tree.report.write_text(said.replace('"hifv_applycal"', f'"{megabytes}"'))
    outcome = tree.judge()
    for text in (*(stage.reason for stage in outcome.stages), outcome.stages[-1].name, outcome.casa_version):
        assert "characters are left out" in text
        assert len(text) <= 500
    assert len(str(outcome)) < 20_000


def test_many_gaps_are_reported_with_a_count(tree):
    names = "".join(f'<image name="{number}.fits"/>' for number in range(2_000))
    tree.manifest.write_text(tree.manifest.read_text().replace("</ous>", f"{names}</ous>"))
    missing = tree.judge().missing
    assert (len(missing), missing[-1]) == (51, "And 1950 more.")


def test_a_report_of_more_stages_than_any_recipe_has_is_a_gap(tree):
    tree.write_report([("hifv_importdata", "1.0")] * 1_001)
    assert "has 1001 stages" in tree.one_gap()


def test_stages_come_in_the_order_of_their_numbers(tree):
    tree.report.write_text(
        '<r><QaPerStage><Stage Number="10" Name="b"/><Stage Number="9" Name="a"/>'
        '<Stage Number="x" Name="c"/></QaPerStage></r>'
    )
    assert [(stage.number, stage.name) for stage in tree.judge().stages] == [(0, "c"), (9, "a"), (10, "b")]


# --- whatever the files hold ------------------------------------------------------------------------------------------


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    element=st.from_regex(r"[a-z_]{1,20}", fullmatch=True),
    name=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=300),
)
def test_no_manifest_name_breaks_the_judgement(tree, element, name):
    from xml.sax.saxutils import quoteattr

    tree.write_manifest(FILES)
    tree.manifest.write_text(
        tree.manifest.read_text().replace("</ous>", f"<{element} name={quoteattr(name)}/></ous>"), "utf-8"
    )
    outcome = tree.judge()
    assert all("\n" not in gap and len(gap) < 400 for gap in outcome.missing)
    if ".." in Path(name.strip()).parts and outcome.proved:
        assert Path(name).suffix == "" or element in {"ous", "session", "asdm", "environment"}
