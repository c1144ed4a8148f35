"""What data analysts have put into a run's directory for themselves, which a removal would take along.

That is everything that was written or put there after the run had left the pipeline: scripts, plots, notes, logs of
CASA sessions. It is named a day before it goes: see decision 21 in ``docs/decisions``.
"""

from __future__ import annotations

import hashlib
import re
import stat
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Final

from srdp.domain.common.errors import quoted
from srdp.domain.files.leftovers import is_left_over
from srdp.domain.files.shared_files import FileKind, open_shared
from srdp.domain.files.shared_folders import look_at, walk_shared
from srdp.domain.files.trusted_root import UnsafeFile
from srdp.domain.files.whole_file import is_unfinished
from srdp.domain.runs.ledger_records import CasaAttempt, SubmittedFile
from srdp.domain.runs.pipeline_run import RunDirectory
from srdp.domain.runs.run_marker import MARKER, is_marker

_MOST_NAMED: Final = 5
_NANOSECONDS: Final = 10**9
# The step that writes the notes of the verdict puts them there; CASA touches the other when a table is only looked at.
_QA_NOTES: Final = re.compile(r"working/pipeline-[^/]+/html/qa_notes\.html")
_TABLE_LOCK: Final = "table.lock"
_KIND: Final = FileKind("a file in a run's directory")


@dataclass(frozen=True)
class OwnFiles:
    """The files that are an analyst's own.

    Attributes:
        names: where they are in the run's directory, files of one folder in ``working/`` together, with their number.
        digest: distinguishes one set of files, as they are, from another.
    """

    names: tuple[str, ...] = ()
    digest: str = ""

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.names)

    def __str__(self) -> str:
        """Names the first of them."""
        named = ", ".join(quoted(name) for name in self.names[:_MOST_NAMED])
        more = len(self.names) - _MOST_NAMED
        return f"{named} and {more} more" if more > 0 else named


def left_the_pipeline(left_at: datetime | None, attempts: Iterable[CasaAttempt]) -> datetime | None:
    """Return when the last program of the pipeline had ended on a run: what came later is a person's.

    Args:
        left_at: when the run was delivered, or had failed before; None if neither.
        attempts: the starts of CASA for it.

    Returns:
        None if it is not known.
    """
    ended = [attempt.ended_at for attempt in attempts if attempt.ended_at is not None]
    return None if left_at is None else max((left_at, *ended))


def own_files(
    directory: RunDirectory, since: datetime, *, archived: bool, given: Iterable[SubmittedFile] = ()
) -> OwnFiles:
    """Return the analysts' own files in a run's directory.

    Not among them is what is in ``products/``, which is what the verdict is about; nor what editors leave; nor what
    the ledger holds byte for byte.

    Args:
        directory: the run's directory.
        since: when the run had left the pipeline.
        archived: whether the archive has the run, and so its PPR.
        given: what the ledger holds: the files of the run and of its verdict, the QA report among them.

    Raises:
        UnsafeFile: the directory is a symbolic link.
        LocalFilesError: something in it cannot be looked at.
    """
    groups: Counter[str] = Counter()
    digest = hashlib.sha256()
    held = {(len(file.content), file.sha256) for file in given}
    for name, written_ns, size in _own(directory, since, archived=archived):
        if _is_held(directory.root, directory.root / name, size, held):
            continue
        groups[_group(name)] += 1
        digest.update(f"{name}\0{size}\0{written_ns}\0".encode("utf-8", "surrogateescape"))
    names = tuple(f"{group}/ ({number} files)" if number > 1 else group for group, number in sorted(groups.items()))
    return OwnFiles(names, digest.hexdigest() if names else "")


def _own(directory: RunDirectory, since: datetime, *, archived: bool) -> Iterator[tuple[str, int, int]]:
    root, since_ns = directory.root, int(since.astimezone(UTC).timestamp() * _NANOSECONDS)
    marker = look_at(root, root / MARKER)
    # A directory that was copied to another file system since has no older times of change.
    was_copied = marker is None or marker.st_ctime_ns > since_ns
    for path, facts in walk_shared(root, root):
        name = path.relative_to(root).as_posix()
        place = PurePosixPath(name).parts[0]
        if stat.S_ISDIR(facts.st_mode) or place == directory.products.name or _is_no_persons(name):
            continue
        if archived and path == directory.processing_request:
            continue
        # A link that a rerun makes to raw data changes the time of change.
        put_there = not was_copied and place != directory.rawdata.name and facts.st_ctime_ns > since_ns
        if put_there or facts.st_mtime_ns > since_ns:
            yield name, facts.st_mtime_ns, facts.st_size


def _is_held(root: Path, path: Path, size: int, held: Collection[tuple[int, str]]) -> bool:
    """Whether the ledger holds a file byte for byte."""
    if all(size != each for each, _ in held):
        return False
    try:
        with open_shared(root, path, _KIND) as file:
            digest = hashlib.sha256()
            for block in file.blocks():
                digest.update(block)
    except (FileNotFoundError, UnsafeFile):
        return False
    return (size, digest.hexdigest()) in held


def _is_no_persons(name: str) -> bool:
    last = PurePosixPath(name).name
    return (
        is_left_over(last)
        or is_unfinished(last)
        or is_marker(last)
        or last == _TABLE_LOCK
        or _QA_NOTES.fullmatch(name) is not None
    )


def _group(name: str) -> str:
    """Return the group under which a file is listed: the folder of ``working/`` that it is in, or itself."""
    return "/".join(PurePosixPath(name).parts[:2])
