from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.srdp.domain.linting import assert_sound

from srdp.domain.analyst_files.antenna_positions import lint_antenna_positions
from srdp.domain.analyst_files.selections.observed import Observed
from srdp.domain.common.lint import Report
from srdp.domain.runs.identifiers import execution_block_name

EB = execution_block_name("13A-537.sb24066356.eb24324502.56514.05971091435")
MS = f"{EB}.ms"
HEADER = "ms,antenna,xoffset,yoffset,zoffset,comment"
ROW = f"{MS},ea01,0.000,0.010,-0.0205,No comment"
OBSERVED = Observed(antennas=("ea01", "ea02", "ea05"))


def lint(text: str) -> Report:
    return lint_antenna_positions(text.encode(), execution_block=EB, observed=OBSERVED)


@pytest.mark.parametrize(
    "text",
    [
        f"{HEADER}\n{ROW}\n",
        f"{HEADER}\n{ROW}",
        f'{HEADER}\r\n{MS},ea02,1e-3,0,0,"a, b"\r\n',
        f"{HEADER}\n{ROW}\n{ROW.replace('ea01', 'ea05')}\n",
    ],
)
def test_a_good_file_passes(text: str) -> None:
    assert lint(text) == Report()


@pytest.mark.parametrize(
    ("text", "line", "column", "value", "sentence"),
    [
        ("", 1, 1, "antennapos.csv", f"write {HEADER} and a row"),
        (f"{ROW}\n", 1, 1, ROW, "the pipeline takes the first line as the header"),
        (f"{HEADER}\n{ROW}\n\n", 3, 1, "", "remove it"),
        (f"{HEADER}\n{MS},ea01,0,0,0\n", 2, len(MS) + 12, None, "add comment"),
        (f"{HEADER}\n{ROW}, really\n", 2, len(ROW) + 2, " really", "into double quotes"),
        (f"{HEADER}\nother.ms,ea01,0,0,0,\n", 2, 1, "other.ms", f"write {MS}"),
        (f"{HEADER}\n{ROW.replace('ea01', 'ea99')}\n", 2, len(MS) + 2, "ea99", "choose from ea01, ea02, ea05"),
        (f"{HEADER}\n{ROW.replace('ea01', 'ea0*')}\n", 2, len(MS) + 2, "ea0*", "is not the name of one antenna"),
        (f"{HEADER}\n{ROW.replace('ea01', '')}\n", 2, len(MS) + 2, "", "is not the name of one antenna"),
        (f"{HEADER}\n{ROW.replace('0.000', '1cm', 1)}\n", 2, len(MS) + 7, "1cm", "write a number in metres"),
        (f"{HEADER}\n{ROW.replace('0.010', 'nan')}\n", 2, len(MS) + 13, "nan", "is not a number for yoffset"),
        (f"{HEADER}\n{ROW.replace('-0.0205', '-5041998.0')}\n", 2, len(MS) + 19, "-5041998.0", "not the position"),
        (f"{HEADER}\n{ROW}\n{ROW}\n", 3, len(MS) + 2, "ea01", "the antenna of line 2 again"),
    ],
)
def test_a_bad_file_is_named_by_place_with_its_fix(
    text: str, line: int, column: int, value: str | None, sentence: str
) -> None:
    [finding] = lint(text).findings
    assert (finding.file, finding.line, finding.column) == ("antennapos.csv", line, column)
    assert value is None or finding.value == value
    assert sentence in finding.sentence


def test_everything_is_said_at_once() -> None:
    findings = lint(f"{HEADER}\nother.ms,ea98,a,b,c,\n\n").findings
    assert [(finding.line, finding.value) for finding in findings] == [
        (2, "other.ms"),
        (2, "ea98"),
        (2, "a"),
        (2, "b"),
        (2, "c"),
        (3, ""),
    ]


def test_names_are_compared_only_with_a_known_observation() -> None:
    text = f"{HEADER}\n{ROW.replace('ea01', 'ea99')}\n".encode()
    assert lint_antenna_positions(text, execution_block=EB) == Report()


@pytest.mark.parametrize("header", [HEADER, "name,antenna,xoff,yoff,zoff,comment", f"\ufeff{HEADER}"])
def test_the_first_line_is_passed_over_whatever_it_says(header: str) -> None:
    assert lint(f"{header}\r\n{ROW.replace('0.010', ' 0.010 ')}\r\n") == Report()


def test_another_first_line_is_odd() -> None:
    report = lint(f"{HEADER.replace('ms,', 'data,')}\n{ROW}\n")
    assert not report.findings
    assert [(warning.line, warning.problem) for warning in report.warnings] == [
        (1, "is not the usual header; the line is skipped in any case")
    ]


def test_the_file_of_the_guide_is_taken() -> None:
    content = (Path(__file__).parents[1] / "cases" / "antennapos_header_of_the_guide.csv").read_bytes()
    observed = Observed(antennas=("ea18",))
    assert lint_antenna_positions(content, execution_block=EB, observed=observed) == Report()


def test_a_file_without_rows_is_only_odd() -> None:
    report = lint(f"{HEADER}\n")
    assert not report.findings
    assert [warning.problem for warning in report.warnings] == ["holds no correction"]


offsets = st.floats(-1, 1).map(str)


@given(st.dictionaries(st.sampled_from(OBSERVED.antennas), st.tuples(offsets, offsets, offsets), min_size=1))
def test_a_file_that_is_built_from_good_parts_passes(content: dict[str, tuple[str, str, str]]) -> None:
    rows = [f"{MS},{antenna},{','.join(values)}," for antenna, values in content.items()]
    assert lint("\n".join([HEADER, *rows])) == Report()


pieces = st.sampled_from([HEADER, ROW, MS, '"', ",", "\n", "\r", "\x00", "ea01"]) | st.characters()


@given(
    st.binary(max_size=200) | st.lists(pieces, max_size=30).map(lambda p: "".join(p).encode("utf-8", "surrogatepass"))
)
def test_any_bytes_give_a_report_that_points_into_the_file(content: bytes) -> None:
    assert_sound(lint_antenna_positions(content, execution_block=EB, observed=OBSERVED), content)
