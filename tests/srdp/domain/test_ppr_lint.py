from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.srdp.domain.linting import assert_sound

from srdp.domain.identifiers import execution_block_name, pipeline_run_id
from srdp.domain.lint import LintFailed, Report
from srdp.domain.ppr import read_processing_request, recipe_template, recipes, render_vla_processing_request
from srdp.domain.ppr_lint import lint_processing_request
from srdp.domain.subject import vla_subject

TEMPLATES = Path(__file__).parents[3] / "include" / "templates"
EB = execution_block_name("13A-537.sb24066356.eb24324502.56514.05971091435")
RUN = pipeline_run_id("vla-20261122-182453-4f7k")


def rendered(recipe: str) -> str:
    return render_vla_processing_request(
        recipe_template(TEMPLATES, recipe),
        execution_block=EB,
        pipeline_run_id=RUN,
        processing_site="Socorro",
        operator="vlapipe",
    ).decode()


STANDARD = rendered("vla_calibration")
LINES = STANDARD.split("\n")


def lint(text: str, **options: object) -> Report:
    return lint_processing_request(text.encode(), subject=vla_subject(EB), **options)


def place(part: str, text: str = STANDARD) -> tuple[int, int]:
    """Line and column at which a part of the text begins."""
    before = text[: text.index(part)]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


@pytest.mark.parametrize("recipe", [recipe for recipe in recipes(TEMPLATES) if recipe.startswith("vla_")])
def test_our_own_recipes_pass(recipe: str) -> None:
    assert lint(rendered(recipe), analyst_files=["flagtemplate.txt", "flux.csv"]) == Report()


@pytest.mark.parametrize(
    "text",
    [
        STANDARD.replace("<SciPipeRequest>", '<SciPipeRequest xmlns="urn:any">'),
        STANDARD.replace("\n", "\r\n"),
        STANDARD.replace('<?xml version="1.0" encoding="UTF-8"?>\n', ""),
        STANDARD.replace(f"<RelativePath>{RUN}<", "<RelativePath>former/run<"),
        STANDARD.replace("<Value>0.01<", "<Value>+1<").replace("<Value>1.5int<", "<Value>True<"),
        STANDARD.replace("<Value>0.01<", "<Value/><").replace("<Value/></Value>", "<Value/>"),
        STANDARD.replace("<ProjectSummary>", "<!-- by hand --><ProjectSummary>"),
    ],
)
def test_what_a_person_may_change_passes(text: str) -> None:
    assert lint(text) == Report()


def summary_without(name: str) -> str:
    [line] = [line for line in LINES if f"<{name}>" in line]
    return STANDARD.replace(f"{line}\n", "")


SDM = f"<SdmIdentifier>{EB}</SdmIdentifier>"
PATH = f"<RelativePath>{RUN}</RelativePath>"
STATWT = "<ProcessingCommand><Command>hifv_statwt</Command><ParameterSet/></ProcessingCommand>"
EXPORT = "<ProcessingCommand><Command>hifv_exportdata</Command><ParameterSet/></ProcessingCommand>"
BUFFER = "<Parameter><Keyword>hm_tbuff</Keyword><Value>1.5int</Value></Parameter>"


def with_parameter(parameter: str) -> str:
    return STANDARD.replace(BUFFER, BUFFER + parameter)


# What is edited, where the finding points (the first of this part), what it quotes, and its sentence.
BAD = [
    # structure
    *(
        (summary_without(name), "<ProjectSummary>", "ProjectSummary", f"has no <{name}>")
        for name in ("ProposalCode", "Observatory", "Telescope", "ProcessingSite", "Operator", "Mode")
    ),
    (
        STANDARD.replace("ProjectSummary>", "ProjectSumary>"),
        "<SciPipeRequest>",
        "SciPipeRequest",
        "has no <ProjectSummary>",
    ),
    ("<SciPipeRequest><ProjectSummary/></SciPipeRequest>", "<Sci", "SciPipeRequest", "has no <ProcessingRequests>"),
    (
        STANDARD.replace("<ProcessingIntents>", "<Intended>").replace("</ProcessingIntents>", "</Intended>"),
        "<ProcessingRequest>",
        "ProcessingRequest",
        "add one to the <ProcessingRequest>",
    ),
    (STANDARD.replace(PATH, ""), "<DataSet>", "DataSet", "has no <RelativePath>"),
    (STANDARD.replace(PATH, PATH * 2), f"{PATH}\n", "RelativePath", "of which the pipeline takes the first"),
    (
        STANDARD.replace("</ProcessingRequest>", "</ProcessingRequest><ProcessingRequest/>"),
        "<ProcessingRequest/>",
        "ProcessingRequest",
        "is there twice in its <ProcessingRequests>",
    ),
    # data
    (STANDARD.replace(SDM, ""), "<DataSet>", "DataSet", "has no <SdmIdentifier>"),
    (STANDARD.replace(SDM, SDM * 2), f"{SDM}\n", EB, "would then process none"),
    (STANDARD.replace(f"{EB}<", "16A-1.sb1.eb1.57000.1<"), "<SdmId", "16A-1.sb1.eb1.57000.1", f"name {EB} alone"),
    (STANDARD.replace(f"{EB}<", "<"), "<SdmId", "", f"name {EB} alone"),
    *(
        (STANDARD.replace(f"{RUN}<", f"{path}<"), "<RelativePath>", path, "the name of the run's directory")
        for path in ("", "/", "/etc", "..", "a/../../b")
    ),
    # recipe
    (
        STANDARD.replace(STATWT, STATWT.replace("<ParameterSet/>", "")),
        STATWT.replace("<ParameterSet/>", ""),
        "hifv_statwt",
        "has no ParameterSet, and the pipeline would drop it and the 4 later stages in silence: add <ParameterSet/>.",
    ),
    (
        STANDARD.replace("<Command>hifv_statwt<", "<Command> <"),
        "<ProcessingCommand><Command> <",
        "ProcessingCommand",
        "has no Command, and the pipeline would drop it and the 4 later stages",
    ),
    (
        STANDARD.replace("<Command>hifv_statwt</Command>", ""),
        "<ProcessingCommand><ParameterSet/>",
        "ProcessingCommand",
        "name its <Command>",
    ),
    (
        STANDARD.replace(STATWT, STATWT.replace("ParameterSet", "ParameterSets")),
        "<ParameterSets/>",
        "ParameterSets",
        "write <Command> or <ParameterSet>",
    ),
    (
        STANDARD.replace(STATWT, STATWT.replace("ProcessingCommand", "ProcesingCommand")),
        "<ProcesingCommand>",
        "ProcesingCommand",
        "the pipeline passes over it",
    ),
    (
        STANDARD.replace("<Command>hifv_statwt</Command>", "<Command>hifv_statwt</Command><Command>x</Command>"),
        "<Command>x",
        "Command",
        "of which the pipeline takes the first",
    ),
    (
        STANDARD.replace(EXPORT, ""),
        "<ProcessingCommand>\n          <Command>hif_makeimages",
        "hif_makeimages",
        "hifv_ex",
    ),
    (STANDARD.replace(EXPORT, EXPORT + STATWT), f"{STATWT}\n      </Pro", "hifv_statwt", "would leave no products"),
    # parameters
    (with_parameter(BUFFER), f"{BUFFER}\n", "hm_tbuff", "is given 2 times to hifv_flagdata, of which the last wins"),
    (with_parameter("<Parameter><Value>1</Value></Parameter>"), "<Parameter><V", "Parameter", "has no <Keyword>"),
    (
        with_parameter("<Parameter><Keyword>a</Keyword></Parameter>"),
        "<Parameter><Keyword>a<",
        "Parameter",
        "no <Value>",
    ),
    (
        with_parameter("<Parameter><Keyword> </Keyword><Value>1</Value></Parameter>"),
        "<Parameter><Keyword> <",
        "",
        "name the parameter",
    ),
    (STANDARD.replace("<Value>0.01<", "<Value>016<"), "<Value>016", "016", "reach fracspw as the number 16: write 16."),
    (STANDARD.replace("<Value>0.01<", "<Value>1_0<"), "<Value>1_0", "1_0", "as the number 10"),
    (STANDARD.replace("<Value>0.01<", "<Value>None<"), "<Value>None", "None", "as the text 'None': remove the para"),
]


@pytest.mark.parametrize(("text", "at", "value", "sentence"), BAD, ids=[f"{at} {what}" for _, at, _, what in BAD])
def test_a_trap_is_named_by_place_with_its_cure(text: str, at: str, value: str, sentence: str) -> None:
    assert text != STANDARD
    [finding] = [each for each in lint(text).findings if sentence in each.sentence]
    assert (finding.file, finding.value) == ("PPR.xml", value)
    assert (finding.line, finding.column) == place(at, text)


@pytest.mark.parametrize(
    ("content", "line", "column", "sentence"),
    [
        ("", 1, 1, "is not well-formed XML"),
        ("nonsense", 1, 1, "is not well-formed XML"),
        ("<SciPipeRequest>\n  <a>\n</SciPipeRequest>", 3, 18, "is not well-formed XML"),
        ("<html/>", 1, 1, "begins with <'html'>, not with <SciPipeRequest>"),
        ("<?xml version='1.0'?>\n<html/>", 2, 1, "begins with <'html'>"),
        ('<?xml version="1.0"?>\n <!DOCTYPE r [<!ENTITY a "b">]>\n<SciPipeRequest/>', 2, 2, "remove it"),
        ("<SciPipeRequest>&x;</SciPipeRequest>", 1, None, "is not well-formed XML"),
    ],
)
def test_what_is_no_ppr_is_one_finding(content: str, line: int, column: int | None, sentence: str) -> None:
    [finding] = lint(content).findings
    assert finding.line == line
    assert column is None or finding.column == column
    assert sentence in finding.sentence


@pytest.mark.parametrize(
    ("text", "at", "sentence"),
    [
        (STANDARD.replace(">13A-537<", ">16B-001<"), "<ProposalCode>", "write 13A-537"),
        (STANDARD.replace(">SCIENCE<", "><"), "<Mode>", "is empty"),
        (STANDARD.replace("<Value>0.01<", "<Value>inf<"), "<Value>inf", "may reach fracspw as a number"),
        (STANDARD.replace("<Value>0.01<", "<Value>true<"), "<Value>true", "write True if a truth value is meant"),
    ],
)
def test_what_may_be_meant_is_only_odd(text: str, at: str, sentence: str) -> None:
    report = lint(text)
    assert not report.findings
    [warning] = report.warnings
    assert (warning.line, warning.column) == place(at, text)
    assert sentence in warning.sentence


def test_everything_is_said_at_once() -> None:
    text = (
        STANDARD.replace(STATWT, STATWT.replace("<ParameterSet/>", ""))
        .replace("<Value>0.01<", "<Value>016<")
        .replace(SDM, SDM * 2)
        .replace(PATH, "")
        .replace(EXPORT, "")
    )
    report = lint(text, file="/home/da/PPR.xml")
    with pytest.raises(LintFailed) as failure:
        report.refuse()
    lines = str(failure.value).splitlines()
    assert len(lines) == 5
    assert all(line.startswith("/home/da/PPR.xml, line ") for line in lines)


def test_a_flag_template_needs_a_stage_that_reads_it() -> None:
    begin = STANDARD.index("<ProcessingCommand>\n          <Command>hifv_flagdata")
    end = STANDARD.index("</ProcessingCommand>", begin) + len("</ProcessingCommand>")
    without = STANDARD[:begin] + STANDARD[end:]
    assert lint(without) == Report()
    [finding] = lint(without, analyst_files=["flagtemplate.txt"]).findings
    assert "its name ends in _flagdata" in finding.sentence
    assert (finding.line, finding.column) == place("<ProcessingCommand>", without)
    other = STANDARD.replace("hifv_flagdata", "site_flagdata")
    assert lint(other, analyst_files=["flagtemplate.txt"]) == Report()


def test_a_stage_that_is_told_not_to_read_the_flag_template_does_not_count() -> None:
    text = with_parameter("<Parameter><Keyword>template</Keyword><Value>False</Value></Parameter>")
    assert lint(text) == Report()
    [finding] = lint(text, analyst_files=["flagtemplate.txt"]).findings
    assert "is told by template=False not to read the flagtemplate.txt" in finding.sentence
    assert lint(text.replace(">False<", ">True<"), analyst_files=["flagtemplate.txt"]) == Report()


def test_places_count_characters_and_survive_other_encodings() -> None:
    text = STANDARD.replace("<ProjectSummary>", "<!-- \u00e9\u00e9 --><ProjectSummary>").replace(
        SDM, f"\u00e9{SDM}{SDM}"
    )
    [finding] = lint(text).findings
    assert (finding.line, finding.column) == place(f"{SDM}\n", text)
    latin = text.replace("UTF-8", "ISO-8859-1").encode("latin-1")
    [finding] = lint_processing_request(latin, subject=vla_subject(EB)).findings
    assert (finding.line, finding.column) == place(f"{SDM}\n", text)


# --- properties ---------------------------------------------------------------------------------------------------

pieces = (
    st.sampled_from([STATWT, EXPORT, SDM, PATH, BUFFER])
    | st.sampled_from(["<", ">", "</", "/>", "&", "<!--", "-->", "<![CDATA[", "]]>", "\n", "\x00"])
    | st.sampled_from(["<SciPipeRequest>", "</SciPipeRequest>", "<ProcessingRequest>", "<DataSet>"])
    | st.characters()
)


@given(
    st.binary(max_size=200) | st.lists(pieces, max_size=25).map(lambda p: "".join(p).encode("utf-8", "surrogatepass"))
)
def test_any_bytes_give_a_report_that_points_into_the_file(content: bytes) -> None:
    assert_sound(lint_processing_request(content, subject=vla_subject(EB), analyst_files=["flagtemplate.txt"]), content)


@given(st.lists(st.tuples(st.integers(0, len(STANDARD)), st.integers(0, 60), pieces), min_size=1, max_size=3))
def test_any_damage_to_a_good_file_gives_a_sound_report(cuts: list[tuple[int, int, str]]) -> None:
    text = STANDARD
    for begin, length, piece in cuts:
        text = text[:begin] + piece + text[begin + length :]
    content = text.encode("utf-8", "surrogatepass")
    assert_sound(lint_processing_request(content, subject=vla_subject(EB)), content)


@given(st.lists(st.tuples(st.integers(0, len(LINES) - 1), st.integers(0, 3)), min_size=1, max_size=4))
def test_what_passes_is_what_the_reader_keeps(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[tuple[int, int]]
) -> None:
    lines = list(LINES)
    for begin, length in cuts:
        del lines[begin : begin + length]
    text = "\n".join(lines)
    if lint(text).findings:
        return
    path = tmp_path_factory.getbasetemp() / "PPR.xml"
    path.write_text(text)
    request = read_processing_request(path)
    assert request.dropped == 0
    assert len(request.commands) == text.count("<Command>")
    assert request.commands[-1].endswith("_exportdata")
    assert request.sdm_identifiers == (EB,)


names = st.from_regex(r"[a-z]+_[A-Za-z]+", fullmatch=True).filter(lambda name: not name.endswith("_exportdata"))
values = st.from_regex(r"[A-Za-z_]+[0-9.,~*]*", fullmatch=True).filter(lambda value: value.lower() not in _ODD)
_ODD = {"none", "true", "false", "inf", "nan", "infinity"}
stages = st.lists(st.tuples(names, st.dictionaries(names, values, max_size=3)), max_size=6)


@given(stages, st.sampled_from(["", "None", "016"]), st.integers(0, 5))
def test_a_recipe_of_good_parts_passes_and_one_trap_in_it_is_found(
    recipe: list[tuple[str, dict[str, str]]], trap: str, at: int
) -> None:
    commands = []
    for number, (name, parameters) in enumerate(recipe):
        listed = dict(parameters)
        if trap and number == at:
            listed["trap"] = trap
        inner = "".join(
            f"<Parameter><Keyword>{keyword}</Keyword><Value>{value}</Value></Parameter>"
            for keyword, value in listed.items()
        )
        commands.append(
            f"<ProcessingCommand><Command>{name}</Command><ParameterSet>{inner}</ParameterSet></ProcessingCommand>"
        )
    begin = STANDARD.index("</ProcedureTitle>") + len("</ProcedureTitle>")
    end = STANDARD.index(EXPORT)
    text = STANDARD[:begin] + "\n".join(["", *commands, ""]) + STANDARD[end:]
    found = lint(text).findings
    assert [finding.value for finding in found] == ([trap] if trap and at < len(recipe) else [])
