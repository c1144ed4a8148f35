"""Files that appear whole or not at all: written under a hidden name, synced, renamed."""

from __future__ import annotations

import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from srdp.domain.files.shared_files import FileKind, read_shared
from srdp.domain.files.storage import local_files
from srdp.domain.files.trusted_root import UnsafeFile, open_folder

_SUFFIX = ".unfinished"


def is_unfinished(name: str) -> bool:
    """Whether a file's name is one under which :func:`whole_file` writes; a killed process leaves such a file behind.

    Args:
        name: the name, without its folder.
    """
    return name.startswith(".") and name.endswith(_SUFFIX)


@contextmanager
def whole_file(root: Path, target: Path, mode: int = 0o644) -> Iterator[int]:
    """Give a descriptor to write to; what was written becomes the target when the block ends well.

    What processes that were killed left on the way to the same target is removed first. One that is still alive, an
    old try of the task, then finds its hidden file gone and fails: it cannot rename what the new one is writing.

    Args:
        root: the folder that is trusted: no symbolic link is followed from there on; see
            :mod:`srdp.domain.files.shared_files`.
        target: the file, below the root; a former one is replaced, a symbolic link too. Its folder must exist.
        mode: the file's permissions, less what the process's umask takes away. Where its group may write into the
            folder, it may write the file too.

    Raises:
        UnsafeFile: the way to the file leads through a symbolic link.
    """
    abandoned = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}{re.escape(_SUFFIX)}")
    with open_folder(root, target.parent) as place:
        folder = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=place)
    try:
        for name in os.listdir(folder):  # noqa: PTH208  by its descriptor
            if abandoned.fullmatch(name):
                _unlink(name, folder)
        hidden = f".{target.name}.{secrets.token_hex(4)}{_SUFFIX}"
        descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode, dir_fd=folder)
        try:
            try:
                # What is where a group writes is the group's to edit: data analysts change PPRs.
                if os.fstat(folder).st_mode & stat.S_IWGRP and mode & stat.S_IWUSR:
                    os.fchmod(descriptor, mode | stat.S_IWGRP)
                yield descriptor
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.replace(hidden, target.name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            _unlink(hidden, folder)
            raise
        os.fsync(folder)
    finally:
        os.close(folder)


def write_whole_file(root: Path, target: Path, content: bytes) -> bool:
    """Write a file unless it holds these bytes already.

    Args:
        root: the folder that is trusted; see :func:`whole_file`.
        target: the file, below the root.
        content: its bytes.

    Returns:
        Whether it had to be written.

    Raises:
        UnsafeFile: the way to the file leads through a symbolic link.
        LocalFilesError: the operating system refused.
    """
    with local_files(target):
        with suppress(FileNotFoundError, UnsafeFile):
            if read_shared(root, target, FileKind("a written file", len(content))) == content:
                return False
        with whole_file(root, target) as descriptor, os.fdopen(descriptor, "wb", closefd=False) as stream:
            stream.write(content)
        return True


def _unlink(name: str, folder: int) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)
