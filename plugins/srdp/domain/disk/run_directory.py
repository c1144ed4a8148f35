"""Making a run's directory."""

from __future__ import annotations

from srdp.domain.disk.group_rights import share_run_directory
from srdp.domain.files.storage import local_files
from srdp.domain.files.trusted_root import made_folder
from srdp.domain.runs.pipeline_run import RunDirectory
from srdp.domain.runs.run_marker import RunMarker, make_marked


def make_run_directory(directory: RunDirectory, marker: RunMarker, group: str | None = None) -> None:
    """Make a run's directory with the three places that CASA expects; those that are there are left as they are.

    Args:
        directory: the directory; the area that it is to lie in must be there.
        marker: what it is to be known by as the run's, which comes first.
        group: who may write into its ``working/`` and ``products/``, see :mod:`srdp.domain.disk.group_rights`.

    Raises:
        Refused: something of this name is there and is not the run's.
        SettingsError: there is no such group, or this account is no member of it.
        LocalFilesError: it cannot be made.
    """
    make_marked(directory.root, marker)
    for place in (directory.rawdata, directory.working, directory.products):
        with local_files(place), made_folder(directory.root, place):
            pass
    if group is not None:
        share_run_directory(directory, group)
