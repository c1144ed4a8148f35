"""The pipeline processing request (PPR): written from a template, read as the CASA pipeline reads it.

What this module calls the commands of a PPR, its parameters and its data is what the pipeline will run by the model of
its reader, :mod:`srdp.domain.ppr.reader`, not what the file seems to say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, meta

from srdp.domain.analyst_files.selections.fields import field_selection
from srdp.domain.common.errors import InvalidInput, quoted
from srdp.domain.files.shared_files import PPR, read_shared
from srdp.domain.imaging.request import ImagingRequest
from srdp.domain.imaging.size import SizeLimits
from srdp.domain.ppr.markup import parse_ppr
from srdp.domain.ppr.reader import RequestRefused, is_alma, read_ppr
from srdp.domain.ppr.subject import Asdm, asdm
from srdp.domain.runs.identifiers import ExecutionBlockName, PipelineRunId, project_code, project_of
from srdp.domain.runs.pipeline_run import RunDirectory

# What file systems allow for a name, and what leaves room for the directories around and below it.
_LONGEST_NAME = 255
_LONGEST_PATH = 1024
#: Where a PPR's template is below ``include/templates/ppr/``; its name without ``.xml.j2`` is the recipe's name.
_TEMPLATE_SUFFIX = ".xml.j2"
#: What a template may ask for of every run.
_COMMON = frozenset({"project", "pipeline_run_id", "processing_site", "operator"})


@dataclass(frozen=True)
class ProcessingRequest:
    """What the pipeline will make of a PPR.

    Attributes:
        procedure: the title of the recipe, for example ``hifv``; ``Undefined`` if the reader finds none.
        commands: the stages that the pipeline will run, in their order; none that it drops or passes over.
        relative_path: the data set's ``RelativePath``.
        proposal_code: the project code of the summary.
        sha256: the digest of the file's bytes, in hexadecimal.
        sdm_identifiers: the execution block that a PPR of the VLA names; none in one of ALMA.
        mous: the UID of the MOUS; empty in a PPR of the VLA.
        asdms: the ASDMs of the MOUS that the data set names; none in a PPR of the VLA.
    """

    procedure: str
    commands: tuple[str, ...]
    relative_path: PurePosixPath
    proposal_code: str
    sha256: str
    sdm_identifiers: tuple[str, ...] = ()
    mous: str = ""
    asdms: tuple[Asdm, ...] = ()


def request_sha256(directory: RunDirectory) -> str | None:
    """Return the SHA-256 of the bytes of a run's PPR, in hexadecimal; None if it has none.

    Args:
        directory: the run's directory, at its present place.

    Raises:
        UnsafeFile: it is no regular file, behind a symbolic link, or far too large.
        LocalFilesError: it cannot be read.
    """
    try:
        return hashlib.sha256(read_shared(directory.root, directory.processing_request, PPR)).hexdigest()
    except FileNotFoundError:
        return None


def recipes(templates: Path) -> tuple[str, ...]:
    """Return the names of the recipes for which there is a PPR template.

    Args:
        templates: the folder that holds ``ppr/``.
    """
    return tuple(sorted(path.name.removesuffix(_TEMPLATE_SUFFIX) for path in (templates / "ppr").glob("*.xml.j2")))


def recipe_template(templates: Path, recipe: str) -> Template:
    """Return the PPR template of a recipe.

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


def check_recipe(templates: Path, recipe: str, *, label: str, variables: Collection[str]) -> None:
    """Make sure that a recipe can be filled in for runs of a family.

    Args:
        templates: the folder that holds ``ppr/``.
        recipe: the template's name.
        label: whose data the family's are, for example ``VLA``.
        variables: what the family's runs give a template, beside what all do.

    Raises:
        InvalidInput: there is no template of that name, or it asks for what a run of that family does not have.
    """
    template = recipe_template(templates, recipe)
    source = (templates / "ppr" / f"{recipe}{_TEMPLATE_SUFFIX}").read_text(encoding="utf-8")
    asked = meta.find_undeclared_variables(template.environment.parse(source)) - _COMMON - {*variables}
    if asked:
        raise InvalidInput(
            f"The recipe {quoted(recipe)} is not one for {label} data: it asks for "
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
    """Return the PPR of a VLA calibration as the bytes of its file.

    Args:
        template: see :func:`recipe_template`.
        execution_block: what is to be calibrated; its SDM is at ``rawdata/<execution block>``.
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
    """Return the PPR of an ALMA imaging as the bytes of its file.

    Args:
        template: see :func:`recipe_template`.
        request: what is to be imaged.
        project: the project code.
        asdms: the ASDMs of the MOUS, at least one; each is at ``rawdata/<disk name>``.
        pipeline_run_id: the run; it is the PPR's ``RelativePath``, because it is the run directory's name.
        processing_site: the site that the PPR names, for example ``Charlottesville``.
        operator: the account that the PPR names, for example ``almapipe``.
        sessions: the ASDMs by the number of their session in their calibration; else all are of the first.
        limits: the pipeline's limits on the sizes of images; the usual limits if it is not given.

    Raises:
        InvalidInput: there is no ASDM, or the project is no project code.
    """
    if not asdms:
        raise InvalidInput(f"No ASDM of {request.mous} is known: there is nothing that could be imaged.")
    return template.render(
        # The template joins the fields to the list that most stages take.
        request=request.model_copy(update={"fields": tuple(map(field_selection, request.fields))}),
        project=project_code(project),
        asdms=asdms,
        sessions=sessions or {1: asdms},
        pipeline_run_id=pipeline_run_id,
        processing_site=processing_site,
        operator=operator,
        limits=limits or SizeLimits(),
    ).encode()


def read_processing_request(directory: RunDirectory) -> ProcessingRequest:
    """Return what the pipeline will make of a run's PPR.

    Args:
        directory: the run's directory, at its present place.

    Raises:
        FileNotFoundError: the run has none.
        InvalidInput: the file is no PPR, the pipeline would end before its first stage, its ``RelativePath`` is empty
            or leaves its root, or an ASDM has not the form that it must have.
        LocalFilesError: it cannot be read.
    """
    path = directory.processing_request
    return parse_processing_request(read_shared(directory.root, path, PPR), str(path))


def asdms_of(content: bytes, file: str = "PPR.xml") -> tuple[Asdm, ...]:
    """Return the ASDMs that a PPR names; none if it is one of the VLA.

    Args:
        content: the PPR's bytes.
        file: what the person calls the file.

    Raises:
        InvalidInput: see :func:`read_processing_request`.
    """
    return parse_processing_request(content, file).asdms


def parse_processing_request(content: bytes, file: str) -> ProcessingRequest:
    """Read the bytes of a PPR; see :func:`read_processing_request`.

    Args:
        content: the PPR's bytes.
        file: what the person calls the file.

    Raises:
        InvalidInput: likewise.
    """
    root = parse_ppr(content, file)
    alma = is_alma(root)
    try:
        reading = read_ppr(root, alma=alma)
    except RequestRefused as refused:
        raise InvalidInput(
            f"{file}, line {refused.element.line}: the pipeline would end before its first stage, because {refused}; "
            "correct the PPR."
        ) from None
    return ProcessingRequest(
        procedure=str(reading.procedure),
        commands=tuple(str(stage.name) for stage in reading.stages),
        relative_path=checked_relative_path(str(reading.relative_path), file),
        proposal_code=str(reading.summary["ProposalCode"]),
        sha256=hashlib.sha256(content).hexdigest(),
        sdm_identifiers=() if alma else tuple(str(each.disk_name) for each in reading.data_sets),
        mous=str(reading.mous),
        asdms=tuple(asdm(each.uid, each.disk_name) for each in reading.data_sets) if alma else (),
    )


def checked_relative_path(text: str, file: str) -> PurePosixPath:
    """Return a ``RelativePath`` as a path.

    Args:
        text: what the PPR says.
        file: what the person calls the PPR.

    Raises:
        InvalidInput: it is no path of a directory below the pipeline's root.
    """
    if not is_below_root(text):
        raise InvalidInput(
            f"{file} has the RelativePath {quoted(text)}: it must be a path below the pipeline's root, of at most "
            f"{_LONGEST_PATH} bytes and {_LONGEST_NAME} for each directory, for example the name of the run's "
            "directory."
        )
    return PurePosixPath(text)


def is_below_root(text: str) -> bool:
    """Return whether a ``RelativePath`` can name a directory below the pipeline's root."""
    path = PurePosixPath(text)
    return (
        bool(path.parts)
        and not path.is_absolute()
        and ".." not in path.parts
        and len(text.encode()) <= _LONGEST_PATH
        and all(len(part.encode()) <= _LONGEST_NAME for part in path.parts)
    )
