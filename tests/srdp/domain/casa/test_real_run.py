"""What the observatory's own pipeline wrote is read rightly: see ``tests/data/real_run``."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.calibration_files import packed_tables
from tests.real_run import LOG, LOG_OF_A_FAILED_ALMA_STAGE, REAL_EB, REAL_MOUS, REAL_RUN, VLA_STAGES

from srdp.domain.archiving.image_products import DEFAULT_SCIENCE_PATTERNS, SCIENCE, image_kind
from srdp.domain.casa.aqua_report import Band, band, read_aqua_report
from srdp.domain.casa.end_report import read_casa_end
from srdp.domain.casa.manifest import read_manifest
from srdp.domain.casa.outcome import judge
from srdp.domain.runs.pipeline_run import RunDirectory

START = datetime(2026, 11, 29, 10, 39, 20, tzinfo=UTC)
VLA, UNDEFINED, ALMA = (REAL_RUN / name for name in ("vla", "vla_undefined", "alma"))
MANIFEST = "unknown.hifv.pipeline_manifest.xml"
ALMA_PREFIX = f"{REAL_MOUS}.hifa_cubeimage"


def test_a_report_with_sub_scores_and_topics_has_each_stage_once() -> None:
    report = read_aqua_report((VLA / "pipeline_aquareport.xml").read_bytes(), "report")
    assert [stage.name for stage in report.stages] == list(VLA_STAGES[:-1])
    assert [stage.number for stage in report.stages] == list(range(1, 18))
    assert (report.casa_version, report.pipeline_version) == ("6.7.6.14", "0.0.dev0")
    scores = [stage.score for stage in report.stages]
    assert scores[3] is None, "the text None"
    assert scores[4] == pytest.approx(0.3), "the representative one, not one of the sub-scores"
    assert report.lowest is not None
    assert (report.lowest.name, report.lowest.score) == ("hifv_fluxboot", 0.0)
    assert band(report.lowest.score) is Band.ERROR


def test_a_manifest_names_its_products_and_nothing_else() -> None:
    manifest = read_manifest((VLA / MANIFEST).read_bytes(), "manifest")
    assert [product.element for product in manifest.products] == [
        "piperequest", "caltables", "finalflags", "applycmds", "weblog", "casa_cmdlog", "pipescript", "restorescript",
        "image", "image", "image", "image", "manifest", "aqua_report", "aux_products_file",
    ]  # fmt: skip
    assert manifest.undefined == manifest.missing_for_a_restore == ()
    assert (manifest.casa_version, manifest.pipeline_version) == ("6.7.6.14", "0.0.dev0")
    assert manifest.sessions == {f"{REAL_EB}.ms": "session_1"}
    assert manifest.calibrations == (("unknown.session_1.caltables.tgz", f"{REAL_EB}.ms.calapply.txt"),)
    undefined = read_manifest((UNDEFINED / MANIFEST).read_bytes(), "manifest")
    assert undefined.undefined == ("caltables", "applycmds")


def run_of(folder: Path, root: Path, manifest: str) -> RunDirectory:
    """Make a run directory with everything that a real manifest names."""
    run = RunDirectory(root / "vla-20261129-103920-aaaa")
    run.working.mkdir(parents=True)
    shutil.copytree(folder, run.products)
    for product in read_manifest((run.products / manifest).read_bytes(), manifest).products:
        if not (run.products / product.name).exists():
            (run.products / product.name).write_bytes(b"x")
    return run


def test_worthless_calibration_is_proved_but_in_the_error_band(tmp_path: Path) -> None:
    run = run_of(VLA, tmp_path, MANIFEST)
    applied = (run.products / f"{REAL_EB}.ms.calapply.txt").read_text()
    tables = [word for word in applied.split("'") if word.endswith(".tbl")]
    (run.products / "unknown.session_1.caltables.tgz").write_bytes(packed_tables(tables))
    shutil.copy(LOG, run.working / "casa-20261129-103920.log")
    outcome = judge(run, VLA_STAGES, START)
    assert outcome.missing == ()
    assert (outcome.band, outcome.restorable) == (Band.ERROR, True)


def test_a_run_whose_calibration_tables_are_undefined_has_failed(tmp_path: Path) -> None:
    run = run_of(UNDEFINED, tmp_path, MANIFEST)
    report = read_aqua_report((UNDEFINED / "pipeline_aquareport.xml").read_bytes(), "report")
    outcome = judge(run, [*(stage.name for stage in report.stages), "hifv_exportdata"], START)
    assert len(outcome.missing) == 2
    assert all("cannot be restored" in gap for gap in outcome.missing)


def test_images_of_a_mous_without_a_session_are_proved(tmp_path: Path) -> None:
    run = run_of(ALMA, tmp_path, f"{ALMA_PREFIX}.pipeline_manifest.xml")
    report = read_aqua_report((ALMA / f"{ALMA_PREFIX}.pipeline_aquareport.xml").read_bytes(), "report")
    commands = [*(stage.name for stage in report.stages), "hifa_exportdata"]
    outcome = judge(run, commands, START, science_images=DEFAULT_SCIENCE_PATTERNS)
    assert outcome.missing == ()
    assert (outcome.band, outcome.restorable) == (Band.WARNING, False)
    images = [path.name for path in sorted(run.products.glob("*.fits"))]
    kinds = [image_kind(name, DEFAULT_SCIENCE_PATTERNS) for name in images]
    assert [name for name, kind in zip(images, kinds, strict=True) if kind == SCIENCE] == [
        f"{REAL_MOUS}.sim_disk_sci.spw0_1.cont.regcal.I.pbcor.fits"
    ]


def test_what_casa_said_of_a_stage_that_failed_is_reported(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "alma-20261129-110300-aaaa")
    run.working.mkdir(parents=True)
    shutil.copy(LOG_OF_A_FAILED_ALMA_STAGE, run.working / "casa-20261129-110300.log")
    (tmp_path / "stderr").write_text("a warning of many\n")
    said = read_casa_end(run, tmp_path / "stderr")
    assert (said.error[0], said.error[-1]) == ("Error executing pipeline task hifa_restoredata.", "KeyError: 'spw'")
    assert said.stderr == ()
    assert said.log_tail[-1].endswith("Terminating procedure execution ...")
