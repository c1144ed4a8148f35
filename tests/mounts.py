"""What the kernel does between two mounts, without the right to mount anything."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_rename = Path.rename


def rename_as_between_mounts(source: Path, target: Path) -> Path:
    """Rename within a directory only; takes the place of ``Path.rename``.

    So does the kernel between bind mounts of one file system, and between two project quotas.

    Args:
        source: what is renamed.
        target: its new name.

    Raises:
        OSError: EXDEV, the two lie in different directories.
    """
    if source.parent != target.parent:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(source), None, str(target))
    return _rename(source, target)
