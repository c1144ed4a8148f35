"""A PPR is adapted by edits of its text: everything that is not the fix stays as it is."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.srdp.domain.alma_files import SUBJECT, processing_request, stage_in

from srdp.domain.common.lint import Report
from srdp.domain.ppr.adaptation import adapted
from srdp.domain.ppr.lint import lint_processing_request
from srdp.families import ALMA, VLA

BOTH = ["cont.dat", "flagtargetstemplate.txt"]
IMAGING = processing_request()
MODE = b"<Parameter><Keyword>imaging_mode</Keyword><Value>ALMA</Value></Parameter>"
WITHOUT_MODE = re.sub(rb"\n *" + re.escape(MODE), b"", IMAGING)
FLAG = b"<ProcessingCommand><Command>hifa_flagtargets</Command><ParameterSet/></ProcessingCommand>"
FIND = stage_in(IMAGING, "hif_findcont")


def commands(*stages: str) -> bytes:
    """A PPR of the VLA with these commands, as written."""
    return (
        "<SciPipeRequest><ProcessingRequests><ProcessingRequest><ProcessingProcedure>"
        f"{''.join(stages)}</ProcessingProcedure></ProcessingRequest></ProcessingRequests></SciPipeRequest>"
    ).encode()


PRIORS = "<ProcessingCommand><Command>hifv_priorcals</Command><ParameterSet/></ProcessingCommand>"
ANTPOS = (
    "<ProcessingCommand><Command>hif_antpos</Command><ParameterSet><Parameter><Keyword>hm_antpos</Keyword>"
    "<Value>file</Value></Parameter></ParameterSet></ProcessingCommand>"
)
UNTOLD = PRIORS.replace("hifv_priorcals", "hif_antpos")
OTHER = ANTPOS.replace("</ParameterSet>", "<!-- x --></ParameterSet>").replace("hm_antpos", "antenna")


def test_all_fixes_of_an_imaging_in_one_go() -> None:
    made = adapted(WITHOUT_MODE, ALMA.inputs, BOTH)
    assert made is not None
    before = IMAGING[: IMAGING.index(FIND)].rstrip()
    split = stage_in(IMAGING, "hif_mstransform")
    wanted = before.replace(split, split + b"\n        " + FLAG) + IMAGING[IMAGING.index(FIND) + len(FIND) :]
    assert made.content == wanted
    assert lint_processing_request(made.content, subject=SUBJECT, analyst_files=BOTH) == Report()
    assert adapted(made.content, ALMA.inputs, BOTH) is None
    changed = [line for line in made.difference if line[0] in "+-" and not line.startswith(("+++", "---"))]
    assert [line.split("<Keyword>")[-1].split("</")[0].strip() for line in changed if line[0] == "+"] == [
        "+        <ProcessingCommand><Command>hifa_flagtargets".strip(), "imaging_mode", "imaging_mode",
    ]  # fmt: skip
    assert sum(line[0] == "-" for line in changed) == FIND.count(b"\n") + 1


def test_flags_that_stand_too_late_are_moved() -> None:
    late = IMAGING.replace(stage_in(IMAGING, "hif_uvcontsub"), stage_in(IMAGING, "hif_uvcontsub") + FLAG)
    made = adapted(late, ALMA.inputs, [])
    assert made is not None
    names = re.findall(rb"<Command>(\w+)", made.content)
    assert names.index(b"hifa_flagtargets") == names.index(b"hif_mstransform") + 1
    assert names.count(b"hifa_flagtargets") == 1


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (commands(PRIORS), commands(PRIORS, ANTPOS)),
        (commands("\r\n\t", PRIORS, "\r\n"), commands("\r\n\t", PRIORS, "\r\n\t", ANTPOS, "\r\n")),
        (commands("\n  ", PRIORS, " <!-- mine -->\n"), commands("\n  ", PRIORS, "\n  ", ANTPOS, " <!-- mine -->\n")),
        # Given already, but without its parameters, in each way of writing that.
        (commands(OTHER),
         commands(OTHER.replace("<Parameter>", "<Parameter><Keyword>hm_antpos</Keyword><Value>file</Value></Parameter>"
                                "<Parameter>"))),
        (commands(UNTOLD), commands(ANTPOS)),
        (commands(UNTOLD.replace("<ParameterSet/>", '<ParameterSet x="/>" />')),
         commands(ANTPOS.replace("<ParameterSet>", '<ParameterSet x="/>">'))),
        (commands(UNTOLD.replace("<ParameterSet/>", "<ParameterSet></ParameterSet>")), commands(ANTPOS)),
    ],
    ids=["one line", "tabs and CRLF", "comment", "other parameter", "empty", "attribute", "two tags"],
)  # fmt: skip
def test_a_stage_is_added_as_the_file_is_written(before: bytes, after: bytes) -> None:
    made = adapted(before, VLA.inputs, ["antennapos.csv"])
    assert made is not None
    assert made.content == after


@pytest.mark.parametrize(
    "content",
    [
        b"", b"no XML", commands(PRIORS).decode().encode("utf-16"), commands(PRIORS) + b"<",
        b'<?xml version="1.0" encoding="iso-8859-1"?>' + commands(PRIORS),
        b'<!DOCTYPE SciPipeRequest [<!ENTITY a "b">]>' + commands(PRIORS),
        b"<SciPipeRequest/>", commands(), commands(PRIORS.replace("hifv_priorcals", "hifv_importdata")),
    ],
)  # fmt: skip
def test_what_cannot_be_read_or_fixed_is_left_to_the_linter(content: bytes) -> None:
    assert adapted(content, VLA.inputs, ["antennapos.csv"]) is None


pieces = st.sampled_from([
    "\n", "\r\n", "  ", "\t", "<!-- a -->", "<?a b?>", "text", "\u00e9", "&amp;", PRIORS, ANTPOS, "<Other/>",
    "<ProcessingCommand/>", "<ProcessingCommand><Command>hifv_priorcals</Command></ProcessingCommand>",
    '<a:ProcessingCommand xmlns:a="b"><a:Command>hif_antpos</a:Command><a:ParameterSet/></a:ProcessingCommand>',
])  # fmt: skip


@given(st.lists(pieces, max_size=12))
def test_nothing_but_the_fix_is_changed(written: list[str]) -> None:
    content = commands(*written)
    made = adapted(content, VLA.inputs, ["antennapos.csv"])
    if made is None:
        return
    # What was there is there still, in its order, and only a stage or a parameter was put between.
    start = next(place for place, (one, other) in enumerate(zip(content, made.content, strict=False)) if one != other)
    length = len(made.content) - len(content)
    assert length > 0
    tails = (made.content.endswith(content[at:]) and made.content.startswith(content[:at]) for at in range(start + 1))
    assert any(tails) or b"ParameterSet/>" in content
    assert adapted(made.content, VLA.inputs, ["antennapos.csv"]) is None
