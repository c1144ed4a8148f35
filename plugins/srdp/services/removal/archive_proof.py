"""The proof that a run may be removed because the archive has it: asked for at the moment at which it is removed."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from srdp.domain.archiving.metadata import CommittedResult, metadata_gaps, proved_files
from srdp.domain.archiving.product_changes import changes_since
from srdp.domain.common.errors import Refused, ServiceUnavailable, SrdpError, quoted
from srdp.domain.disk.removal import is_directory_of, symlinks_leading_out, visible_directories
from srdp.domain.files.leftovers import left_over_files
from srdp.domain.files.shared_folders import look_at
from srdp.domain.ngas.archived_files import ArchivedFile
from srdp.domain.ngas.copies import CopyState, DamagedCopy
from srdp.domain.ngas.proof import Proof, Unproved, prove_all
from srdp.domain.runs.ledger_records import FileOfIngest, PipelineRun
from srdp.domain.runs.pipeline_run import RunDirectory
from srdp.families import result_locator
from srdp.hooks.archive import ArchiveHook
from srdp.hooks.ngas import NgasHook
from srdp.services.context import RunContext
from srdp.settings import Settings

log = logging.getLogger(__name__)

_MOST_NAMED: Final = 3

#: The sentence that people know, word for word.
NOT_IN_ARCHIVE = (
    "The data products are not in the archive, please wait and try again. If failures are repeated, please file an "
    "SSA ticket."
)


class NotInArchive(SrdpError):
    """The archive does not prove at this moment that it has a run's products; which and why is in the log.

    Attributes:
        damaged: the damaged copies in NGAS, if that is why.
    """

    def __init__(self, damaged: Sequence[DamagedCopy] = ()) -> None:
        super().__init__(NOT_IN_ARCHIVE)
        self.damaged = tuple(damaged)


class CopiesDamaged(Refused):
    """The archive has a run's products, and NGAS holds a damaged copy of one of them beside a good one.

    Attributes:
        damaged: the damaged copies.
    """

    def __init__(self, run: PipelineRun, damaged: Sequence[DamagedCopy]) -> None:
        self.damaged = tuple(damaged)
        named = ", ".join(
            f"{quoted(copy.file_id)} version {copy.version} on disk {quoted(copy.disk_id)}"
            for copy in self.damaged[:_MOST_NAMED]
        )
        more = len(self.damaged) - _MOST_NAMED
        super().__init__(
            f"{run.pipeline_run_id} is not deleted: NGAS holds a damaged copy beside a good one of {named}"
            f"{f' and of {more} more' if more > 0 else ''}. Try again when the operators of NGAS have repaired it, or "
            "set SRDP_ONE_GOOD_COPY_IS_ENOUGH."
        )


def prove_archived_run(context: RunContext) -> tuple[Proof, ...]:
    """Return if, and only if, a run's directories may be deleted because the archive has what they hold.

    That is: what is there is this run, is what was archived, and nothing else; and the archive's database and NGAS
    have, at this moment, every file that the ingest recorded, in good copies only; with the setting
    ``one_good_copy_is_enough`` in one good copy at least.

    Args:
        context: an archived run.

    Returns:
        The files that are proved, with their copies; a damaged one is the caller's to report.

    Raises:
        NotInArchive: a file is not proved, or nobody could be asked; the log says which and why.
        CopiesDamaged: a copy is damaged beside a good one.
        Refused: a directory is not the run's, has links that lead out, has changed since the ingest, or holds a
            measurement set that is still to be moved into the cache.
        ServiceUnavailable: an area or the ledger cannot be reached, or a copy beside a good one cannot be read now.
        SettingsError: a connection is missing or wrong.
        LocalFilesError: a directory cannot be read.
    """
    for directory in visible_directories(context.settings.areas, context.run_id):
        _check_directory(context, directory)
    answer = _ask_archive(context)
    if answer.gaps:
        for gap in answer.gaps:
            log.error("%s", gap)
        raise NotInArchive(answer.damaged)
    if not context.settings.one_good_copy_is_enough:
        _check_copies(context.run, answer)
    return answer.proofs


@dataclass(frozen=True)
class _Answer:
    """What the archive says of a run.

    Attributes:
        proofs: the files that are proved.
        gaps: a sentence for everything that is not.
        damaged: every damaged copy.
    """

    gaps: tuple[str, ...]
    proofs: tuple[Proof, ...] = ()
    damaged: tuple[DamagedCopy, ...] = ()


def _check_copies(run: PipelineRun, answer: _Answer) -> None:
    if answer.damaged:
        raise CopiesDamaged(run, answer.damaged)
    away = [copy.error for proof in answer.proofs for copy in proof.in_state(CopyState.AWAY)]
    if away:
        raise ServiceUnavailable(
            f"{run.pipeline_run_id} is not deleted now: not every copy of its files in NGAS can be read. {away[0]} Try "
            "again, or set SRDP_ONE_GOOD_COPY_IS_ENOUGH."
        )


def _check_directory(context: RunContext, directory: RunDirectory) -> None:
    ledger, run = context.ledger, context.run
    if not is_directory_of(directory, run):
        raise Refused(
            f"{directory.root} is not the directory of {run.pipeline_run_id}: its working/PPR.xml is not the PPR that "
            "CASA was given, or is missing. Nothing was deleted; find out what is there."
        )
    links = symlinks_leading_out(directory, context.settings.areas)
    if links:
        raise Refused(
            f"{directory.root} was not deleted: symbolic links in it lead out of it ({_first(links)}), so something "
            "of it may be elsewhere; remove the links and try again."
        )
    for path in left_over_files(directory.root):
        log.warning("%s was left by an editor or the file server, and goes with the directory.", quoted(path, 300))
    ingest = ledger.ingests.in_force(run.pipeline_run_id)
    changes = changes_since(directory, ledger.archived_files.products(ingest)) if ingest else ()
    if changes:
        for change in changes:
            log.error("%s", change)
        more = f" And {len(changes) - _MOST_NAMED} more, which the log lists." if len(changes) > _MOST_NAMED else ""
        raise Refused(
            f"{directory.root} was not deleted: its products are not those that were archived. "
            f"{' '.join(changes[:_MOST_NAMED])}{more} Take away what is to be kept, put the rest back as it was, and "
            "try again."
        )
    _check_cache(context, directory)


def _check_cache(context: RunContext, directory: RunDirectory) -> None:
    cached = context.ledger.measurement_sets.of_run(context.run_id)
    if cached is None or cached.removed_at is not None:
        return
    target = Path(cached.path)
    source = directory.working / target.name
    if look_at(directory.root, source) is not None:
        raise Refused(
            f"{directory.root} was not deleted: its measurement set is to be moved to {target} for "
            "users and still is there; let the ingest's DAG run end, or clear its step that keeps the products."
        )


def _first(paths: Sequence[Path]) -> str:
    named = ", ".join(quoted(path, 300) for path in paths[:_MOST_NAMED])
    return f"{named} and {len(paths) - _MOST_NAMED} more" if len(paths) > _MOST_NAMED else named


def _ask_archive(context: RunContext) -> _Answer:
    settings, ledger, run_id = context.settings, context.ledger, context.run_id
    ingest = ledger.ingests.in_force(run_id)
    if ingest is None or ingest.committed_at is None:
        return _Answer((f"The ledger knows of no ingest of {run_id} whose metadata the archive has taken.",))
    files = ledger.archived_files.of_ingest(ingest)
    if not files:
        return _Answer((f"The ingest of {run_id} put no file into NGAS (the setting SRDP_NGAS_INGEST was off).",))
    unfinished = [file for file in files if file.ngas_version is None or file.proved_at is None]
    if unfinished:
        return _Answer(tuple(f"{file.ngas_file_id} was never proved to be in NGAS." for file in unfinished))
    try:
        committed = ArchiveHook(settings).committed(result_locator(run_id, ingest.number))
    except ServiceUnavailable as error:
        return _Answer((str(error),))
    answer = _ask_ngas(settings, files, committed)
    return replace(answer, gaps=(*metadata_gaps(committed, proved_files(files)), *answer.gaps))


def _ask_ngas(settings: Settings, files: Sequence[FileOfIngest], committed: CommittedResult | None) -> _Answer:
    wanted = dict(_by_server(files, committed))
    clients = NgasHook(settings.ngas_connection).clients(wanted, named_by=lambda _server: "the archive's database")
    proofs: list[Proof] = []
    unproved: list[Unproved] = []
    for server, archived in wanted.items():
        proved, missing = prove_all(clients[server], archived)
        proofs += proved
        unproved += missing
    return _Answer(
        tuple(f"{item.file.file_id} version {item.file.version}: {item.why}" for item in unproved),
        tuple(proofs),
        tuple(copy for found in (proofs, unproved) for item in found for copy in item.damaged),
    )


def _by_server(
    files: Sequence[FileOfIngest], committed: CommittedResult | None
) -> Iterator[tuple[str, list[ArchivedFile]]]:
    """Yield the servers that the archive's database names, with the files that it says are there, as we know them."""
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
