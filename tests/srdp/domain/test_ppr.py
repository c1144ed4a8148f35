from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from srdp.domain.errors import InvalidInput
from srdp.domain.identifiers import execution_block_name, pipeline_run_id
from srdp.domain.ppr import (
    read_processing_request,
    recipe_template,
    recipes,
    render_vla_processing_request,
)

TEMPLATES = Path(__file__).parents[3] / "include" / "templates"
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
    path = tmp_path / "PPR.xml"
    path.write_text(text)
    return read_processing_request(path)


def test_the_standard_recipe_reads_back_as_it_was_meant(tmp_path: Path, standard: str) -> None:
    request = reading(tmp_path, standard)
    assert list(request.commands) == STANDARD
    assert request.dropped == 0
    assert request.procedure == "hifv"
    assert request.sdm_identifiers == (EB,)
    assert str(request.relative_path) == RUN
    assert request.proposal_code == "13A-537"
    assert request.sha256 == hashlib.sha256(standard.encode()).hexdigest()


def test_a_command_without_parameter_set_drops_itself_and_all_that_follow(tmp_path: Path, standard: str) -> None:
    cut = standard.replace("<Command>hifv_statwt</Command><ParameterSet/>", "<Command>hifv_statwt</Command>")
    request = reading(tmp_path, cut)
    assert list(request.commands) == STANDARD[:15]
    assert request.dropped == 5


def test_an_empty_command_does_the_same(tmp_path: Path, standard: str) -> None:
    request = reading(tmp_path, standard.replace("<Command>hifv_solint</Command>", "<Command> </Command>"))
    assert request.dropped == len(STANDARD) - STANDARD.index("hifv_solint")


def test_namespaces_are_ignored(tmp_path: Path, standard: str) -> None:
    request = reading(tmp_path, standard.replace("<SciPipeRequest>", '<SciPipeRequest xmlns="urn:any">'))
    assert list(request.commands) == STANDARD


@pytest.mark.parametrize("path", ["", "/", "/etc", "..", "a/../../b"])
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
