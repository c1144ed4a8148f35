"""Removing what lies on disk of a run, so that it can be killed at any point and run again.

A directory is renamed to a hidden name in the same area and then deleted: nobody sees half a run under its name. Only
names that are derived from the pipeline run ID are touched, no symbolic link and no mount point is followed, and the
mode of no file is changed: raw data are hard links that other runs have too.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from srdp.domain.errors import Refused, ServiceUnavailable, quoted
from srdp.domain.identifiers import PipelineRunId, pipeline_run_id
from srdp.domain.ledger_records import PipelineRun
from srdp.domain.leftovers import is_left_over
from srdp.domain.pipeline_run import Areas, RunDirectory
from srdp.domain.run_marker import is_marker
from srdp.domain.storage import local_files

# Of what CASA and the pipeline make, nothing is nested a tenth as deep; each level holds a descriptor.
_DEEPEST = 200
_BLOCK = 1 << 20
_WHOLE_DIRECTORY = stat.S_IRWXU
#: How a hidden name that a delivery leaves when it is killed ends; see :mod:`srdp.domain.delivery`.
_LEFT_BY_A_DELIVERY = ("moved", "arriving")


@dataclass(frozen=True)
class Left:
    """Something that could not be removed.

    Attributes:
        path: where it lies.
        why: why, as the end of a sentence.
    """

    path: Path
    why: str

    def __str__(self) -> str:
        """Says it for a person."""
        return f"{quoted(self.path, 300)}: {self.why}"


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
    """Returns what lies on disk of a run, under its name or a hidden one, in both its areas and the spool.

    Args:
        areas: the roots.
        run_id: the run.

    Raises:
        Refused: something of that name is no directory, for example a symbolic link: nothing is removed.
        ServiceUnavailable: an area is not there, so that what lies in it is not known.
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
    """Returns a run's directories in processing and QA area that are not being removed yet; two after a killed move.

    Args:
        areas: the roots.
        run_id: the run.

    Raises:
        Refused: see :func:`places_of_run`.
        ServiceUnavailable: see :func:`places_of_run`.
    """
    found = places_of_run(areas, run_id)
    return tuple(RunDirectory(path) for path in found if path.name == run_id and path.parent != areas.spool)


def remove_run_directories(areas: Areas, run_id: PipelineRunId) -> Removal:
    """Removes everything that lies on disk of a run; whether it may be removed is for the caller to know.

    What cannot be removed is left, and the rest is removed all the same. Repeated after a kill, it finishes.

    Args:
        areas: the roots.
        run_id: the run.

    Raises:
        Refused: something of the run's name is no directory; nothing was removed.
        ServiceUnavailable: an area is not there.
    """
    places = places_of_run(areas, run_id)
    work = _Removal(places)
    for root in _roots(areas, run_id):
        with _area(root) as descriptor:
            work.remove(root, descriptor, run_id)
    # A step that was taken for dead may have moved a directory into an area that was looked into before.
    told = {path for left in work.left for path in (left.path, *left.path.parents)}
    came = [path for path, _ in _entries_of_run(areas, run_id) if path not in told]
    left = (*work.left, *(Left(path, "it came while the others were removed") for path in came))
    return Removal(work.bytes_freed, places, left)


def space_of_runs(areas: Areas, run_ids: Iterable[PipelineRunId]) -> int:
    """Returns how much space the removal of runs would give, in bytes; what cannot be read counts nothing.

    Args:
        areas: the roots.
        run_ids: the runs that are removed together: a file whose hard links are all among them counts once.
    """
    size: dict[tuple[int, int], int] = {}
    links: dict[tuple[int, int], int] = {}
    for run_id in run_ids:
        for place in places_of_run(areas, run_id):
            for entry in _entries(place, skip_unreadable=True):
                with suppress(OSError):
                    facts = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(facts.st_mode):
                        inode = (facts.st_dev, facts.st_ino)
                        size[inode] = facts.st_size
                        links[inode] = links.get(inode, facts.st_nlink) - 1
    return sum(size[inode] for inode, further in links.items() if further <= 0)


def symlinks_leading_out(directory: RunDirectory, areas: Areas) -> tuple[Path, ...]:
    """Returns the symbolic links in a run's directory that lead to something that is not this run's.

    A link to where the directory lay before it was moved is the run's own, and an editor's lock is nobody's.

    Args:
        directory: the run's directory.
        areas: the roots.

    Raises:
        LocalFilesError: a directory cannot be read.
    """
    moved_from = (root / directory.root.name for root in _roots(areas, directory.pipeline_run_id))
    own = {os.path.realpath(place) for place in (directory.root, *moved_from)}

    def leads_out(link: str) -> bool:
        target = os.path.realpath(link)
        return not any(target == place or target.startswith(f"{place}{os.sep}") for place in own)

    with local_files(directory.root):
        return tuple(
            Path(entry.path)
            for entry in _entries(directory.root)
            if entry.is_symlink() and not is_left_over(entry.name) and leads_out(entry.path)
        )


def is_directory_of(directory: RunDirectory, run: PipelineRun) -> bool:
    """Whether a directory is the run's and not only called so: it holds the PPR that the ledger says CASA was given.

    Args:
        directory: a directory of the run's name.
        run: the run, from the ledger.

    Raises:
        LocalFilesError: the PPR is there and cannot be read.
    """
    if run.ppr_sha256 is None or directory.root.name != run.pipeline_run_id:
        return False
    with local_files(directory.processing_request):
        try:
            return _sha256(directory) == run.ppr_sha256
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError as error:
            if error.errno == errno.ELOOP:  # a symbolic link
                return False
            raise


def _sha256(directory: RunDirectory) -> str | None:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    working = os.open(directory.working, flags | os.O_DIRECTORY)
    try:
        descriptor = os.open(directory.processing_request.name, flags | os.O_NONBLOCK, dir_fd=working)
    finally:
        os.close(working)
    with os.fdopen(descriptor, "rb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        digest = hashlib.sha256()
        while block := stream.read(_BLOCK):
            digest.update(block)
        return digest.hexdigest()


def _roots(areas: Areas, run_id: PipelineRunId) -> tuple[Path, ...]:
    return tuple(dict.fromkeys((*areas.of_run(pipeline_run_id(run_id)), areas.spool)))


def _names(run_id: PipelineRunId) -> tuple[str, ...]:
    name = pipeline_run_id(run_id)
    return (name, _hidden(name), *(f".{name}.{ending}" for ending in _LEFT_BY_A_DELIVERY))


def _hidden(name: str) -> str:
    return f".{name}.removed"


def _entries_of_run(areas: Areas, run_id: PipelineRunId) -> Iterator[tuple[Path, int]]:
    """Yields whatever has one of a run's names, with its mode."""
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
            f"The area {root} cannot be looked into ({error.strerror}), so it is not known what lies in it of the run: "
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


def _entries(root: Path, *, skip_unreadable: bool = False) -> Iterator[os.DirEntry[str]]:
    """Yields everything below a directory, however deep; symbolic links as such."""
    folders = [str(root)]
    while folders:
        try:
            with os.scandir(folders.pop()) as found:
                entries = sorted(found, key=lambda entry: entry.name)
        except OSError:
            if not skip_unreadable:
                raise
            continue
        for entry in entries:
            yield entry
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)


@dataclass
class _Removal:
    """A removal that is under way; every name is looked up in a directory that is open, so that none is swapped."""

    places: tuple[Path, ...]
    bytes_freed: int = 0
    left: list[Left] = field(default_factory=list)

    def remove(self, root: Path, area: int, run_id: PipelineRunId) -> None:
        """Removes what lies of the run in one area."""
        device = os.fstat(area).st_dev
        hidden = _hidden(run_id)
        # What a killed call has left; else the hidden name is not free.
        if self._directory(area, hidden, root / hidden, device):
            with self._told(root / run_id):
                os.rename(run_id, hidden, src_dir_fd=area, dst_dir_fd=area)
            self._directory(area, hidden, root / hidden, device)
        elif root / run_id in self.places:
            self.left.append(Left(root / run_id, f"{hidden} must be removed first"))
        for ending in _LEFT_BY_A_DELIVERY:
            name = f".{run_id}.{ending}"
            self._directory(area, name, root / name, device)

    @contextmanager
    def _told(self, path: Path) -> Iterator[None]:
        """Lets a deed fail: that something is gone is what is wanted, anything else is noted."""
        try:
            yield
        except FileNotFoundError:
            pass
        except OSError as error:
            self.left.append(Left(path, f"{error.strerror or error}"))

    def _directory(self, parent: int, name: str, path: Path, device: int, depth: int = 0) -> bool:
        """Removes a directory; returns whether nothing is left of it."""
        before = len(self.left)
        if depth > _DEEPEST:
            self.left.append(Left(path, f"it is nested deeper than {_DEEPEST} directories; remove it by hand"))
            return False
        with self._told(path):
            descriptor = _open_directory(parent, name)
            try:
                if os.fstat(descriptor).st_dev != device:
                    self.left.append(Left(path, "another file system is mounted there; unmount it"))
                    return False
                self._content(descriptor, path, device, depth)
            finally:
                os.close(descriptor)
            if len(self.left) == before:
                os.rmdir(name, dir_fd=parent)
        return len(self.left) == before

    def _content(self, directory: int, path: Path, device: int, depth: int) -> None:
        with os.scandir(directory) as found:
            entries = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in found)
        for name, is_directory in entries:
            if is_directory:
                self._directory(directory, name, path / name, device, depth + 1)
            else:
                with self._told(path / name):
                    self._file(directory, name)

    def _file(self, directory: int, name: str) -> None:
        facts = os.stat(name, dir_fd=directory, follow_symlinks=False)
        os.unlink(name, dir_fd=directory)
        if stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1 and not is_marker(name):
            self.bytes_freed += facts.st_size


def _open_directory(parent: int, name: str) -> int:
    """Opens a directory, not through a link; one that its owner may not enter or empty is first made so."""
    handle = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
    try:
        mode = os.fstat(handle).st_mode
        if mode & _WHOLE_DIRECTORY != _WHOLE_DIRECTORY:
            # Not by its name, which might be another's by now. If it is not ours, what comes next says so.
            with suppress(OSError):
                os.chmod(f"/proc/self/fd/{handle}", stat.S_IMODE(mode) | _WHOLE_DIRECTORY)  # noqa: PTH101
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=handle)
    finally:
        os.close(handle)
