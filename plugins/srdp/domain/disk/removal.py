"""Removing what is on disk of a run, so that it can be killed at any point and run again.

A directory is renamed to a hidden name in the same area and then deleted: nobody sees half a run under its name. Only
names that are derived from the pipeline run ID are looked at, and of those only what proves to be the run's is touched:
what holds its marker (:mod:`srdp.domain.runs.run_marker`), or no file at all. How it goes says
:mod:`srdp.domain.disk.tree_removal`.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from srdp.domain.common.errors import Refused, ServiceUnavailable
from srdp.domain.disk.tree_removal import Left, TreeRemoval, open_directory
from srdp.domain.files.leftovers import is_left_over
from srdp.domain.files.shared_files import PPR, open_shared
from srdp.domain.files.shared_folders import walk_shared
from srdp.domain.files.storage import local_files
from srdp.domain.files.trusted_root import UnsafeFile
from srdp.domain.runs.identifiers import PipelineRunId, pipeline_run_id
from srdp.domain.runs.pipeline_run import Areas, RunDirectory
from srdp.domain.runs.run_marker import MARKER, RunMarker, Standing, not_the_runs, standing_of

if TYPE_CHECKING:
    from srdp.domain.runs.ledger_records import PipelineRun

#: How a hidden name that a delivery leaves when it is killed ends; see :mod:`srdp.domain.disk.delivery`.
_LEFT_BY_A_DELIVERY = ("moved", "arriving")


@dataclass(frozen=True)
class Removal:
    """What a removal did.

    Attributes:
        bytes_freed: how much space it gave. A file that has further hard links gave none. What an earlier call had
            removed before it was killed is not counted.
        removed: the directories that were there, by the names that they had.
        left: everything that could not be removed; empty if the run has nothing left on disk.
    """

    bytes_freed: int = 0
    removed: tuple[Path, ...] = ()
    left: tuple[Left, ...] = ()


def places_of_run(areas: Areas, run_id: PipelineRunId) -> tuple[Path, ...]:
    """Return what is on disk of a run, under its name or a hidden one, in both its areas and the spool.

    Args:
        areas: the roots.
        run_id: the run.

    Raises:
        Refused: something of that name is no directory, for example a symbolic link: nothing is removed.
        ServiceUnavailable: an area is not there, so that what is in it is not known.
    """
    found = []
    for path, mode in _entries_of_run(areas, run_id):
        if not stat.S_ISDIR(mode):
            kind = "a symbolic link" if stat.S_ISLNK(mode) else "no directory"
            raise Refused(
                f"{path} is {kind}, not the directory of {run_id}: nothing was removed; find out what it is, remove it "
                "by hand, and try again."
            )
        found.append(path)
    return tuple(found)


def visible_directories(areas: Areas, run_id: PipelineRunId) -> tuple[RunDirectory, ...]:
    """Return a run's directories in processing and QA area that are not being removed yet; two after a killed move.

    Args:
        areas: the roots.
        run_id: the run.

    Raises:
        Refused: see :func:`places_of_run`.
        ServiceUnavailable: see :func:`places_of_run`.
    """
    found = places_of_run(areas, run_id)
    return tuple(RunDirectory(path) for path in found if path.name == run_id and path.parent != areas.spool)


def own_places(areas: Areas, marker: RunMarker) -> tuple[Path, ...]:
    """Return what is on disk of a run, as :func:`places_of_run`, if all of it proves to be the run's.

    Args:
        areas: the roots.
        marker: the run's.

    Raises:
        Refused: a directory of the run's name is not the run's, or something of that name is no directory.
        ServiceUnavailable: an area is not there.
        LocalFilesError: a directory cannot be read.
    """
    places = places_of_run(areas, marker.pipeline_run_id)
    for place in places:
        with _area(place.parent) as area, local_files(place):
            if _is_foreign(area, place.name, marker):
                raise not_the_runs(place, marker, "nothing was removed")
    return places


def remove_run_directories(areas: Areas, marker: RunMarker) -> Removal:
    """Remove everything that is on disk of a run; whether it may be removed is for the caller to know.

    What cannot be removed is left, and the rest is removed all the same. Repeated after a kill, it finishes.

    Args:
        areas: the roots.
        marker: by what the run's directories are known.

    Raises:
        Refused: a directory of the run's name is not the run's, or something of that name is no directory; nothing was
            removed.
        ServiceUnavailable: an area is not there.
        LocalFilesError: a directory cannot be read; nothing was removed.
    """
    run_id = marker.pipeline_run_id
    places = own_places(areas, marker)
    work = _Removal(places, marker)
    for root in _roots(areas, run_id):
        with _area(root) as descriptor:
            work.remove(root, descriptor)
    # A step that was taken for dead may have moved a directory into an area that was looked into before.
    reported = {path for left in work.tree.left for path in (left.path, *left.path.parents)}
    came = [path for path, _ in _entries_of_run(areas, run_id) if path not in reported]
    left = (*work.tree.left, *(Left(path, "it came while the others were removed") for path in came))
    return Removal(work.tree.bytes_freed, places, left)


def symlinks_leading_out(directory: RunDirectory, areas: Areas) -> tuple[Path, ...]:
    """Return the symbolic links in a run's directory that lead to something that is not this run's.

    A link to where the directory was before it was moved is the run's own, and an editor's lock does not count.

    Args:
        directory: the run's directory.
        areas: the roots.

    Raises:
        LocalFilesError: a directory cannot be read.
    """
    moved_from = (root / directory.root.name for root in _roots(areas, directory.pipeline_run_id))
    own = {os.path.realpath(place) for place in (directory.root, *moved_from)}

    def leads_out(link: Path) -> bool:
        target = os.path.realpath(link)
        return not any(target == place or target.startswith(f"{place}{os.sep}") for place in own)

    return tuple(
        path
        for path, found in walk_shared(directory.root, directory.root)
        if stat.S_ISLNK(found.st_mode) and not is_left_over(path.name) and leads_out(path)
    )


def is_directory_of(directory: RunDirectory, run: PipelineRun) -> bool:
    """Whether a directory is the run's and not only called so: it holds the PPR that the ledger says CASA was given.

    Args:
        directory: a directory of the run's name.
        run: the run, from the ledger.

    Raises:
        LocalFilesError: the PPR is there and cannot be read.
    """
    return directory.root.name == run.pipeline_run_id and holds_ppr_of(directory.root, run)


def holds_ppr_of(root: Path, run: PipelineRun) -> bool:
    """Whether a directory, of whatever name, holds the PPR that the ledger says CASA was given.

    Args:
        root: the directory.
        run: the run, from the ledger.

    Raises:
        LocalFilesError: the PPR is there and cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with open_shared(root, RunDirectory(root).processing_request, PPR) as file:
            for block in file.blocks():
                digest.update(block)
    except (FileNotFoundError, UnsafeFile):
        return False
    return digest.hexdigest() == run.ppr_sha256


def _roots(areas: Areas, run_id: PipelineRunId) -> tuple[Path, ...]:
    return tuple(dict.fromkeys((*areas.of_run(pipeline_run_id(run_id)), areas.spool)))


def _names(run_id: PipelineRunId) -> tuple[str, ...]:
    name = pipeline_run_id(run_id)
    return (name, _hidden(name), *(f".{name}.{ending}" for ending in _LEFT_BY_A_DELIVERY))


def _hidden(name: str) -> str:
    return f".{name}.removed"


def _entries_of_run(areas: Areas, run_id: PipelineRunId) -> Iterator[tuple[Path, int]]:
    """Yield whatever has one of a run's names, with its mode."""
    for root in _roots(areas, run_id):
        with _area(root) as descriptor:
            for name in _names(run_id):
                facts = _facts(descriptor, name)
                if facts is not None:
                    yield root / name, facts.st_mode


@contextmanager
def _area(root: Path) -> Iterator[int]:
    try:
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ServiceUnavailable(
            f"The area {root} cannot be looked into ({error.strerror}), so it is not known what is in it of the run: "
            "see whether its file system is mounted, and try again."
        ) from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _facts(parent: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None


@dataclass
class _Removal:
    """A removal that is under way."""

    places: tuple[Path, ...]
    marker: RunMarker
    tree: TreeRemoval = field(default_factory=TreeRemoval)

    def remove(self, root: Path, area: int) -> None:
        """Remove the run's directories in one area."""
        run_id = self.marker.pipeline_run_id
        hidden = _hidden(run_id)
        # What a killed call has left; else the hidden name is not free.
        if self.tree.remove(area, hidden, root / hidden, self._why_not):
            with self.tree.recording_failures(root / run_id):
                os.rename(run_id, hidden, src_dir_fd=area, dst_dir_fd=area)
                if self._became_foreign(area, hidden):
                    os.rename(hidden, run_id, src_dir_fd=area, dst_dir_fd=area)
                    self.tree.left.append(Left(root / run_id, f"{_FOREIGN}; it has its name again"))
            self.tree.remove(area, hidden, root / hidden, self._why_not)
        elif root / run_id in self.places:
            self.tree.left.append(Left(root / run_id, f"{hidden} must be removed first"))
        for ending in _LEFT_BY_A_DELIVERY:
            name = f".{run_id}.{ending}"
            self.tree.remove(area, name, root / name, self._why_not)

    def _became_foreign(self, area: int, name: str) -> bool:
        try:
            return _is_foreign(area, name, self.marker)
        except OSError:
            return False  # the removal says why

    def _why_not(self, directory: int) -> str | None:
        # Again, of what is open: the name may have become another's since it was looked at.
        return _FOREIGN if standing_of(directory, self.marker) is Standing.FOREIGN else None


def _is_foreign(area: int, name: str, marker: RunMarker) -> bool:
    try:
        directory = open_directory(area, name)
    except FileNotFoundError:
        return False
    try:
        return standing_of(directory, marker) is Standing.FOREIGN
    finally:
        os.close(directory)


_FOREIGN = f"it is no longer the run's: its file {MARKER} is missing or is another run's"
