"""Removing a directory with everything in it: every name is looked up in a directory that is open.

So none is swapped for another on the way; no symbolic link is followed, and no mount point is crossed: not that of
another file system, and not that of a directory of the same one (a bind mount), which has the same device number.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from srdp.domain.common.errors import quoted
from srdp.domain.files.storage import HEALING
from srdp.domain.runs.run_marker import MARKER, is_marker

# Of what CASA and the pipeline make, nothing is nested a tenth as deep; each level holds a descriptor.
_DEEPEST: Final = 200
_WHOLE_DIRECTORY: Final = stat.S_IRWXU
_LARGEST_MARKER: Final = 4096


@dataclass(frozen=True)
class Left:
    """Something that could not be removed.

    Attributes:
        path: where it is.
        why: why, as the end of a sentence.
        heals: whether it may go the next time, with nothing done here: a file server is away, or somebody has it open.
    """

    path: Path
    why: str
    heals: bool = field(default=False, compare=False)

    def __str__(self) -> str:
        """Says it for a person."""
        return f"{quoted(self.path, 300)}: {self.why}"


class TreeRemoval:
    """The removal of one or more directories. What cannot be removed is left, and the rest is removed all the same.

    A run's marker, in a directory that is removed, is removed last: a removal that is killed can be gone on with. The
    mode of no file is changed: raw data are hard links that other runs have too.

    Args:
        may_go: asked of each file and link, by its path and what is known of it, why it must stay; ``None``: it may go.

    Attributes:
        bytes_freed: how much space it gave. A file that has further hard links gave none, nor does a marker count.
        left: everything that could not be removed.
    """

    def __init__(self, may_go: Callable[[Path, os.stat_result], str | None] = lambda _path, _facts: None) -> None:
        self.bytes_freed = 0
        self.left: list[Left] = []
        self._may_go = may_go

    def remove(self, parent: int, name: str, path: Path, proof: Callable[[int], str | None]) -> bool:
        """Remove a directory.

        Args:
            parent: the folder around it, open.
            name: its name in that.
            path: where that is, for the message.
            proof: asked of the directory, open, why it must not be removed; ``None``: it may be.

        Returns:
            Whether nothing is left of it.
        """
        before = len(self.left)
        with self.recording_failures(path):
            mount = mount_of(parent)
            descriptor = open_directory(parent, name)
            try:
                why = _MOUNTED if mount_of(descriptor) != mount else proof(descriptor)
                if why is not None:
                    self.left.append(Left(path, why))
                    return False
                self._content(descriptor, path, mount, 0, spared=MARKER)
                if len(self.left) == before:
                    _remove_emptied(descriptor, parent, name)
            finally:
                os.close(descriptor)
        return len(self.left) == before

    @contextmanager
    def recording_failures(self, path: Path) -> Iterator[None]:
        """Record the failures of a removal; a missing file is none."""
        try:
            yield
        except FileNotFoundError:
            pass
        except OSError as error:
            # NFS gives a file that somebody has open another name in its folder, which is not empty by that.
            heals = error.errno in HEALING or error.errno == errno.ENOTEMPTY
            self.left.append(Left(path, f"{error.strerror or error}", heals))

    def _directory(self, parent: int, name: str, path: Path, mount: int, depth: int) -> None:
        before = len(self.left)
        if depth > _DEEPEST:
            self.left.append(Left(path, f"it is nested deeper than {_DEEPEST} directories; remove it by hand"))
            return
        with self.recording_failures(path):
            descriptor = open_directory(parent, name)
            try:
                if mount_of(descriptor) != mount:
                    self.left.append(Left(path, _MOUNTED))
                    return
                self._content(descriptor, path, mount, depth)
            finally:
                os.close(descriptor)
            if len(self.left) == before:
                os.rmdir(name, dir_fd=parent)

    def _content(self, directory: int, path: Path, mount: int, depth: int, *, spared: str | None = None) -> None:
        with os.scandir(directory) as found:
            entries = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in found)
        for name, is_directory in entries:
            if is_directory:
                self._directory(directory, name, path / name, mount, depth + 1)
            elif name != spared:
                with self.recording_failures(path / name):
                    self._file(directory, name, path / name)

    def _file(self, directory: int, name: str, path: Path) -> None:
        facts = os.stat(name, dir_fd=directory, follow_symlinks=False)
        why = self._may_go(path, facts)
        if why is not None:
            self.left.append(Left(path, why))
            return
        os.unlink(name, dir_fd=directory)
        if stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1 and not is_marker(name):
            self.bytes_freed += facts.st_size


_MOUNTED: Final = "another file system or directory is mounted there; unmount it"


def mount_of(descriptor: int) -> int:
    """Return the number of the mount that an open file or directory was reached through.

    A device number would not do: a directory that is mounted a second time, elsewhere, keeps its own.

    Args:
        descriptor: the file or directory.

    Raises:
        OSError: the kernel does not say it.
    """
    with open(f"/proc/self/fdinfo/{descriptor}", "rb") as stream:  # noqa: PTH123  the kernel's own file
        for line in stream:
            name, _, value = line.partition(b":")
            if name == b"mnt_id":
                return int(value)
    raise OSError(errno.ENOSYS, "the kernel does not say through which mount it was reached")


def open_directory(parent: int, name: str) -> int:
    """Open a directory for its removal, not through a link; one that its owner may not enter is first made so.

    Args:
        parent: the folder around it, open.
        name: its name in that.

    Returns:
        Its descriptor, open for reading.
    """
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


def _remove_emptied(directory: int, parent: int, name: str) -> None:
    """Remove a directory that has nothing but a marker; if something else has appeared, the marker stays."""
    try:
        marker = os.open(MARKER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        os.rmdir(name, dir_fd=parent)
        return
    with os.fdopen(marker, "rb") as stream:
        content = stream.read(_LARGEST_MARKER)
    with suppress(FileNotFoundError):
        os.unlink(MARKER, dir_fd=directory)
    try:
        os.rmdir(name, dir_fd=parent)
    except OSError:
        again = os.open(MARKER, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=directory)
        with os.fdopen(again, "wb") as stream:
            stream.write(content)
        raise
