from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from lxml import etree

from sandbox.pipeline.manifest import Calibrated, Products, Versions, write_aqua_report, write_manifest
from sandbox.pipeline.results import Score, StageRecord

_VERSIONS = Versions("6.7.0.31", "sandbox-1.0")


def test_product_that_was_not_made_is_named_undefined(tmp_path: Path):
    path = tmp_path / "manifest.xml"
    products = Products(
        (Calibrated("a.ms", "", "flags.tgz", ""),), ("image.fits",), {"weblog": "weblog.tgz", "aqua_report": ""}
    )
    write_manifest(path, products, procedure="hifv", versions=_VERSIONS)
    root = etree.parse(path).getroot()
    names = {element.tag: element.get("name") for element in root.iter()}
    assert names == {
        "piperesults": None,
        "ous": "unknown",
        "casaversion": "6.7.0.31",
        "pipeline_version": "sandbox-1.0",
        "procedure_name": "hifv",
        "session": "session_1",
        "caltables": "Undefined",
        "asdm": "a.ms",
        "finalflags": "flags.tgz",
        "applycmds": "Undefined",
        "weblog": "weblog.tgz",
        "aqua_report": "Undefined",
        "image": "image.fits",
    }


def test_measurement_sets_of_one_session_stand_in_it_together(tmp_path: Path):
    path = tmp_path / "manifest.xml"
    of = {"a.ms": "session_1", "b.ms": "session_2", "c.ms": "session_2"}
    calibrated = [Calibrated(vis, f"{session}.tgz", "f", "a", session) for vis, session in of.items()]
    write_manifest(path, Products(tuple(calibrated), (), {}), procedure="hifa_calimage", versions=_VERSIONS)
    sessions = etree.parse(path).getroot().iter("session")
    assert [(one.get("name"), [(each.tag, each.get("name")) for each in one]) for one in sessions] == [
        ("session_1", [("caltables", "session_1.tgz"), ("asdm", "a.ms")]),
        ("session_2", [("caltables", "session_2.tgz"), ("asdm", "b.ms"), ("asdm", "c.ms")]),
    ]


def test_aqua_report(tmp_path: Path):
    path = tmp_path / "report.xml"
    started = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    stages = [
        StageRecord(1, "hifv_importdata", {}, 1.0, Score(1.0, "all there")),
        StageRecord(2, "hifv_hanning", {}, 1.0, Score(None, "nothing < to do")),
        StageRecord(3, "hifv_flagdata", {}, 1.0, Score(-0.1, "the scorer failed")),
    ]
    write_aqua_report(path, stages, started=started, ended=started + timedelta(minutes=5), versions=_VERSIONS)
    root = etree.parse(path).getroot()
    summary = {element.tag: element.text for element in root.iterfind("QaSummary/*")}
    assert summary == {
        "ReportDate": "2026-01-02 03:09:05",
        "ProcessingTime": "0:05:00",
        "CasaVersion": "6.7.0.31",
        "PipelineVersion": "sandbox-1.0",
    }
    found = [
        (stage.get("Number"), stage.get("Name"), score.get("Score"), score.get("Reason"))
        for stage in root.iterfind("QaPerStage/Stage")
        for score in stage.iterfind("RepresentativeScore")
    ]
    assert found == [
        ("1", "hifv_importdata", "1.0000", "all there"),
        ("2", "hifv_hanning", "None", "nothing < to do"),
        ("3", "hifv_flagdata", "-0.1000", "the scorer failed"),
    ]
