from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from srdp.domain.common.errors import ServiceUnavailable
from srdp.domain.retention.expiry import (
    Expiring,
    ExpiryReport,
    Space,
    entries,
    expiring_measurement_set,
    expiring_run,
    gigabytes,
    unknown_entries,
)
from srdp.domain.runs.ledger_records import CachedMeasurementSet, PipelineRun
from srdp.domain.runs.states import RunState
from srdp.families import VLA, retention_kinds

RUN = "vla-20261122-182453-4f7k"
OTHER = "vla-20261122-182453-4f7m"
NOW = datetime(2026, 11, 22, 5, 30, tzinfo=UTC)
KINDS = retention_kinds()
DAYS = {kind.name: number for number, kind in enumerate(KINDS, start=1)}
THING = Expiring(
    kind="failed", pipeline_run_id=RUN, subject="an EB", since=NOW, expires_at=NOW, size_bytes=1_500_000_000
)


def run_in(state: RunState, kind: str = VLA.kind) -> PipelineRun:
    return PipelineRun(
        pipeline_run_id=RUN, kind=kind, subject="an EB", project="x", locator="x", version=1,
        state=state, dag_id="x", dag_run_id="x", requested_by="x", recipe="x", cores=1, memory_gb=1, failure=None,
        ppr_sha256=None, lowest_score=None, scores=None, created_at=NOW - timedelta(days=99), state_since=NOW,
    )  # fmt: skip


# When


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.states], ids=lambda kind: kind.name)
def test_run_expires_after_its_days_in_a_state(kind) -> None:
    for state in kind.states:
        (requests,) = kind.requests
        thing = expiring_run(run_in(state, requests), DAYS, KINDS)
        assert (thing.kind, thing.pipeline_run_id, thing.subject) == (kind.name, RUN, "an EB")
        assert thing.expires_at == NOW + timedelta(days=DAYS[kind.name])


@pytest.mark.parametrize("state", [RunState.PROCESSING, RunState.AWAITING_QA, RunState.INGEST_FAILED, RunState.CLEANED])
def test_what_is_worked_on_never_expires(state: RunState) -> None:
    assert expiring_run(run_in(state), DAYS, KINDS) is None


def test_measurement_set_expires_on_its_fixed_day() -> None:
    cached = CachedMeasurementSet(pipeline_run_id=RUN, path="/cache/x.ms", cached_at=NOW, expires_at=NOW)
    assert expiring_measurement_set(cached) == Expiring(
        kind="calibrated_measurement_sets", pipeline_run_id=RUN, subject="/cache/x.ms", since=NOW, expires_at=NOW
    )


# How much space


def test_hard_linked_file_counts_with_the_last_directory(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        (folder / "rawdata").mkdir(parents=True)
    (first / "rawdata" / "raw").write_bytes(b"r" * 1000)
    os.link(first / "rawdata" / "raw", second / "rawdata" / "raw")
    os.link(first / "rawdata" / "raw", second / "rawdata" / "twice")
    (first / "own").write_bytes(b"o" * 10)
    space = Space()
    assert space.freed_by([first]) == 10
    assert space.freed_by([second]) == 1000
    assert Space().freed_by([second]) == 0
    assert Space().freed_by([first, second]) == 1010


def test_links_and_what_is_not_there_count_nothing(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "large").write_bytes(b"x" * 1000)
    run = tmp_path / "run"
    run.mkdir()
    (run / "to a file").symlink_to(outside / "large")
    (run / "to a directory").symlink_to(outside)
    os.mkfifo(run / "pipe")
    (run / "own").write_bytes(b"o" * 7)
    assert Space().freed_by([run, tmp_path / "nowhere"]) == 7


# What belongs to nothing


def test_what_is_no_directory_of_ours_is_a_stray(tmp_path: Path) -> None:
    for name in (RUN, f".{OTHER}.removed", f".{RUN}.removed", ".hidden", "notes", "calibrated_measurement_sets"):
        (tmp_path / name).mkdir()
    (tmp_path / "a file").touch()
    (tmp_path / OTHER).symlink_to(tmp_path / RUN)
    places = [tmp_path, tmp_path / "calibrated_measurement_sets" / "deeper", tmp_path.parent]
    assert unknown_entries(tmp_path, entries(tmp_path), {RUN, OTHER}, {OTHER}, places) == [
        ".hidden",
        f".{RUN}.removed",
        "a file",
        "notes",
        OTHER,
    ]


def test_a_root_that_is_not_there_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(ServiceUnavailable, match="mounted"):
        entries(tmp_path / "nowhere")


# The report


def test_a_report_about_nothing() -> None:
    report = ExpiryReport(now=NOW, dry_run=False)
    assert not report.is_worth_a_mail
    assert list(report.lines()) == ["Nothing has expired, and nothing will within a week."]
    # Strays alone are no news: they are there every day.
    assert not replace(report, unknown_entries=("x",)).is_worth_a_mail


@pytest.mark.parametrize("what", ["removed", "failed", "kept", "coming"])
def test_anything_that_was_done_or_will_be_is_worth_a_mail(what: str) -> None:
    report = ExpiryReport(now=NOW, dry_run=False, **{what: [THING]})
    assert report.is_worth_a_mail
    assert report.has_done_something is (what in ("removed", "failed"))
    (heading, line) = report.lines()
    assert heading.endswith(" (1):")
    assert line.split() == ["2026-11-22", "1.500", "GB", "failed", RUN, "an", "EB"]


def test_a_mistake_in_the_text_file_is_worth_a_mail() -> None:
    assert ExpiryReport(now=NOW, dry_run=False, problems=("line 3 is wrong.",)).is_worth_a_mail


def test_the_lines_of_a_full_report() -> None:
    failed = replace(THING, why="The data products\nare not in the archive")
    report = ExpiryReport(
        now=NOW, dry_run=False, removed=[THING, THING], failed=[failed], coming=[THING], problems=("wrong.",),
        unknown_entries=("odd.",),
    )  # fmt: skip
    lines = list(report.lines())
    assert lines[0] == "Removed, 3.000 GB (2):"
    assert lines[3] == "Could not be removed (1):"
    assert lines[4].endswith(f"{RUN}  an EB: The data products are not in the archive")
    assert lines[5] == "Will be removed until 2026-11-29, 1.500 GB (1):"
    assert lines[7:] == [
        "The text file of retention (1):",
        "  wrong.",
        "Belongs to no known run, and is not touched (1):",
        "  odd.",
    ]
    assert next(replace(report, dry_run=True).lines()) == "Would be removed now, 3.000 GB (2):"


def test_a_hostile_subject_stays_in_its_line() -> None:
    assert replace(THING, subject="x\n\x1b[2J").line.isprintable()


def test_the_summary_fits_an_xcom_however_much_there_is() -> None:
    report = ExpiryReport(
        now=NOW, dry_run=True, removed=[THING] * 5000, failed=[replace(THING, why="why")], unknown_entries=("x",) * 5000
    )
    summary = report.summary()
    assert len(json.dumps(summary)) < 50_000
    assert summary["removed"]["number"] == 5000
    assert summary["bytes_removed"] == 5000 * 1_500_000_000
    assert summary["failed"] == {
        "number": 1,
        "first": [
            {"kind": "failed", "pipeline_run_id": RUN, "date": "2026-11-22", "bytes": 1_500_000_000, "why": "why"}
        ],
    }
    assert len(list(report.lines())) < 250


def test_gigabytes() -> None:
    assert gigabytes(10_756_612_803) == "10.757 GB"
