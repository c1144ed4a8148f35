from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.srdp.domain.alma_files import ASDMS, FIRST, MOUS, SECOND, SUBJECT, asked, processing_request, stage_in
from tests.srdp.domain.linting import assert_sound
from tests.srdp.domain.standard_recipes import ALMA_RECIPES, VLA_RECIPES, parsed, with_recipe

from srdp.domain.common.lint import LintFailed, Report
from srdp.domain.common.pipeline_values import cast_text
from srdp.domain.ppr.document import (
    parse_processing_request,
    recipe_template,
    recipes,
    render_vla_processing_request,
)
from srdp.domain.ppr.lint import lint_processing_request
from srdp.domain.ppr.markup import parse_ppr
from srdp.domain.ppr.reader import read_ppr
from srdp.domain.ppr.subject import Subject
from srdp.domain.runs.identifiers import execution_block_name, pipeline_run_id
from srdp.families.alma_imaging import alma_subject
from srdp.families.vla_calibration import vla_subject

TEMPLATES = Path(__file__).parents[4] / "include" / "templates"
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
IMAGING = processing_request().decode()
#: The families: what is processed, a good PPR, and the file of an analyst that only some stages read.
FAMILIES = [
    pytest.param(vla_subject(EB), STANDARD, "flagtemplate.txt", id="vla"),
    pytest.param(SUBJECT, IMAGING, "flagtargetstemplate.txt", id="alma"),
]


SDM = f"<SdmIdentifier>{EB}</SdmIdentifier>"
PATH = f"<RelativePath>{RUN}</RelativePath>"
STATWT = "<ProcessingCommand><Command>hifv_statwt</Command><ParameterSet/></ProcessingCommand>"
SPECTRAL = "<Intents><Keyword>SPECTRAL_MODE</Keyword><Value>True</Value></Intents>"
EXPORT = "<ProcessingCommand><Command>hifv_exportdata</Command><ParameterSet/></ProcessingCommand>"
BREAK = "<ProcessingCommand><Command>breakpoint</Command><ParameterSet/></ProcessingCommand>"
BUFFER = "<Parameter><Keyword>hm_tbuff</Keyword><Value>1.5int</Value></Parameter>"


def lint(text: str, **options: object) -> Report:
    return lint_processing_request(text.encode(), subject=vla_subject(EB), **options)


def place(part: str, text: str = STANDARD) -> tuple[int, int]:
    """Line and column at which a part of the text begins."""
    before = text[: text.index(part)]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


@pytest.mark.parametrize("recipe", [recipe for recipe in recipes(TEMPLATES) if recipe.startswith("vla_")])
def test_our_own_recipes_pass(recipe: str) -> None:
    assert lint(rendered(recipe), analyst_files=["flagtemplate.txt", "flux.csv"]) == Report()


@pytest.mark.parametrize("title", [*VLA_RECIPES, *ALMA_RECIPES])
def test_standard_recipes_pass_the_linter(title: str) -> None:
    alma = title in ALMA_RECIPES
    stages = {**VLA_RECIPES, **ALMA_RECIPES}[title]
    content = with_recipe(IMAGING if alma else STANDARD, title, stages).encode()
    assert lint_processing_request(content, subject=SUBJECT if alma else vla_subject(EB)).findings == ()
    reading = read_ppr(parse_ppr(content, "PPR.xml"), alma=alma)
    meant = [(name, {key: cast_text(value) for key, value in given.items()}) for name, given in map(parsed, stages)]
    assert [(command.name, dict(command.parameters)) for command in reading.commands] == meant
    run = [name for name, _ in meant if name != "breakpoint"]
    assert list(parse_processing_request(content, "PPR.xml").commands) == run


@pytest.mark.parametrize(
    "text",
    [
        STANDARD.replace("<SciPipeRequest>", '<SciPipeRequest xmlns="urn:any">'),
        STANDARD.replace("\n", "\r\n"),
        STANDARD.replace('<?xml version="1.0" encoding="UTF-8"?>\n', ""),
        STANDARD.replace(f"<RelativePath>{RUN}<", "<RelativePath>former/run<"),
        STANDARD.replace("<Value>0.01<", "<Value>+1<").replace("<Value>1.5int<", "<Value>True<"),
        *(
            STANDARD.replace("<Value>0.01<", f"<Value>{value}<")
            for value in ("true", "FALSE", " 0.01 ", "1e-2", "none")
        ),
        STANDARD.replace("</ProcessingIntents>", f"{SPECTRAL}</ProcessingIntents>").replace(
            STATWT, BREAK + STATWT + BREAK
        ),
        STANDARD.replace(EXPORT, EXPORT + BREAK),
        STANDARD.replace("<ProjectSummary>", "<ProjectStructure>Undefined</ProjectStructure><ProjectSummary>"),
        STANDARD.replace("<DataSet>", "<DataSet><DataType>asdm</DataType>"),
        STANDARD.replace("<Value>0.01<", "<Value/><").replace("<Value/></Value>", "<Value/>"),
        STANDARD.replace("<ProjectSummary>", "<!-- by hand --><ProjectSummary>"),
    ],
)
def test_what_a_person_may_change_passes(text: str) -> None:
    assert lint(text) == Report()


def summary_without(name: str) -> str:
    [line] = [line for line in LINES if f"<{name}>" in line]
    return STANDARD.replace(f"{line}\n", "")


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
    (STANDARD.replace(PATH, PATH * 2), f"{PATH}\n", "RelativePath", "the pipeline's reader would find neither"),
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
        "has no ParameterSet, and the pipeline would silently drop it and the 4 later stages: add <ParameterSet/>.",
    ),
    (
        STANDARD.replace("<Command>hifv_statwt<", "<Command> <"),
        "<Command> <",
        "",
        "is a <Command> of nothing but blanks, which the pipeline takes for its text: fill it in.",
    ),
    (
        STANDARD.replace("<Command>hifv_statwt</Command>", ""),
        "<ProcessingCommand><ParameterSet/>",
        "ProcessingCommand",
        "name its <Command>",
    ),
    *(
        (
            STANDARD.replace(">hifv_statwt<", f">{name}<"),
            f"<ProcessingCommand><Command>{name}<",
            name,
            "no name of a stage",
        )
        for name in ("hifv statwt", "hifv-statwt", "hifv_statwt()", "# hifv_statwt")
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
        "the pipeline's reader would find neither",
    ),
    (
        STANDARD.replace(EXPORT, ""),
        "<ProcessingCommand>\n          <Command>hif_makeimages",
        "hif_makeimages",
        "hifv_ex",
    ),
    (STANDARD.replace(EXPORT, EXPORT + STATWT), f"{STATWT}\n      </Pro", "hifv_statwt", "would leave no products"),
    # what the pipeline reads otherwise than a person
    (
        STANDARD.replace("<Command>hifv_statwt<", "<Command>hifv_<!-- -->statwt<"),
        "<Command>hifv_<!",
        "hifv_statwt",
        "would silently drop this stage and all later ones: write <Command>hifv_statwt</Command> and nothing else in",
    ),
    *(
        (
            STANDARD.replace("<Command>hifv_statwt<", f"<Command>{text}<"),
            "<Command>" + text[:9],
            value,
            sentence,
        )
        for text, value, sentence in (
            ("<?x y?>hifv_statwt", "hifv_statwt", "has a processing instruction in its <Command>"),
            ("<![CDATA[hifv_statwt]]>", "hifv_statwt", "has a CDATA section in its <Command>"),
            ("<b>hifv_statwt</b>", "", "has a <b> in its <Command>"),
            (" hifv_statwt", " hifv_statwt", "has blanks around it, which the pipeline takes for part of it"),
            ("hifv_statwt\u200b", "hifv_statwt\u200b", "has an invisible character in it (U+200B)"),
            ("007", "007", "is read as 7, and the pipeline would end where it needs a text"),
        )
    ),
    *(
        (
            STANDARD.replace("<Keyword>fracspw</Keyword><Value>0.01<", f"<Keyword>{keyword}</Keyword><Value>{text}<"),
            at,
            value,
            sentence,
        )
        for keyword, text, at, value, sentence in (
            ("fracspw", " True", "<Value> True", " True", "has blanks around it"),
            (
                "fracspw",
                " ",
                "<Value> <",
                "",
                "is a <Value> of nothing but blanks, which the pipeline takes for its text",
            ),
            ("fracspw", "0.01<b/>", "<Value>0.01<b", "0.01", "so that the stage would get an empty text"),
            ("fracspw", "NaN", "<Value>NaN", "NaN", "would reach fracspw as the number nan"),
            ("fracspw", "1e999", "<Value>1e999", "1e999", "would reach fracspw as the number inf"),
            ("fracspw", "1_0.5", "<Value>1_0.5", "1_0.5", "would reach fracspw as the number 10.5"),
            (
                "field",
                "1E5",
                "<Value>1E5",
                "1E5",
                'which is the name of no field: write "1E5" with the quotation marks',
            ),
            (
                "frac<!-- -->spw",
                "0.01",
                "<Keyword>frac<!",
                "fracspw",
                "would silently drop this parameter and all later ones",
            ),
            ("1", "0.01", "<Keyword>1<", "1", "is read as 1, and the pipeline would end"),
            ("frac spw", "0.01", "<Parameter><Keyword>frac", "frac spw", "is no keyword of hifv_flagdata"),
        )
    ),
    (
        STANDARD.replace(
            "hifv_importdata</Command><ParameterSet/>",
            "hifv_importdata</Command><ParameterSet>"
            "<Parameter><Keyword>vis</Keyword><Value>x</Value></Parameter></ParameterSet>",
        ),
        "<Parameter><Keyword>vis",
        "vis",
        "is given to hifv_importdata, for which the pipeline replaces it by what the PPR's DataSet names",
    ),
    *(
        (
            STANDARD.replace(">hifv_statwt<", f">{name}<"),
            f"<ProcessingCommand><Command>{name}",
            name,
            "is the name of no stage, and the pipeline would stop there: write hifv_statwt.",
        )
        for name in ("hifv_statwtt", "hifv_stawt", "hifv_statWt", "hifv_sttawt", "hifv_statwe")
    ),
    *(
        (
            STANDARD.replace(">vlapipe<", f">{operator}<"),
            "<Operator>",
            value,
            sentence,
        )
        for operator, value, sentence in (
            ("007", "007", "is read as 7, and the pipeline would end where it needs a text"),
            ("TRUE", "TRUE", "is read as True"),
            (
                "vla<!-- -->pipe",
                "vlapipe",
                "has a comment in its <Operator>, so that the pipeline would refuse the whole",
            ),
            ("", "", "is an empty <Operator>, so that the pipeline would refuse the whole PPR: fill it in."),
        )
    ),
    (
        STANDARD.replace("<Mode>", "<Mode>x</Mode><Mode>"),
        "<Mode>SCIENCE",
        "Mode",
        "is there twice in its <ProjectSummary>",
    ),
    (STANDARD.replace(">hifv<", ">hi/fv<"), "<ProcedureTitle>", "hi/fv", "the pipeline names its products by it"),
    (
        STANDARD.replace(STATWT, f"# {STATWT}"),
        "<ProcessingProcedure>",
        "#",
        "is between the elements of a <ProcessingProcedure>, where the pipeline passes over it",
    ),
    (
        STANDARD.replace("</ProcessingProcedure>", f"</ProcessingProcedure>{STATWT}"),
        f"{STATWT}\n      <DataSet>",
        "ProcessingCommand",
        "where the pipeline does not look for it: move it into its <ProcessingProcedure>, or remove it.",
    ),
    (
        STANDARD.replace("<DataSet>", "<DataSet><Relativepath>x</Relativepath>"),
        "<Relativepath>",
        "Relativepath",
        "is not known in a <DataSet>, and the pipeline passes over it: write <RelativePath>, or remove it.",
    ),
    (
        STANDARD.replace("</ProcessingIntents>", f"{SPECTRAL.replace('True', 'yes')}</ProcessingIntents>"),
        "<Value>yes",
        "yes",
        "is no value of SPECTRAL_MODE: some releases take it for True, some for False",
    ),
    (
        STANDARD.replace("<ProjectSummary>", "<attributes/><ProjectSummary>"),
        "<attributes/>",
        "attributes",
        "makes the pipeline end before its first stage, because its reader cannot handle an element called attributes",
    ),
    (
        STANDARD.replace(f">{RUN}<", f">{'x' * 256}<"),
        "<RelativePath>",
        "x" * 256,
        "is no RelativePath of a directory below",
    ),
    (STANDARD.replace(f">{RUN}<", ">016<"), "<RelativePath>", "016", "is read as 16"),
    # parameters
    (with_parameter(BUFFER), f"{BUFFER}\n", "hm_tbuff", "is given 2 times to hifv_flagdata, and the last wins"),
    (with_parameter("<Parameter><Value>1</Value></Parameter>"), "<Parameter><V", "Parameter", "has no <Keyword>"),
    (
        with_parameter("<Parameter><Keyword>a</Keyword></Parameter>"),
        "<Parameter><Keyword>a<",
        "Parameter",
        "no <Value>",
    ),
    (
        with_parameter("<Parameter><Keyword> </Keyword><Value>1</Value></Parameter>"),
        "<Keyword> <",
        "",
        "is a <Keyword> of nothing but blanks",
    ),
    (
        STANDARD.replace("<Value>0.01<", "<Value>01<!-- was 0.01 -->6<"),
        "<Value>01",
        "016",
        "has a comment in its <Value>, so that the stage would get an empty text: write <Value>016</Value>",
    ),
    (STANDARD.replace("<Value>0.01<", "<Value>016<"), "<Value>016", "016", "reach fracspw as the number 16: write 16."),
    (STANDARD.replace("<Value>0.01<", "<Value>1_0<"), "<Value>1_0", "1_0", "as the number 10"),
    (STANDARD.replace("<Value>0.01<", "<Value>None<"), "<Value>None", "None", "as the text 'None': remove the para"),
]


@pytest.mark.parametrize(("text", "at", "value", "sentence"), BAD, ids=[f"{at} {what}" for _, at, _, what in BAD])
def test_a_trap_is_named_by_place_with_its_fix(text: str, at: str, value: str, sentence: str) -> None:
    assert text != STANDARD
    [finding] = [each for each in lint(text).findings if sentence in each.sentence]
    assert (finding.file, finding.value) == ("PPR.xml", value)
    assert (finding.line, finding.column) == place(at, text)


@pytest.mark.parametrize(
    ("content", "line", "column", "sentence"),
    [
        ("", 1, 1, "is not well-formed XML"),
        ("nonsense", 1, 1, "is not well-formed XML"),
        ("<SciPipeRequest>\n  <a>\n</SciPipeRequest>", 3, 3, "is not well-formed XML"),
        ("<SciPipeRequest><p:a/></SciPipeRequest>", 1, None, "is not well-formed XML ('unbound prefix')"),
        ('<?xml version="1.0" encoding="shift_jis"?><SciPipeRequest/>', 1, 1, "an encoding that the pipeline does not"),
        ("<SciPipeRequest>" + "<a>" * 200, 1, None, "is nested too deeply"),
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
        (
            STANDARD.replace(">hifv_statwt<", ">hifv_ownStage<"),
            "<ProcessingCommand><Command>hifv_own",
            "is no stage that this check knows",
        ),
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
    assert "add hifv_flagdata where the standard recipe has it" in finding.sentence
    assert (finding.line, finding.column) == place("<ProcessingCommand>", without)


def test_stage_with_template_false_does_not_count() -> None:
    text = with_parameter("<Parameter><Keyword>template</Keyword><Value>False</Value></Parameter>")
    assert lint(text) == Report()
    [finding] = lint(text, analyst_files=["flagtemplate.txt"]).findings
    assert "has template=False, so it does not read the flagtemplate.txt" in finding.sentence
    assert lint(text.replace(">False<", ">True<"), analyst_files=["flagtemplate.txt"]) == Report()


def test_places_count_characters_and_survive_other_encodings() -> None:
    text = STANDARD.replace("<ProjectSummary>", "<!-- \u00e9\u00e9 --><ProjectSummary>").replace(
        SDM, f"<!-- \u00e9 -->{SDM}{SDM}"
    )
    [finding] = lint(text).findings
    assert (finding.line, finding.column) == place(f"{SDM}\n", text)
    latin = text.replace("UTF-8", "ISO-8859-1").encode("latin-1")
    [finding] = lint_processing_request(latin, subject=vla_subject(EB)).findings
    assert (finding.line, finding.column) == place(f"{SDM}\n", text)


# --- ALMA ---------------------------------------------------------------------------------------------------------

ONE, OTHER = (each.uid for each in ASDMS)
SESSION = f"<Intents><Keyword>SESSION_1</Keyword><Value>{ONE} | {OTHER}</Value></Intents>"
SPLIT = "<ProcessingCommand><Command>hif_mstransform</Command><ParameterSet/></ProcessingCommand>"
FIND = stage_in(IMAGING.encode(), "hif_findcont").decode()
MAKE = "<ProcessingCommand><Command>hif_makeimages</Command><ParameterSet/></ProcessingCommand>"
FLAG = "<ProcessingCommand><Command>hifa_flagtargets</Command><ParameterSet/></ProcessingCommand>"
RESTORE = "<ProcessingCommand>\n          <Command>hifa_restoredata"
LIST = "<ProcessingCommand>\n          <Command>hif_makeimlist"
EXPORT_IMAGES = "<ProcessingCommand>\n          <Command>hifa_exportdata"
ASDM = "<AsdmIdentifier>\n              <AsdmRef><ExecBlockId>"
COPY = "<Parameter><Keyword>copytoraw</Keyword><Value>False</Value></Parameter>"


def lint_alma(text: str, **options: object) -> Report:
    return lint_processing_request(text.encode(), subject=SUBJECT, **options)


def session(*members: str) -> str:
    """The intents that say which ASDMs are of which session; an empty text leaves out a number."""
    return "".join(
        f"<Intents><Keyword>SESSION_{number}</Keyword><Value>{member}</Value></Intents>"
        for number, member in enumerate(members, start=1)
        if member
    )


@pytest.mark.parametrize(
    "text",
    [
        *(
            processing_request(asked(**change)).decode()
            for change in (
                {},
                {"cubes": None},
                {"continuum": False, "self_calibration": True},
                {"angular_resolution_arcsec": None},
            )
        ),
        IMAGING.replace(SESSION, session(ONE, OTHER)),
        IMAGING.replace(SESSION, session(OTHER, ONE)),
        IMAGING.replace("<SciPipeRequest>", '<SciPipeRequest xmlns="urn:any">'),
        IMAGING.replace(">alma-20261122-182453-4f7k<", ">former/run<"),
        IMAGING.replace(FIND, "").replace(SPLIT, SPLIT + FLAG),
    ],
)
def test_a_request_for_images_passes(text: str) -> None:
    assert lint_alma(text) == Report()


BAD_IMAGING = [
    # what it images
    (IMAGING.replace(f'"{MOUS}"', '"uid://A001/X1/X2"'), "<OUSStatusRef", "uid://A001/X1/X2", f'entityId="{MOUS}"'),
    (IMAGING.replace(f' entityId="{MOUS}"', ""), "<OUSStatusRef", "", "is no entityId of this run's MOUS"),
    (IMAGING.replace("OUSStatusRef", "OUSRef"), "<ProjectStructure>", "ProjectStructure", "has no <OUSStatusRef>"),
    (IMAGING.replace("ProjectStructure>", "ProjectStruct>"), "<Sci", "SciPipeRequest", "has no <ProjectStructure>"),
    (STANDARD, "<Sci", "SciPipeRequest", "has no <ProjectStructure>"),
    # its ASDMs
    (IMAGING.replace(f">{OTHER}<", ">uid://A002/X1/X2<"), "<ExecBlockId>uid://A002/X1/X2", "uid://A002/X1/X2",
     f"is no ASDM of {MOUS}: name {ONE} and {OTHER} alone."),
    (IMAGING.replace(f">{OTHER}<", ">uid://A002/X1/X2<"), "<SchedBlockId", "SchedBlockIdentifier",
     f"<AsdmRef><ExecBlockId>{OTHER}</ExecBlockId></AsdmRef><AsdmDiskName>{SECOND}</AsdmDiskName></AsdmIdentifier>."),
    (IMAGING.replace(f">{OTHER}<", f">{ONE}<"),
     f"{ASDM}{ONE}</ExecBlockId></AsdmRef>\n              <AsdmDiskName>{SECOND}", ONE, "is named twice"),
    (IMAGING.replace(f">{SECOND}<", f">{FIRST}<"),
     f"<AsdmDiskName>{FIRST}</AsdmDiskName>\n            </AsdmIdentifier>\n          </", FIRST, f"write {SECOND}."),
    (IMAGING.replace(f">{SECOND}<", "><"), "<AsdmDiskName><", "", f"write {SECOND}."),
    (IMAGING.replace(f"<AsdmDiskName>{SECOND}</AsdmDiskName>", ""),
     f"{ASDM}{OTHER}", "AsdmIdentifier", "has no <AsdmDiskName>"),
    (IMAGING.replace("<RelativePath>alma", "<RelativePath>/alma"), "<RelativePath>/", "/alma-20261122-182453-4f7k",
     "is no RelativePath of a directory below the pipeline's root"),
    (IMAGING.replace("<SchedBlockSet>", "<RelativePath>x</RelativePath><SchedBlockSet>"), "<RelativePath>x",
     "RelativePath", "is not known in a <DataSet>, and the pipeline passes over it"),
    # sessions
    (IMAGING.replace(SESSION, session("", ONE, OTHER)), "<Intents><Keyword>SESSION_2", "SESSION_2", "without a gap"),
    (IMAGING.replace(SESSION, session(ONE, "", OTHER)), "<Intents><Keyword>SESSION_3", "SESSION_3", "drop it and all"),
    (IMAGING.replace(SESSION, SESSION * 2), f"{SESSION}\n", "SESSION_1", "and the last wins"),
    (IMAGING.replace("SESSION_1<", "SESSION_01<"), "<Intents><Keyword>SESSION_01", "SESSION_01",
     "it would drop this session and all later ones: write SESSION_1."),
    (IMAGING.replace(SESSION, session(ONE)), "<ProcessingIntents>", OTHER, "is in no session"),
    (IMAGING.replace(SESSION, ""), "<ProcessingIntents>", ONE, "add it to the Value of its session in the calib"),
    (IMAGING.replace(SESSION, session(f"{ONE}, {OTHER}")), f"<Value>{ONE}, ", f"{ONE}, {OTHER}", "is no ASDM of this"),
    (IMAGING.replace(SESSION, session(ONE, f"{ONE} | {OTHER}")), f"<Value>{ONE} | ", ONE, "is in a session already"),
    # what ALMA's reader reads otherwise than a person
    (IMAGING.replace(f">{SECOND}<", f"><!-- -->{SECOND}<"), "<AsdmDiskName><!--", SECOND,
     "has a comment in its <AsdmDiskName>, so that the pipeline would silently drop this ASDM and all later ones"),
    (IMAGING.replace(f' entityId="{MOUS}"', f' entityId=" {MOUS}"'), "<OUSStatusRef", f" {MOUS}", "no entityId"),
    (IMAGING.replace(f'"{MOUS}"', f'"{MOUS}" entityTypeName="1"'), "<OUSStatusRef", "1", "is read as 1"),
    (IMAGING.replace("SetTitle>Undefined<", "SetTitle>2019<"), "<ObsUnitSetTitle>", "2019", "is read as 2019"),
    (IMAGING.replace(SESSION, SESSION.replace("SESSION_1", " SESSION_1")), "<Keyword> SESSION_1", " SESSION_1",
     "has blanks around it"),
    # stages
    (IMAGING.replace(COPY, ""), f"{RESTORE}", "hifa_restoredata", "would look for it in products/"),
    (IMAGING.replace(COPY, COPY.replace("False", "True")), f"{RESTORE}", "hifa_restoredata", f"give it {COPY}."),
    (processing_request(asked(cubes=None)).decode().replace(MAKE, ""), f"{LIST}", "hif_makeimlist",
     f"is followed by no stage that makes the images which it lists: add {MAKE} behind it."),
    (processing_request(asked(cubes=None)).decode().replace(MAKE, ""), f"{EXPORT_IMAGES}", "hifa_exportdata",
     "comes without any stage that makes images: list them by one of hif_editimlist, hif_makeimlist, and add"),
    (IMAGING.replace(EXPORT_IMAGES, FLAG + EXPORT_IMAGES), FLAG, "hifa_flagtargets",
     "stands behind hif_uvcontsub, and cubes, which are made from what was split off there, would not have the flags"),
    (IMAGING.replace(SPLIT, SPLIT.replace("<ParameterSet/>", "")), "<ProcessingCommand><Command>hif_mstransform",
     "hif_mstransform", "silently drop it and the 11 later stages"),
    (IMAGING.replace(">488.28kHz<", ">016<"), "<Value>016", "016", "as the number 16"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "at", "value", "sentence"), BAD_IMAGING, ids=[f"{at} {what}" for _, at, _, what in BAD_IMAGING]
)
def test_a_trap_of_alma_is_named_by_place_with_its_fix(text: str, at: str, value: str, sentence: str) -> None:
    assert text != IMAGING
    [finding] = [each for each in lint_alma(text).findings if sentence in each.sentence and each.value == value]
    assert (finding.line, finding.column) == place(at, text)


def test_an_export_of_everything_is_only_odd() -> None:
    text = IMAGING.replace(">True<", ">False<")
    report = lint_alma(text)
    assert not report.findings
    [warning] = report.warnings
    assert "does not have imaging_products_only=True" in warning.sentence


def test_target_flags_need_their_stage() -> None:
    given = ["flagtargetstemplate.txt"]
    [finding] = lint_alma(IMAGING, analyst_files=given).findings
    assert (finding.value, finding.line, finding.column) == ("hif_mstransform", *place(SPLIT, IMAGING))
    assert f"add the line {FLAG} behind its </ProcessingCommand>" in finding.fix
    assert "ignores" in finding.problem
    # What it says is what helps.
    assert lint_alma(IMAGING.replace(SPLIT, f"{SPLIT}\n{FLAG}"), analyst_files=given) == Report()
    off = FLAG.replace("<ParameterSet/>", "<ParameterSet><Parameter><Keyword>template</Keyword><Value>False</Value>"
                       "</Parameter></ParameterSet>")  # fmt: skip
    [finding] = lint_alma(IMAGING.replace(SPLIT, f"{SPLIT}\n{off}"), analyst_files=given).findings
    assert "has template=False, so it does not read the flagtargetstemplate.txt" in finding.sentence
    [finding] = lint_alma(IMAGING.replace(SPLIT, ""), analyst_files=given).findings
    assert finding.value == "hifa_restoredata"


def test_continuum_ranges_exclude_findcont() -> None:
    [finding] = lint_alma(IMAGING, analyst_files=["cont.dat"]).findings
    assert (finding.value, finding.line, finding.column) == ("hif_findcont", *place(FIND, IMAGING))
    assert "may replace what is in the cont.dat: remove this whole <ProcessingCommand>" in finding.sentence
    assert lint_alma(IMAGING.replace(FIND, ""), analyst_files=["cont.dat"]) == Report()


def test_asdms_that_are_not_known_are_not_compared() -> None:
    unknown = Subject(inputs=SUBJECT.inputs, name=SUBJECT.name)
    assert lint_processing_request(IMAGING.encode(), subject=unknown) == Report()
    text = IMAGING.replace(SESSION, session(ONE))
    [finding] = lint_processing_request(text.encode(), subject=unknown).findings
    assert (finding.value, finding.problem) == (OTHER, "is in no session")


def test_an_asdm_is_in_the_session_in_which_it_was_calibrated() -> None:
    calibrated = replace(SUBJECT, sessions={OTHER: 2})
    apart = IMAGING.replace(SESSION, session(ONE, OTHER))
    assert lint_processing_request(apart.encode(), subject=calibrated) == Report()
    [finding] = lint_processing_request(IMAGING.encode(), subject=calibrated).findings
    assert (finding.value, finding.line) == (OTHER, place(f"<Value>{ONE} | ", IMAGING)[0])
    assert "has its tables in session_2: put it into the Value of SESSION_2" in finding.sentence


def test_a_ppr_of_another_family_is_no_ppr_of_this_run() -> None:
    assert lint(IMAGING).findings
    assert lint_alma(STANDARD).findings
    other = alma_subject("uid://A001/X1/X2", ASDMS)
    assert [each.value for each in lint_processing_request(IMAGING.encode(), subject=other).findings] == [MOUS]


# --- properties ---------------------------------------------------------------------------------------------------

pieces = (
    st.sampled_from([STATWT, EXPORT, SDM, PATH, BUFFER])
    | st.sampled_from(["<", ">", "</", "/>", "&", "<!--", "-->", "<![CDATA[", "]]>", "\n", "\x00"])
    | st.sampled_from(["<SciPipeRequest>", "</SciPipeRequest>", "<ProcessingRequest>", "<DataSet>"])
    | st.characters()
)


@pytest.mark.parametrize(("subject", "standard", "template"), FAMILIES)
@given(
    content=st.binary(max_size=200)
    | st.lists(pieces, max_size=25).map(lambda p: "".join(p).encode("utf-8", "surrogatepass"))
)
def test_any_bytes_give_a_report_that_points_into_the_file(
    subject: Subject, standard: str, template: str, content: bytes
) -> None:
    assert_sound(lint_processing_request(content, subject=subject, analyst_files=[template]), content)


@pytest.mark.parametrize(("subject", "standard", "template"), FAMILIES)
@given(cuts=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 60), pieces), min_size=1, max_size=3))
def test_any_damage_to_a_good_file_gives_a_sound_report(
    subject: Subject, standard: str, template: str, cuts: list[tuple[float, int, str]]
) -> None:
    text = standard
    for part, length, piece in cuts:
        begin = int(part * len(text))
        text = text[:begin] + piece + text[begin + length :]
    content = text.encode("utf-8", "surrogatepass")
    assert_sound(lint_processing_request(content, subject=subject, analyst_files=[template, "cont.dat"]), content)


@given(st.lists(st.tuples(st.integers(0, IMAGING.count("\n")), st.integers(0, 3)), min_size=1, max_size=4))
def test_what_passes_for_an_imaging_is_what_the_reader_keeps(cuts: list[tuple[int, int]]) -> None:
    lines = IMAGING.split("\n")
    for begin, length in cuts:
        del lines[begin : begin + length]
    text = "\n".join(lines)
    if lint_alma(text).findings:
        return
    request = parse_processing_request(text.encode(), "PPR.xml")
    assert (request.mous, set(request.asdms)) == (MOUS, set(ASDMS))
    assert len(request.commands) == text.count("<Command>")
    assert request.commands[-1].endswith("_exportdata")


@given(st.lists(st.tuples(st.integers(0, len(LINES) - 1), st.integers(0, 3)), min_size=1, max_size=4))
def test_what_passes_is_what_the_reader_keeps(
    cuts: list[tuple[int, int]],
) -> None:
    lines = list(LINES)
    for begin, length in cuts:
        del lines[begin : begin + length]
    text = "\n".join(lines)
    if lint(text).findings:
        return
    request = parse_processing_request(text.encode(), "PPR.xml")
    assert len(request.commands) == text.count("<Command>")
    assert request.commands[-1].endswith("_exportdata")
    assert request.sdm_identifiers == (EB,)


names = st.from_regex(r"[a-z]+_[A-Za-z]+", fullmatch=True).filter(lambda name: not name.endswith("_exportdata"))
values = st.from_regex(r"[A-Za-z_]+[0-9.,~*]*", fullmatch=True).filter(lambda value: value.lower() not in _ODD)
_ODD = {"none", "true", "false", "inf", "nan", "infinity"}
stages = st.lists(st.tuples(names, st.dictionaries(names, values, max_size=3)), max_size=6)


@given(stages, st.sampled_from(["", "None", "016"]), st.integers(0, 5))
def test_one_trap_in_a_good_recipe_is_found(recipe: list[tuple[str, dict[str, str]]], trap: str, at: int) -> None:
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


#: As archives have them; quoted where CASA and the pipeline would take them for something else.
FIELD_NAMES = ["W3(OH)", "TW Hya", "helm=30", "1", "a,b", "c;d", "p&q", "SgrA*", "O'Neil", "5~6", "G345.49+1.47"]


def test_ppr_names_any_fields_as_the_pipeline_does() -> None:
    cubes = [{"field": name, "spw": 25, "rest_frequency_ghz": 345.8, "start": 0, "width": 1, "channels": 8}
             for name in FIELD_NAMES]  # fmt: skip
    content = processing_request(asked(fields=FIELD_NAMES, continuum=True, cubes=cubes))
    assert not lint_processing_request(content, subject=SUBJECT).findings
    stages = read_ppr(parse_ppr(content, "PPR.xml"), alma=True).stages
    lists = [stage.parameters["field"] for stage in stages if stage.name == "hif_makeimlist"]
    # A list is parted at commas outside of quotes, and names are compared without any.
    parted = [name.strip('"') for name in re.findall(r'"[^"]*"|[^",]+', str(lists[0]))]
    assert parted == FIELD_NAMES
    assert [str(stage.parameters["field"]) for stage in stages if stage.name == "hif_editimlist"] == FIELD_NAMES
