from __future__ import annotations

import hashlib
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from tests.srdp.domain import alma_files
from tests.srdp.domain.alma_files import ASDMS, MOUS, asked, processing_request

from srdp.domain.common.errors import InvalidInput
from srdp.domain.imaging.size import SizeLimits
from srdp.domain.ppr.document import (
    asdms_of,
    check_recipe,
    parse_processing_request,
    read_processing_request,
    recipe_template,
    recipes,
    render_alma_processing_request,
    render_vla_processing_request,
)
from srdp.domain.runs.identifiers import execution_block_name, pipeline_run_id
from srdp.domain.runs.pipeline_run import RunDirectory
from srdp.families import ALMA, VLA, Family

TEMPLATES = Path(__file__).parents[4] / "include" / "templates"
EB = execution_block_name("13A-537.sb24066356.eb24324502.56514.05971091435")
RUN = pipeline_run_id("vla-20261122-182453-4f7k")

STANDARD = [
    "hifv_importdata",
    "hifv_hanning",
    "hifv_flagdata",
    "hifv_vlasetjy",
    "hifv_priorcals",
    "hifv_syspower",
    "hifv_testBPdcals",
    "hifv_checkflag",
    "hifv_semiFinalBPdcals",
    "hifv_checkflag",
    "hifv_solint",
    "hifv_fluxboot",
    "hifv_finalcals",
    "hifv_applycals",
    "hifv_checkflag",
    "hifv_statwt",
    "hifv_plotsummary",
    "hif_makeimlist",
    "hif_makeimages",
    "hifv_exportdata",
]


@pytest.fixture
def standard() -> str:
    return render_vla_processing_request(
        recipe_template(TEMPLATES, "vla_calibration"),
        execution_block=EB,
        pipeline_run_id=RUN,
        processing_site="Socorro",
        operator="vlapipe",
    ).decode()


def reading(tmp_path: Path, text: str):
    directory = RunDirectory(tmp_path)
    directory.working.mkdir(exist_ok=True)
    directory.processing_request.write_text(text)
    return read_processing_request(directory)


def test_the_standard_recipe_reads_back_as_it_was_meant(tmp_path: Path, standard: str) -> None:
    request = reading(tmp_path, standard)
    assert list(request.commands) == STANDARD
    assert request.procedure == "hifv"
    assert request.sdm_identifiers == (EB,)
    assert str(request.relative_path) == RUN
    assert request.proposal_code == "13A-537"
    assert request.sha256 == hashlib.sha256(standard.encode()).hexdigest()


def parameters(content: bytes) -> list[tuple[str, dict[str, str]]]:
    """Each stage of a PPR with its parameters, in order."""
    return [
        (
            command.findtext("Command", ""),
            {each.findtext("Keyword", ""): each.findtext("Value", "") for each in command.iter("Parameter")},
        )
        for command in ET.fromstring(content).iter("ProcessingCommand")  # noqa: S314  it is our own
    ]


CONTINUUM = [
    ("hif_makeimlist", {"specmode": "cont", "field": 'TW_Hya,"V*_BP_Tau"'}),
    ("hif_makeimages", {}),
]
CUBES = [
    (
        "hif_editimlist",
        {
            "imaging_mode": "ALMA", "specmode": "cube", "field": "TW_Hya", "spw": "25", "restfreq": "345.796GHz",
            "start": "-5km/s", "width": "0.25km/s", "nbin": "-1", "nchan": "80",
        },
    ),
    ("hif_makeimages", {"overwrite_on_export": "False"}),
    (
        "hif_editimlist",
        {
            "imaging_mode": "ALMA", "specmode": "cube", "field": "V*_BP_Tau", "spw": "27", "restfreq": "330.588GHz",
            "start": "330.1GHz", "width": "488.28kHz", "nbin": "-1", "nchan": "960",
        },
    ),
    ("hif_makeimages", {"overwrite_on_export": "False"}),
]  # fmt: skip


def test_request_becomes_the_observatorys_stages() -> None:
    before = [
        ("hifa_restoredata", {"copytoraw": "False"}),
        ("hif_mstransform", {}),
        ("hifa_imageprecheck", {"desired_angular_resolution": "0.5arcsec"}),
        ("hif_checkproductsize", {"maxcubesize": "100", "maxcubelimit": "120", "maxproductsize": "10000"}),
        ("hif_findcont", {"field": 'TW_Hya,"V*_BP_Tau"'}),
        ("hif_uvcontsub", {"field": 'TW_Hya,"V*_BP_Tau"'}),
    ]
    export = ("hifa_exportdata", {"imaging_products_only": "True"})
    assert parameters(processing_request()) == [*before, *CONTINUUM, *CUBES, export]
    again = [
        (name, {**given, "datatype": "selfcal"} if name != "hif_makeimages" else given)
        for name, given in [*CONTINUUM, *CUBES]
    ]
    assert parameters(processing_request(asked(self_calibration=True))) == [
        *before,
        *CONTINUUM,
        *CUBES,
        ("hif_selfcal", {"field": 'TW_Hya,"V*_BP_Tau"', "recal": "True"}),
        *again,
        export,
    ]


def test_only_what_is_asked_for_is_made() -> None:
    bare = dict(parameters(processing_request(asked(cubes=None, angular_resolution_arcsec=None))))
    assert bare["hifa_imageprecheck"] == {}
    assert not {"hif_editimlist", "hif_selfcal", "hif_uvcontsub"} & bare.keys()
    assert "hif_makeimlist" not in dict(parameters(processing_request(asked(continuum=False, self_calibration=True))))


def test_the_ppr_of_an_imaging_reads_back_as_it_was_meant(tmp_path: Path) -> None:
    request = reading(tmp_path, processing_request().decode())
    assert (request.mous, request.asdms, request.procedure) == (MOUS, ASDMS, "hifa_cubeimage")
    assert (str(request.relative_path), request.proposal_code) == (alma_files.RUN, alma_files.PROJECT)
    assert request.sdm_identifiers == ()
    [session] = re.findall(r"SESSION_1</Keyword><Value>([^<]*)<", processing_request().decode())
    assert session.split(" | ") == [each.uid for each in ASDMS]


def test_each_session_of_the_calibration_is_one_of_the_ppr() -> None:
    one, other = ASDMS
    content = render_alma_processing_request(
        recipe_template(TEMPLATES, "alma_imaging"), request=asked(), project=alma_files.PROJECT, asdms=ASDMS,
        sessions={1: [other], 2: [one]}, pipeline_run_id=alma_files.RUN, processing_site="x", operator="x",
    )  # fmt: skip
    found = re.findall(r"(SESSION_[0-9]+)</Keyword><Value>([^<]*)<", content.decode())
    assert found == [("SESSION_1", other.uid), ("SESSION_2", one.uid)]
    assert asdms_of(content) == ASDMS


def test_a_ppr_of_the_vla_names_no_asdm(standard: str) -> None:
    assert asdms_of(standard.encode()) == ()
    assert parse_processing_request(standard.encode(), "PPR.xml").mous == ""


@pytest.mark.parametrize("name", ["../../etc", "uid___A002_X1_X2/..", "", "uid___A002_X1_X2\nx", "uid___A002_X1"])
def test_an_asdm_that_could_leave_its_folder_is_not_read(name: str) -> None:
    content = processing_request().replace(
        f"<AsdmDiskName>{ASDMS[1].disk_name}<".encode(), f"<AsdmDiskName>{name}x<".encode()
    )
    with pytest.raises(InvalidInput, match="is not the name of an ASDM's directory"):
        asdms_of(content)


def test_without_an_asdm_and_for_no_project_there_is_no_ppr() -> None:
    given = {
        "request": asked(),
        "pipeline_run_id": alma_files.RUN,
        "processing_site": "<&>",
        "operator": "almapipe",
        "limits": SizeLimits(cube=0.5),
    }
    template = recipe_template(TEMPLATES, "alma_imaging")
    with pytest.raises(InvalidInput, match="No ASDM of uid://A001/X1288/X3f is known"):
        render_alma_processing_request(template, project="x", asdms=(), **given)
    with pytest.raises(InvalidInput, match="is not a project code"):
        render_alma_processing_request(template, project="../x", asdms=ASDMS, **given)
    content = render_alma_processing_request(template, project="x", asdms=ASDMS, **given)
    assert b"<ProcessingSite>&lt;&amp;&gt;<" in content
    assert dict(parameters(content))["hif_checkproductsize"]["maxcubesize"] == "0.5"


def test_command_without_parameter_set_drops_all_that_follow(tmp_path: Path, standard: str) -> None:
    cut = standard.replace("<Command>hifv_statwt</Command><ParameterSet/>", "<Command>hifv_statwt</Command>")
    request = reading(tmp_path, cut)
    assert list(request.commands) == STANDARD[:15]


def test_what_the_pipeline_passes_over_is_no_command_of_a_run(tmp_path: Path, standard: str) -> None:
    intent = "<Intents><Keyword>SPECTRAL_MODE</Keyword><Value>TRUE</Value></Intents>"
    first = "<ProcessingCommand><Command>hifv_importdata"
    passed_over = "<ProcessingCommand><Command>breakpoint</Command><ParameterSet/></ProcessingCommand>"
    assert list(reading(tmp_path, standard.replace(first, passed_over + first)).commands) == STANDARD
    spectral = standard.replace("</ProcessingIntents>", f"{intent}</ProcessingIntents>")
    assert list(reading(tmp_path, spectral).commands) == [name for name in STANDARD if name != "hifv_hanning"]
    assert list(reading(tmp_path, spectral.replace("TRUE", "False")).commands) == STANDARD


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("<Mode>SCIENCE</Mode>", "<Mode>SCIENCE</Mode>" * 2, "there is more than one Mode in its ProjectSummary"),
        ("<Mode>SCIENCE<", "<Mode><", "its Mode is empty, or not one plain text"),
        (">vlapipe<", ">007<", "has 7, where it needs a text"),
        (f"<SdmIdentifier>{EB}<", f"<SdmIdentifier>{EB}<!-- --><", "its list of data sets is empty"),
        (f"<RelativePath>{RUN}<", "<RelativePath>016<", "its RelativePath is read as a number"),
        ("<ProcedureTitle>", "<class/><ProcedureTitle>", "its reader cannot handle an element called class"),
    ],
)
def test_what_ends_the_pipeline_before_its_first_stage_is_said(
    tmp_path: Path, standard: str, old: str, new: str, sentence: str
) -> None:
    assert old in standard
    with pytest.raises(InvalidInput, match="the pipeline would end before its first stage, because") as reported:
        reading(tmp_path, standard.replace(old, new))
    assert re.search(sentence, str(reported.value))


@pytest.mark.parametrize("path", ["/", "/etc", "..", "a/../../b", "x" * 256, "\u00e9" * 128, "x/" * 513])
def test_a_relative_path_that_leaves_its_root_is_refused(tmp_path: Path, standard: str, path: str) -> None:
    with pytest.raises(InvalidInput, match="RelativePath"):
        reading(
            tmp_path, standard.replace(f"<RelativePath>{RUN}</RelativePath>", f"<RelativePath>{path}</RelativePath>")
        )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "not well-formed"),
        ("nonsense", "not well-formed"),
        ("<SciPipeRequest>", "not well-formed"),
        ("<html/>", "begins with <'html'>"),
        ("<SciPipeRequest/>", "no ProcessingRequests"),
        ('<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><SciPipeRequest>&x;</SciPipeRequest>', "document type"),
        ('<!DOCTYPE r [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><SciPipeRequest>&b;</SciPipeRequest>', "document type"),
    ],
)
def test_what_is_no_ppr_is_refused_in_one_sentence(tmp_path: Path, content: str, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        reading(tmp_path, content)


@pytest.mark.parametrize(
    "recipe", ["", "..", "../ppr/vla_calibration", "vla_calibration.xml.j2", "no_such", "/etc/passwd"]
)
def test_an_unknown_recipe_is_refused_with_the_known_ones(recipe: str) -> None:
    with pytest.raises(InvalidInput, match=r"choose one of .*vla_calibration"):
        recipe_template(TEMPLATES, recipe)


def test_the_recipes_are_the_templates() -> None:
    assert "vla_calibration" in recipes(TEMPLATES)


@pytest.mark.parametrize(
    ("recipe", "family", "other", "foreign"),
    [
        ("vla_calibration", VLA, ALMA, "execution_block"),
        ("alma_imaging", ALMA, VLA, "asdms, limits, request, sessions"),
    ],
)
def test_a_recipe_is_one_for_its_family_only(recipe: str, family: Family, other: Family, foreign: str) -> None:
    check_recipe(TEMPLATES, recipe, label=family.label, variables=family.recipe_variables)
    with pytest.raises(InvalidInput, match=f"not one for {other.label} data: it asks for {foreign};"):
        check_recipe(TEMPLATES, recipe, label=other.label, variables=other.recipe_variables)
