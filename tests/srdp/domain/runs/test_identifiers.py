from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from srdp.domain.common.errors import InvalidInput
from srdp.domain.runs.identifiers import (
    archive_locator,
    disk_name,
    execution_block_name,
    locator,
    mous_uid,
    new_pipeline_run_id,
    pipeline_run_id,
    project_code,
    project_of,
)

EB = "13A-537.sb24066356.eb24324502.56514.05971091435"
LOCATOR = "uid://evla/execblock/b1f4f0a8-2a1c-4ad1-9f4e-0c0f0f6c1a2b"
MOUS = "uid://A001/X1288/X3f"
RUN = "vla-20261122-182453-4f7k"

DOORS: list[tuple[Callable[[object], str], str]] = [
    (execution_block_name, EB),
    (locator, LOCATOR),
    (mous_uid, MOUS),
    (pipeline_run_id, RUN),
    (archive_locator, LOCATOR),
    (archive_locator, MOUS),
]

# What somebody might try, or paste by accident, in the place of any identifier.
HOSTILE = [
    "", " ", "\n", "\0", ".", "..", "../", "../../etc/passwd", "/", "/etc/passwd", "~", "-rf", "--help", "*", "?",
    "$(reboot)", "`reboot`", "; reboot", "| mail", "&& true", "a\nBcc: everybody@example.org", "a\r\nSubject: x",
    "'; DROP TABLE pipeline_run; --", '" OR 1=1', "<script>alert(1)</script>", "&amp;", "&xxe;", "%00", "%2e%2e%2f",
    "{{ 7 * 7 }}", "{% raw %}", "${HOME}", "\u202e", "\ufeff", "é", "\U0001f4a9", "x" * 10_000, "uid://", "uid://../..",
    "uid://A001/../X1", "uid://evla/execblock/../../x", "file:///etc/passwd", "http://localhost/", "None", "null",
    "True", "0", "1e9", "[]", "{}", "CON", "nul\0l",
]  # fmt: skip
# A good identifier with something hostile at one of its ends.
TAILS = ["\n", "\0", " ", "/", "/..", "\r\nX: y", ";", "'", '"', "%0a", "\u0660", "x" * 10_000]
NO_TEXT = [None, 7, 1.5, True, b"bytes", [], {}, object()]


@pytest.mark.parametrize(("parser", "good"), DOORS)
def test_a_good_value_passes_unchanged(parser: Callable[[object], str], good: str) -> None:
    assert parser(good) == good


@pytest.mark.parametrize(("parser", "good"), DOORS)
def test_hostile_values_are_refused_in_one_printable_sentence(parser: Callable[[object], str], good: str) -> None:
    for bad in [*HOSTILE, *(good + tail for tail in TAILS), *(tail + good for tail in TAILS), *NO_TEXT]:
        with pytest.raises(InvalidInput) as refusal:
            parser(bad)
        sentence = str(refusal.value)
        assert sentence.isprintable()
        assert len(sentence) < 400
        assert sentence.endswith(".")


# What an accepted value is called on disk.
ON_DISK: list[tuple[Callable[[object], str], Callable[[str], str]]] = [
    (execution_block_name, str),
    (pipeline_run_id, str),
    (project_code, str),
    (archive_locator, disk_name),
    (mous_uid, disk_name),
]


@given(st.text() | st.from_regex(r"\A[a-z]{3,4}://[A-Za-z0-9_./-]{1,20}\Z"))
@example("uid://0/0")
@example("uid://../..")
def test_no_accepted_text_leaves_its_directory(text: str) -> None:
    for accept, named in ON_DISK:
        try:
            name = named(accept(text))
        except InvalidInput:
            continue
        assert re.fullmatch(r"[A-Za-z0-9_.-]+", name)
        assert ".." not in name


@given(st.from_regex(r"\A[A-Za-z0-9_.-]{1,20}\.sb[0-9]{1,9}\.eb[0-9]{1,9}\.[0-9]{5}\.[0-9]{1,12}\Z"))
def test_execution_block_names_begin_with_the_project(text: str) -> None:
    try:
        name = execution_block_name(text)
    except InvalidInput:
        assert ".." in text or text[0] in ".-"
        return
    assert text.startswith(project_of(name) + ".sb")


@pytest.mark.parametrize(
    "name", ["sysstartS.58955.83384832176", "TSKY0001.sb1.eb2.59000", EB.upper(), "a..b.sb1.eb1.59000.1"]
)
def test_system_sdms_and_near_misses_are_no_execution_blocks(name: str) -> None:
    with pytest.raises(InvalidInput):
        execution_block_name(name)


def test_the_project_code_may_hold_dots() -> None:
    assert project_of(execution_block_name("VLASS2.1.sb38.eb39.59000.123")) == "VLASS2.1"


def test_run_ids_sort_by_time_and_are_unique() -> None:
    early = new_pipeline_run_id("vla", datetime(2026, 11, 22, 18, 24, 53, tzinfo=UTC))
    late = new_pipeline_run_id("vla", datetime(2026, 11, 22, 18, 24, 54, tzinfo=UTC))
    assert early.startswith("vla-20261122-182453-")
    assert early < late
    same_second = {new_pipeline_run_id("vla", datetime(2026, 11, 22, tzinfo=UTC)) for _ in range(50)}
    assert len(same_second) > 45


@pytest.mark.parametrize("code", ["13A-537", "VLASS2.1", "22A-126", "x" * 64])
def test_project_codes_pass(code: str) -> None:
    assert project_code(code) == code


def test_what_cannot_be_a_project_code_does_not_pass() -> None:
    words = {"None", "null", "True", "0", "1e9", "CON"}  # no more than codes that no project has
    for hostile in [*(set(HOSTILE) - words), "x" * 65, ".x", "-x", "a..b", "13A-537\n", None, 7, b"13A-537"]:
        with pytest.raises(InvalidInput, match="is not a project code"):
            project_code(hostile)
