"""The file by which a directory proves that it is a run's: a name proves nothing, a directory can be renamed.

It is written into each directory of a run when that is made, before anything else: in the areas, in the spool area and
in the cache of measurement sets. It holds the pipeline run ID and a random token, which the ledger has too. What moves
a directory copies it first; what removes one removes it last.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from srdp.domain.common.errors import Refused, quoted
from srdp.domain.files.spool_files import made_spool_folder
from srdp.domain.files.storage import check_there, local_files, storage_error
from srdp.domain.files.whole_file import write_whole_file
from srdp.domain.runs.identifiers import PipelineRunId

#: What the file is called.
MARKER: Final = ".srdp-run.json"
_UNFINISHED: Final = re.compile(rf"\.{re.escape(MARKER)}\.[0-9a-f]{{8}}\.unfinished", re.ASCII)
_LARGEST_BYTES: Final = 4096
# A directory that is nested deeper is not looked through for a file: it is not taken for an empty one.
_DEEPEST: Final = 20


@dataclass(frozen=True)
class RunMarker:
    """What the directories of one run hold, and no other directory does.

    Attributes:
        pipeline_run_id: the run.
        token: a random number, from the ledger.
    """

    pipeline_run_id: PipelineRunId
    token: uuid.UUID

    @property
    def entries(self) -> dict[str, str]:
        """What the file says."""
        return {"pipeline_run_id": self.pipeline_run_id, "token": str(self.token)}

    @property
    def content(self) -> bytes:
        """The bytes of the file."""
        return f"{json.dumps(self.entries)}\n".encode()


class Standing(Enum):
    """What a directory that has a run's name is."""

    OWN = "the run's"
    EMPTY = "without an owner: there is no file in it"
    FOREIGN = "not the run's"


def standing_of(descriptor: int, marker: RunMarker) -> Standing:
    """Return what a directory is to a run.

    Args:
        descriptor: the directory, open for reading: not its name, which may be another's in a moment.
        marker: the run's.

    Raises:
        OSError: it cannot be read.
    """
    held = _read(descriptor)
    if held is not None:
        return Standing.OWN if held == marker.entries else Standing.FOREIGN
    return Standing.EMPTY if _holds_no_file(descriptor) else Standing.FOREIGN


def make_marked(place: Path, marker: RunMarker) -> None:
    """Make a directory of a run, unless it is there; the folder around it must be: no area is made by a step.

    Args:
        place: the directory.
        marker: the run's.

    Raises:
        Refused: there is something of this name that is not the run's.
        StorageUnavailable: the folder around it is not there.
        LocalFilesError: it cannot be made.
    """
    check_there(place.parent)
    with local_files(place), suppress(FileExistsError):
        place.mkdir()
    with opened(place) as descriptor, local_files(place):
        standing = standing_of(descriptor, marker)
    if standing is Standing.FOREIGN:
        raise not_the_runs(place, marker, "nothing was put there")
    if standing is Standing.EMPTY:
        put_marker(place, marker)


def make_marked_spool(place: Path, marker: RunMarker) -> None:
    """Make a run's folder in the spool area, which is the service's own, unless it is there.

    Args:
        place: the folder.
        marker: the run's.

    Raises:
        NotTheServicesOwn: the area or the folder belongs to somebody else, or others can write it.
        Refused: see :func:`make_marked`; likewise the others.
    """
    check_there(place.parent)
    with local_files(place), made_spool_folder(place.parent, place.name):
        pass
    make_marked(place, marker)


def put_marker(place: Path, marker: RunMarker) -> None:
    """Write the marker into a directory that is known to be the run's.

    Args:
        place: the directory.
        marker: the run's.

    Raises:
        LocalFilesError: it cannot be written.
    """
    write_whole_file(place, place / MARKER, marker.content)


def check_marked(place: Path, marker: RunMarker, done: str) -> None:
    """Let a directory pass that holds the run's marker.

    Args:
        place: the directory; one that is not there passes too.
        marker: the run's.
        done: what was not done if it does not, as a clause.

    Raises:
        Refused: it does not.
        LocalFilesError: it cannot be read.
    """
    try:
        with opened(place) as descriptor, local_files(place):
            standing = standing_of(descriptor, marker)
    except FileNotFoundError:
        return
    if standing is not Standing.OWN:
        raise not_the_runs(place, marker, done)


@contextmanager
def opened(place: Path) -> Iterator[int]:
    """Open a directory that has a run's name.

    Args:
        place: the directory.

    Yields:
        Its descriptor, open for reading.

    Raises:
        FileNotFoundError: it is not there.
        Refused: it is a symbolic link, or no directory.
        LocalFilesError: it cannot be opened.
    """
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno not in {errno.ENOTDIR, errno.ELOOP}:
            raise storage_error(error, f"{place} could not be opened") from None
        raise Refused(
            f"{place} is a symbolic link or no directory, not the directory itself: find out what it is, "
            "remove it and try again."
        ) from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def not_the_runs(place: Path, marker: RunMarker, done: str) -> Refused:
    """Return the error that says that a directory is not the run's that it is called after."""
    return Refused(
        f"{quoted(place, 300)} is not the directory of {marker.pipeline_run_id}: its file {MARKER} is missing or is "
        f"another run's; {done}. Find out what is there; for a run of an earlier release, `python -m "
        "srdp.check.mark_runs` writes the file."
    )


def is_marker(name: str) -> bool:
    """Whether a file's name is that of a marker, or of one that was not finished.

    Args:
        name: the name, without its folder.
    """
    return name == MARKER or _UNFINISHED.fullmatch(name) is not None


def _read(descriptor: int) -> object | None:
    """Return what the marker of a directory says; ``None`` if there is none, and something else if it is none."""
    try:
        file = os.open(
            MARKER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, dir_fd=descriptor
        )
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:  # a symbolic link, a socket
            return "not a regular file"
        raise
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return "not a regular file"
        content = os.read(file, _LARGEST_BYTES)
    finally:
        os.close(file)
    try:
        entries: object = json.loads(content)
    except (ValueError, RecursionError):
        return "not readable"
    return entries if isinstance(entries, dict) else "not a marker"


def _holds_no_file(descriptor: int, depth: int = 0) -> bool:
    """Whether there is nothing in a directory but directories, and a marker that was not finished."""
    with os.scandir(descriptor) as found:
        entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in found]
    for name, is_directory in entries:
        if not is_directory:
            if depth or not _UNFINISHED.fullmatch(name):
                return False
            continue
        if depth == _DEEPEST:
            return False
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=descriptor)
        try:
            if not _holds_no_file(inner, depth + 1):
                return False
        finally:
            os.close(inner)
    return True
