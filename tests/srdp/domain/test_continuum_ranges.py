from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.srdp.domain.alma_files import RANGES
from tests.srdp.domain.linting import assert_sound

from srdp.domain.continuum_ranges import lint_continuum_ranges
from srdp.domain.lint import Report

GOOD = RANGES.decode()
HEAD = "Field: TW_Hya\nSpectralWindow: 25\n"


def lint(text: str, **options: object) -> Report:
    return lint_continuum_ranges(text.encode(), **options)


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        GOOD.replace("\n", "\r\n"),
        GOOD.rstrip("\n"),
        GOOD.replace("Field: TW_Hya", 'Field: "TW_Hya"'),
        GOOD.replace(" X1#ALMA_RB_07#BB_1", ""),
        f"{HEAD}ALL\n\nSpectralWindow: 27\nNONE\n",
        f"{HEAD}345.1~345.2GHz TOPO;345.3~345.4GHz TOPO\n",
        f"{HEAD}345.1 ~ 345.2 GHz SOURCE  \nALLCONT\n",
        f"{HEAD}Flags: LOWSPREAD, ALLCONT\n345.1~345.2GHz LSRK\n",
        f"{GOOD}\nField: V*_BP_Tau\n\nSpectralWindow: 25\n345.703~345.781GHz LSRK\n",
    ],
)
def test_what_the_pipeline_writes_and_analysts_edit_passes(text: str) -> None:
    assert lint(text) == Report()


# What stands there, line and column of the finding, what it quotes, and its sentence.
BAD = [
    ("", 1, 1, "cont.dat", "has no range: write a Field:, a SpectralWindow: and lines such as 345.703~345.781GHz LSRK"),
    ("Field: TW_Hya\n", 1, 1, "cont.dat", "has no range"),
    ("345.1~345.2GHz LSRK\n", 1, 1, "345.1~345.2GHz LSRK", "belongs to no spectral window: write a Field: before it"),
    ("Field: a\nALL\n", 2, 1, "ALL", "belongs to no spectral window: write a SpectralWindow: before it"),
    ("SpectralWindow: 25\nALL\n", 1, 1, "SpectralWindow: 25", "belongs to no field: write a Field: before it"),
    ("field: a\n", 1, 1, "field:", "is not how a section begins: write Field:"),
    ("Field a\n", 1, 1, "Field ", "write Field:"),
    ("Field: a\nSpw: 25\n", 2, 1, "Spw:", "write SpectralWindow:"),
    ("Field: a\nSpectral Window: 25\n", 2, 1, "Spectral Window:", "write SpectralWindow:"),
    ("Field: TW Hya\n", 1, 8, "TW Hya", "is not the name of a field"),
    ("Field:\n", 1, 7, "", "is not the name of a field"),
    (f"{GOOD}Field: TW_Hya\n", 6, 8, "TW_Hya", "has a second section, of which the pipeline takes the last"),
    (f"{GOOD}SpectralWindow: 25\nALL\n", 6, 17, "25", "has a second section in its field"),
    ("Field: a\nSpectralWindow: X\n", 2, 17, "X", "is not the number of a spectral window"),
    (f"{HEAD}345.1-345.2GHz LSRK\n", 3, 1, "345.1-345.2GHz LSRK", "write for example 345.703~345.781GHz LSRK, or on"),
    (f"{HEAD}ALL CONT\n", 3, 1, "ALL CONT", "is no range"),
    (f"{HEAD}all\n", 3, 1, "all", "or one of ALL, ALLCONT, NONE"),
    (f"{HEAD}345.2~345.1GHz LSRK\n", 3, 1, "345.2~345.1GHz LSRK", "above where it begins: write 345.1~345.2"),
    (f"{HEAD}345.1~345.1GHz LSRK\n", 3, 1, "345.1~345.1GHz LSRK", "write two different frequencies"),
    (f"{HEAD}345100~345200MHz LSRK\n", 3, 14, "MHz", "is not the unit: write GHz"),
    (f"{HEAD}345100~345200GHz LSRK\n", 3, 1, "345100~345200GHz LSRK", "is not where ALMA observes"),
    (f"{HEAD}345.1~345.2 LSRK\n", 3, 13, "LSRK", "is not the unit: write GHz behind the numbers"),
    (f"{HEAD}345.1~345.2GHz\n", 3, 15, "", "is no frame of reference: write one of LSRK, TOPO, SOURCE"),
    (f"{HEAD}345.1~345.2GHz BARY\n", 3, 16, "BARY", "is no frame of reference"),
    (f"{HEAD}345.1~345.2GHz LSRK\n345.15~345.3GHz LSRK\n", 4, 1, "345.15~345.3GHz LSRK", "overlaps with 345.1~345.2"),
    (f"{HEAD}345.1~345.3GHz LSRK; 345.2~345.25GHz LSRK\n", 3, 22, "345.2~345.25GHz LSRK", "make one range of the two"),
    (f"{HEAD}345.1~345.2GHz LSRK\nNONE\n", 4, 1, "NONE", "stands beside ranges"),
    (f"{HEAD}NONE\n345.1~345.2GHz LSRK\n", 4, 1, "345.1~345.2GHz LSRK", "stands beside NONE"),
    (f"{HEAD}NONE\nALL\n", 4, 1, "ALL", "stands beside NONE"),
    (f"{HEAD} 345.1~345.2GHz LSRK\n", 3, 1, " 345.1~345.2GHz LSRK", "begins with a blank"),
    (f"{HEAD}345.1\u2013345.2GHz LSRK\n", 3, 6, "\u2013", "is no character of such a file: type it anew"),
    (f"{HEAD}\tALL\n", 3, 1, "\t", "is no character of such a file"),
    (f"\ufeff{GOOD}", 1, 1, "\ufeff", "byte order mark"),
    (f"{HEAD}# mine\nALL\n", 3, 1, "# mine", "is no range"),
]


@pytest.mark.parametrize(
    ("text", "line", "column", "value", "sentence"), BAD, ids=[f"{what} {at}" for _, at, _, _, what in BAD]
)
def test_what_would_not_be_read_as_it_looks_is_named_by_place(
    text: str, line: int, column: int, value: str, sentence: str
) -> None:
    [finding] = [each for each in lint(text).findings if sentence in each.sentence]
    assert (finding.file, finding.line, finding.column, finding.value) == ("cont.dat", line, column, value)


def test_what_may_be_meant_is_only_odd() -> None:
    report = lint(f"{HEAD}\nSpectralWindow: 27\nALL\n", fields=["V*_BP_Tau"])
    assert not report.findings
    assert [(warning.line, warning.problem) for warning in report.warnings] == [
        (1, "is not a field that is imaged"),
        (2, "has no range, and its continuum would not be subtracted"),
    ]
    assert lint(GOOD, fields=["TW_Hya"]) == Report()


def test_everything_is_said_at_once() -> None:
    text = "Field: a b\nSpectralWindow: x\n1~2GHz LSRK\n345~344GHz LSRK\nnothing"
    assert [finding.line for finding in lint(text).findings] == [1, 2, 3, 4, 5]


def test_what_is_no_text_is_one_finding() -> None:
    [finding] = lint_continuum_ranges(b"Field: a\n\xff\n").findings
    assert (finding.line, finding.column) == (2, 1)
    [finding] = lint_continuum_ranges(b"#\n" * 1_000_000).findings
    assert "is larger than" in finding.sentence


# --- properties -----------------------------------------------------------------------------------------------------

pieces = st.sampled_from([*GOOD.splitlines(keepends=True), "ALL\n", "NONE\n", "~", "GHz", ";", " ", "\n", "Field:"])


@given(
    st.binary(max_size=200)
    | st.lists(pieces | st.characters(), max_size=30).map(lambda text: "".join(text).encode("utf-8", "surrogatepass"))
)
def test_any_bytes_give_a_report_that_points_into_the_file(content: bytes) -> None:
    assert_sound(lint_continuum_ranges(content, fields=["TW_Hya"]), content)


edges = st.lists(st.integers(35_000, 950_000), min_size=2, max_size=12, unique=True).map(sorted)
fields = st.lists(st.from_regex(r"[A-Z][a-z_*+]{2,9}", fullmatch=True), min_size=1, max_size=4, unique=True).filter(
    lambda names: not {name.lower() for name in names} & {"none", "true", "false", "nan", "inf", "infinity"}
)


@given(st.data(), fields, st.booleans())
def test_a_file_of_good_parts_passes_and_one_overlap_in_it_is_found(
    data: st.DataObject, names: list[str], overlap: bool
) -> None:
    lines = []
    for name in names:
        lines.append(f"Field: {name}")
        for window in data.draw(st.lists(st.integers(0, 99), min_size=1, max_size=3, unique=True)):
            lines.append(f"SpectralWindow: {window}")
            ends = data.draw(edges)
            low_and_high = zip(ends[::2], ends[1::2], strict=False)
            lines += [f"{low / 1000}~{high / 1000}GHz LSRK" for low, high in low_and_high]
    at = data.draw(st.sampled_from([number for number, line in enumerate(lines) if "~" in line]))
    if overlap:
        lines.insert(at, lines[at])
    found = lint("\n".join(lines)).findings
    assert [(finding.line, "overlaps with" in finding.problem) for finding in found] == (
        [(at + 2, True)] if overlap else []
    )
