"""The proof that a run may be removed because the archive has it: asked for at the moment at which it is removed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from srdp.domain.errors import Refused, ServiceUnavailable, SrdpError, quoted

if TYPE_CHECKING:
    from srdp.domain.archive_copies import ArchivedFile
    from srdp.domain.archive_metadata import CommittedResult
    from srdp.domain.ledger_records import FileOfIngest, PipelineRun
    from srdp.domain.pipeline_run import RunDirectory
    from srdp.hooks.verdict_ledger import VerdictLedger
    from srdp.settings import Settings

_LOGGER = logging.getLogger(__name__)
_MOST_NAMED = 3

#: The sentence that people know, word for word.
NOT_IN_ARCHIVE = (
    "The data products are not in the archive, please wait and try again. If failures are repeated, please file an "
    "SSA ticket."
)


class NotInArchive(SrdpError):
    """The archive does not prove at this moment that it has a run's products; which and why is in the log."""

    def __init__(self) -> None:
        super().__init__(NOT_IN_ARCHIVE)


def prove_archived_run(settings: Settings, ledger: VerdictLedger, run: PipelineRun) -> tuple[ArchivedFile, ...]:
    """Returns if, and only if, a run's directories may be deleted because the archive has what they hold.

    That is: what lies there is this run, is what was archived, and nothing else; and the archive's database and NGAS
    have, at this moment, every file that the ingest recorded.

    Args:
        settings: where things lie.
        ledger: what was recorded of the ingest.
        run: an archived run.

    Returns:
        The files that are proved.

    Raises:
        NotInArchive: a file is not proved, or nobody could be asked; the log says which and why.
        Refused: a directory is not the run's, has links that lead out, has changed since the ingest, or holds a
            measurement set that is still to be moved into the cache.
        ServiceUnavailable: an area or the ledger cannot be reached.
        SettingsError: a connection is missing or wrong.
        LocalFilesError: a directory cannot be read.
    """
    from srdp.domain.removal import visible_directories

    for directory in visible_directories(settings.areas, run.pipeline_run_id):
        _check_directory(settings, ledger, run, directory)
    proved, gaps = _ask_archive(settings, ledger, run)
    if gaps:
        for gap in gaps:
            _LOGGER.error("%s", gap)
        raise NotInArchive
    return proved


def _check_directory(settings: Settings, ledger: VerdictLedger, run: PipelineRun, directory: RunDirectory) -> None:
    from srdp.domain.product_changes import changes_since
    from srdp.domain.removal import is_directory_of, symlinks_leading_out

    if not is_directory_of(directory, run):
        raise Refused(
            f"{directory.root} is not the directory of {run.pipeline_run_id}: its working/PPR.xml is not the PPR that "
            "CASA was given, or is missing. Nothing was deleted; find out what lies there."
        )
    links = symlinks_leading_out(directory, settings.areas)
    if links:
        raise Refused(
            f"{directory.root} was not deleted: symbolic links in it lead out of it ({_first(links)}), so something "
            "of it may lie elsewhere; remove the links and try again."
        )
    ingest = ledger.ingest(run.pipeline_run_id)
    changes = changes_since(directory, ledger.products_of_ingest(ingest)) if ingest else ()
    if changes:
        for change in changes:
            _LOGGER.error("%s", change)
        more = f" And {len(changes) - _MOST_NAMED} more, which the log lists." if len(changes) > _MOST_NAMED else ""
        raise Refused(
            f"{directory.root} was not deleted: its products are not those that were archived. "
            f"{' '.join(changes[:_MOST_NAMED])}{more} Take away what is to be kept, put the rest back as it was, and "
            "try again."
        )
    _check_cache(ledger, run, directory)


def _check_cache(ledger: VerdictLedger, run: PipelineRun, directory: RunDirectory) -> None:
    cached = ledger.cached_measurement_set(run.pipeline_run_id)
    if cached is None or cached.removed_at is not None:
        return
    target = Path(cached.path)
    source = directory.working / target.name
    if source.exists():
        raise Refused(
            f"{directory.root} was not deleted: its measurement set is to be moved to {target} for "
            "users and still lies there; let the ingest's DAG run end, or clear its step that keeps the products."
        )


def _first(paths: Sequence[Path]) -> str:
    named = ", ".join(quoted(path, 300) for path in paths[:_MOST_NAMED])
    return f"{named} and {len(paths) - _MOST_NAMED} more" if len(paths) > _MOST_NAMED else named


def _ask_archive(
    settings: Settings, ledger: VerdictLedger, run: PipelineRun
) -> tuple[tuple[ArchivedFile, ...], list[str]]:
    """Returns what is proved, and a sentence for everything that is not."""
    from srdp.domain.archive_metadata import metadata_gaps, proved_files, result_locator
    from srdp.hooks.archive import ArchiveHook

    run_id = run.pipeline_run_id
    ingest = ledger.ingest(run_id)
    if ingest is None or ingest.committed_at is None:
        return (), [f"The ledger knows of no ingest of {run_id} whose metadata the archive has taken."]
    files = ledger.files_of_ingest(ingest)
    if not files:
        return (), [f"The ingest of {run_id} put no file into NGAS (the setting SRDP_NGAS_INGEST was off)."]
    unfinished = [file for file in files if file.ngas_version is None or file.proved_at is None]
    if unfinished:
        return (), [f"{file.ngas_file_id} was never proved to be in NGAS." for file in unfinished]
    try:
        committed = ArchiveHook(settings).committed(result_locator(run_id, ingest.number))
    except ServiceUnavailable as error:
        return (), [str(error)]
    gaps = list(metadata_gaps(committed, proved_files(files)))
    proved, unproved = _ask_ngas(settings, files, committed)
    return proved, [*gaps, *unproved]


def _ask_ngas(
    settings: Settings, files: Sequence[FileOfIngest], committed: CommittedResult | None
) -> tuple[tuple[ArchivedFile, ...], list[str]]:
    from srdp.domain.archive_copies import unproved
    from srdp.hooks.ngas import NgasHook

    wanted = dict(_by_server(files, committed))
    clients = NgasHook(settings.ngas_connection).clients(wanted)
    missing = [
        f"{item.file.file_id} version {item.file.version}: {item.why}"
        for server, archived in wanted.items()
        for item in unproved(clients[server], archived)
    ]
    return tuple(file for archived in wanted.values() for file in archived), missing


def _by_server(
    files: Sequence[FileOfIngest], committed: CommittedResult | None
) -> Iterator[tuple[str, list[ArchivedFile]]]:
    """Yields the servers that the archive's database names, with the files that it says lie there, as we know them."""
    from srdp.domain.archive_copies import ArchivedFile

    places = {(file.ngas_file_id, file.version): file.ngas_server for file in committed.files} if committed else {}
    for server in sorted(set(places.values())):
        yield (
            server,
            [
                ArchivedFile(file.ngas_file_id, file.ngas_version, file.size_bytes, file.crc32)
                for file in files
                if file.ngas_version is not None and places.get((file.ngas_file_id, file.ngas_version)) == server
            ],
        )
