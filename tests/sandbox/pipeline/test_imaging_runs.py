"""ALMA's recipe as a process, with real CASA on the simulated MOUS."""

from __future__ import annotations

import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from lxml import etree
from tests.sandbox.pipeline.alma import (
    ASDM,
    CONTINUUM,
    CUBE,
    EDITED_CONTINUUM,
    IMAGING_RECIPE,
    MOUS,
    MOUS_UID,
    PREFIX,
    TARGETS,
    ImagingRun,
)

from sandbox.alma_observation import facts
from sandbox.pipeline.cont_file import read_cont_file

pytestmark = pytest.mark.casa

_IMAGES = {
    *(f"{CONTINUUM}.{kind}.fits" for kind in ("tt0.pbcor", "pb", "mask")),
    *(f"{CUBE}.{kind}.{version}fits" for kind in ("pbcor", "pb", "mask") for version in ("", "v2.")),
}


def planes(run: ImagingRun, image: str) -> Any:
    """The channels of an image in Jy/beam; not a number where the primary beam ends."""
    return fits.getdata(run.products / image)[0].astype(float)


def continuum(run: ImagingRun, datatype: str = "regcal") -> Any:
    (plane,) = planes(run, f"{CONTINUUM.replace('regcal', datatype)}.tt0.pbcor.fits")
    return plane


def scatter(plane: Any) -> float:
    """Noise of the inner part of an image, without the sources."""
    middle = plane[60:-60, 60:-60]
    return float(1.4826 * np.median(np.abs(middle - np.median(middle))))


def middle_spectrum(run: ImagingRun) -> Any:
    cube = planes(run, f"{CUBE}.pbcor.fits")
    height, width = cube.shape[1:]
    return cube[:, height // 2, width // 2]


def front_page(run: ImagingRun, folder: Path) -> str:
    with tarfile.open(run.products / f"{PREFIX}.weblog.tgz") as tar:
        tar.extractall(folder)
    (page,) = folder.glob("pipeline-*/html/t1-1.html")
    return page.read_text()


def test_run_ends_well(imaging_run: ImagingRun):
    assert imaging_run.exit_status == 0
    assert not imaging_run.errorexits, imaging_run.output
    assert not list(imaging_run.products.glob("errorexit*"))


def test_products_have_alma_names_and_no_calibration(imaging_run: ImagingRun):
    assert {path.name for path in imaging_run.products.iterdir()} == _IMAGES | {
        f"{PREFIX}.{name}"
        for name in (
            "pprequest.xml",
            "pipeline_manifest.xml",
            "pipeline_aquareport.xml",
            "weblog.tgz",
            "auxproducts.tgz",
            "casa_commands.log",
            "casa_pipescript.py",
        )
    }


def test_manifest_names_mous_recipe_and_files_that_are_there(imaging_run: ImagingRun):
    named = [(element.tag, element.get("name", "")) for element in imaging_run.manifest.iter()]
    assert ("ous", MOUS) in named
    assert ("procedure_name", "hifa_cubeimage") in named
    assert {name for tag, name in named if tag == "image"} == _IMAGES
    not_files = {"piperesults", "ous", "casaversion", "pipeline_version", "procedure_name"}
    not_files |= {"execution_environment", "node"}
    files = [name for tag, name in named if tag not in not_files]
    assert len(files) == 16
    for name in files:
        assert (imaging_run.products / name).stat().st_size > 0, name


def test_aqua_report_lists_every_command_before_the_export(imaging_run: ImagingRun):
    stages = [stage.get("Name") for stage in imaging_run.aqua_report.iterfind("QaPerStage/Stage")]
    assert stages == [task for task, _ in IMAGING_RECIPE[:-1]]


def test_headers_say_what_an_image_is(imaging_run: ImagingRun):
    header = fits.getheader(imaging_run.products / f"{CUBE}.pbcor.fits")
    assert header["OBJECT"] == header["FIELD"] == facts.TARGET
    assert (header["MEMBER"], header["PROPCODE"], header["SPW"]) == (MOUS_UID, facts.PROJECT, "0")
    assert header["RESTFRQ"] == facts.LINE_REST_FREQUENCY
    assert (header["BUNIT"], header["SPECSYS"], header["TELESCOP"]) == ("Jy/beam", "LSRK", "ALMA")
    assert 0.7 < 3600 * header["BMIN"] <= 3600 * header["BMAJ"] < 1.2
    kinds = {kind: fits.getheader(imaging_run.products / f"{CUBE}.{kind}.fits")["TYPE"] for kind in ("pb", "mask")}
    assert kinds == {"pb": "pb", "mask": "mask"}


def test_cube_has_the_channels_that_were_asked_for(imaging_run: ImagingRun):
    header = fits.getheader(imaging_run.products / f"{CUBE}.pbcor.fits")
    assert (header["CTYPE3"], header["NAXIS3"]) == ("FREQ", 10)
    speed = 299_792.458 * (1 - np.array([header["CRVAL3"], header["CRVAL3"] + header["CDELT3"]]) / header["RESTFRQ"])
    assert speed == pytest.approx([-10.0, -4.8], abs=0.01)
    second = fits.getheader(imaging_run.products / f"{CUBE}.pbcor.v2.fits")
    assert second["NAXIS3"] == 2
    assert 299_792.458 * (1 - second["CRVAL3"] / second["RESTFRQ"]) == pytest.approx(0.0, abs=0.01)


def test_continuum_is_found_beside_the_line(imaging_run: ImagingRun):
    found = read_cont_file(imaging_run.working / "cont.dat")
    low, high = found[facts.TARGET, 0]
    # In the frame of the local standard of rest the line reaches from 230.5235 to 230.5375 GHz.
    assert (low.frame, high.frame) == ("LSRK", "LSRK")
    assert 230.515 < low.high < 230.5235
    assert 230.5375 < high.low < 230.545
    (everything,) = found[facts.TARGET, 1]
    assert everything.high - everything.low > 20 * facts.CHANNEL_WIDTH / 1e9


def test_flux_densities_are_those_of_the_simulated_sky(imaging_run: ImagingRun):
    image = continuum(imaging_run)
    height, width = image.shape
    assert image[height // 2, width // 2] == pytest.approx(facts.CENTRAL_FLUX, rel=0.15)
    spectrum = middle_spectrum(imaging_run)
    assert spectrum.max() == pytest.approx(0.085, rel=0.1)
    # Without a line there is nothing left: the continuum was taken away.
    assert np.abs(spectrum[[0, 8, 9]]).max() < 0.1 * facts.CENTRAL_FLUX


def test_mask_covers_the_source_and_primary_beam_is_one_there(imaging_run: ImagingRun):
    for image in (CONTINUUM, CUBE):
        mask, beam = planes(imaging_run, f"{image}.mask.fits"), planes(imaging_run, f"{image}.pb.fits")
        height, width = mask.shape[1:]
        assert (mask[:, height // 2, width // 2] == 1).all()
        assert mask[:, 0, 0].max() == 0
        assert beam[:, height // 2, width // 2] == pytest.approx(1.0, abs=1e-3)


def test_damaged_antenna_shows_in_the_score(imaging_run: ImagingRun, edited_run: ImagingRun):
    def continuum_score(run: ImagingRun) -> float:
        found = run.aqua_report.iterfind("QaPerStage/Stage")
        stages = [stage for stage in found if stage.get("Name") == "hif_makeimages"]
        return float(stages[0].find("RepresentativeScore").get("Score"))

    assert continuum_score(imaging_run) <= 0.33
    assert continuum_score(edited_run) > 0.9


def test_weblog_shows_mous_scores_and_simulation(imaging_run: ImagingRun, tmp_path: Path):
    page = front_page(imaging_run, tmp_path)
    assert MOUS_UID in page
    assert ASDM in page
    assert "SIMULATED" in page
    figures = sorted(path.parent.name for path in tmp_path.glob("pipeline-*/html/stage*/*.png"))
    assert figures == ["stage10", "stage12", "stage5", "stage5", "stage8"]


def test_flag_template_for_targets_is_written_for_the_next_run(imaging_run: ImagingRun):
    with tarfile.open(imaging_run.products / f"{PREFIX}.auxproducts.tgz") as tar:
        assert sorted(tar.getnames()) == ["cont.dat", f"{TARGETS}.flagtargetstemplate.txt"]


def test_edited_run_ends_well(edited_run: ImagingRun):
    assert edited_run.exit_status == 0
    assert not edited_run.errorexits, edited_run.output


def test_target_flags_take_the_damage_out_of_the_continuum(imaging_run: ImagingRun, edited_run: ImagingRun):
    before, after = continuum(imaging_run), continuum(edited_run)
    assert scatter(before) > 1e-3
    assert scatter(after) < 0.4e-3
    height, width = after.shape
    assert after[height // 2, width // 2] > before[height // 2, width // 2]


def test_edited_cont_dat_decides_the_subtraction(edited_run: ImagingRun):
    assert (edited_run.working / "cont.dat").read_text() == EDITED_CONTINUUM
    spectrum = middle_spectrum(edited_run)
    # Nothing was taken away: where there is no line, the cube shows the continuum.
    assert spectrum[[0, 8, 9]] == pytest.approx(facts.CENTRAL_FLUX, rel=0.15)
    assert spectrum.max() == pytest.approx(0.085 + facts.CENTRAL_FLUX, rel=0.1)


def test_analysts_files_are_among_the_products(edited_run: ImagingRun, tmp_path: Path):
    with tarfile.open(edited_run.products / f"{PREFIX}.auxproducts.tgz") as tar:
        tar.extractall(tmp_path)
    assert (tmp_path / "cont.dat").read_text() == EDITED_CONTINUUM
    assert facts.CURING_FLAG in (tmp_path / f"{TARGETS}.flagtargetstemplate.txt").read_text()
    assert read_cont_file(tmp_path / "cont.dat")[facts.TARGET, 0] == ()


def test_self_calibration_keeps_what_makes_the_image_better(edited_run: ImagingRun):
    stage = next(one for one in edited_run.aqua_report.iterfind("QaPerStage/Stage") if one.get("Name") == "hif_selfcal")
    assert f"phases of {facts.TARGET}, which are kept" in stage.find("RepresentativeScore").get("Reason")
    # Both are among the products, and the first is what it was without.
    before, after = continuum(edited_run), continuum(edited_run, "selfcal")
    assert np.nanmax(after) / scatter(after) > np.nanmax(before) / scatter(before)


def test_too_large_products_end_the_run_as_a_failed_stage_does(refused_run: ImagingRun, tmp_path: Path):
    assert refused_run.exit_status == 1
    (errorexit,) = refused_run.errorexits
    assert errorexit.stat().st_size == 0
    assert {path.name for path in refused_run.products.iterdir()} == {errorexit.name, f"{PREFIX}.weblog.tgz"}
    page = front_page(refused_run, tmp_path)
    assert "maxcubelimit is 0.0001 GB" in page


def test_two_sessions_are_restored_and_imaged_together(imaging_run: ImagingRun, two_sessions_run: ImagingRun):
    assert two_sessions_run.exit_status == 0
    assert not two_sessions_run.errorexits, two_sessions_run.output
    assert {path.name for path in two_sessions_run.products.glob("*.fits")} == {
        f"{CONTINUUM}.{kind}.fits" for kind in ("tt0.pbcor", "pb", "mask")
    }
    image = continuum(two_sessions_run)
    height, width = image.shape
    assert image[height // 2, width // 2] == pytest.approx(facts.CENTRAL_FLUX, rel=0.15)
    # The second session has no damaged antenna, and its tables are not those of the first.
    assert scatter(image) < 0.7 * scatter(continuum(imaging_run))
    log = (two_sessions_run.products / f"{PREFIX}.casa_commands.log").read_text()
    assert f"vis={[f'{asdm}_targets.ms' for asdm in facts.ASDMS]!r}" in log
    with tarfile.open(two_sessions_run.products / f"{PREFIX}.auxproducts.tgz") as tar:
        assert set(tar.getnames()) == {
            "cont.dat", *(f"{asdm}_targets.flagtargetstemplate.txt" for asdm in facts.ASDMS)
        }  # fmt: skip


def test_copied_request_is_the_request(imaging_run: ImagingRun):
    copy = imaging_run.products / f"{PREFIX}.pprequest.xml"
    assert copy.read_bytes() == (imaging_run.working / "PPR.xml").read_bytes()
    assert etree.fromstring(copy.read_bytes()).find(".//OUSStatusRef").get("entityId") == MOUS_UID
