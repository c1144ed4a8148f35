from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from srdp.domain.runs.execution_block import Decision, IngestedSdm, verdict
from srdp.domain.runs.identifiers import execution_block_name

EB = "13A-537.sb24066356.eb24324502.56514.05971091435"
LOCATOR = "uid://evla/execblock/00000000-0000-0000-0000-000000000001"


def sdm(**changes) -> IngestedSdm:
    values = {"locator": LOCATOR, "name": EB, "calibration_status": "Ready", "ingested_at": datetime.now(UTC)}
    return IngestedSdm(**(values | changes))


def test_a_science_execution_block_that_is_ready_is_calibrated():
    assert verdict(sdm()).decision is Decision.CALIBRATE


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "sysstartS.58955.83384832176"}, "its name is not that of a science execution block"),
        ({"name": "../../etc.sb1.eb1.56514.1"}, "its name is not that of"),
        ({"name": "x'; DROP TABLE observation; --"}, "its name is not that of"),
        ({"name": "13A-537.sb1.eb1.56514.1\nSubject: x"}, "its name is not that of"),
        ({"name": ""}, "its name is not that of"),
        ({"name": "A" * 10_000 + ".sb1.eb1.56514.1"}, "its name is not that of"),
        ({"locator": "uid://A001/X1288/X3f"}, "its locator 'uid://A001/X1288/X3f' does not have the form"),
        ({"locator": ""}, "its locator '' does not have the form"),
        ({"calibration_status": "Calibrated"}, "Calibrated already"),
        ({"calibration_status": "Do Not Calibrate"}, "marked Do Not Calibrate"),
        ({"calibration_status": "ready"}, "its calibration status 'ready' is not known here"),
        ({"calibration_status": "Ready "}, "its calibration status 'Ready ' is not known here"),
        ({"calibration_status": "On hold\n\x1b[31m"}, r"its calibration status 'On hold\n\x1b[31m' is not known"),
        ({"calibration_status": ""}, "its calibration status '' is not known here"),
    ],
)
def test_what_is_left_alone_has_its_reason(changes, reason):
    found = verdict(sdm(**changes))
    assert found.decision is Decision.LEFT_ALONE
    assert reason in found.reason


@given(name=st.text(), locator=st.text(), status=st.text())
def test_nothing_but_what_is_certain_is_calibrated(name, locator, status):
    found = verdict(sdm(name=name, locator=locator, calibration_status=status))
    assert found.reason
    assert found.reason.isprintable()
    if found.decision is Decision.CALIBRATE:
        assert (execution_block_name(name), status) == (name, "Ready")


@given(st.text(max_size=500))
@example("\u202e" * 5000)
def test_every_name_can_be_a_key_of_the_ledger(name):
    # Indices of PostgreSQL refuse more than 2704 bytes.
    assert len(sdm(name=name).ledger_key.encode()) < 2000


def test_long_names_keep_different_keys():
    keys = {sdm(name="x" * 5000 + end).ledger_key for end in "ab"}
    assert len(keys) == 2


def test_the_key_of_an_execution_block_is_its_name():
    assert sdm().ledger_key == EB
