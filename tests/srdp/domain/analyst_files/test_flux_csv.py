from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.srdp.domain.linting import assert_sound

from srdp.domain.analyst_files.flux_csv import COLUMNS, lint_flux_densities
from srdp.domain.common.lint import Report
from srdp.domain.runs.identifiers import execution_block_name

EB = execution_block_name("13A-537.sb24066356.eb24324502.56514.05971091435")
MS = f"{EB}.ms"
HEADER = "ms,field,spw,I,Q,U,V,spix,uvmin,uvmax,comment"
ROW = f"{MS},0,1,15.016,0.0,0,0.0,-0.46,0.0,0.0,3C286"


def lint(text: str) -> Report:
    return lint_flux_densities(text.encode(), execution_block=EB)


@pytest.mark.parametrize(
    "text",
    [
        f"{HEADER}\n{ROW}\n",
        f"{HEADER}\r\n{ROW}\r\n",
        f"{HEADER}\n{MS},0,0,1,0,0,0,0,0,0,\n",
        f'{HEADER}\n{MS},0,0,.5,1e-3,-0.1,+0.2,0,10,1000.5,"mine, from 2.5 Jy ""by eye"""\n',
        f"{HEADER}\n{ROW}\n{ROW.replace(',0,1,', ',0,2,')}\n",
    ],
)
def test_a_good_file_passes(text: str) -> None:
    assert lint(text) == Report()


def column(name: str, row: str = ROW) -> int:
    """Where the value of a column begins in a row without quotes."""
    return sum(len(value) + 1 for value in row.split(",")[: COLUMNS.index(name)]) + 1


def with_value(name: str, value: str) -> str:
    values = ROW.split(",")
    values[COLUMNS.index(name)] = value
    return ",".join(values)


BAD_VALUES = [
    ("ms", EB, f"write {MS}"),
    ("ms", f"{EB}_calibrated.ms", f"write {MS}"),
    ("ms", "", f"write {MS}"),
    ("field", "3C286", "a whole number from 0 on"),
    ("field", "-1", "a whole number from 0 on"),
    ("field", "1.0", "a whole number from 0 on"),
    ("field", "", "a whole number from 0 on"),
    ("spw", "1_0", "a whole number from 0 on"),
    ("I", "15.0Jy", "write a number in Jy, without the unit"),
    ("I", "nan", "write a number in Jy"),
    ("I", "1e999", "write a number in Jy"),
    ("I", "", "write a number in Jy"),
    ("I", "0", "not a flux density above zero"),
    ("I", "-1.5", "not a flux density above zero"),
    ("Q", "x", "is not a number for Q"),
    ("U", "inf", "is not a number for U"),
    ("V", "1 0", "is not a number for V"),
    ("spix", "flat", "is not a number for spix: write a number."),
    ("uvmin", "-1", "write 0.0 where there is no limit"),
    ("uvmax", "10km", "write a number in wavelengths"),
]


@pytest.mark.parametrize(("name", "value", "sentence"), BAD_VALUES)
def test_a_bad_value_is_named_by_place_with_its_fix(name: str, value: str, sentence: str) -> None:
    [finding] = lint(f"{HEADER}\n{ROW.replace(',0,1,', ',5,5,')}\n{with_value(name, value)}\n").findings
    assert (finding.file, finding.line, finding.column, finding.value) == ("flux.csv", 3, column(name), value)
    assert sentence in finding.sentence


@pytest.mark.parametrize(
    ("text", "line", "at", "sentence"),
    [
        ("", 1, 1, f"write {HEADER}"),
        ("\n", 1, 1, f"write {HEADER}"),
        (f"{ROW}\n", 1, 2, f"write {HEADER}"),  # MS begins with 1, which is where it differs
        (f"{HEADER} \n{ROW}\n", 1, len(HEADER) + 1, "is not the header"),
        (f"{HEADER.upper()}\n{ROW}\n", 1, 1, "is not the header"),
        (f"{HEADER}\n{ROW}", 2, len(ROW) + 1, "end the last line with one"),
        (f"{HEADER}\n{MS},0,1,15.016\n", 2, len(f"{MS},0,1,15.016") + 1, "add Q, U, V, spix, uvmin, uvmax, comment"),
        (f"{HEADER}\n{with_value('comment', chr(34) + 'open')}\n", 2, column("comment"), "is not closed"),
        (f"{HEADER}\n{with_value('comment', 'a' + chr(0))}\n", 2, column("comment") + 1, "control character"),
        (f"{HEADER}\n{with_value('uvmin', '20').replace(',0.0,3C286', ',10,3C286')}\n", 2, 95, "less than uvmin"),
        (f"{HEADER}\n{ROW}\n{ROW}\n", 3, column("field"), "field and spw of line 2 again"),
    ],
)
def test_a_bad_file_is_named_by_place_with_its_fix(text: str, line: int, at: int, sentence: str) -> None:
    findings = lint(text).findings
    if text.startswith(ROW):
        at = 1
    if "less than" in sentence:
        at = column("uvmax", with_value("uvmin", "20"))
    assert [(finding.line, finding.column) for finding in findings] == [(line, at)]
    assert sentence in findings[0].sentence


def test_old_header_is_named_and_its_rows_linted() -> None:
    old = "ms,field,spw,I,Q,U,V,spix,comment"
    first, second = lint(f"{old}\n{MS},0,0,bright,0,0,0,0,mine\n").findings
    assert (first.line, first.column) == (1, 27)
    assert "silently drops every row" in first.sentence
    assert (second.line, second.value) == (2, "bright")


def test_everything_is_said_at_once() -> None:
    text = f"{HEADER}x\n" + "\n".join(with_value(name, value) for name, value, _ in BAD_VALUES)
    assert {finding.line for finding in lint(text).findings} == {1, len(BAD_VALUES) + 1}
    text = f"{HEADER}\n" + "\n".join(with_value(name, value) for name, value, _ in BAD_VALUES)
    findings = lint(text).findings
    assert {finding.line for finding in findings} == set(range(2, len(BAD_VALUES) + 2))
    assert any("newline" in finding.problem for finding in findings)


@pytest.mark.parametrize("text", [f"{HEADER}\n"])
def test_a_file_without_rows_is_only_odd(text: str) -> None:
    report = lint(text)
    assert not report.findings
    assert [warning.problem for warning in report.warnings] == ["holds no flux density"]


def test_more_polarization_than_flux_is_only_odd() -> None:
    report = lint(f"{HEADER}\n{with_value('Q', '20')}\n")
    assert not report.findings
    assert [(warning.column, warning.value) for warning in report.warnings] == [(column("Q"), "20")]


numbers = st.floats(-1e6, 1e6).map(str)
fluxes = st.floats(1e-6, 1e6).map(str)
comments = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_categories=["Cc", "Cs"]))


@given(
    st.dictionaries(
        st.tuples(st.integers(0, 999), st.integers(0, 63)), st.tuples(fluxes, numbers, comments), min_size=1, max_size=8
    )
)
def test_a_file_that_is_built_from_good_parts_passes(content: dict[tuple[int, int], tuple[str, str, str]]) -> None:
    lines = [HEADER]
    for (field, spw), (flux, index, comment) in content.items():
        quoted = '"' + comment.replace('"', '""') + '"'
        lines.append(f"{MS},{field},{spw},{flux},0.0,0.0,0.0,{index},0.0,0.0,{quoted}")
    assert not lint("\n".join(lines) + "\n").findings


@given(st.sampled_from(BAD_VALUES), st.integers(0, 5), st.integers(0, 5))
def test_one_bad_value_is_always_found(bad: tuple[str, str, str], before: int, after: int) -> None:
    name, value, _ = bad
    good = [ROW.replace(",0,1,", f",{number + 1},9,") for number in range(before + after)]
    text = "\n".join([HEADER, *good[:before], with_value(name, value), *good[before:]]) + "\n"
    [finding] = lint(text).findings
    assert (finding.line, finding.column) == (before + 2, column(name))


pieces = st.sampled_from([HEADER, ROW, MS, '"', '""', ",", "\n", "\r", "\r\n", "\x00", "1", " "]) | st.characters()


@given(
    st.binary(max_size=200) | st.lists(pieces, max_size=30).map(lambda p: "".join(p).encode("utf-8", "surrogatepass"))
)
def test_any_bytes_give_a_report_that_points_into_the_file(content: bytes) -> None:
    assert_sound(lint_flux_densities(content, execution_block=EB), content)


def test_a_file_of_nothing_but_a_byte_order_mark_is_reported_so() -> None:
    assert any("byte order mark" in finding.sentence for finding in lint("\ufeff").findings)


def test_what_the_reader_passes_over_is_taken() -> None:
    report = lint(f"{HEADER}\n\n{ROW.replace(',0,1,', ', 0 , 1 ,')}, by eye\n\n")
    assert not report.findings
    assert [(warning.line, warning.value) for warning in report.warnings] == [(3, " by eye")]
    assert "and is passed over" in report.warnings[0].problem
