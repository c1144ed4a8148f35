from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.srdp.domain.alma_files import RANGES
from tests.srdp.domain.linting import assert_sound

from srdp.domain.analyst_files.continuum_ranges import lint_continuum_ranges
from srdp.domain.common.lint import Report

GOOD = RANGES.decode()
CASES = Path(__file__).parents[1] / "cases"
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
        GOOD.replace("TW_Hya", "TW Hya"),
        GOOD.replace("TW_Hya", "W3(OH)"),
        GOOD.replace("Field: ", "\tField:\t"),
        GOOD.replace("\n345", "\n  345"),
        f"{HEAD}345.1~345.2GHz LSRK\n\nSpectralWindow: 27\nNONE\n",
        f"{HEAD}345100~345200 MHz LSRK;\n",
        f"{HEAD}345.1~345.2GHz LSRK 345.3~345.4GHz LSRK\n",
        f"{HEAD}345.1~345.2GHz TOPO;345.3~345.4GHz TOPO\n",
        f"{HEAD}345.1~345.2 GHz SOURCE  \n",
        f"{HEAD}Flags: LOWSPREAD ALLCONT\n345.1~345.2GHz LSRK\n",
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
    ("Field: a\nALL\n", 2, 1, "ALL", "belongs to no spectral window"),
    ("SpectralWindow: 25\nALL\n", 1, 1, "SpectralWindow: 25", "belongs to no field: write a Field: before it"),
    ("field: a\n", 1, 1, "field:", "is not how a section begins: write Field:"),
    ("Field a\n", 1, 1, "Field ", "write Field:"),
    ("Field: a\nSpw: 25\n", 2, 1, "Spw:", "write SpectralWindow: and a blank"),
    ("Field: a\nSpectral Window: 25\n", 2, 1, "Spectral Window:", "write SpectralWindow: and a blank"),
    ("Field: a~b\n", 1, 8, "a~b", "has a ~ in it"),
    ("Field:\n", 1, 7, "", "is not the name of a field"),
    (f"{GOOD}Field: TW_Hya\n", 6, 8, "TW_Hya", "has a second section, and the pipeline takes the last"),
    (f"{GOOD}SpectralWindow: 25\nALL\n", 6, 17, "25", "has a second section in its field"),
    ("Field: a\nSpectralWindow: X\n", 2, 17, "X", "is not the number of a spectral window"),
    (f"{HEAD}345.1-345.2GHz LSRK\n", 3, 1, "345.1-345.2GHz LSRK", "is the name of a field for the pipeline"),
    (f"{HEAD}ALL CONT\n", 3, 1, "ALL CONT", "is the name of a field for the pipeline"),
    (f"{HEAD}all\n", 3, 1, "all", "is the name of a field"),
    (f"{HEAD}ALL\n", 3, 1, "ALL", "write Flags: ALLCONT"),
    (f"{HEAD}345.1 ~ 345.2GHz LSRK\n", 3, 1, "345.1 ~ 345.2GHz LSRK", "write 345.1~345.2GHz LSRK"),
    (f"{HEAD}345.1~345.2GHz LSRK # wide\n", 3, 21, "# wide", "is no range"),
    (f"{HEAD}345.1~345.2GHz;345.3~345.4GHz LSRK\n", 3, 15, "", "is no frame of reference"),
    (f"{HEAD}345.1~345.2GHz LSRK\n345.3~345.4GHz TOPO\n", 4, 16, "TOPO", "is another frame than the LSRK"),
    (f"{HEAD}Flags: LOWSPREAD, ALLCONT\n", 3, 8, "LOWSPREAD,", "is no flag that has an effect"),
    (f"{HEAD}Flags:ALLCONT\n", 3, 1, "Flags:ALLCONT", "has no flag behind a blank"),
    (f"{HEAD}Flags: ALLCONT\n", 2, 1, "SpectralWindow: 25", "write its whole range"),
    ("Field: a\nSpectralWindow:25\n", 2, 1, "SpectralWindow:25", "that the window before it is taken"),
    ("Field: a\nSpectralWindow: 025\n", 2, 17, "025", "is not the number of a spectral window"),
    ("Field: a\nSpectralWindow: 25 26\n", 2, 20, "26", "is not the name of a spectral window"),
    ("Field: a\nSpectralWindow: 25 # x\n", 2, 20, "# x", "or stops: remove it"),
    (f"{HEAD}# 345.1~345.2GHz LSRK\n", 3, 1, "# 345.1~345.2GHz LSRK", "is no comment here but a range"),
    (f"{HEAD}345.2~345.1GHz LSRK\n", 3, 1, "345.2~345.1GHz LSRK", "above where it begins: write 345.1~345.2"),
    (f"{HEAD}345.1~345.1GHz LSRK\n", 3, 1, "345.1~345.1GHz LSRK", "write two different frequencies"),
    (f"{HEAD}345100~345200km LSRK\n", 3, 14, "km", "is not the unit: write GHz"),
    (f"{HEAD}345100~345200GHz LSRK\n", 3, 1, "345100~345200GHz LSRK", "is not where ALMA observes"),
    (f"{HEAD}345.1~345.2 LSRK\n", 3, 13, "LSRK", "is not the unit: write GHz behind the numbers"),
    (f"{HEAD}345.1~345.2GHz\n", 3, 15, "", "is no frame of reference: write one of LSRK, TOPO, SOURCE"),
    (f"{HEAD}345.1~345.2GHz BARY\n", 3, 16, "BARY", "is no frame of reference"),
    (f"{HEAD}345.1~345.2GHz LSRK\nNONE\n", 4, 1, "NONE", "stands beside ranges"),
    (f"{HEAD}NONE\n345.1~345.2GHz LSRK\n", 4, 1, "345.1~345.2GHz LSRK", "stands beside NONE"),
    (f"{HEAD}345.1\u2013345.2GHz LSRK\n", 3, 6, "\u2013", "is no character of such a file: type it again"),
    (f"{HEAD}\0ALL\n", 3, 1, "\0", "is no character of such a file"),
    (f"\ufeff{GOOD}", 1, 1, "\ufeff", "byte order mark"),
    (f"{HEAD}# mine\nNONE\n", 3, 1, "# mine", "is no comment here but the name of a field"),
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
    report = lint(f"{HEAD}\nSpectralWindow: 27\n345.1~345.3GHz LSRK; 345.2~345.4GHz LSRK\n", fields=["V*_BP_Tau"])
    assert not report.findings
    assert [(warning.line, warning.problem) for warning in report.warnings] == [
        (1, "is not a field of this run, and has no effect"),
        (2, "has no range, and its continuum would not be subtracted"),
        (5, "overlaps with 345.1~345.3GHz LSRK"),
    ]
    assert lint(GOOD, fields=["TW_Hya"]) == Report()


def test_everything_is_said_at_once() -> None:
    text = "Field: a~b\nSpectralWindow: x\n1~2GHz LSRK\n345~344GHz LSRK\nnothing"
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
def test_one_overlap_in_a_good_file_is_found(data: st.DataObject, names: list[str], overlap: bool) -> None:
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
    text = "\n".join(lines)
    report = lint(text)
    assert not report.findings
    assert [(warning.line, "overlaps with" in warning.problem) for warning in report.warnings] == (
        [(at + 2, True)] if overlap else []
    )
    assert as_the_pipeline_reads(text).keys() == {*names}
    assert sum(len(ranges) for windows in as_the_pipeline_reads(text).values() for ranges in windows.values()) == sum(
        "~" in line for line in lines
    )


def as_the_pipeline_reads(text: str) -> dict[str, dict[str, list[tuple[str, str, str]]]]:
    """The reader of the 2026 release, in short; an exception is what stops its stage."""
    read: dict[str, dict[str, list[tuple[str, str, str]]]] = {}
    name, number = None, None
    for line in filter(None, (each.strip() for each in text.splitlines())):
        is_known = any(part in line for part in ("SpectralWindow:", "Flags", "~")) or line.startswith("SPW")
        if not is_known and line not in {"NONE", "ALL", "ALLCONT"}:
            name = line.split("Field:")[1] if line.startswith("Field:") else line
            name = name.replace('"', "").replace("'", "").strip()
            read[name] = {}
        elif line.startswith("SpectralWindow:"):
            words = line.split()
            number = words[1] if len(words) in {2, 3} else number
            read[name][number] = []
        elif line.startswith("Flags:"):
            assert number in read[name]
        else:
            for low, high, behind in re.findall(r"([\d.]*)~([\d.]*)(\D*)", line.replace(";", "")):
                unit, frame = behind.split()
                assert float(low) < float(high)
                assert unit == "GHz"
                read[name][number].append((low, high, frame))
    return read


changed = st.lists(
    st.sampled_from(
        [*GOOD.splitlines(), "NONE", "ALL", "Flags: ALLCONT", "SpectralWindow: 27", "Field: b c", "# x", "b c"]
    )
    | st.sampled_from([" ", "~", "#", ";", " 1", "\t", "SPW", "Flags", "'", "GHz"]).flatmap(
        lambda piece: st.tuples(st.sampled_from(GOOD.splitlines()), st.integers(0, 40)).map(
            lambda line: line[0][: line[1]] + piece + line[0][line[1] :]
        )
    ),
    max_size=7,
).map(lambda lines: "\n".join(["Field: TW_Hya", "SpectralWindow: 25", "345.1~345.2GHz LSRK", *lines, ""]))


@settings(max_examples=1000)
@given(changed)
def test_what_passes_is_read_by_the_pipeline_as_it_stands_there(text: str) -> None:
    if lint(text).findings:
        return
    read = as_the_pipeline_reads(text)
    assert sum(len(ranges) for windows in read.values() for ranges in windows.values()) == text.count("~")
    assert len(read) == text.count("Field:")
    assert sum(map(len, read.values())) == text.count("SpectralWindow:")


@pytest.mark.parametrize(
    ("name", "telescope", "is_taken"),
    [
        ("comment_behind.dat", "ALMA", False),
        ("comment_behind_second.dat", "ALMA", False),
        ("name_with_blanks.dat", "ALMA", False),
        ("word.dat", "ALMA", False),
        ("cont_vla.dat", "VLA", True),
        ("cont_vla.dat", "ALMA", False),
    ],
)
def test_files_of_public_reports(name: str, telescope: str, *, is_taken: bool) -> None:
    assert (not lint((CASES / name).read_text(), telescope=telescope).findings) == is_taken


def test_the_stages_of_the_vla_stop_at_a_window_without_a_range() -> None:
    text = "Field: a\nSpectralWindow: 2\nNONE\n"
    assert not lint(text).findings
    [finding] = lint(text, telescope="VLA").findings
    assert "and the stages of the VLA pipeline stop at that" in finding.sentence
    [finding] = lint("Field: a\nSpectralWindow: 2\n1.1~1.2GHz TOPO\n", telescope="VLA", windows=range(2)).findings
    assert "is no spectral window of this observation: choose from 0, 1" in finding.sentence
