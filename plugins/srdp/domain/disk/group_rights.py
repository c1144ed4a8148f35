"""Who may write where in a run's directory, where service, pipeline and data analysts have accounts of their own.

They have one group in common. Each folder of a run belongs to it and hands it on (set-group-ID); its members may write
into ``working/`` and ``products/``, and only read the rest: the run's directory itself, so that none of its places is
replaced, and ``rawdata/``.
"""

from __future__ import annotations

import grp
import os
import stat
from pathlib import Path
from typing import Final

from srdp.domain.common.errors import SettingsError
from srdp.domain.files.storage import local_files
from srdp.domain.runs.pipeline_run import RunDirectory

_READ: Final = 0o2755
_WRITE: Final = 0o2775


def share_run_directory(directory: RunDirectory, group: str) -> None:
    """Give a run's directory and its three places to a group; repeated, it changes nothing.

    Args:
        directory: the directory, whose places are there.
        group: the group's name.

    Raises:
        SettingsError: there is no such group, or this account is no member of it.
        LocalFilesError: it is not this account's, or the file system refused.
    """
    for place in (directory.root, directory.rawdata):
        share_folder(place, group, writes=False)
    for place in (directory.working, directory.products):
        share_folder(place, group, writes=True)


def share_folder(place: Path, group: str, *, writes: bool) -> None:
    """Give a folder to a group, and everything that will be made in it.

    Args:
        place: the folder.
        group: the group's name.
        writes: whether its members may write into it.

    Raises:
        SettingsError: see :func:`share_run_directory`.
        LocalFilesError: likewise.
    """
    try:
        number = grp.getgrnam(group).gr_gid
    except KeyError:
        raise SettingsError(f"There is no group {group} on this host: make it, or set SRDP_ANALYSTS_GROUP.") from None
    mode = _WRITE if writes else _READ
    with local_files(place):
        descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            if os.fstat(descriptor).st_gid != number:
                os.fchown(descriptor, -1, number)
            os.fchmod(descriptor, mode)
            # Of a group that is not the owner's, the system takes the bit away and says nothing.
            handed_on = os.fstat(descriptor).st_mode & stat.S_ISGID
        except PermissionError:
            handed_on = 0
        finally:
            os.close(descriptor)
    if not handed_on:
        raise SettingsError(
            f"{place} cannot be given to the group {group}: make the account of Airflow's workers a member of "
            "it (SRDP_ANALYSTS_GROUP), and restart them."
        )
