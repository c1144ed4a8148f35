"""What an ingest puts into the archive: which files, under which names, and what must hold before it may begin."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from srdp.domain.archiving.casa_input import templates_read
from srdp.domain.archiving.contents import ANCILLARY, WEBLOG, Contents
from srdp.domain.archiving.image_products import image_gaps, image_kind
from srdp.domain.archiving.product_changes import ProductFile, changes_since
from srdp.domain.archiving.products import is_fits, ngas_id, products_of, restore_gaps, tar_members
from srdp.domain.casa.manifest import read_manifest
from srdp.domain.casa.outcome import find_errorexit
from srdp.domain.casa.weblog import WEBLOG_TAR, weblog_members
from srdp.domain.common.errors import Refused, quoted
from srdp.domain.files.packing import check_packable
from srdp.domain.files.shared_files import MANIFEST, PRODUCT, open_shared, read_shared
from srdp.domain.files.shared_folders import is_folder, list_shared
from srdp.domain.files.storage import local_files
from srdp.domain.files.trusted_root import UnsafeFile
from srdp.domain.runs.identifiers import (
    ExecutionBlockName,
    PipelineRunId,
    execution_block_name,
    pipeline_run_id,
)
from srdp.domain.runs.ledger_records import FileOfIngest, Ingest
from srdp.domain.runs.pipeline_run import Areas, RunDirectory, spool_directory

_MANIFESTS = "*pipeline_manifest.xml"
_WEBLOG_ENDINGS = (".tgz", ".tar.gz")
_MOST_NAMED = 5
_MOST_GAPS = 10


def check_archivable(
    directory: RunDirectory,
    contents: Contents,
    subject: str,
    started_at: datetime,
    *,
    science_patterns: Sequence[str] = (),
) -> None:
    """Check that a run can be archived and used from there; else report everything that prevents it.

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
        directory: the run's directory, at its present place.
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
    """Check that an ingest has sent nothing yet, or that its products are still those that were packed.

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
