from __future__ import annotations

import io
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from tests.programs.casa_contract import install
from tests.sandbox.alma_observation.making import ASDM, ASDMS, MOUS, make_mous
from tests.srdp.domain.alma_files import stage_in

from srdp.domain.archiving.mous import sessions_of
from srdp.domain.imaging.request import imaging_request
from srdp.domain.ppr.document import recipe_template, render_alma_processing_request
from srdp.domain.ppr.subject import asdm
from srdp.domain.runs.identifiers import pipeline_run_id

TEMPLATES = Path(__file__).parents[2] / "include" / "templates"
RUN = pipeline_run_id("alma-20261122-182453-4f7k")
P = f"{MOUS}.hifa_cubeimage"
CUBE, CONTINUUM = f"{MOUS}.sim_disk_sci.spw0.cube.regcal.I", f"{MOUS}.sim_disk_sci.spw0_1.cont.regcal.I"
CUBES = "sim_disk,0,230.538,-12km/s,3km/s,17"
IMAGES = {
    f"{CUBE}.pbcor.fits", f"{CUBE}.pb.fits", f"{CUBE}.mask.fits",
    f"{CONTINUUM}.tt0.pbcor.fits", f"{CONTINUUM}.pb.fits", f"{CONTINUUM}.mask.fits",
}  # fmt: skip
FLAG_TARGETS = b"<ProcessingCommand><Command>hifa_flagtargets</Command><ParameterSet/></ProcessingCommand>"
IMAGING_MODE = b"<Parameter><Keyword>imaging_mode</Keyword><Value>ALMA</Value></Parameter>"


@pytest.fixture
def casa(tmp_path):
    return install(tmp_path / "casa")


def images(
    casa, run, *, flag_behind="", edit=lambda ppr: ppr, files=None, rawdata=make_mous, sessions=sessions_of,
    exit_status=0, **asked,
):  # fmt: skip
    """Call it in a run of its own and return the products."""
    for name in ("working", "products"):
        (run / name).mkdir(parents=True)
    rawdata(run / "rawdata")
    observed = [asdm(name.replace("___", "://").replace("_", "/"), name) for name in ASDMS]
    observed = [each for each in observed if (run / "rawdata" / each.disk_name).is_dir()]
    request = imaging_request(
        **{
            "mous": "uid://A001/X1288/X3f", "fields": "sim_disk", "continuum": True, "asked_by": "somebody",
            "cubes": CUBES, **asked,
        }
    )  # fmt: skip
    ppr = render_alma_processing_request(
        recipe_template(TEMPLATES, "alma_imaging"), request=request, project="2019.1.00001.S", pipeline_run_id=RUN,
        asdms=observed, sessions=sessions(observed, run / "rawdata"),
        processing_site="Charlottesville", operator="almapipe",
    ).replace(RUN.encode(), run.name.encode())  # fmt: skip
    if flag_behind:
        stage = stage_in(ppr, flag_behind)
        ppr = ppr.replace(stage, stage + FLAG_TARGETS)
    (run / "working" / "PPR.xml").write_bytes(edit(ppr))
    for name, text in (files or {}).items():
        (run / "working" / name).write_text(text)
    script = casa.heuristics / "pipeline" / "runpipeline.py"
    result = subprocess.run(
        [casa.casa, "--nogui", "--nologger", "--agg", "-c", script, "PPR.xml"],
        cwd=run / "working",
        env={"PATH": os.defpath, "SCIPIPE_HEURISTICS": str(casa.heuristics), "SCIPIPE_ROOTDIR": str(run.parent)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert (result.returncode, bool(result.stderr)) == (exit_status, bool(exit_status)), result.stderr
    return {path.name: path.read_bytes() for path in (run / "products").iterdir()}


def failure(products):
    """Whether an errorexit and a weblog are all that there is."""
    return {name.partition("-")[0] for name in products} == {"errorexit", f"{P}.weblog.tgz"}


def test_a_run_leaves_the_products_of_an_imaging_under_their_names(casa, tmp_path):
    endings = (
        "pprequest.xml", "weblog.tgz", "pipeline_manifest.xml", "pipeline_aquareport.xml", "casa_commands.log",
        "casa_pipescript.py", "auxproducts.tgz",
    )  # fmt: skip
    assert set(images(casa, tmp_path / "run")) == IMAGES | {f"{P}.{ending}" for ending in endings}


def test_the_images_are_fits_with_a_beam(casa, tmp_path):
    products = images(casa, tmp_path / "run")
    for name in IMAGES:
        with fits.open(io.BytesIO(products[name])) as hdus:
            hdus.verify("exception")
            (image,) = hdus
            assert image.header["BMAJ"] > image.header["BMIN"] > 0
            assert image.data.shape == (1, 17 if "cube" in name else 1, 16, 16)
            assert np.isfinite(image.data).all()


def test_an_analysts_files_change_the_images_if_a_stage_reads_them(casa, tmp_path):
    def cube(name, **options):
        return images(casa, tmp_path / name, **options)[f"{CUBE}.pbcor.fits"]

    flags = {f"{ASDM}_targets.flagtargetstemplate.txt": "mode='manual' antenna='DV07'\n"}
    plain = cube("plain")
    assert cube("again") == plain
    assert cube("unread", files=flags) == plain
    assert cube("flagged", files=flags, flag_behind="hif_mstransform") != plain
    assert cube("too late", files=flags, flag_behind="hif_uvcontsub") == plain
    assert cube("too early", files=flags, flag_behind="hifa_restoredata") == plain
    assert cube("ranges", files={"cont.dat": "of an analyst\n"}) != plain


def test_two_cubes_of_a_window_and_images_of_self_calibrated_data_are_products_of_their_own(casa, tmp_path):
    products = images(
        casa, tmp_path / "run", cubes=f"{CUBES}\nsim_disk,0,230.6,0km/s,3km/s,5", self_calibration=True
    )  # fmt: skip
    twice = {f"{CUBE}.{kind}.v2.fits" for kind in ("pbcor", "pb", "mask")}
    regular = IMAGES | twice
    assert {name for name in products if name.endswith(".fits")} == regular | {
        name.replace("regcal", "selfcal") for name in regular
    }


def test_a_cube_without_its_imaging_mode_is_not_made(casa, tmp_path):
    products = images(casa, tmp_path / "run", edit=lambda ppr: ppr.replace(IMAGING_MODE, b""), exit_status=1)
    assert failure(products)


@pytest.mark.parametrize("lost", [f"{MOUS}.session_1.caltables.tgz", f"{ASDM}.ms.calapply.txt"])
def test_without_a_product_of_the_calibration_there_is_an_errorexit_and_no_image(casa, tmp_path, lost):
    damaged = {"rawdata": lambda folder: (make_mous(folder) / lost).unlink(), "exit_status": 1}
    products = images(casa, tmp_path / "run", **damaged)
    assert failure(products)
    assert list((tmp_path / "run" / "working").glob("errorexit-*.txt"))


def two_sessions(folder):
    return make_mous(folder, sessions=2)


def test_two_sessions_are_imaged_together_with_the_request_that_their_manifest_makes(casa, tmp_path):
    assert set(images(casa, tmp_path / "run", rawdata=two_sessions)) >= IMAGES


@pytest.mark.parametrize(
    "wrong",
    [lambda asdms, _: {1: asdms}, lambda asdms, _: {1: asdms[1:], 2: asdms[:1]}, lambda asdms, _: {1: asdms[:1]}],
    ids=["all in the first", "swapped", "one in none"],
)
def test_a_request_with_other_sessions_than_the_calibration_has_fails(casa, tmp_path, wrong):
    products = images(casa, tmp_path / "run", rawdata=two_sessions, sessions=wrong, exit_status=1)
    assert failure(products)
