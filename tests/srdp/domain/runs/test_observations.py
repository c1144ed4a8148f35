from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from srdp.domain.runs.execution_block import Decision, IngestedSdm
from srdp.domain.runs.observations import (
    HISTORY,
    backlog_start,
    decide,
    decide_backlog,
    decide_history,
    look_from,
)

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
STATUSES = st.sampled_from(["Ready", "Calibrated", "Do Not Calibrate", "On hold"])


def sdm(number: int, status: str = "Ready", at: datetime = NOON) -> IngestedSdm:
    return IngestedSdm(
        locator=f"uid://evla/execblock/00000000-0000-0000-0000-{number:012d}",
        name=f"13A-537.sb1.eb{number}.56514.05971091435",
        calibration_status=status,
        ingested_at=at,
    )


def calibrated(noticed):
    return [one.sdm for one in noticed if one.verdict.decision is Decision.CALIBRATE]


def test_the_overlap_reaches_back_at_most_a_day():
    assert look_from(NOON, 60) == NOON - timedelta(hours=1)
    assert look_from(NOON, 0) == NOON
    assert look_from(NOON, 10_000_000) == NOON - timedelta(hours=24)


def test_the_backlog_holds_its_first_day_whole():
    first = datetime(2026, 1, 2, tzinfo=UTC)
    assert backlog_start("2026-01-02") < first
    assert first - backlog_start("2026-01-02") == timedelta(microseconds=1)


def test_what_is_decided_is_not_decided_again():
    old, new = sdm(1), sdm(2)
    assert [one.sdm for one in decide([old, new], decided={old.name: "newly ingested"}, existing_runs={})] == [new]


def test_what_somebody_has_started_by_hand_is_left_alone():
    (found,) = decide([sdm(1)], decided={}, existing_runs={sdm(1).name: "vla-20261122-120000-4f7k"})
    assert found.verdict.decision is Decision.LEFT_ALONE
    assert "vla-20261122-120000-4f7k" in found.verdict.reason


def test_history_is_skipped_with_its_own_reason():
    noticed = decide_history([sdm(1), sdm(2, "Do Not Calibrate")])
    assert not calibrated(noticed)
    assert [one.verdict.reason == HISTORY for one in noticed] == [True, False]


def test_backlog_takes_history_only():
    decided = {sdm(1).name: HISTORY, sdm(2).name: "newly ingested"}
    backlog = decide_backlog(
        [sdm(1), sdm(2), sdm(3)], date="2026-01-01", allowance=9, decided=decided, existing_runs={}
    )
    assert [one.sdm for one in backlog.noticed] == [sdm(1), sdm(3)]
    assert {one.verdict.reason for one in backlog.noticed} == {"backlog from 2026-01-01"}


def test_the_backlog_leaves_alone_what_has_been_started_since():
    runs = {sdm(1).name: "vla-20261122-120000-4f7k"}
    backlog = decide_backlog([sdm(1)], date="2026-01-01", allowance=9, decided={}, existing_runs=runs)
    assert not calibrated(backlog.noticed)


@given(
    rows=st.lists(st.tuples(st.integers(0, 6), STATUSES), min_size=1, max_size=30),
    cap=st.integers(1, 5),
    page=st.integers(1, 7),
)
def test_backlog_is_worked_through_in_order_within_the_cap(rows, cap, page):
    """Whatever shares a time of ingestion, and wherever the days end: each row is decided exactly once."""
    archive = sorted(
        (sdm(number, status, NOON + timedelta(seconds=seconds)) for number, (seconds, status) in enumerate(rows)),
        key=lambda one: one.ingested_at,
    )
    decided: dict[str, str] = {}
    started: list[IngestedSdm] = []
    reached = NOON - timedelta(days=1)
    for _day in range(len(rows) + 1):
        allowance = cap
        while allowance:
            later = [one for one in archive if one.ingested_at > reached]
            if not later:
                break
            last = later[:page][-1].ingested_at  # as FETCH FIRST ... WITH TIES does
            result = decide_backlog(
                [one for one in later if one.ingested_at <= last],
                date="2026-01-01",
                allowance=allowance,
                decided=decided,
                existing_runs={},
            )
            assert not decided.keys() & {one.sdm.name for one in result.noticed}
            assert len(calibrated(result.noticed)) <= allowance
            assert result.reached >= reached
            decided |= {one.sdm.name: one.verdict.reason for one in result.noticed}
            started += calibrated(result.noticed)
            allowance -= len(calibrated(result.noticed))
            reached = result.reached
            if result.exhausted:
                break
    assert decided.keys() == {one.name for one in archive}
    assert started == [one for one in archive if one.calibration_status == "Ready"]
