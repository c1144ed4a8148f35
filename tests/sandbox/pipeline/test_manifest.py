from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lxml import etree
from tests.real_run import REAL_RUN

from sandbox.pipeline.manifest import Calibrated, Products, Versions, write_aqua_report, write_manifest
from sandbox.pipeline.results import Score, StageRecord

#: Where each deviation from the real thing is named, with its reason.
DEVIATIONS = Path(__file__).parents[3] / "docs" / "sandbox-deviations.md"


def deviations(what: str) -> set[str]:
    """Return what a row of the table of deviations names."""
    (row,) = re.findall(rf"^\| {re.escape(what)} \|(.*?)\|(.+)\|$", DEVIATIONS.read_text(), re.MULTILINE)
    named, reason = row
    assert len(reason) > 10
    return set(re.findall(r"`(\w+)`", named))


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
        "piperesults": "unknown",
        "ous": "unknown",
        "casaversion": "6.7.0.31",
        "pipeline_version": "sandbox-1.0",
        "procedure_name": "hifv",
        "execution_environment": None,
        "node": None,
        "restoredata": None,
        "manifest": "manifest.xml",
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
        "FinalScore": "Undefined",
    }
    found = [
        (stage.get("Number"), stage.get("Name"), score.get("Score"), score.get("Reason"))
        for stage in root.iterfind("QaPerStage/Stage")
        for score in stage.iterfind("RepresentativeScore")
    ]
    assert found == [
        ("1", "hifv_importdata", "1.0", "all there"),
        ("2", "hifv_hanning", "None", "nothing < to do"),
        ("3", "hifv_flagdata", "-0.1", "the scorer failed"),
    ]
    topics = {topic.tag: topic.get("Score") for topic in root.find("QaPerTopic")}
    assert topics == {"Dataset": "-0.1", "Flagging": "Undefined", "Calibration": "Undefined", "Imaging": "Undefined"}
    assert len(list(root.iter("Stage"))) == 5, "those with a score are there twice"


def test_both_have_the_shape_of_the_real_ones(tmp_path: Path):
    """Every element of theirs stands where it stands in a real one, but for what the table of deviations names."""
    files = {
        "piperequest": "p.xml", "weblog": "w.tgz", "casa_cmdlog": "c.log", "pipescript": "s.py",
        "restorescript": "r.py", "aqua_report": "a.xml", "aux_products_file": "x.tgz",
    }  # fmt: skip
    products = Products((Calibrated("a.ms", "c.tgz", "f.tgz", "a.txt"),), ("x.fits",), files)
    write_manifest(tmp_path / "m.xml", products, procedure="hifv", versions=_VERSIONS)
    assert places(tmp_path / "m.xml") == places(REAL_RUN / "vla" / "unknown.hifv.pipeline_manifest.xml")
    started = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    project = dict.fromkeys(places_below("ProjectStructure"), "x")
    tasks = ("hifv_importdata", "hifv_vlasetjy", "hifv_applycals", "hif_makeimages")
    stages = [StageRecord(number, task, {}, 1.0, Score(1.0, "x")) for number, task in enumerate(tasks, start=1)]
    report = tmp_path / "r.xml"
    write_aqua_report(report, stages, started=started, ended=started, versions=_VERSIONS, project=project)
    mine, real = places(report), places(REAL_RUN / "vla" / "pipeline_aquareport.xml")
    assert mine <= real
    left_out = {place for place in real - mine if place.rpartition("/")[0] in mine}
    assert {place.rpartition("/")[2] for place in left_out} == (
        deviations("AQUA report: elements") | (deviations("AQUA report: `QaPerTopic`"))
    )
    assert deviations("AQUA report: sub-scores") == {"SubScore"}


def test_attributes_of_products_deviate_as_the_table_says(tmp_path: Path):
    products = Products((), ("x.fits",), {})
    write_manifest(tmp_path / "m.xml", products, procedure="hifv", versions=_VERSIONS)
    (mine,) = etree.parse(tmp_path / "m.xml").getroot().iter("image")
    real = next(etree.parse(REAL_RUN / "vla" / "unknown.hifv.pipeline_manifest.xml").getroot().iter("image"))
    assert deviations("manifest: attributes") <= set(mine.attrib) <= set(real.attrib)
    assert len(set(real.attrib) - set(mine.attrib)) > 40


def places_below(element: str) -> list[str]:
    """Return the names of the elements in one of the real report's."""
    root = etree.parse(REAL_RUN / "vla" / "pipeline_aquareport.xml").getroot()
    return [each.tag for each in root.find(element)]


def places(document: Path) -> set[str]:
    """Return the paths of all elements."""
    tree = etree.parse(document)
    return {re.sub(r"\[\d+\]", "", tree.getpath(element)) for element in tree.iter()}
