"""Whether the areas can be used, and how runs are moved between them."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from typing import TYPE_CHECKING

from srdp.domain.common.errors import SettingsError
from srdp.domain.disk.delivery import can_rename
from srdp.domain.files.spool_files import NotTheServicesOwn, spool_folder
from srdp.domain.runs.areas import check_area_is_there, check_areas
from srdp.families import families

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from srdp.families import Family
    from srdp.settings import Settings

_GIGABYTE = 10**9
_SPOOL = "SRDP_SPOOL_AREA"
# Enough that a full disk or a quota shows itself, which the free space of the file system does not show.
_WRITTEN_BYTES = 1 << 20


def check_places(settings: Settings) -> str:
    """Find out whether the areas are folders of their own and belong together, and what analysts' folders hold.

    Raises:
        SettingsError: two areas are one folder, or one is in another; or analysts are given a wrong folder.
        StorageUnavailable: an area is not there.
    """
    check_areas(settings.named_areas())
    settings.folders_of_submitted_files()
    return "each is a folder of its own, and all were prepared together."


def check_area(settings: Settings, variable: str) -> str:
    """Write and remove a file in an area.

    Args:
        settings: the settings.
        variable: the variable that names it.

    Raises:
        SettingsError: it cannot be written, or has less space than a fetch leaves free; or it is the spool area and not
            this account's own.
        StorageUnavailable: it is not there.
    """
    area = settings.named_areas()[variable]
    check_area_is_there(area, variable)
    try:
        with tempfile.NamedTemporaryFile(prefix=".check-", dir=area) as file:
            file.write(bytes(_WRITTEN_BYTES))
            file.flush()
            os.fsync(file.fileno())
        free = shutil.disk_usage(area).free / _GIGABYTE
    except OSError as error:
        raise SettingsError(
            f"{area} cannot be written ({error.strerror}): give this account permission and space, or set "
            f"{variable} to another."
        ) from None
    if variable == _SPOOL:
        _check_spool(area)
    if "PROCESSING" in variable and free < settings.fetch_spare_gb:
        raise SettingsError(
            f"{area} has {free:.1f} GB free, less than the {settings.fetch_spare_gb:g} GB that a fetch leaves free "
            f"(SRDP_FETCH_SPARE_GB): free space, or set {variable} to another."
        )
    return f"{area} can be written; {free:.0f} GB are free."


def _check_spool(area: Path) -> None:
    try:
        with spool_folder(area):
            return
    except NotTheServicesOwn as error:
        raise SettingsError(str(error).removesuffix(": the step continues by itself.") + ".") from None


def check_moves(settings: Settings) -> str:
    """Rename an empty directory from each area to each other one to which runs are moved, and back.

    Equal device numbers would not prove it: bind mounts and quotas refuse renames on one device too. Where a rename is
    refused the move is a verified copy, which takes time and room: that is reported, and is not an error.

    Raises:
        SettingsError: an area is missing or cannot be written.
    """
    pairs = dict.fromkeys(pair for family in families() for pair in itertools.permutations(_moved(settings, family), 2))
    copied = []
    for one, other in pairs:
        try:
            if not can_rename(one, other):
                copied.append(f"from {one} to {other}")
        except OSError as error:
            raise SettingsError(
                f"nothing can be moved from {one} to {other} ({error.strerror}): see the messages about these areas."
            ) from None
    if not copied:
        return "every move between areas is a rename."
    return f"a move is a copy, not a rename, which takes time and space, {'; '.join(copied)}."


def _moved(settings: Settings, family: Family) -> Iterator[Path]:
    """Yield the areas between which what belongs to a family's runs is moved."""
    yield from settings.areas.of_prefix(family.name)
    if settings.measurement_set_cache.is_dir():
        yield settings.measurement_set_cache
