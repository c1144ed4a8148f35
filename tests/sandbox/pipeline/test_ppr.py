"""The PPR is read as the real reader reads it, traps included."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sandbox.pipeline.running import EXECUTION_BLOCK, STANDARD_RECIPE, processing_request

from sandbox.pipeline.executor import stages_to_run
from sandbox.pipeline.ppr import Command, ProcessingRequest, UndecodableRequestError, cast, read_processing_request


def read(tmp_path: Path, text: str) -> ProcessingRequest:
    path = tmp_path / "PPR.xml"
    path.write_text(text)
    return read_processing_request(path)


def test_standard_recipe(tmp_path: Path):
    request = read(tmp_path, processing_request(STANDARD_RECIPE, relative_path="some/run"))
    assert [command.task for command in request.commands] == [task for task, _ in STANDARD_RECIPE]
    assert request.commands[2] == Command("hifv_flagdata", {"hm_tbuff": "1.5int", "fracspw": 0.01})
    assert request.sdms == (EXECUTION_BLOCK,)
    assert (request.proposal_code, request.procedure, request.relative_path) == ("13A-537", "hifv", "some/run")


@pytest.mark.parametrize(
    "broken",
    [
        "<ProcessingCommand><Command>hifv_hanning</Command></ProcessingCommand>",
        "<ProcessingCommand><Command></Command><ParameterSet/></ProcessingCommand>",
        "<ProcessingCommand><Command/><ParameterSet/></ProcessingCommand>",
        "<ProcessingCommand><ParameterSet/></ProcessingCommand>",
    ],
)
def test_broken_command_drops_itself_and_every_later_one(tmp_path: Path, broken: str):
    text = processing_request([("hifv_importdata", {}), ("hifv_hanning", {}), ("hifv_exportdata", {})])
    good = "<ProcessingCommand><Command>hifv_hanning</Command><ParameterSet></ParameterSet></ProcessingCommand>"
    assert good in text
    request = read(tmp_path, text.replace(good, broken))
    assert [command.task for command in request.commands] == ["hifv_importdata"]


def test_namespaces_are_ignored(tmp_path: Path):
    text = processing_request(STANDARD_RECIPE).replace("<SciPipeRequest>", '<SciPipeRequest xmlns="http://somewhere">')
    assert len(read(tmp_path, text).commands) == len(STANDARD_RECIPE)


def test_last_of_a_repeated_keyword_wins(tmp_path: Path):
    text = processing_request([("hifv_flagdata", {"fracspw": "0.01"})])
    twice = text.replace(
        "</ParameterSet>", "<Parameter><Keyword>fracspw</Keyword><Value>0.05</Value></Parameter></ParameterSet>"
    )
    assert read(tmp_path, twice).commands == (Command("hifv_flagdata", {"fracspw": 0.05}),)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("016", 16),
        ("-3", -3),
        ("0.01", 0.01),
        ("None", "None"),
        ("True", True),
        ("False", False),
        ("true", True),
        ("FALSE", False),
        (" True", " True"),
        ("1_0", 10),
        ("nan?", "nan?"),
        ("1.5int", "1.5int"),
        ("[1, 2]", "[1, 2]"),
        ("[unquoted]", "[unquoted]"),
        ("", ""),
    ],
)
def test_values_are_cast(text: str, value: object):
    assert cast(text) == value
    assert type(cast(text)) is type(value)


@given(st.text(max_size=50))
def test_cast_never_fails(text: str):
    cast(text)


@pytest.mark.parametrize(
    ("good", "mutant", "parameters"),
    [
        (">0.01<", "> 0.01 <", {"hm_tbuff": "1.5int", "fracspw": 0.01}),
        (">1.5int<", "> 1.5int<", {"hm_tbuff": " 1.5int", "fracspw": 0.01}),
        (">1.5int<", "><!-- was 2 -->1.5int<", {"hm_tbuff": "", "fracspw": 0.01}),
        (">1.5int<", "><![CDATA[1.5int]]><", {"hm_tbuff": "", "fracspw": 0.01}),
        (">1.5int<", ">1.5<![CDATA[]]>int<", {"hm_tbuff": "1.5int", "fracspw": 0.01}),
        (">hm_tbuff<", "><?editor?>hm_tbuff<", {}),
        (">fracspw<", "><b>fracspw</b><", {"hm_tbuff": "1.5int"}),
        (">fracspw<", ">7<", {"hm_tbuff": "1.5int", 7: 0.01}),
        ("</Keyword><Value>0.01", "</Keyword><Value/><Value>0.01", {"hm_tbuff": "1.5int", "fracspw": ""}),
        ("<ParameterSet><Parameter><Keyword>hm", "<ParameterSet/><ParameterSet><Parameter><Keyword>hm", {}),
    ],
)
def test_only_one_plain_text_is_a_text(tmp_path: Path, good: str, mutant: str, parameters: dict[str, object]):
    text = processing_request([("hifv_flagdata", {"hm_tbuff": "1.5int", "fracspw": "0.01"})])
    assert good in text
    assert read(tmp_path, text.replace(good, mutant)).commands == (Command("hifv_flagdata", parameters),)


@pytest.mark.parametrize(
    ("good", "mutant"),
    [(">vlapipe<", ">007<"), (">NRAO<", ">true<"), (f">{EXECUTION_BLOCK}<", ">1e3<"), (">hifv<", ">1<")],
)
def test_a_number_where_a_text_is_printed_is_not_caught(tmp_path: Path, good: str, mutant: str):
    with pytest.raises(TypeError, match="concatenate str"):
        read(tmp_path, processing_request(STANDARD_RECIPE).replace(good, mutant))


@pytest.mark.parametrize(("value", "kept"), [("True", False), ("TRUE", False), ("False", True), ("", True)])
def test_spectral_mode_leaves_hanning_out(tmp_path: Path, value: str, kept: bool):
    intent = f"<Intents><Keyword>SPECTRAL_MODE</Keyword><Value>{value}</Value></Intents>"
    text = processing_request([*STANDARD_RECIPE, ("breakpoint", {})])
    stages = stages_to_run(
        read(tmp_path, text.replace("<ProcessingIntents/>", f"<ProcessingIntents>{intent}</ProcessingIntents>"))
    )
    assert ("hifv_hanning" in [stage.task for stage in stages]) == kept
    assert len(stages) == len(STANDARD_RECIPE) - (not kept)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no XML",
        "<SciPipeRequest>",
        "<SciPipeRequest/>",
        processing_request(STANDARD_RECIPE).replace("<Operator>vlapipe</Operator>", ""),
        processing_request(STANDARD_RECIPE).replace("<ProcessingIntents/>", ""),
        processing_request(STANDARD_RECIPE).replace("<RelativePath>run</RelativePath>", ""),
        processing_request(STANDARD_RECIPE).replace("<RelativePath>run<", "<RelativePath>016<"),
        processing_request(STANDARD_RECIPE, relative_path=""),
        processing_request(STANDARD_RECIPE, sdms=0),
        processing_request(STANDARD_RECIPE, sdms=2),
        processing_request(STANDARD_RECIPE).replace(EXECUTION_BLOCK, ""),
        processing_request(STANDARD_RECIPE).replace(EXECUTION_BLOCK, f"<!-- -->{EXECUTION_BLOCK}"),
        processing_request(STANDARD_RECIPE).replace("<Mode>SCIENCE<", "<Mode><"),
        processing_request(STANDARD_RECIPE).replace("<Mode>SCIENCE</Mode>", "<Mode>SCIENCE</Mode>" * 2),
        processing_request(STANDARD_RECIPE).replace("<ProcessingIntents/>", "<ProcessingIntents/><attributes/>"),
        processing_request([]),
    ],
)
def test_undecodable(tmp_path: Path, text: str):
    with pytest.raises(UndecodableRequestError):
        read(tmp_path, text)


def test_missing_file_is_undecodable(tmp_path: Path):
    with pytest.raises(UndecodableRequestError):
        read_processing_request(tmp_path / "PPR.xml")
