"""The manifest of a run's products, and the AQUA report of its scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from types import MappingProxyType
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
    """Write the manifest.

    Args:
        path: where.
        products: the names of the products.
        procedure: title of the recipe.
        versions: what has run.
        ous: ALMA's MOUS, as on disk; the VLA has none.
    """
    root = ET.Element("piperesults", name=ous)
    unit = ET.SubElement(root, "ous", name=ous)
    ET.SubElement(unit, "casaversion", name=versions.casa)
    ET.SubElement(unit, "pipeline_version", name=versions.pipeline)
    ET.SubElement(unit, "procedure_name", name=procedure)
    ET.SubElement(ET.SubElement(unit, "execution_environment"), "node", num_mpi_servers="0")
    files = {"manifest": path.name, **products.files}

    def add(*elements: str) -> None:
        for element in elements:
            if element in files:
                _product(unit, element, files[element], ous=ous, level="member", package=procedure)

    add("piperequest")
    sessions: dict[str, ET.Element] = {}
    for calibrated in products.calibrated:
        if calibrated.session not in sessions:
            session = sessions[calibrated.session] = ET.SubElement(unit, "session", name=calibrated.session)
            _product(session, "caltables", calibrated.caltables, session=calibrated.session, level="member")
        session = sessions[calibrated.session]
        asdm = ET.SubElement(session, "asdm", name=calibrated.measurement_set, datatype="asdm", format="sdm")
        _product(asdm, "finalflags", calibrated.flag_versions, asdm=calibrated.measurement_set)
        _product(asdm, "applycmds", calibrated.apply_list, asdm=calibrated.measurement_set)
        ET.SubElement(asdm, "restoredata", specline_spws="none")
    add("weblog", "casa_cmdlog", "pipescript", "restorescript")
    for name in products.images:
        imtype = "target" if "_sci." in name else "calibrator"
        _product(unit, "image", name, imtype=imtype, rms="N/A", ous=ous)
    add("manifest", "aqua_report", "aux_products_file")
    _write(path, root)


def _product(parent: ET.Element, element: str, name: str, **attributes: str) -> None:
    ending = PurePosixPath(name).suffix.removeprefix(".") or "N/A"
    ET.SubElement(parent, element, {"name": name or UNDEFINED, **attributes, "datatype": element, "format": ending})


def write_aqua_report(
    path: Path,
    stages: Sequence[StageRecord],
    *,
    started: datetime,
    ended: datetime,
    versions: Versions,
    project: Mapping[str, str] = MappingProxyType({}),
    asdm: str = "N/A",
) -> None:
    """Write the AQUA report of the stages that have run.

    Args:
        path: where.
        stages: the stages.
        started: when the run began, UTC.
        ended: now, UTC.
        versions: what has run.
        project: what the request says of the project, by the report's elements.
        asdm: the first execution block.
    """
    root = ET.Element("PipelineAquaReport")
    structure = ET.SubElement(root, "ProjectStructure")
    for name, value in project.items():
        ET.SubElement(structure, name).text = value
    summary = ET.SubElement(root, "QaSummary")
    ET.SubElement(summary, "ReportDate").text = f"{ended:%Y-%m-%d %H:%M:%S}"
    ET.SubElement(summary, "ProcessingTime").text = str(ended - started)
    ET.SubElement(summary, "CasaVersion").text = versions.casa
    ET.SubElement(summary, "PipelineVersion").text = versions.pipeline
    ET.SubElement(summary, "FinalScore").text = UNDEFINED
    per_stage = ET.SubElement(root, "QaPerStage")
    for record in stages:
        _stage(per_stage, record, asdm)
    # The same elements again: count stages in one of the two only.
    per_topic = ET.SubElement(root, "QaPerTopic")
    for topic in ("Dataset", "Flagging", "Calibration", "Imaging"):
        of_topic = [record for record in stages if _topic(record.task) == topic and record.score.value is not None]
        score = min((record.score.value for record in of_topic if record.score.value is not None), default=UNDEFINED)
        parent = ET.SubElement(per_topic, topic, Score=str(score))
        for record in of_topic:
            _stage(parent, record, asdm)
    _write(path, root)


def _stage(parent: ET.Element, record: StageRecord, asdm: str) -> None:
    stage = ET.SubElement(parent, "Stage", Number=str(record.number), Name=record.task)
    # A stage without a score has no further ones.
    for element in ("RepresentativeScore", "SubScore")[: 1 if record.score.value is None else None]:
        scored = ET.SubElement(stage, element, Score=str(record.score.value), Reason=record.score.reason)
        ET.SubElement(scored, "Metric", Name="Unknown metric", Value="N/A", Units="")
        ET.SubElement(scored, "DataSelection", Asdm=asdm, Session="N/A", Spw="N/A", Intent="N/A")


def _topic(task: str) -> str:
    topics = {"hifv_applycals": "Flagging", "hifv_vlasetjy": "Calibration", "hif_selfcal": "Imaging"}
    return topics.get(task) or ("Imaging" if task.startswith("hif_make") else "Dataset")


def _write(path: Path, root: ET.Element) -> None:
    ET.indent(root)
    ET.ElementTree(root).write(path, encoding="UTF-8", xml_declaration=True)
    with path.open("a", encoding="utf-8") as stream:
        stream.write("\n")
