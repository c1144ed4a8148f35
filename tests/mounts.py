"""What the kernel does between two mounts: as it would, without the right to mount anything; and with a real one."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from srdp.domain.disk.tree_removal import mount_of

_rename = Path.rename


def rename_as_between_mounts(source: Path, target: Path) -> Path:
    """Rename within a directory only; takes the place of ``Path.rename``.

    So does the kernel between bind mounts of one file system, and between two project quotas.

    Args:
        source: what is renamed.
        target: its new name.

    Raises:
        OSError: EXDEV, the two are in different directories.
    """
    if source.parent != target.parent:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(source), None, str(target))
    return _rename(source, target)


@contextmanager
def bind_mounted(source: Path, target: Path) -> Iterator[None]:
    """Show a file or a directory a second time at another place, as ``mount --bind`` does; its device number stays.

    A test in which this is not allowed is skipped.

    Args:
        source: what is shown.
        target: where: a file or a directory that is there.
    """
    if shutil.which("mount") is None:
        pytest.skip("there is no mount here")
    mounted = subprocess.run(["mount", "--bind", source, target], capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"nothing can be mounted here: {mounted.stderr.strip()}")
    descriptor = os.open(target, os.O_RDONLY)
    number = mount_of(descriptor)
    os.close(descriptor)
    try:
        yield
    finally:  # wherever it is by now: the directory that it is mounted in may have been renamed
        mounts = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        (place,) = [mount[4] for mount in mounts if int(mount[0]) == number]
        subprocess.run(["umount", place], check=True)
