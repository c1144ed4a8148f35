"""The manifest of a run's products, and the AQUA report of its scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree as ET

from sandbox.pipeline.results import StageRecord

#: What the manifest calls a product that was not made.
UNDEFINED = "Undefined"


@dataclass(frozen=True)
class Versions:
    """The versions of what has run."""

    casa: str
    pipeline: str


@dataclass(frozen=True)
class Calibrated:
    """The names of the products that a measurement set is restored from; empty for one that was not made.

    Attributes:
        measurement_set: name of the measurement set.
        caltables: tar of its session's calibration tables.
        flag_versions: tar of the flag versions.
        apply_list: the calls of ``applycal``.
        session: name of its session.
    """

    measurement_set: str
    caltables: str
    flag_versions: str
    apply_list: str
    session: str = "session_1"


@dataclass(frozen=True)
class Products:
    """The names of a run's products; empty for one that was not made.

    Attributes:
        calibrated: the calibration, by measurement sets; none if it is not among the products.
        images: FITS files.
        files: the other products, by the manifest's element.
    """

    calibrated: tuple[Calibrated, ...]
    images: tuple[str, ...]
    files: dict[str, str]


def write_manifest(path: Path, products: Products, *, procedure: str, versions: Versions, ous: str = "unknown") -> None:
    """Writes the manifest.

    Args:
        path: where.
        products: the names of the products.
        procedure: title of the recipe.
        versions: what has run.
        ous: ALMA's MOUS, as on disk; the VLA has none.
    """
    root = ET.Element("piperesults")
    unit = ET.SubElement(root, "ous", name=ous)
    ET.SubElement(unit, "casaversion", name=versions.casa)
    ET.SubElement(unit, "pipeline_version", name=versions.pipeline)
    ET.SubElement(unit, "procedure_name", name=procedure)
    sessions: dict[str, ET.Element] = {}
    for calibrated in products.calibrated:
        if calibrated.session not in sessions:
            session = sessions[calibrated.session] = ET.SubElement(unit, "session", name=calibrated.session)
            ET.SubElement(session, "caltables", name=calibrated.caltables or UNDEFINED)
        session = sessions[calibrated.session]
        asdm = ET.SubElement(session, "asdm", name=calibrated.measurement_set)
        ET.SubElement(asdm, "finalflags", name=calibrated.flag_versions or UNDEFINED)
        ET.SubElement(asdm, "applycmds", name=calibrated.apply_list or UNDEFINED)
    for element, name in products.files.items():
        ET.SubElement(unit, element, name=name or UNDEFINED)
    for name in products.images:
        ET.SubElement(unit, "image", name=name)
    _write(path, root)


def write_aqua_report(
    path: Path, stages: Sequence[StageRecord], *, started: datetime, ended: datetime, versions: Versions
) -> None:
    """Writes the AQUA report of the stages that have run.

    Args:
        path: where.
        stages: the stages.
        started: when the run began, UTC.
        ended: now, UTC.
        versions: what has run.
    """
    root = ET.Element("PipelineAquaReport")
    summary = ET.SubElement(root, "QaSummary")
    ET.SubElement(summary, "ReportDate").text = f"{ended:%Y-%m-%d %H:%M:%S}"
    ET.SubElement(summary, "ProcessingTime").text = str(ended - started)
    ET.SubElement(summary, "CasaVersion").text = versions.casa
    ET.SubElement(summary, "PipelineVersion").text = versions.pipeline
    per_stage = ET.SubElement(root, "QaPerStage")
    for record in stages:
        stage = ET.SubElement(per_stage, "Stage", Number=str(record.number), Name=record.task)
        value = record.score.value
        score = "None" if value is None else f"{value:.4f}"
        ET.SubElement(stage, "RepresentativeScore", Score=score, Reason=record.score.reason)
    _write(path, root)


def _write(path: Path, root: ET.Element) -> None:
    ET.indent(root)
    ET.ElementTree(root).write(path, encoding="UTF-8", xml_declaration=True)
    with path.open("a", encoding="utf-8") as stream:
        stream.write("\n")
