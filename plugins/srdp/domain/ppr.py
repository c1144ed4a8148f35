"""The pipeline processing request (PPR): written from a template, read as the CASA pipeline reads it.

The pipeline's own reader drops commands in silence: one ``ProcessingCommand`` without a ``ParameterSet`` or with an
empty ``Command`` drops itself and every later stage. What this module calls the commands of a PPR is therefore what
that reader will run, not what the file seems to say.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, meta

from srdp.domain.errors import InvalidInput, quoted
from srdp.domain.families import ALMA, VLA, Family
from srdp.domain.identifiers import ExecutionBlockName, PipelineRunId, project_code, project_of
from srdp.domain.image_size import SizeLimits
from srdp.domain.imaging_request import ImagingRequest
from srdp.domain.safe_xml import XmlElement, parse_xml
from srdp.domain.subject import Asdm, asdm

#: Where the parts of a request to process ALMA data lie.
SCHED_BLOCK = "DataSet/SchedBlockSet/SchedBlockIdentifier"
OUS_STATUS = "ProjectStructure/OUSStatusRef"

#: Where a PPR's template lies below ``include/templates/ppr/``; its name without ``.xml.j2`` is the recipe's name.
_TEMPLATE_SUFFIX = ".xml.j2"
#: What a template may ask for: of every run, and of those of one family.
_COMMON = frozenset({"project", "pipeline_run_id", "processing_site", "operator"})
_OF_FAMILY = {
    VLA.name: frozenset({"execution_block"}),
    ALMA.name: frozenset({"request", "asdms", "sessions", "limits"}),
}


@dataclass(frozen=True)
class ProcessingRequest:
    """What the pipeline will make of a PPR.

    Attributes:
        procedure: the title of the recipe, for example ``hifv``; empty if the file has none.
        commands: the stages that the pipeline's reader will run, in their order.
        dropped: how many commands of the file that reader drops in silence.
        sdm_identifiers: the SDMs that the data set names; the VLA pipeline runs only with exactly one.
        relative_path: the data set's ``RelativePath``.
        proposal_code: the project code of the summary; empty if the file has none.
        sha256: the digest of the file's bytes, in hexadecimal.
        mous: the UID of the MOUS; empty in a PPR of the VLA.
        asdms: the ASDMs of the MOUS that the data set names; none in a PPR of the VLA.
    """

    procedure: str
    commands: tuple[str, ...]
    dropped: int
    sdm_identifiers: tuple[str, ...]
    relative_path: PurePosixPath
    proposal_code: str
    sha256: str
    mous: str = ""
    asdms: tuple[Asdm, ...] = ()


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def recipes(templates: Path) -> tuple[str, ...]:
    """Returns the names of the recipes for which there is a PPR template.

    Args:
        templates: the folder that holds ``ppr/``.
    """
    return tuple(sorted(path.name.removesuffix(_TEMPLATE_SUFFIX) for path in (templates / "ppr").glob("*.xml.j2")))


def recipe_template(templates: Path, recipe: str) -> Template:
    """Returns the PPR template of a recipe.

    Args:
        templates: the folder that holds ``ppr/``.
        recipe: the template's name, for example ``vla_calibration``.

    Raises:
        InvalidInput: there is no template of that name.
    """
    if recipe not in recipes(templates):
        raise InvalidInput(
            f"There is no recipe {quoted(recipe)}: choose one of {', '.join(recipes(templates))}, or add a template to "
            f"{templates / 'ppr'}."
        )
    environment = Environment(
        loader=FileSystemLoader(templates / "ppr"),
        autoescape=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template(recipe + _TEMPLATE_SUFFIX)


def check_recipe(templates: Path, recipe: str, family: Family) -> None:
    """Makes sure that a recipe can be filled in for runs of a family.

    Args:
        templates: the folder that holds ``ppr/``.
        recipe: the template's name.
        family: the runs.

    Raises:
        InvalidInput: there is no template of that name, or it asks for what a run of that family does not have.
    """
    template = recipe_template(templates, recipe)
    source = (templates / "ppr" / f"{recipe}{_TEMPLATE_SUFFIX}").read_text(encoding="utf-8")
    asked = meta.find_undeclared_variables(template.environment.parse(source)) - _COMMON - _OF_FAMILY[family.name]
    if asked:
        raise InvalidInput(
            f"The recipe {quoted(recipe)} is not one for {family.label} data: it asks for "
            f"{', '.join(sorted(asked))}; choose another."
        )


def render_vla_processing_request(
    template: Template,
    *,
    execution_block: ExecutionBlockName,
    pipeline_run_id: PipelineRunId,
    processing_site: str,
    operator: str,
) -> bytes:
    """Returns the PPR of a VLA calibration as the bytes of its file.

    Args:
        template: see :func:`recipe_template`.
        execution_block: what is to be calibrated; its SDM lies at ``rawdata/<execution block>``.
        pipeline_run_id: the run; it is the PPR's ``RelativePath``, because it is the run directory's name.
        processing_site: the site that the PPR names, for example ``Socorro``.
        operator: the account that the PPR names, for example ``vlapipe``.
    """
    return template.render(
        project=project_of(execution_block),
        execution_block=execution_block,
        pipeline_run_id=pipeline_run_id,
        processing_site=processing_site,
        operator=operator,
    ).encode()


def render_alma_processing_request(
    template: Template,
    *,
    request: ImagingRequest,
    project: str,
    asdms: Sequence[Asdm],
    pipeline_run_id: PipelineRunId,
    processing_site: str,
    operator: str,
    sessions: Mapping[int, Sequence[Asdm]] | None = None,
    limits: SizeLimits | None = None,
) -> bytes:
    """Returns the PPR of an ALMA imaging as the bytes of its file.

    Args:
        template: see :func:`recipe_template`.
        request: what is to be imaged.
        project: the project code.
        asdms: the ASDMs of the MOUS, at least one; each lies at ``rawdata/<disk name>``.
        pipeline_run_id: the run; it is the PPR's ``RelativePath``, because it is the run directory's name.
        processing_site: the site that the PPR names, for example ``Charlottesville``.
        operator: the account that the PPR names, for example ``almapipe``.
        sessions: the ASDMs by the number of their session in their calibration; else all are of the first.
        limits: what the pipeline is told of the sizes of images; the usual limits if it is not given.

    Raises:
        InvalidInput: there is no ASDM, or the project is no project code.
    """
    if not asdms:
        raise InvalidInput(f"No ASDM of {request.mous} is known: there is nothing that could be imaged.")
    return template.render(
        request=request,
        project=project_code(project),
        asdms=asdms,
        sessions=sessions or {1: asdms},
        pipeline_run_id=pipeline_run_id,
        processing_site=processing_site,
        operator=operator,
        limits=limits or SizeLimits(),
    ).encode()


def read_processing_request(path: Path) -> ProcessingRequest:
    """Reads a PPR as the pipeline's own reader does: without namespaces, and dropping what that drops.

    Args:
        path: the PPR's file.

    Raises:
        InvalidInput: the file is not XML, is no PPR, is too large, its ``RelativePath`` is empty or leaves its root, or
            an ASDM has not the form that it must have.
    """
    return parse_processing_request(path.read_bytes(), str(path))


def asdms_of(content: bytes, file: str = "PPR.xml") -> tuple[Asdm, ...]:
    """Returns the ASDMs that a PPR names; none if it is one of the VLA.

    Args:
        content: the PPR's bytes.
        file: what the person calls the file.

    Raises:
        InvalidInput: see :func:`read_processing_request`.
    """
    return parse_processing_request(content, file).asdms


def asdm_disk_names(content: bytes, file: str = "PPR.xml") -> tuple[str, ...]:
    """Returns the names of the directories in ``rawdata/`` of the ASDMs that a PPR names; see :func:`asdms_of`."""
    return tuple(each.disk_name for each in asdms_of(content, file))


def parse_processing_request(content: bytes, file: str) -> ProcessingRequest:
    """Reads the bytes of a PPR; see :func:`read_processing_request`.

    Args:
        content: the PPR's bytes.
        file: what the person calls the file.

    Raises:
        InvalidInput: likewise.
    """
    root = parse_xml(content, file, root="SciPipeRequest")
    request = root.find("ProcessingRequests/ProcessingRequest")
    if request is None:
        raise InvalidInput(f"{file} has no ProcessingRequests/ProcessingRequest: the pipeline would do nothing.")
    commands, dropped = _commands(request)
    status = root.find(OUS_STATUS)
    return ProcessingRequest(
        procedure=text_of(request.find("ProcessingProcedure/ProcedureTitle")),
        commands=commands,
        dropped=dropped,
        sdm_identifiers=tuple(text_of(element) for element in request.findall("DataSet/SdmIdentifier")),
        relative_path=_relative_path(request, file),
        proposal_code=text_of(root.find("ProjectSummary/ProposalCode")),
        sha256=hashlib.sha256(content).hexdigest(),
        mous="" if status is None else str(status.get("entityId", "")).strip(),
        asdms=tuple(
            asdm(text_of(element.find("AsdmRef/ExecBlockId")), text_of(element.find("AsdmDiskName")))
            for element in request.findall(f"{SCHED_BLOCK}/AsdmIdentifier")
        ),
    )


def text_of(element: XmlElement | None) -> str:
    """Returns an element's text without comments and without blanks around it; nothing if there is no element."""
    # lxml's own `text` ends at the first comment, behind which the pipeline's reader reads on.
    if element is None:
        return ""
    return "".join([str(element.text or ""), *(str(child.tail or "") for child in element)]).strip()


def is_kept(command: XmlElement) -> bool:
    """Returns whether the pipeline's reader keeps a ``ProcessingCommand``.

    It drops one without a ``Command`` or a ``ParameterSet`` in silence, and every later one with it.
    """
    return bool(text_of(command.find("Command"))) and command.find("ParameterSet") is not None


def is_below_root(relative_path: str) -> bool:
    """Returns whether a ``RelativePath`` names a directory below the pipeline's root."""
    path = PurePosixPath(relative_path)
    return bool(relative_path) and bool(path.parts) and not path.is_absolute() and ".." not in path.parts


def _commands(request: XmlElement) -> tuple[tuple[str, ...], int]:
    elements = request.findall("ProcessingProcedure/ProcessingCommand")
    kept = tuple(text_of(element.find("Command")) for element in itertools.takewhile(is_kept, elements))
    return kept, len(elements) - len(kept)


def _relative_path(request: XmlElement, file: str) -> PurePosixPath:
    text = text_of(request.find("DataSet/RelativePath")) or text_of(request.find(f"{SCHED_BLOCK}/RelativePath"))
    if not is_below_root(text):
        raise InvalidInput(
            f"{file} has the RelativePath {quoted(text)}: it must be a path below the pipeline's root, for example the "
            "name of the run's directory."
        )
    return PurePosixPath(text)
