from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from srdp.domain.common.errors import InvalidInput, Refused
from srdp.domain.runs.assignment import Assignment, WaitingRun, checked_analyst, question_dag_run_id

NOW = datetime(2026, 11, 22, tzinfo=UTC)
DAY = timedelta(days=1)
RUN_ID = "alma-20261122-182453-4f7k"


def waiting(*, since=0, assigned=None, reminded=None):
    """A run; the times are days after NOW."""
    return WaitingRun(
        run=SimpleNamespace(state_since=NOW + since * DAY),
        assignment=None
        if assigned is None
        else Assignment(
            pipeline_run_id=RUN_ID, number=1, data_analyst="a@b", assigned_by="x", assigned_at=NOW + assigned * DAY
        ),
        reminders=0 if reminded is None else 1,
        reminded_at=None if reminded is None else NOW + reminded * DAY,
    )


@pytest.mark.parametrize(
    ("run", "due"),
    [
        (waiting(), 2),
        (waiting(assigned=1), 3),
        (waiting(reminded=2.1), 4.1),
        # A verdict was withdrawn.
        (waiting(since=7, assigned=1, reminded=3), 9),
    ],
    ids=["nobody has it", "somebody has it", "reminded of", "it came back"],
)
def test_a_reminder_is_due_after_the_period(run, due):
    assert not run.needs_reminder(NOW + (due - 0.01) * DAY, 2 * DAY)
    assert run.needs_reminder(NOW + due * DAY, 2 * DAY)


def test_the_dag_run_that_asks_is_known_before_it_is_there():
    assert question_dag_run_id(RUN_ID) == RUN_ID
    with pytest.raises(InvalidInput):
        question_dag_run_id("../x")


def test_only_those_of_the_settings_are_assigned_to():
    assert checked_analyst(" a@b ", ("c@d", "a@b")) == "a@b"
    for other in ("A@b", "x@y", "", None, 7, "a@b\nBcc: c@d"):
        with pytest.raises(Refused, match="SRDP_ALMA_DATA_ANALYSTS") as caught:
            checked_analyst(other, ("c@d", "a@b"))
        assert "\n" not in str(caught.value)
