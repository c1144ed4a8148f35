from __future__ import annotations

import pytest

from srdp.domain.common.errors import InvalidInput
from srdp.domain.common.lint import Finding, LintFailed, Notes, Report

LATER = Finding("b.txt", 2, 1, "x", "is odd", "remove it")
EARLIER = Finding("a.txt", 10, 3, "y", "is wrong", "write z")


def test_a_finding_is_one_sentence() -> None:
    assert EARLIER.sentence == "a.txt, line 10, column 3: 'y' is wrong: write z."


def test_a_hostile_value_and_name_stay_in_their_line() -> None:
    finding = Finding("a\n.txt", 1, 1, "y\r\nSubject: x" + "\u202e" * 200, "is\x07 wrong", "write \u2028z")
    assert finding.sentence.isprintable()
    assert finding.sentence.startswith("a\\n.txt, line 1, column 1: 'y\\r\\nSubject: x\\u202e")
    assert len(finding.sentence) < 200


def test_problems_of_all_files_are_refused_in_order() -> None:
    report = Report((LATER,)) + Report((EARLIER,), (LATER,))
    with pytest.raises(LintFailed) as failure:
        report.refuse()
    assert failure.value.findings == (EARLIER, LATER)
    assert str(failure.value) == f"{EARLIER.sentence}\n{LATER.sentence}"
    assert isinstance(failure.value, InvalidInput)


def test_warnings_alone_refuse_nothing() -> None:
    Report((), (LATER,)).refuse()


@pytest.mark.parametrize(
    ("line", "column", "there"), [(1, 1, (1, 1)), (0, 0, (1, 1)), (9, 9, (2, 1)), (1, 9, (1, 4)), (1, 4, (1, 4))]
)
def test_a_place_behind_the_file_is_moved_into_it(line: int, column: int, there: tuple[int, int]) -> None:
    notes = Notes("a.txt", "abc\n")
    notes.error(line, column, "x", "is wrong", "write y")
    [finding] = notes.report().findings
    assert (finding.line, finding.column) == there


def test_of_a_wrong_file_not_every_line_is_reported() -> None:
    """... which would be megabytes in the log, in Airflow's database and in a mail."""
    wrong = [Finding("a.txt", line, 1, "x", "is wrong", "fix it") for line in range(1, 10_001)]
    failed = LintFailed([Finding("b.txt", 1, 1, "x", "is wrong", "fix it"), *wrong])
    assert len(failed.findings) == 10_001
    lines = str(failed).splitlines()
    assert lines[0] == "a.txt, line 1, column 1: 'x' is wrong: fix it."
    assert lines[200:] == [
        "a.txt has 9800 more: see whether it is the file you meant.",
        "b.txt, line 1, column 1: 'x' is wrong: fix it.",
    ]
