from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srdp.domain.common.errors import InvalidInput
from srdp.domain.common.visible import visible
from srdp.domain.runs.qa_failure import LONGEST_REASON, FailedQa, failed_qa, failure_reason, withdrawal_reason
from srdp.families import ALMA, VLA

RUN = "vla-20261122-182453-4f7k"
EB = "13A-537.sb24066356.eb24324502.56514.05971091435"
MOUS = "uid://A001/X1288/X3f"
NOTHING = {"run_id": "None", "subject": "", "project": None, "number": " "}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"run_id": f" {RUN} "}, FailedQa(run_id=RUN)),
        ({"subject": EB}, FailedQa(subject=EB)),
        ({"project": "22A-126"}, FailedQa(project="22A-126")),
        ({"project": "22A-126", "number": "12"}, FailedQa(project="22A-126", number=12)),
        ({"project": "22A-126", "number": 3}, FailedQa(project="22A-126", number=3)),
    ],
)
def test_one_thing_fails(fields, expected):
    assert failed_qa(VLA.check_subject, **(NOTHING | fields)) == expected


def test_a_mous_fails():
    assert failed_qa(ALMA.check_subject, **(NOTHING | {"subject": f" {MOUS}"})) == FailedQa(subject=MOUS)


@pytest.mark.parametrize(("family", "subject"), [(ALMA, EB), (ALMA, f"{MOUS}/.."), (VLA, MOUS)])
def test_what_another_family_is_about_is_refused(family, subject):
    with pytest.raises(InvalidInput):
        failed_qa(family.check_subject, **(NOTHING | {"subject": subject}))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "none was given"),
        ({"run_id": RUN, "subject": EB}, "more than one was given"),
        ({"run_id": RUN, "subject": EB, "project": "22A-126"}, "more than one was given"),
        ({"run_id": RUN, "number": 1}, "confirms a whole project"),
        ({"subject": EB, "number": "1"}, "confirms a whole project"),
        ({"run_id": "../x"}, "not a pipeline run ID"),
        ({"subject": f"{EB}/.."}, "not the name"),
        ({"project": "'; DROP TABLE request; --"}, "not a project code"),
        ({"project": "22A-126", "number": "-1"}, "not a number of runs"),
        ({"project": "22A-126", "number": "3.0"}, "not a number of runs"),
        ({"project": "22A-126", "number": "٣"}, "not a number of runs"),
    ],
)
def test_anything_else_is_refused(fields, said):
    with pytest.raises(InvalidInput, match=said):
        failed_qa(VLA.check_subject, **(NOTHING | fields))


def test_a_reason_is_kept_as_it_was_said():
    assert failure_reason("  RFI in all of L band.\r\nSee <ea12>. ") == "RFI in all of L band.\nSee <ea12>."


@pytest.mark.parametrize("reason", [None, "", " \n ", "None", "x" * (LONGEST_REASON + 1), "a\0b", "\x1b[31m"])
def test_a_reason_must_be_there_and_readable(reason):
    with pytest.raises(InvalidInput, match="reason"):
        failure_reason(reason)


@pytest.mark.parametrize("parser", [failure_reason, withdrawal_reason])
def test_reason_keeps_all_letters_and_hides_nothing(parser):
    assert parser("\u0431\u0456\u043b\u044c \u05e9\u05dc\u05d5\u05dd \u65e5\u672c\u8a9e, ok\u202etliaf\u200b") == (
        "\u0431\u0456\u043b\u044c \u05e9\u05dc\u05d5\u05dd \u65e5\u672c\u8a9e, ok\\u202etliaf\\u200b"
    )


@given(st.text(min_size=1))
def test_a_reason_that_is_taken_changes_at_its_ends_only(text):
    try:
        taken = failure_reason(text)
    except InvalidInput:
        return
    assert taken in visible(text.replace("\r\n", "\n"))
    assert all(character in "\t\n" or ord(character) >= 0x20 for character in taken)
