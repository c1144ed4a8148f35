"""Runs of the pipeline that the tests share; each is made once, when the first test asks for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.sandbox.pipeline.alma import (
    EDITED_CONTINUUM,
    EDITED_RECIPE,
    IMAGING_RECIPE,
    MOUS_UID,
    TARGETS,
    ImagingRun,
    prepare_imaging,
    run_imaging,
)
from tests.sandbox.pipeline.running import (
    EXECUTION_BLOCK,
    REPOSITORY,
    STANDARD_RECIPE,
    VIS,
    Command,
    Run,
    prepare,
    run_pipeline,
)

from sandbox.alma_observation import facts
from sandbox.observation.edits import CURING_FLAG
from srdp.domain.archiving.mous import sessions_of
from srdp.domain.imaging.request import imaging_request
from srdp.domain.ppr.document import recipe_template, render_alma_processing_request
from srdp.domain.ppr.subject import asdm
from srdp.domain.runs.identifiers import pipeline_run_id

# What the damage and its fix show in; the stages between do not change it.
_IMAGING_RECIPE: tuple[Command, ...] = tuple(
    (task, {"intent": "PHASE"} if task == "hif_makeimlist" else parameters)
    for task, parameters in STANDARD_RECIPE
    if task not in {"hifv_hanning", "hifv_syspower", "hifv_solint", "hifv_checkflag", "hifv_statwt"}
)
_DOUBLED = f"ms,field,spw,I,Q,U,V,spix,uvmin,uvmax,comment\n{VIS},0,0,30.03,0,0,0,0,0,0,doubled\n"
_MOVED = f"name,antenna,xoff,yoff,zoff,comment\n{VIS},ea05,0.0001,0,-0.0002,by an analyst\n"
_CONTINUUM = "Field: N5921_2\n\nSpectralWindow: 0\n1.4129~1.4133GHz LSRK\n"


@pytest.fixture(scope="session")
def standard_run(tmp_path_factory: pytest.TempPathFactory, sdm: Path) -> Run:
    """The standard recipe on the good observation."""
    root = tmp_path_factory.mktemp("standard") / "run"
    prepare(root, sdm, STANDARD_RECIPE)
    return run_pipeline(root)


@pytest.fixture(scope="session")
def doubled_run(tmp_path_factory: pytest.TempPathFactory, sdm: Path) -> Run:
    """Without images; with antennapos.csv, cont.dat, and a flux.csv that doubles the flux density of 3C286."""
    root = tmp_path_factory.mktemp("doubled") / "run"
    recipe = [command for command in STANDARD_RECIPE if command[0] != "hif_makeimages"]
    behind = [task for task, _ in recipe].index("hifv_priorcals") + 1
    recipe.insert(behind, ("hif_antpos", {"hm_antpos": "file"}))
    prepare(root, sdm, recipe, files={"flux.csv": _DOUBLED, "antennapos.csv": _MOVED, "cont.dat": _CONTINUUM})
    return run_pipeline(root)


@pytest.fixture(scope="session")
def damaged_run(tmp_path_factory: pytest.TempPathFactory, damaged_sdm: Path) -> Run:
    root = tmp_path_factory.mktemp("damaged") / "run"
    prepare(root, damaged_sdm, _IMAGING_RECIPE)
    return run_pipeline(root)


@pytest.fixture(scope="session")
def fixed_run(tmp_path_factory: pytest.TempPathFactory, damaged_sdm: Path) -> Run:
    """The damaged observation with one line more of flags."""
    root = tmp_path_factory.mktemp("fixed") / "run"
    files = {f"{EXECUTION_BLOCK}.flagtemplate.txt": CURING_FLAG + "\n"}
    prepare(root, damaged_sdm, _IMAGING_RECIPE, files=files)
    return run_pipeline(root)


@pytest.fixture(scope="session")
def imaging_run(tmp_path_factory: pytest.TempPathFactory, made_mous: Path) -> ImagingRun:
    """The ALMA recipe as a user's request makes it, on data with a damaged antenna."""
    root = tmp_path_factory.mktemp("imaging") / "run"
    prepare_imaging(root, made_mous, IMAGING_RECIPE)
    return run_imaging(root)


@pytest.fixture(scope="session")
def two_sessions_run(tmp_path_factory: pytest.TempPathFactory, made_mous_of_two_sessions: Path) -> ImagingRun:
    """The continuum of a MOUS of two sessions, as the workflow writes the request."""
    root = tmp_path_factory.mktemp("two-sessions") / "alma-20261122-182453-4f7k"
    asdms = [asdm(f"uid://A002/{name.partition('_A002_')[2].replace('_', '/')}", name) for name in facts.ASDMS]
    request = imaging_request(mous=MOUS_UID, fields=facts.TARGET, continuum=True, asked_by="somebody")
    ppr = render_alma_processing_request(
        recipe_template(REPOSITORY / "include" / "templates", "alma_imaging"), request=request, project=facts.PROJECT,
        asdms=asdms, sessions=sessions_of(asdms, made_mous_of_two_sessions), pipeline_run_id=pipeline_run_id(root.name),
        processing_site="Charlottesville", operator="almapipe",
    )  # fmt: skip
    prepare_imaging(root, made_mous_of_two_sessions, (), files={"PPR.xml": ppr.decode()})
    return run_imaging(root)


@pytest.fixture(scope="session")
def edited_run(tmp_path_factory: pytest.TempPathFactory, made_mous: Path) -> ImagingRun:
    """The same after an analyst: target flags, an own cont.dat in the place of the search, and a self-calibration."""
    root = tmp_path_factory.mktemp("edited") / "run"
    files = {f"{TARGETS}.flagtargetstemplate.txt": facts.CURING_FLAG + "\n", "cont.dat": EDITED_CONTINUUM}
    prepare_imaging(root, made_mous, EDITED_RECIPE, files=files)
    return run_imaging(root)


@pytest.fixture(scope="session")
def refused_run(tmp_path_factory: pytest.TempPathFactory, made_mous: Path) -> ImagingRun:
    """A run whose cubes are larger than the PPR allows."""
    root = tmp_path_factory.mktemp("refused") / "run"
    limits = {"maxcubesize": "0.0001", "maxcubelimit": "0.0001", "maxproductsize": "10000"}
    recipe = [(task, limits if task == "hif_checkproductsize" else parameters) for task, parameters in IMAGING_RECIPE]
    prepare_imaging(root, made_mous, [command for command in recipe if command[0] != "hifa_imageprecheck"])
    return run_imaging(root)
