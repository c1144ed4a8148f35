"""What a run leaves in ``products/``: what is archived of it, under which names, and whether a restore could use it."""

from __future__ import annotations

import operator
import re
import string
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from srdp.domain.casa.calibration_tables import table_gaps
from srdp.domain.casa.manifest import RESTORE_KINDS, Manifest, read_manifest
from srdp.domain.common.errors import InvalidInput, Refused, SettingsError, quoted
from srdp.domain.files.packing import Member, tree
from srdp.domain.files.shared_files import MANIFEST, PRODUCT, open_shared, read_shared
from srdp.domain.files.shared_folders import has_content, is_folder, list_shared
from srdp.domain.runs.identifiers import PipelineRunId, disk_name, pipeline_run_id, project_code
from srdp.domain.runs.pipeline_run import RunDirectory

#: The likely name of a calibration's tar; see :func:`tar_name`.
DEFAULT_TAR_NAME = "{project}_{date}_T{time}.tar"
#: The name of the tar of what belongs to images and is none.
DEFAULT_ASSOCIATED_TAR_NAME = "{subject}_{date}_T{time}.associated.tar"

_MANIFEST = "*pipeline_manifest.xml"
_FITS = re.compile(r".*\.(fits|fit|fts)(\.(gz|fz|bz2|z))?", re.IGNORECASE)
_WEBLOG = re.compile(r"pipeline-\d{8}T\d{6}", re.ASCII)
_WEBLOG_FRONT = "t1-1.html"
_FILE_NAME = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._+-]{0,199}", re.ASCII)
_NAME_FIELDS = frozenset({"project", "subject", "execution_block", "pipeline_run_id", "date", "time"})
_LONGEST_NGAS_ID = 64


def ngas_id(run_id: PipelineRunId, number: int, ending: str) -> str:
    """Return an id in NGAS: never a product's bare name, which other runs have too.

    Args:
        run_id: the run.
        number: which of its ingests; an id is never used for other bytes, also after a verdict was withdrawn.
        ending: what distinguishes the run's files.

    Raises:
        InvalidInput: the id would be longer than NGAS can keep.
    """
    name = f"{pipeline_run_id(run_id)}.{ending if number == 1 else f'{number}.{ending}'}"
    if len(name) > _LONGEST_NGAS_ID or not _FILE_NAME.fullmatch(name):
        raise InvalidInput(f"{quoted(name)} cannot be an id in NGAS, which has at most {_LONGEST_NGAS_ID} characters.")
    return name


def check_tar_name_template(template: str) -> str:
    """Return a template for :func:`tar_name`, for use as a setting.

    Raises:
        ValueError: it has another field than those, or does not make the name of a file.
    """
    try:
        fields = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"is no template: {error}") from None
    for _, field, form, conversion in fields:
        if field is not None and (field not in _NAME_FIELDS or form or conversion):
            raise ValueError(f"may hold {{{'}, {'.join(sorted(_NAME_FIELDS))}}} in braces, nothing else")
    if not {"date", "time", "pipeline_run_id"} & {field for _, field, _, _ in fields}:
        raise ValueError("must hold {pipeline_run_id} or {date} and {time}: each ingest needs a name of its own")
    if not _FILE_NAME.fullmatch(template.format_map(dict.fromkeys(_NAME_FIELDS, "x"))):
        raise ValueError("must make a file name of letters, digits and . _ + -")
    return template


def tar_name(template: str, *, subject: str, project: str, run_id: PipelineRunId, when: datetime) -> str:
    """Return what people see the tar of an ingest called; its id in NGAS is another.

    Args:
        template: with any of ``{project}``, ``{subject}`` (for the VLA also ``{execution_block}``),
            ``{pipeline_run_id}``, ``{date}`` (``yyyy_mm_dd``) and ``{time}`` (``hh_mm_ss.mmm``).
        subject: the EB's name, or the UID of the MOUS, which stands in the name as on disk.
        project: the project code.
        run_id: the run.
        when: the time of the ingest, in any zone; shown in UTC. It must be the same in every try.

    Raises:
        SettingsError: the template does not make a file name.
    """
    utc = when.astimezone(UTC)
    try:
        name = check_tar_name_template(template).format(
            project=project_code(project),
            subject=disk_name(subject),
            execution_block=disk_name(subject),
            pipeline_run_id=pipeline_run_id(run_id),
            date=f"{utc:%Y_%m_%d}",
            time=f"{utc:%H_%M_%S}.{utc.microsecond // 1000:03d}",
        )
    except ValueError as error:
        raise SettingsError(f"The template {quoted(template)} for the name of a tar {error}.") from None
    if not _FILE_NAME.fullmatch(name):
        raise SettingsError(f"The template {quoted(template)} makes {quoted(name)}, which is no file name.")
    return name


def is_fits(name: str) -> bool:
    """Whether a file is a FITS image, by its name; compressed or not.

    Args:
        name: the name, with or without its folder.
    """
    return _FITS.fullmatch(PurePosixPath(name).name) is not None


def products_of(directory: RunDirectory) -> tuple[Member, ...]:
    """Return everything in ``products/`` that may be archived: all but the unpacked weblog, no matter who put it there.

    Args:
        directory: the run's directory.

    Raises:
        Refused: there are no products.
        LocalFilesError: a directory cannot be read.
    """
    if not is_folder(directory.root, directory.products):
        raise Refused(f"There is no {directory.products}: there is nothing to archive.")
    everything = list(tree(directory.root, directory.products))
    weblogs = _unpacked_weblogs(everything)
    return tuple(member for member in everything if not weblogs & _place(member.name))


def tar_members(directory: RunDirectory, added: Iterable[Member] = ()) -> tuple[Member, ...]:
    """Return what the tar of an ingest holds.

    That is everything in ``products/`` that is neither FITS nor the unpacked weblog, no matter who put it there, and
    what is added from elsewhere.

    Args:
        directory: the run's directory.
        added: for example the flag template, under its name. What is in ``products/`` too, byte for byte, is taken
            once.

    Raises:
        Refused: there are no products, or something would have the name of something else with other bytes.
        LocalFilesError: a directory cannot be read.
    """
    members = {member.name: member for member in products_of(directory) if not is_fits(member.name)}
    folders = {name for name, member in members.items() if is_folder(directory.root, member.source)}
    for member in added:
        known = members.setdefault(member.name, member)
        if known is not member and not _same(directory.root, known.source, member.source):
            raise Refused(
                f"{known.source} and {member.source} differ, and both would be {quoted(member.name)} in the tar: "
                "remove the one that does not count."
            )
    needed = {str(parent) for name in members if name not in folders for parent in PurePosixPath(name).parents}
    return tuple(member for name, member in sorted(members.items()) if name not in folders or name in needed)


def manifest_of(directory: RunDirectory) -> tuple[Manifest | None, tuple[str, ...]]:
    """Return the one manifest of a run's products, or None and why there is none, as sentences.

    Args:
        directory: the run's directory.

    Raises:
        LocalFilesError: it cannot be read.
    """
    paths = list_shared(directory.root, directory.products, _MANIFEST)
    if len(paths) != 1:
        return None, (f"products/ holds {len(paths)} manifests ({_MANIFEST}), where an ingest needs exactly one.",)
    (path,) = paths
    if not has_content(directory.root, path):
        return None, (f"The manifest products/{path.name} is empty or not a regular file.",)
    try:
        return read_manifest(read_shared(directory.root, path, MANIFEST), f"products/{path.name}"), ()
    except InvalidInput as error:
        return None, (str(error),)


def restore_gaps(directory: RunDirectory) -> tuple[str, ...]:
    """Return why a run's products would not suffice to restore its calibration, one sentence each; none if they do.

    Needed are manifest, calibration tables, flags and apply list: each named in the manifest, and each a regular file
    with something in it that goes into the calibration's tar; and inside the tar of calibration tables each table that
    the apply list names. A product that the manifest calls Undefined is a gap, whatever it is.

    Args:
        directory: the run's directory.
    """
    manifest, gaps = manifest_of(directory)
    if manifest is None:
        return gaps
    not_made = [
        f"The manifest names no {kind}, or calls them Undefined: the calibration could not be restored."
        for kind in manifest.missing_for_a_restore
    ]
    not_made += [
        f"The manifest calls its {quoted(element)} Undefined: the pipeline did not make it."
        for element in manifest.undefined
        if element not in RESTORE_KINDS
    ]
    archived = {member.name for member in tar_members(directory)}
    return (
        *not_made,
        *(
            f"products/ lacks {quoted(product.name)}, the {RESTORE_KINDS[product.element]} that the manifest names, "
            "or it is empty, not a regular file, or not archived: the calibration could not be restored."
            for product in manifest.products
            if product.element in RESTORE_KINDS
            and (product.name not in archived or not has_content(directory.products, directory.products / product.name))
        ),
        *table_gaps(directory.products, manifest),
    )


def _unpacked_weblogs(members: Sequence[Member]) -> frozenset[str]:
    folders = (PurePosixPath(member.name) for member in members)
    fronts = {str(path.parent) for path in folders if path.name == _WEBLOG_FRONT}
    named = {member.name for member in members if _WEBLOG.fullmatch(PurePosixPath(member.name).name)}
    # A front page that is in products/ itself does not make a weblog of all products.
    return frozenset((fronts | named) - {"."})


def _place(name: str) -> set[str]:
    path = PurePosixPath(name)
    return {str(path), *(str(parent) for parent in path.parents)}


def _same(root: Path, one: Path, other: Path) -> bool:
    with open_shared(root, one, PRODUCT) as first, open_shared(other.parent, other, PRODUCT) as second:
        return first.identity.size == second.identity.size and all(map(operator.eq, first.blocks(), second.blocks()))
