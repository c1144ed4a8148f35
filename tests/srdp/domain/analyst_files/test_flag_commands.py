from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.srdp.domain.flag_lines import BAD, GOOD, OBSERVED, ODD, Bad
from tests.srdp.domain.linting import assert_sound

from srdp.domain.analyst_files.flag_commands import lint_flag_commands
from srdp.domain.analyst_files.flag_parameters import MODES, SELECTORS
from srdp.domain.analyst_files.flag_templates import (
    ALMA_TARGET_FLAGS,
    VLA_FLAGS,
    FlagTemplate,
    holds_commands,
)
from srdp.domain.analyst_files.selections.observed import Observed, observed_together
from srdp.domain.common.lint import Finding, LintFailed

FILE = "flagtemplate.txt"


def findings(text: str, observed: Observed | None = OBSERVED) -> tuple[Finding, ...]:
    return lint_flag_commands(text.encode(), observed=observed).findings


@pytest.mark.parametrize("line", GOOD)
def test_a_good_line_passes_with_and_without_the_observation(line: str) -> None:
    for observed in (OBSERVED, Observed(), None):
        report = lint_flag_commands(f"{line}\n".encode(), observed=observed)
        assert (report.findings, report.warnings) == ((), ())


@pytest.mark.parametrize(("line", "sentence"), ODD)
def test_what_is_odd_is_said_and_taken(line: str, sentence: str) -> None:
    report = lint_flag_commands(f"{GOOD[0]}\n{line}\n".encode(), observed=OBSERVED)
    assert not report.findings
    assert any(sentence in warning.sentence for warning in report.warnings)
    assert {warning.line for warning in report.warnings} == {2}


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.text)
def test_a_bad_line_is_named_by_place_and_value_with_its_fix(bad: Bad) -> None:
    found = findings(f"# why\n\n{GOOD[0]}\n{bad.text}\n")
    [finding] = [each for each in found if each.column == bad.column]
    assert (finding.file, finding.line, finding.value) == (FILE, 4, bad.value)
    assert bad.sentence in finding.sentence
    assert finding.sentence.startswith(f"{FILE}, line 4, column {bad.column}: ")
    assert {each.line for each in found} == {4}


def test_every_mistake_of_a_file_is_said_at_once() -> None:
    content = "\n".join(bad.text for bad in BAD).encode()
    report = lint_flag_commands(content, observed=OBSERVED)
    assert {finding.line for finding in report.findings} == set(range(1, len(BAD) + 1))
    with pytest.raises(LintFailed) as failure:
        report.refuse()
    assert failure.value.findings == report.findings
    said = [finding.sentence for finding in report.findings]
    assert str(failure.value).splitlines()[:50] == said[:50]  # the text of an error has a bound


def test_several_mistakes_of_a_line_are_said_at_once() -> None:
    found = findings("mode='manual' antenna='ea98,ea99' spw='0:' scan=3  foo='x'\n")
    assert [(each.column, each.value) for each in found] == [
        (24, "ea98"),
        (29, "ea99"),
        (42, "0:"),
        (49, "3"),
        (52, "foo"),
    ]


@pytest.mark.parametrize("text", ["", "# flags\n", "\n\n", "   \n# mode='manual'\n"])
def test_a_file_without_a_command_is_only_odd(text: str) -> None:
    report = lint_flag_commands(text.encode())
    assert not report.findings
    assert [warning.problem for warning in report.warnings] == ["holds no command"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "", "  \n"])
def test_the_ends_of_lines_do_not_matter(end: str) -> None:
    assert not findings(f"# why\n{GOOD[0]}{end}")


def test_what_is_not_text_is_named_by_place() -> None:
    [finding] = lint_flag_commands(b"# ok\n# \xc3\xa9\xff\n").findings
    assert (finding.line, finding.column) == (2, 4)
    assert "save the file as UTF-8" in finding.sentence


def test_a_byte_order_mark_is_named() -> None:
    [finding] = lint_flag_commands(f"\ufeff{GOOD[0]}\n".encode()).findings
    assert (finding.line, finding.column) == (1, 1)
    assert "byte order mark" in finding.sentence


def test_a_file_of_any_size_is_refused_at_once() -> None:
    [finding] = lint_flag_commands(b"#\n" * 3_000_000).findings
    assert "larger than" in finding.sentence


@pytest.mark.parametrize(
    "value", ["[" + "1," * 1500 + "1]", "[" * 9000, "[" * 9000 + "]" * 9000, "{" * 9000 + "}" * 9000, "9" * 9000]
)
def test_a_literal_that_no_person_wrote_is_refused(value: str) -> None:
    [finding] = findings(f"mode='clip' clipminmax={value}\n")
    assert (finding.line, finding.column) == (1, 24)
    assert "is not a list in brackets" in finding.sentence


@pytest.mark.parametrize(
    "name", ["flagtargetstemplate.txt", "/home/da/flagtargetstemplate.txt", "uid___A.flagtargetstemplate.txt"]
)
def test_target_flags_are_reported_where_they_belong(name: str) -> None:
    [finding] = lint_flag_commands(f"{GOOD[0]}\n".encode(), file=name).findings
    assert "put target flags into flagtemplate.txt" in finding.sentence
    elsewhere = "/data/flagtargetstemplate.txt/flagtemplate.txt"
    assert lint_flag_commands(f"{GOOD[0]}\n".encode(), file=elsewhere).findings == ()


@pytest.mark.parametrize(
    "name", ["flagtemplate.txt", "/home/da/flagtemplate.txt", "uid___A002_X85c183_X36f.flagtemplate.txt"]
)
def test_flags_of_the_calibration_are_not_for_its_images(name: str) -> None:
    [finding] = lint_flag_commands(f"{GOOD[0]}\n".encode(), file=name, template=ALMA_TARGET_FLAGS).findings
    assert "put flags of the targets into flagtargetstemplate.txt" in finding.sentence
    assert not lint_flag_commands(f"{GOOD[0]}\n".encode(), file=name, template=VLA_FLAGS).findings
    target = name.replace("flagtemplate", "flagtargetstemplate")
    assert not lint_flag_commands(f"{GOOD[0]}\n".encode(), file=target, template=ALMA_TARGET_FLAGS).findings


@pytest.mark.parametrize(
    ("content", "commands"),
    [(b"", False), (b"\n \n# a\r\n", False), (b"# a\nmode='manual'", True), (b" # odd\n", False), (b"\xff", True)],
)
def test_a_file_of_comments_holds_no_command(content: bytes, *, commands: bool) -> None:
    assert holds_commands(content) == commands


def test_alma_flags_by_the_names_of_alma() -> None:
    observed = Observed(antennas=("DA41", "DV02", "PM03", "CM04"))
    for selection, known in {"DA41": True, "DA*;DV02&PM03": True, "A045": True, "DA42": False, "ea01": False}.items():
        text = f"mode='manual' antenna='{selection}' correlation='XX' intent='*OBSERVE_TARGET*'\n"
        report = lint_flag_commands(text.encode(), observed=observed, template=ALMA_TARGET_FLAGS)
        assert (not report.findings) == known, selection
    assert findings("antenna='A045'\n")[0].value == "A045", "no pad of the VLA"


def test_flags_are_checked_against_common_properties() -> None:
    first = Observed(datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 1, 2, tzinfo=UTC), ("DA41", "DV02"))
    second = Observed(datetime(2019, 1, 1, tzinfo=UTC), datetime(2019, 1, 2, tzinfo=UTC), ("DA41", "DV03"))
    assert observed_together([first, second]) == Observed(second.start, first.end, ("DA41", "DV02", "DV03"))
    assert observed_together([first, Observed()]) == Observed()
    assert observed_together([]) == Observed()


def test_quackincrement_must_come_first() -> None:
    line = "mode='quack' quackincrement=True"
    assert not findings(f"# first\n{line}\n{GOOD[0]}\n")
    [finding] = findings(f"{GOOD[0]}\n{line}\n")
    assert (finding.line, finding.column, finding.value) == (2, 29, "True")
    assert "move the line to the beginning" in finding.sentence


@pytest.mark.parametrize("template", [VLA_FLAGS, ALMA_TARGET_FLAGS], ids=["vla", "alma"])
def test_columns_that_the_data_do_not_have_then_are_odd(template: FlagTemplate) -> None:
    report = lint_flag_commands(b"mode='clip' datacolumn='corrected'\n", file=template.name, template=template)
    assert not report.findings
    assert template.column_fix in report.warnings[0].sentence
    assert [(warning.column, warning.value) for warning in report.warnings] == [(25, "corrected")]


@pytest.mark.parametrize(
    ("timerange", "inside"),
    [
        ("23:30:00~23:40:00", True),
        ("2026/01/01/00:10:00~2026/01/01/00:20:00", True),
        ("2025/12/31/23:30:00~2026/01/01/00:20:00", True),
        ("2025/12/31", False),
        ("2026/01/01", False),
        ("2026/01/02", False),
        ("00:10:00~00:20:00", False),
        ("22:59:59~23:10:00", True),
        ("22:59:58~23:10:00", True),
        ("2026/01/01/00:59:00~2026/01/01/01:00:01", True),
        ("2026/01/01/01:00:02~2026/01/01/01:10:00", False),
    ],
)
def test_times_of_an_observation_over_midnight(timerange: str, *, inside: bool) -> None:
    night = Observed(start=datetime(2025, 12, 31, 23, tzinfo=UTC), end=datetime(2026, 1, 1, 1, tzinfo=UTC))
    found = findings(f"timerange='{timerange}'\n", night)
    assert (not found) == inside
    if timerange == "00:10:00~00:20:00":
        assert "name the date of a time behind midnight" in found[0].sentence


def test_the_list_is_no_mode_of_its_own_lines() -> None:
    assert "list" not in MODES
    assert not set(SELECTORS).intersection(*MODES.values())


# --- properties ---------------------------------------------------------------------------------------------------

near_misses = st.lists(
    st.sampled_from([*"'\"=[]{},;:~&!<>#@*/\\ \t\n\r0159.+-_", "mode", "antenna", "spw", "timerange", "reason", "ea01"])
    | st.sampled_from([bad.text for bad in BAD])
    | st.characters(),
    max_size=40,
).map("".join)


@given(st.binary(max_size=300) | near_misses.map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_give_a_report_that_points_into_the_file(content: bytes) -> None:
    assert_sound(lint_flag_commands(content, observed=OBSERVED), content)


@given(st.lists(st.sampled_from(GOOD) | st.sampled_from(["", "# a comment with ' and ="]), max_size=12))
def test_a_file_of_good_lines_passes(lines: list[str]) -> None:
    lines = [line for line in lines if "quackincrement" not in line]
    assert not findings("".join(f"{line}\n" for line in lines))


@given(st.lists(st.sampled_from(GOOD), max_size=6), st.sampled_from(BAD), st.data())
def test_one_bad_line_among_good_ones_is_found(lines: list[str], bad: Bad, data: st.DataObject) -> None:
    lines = [line for line in lines if "quackincrement" not in line]
    place = data.draw(st.integers(0, len(lines)))
    text = "\n".join([*lines[:place], bad.text, *lines[place:]])
    assert {finding.line for finding in findings(text)} == {place + 1}


antenna = st.sampled_from(OBSERVED.antennas)
antennas = st.lists(antenna, min_size=1, max_size=4).map(",".join)
baseline = st.builds(
    lambda first, sign, second, negated: negated + first + (sign + second if sign else ""),
    antennas,
    st.sampled_from(["", "&", "&&"]),
    antennas.map(lambda names: f"{names},ea*"),
    st.sampled_from(["", "!"]),
)


def interval(lowest: int, highest: int) -> st.SearchStrategy[str]:
    ends = st.tuples(st.integers(lowest, highest), st.integers(lowest, highest))
    return ends.filter(lambda pair: pair[0] != pair[1]).map(lambda pair: f"{min(pair)}~{max(pair)}")


channels = st.lists(st.integers(0, 63).map(str) | interval(0, 63), min_size=1, max_size=4).map(";".join)
window = st.builds(
    lambda which, part: which + (f":{part}" if part else ""),
    st.integers(0, 3).map(str) | interval(0, 3) | st.just("*"),
    st.just("") | channels,
)
moments = st.datetimes(datetime(2013, 8, 10, 8, 0, 35), datetime(2013, 8, 10, 8, 10, 54))  # noqa: DTZ001
between = st.tuples(moments, moments).filter(lambda pair: pair[0] != pair[1]).map(sorted)
times = between.map(lambda pair: f"{pair[0]:%Y/%m/%d/%H:%M:%S.%f}~{pair[1]:%Y/%m/%d/%H:%M:%S.%f}")


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "antenna": st.lists(baseline, min_size=1, max_size=3).map(";".join),
            "spw": st.lists(window, min_size=1, max_size=3).map(",".join),
            "scan": st.lists(st.integers(1, 8).map(str) | interval(1, 8), min_size=1).map(",".join),
            "timerange": st.lists(times, min_size=1, max_size=3).map(",".join),
            "correlation": st.lists(st.sampled_from(["RR", "LL", "RL", "LR"]), min_size=1).map(",".join),
            "reason": st.from_regex(r"[A-Za-z0-9_:.-]*", fullmatch=True),
        },
    ),
    st.sampled_from("'\""),
)
def test_a_line_that_is_built_from_good_parts_passes(parts: dict[str, str], quote: str) -> None:
    mode = "manual" if parts.keys() - {"reason"} else "unflag"
    line = " ".join(f"{key}={quote}{value}{quote}" for key, value in {"mode": mode, **parts}.items())
    assert not findings(f"{line}\n"), line
