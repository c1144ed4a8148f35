from __future__ import annotations

import os
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srdp.domain.retention import rules
from srdp.domain.retention.kinds import CALIBRATED_MEASUREMENT_SETS, Kind
from srdp.domain.runs.ledger_records import PipelineRun
from srdp.domain.runs.states import ACTIVE, TRANSITIONS, RunState
from srdp.families import ALMA, VLA, Family, families, retention_kinds

SHIPPED = Path(__file__).parents[4] / "include" / "retention.txt"
KINDS = retention_kinds()
kind_of_run = partial(rules.kind_of_run, kinds=KINDS)
days_in_force = partial(rules.days_in_force, kinds=KINDS)
read_retention = partial(rules.read_retention, kinds=KINDS)
parse_retention = partial(rules.parse_retention, kinds=KINDS)
NAMES = [kind.name for kind in KINDS]
# Unlike any default, so that what stays is seen to come from here.
BEFORE = {name: 100 + number for number, name in enumerate(NAMES)}
GOOD = {name: 200 + number for number, name in enumerate(NAMES)}
TEXT = "".join(f"{name}  {days} days\n" for name, days in GOOD.items())


def run_in(state: RunState, kind: str = VLA.kind) -> PipelineRun:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    return PipelineRun(
        pipeline_run_id="vla-20261122-182453-4f7k", kind=kind, subject="x", project="x", locator="x", version=1,
        state=state, dag_id="x", dag_run_id="x", requested_by="x", recipe="x", cores=1, memory_gb=1, failure=None,
        ppr_sha256=None, lowest_score=None, scores=None, created_at=now, state_since=now,
    )  # fmt: skip


# The table


@pytest.mark.parametrize("family", families(), ids=lambda family: family.name)
@pytest.mark.parametrize("state", RunState)
def test_active_and_waiting_runs_never_expire(state: RunState, family: Family) -> None:
    kind = kind_of_run(run_in(state, family.kind))
    if state in ACTIVE or state in (RunState.AWAITING_QA, RunState.CLEANED):
        assert kind is None
    else:
        assert kind is not None
        assert state is RunState.CLEANING or RunState.CLEANING in TRANSITIONS[state]
        assert kind.requests == {family.kind}


def test_a_request_of_a_kind_that_the_table_does_not_know_stays() -> None:
    assert kind_of_run(run_in(RunState.FAILED, "vla_imaging")) is None


def test_further_kinds_are_further_lines_of_the_table() -> None:
    vlass = Kind("vlass_failed", "failed VLASS runs", 7, frozenset({"vlass_imaging"}), frozenset({RunState.FAILED}))
    kinds = (*KINDS, vlass)
    assert kind_of_run(run_in(RunState.FAILED, "vlass_imaging"), kinds=kinds) is vlass
    assert kind_of_run(run_in(RunState.FAILED), kinds=kinds).name == "failed"
    assert kind_of_run(run_in(RunState.FAILED, ALMA.kind), kinds=kinds).name == "alma_failed"
    read = parse_retention(b"vlass_failed 2 weeks", "retention.txt", {}, kinds=kinds)
    assert (read.days["vlass_failed"], read.said) == (14, {"vlass_failed": 14})


def test_the_default_holds_only_until_something_else_was_said() -> None:
    assert days_in_force(CALIBRATED_MEASUREMENT_SETS, {}) == 21
    assert days_in_force(CALIBRATED_MEASUREMENT_SETS, {CALIBRATED_MEASUREMENT_SETS: 0}) == 0


# The text


def test_shipped_retention_file_has_all_defaults() -> None:
    read = read_retention(SHIPPED, {})
    assert read.problems == ()
    assert read.said == read.days == {kind.name: kind.default_days for kind in KINDS}


def test_what_is_said_rightly_replaces_what_was_in_force() -> None:
    read = parse_retention(TEXT.encode(), "retention.txt", BEFORE)
    assert (read.days, read.said, read.problems) == (GOOD, GOOD, ())


@pytest.mark.parametrize(
    "line",
    [
        "failed 9 days",
        "\t failed\t9   days  ",
        "failed 9 days # as agreed",
        "failed 9 days#",
        "failed 009 day",
        "failed 9 days\r",
        "\ufefffailed 9 days",
    ],
)
def test_how_a_line_may_look(line: str) -> None:
    assert parse_retention(line.encode(), "retention.txt", {}).said == {"failed": 9}


def test_units() -> None:
    assert parse_retention(b"failed 0 days\narchived 2 weeks\nrejected 1 week", "x", {}).said == {
        "failed": 0,
        "archived": 14,
        "rejected": 7,
    }


@pytest.mark.parametrize(
    ("line", "column", "said"),
    [
        ("archved 14 days", 1, "'archved' is not a kind of thing that is kept: write archived."),
        ("FAILED 14 days", 1, "'FAILED' is not a kind of thing that is kept: write failed."),
        ("everything 14 days", 1, "'everything' is not a kind of thing that is kept: write one of archived, failed,"),
        ("failed", 7, "'failed' has no number of days: write, for example, failed 14 days."),
        ("failed # 14 days", 17, "'failed' has no number of days"),
        ("failed -3 days", 8, "'-3' is negative: write a whole number from 0 on."),
        ("failed ten days", 8, "'ten' is not a whole number"),
        ("failed 1.5 days", 8, "'1.5' is not a whole number"),
        ("failed \u0663 days", 8, "is not a whole number"),
        ("failed 14days", 8, "'14days' is not a whole number"),
        ("failed = 14 days", 8, "'=' is not a whole number"),
        ("failed " + "9" * 5000 + " days", 8, "is not a whole number"),
        ("failed 14", 10, "'14' has no unit: write 14 days or 14 weeks."),
        ("failed 14 months", 11, "'months' is not a unit: write days or weeks."),
        ("failed 14 days or so", 16, "'or so' is too much: remove it, or write # before it."),
        ("failed 3651 days", 8, "'3651' is longer than ten years: write at most 3650 days."),
        ("failed 522 weeks", 8, "'522' is longer than ten years"),
        ("\x1b[2J 14 days", 1, "is not a kind of thing"),
    ],
)
def test_wrong_line_is_reported_and_old_value_stays(line: str, column: int, said: str) -> None:
    others = {name: days for name, days in GOOD.items() if name != "failed"}
    text = f"# a comment\n{line}\n" + "".join(f"{name} {days} days\n" for name, days in others.items())
    read = parse_retention(text.encode(), "retention.txt", BEFORE)
    assert read.said == others
    assert read.days == others | {"failed": BEFORE["failed"]}
    first, second = read.problems
    assert first.startswith(f"retention.txt, line 2, column {column}: ")
    assert said in first
    assert second == "retention.txt has no good line for failed: failed VLA runs are kept for 101 days, as before."


def test_of_two_lines_for_one_kind_neither_counts() -> None:
    read = parse_retention((TEXT + "failed 3 days\nfailed 4 days\n").encode(), "retention.txt", BEFORE)
    assert read.days == GOOD | {"failed": BEFORE["failed"]}
    assert "failed" not in read.said
    assert f"line {len(KINDS) + 1}, column 1: 'failed' stands in line 2 too" in read.problems[0]
    assert f"line {len(KINDS) + 2}" in read.problems[1]


def test_a_missing_line_is_reported() -> None:
    read = parse_retention(TEXT.replace("\nrejected", "\n# rejected").encode(), "retention.txt", BEFORE)
    assert read.days == GOOD | {"rejected": BEFORE["rejected"]}
    (reported,) = read.problems
    assert reported.startswith(
        "retention.txt has no good line for rejected: rejected VLA runs, and removals that were begun"
    )
    assert reported.endswith(" are kept for 104 days, as before.")


def test_wrong_encoding_damages_only_the_value_itself() -> None:
    read = parse_retention("# für immer\n".encode("latin-1") + TEXT.encode(), "retention.txt", BEFORE)
    assert (read.days, read.problems) == (GOOD, ())
    read = parse_retention(TEXT.encode() + "fäiled 3 days".encode("latin-1"), "retention.txt", BEFORE)
    assert read.days == GOOD
    assert len(read.problems) == 1


def test_a_flood_of_wrong_lines_becomes_no_flood_of_sentences() -> None:
    read = parse_retention(b"x\n" * 5000, "retention.txt", BEFORE)
    assert read.days == BEFORE
    assert len(read.problems) == 20 + 1 + len(KINDS)
    assert read.problems[20] == "retention.txt has 4980 more wrong lines: fix the first ones and see."


_LINES = st.builds(
    " ".join,
    st.lists(
        st.one_of(
            st.sampled_from([*NAMES, "day", "days", "weeks", "#", "0", "14", "-1", "3650", "3651", "\x00", "\r"]),
            st.text(max_size=6),
        ),
        max_size=5,
    ),
)


@given(st.one_of(st.binary(), st.lists(_LINES).map("\n".join).map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_each_kind_is_kept_as_set_or_as_before(content: bytes) -> None:
    read = parse_retention(content, "retention.txt", BEFORE)
    assert read.days == BEFORE | read.said
    assert all(0 <= days <= 3650 for days in read.said.values())
    # What is not given is reported; and each report is one line of printable text.
    assert [
        name for name in NAMES if not any(f"no good line for {name}:" in reported for reported in read.problems)
    ] == [name for name in NAMES if name in read.said]
    assert all(reported.isprintable() and reported.endswith(".") for reported in read.problems)


@given(st.dictionaries(st.sampled_from(NAMES), st.integers(0, 521)), st.sampled_from(["days", "weeks"]), st.text())
def test_what_is_written_is_read(days: dict[str, int], unit: str, comment: str) -> None:
    comment = comment.replace("\n", " ")
    lines = [f"{name} {number} {unit} # {comment}" for name, number in days.items()]
    read = parse_retention("\n".join(lines).encode("utf-8", "replace"), "retention.txt", {})
    assert read.said == {name: number * (7 if unit == "weeks" else 1) for name, number in days.items()}


# The file


def test_no_file() -> None:
    read = read_retention(Path("/nowhere/retention.txt"), BEFORE)
    assert (read.days, read.said) == (BEFORE, {})
    (reported,) = read.problems
    assert reported.startswith("/nowhere/retention.txt is not there: put the text file there.")
    assert "archived 100 days" in reported


def _link(path: Path) -> None:
    secret = path.with_name("secret")
    secret.write_text("hunter2")
    path.symlink_to(secret)


def _huge(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 34)  # sparse


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (os.mkfifo, "is a named pipe"),
        (Path.mkdir, "is a folder"),
        (_link, "is a symbolic link"),
        (lambda path: path.write_bytes(b"#" * 65537), "is larger than the text file may be"),
        (_huge, "is larger than the text file may be"),
        (lambda path: path.symlink_to("/nowhere"), "is a symbolic link"),
    ],
    ids=["pipe", "directory", "link", "large", "huge", "dangling"],
)
@pytest.mark.timeout(20)
def test_non_text_retention_file_changes_nothing(make, said: str, tmp_path: Path) -> None:
    path = tmp_path / "retention\n.txt"
    make(path)
    read = read_retention(path, BEFORE)
    assert (read.days, read.said) == (BEFORE, {})
    (reported,) = read.problems
    assert said in reported
    assert "hunter2" not in reported
    assert reported.isprintable()


def test_a_device_is_not_read() -> None:
    assert "is a device" in read_retention(Path("/dev/zero"), BEFORE).problems[0]


def test_a_large_file_that_is_just_allowed(tmp_path: Path) -> None:
    path = tmp_path / "retention.txt"
    path.write_bytes(TEXT.encode() + b"#" * (65536 - len(TEXT)))
    assert read_retention(path, BEFORE).days == GOOD
