"""Moving a run's directory from one area to another, so that it can be killed at any point and run again.

Where the file system allows it, a move is one rename. Elsewhere it is a copy under a hidden name, a comparison of every
file, a rename, and only then the removal of the source, which is first renamed to a hidden name too. So a directory
is at every moment wholly in one of the areas under its own name, or wholly in both. Which of the two it is, only a
rename shows it: bind mounts, project quotas and some parallel file systems refuse it between directories of one device.

Only a directory that holds the run's marker is moved (:mod:`srdp.domain.runs.run_marker`): a copy begins with it, and
the removal of the source ends with it. Of the source nothing is removed that the copy does not have: what was written
in it meanwhile is kept and reported.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Sequence
from pathlib import Path

from srdp.domain.common.errors import IntegrityError, Refused, SrdpError, quoted
from srdp.domain.disk.tree_removal import Left, TreeRemoval
from srdp.domain.files.leftovers import is_kept_by_nfs
from srdp.domain.files.shared_folders import link_target, look_at, sync_folder
from srdp.domain.files.storage import LocalFilesError, StorageUnavailable, check_there, storage_error
from srdp.domain.files.tree_copy import checksum, compare_trees, copy_tree, sync_tree
from srdp.domain.runs.pipeline_run import RunDirectory
from srdp.domain.runs.run_marker import MARKER, RunMarker, Standing, check_marked, put_marker, standing_of

_MOST_NAMED = 3


def move_run_directory(source: RunDirectory, target: RunDirectory, marker: RunMarker) -> bool:
    """Move a run's directory; repeated after a kill, it finishes what was begun.

    Args:
        source: where the directory is.
        target: where it shall be, under the same name.
        marker: what it must hold.

    Returns:
        Whether anything had to be done.

    Raises:
        Refused: there is no such directory, one of that name is not the run's, or both places hold one and they differ.
        IntegrityError: a copy is not equal to its source, which is kept; or something was written into the source while
            it was moved, and is kept.
        LocalFilesError: the file system refused; the message says what and why.
    """
    if source.root.name != target.root.name:
        raise Refused(f"{source.root} cannot become {target.root}: a run keeps its directory's name forever.")
    return move_directory(source.root, target.root, marker)


def move_directory(source: Path, target: Path, marker: RunMarker | None = None) -> bool:
    """Move a directory, of a run or in one; repeated after a kill, it finishes what was begun.

    Args:
        source: where it is.
        target: where it shall be; the folder around it must exist.
        marker: what it must hold, if it is a run's.

    Returns:
        Whether anything had to be done.

    Raises:
        Refused: there is no such directory, one of that name is not the run's, or both places hold one and they differ.
        IntegrityError: see :func:`move_run_directory`.
        LocalFilesError: the file system refused; the message says what and why.
    """
    # The content of a folder that is not mounted is not known.
    for folder in (source.parent, target.parent):
        check_there(folder)
    for place in (source, target):
        if place.is_symlink():
            raise Refused(f"{place} is a symbolic link, not the directory itself: remove it and try again.")
        if marker is not None:
            check_marked(place, marker, "nothing was moved")
    try:
        return _Move(source, target, marker).make()
    except OSError as error:
        raise storage_error(error, f"{source}, which is kept, could not be moved to {target}") from error


class _Move:
    """A move that is under way."""

    def __init__(self, source: Path, target: Path, marker: RunMarker | None) -> None:
        self._source = source
        self._target = target
        self._marker = marker
        self._discarded = source.with_name(f".{source.name}.moved")
        self._arriving = target.with_name(f".{target.name}.arriving")

    def make(self) -> bool:
        source, target = self._source, self._target
        if not source.exists():
            if not target.is_dir():
                raise Refused(
                    f"There is no directory {source} to move, and none at {target} either: it was removed by hand."
                )
            unfinished = self._discarded.exists()
            self._remove_source()
            return unfinished
        if not target.exists():
            if self._renamed():
                sync_folder(target.parent, target.parent)
                sync_folder(source.parent, source.parent)
                return True
            self._copy()
        compare_trees(source, target)
        source.rename(self._discarded)
        self._remove_source()
        return True

    def _renamed(self) -> bool:
        """Rename the source; if another has its name by then, that one gets it back."""
        if not _renamed(self._source, self._target):
            return False
        try:
            if self._marker is not None:
                check_marked(self._target, self._marker, "it has its name again")
        except Refused:
            self._target.rename(self._source)
            raise
        return True

    def _copy(self) -> None:
        hidden = self._arriving
        self._remove(hidden)
        try:
            hidden.mkdir()
            if self._marker is not None:
                # Whole or not at all, where a copy could be cut short: then nobody would know whose the directory is.
                put_marker(hidden, self._marker)
            copy_tree(self._source, hidden, without=MARKER if self._marker else "")
            compare_trees(self._source, hidden)
        except (OSError, SrdpError):
            with contextlib.suppress(OSError, LocalFilesError):
                self._remove(hidden)
            raise
        sync_tree(hidden)
        hidden.rename(self._target)
        sync_folder(self._target.parent, self._target.parent)

    def _remove_source(self) -> None:
        """Remove what was renamed to a hidden name, as far as the target has it."""
        left = _removed(self._discarded, self._marker, TreeRemoval(self._why_kept))
        kept = [each.path for each in left if each.why == _NOT_COPIED]
        if kept:
            named = ", ".join(quoted(path.relative_to(self._discarded)) for path in kept[:_MOST_NAMED])
            more = f" and {len(kept) - _MOST_NAMED} more" if len(kept) > _MOST_NAMED else ""
            raise IntegrityError(
                f"{named}{more}: written in {self._source} while it was moved to {self._target}, which is "
                f"complete without it. Nothing was lost: it is kept in {self._discarded}. Put it where it belongs, "
                "remove that directory, and try again."
            )
        if left:
            raise _not_removed(left, f"{self._target} is complete", self._discarded)

    def _why_kept(self, path: Path, facts: os.stat_result) -> str | None:
        """Return why something in the source must stay: nothing goes that the target does not have just so."""
        if is_kept_by_nfs(path.name):
            return None
        copy = self._target / path.relative_to(self._discarded)
        copied = look_at(self._target, copy)
        if copied is None:
            return _NOT_COPIED
        # A copy has the time of modification of what was copied, and both were compared byte for byte after that.
        if (copied.st_size, copied.st_mtime_ns, stat.S_IFMT(copied.st_mode)) == (
            facts.st_size,
            facts.st_mtime_ns,
            stat.S_IFMT(facts.st_mode),
        ):
            return None
        if stat.S_ISLNK(facts.st_mode) and stat.S_ISLNK(copied.st_mode):
            same = link_target(self._discarded, path) == link_target(self._target, copy)
            return None if same else _NOT_COPIED
        # Some file systems keep times less exactly.
        both_files = stat.S_ISREG(facts.st_mode) and stat.S_ISREG(copied.st_mode)
        same = both_files and checksum(self._discarded, path) == checksum(self._target, copy)
        return None if same else _NOT_COPIED

    def _remove(self, place: Path) -> None:
        left = _removed(place, self._marker, TreeRemoval())
        if left:
            raise _not_removed(left, "Nothing was moved", place)


_NOT_COPIED = "it was written after it was copied"


def _not_removed(left: Sequence[Left], state: str, place: Path) -> LocalFilesError:
    """Return the error for what is left of a directory; its class says whether a retry may help."""
    if all(each.heals for each in left):
        return StorageUnavailable(
            f"{left[0]}. {state}; fix the cause if it does not disappear by itself: the next try removes {place}."
        )
    stays = next(each for each in left if not each.heals)
    return LocalFilesError(f"{stays}. {state}; remove {place} by hand and try again.")


def _removed(place: Path, marker: RunMarker | None, removal: TreeRemoval) -> list[Left]:
    """Remove a directory that a move made or renamed; return what is left of it."""

    def why_not(directory: int) -> str | None:
        if marker is None or standing_of(directory, marker) is not Standing.FOREIGN:
            return None
        return f"its file {MARKER} is missing or is another run's"

    folder = os.open(place.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        removal.remove(folder, place.name, place, why_not)
    finally:
        os.close(folder)
    return removal.left


def can_rename(one: Path, other: Path) -> bool:
    """Whether a directory can be renamed from one area into another; found out with an empty directory.

    Args:
        one: the area in which the directory is made.
        other: the area to which it is renamed.

    Raises:
        OSError: one of the areas cannot be written.
    """
    name = f".rename-{secrets.token_hex(8)}"
    probe, there = one / name, other / name
    probe.mkdir()
    try:
        return _renamed(probe, there)
    finally:
        for place in (probe, there):
            with contextlib.suppress(FileNotFoundError):
                place.rmdir()


def _renamed(source: Path, target: Path) -> bool:
    """Rename a directory; returns False where that is impossible between the two places."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    return True
