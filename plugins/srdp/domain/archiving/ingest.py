"""What an ingest puts into the archive: which files, under which names, and what must hold before it may begin."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final

from srdp.domain.analyst_files.flag_commands import holds_commands
from srdp.domain.analyst_files.names import FLAG_TEMPLATE, TARGET_FLAGS
from srdp.domain.analyst_files.submitted import QA_REPORT
from srdp.domain.archiving.image_products import ANCILLARY, SCIENCE, image_gaps, image_kind
from srdp.domain.archiving.product_changes import ProductFile, changes_since
from srdp.domain.archiving.products import is_fits, ngas_id, products_of, restore_gaps, tar_members
from srdp.domain.casa.manifest import read_manifest
from srdp.domain.casa.outcome import find_errorexit
from srdp.domain.casa.weblog import WEBLOG_TAR, weblog_members
from srdp.domain.common.errors import Refused, quoted
from srdp.domain.disk.staging import own_templates
from srdp.domain.files.packing import Member, check_packable
from srdp.domain.files.shared_files import (
    ANALYST_FILE,
    MANIFEST,
    PRODUCT,
    UnsafeFile,
    is_folder,
    list_shared,
    open_shared,
    read_shared,
)
from srdp.domain.files.storage import local_files
from srdp.domain.files.whole_file import write_whole_file
from srdp.domain.runs.identifiers import (
    ExecutionBlockName,
    PipelineRunId,
    disk_name,
    execution_block_name,
    pipeline_run_id,
)
from srdp.domain.runs.kinds import ALMA_IMAGING, VLA_CALIBRATION
from srdp.domain.runs.ledger_records import FileOfIngest, Ingest, PipelineRun, SubmittedFile
from srdp.domain.runs.pipeline_run import Areas, RunDirectory, spool_directory

#: The kinds of file that an ingest puts into NGAS, besides those of images.
CALIBRATION, ASSOCIATED, WEBLOG = "calibration", "associated", "weblog"


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What is archived of the runs of a family.

    Attributes:
        kinds: the kinds of the files that are put into NGAS, in the order in which they are. The first is that of the
            tar of all products that are neither FITS nor the unpacked weblog.
        images: whether the FITS files are archived, each as it is; if not, the tar must suffice for a restore.
        template: the flag template that belongs to a run, as analysts call it.
        templates_read: what CASA calls it in ``working/``, as a shell pattern; ``{subject}`` is the subject's name.
        report: the name under which the analyst's report is put into the weblog as a file; None if only its words are.
        calibrates: whether the subject gets a calibration status in the archive, and its measurement set is kept for
            users.
    """

    kinds: tuple[str, ...]
    images: bool
    template: str
    templates_read: str
    report: str | None
    calibrates: bool

    @property
    def tar(self) -> str:
        """The kind of the tar."""
        return self.kinds[0]


#: What is archived, by the kind of the request.
_CONTENTS: Final[Mapping[str, Contents]] = MappingProxyType(
    {
        VLA_CALIBRATION: Contents(
            kinds=(CALIBRATION, WEBLOG),
            images=False,
            template=FLAG_TEMPLATE,
            templates_read="{subject}.flagtemplate.txt",
            report=None,
            calibrates=True,
        ),
        ALMA_IMAGING: Contents(
            kinds=(ASSOCIATED, SCIENCE, ANCILLARY, WEBLOG),
            images=True,
            template=TARGET_FLAGS,
            templates_read="uid___A*.flagtargetstemplate.txt",
            report=QA_REPORT,
            calibrates=False,
        ),
    }
)

_MANIFESTS = "*pipeline_manifest.xml"
_WEBLOG_ENDINGS = (".tgz", ".tar.gz")
_MOST_NAMED = 5
_MOST_GAPS = 10


def contents_of(kind: str) -> Contents:
    """Return what is archived of the runs of a kind of request, for example of ``alma_imaging``."""
    return _CONTENTS[kind]


def check_archivable(
    directory: RunDirectory,
    contents: Contents,
    subject: str,
    started_at: datetime,
    *,
    science_patterns: Sequence[str] = (),
) -> None:
    """Lets a run pass that can be archived, and be of use there, or says everything that stands against it.

    Args:
        directory: the run's directory.
        contents: what is archived of it.
        subject: the EB's name, or the UID of the MOUS.
        started_at: when CASA was started; any zone.
        science_patterns: shell patterns of the names of science products; where there are images.

    Raises:
        Refused: the products would not suffice for a restore, or hold no images that could be archived; they cannot be
            packed; or the pipeline says that it failed.
        LocalFilesError: something cannot be read.
    """
    gaps = list(image_gaps(directory, science_patterns) if contents.images else restore_gaps(directory))
    errorexit = find_errorexit(directory, started_at)
    if errorexit is not None:
        gaps.append(
            f"The pipeline left {quoted(errorexit.name)} in {errorexit.parent.name}/ after CASA was started: a stage "
            "failed."
        )
    if gaps:
        named = " ".join(gaps[:_MOST_GAPS])
        more = f" And {len(gaps) - _MOST_GAPS} more." if len(gaps) > _MOST_GAPS else ""
        raise Refused(f"{directory.pipeline_run_id} cannot be archived: {named}{more} Rerun it, or fail its QA.")
    weblog_name(directory)
    # Looked at here too: what is found out only when it is packed makes the run ingest_failed.
    check_packable(weblog_members(directory), directory.working)
    check_packable(tar_members(directory, templates_read(directory, contents, subject)), directory.products)


def weblog_name(directory: RunDirectory) -> str:
    """Return what the run's weblog is called in ``products/``, as its manifest says.

    Args:
        directory: the run's directory.

    Raises:
        Refused: the manifest names two, or a name that is no weblog's: what is there would be overwritten.
        InvalidInput: the manifest is none.
        LocalFilesError: it cannot be read.
    """
    path = next(iter(list_shared(directory.root, directory.products, _MANIFESTS)), None)
    if path is None:
        raise Refused(f"{directory.products} holds no manifest ({_MANIFESTS}): the run cannot be archived.")
    with local_files(path):
        manifest = read_manifest(read_shared(directory.root, path, MANIFEST), f"products/{path.name}")
    named = {product.name for product in manifest.products if product.element == WEBLOG} or {WEBLOG_TAR}
    others = {product.name for product in manifest.products if product.element != WEBLOG}
    name = min(named)
    if len(named) > 1 or name in others or "/" in name or name.startswith(".") or not name.endswith(_WEBLOG_ENDINGS):
        raise Refused(
            f"The manifest products/{path.name} calls the weblog {', '.join(quoted(name) for name in sorted(named))}: "
            f"it must name one file that ends in {' or '.join(_WEBLOG_ENDINGS)} and is nothing else; correct it."
        )
    return name


def spooled_tar(areas: Areas, run_id: PipelineRunId, number: int, contents: Contents) -> Path:
    """Return where the tar of an ingest is packed; it is called as NGAS calls it.

    Args:
        areas: the roots.
        run_id: the run.
        number: which of its ingests.
        contents: what is archived of it.
    """
    return spool_directory(areas, run_id) / ngas_id(run_id, number, f"{contents.tar}.tar")


def place_to_send(areas: Areas, directory: RunDirectory, ingest: Ingest, file: FileOfIngest) -> tuple[Path, Path]:
    """Return where a file of an ingest is while it is put into NGAS.

    Args:
        areas: the roots.
        directory: the run's directory, from where it is now.
        ingest: the ingest.
        file: as it is recorded.

    Returns:
        The folder that is trusted, and the file's path below it.
    """
    if file.product is not None:
        return directory.root, directory.products / file.product
    if file.kind == WEBLOG:  # of an ingest that was begun before products were recorded as such
        return directory.root, directory.products / weblog_name(directory)
    return areas.spool, spool_directory(areas, ingest.pipeline_run_id) / file.ngas_file_id


def files_of_products(
    contents: Contents,
    ingest: Ingest,
    directory: RunDirectory,
    described: Iterable[ProductFile],
    *,
    mime_types: Mapping[str, str],
    science_patterns: Sequence[str],
) -> list[FileOfIngest]:
    """Return what is put into NGAS as it is in ``products/``: the weblog, and images if any are archived.

    Args:
        contents: what is archived of the run.
        ingest: the ingest.
        directory: the run's directory.
        described: what is in ``products/``, with sizes and checksums.
        mime_types: by kind of file.
        science_patterns: shell patterns of the names of science products.

    Raises:
        Refused: there is no weblog.
    """
    products = {product.path: product for product in described}
    name, run_id = weblog_name(directory), ingest.pipeline_run_id
    if name not in products:
        raise Refused(
            f"products/ of {run_id} holds no {name}: the step that makes it was marked successful by hand; give the "
            "verdict again."
        )
    archived = {member.name for member in products_of(directory)} if contents.images else set()
    images = [path for path in sorted(products) if path in archived and is_fits(path)]
    wanted = [
        (image_kind(path, science_patterns), path, f"image.{place:04d}.fits") for place, path in enumerate(images, 1)
    ]
    return [
        FileOfIngest(
            ngas_file_id=ngas_id(run_id, ingest.number, ending),
            kind=kind,
            name=path,
            mime_type=mime_types[kind],
            size_bytes=products[path].size_bytes,
            crc32=products[path].crc32,
            product=path,
        )
        for kind, path, ending in [*wanted, (WEBLOG, name, "weblog.tgz")]
    ]


def templates_read(directory: RunDirectory, contents: Contents, subject: str) -> list[Member]:
    """Return the flag templates that CASA read, as members of the tar; none if there was none.

    Args:
        directory: the run's directory.
        contents: what is archived of the run.
        subject: the EB's name, or the UID of the MOUS.
    """
    found = list_shared(directory.root, directory.working, contents.templates_read.format(subject=subject))
    # A link or a pipe, too: CASA may have read it, and it is refused when it is packed.
    return [Member(path.name, path, directory.root) for path in found if not is_folder(directory.root, path)]


def check_what_casa_read(directory: RunDirectory, run: PipelineRun, recorded: Mapping[str, SubmittedFile]) -> None:
    """Lets a run pass whose PPR and flag templates, as they are in ``working/``, are those that CASA has read.

    What of them is there is archived as such. Not recorded are the templates without a command that CASA leaves.

    Args:
        directory: the run's directory.
        run: the run.
        recorded: the files that it was given, by name, and those that CASA left.

    Raises:
        Refused: somebody has edited, removed or added one since.
        LocalFilesError: one cannot be read.
    """
    contents, run_id = contents_of(run.kind), run.pipeline_run_id
    template, own = recorded.get(contents.template), own_templates(recorded, run.kind)
    read = {directory.processing_request: run.ppr_sha256}
    places = [member.source for member in templates_read(directory, contents, run.subject)]
    if template is not None:
        pattern = directory.working / contents.templates_read.format(subject=run.subject)
        read |= dict.fromkeys(places or [pattern], template.sha256)
    read |= {directory.working / place: file.sha256 for place, file in own.items()}
    for path, sha256 in read.items():
        if sha256 is not None and _sha256_or_none(directory, path) != sha256:
            raise Refused(
                f"{run_id} is not ingested: {path} was edited after CASA had read it, or removed "
                f"(recorded SHA-256 {sha256[:12]}...); rerun it with the edited file, or put the former one back."
            )
    # What a rerun would take and no stage reads: who put it there may believe that this run has its flags.
    beside = directory.working / contents.template
    if template is None or _sha256_or_none(directory, beside) != template.sha256:
        places.append(beside)
    for path in (place for place in places if place not in read):
        content = _content_or_none(directory, path)
        if content is not None and holds_commands(content):
            raise Refused(
                f"{run_id} is not ingested: {path} holds flag commands, and this run was not given them, so that CASA "
                "has not read them; rerun it with that file, or remove the file."
            )


def _content_or_none(directory: RunDirectory, path: Path) -> bytes | None:
    try:
        return read_shared(directory.root, path, ANALYST_FILE)
    except FileNotFoundError:
        return None


def _sha256_or_none(directory: RunDirectory, path: Path) -> str | None:
    content = _content_or_none(directory, path)
    return None if content is None else hashlib.sha256(content).hexdigest()


def used_by_casa(directory: RunDirectory, contents: Contents, subject: str, content: bytes) -> bool:
    """Whether a flag template is, byte for byte, one that CASA read.

    Args:
        directory: the run's directory.
        contents: what is archived of the run.
        subject: the EB's name, or the UID of the MOUS.
        content: the template that was given.
    """
    members = templates_read(directory, contents, subject)
    return any(_content_or_none(directory, member.source) == content for member in members)


def given_record(name: str, number: int) -> str:
    """Return under which name the ledger keeps a file that was given at an ingest.

    Args:
        name: what people call it, for example ``flagtemplate.txt``.
        number: which of the run's ingests.
    """
    return f"{name.removesuffix('.txt')}_given_at_ingest_{number}.txt"


def given_flag_template(
    areas: Areas, directory: RunDirectory, contents: Contents, subject: str, ingest: Ingest, content: bytes | None
) -> list[Member]:
    """Return the flag template that was given at the ingest, as a member of the tar whose name says what it is.

    It is written into the run's spool directory, which must be there, and packed from it.

    Args:
        areas: the roots.
        directory: the run's directory.
        contents: what is archived of the run.
        subject: the EB's name, or the UID of the MOUS.
        ingest: the ingest.
        content: the template; none is returned for ``None``, and for one that CASA read.

    Raises:
        LocalFilesError: it cannot be written.
    """
    if content is None or used_by_casa(directory, contents, subject, content):
        return []
    path = spool_directory(areas, ingest.pipeline_run_id) / given_record(contents.template, ingest.number)
    write_whole_file(areas.spool, path, content)
    name = contents.template.removesuffix(".txt")
    return [Member(f"{disk_name(subject)}.{name}.not_used_by_this_run.txt", path, areas.spool)]


def is_recorded_file(root: Path, path: Path, recorded: FileOfIngest) -> bool:
    """Whether what is there is a file with the size and the checksum that were recorded.

    Args:
        root: the folder that is trusted.
        path: the file, below the root.
        recorded: what the ledger says of it.

    Raises:
        LocalFilesError: it cannot be read.
    """
    try:
        with open_shared(root, path, PRODUCT) as file:
            if file.identity.size != recorded.size_bytes:
                return False
            checksum = 0
            for block in file.blocks():
                checksum = zlib.crc32(block, checksum)
            return checksum == recorded.crc32
    except (FileNotFoundError, UnsafeFile):
        return False


def is_packed(
    areas: Areas,
    directory: RunDirectory,
    ingest: Ingest,
    files: Iterable[FileOfIngest],
    products: Sequence[ProductFile],
) -> bool:
    """Whether all that an ingest has recorded is there, unchanged, so that nothing need be packed again.

    Args:
        areas: the roots.
        directory: the run's directory.
        ingest: the ingest.
        files: what was recorded to be put into NGAS.
        products: what was recorded to be in ``products/``; read once, whatever of it is put into NGAS.
    """
    recorded = tuple(files)
    unchanged = {(product.path, product.size_bytes, product.crc32) for product in products}
    return (
        bool(recorded)
        and not changes_since(directory, products)
        and all(
            (file.product, file.size_bytes, file.crc32) in unchanged
            if file.product is not None
            else is_recorded_file(*place_to_send(areas, directory, ingest, file), file)
            for file in recorded
        )
    )


def check_unchanged(directory: RunDirectory, files: Iterable[FileOfIngest], products: Sequence[ProductFile]) -> None:
    """Lets an ingest pass that has sent nothing yet, or whose products are still those that were packed.

    Args:
        directory: the run's directory.
        files: what was recorded to be put into NGAS.
        products: what was recorded to be in ``products/``.

    Raises:
        Refused: something was sent, and something has changed.
    """
    changes = changes_since(directory, products) if any(file.sent_at for file in files) else ()
    if changes:
        more = f" And {len(changes) - _MOST_NAMED} more." if len(changes) > _MOST_NAMED else ""
        raise Refused(
            f"{directory.pipeline_run_id} was packed before, and bytes of it may be in NGAS, but its products have "
            f"changed since: {' '.join(changes[:_MOST_NAMED])}{more} Put them back as they were, or withdraw the "
            "verdict and give it again."
        )


def as_recorded(files: Iterable[FileOfIngest], contents: Contents) -> list[FileOfIngest]:
    """Return the recorded files of an ingest in the order in which they are put into NGAS.

    Args:
        files: what was recorded to be put into NGAS.
        contents: what is archived of the run.

    Raises:
        Refused: the ledger has none of a kind that every ingest has; the step that packs it was skipped by hand.
    """
    found = sorted(files, key=lambda file: (contents.kinds.index(file.kind), file.ngas_file_id))
    for kind in contents.kinds:
        # What is ancillary, nothing may be.
        if kind != ANCILLARY and not any(file.kind == kind for file in found):
            raise Refused(
                f"The ledger knows of no {kind} to put into NGAS: the step that packs it was marked successful by "
                "hand; give the verdict again."
            )
    return found


def measurement_set(directory: RunDirectory, execution_block: ExecutionBlockName) -> Path | None:
    """Return the calibrated measurement set as CASA left it; None if there is none, or only a link to one.

    Args:
        directory: the run's directory.
        execution_block: what was calibrated.
    """
    path = directory.working / f"{execution_block_name(execution_block)}.ms"
    return path if is_folder(directory.root, path) else None


def cache_place(cache: Path, run_id: PipelineRunId, execution_block: ExecutionBlockName) -> Path:
    """Return where a run's measurement set is kept for users.

    Args:
        cache: the root of what is kept.
        run_id: the run.
        execution_block: what was calibrated.
    """
    return cache / pipeline_run_id(run_id) / f"{execution_block_name(execution_block)}.ms"
