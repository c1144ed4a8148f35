"""What an ingest puts into the archive: which files, under which names, and what must hold before it may begin."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from srdp.domain.errors import Refused, quoted
from srdp.domain.identifiers import ExecutionBlockName, PipelineRunId, execution_block_name, pipeline_run_id
from srdp.domain.ledger_records import FileOfIngest, Ingest
from srdp.domain.manifest import read_manifest
from srdp.domain.outcome import find_errorexit
from srdp.domain.packing import Member
from srdp.domain.pipeline_run import Areas, RunDirectory, spool_directory
from srdp.domain.product_changes import ProductFile, changes_since
from srdp.domain.products import (
    calibration_members,
    calibration_ngas_id,
    flag_template,
    ngas_id,
    restore_gaps,
    weblog_ngas_id,
)
from srdp.domain.weblog import WEBLOG_TAR, find_weblog
from srdp.domain.whole_file import local_files, write_whole_file

#: The kinds of file that an ingest puts into NGAS.
CALIBRATION, WEBLOG = "calibration", "weblog"

_MANIFESTS = "*pipeline_manifest.xml"
_LARGEST_MANIFEST_BYTES = 20_000_001
_WEBLOG_ENDINGS = (".tgz", ".tar.gz")
_BLOCK = 1 << 20
_MOST_NAMED = 5


def check_archivable(directory: RunDirectory, execution_block: ExecutionBlockName, started_at: datetime) -> None:
    """Lets a run pass that can be archived and restored, or says everything that stands against it.

    Args:
        directory: the run's directory.
        execution_block: what was calibrated.
        started_at: when CASA was started; any zone.

    Raises:
        Refused: the products would not suffice for a restore, cannot be packed, or the pipeline says that it failed.
        LocalFilesError: a directory cannot be read.
    """
    gaps = list(restore_gaps(directory))
    errorexit = find_errorexit(directory, started_at)
    if errorexit is not None:
        gaps.append(
            f"The pipeline left {quoted(errorexit.name)} in {errorexit.parent.name}/ after CASA was started: a stage "
            "failed."
        )
    if gaps:
        raise Refused(f"{directory.pipeline_run_id} cannot be archived: {' '.join(gaps)} Rerun it, or fail its QA.")
    weblog_name(directory)
    find_weblog(directory)
    calibration_members(directory, casa_flag_template(directory, execution_block))


def weblog_name(directory: RunDirectory) -> str:
    """Returns what the run's weblog is called in ``products/``, as its manifest says.

    Args:
        directory: the run's directory.

    Raises:
        Refused: the manifest names two, or a name that is no weblog's: what lies there would be overwritten.
        InvalidInput: the manifest is none.
        LocalFilesError: it cannot be read.
    """
    path = next(iter(sorted(directory.products.glob(_MANIFESTS))), None)
    if path is None:
        raise Refused(f"{directory.products} holds no manifest ({_MANIFESTS}): the run cannot be archived.")
    with local_files(path), path.open("rb") as stream:
        manifest = read_manifest(stream.read(_LARGEST_MANIFEST_BYTES), f"products/{path.name}")
    named = {product.name for product in manifest.products if product.element == WEBLOG} or {WEBLOG_TAR}
    others = {product.name for product in manifest.products if product.element != WEBLOG}
    name = min(named)
    if len(named) > 1 or name in others or "/" in name or name.startswith(".") or not name.endswith(_WEBLOG_ENDINGS):
        raise Refused(
            f"The manifest products/{path.name} calls the weblog {', '.join(quoted(name) for name in sorted(named))}: "
            f"it must name one file that ends in {' or '.join(_WEBLOG_ENDINGS)} and is nothing else; correct it."
        )
    return name


def ngas_ids(run_id: PipelineRunId, number: int) -> dict[str, str]:
    """Returns the ids under which NGAS keeps the files of an ingest, by kind.

    Args:
        run_id: the run.
        number: which of its ingests; an id is never used for other bytes, also after a verdict was withdrawn.
    """
    if number == 1:
        return {CALIBRATION: calibration_ngas_id(run_id), WEBLOG: weblog_ngas_id(run_id)}
    return {
        CALIBRATION: ngas_id(run_id, f"{number}.calibration.tar"),
        WEBLOG: ngas_id(run_id, f"{number}.weblog.tgz"),
    }


def path_to_send(areas: Areas, directory: RunDirectory, ingest: Ingest, kind: str) -> Path:
    """Returns where a file of an ingest lies while it is put into NGAS.

    Args:
        areas: the roots.
        directory: the run's directory, from where it lies now.
        ingest: the ingest.
        kind: ``calibration``, whose tar is made in the spool area, or ``weblog``, which is a product.
    """
    if kind == WEBLOG:
        return directory.products / weblog_name(directory)
    return spool_directory(areas, ingest.pipeline_run_id) / ngas_ids(ingest.pipeline_run_id, ingest.number)[kind]


def casa_flag_template(directory: RunDirectory, execution_block: ExecutionBlockName) -> list[Member]:
    """Returns the flag template that CASA read, as a member of the tar; none if there was none.

    Args:
        directory: the run's directory.
        execution_block: what was calibrated.
    """
    path = flag_template(directory, execution_block)
    return [] if path is None else [Member(path.name, path)]


def used_by_casa(directory: RunDirectory, execution_block: ExecutionBlockName, content: bytes) -> bool:
    """Whether a flag template is, byte for byte, the one that CASA read.

    Args:
        directory: the run's directory.
        execution_block: what was calibrated.
        content: the template that was given.
    """
    path = flag_template(directory, execution_block)
    if path is None:
        return False
    with local_files(path):
        return path.read_bytes() == content


def given_template_record(number: int) -> str:
    """Returns under which name the ledger keeps the flag template that was given at an ingest.

    Args:
        number: which of the run's ingests.
    """
    return f"flagtemplate_given_at_ingest_{number}.txt"


def given_flag_template(
    areas: Areas, directory: RunDirectory, execution_block: ExecutionBlockName, ingest: Ingest, content: bytes | None
) -> list[Member]:
    """Returns the flag template that was given at the ingest, as a member of the tar whose name says what it is.

    It is written into the spool area, from where it is packed.

    Args:
        areas: the roots.
        directory: the run's directory.
        execution_block: what was calibrated.
        ingest: the ingest.
        content: the template; none is returned for ``None``, and for the one that CASA read.

    Raises:
        LocalFilesError: it cannot be written.
    """
    if content is None or used_by_casa(directory, execution_block, content):
        return []
    spool = spool_directory(areas, ingest.pipeline_run_id)
    path = spool / given_template_record(ingest.number)
    with local_files(path):
        spool.mkdir(parents=True, exist_ok=True)
    write_whole_file(path, content)
    return [Member(f"{execution_block}.flagtemplate.not_used_by_this_run.txt", path)]


def is_recorded_file(path: Path, recorded: FileOfIngest) -> bool:
    """Whether what lies there has the size and the checksum that were recorded.

    Args:
        path: the file.
        recorded: what the ledger says of it.

    Raises:
        LocalFilesError: it cannot be read.
    """
    with local_files(path):
        if path.is_symlink() or not path.is_file() or path.stat().st_size != recorded.size_bytes:
            return False
        checksum = 0
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                checksum = zlib.crc32(block, checksum)
    return checksum == recorded.crc32


def is_packed(
    areas: Areas,
    directory: RunDirectory,
    ingest: Ingest,
    files: Iterable[FileOfIngest],
    products: Sequence[ProductFile],
) -> bool:
    """Whether all that an ingest has recorded lies there, unchanged, so that nothing need be packed again.

    Args:
        areas: the roots.
        directory: the run's directory.
        ingest: the ingest.
        files: what was recorded to be put into NGAS.
        products: what was recorded to lie in ``products/``.
    """
    recorded = {file.kind: file for file in files}
    return (
        recorded.keys() == {CALIBRATION, WEBLOG}
        and not changes_since(directory, products)
        and all(is_recorded_file(path_to_send(areas, directory, ingest, kind), recorded[kind]) for kind in recorded)
    )


def check_unchanged(directory: RunDirectory, files: Iterable[FileOfIngest], products: Sequence[ProductFile]) -> None:
    """Lets an ingest pass of which nothing was sent yet, or whose products are still those that were packed.

    Args:
        directory: the run's directory.
        files: what was recorded to be put into NGAS.
        products: what was recorded to lie in ``products/``.

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


def as_recorded(files: Iterable[FileOfIngest], kind: str) -> FileOfIngest:
    """Returns the recorded file of a kind.

    Raises:
        Refused: the ledger has none; the step that packs it was skipped by hand.
    """
    for file in files:
        if file.kind == kind:
            return file
    raise Refused(
        f"The ledger knows of no {kind} to put into NGAS: the step that packs it was marked successful by hand; give "
        "the verdict again."
    )


def measurement_set(directory: RunDirectory, execution_block: ExecutionBlockName) -> Path | None:
    """Returns the calibrated measurement set as CASA left it; None if there is none, or only a link to one.

    Args:
        directory: the run's directory.
        execution_block: what was calibrated.
    """
    path = directory.working / f"{execution_block_name(execution_block)}.ms"
    return path if path.is_dir() and not path.is_symlink() else None


def cache_place(cache: Path, run_id: PipelineRunId, execution_block: ExecutionBlockName) -> Path:
    """Returns where a run's measurement set is kept for users.

    Args:
        cache: the root of what is kept.
        run_id: the run.
        execution_block: what was calibrated.
    """
    return cache / pipeline_run_id(run_id) / f"{execution_block_name(execution_block)}.ms"
