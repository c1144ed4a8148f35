from __future__ import annotations

import shutil
import threading

import pytest

from srdp.notifications import gauges

pytestmark = pytest.mark.servers


def test_hanging_file_system_holds_one_thread_only(settings, ledger, monkeypatch):
    answers, asked, sent = threading.Event(), [], []
    usage = shutil.disk_usage(settings.home)

    def disk_usage(area):
        if area == settings.qa_area:
            asked.append(threading.current_thread())
            assert answers.wait(30)
        return usage

    def areas_shown():
        sent.clear()
        gauges.send_gauges(settings)
        return {tags["area"] for metric, tags in sent if metric == gauges.metrics.FREE}

    monkeypatch.setattr(gauges.metrics, "are_sent", lambda: True)
    monkeypatch.setattr(gauges.metrics, "send", lambda metric, _value, **tags: sent.append((metric, tags)))
    monkeypatch.setattr(gauges.shutil, "disk_usage", disk_usage)
    monkeypatch.setattr(gauges, "_AREA_SECONDS", 0.2)
    try:
        for _ in range(3):
            assert areas_shown() == {"processing", "spool"}
        assert len(asked) == 1
    finally:
        answers.set()
    asked[0].join(10)
    monkeypatch.setattr(gauges, "_AREA_SECONDS", 30)
    assert areas_shown() == {"processing", "qa", "spool"}
