"""Many systems are asked at once, and one that hangs delays no other."""

from __future__ import annotations

import threading
import time

import pytest

from srdp.check import concurrently
from srdp.check.concurrently import Check, findings
from srdp.domain.common.errors import ServiceUnavailable, SettingsError


def _wrong() -> str:
    raise SettingsError("set it right.")


def _away() -> str:
    raise ServiceUnavailable("it is away.")


def _broken() -> str:
    raise ValueError("line 1\nline 2")


def test_answers_are_reported_at_once_and_silence_at_timeout() -> None:
    release = threading.Event()

    def hangs() -> str:
        release.wait(60)
        return "much too late."

    checks = [
        Check("first to hang", hangs, "see the first", 0.4),
        Check("second to hang", hangs, "see the second", 0.5),
        Check("right", lambda: "it answers.", "see it", 30),
        Check("wrong", _wrong, "see it", 30),
        Check("broken", _broken, "see it", 30),
        Check("away", _away, "see it", 30),
    ]
    began = time.monotonic()
    found = list(findings(checks))
    assert time.monotonic() - began < 10
    release.set()
    assert [finding.name for finding in found[4:]] == ["first to hang", "second to hang"]
    by_name = {finding.name: finding for finding in found}
    assert len(by_name) == len(found) == 6
    assert str(by_name["right"]) == "OK      0.0 s  right: it answers."
    assert str(by_name["wrong"]) == "WRONG   0.0 s  wrong: set it right."
    assert by_name["broken"].sentence == "ValueError: 'line 1\\nline 2'; see it."
    assert str(by_name["first to hang"]).endswith("first to hang: no answer within 0.4 seconds; see the first.")
    assert by_name["second to hang"].seconds >= 0.5
    assert {name for name, finding in by_name.items() if finding.may_heal} == {
        "first to hang",
        "second to hang",
        "away",
    }


def test_what_is_waited_for_is_reported_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrently, "_PROGRESS_SECONDS", 0.1)
    release = threading.Event()
    reported: list[str] = []

    def report(line: str) -> None:
        reported.append(line)
        if len(reported) == 2:
            release.set()

    checks = [Check("slow", lambda: str(release.wait(30)), "see it", 30), Check("quick", lambda: "now.", "see it", 30)]
    assert [finding.name for finding in findings(checks, report)] == ["quick", "slow"]
    assert len(reported) >= 2
    assert all(line.endswith("waiting for: slow") for line in reported)
