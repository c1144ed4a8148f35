"""Moving a run's directory from one area to another, so that it can be killed at any point and run again.

Where the file system allows it, a move is one rename. Elsewhere it is a copy under a hidden name, a comparison of every
file, a rename, and only then the removal of the source, which is first renamed to a hidden name too. So a directory
is at every moment wholly in one of the areas under its own name, or wholly in both. Which of the two it is, only a
rename tells: bind mounts, project quotas and some parallel file systems refuse it between directories of one device.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path

from srdp.domain.errors import IntegrityError, Refused
from srdp.domain.leftovers import is_kept_by_nfs
from srdp.domain.pipeline_run import RunDirectory
from srdp.domain.storage import check_there, storage_error

_BLOCK = 1024 * 1024


def move_run_directory(source: RunDirectory, target: RunDirectory) -> bool:
    """Moves a run's directory; repeated after a kill, it finishes what was begun.

    Args:
        source: where the directory lies.
        target: where it shall lie, under the same name.

    Returns:
        Whether anything had to be done.

    Raises:
        Refused: there is no such directory, or both places hold one and they differ.
        IntegrityError: a copy is not equal to its source; the source is kept.
        LocalFilesError: the file system refused; the sentence says what and why.
    """
    if source.root.name != target.root.name:
        raise Refused(f"{source.root} cannot become {target.root}: a run keeps its directory's name for ever.")
    return move_directory(source.root, target.root)


def move_directory(source: Path, target: Path) -> bool:
    """Moves a directory, of a run or in one; repeated after a kill, it finishes what was begun.

    Args:
        source: where it lies.
        target: where it shall lie; the folder around it must exist.

    Returns:
        Whether anything had to be done.

    Raises:
        Refused: there is no such directory, or both places hold one and they differ.
        IntegrityError: a copy is not equal to its source; the source is kept.
        LocalFilesError: the file system refused; the sentence says what and why.
    """
    # Of a folder that is not mounted nobody knows what lies in it.
    for folder in (source.parent, target.parent):
        check_there(folder)
    for place in (source, target):
        if place.is_symlink():
            raise Refused(f"{place} is a symbolic link, not the directory itself: remove it and try again.")
    try:
        return _move(source, target)
    except OSError as error:
        raise storage_error(error, f"{source}, which is kept, could not be moved to {target}") from error


def _move(source: Path, target: Path) -> bool:
    discarded = source.with_name(f".{source.name}.moved")
    if not source.exists():
        if not target.is_dir():
            raise Refused(
                f"There is no directory {source} to move, and none at {target} either: it was removed by hand."
            )
        unfinished = discarded.exists()
        _remove(discarded)
        return unfinished
    if not target.exists():
        if _renamed(source, target):
            _sync_directory(target.parent)
            _sync_directory(source.parent)
            return True
        _copy(source, target)
    compare_trees(source, target)
    source.rename(discarded)
    _remove(discarded)
    return True


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
    """Renames a directory; returns False where that is impossible between the two places."""
    try:
        source.rename(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    return True


def _copy(source: Path, target: Path) -> None:
    hidden = target.with_name(f".{target.name}.arriving")
    _remove(hidden)
    try:
        _copy_tree(source, hidden)
        compare_trees(source, hidden)
    except (OSError, IntegrityError):
        shutil.rmtree(hidden, ignore_errors=True)
        raise
    for directory, _, _ in os.walk(hidden):
        _sync_directory(Path(directory))
    hidden.rename(target)
    _sync_directory(target.parent)


def _copy_tree(source: Path, target: Path) -> None:
    """Copies a directory; the first error ends it, where ``shutil.copytree`` would go on with every other file."""
    target.mkdir()
    with os.scandir(source) as found:
        entries = sorted((entry for entry in found if not is_kept_by_nfs(entry.name)), key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            _copy_tree(source / entry.name, target / entry.name)
        else:
            _copy_file(source / entry.name, target / entry.name)
    shutil.copystat(source, target)


def _copy_file(source: Path, target: Path) -> None:
    shutil.copy2(source, target, follow_symlinks=False)
    if not target.is_symlink():
        with target.open("rb") as stream:
            os.fsync(stream.fileno())


def compare_trees(one: Path, other: Path) -> None:
    """Makes sure that two directories hold the same names, kinds, sizes, bytes and link targets.

    Raises:
        IntegrityError: they differ; the sentence names the first difference.
    """
    mine, theirs = dict(_entries(one)), dict(_entries(other))
    for name in sorted(mine.keys() ^ theirs.keys()):
        lacking = other if name in mine else one
        raise IntegrityError(f"{lacking / name} is missing: {one} and {other} are not the same. Both are kept.")
    for name, description in sorted(mine.items()):
        if theirs[name] != description or (
            stat.S_ISREG(description[0]) and _checksum(one / name) != _checksum(other / name)
        ):
            raise IntegrityError(f"{other / name} differs from {one / name}: both are kept; find out which is right.")


def _entries(root: Path) -> Iterator[tuple[Path, tuple[int, int, str]]]:
    for directory, directories, files in os.walk(root):
        for name in (*directories, *(name for name in files if not is_kept_by_nfs(name))):
            path = Path(directory) / name
            facts = path.lstat()
            kind = stat.S_IFMT(facts.st_mode)
            size = facts.st_size if stat.S_ISREG(kind) else 0
            yield path.relative_to(root), (kind, size, str(path.readlink()) if stat.S_ISLNK(kind) else "")


def _checksum(path: Path) -> int:
    checksum = 0
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            checksum = zlib.crc32(block, checksum)
    return checksum


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if path.exists():
        shutil.rmtree(path)
