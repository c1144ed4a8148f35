"""Files that appear whole or not at all: written under a hidden name, synced, renamed."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from srdp.domain.storage import local_files

_SUFFIX = ".unfinished"


def is_unfinished(name: str) -> bool:
    """Whether a file's name is one under which :func:`whole_file` writes; a killed process leaves such a file behind.

    Args:
        name: the name, without its folder.
    """
    return name.startswith(".") and name.endswith(_SUFFIX)


@contextmanager
def whole_file(target: Path) -> Iterator[int]:
    """Gives a descriptor to write to; what was written becomes the target when the block ends well.

    What processes that were killed left on the way to the same target is removed first. One that is still alive, an
    old try of the task, then finds its hidden file gone and fails: it cannot rename what the new one is writing.

    Args:
        target: the file; a former one is replaced. Its folder must exist.
    """
    abandoned = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}{re.escape(_SUFFIX)}")
    for path in target.parent.iterdir():
        if abandoned.fullmatch(path.name):
            path.unlink(missing_ok=True)
    hidden = target.with_name(f".{target.name}.{secrets.token_hex(4)}{_SUFFIX}")
    descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        try:
            yield descriptor
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        hidden.replace(target)
    except BaseException:
        hidden.unlink(missing_ok=True)
        raise
    folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_whole_file(target: Path, content: bytes) -> bool:
    """Writes a file unless it holds these bytes already.

    Args:
        target: the file.
        content: its bytes.

    Returns:
        Whether it had to be written.

    Raises:
        LocalFilesError: the operating system refused.
    """
    with local_files(target):
        if not target.is_symlink() and target.is_file() and target.read_bytes() == content:
            return False
        with whole_file(target) as descriptor, os.fdopen(descriptor, "wb", closefd=False) as stream:
            stream.write(content)
        return True
