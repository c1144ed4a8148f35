"""The areas are folders that an operator has prepared, each for one use: a file in each of them says so.

A file system that is not mounted leaves an empty folder in its place, and a wrong path names some other folder. Both
look like an area in which nothing is. So an area is believed only if it holds the marker that
``python -m srdp.check --prepare-areas`` wrote; every step looks for it, and no step makes an area.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from srdp.domain.common.errors import InvalidInput, SettingsError, quoted
from srdp.domain.files.shared_files import FileKind, read_shared
from srdp.domain.files.storage import StorageUnavailable, storage_error
from srdp.domain.files.trusted_root import UnsafeFile
from srdp.domain.files.whole_file import is_unfinished, write_whole_file
from srdp.domain.runs.identifiers import pipeline_run_id

#: The file by which an area is known.
MARKER: Final = ".srdp-area.json"
#: The command that writes it.
PREPARE: Final = "python -m srdp.check --prepare-areas"
PROCESSING: Final = "SRDP_PROCESSING_AREA"
SPOOL: Final = "SRDP_SPOOL_AREA"
CACHE: Final = "SRDP_CACHE_AREA"
#: The name of the cache of measurement sets where no setting names one: inside the processing area.
CACHE_IN_PROCESSING: Final = "calibrated_measurement_sets"

_MARKER_FILE: Final = FileKind("the marker of an area", 4096)
_INSTALLATION: Final = re.compile(r"[0-9a-f]{16}")
_GO_ON: Final = "the step continues by itself"
# What a file system itself puts into its root.
_OF_FILE_SYSTEMS: Final = frozenset({"lost+found", ".snapshot", ".snapshots", ".zfs"})
# Folders in which no file is an analyst's: accounts, keys, processes, devices.
_OF_THE_SYSTEM: Final = frozenset({"boot", "dev", "etc", "proc", "root", "run", "sys"})
# Nor in these; in the areas that runs are in, analysts have files.
_NO_ANALYSTS_INSIDE: Final = frozenset({SPOOL, "SRDP_HOME", "AIRFLOW_HOME"})
_SHOWN: Final = 5


@dataclass(frozen=True)
class Marker:
    """What an area says of itself.

    Attributes:
        variable: the setting that the folder was prepared for, for example ``SRDP_QA_AREA``.
        installation: what all areas of one installation have in common, drawn by lot.
    """

    variable: str
    installation: str


def check_area_is_there(area: Path, variable: str | None = None) -> Marker:
    """Return the marker of an area: of one that is not there nothing is known that is in it.

    Args:
        area: the folder that a setting names.
        variable: the setting; None if any area will do.

    Raises:
        StorageUnavailable: the folder is not there, holds no marker, or was prepared for another setting.
    """
    marker = _read_marker(area)
    named = f"{area} ({variable})" if variable else str(area)
    if marker is None:
        raise StorageUnavailable(f"{named} {_why_no_area(area)}: {_GO_ON}.")
    if variable is not None and marker.variable != variable:
        raise StorageUnavailable(
            f"{area} was prepared as {marker.variable}, but {variable} names it: see whether the settings and the "
            f"mounted file systems are those of this installation: {_GO_ON}."
        )
    return marker


def check_areas(named: Mapping[str, Path]) -> None:
    """Let the areas of an installation pass if each is there, all were prepared together, and they are apart.

    Args:
        named: the areas by the settings that name them.

    Raises:
        StorageUnavailable: one is not there, or is that of another installation.
        SettingsError: two are one folder, or one is in another.
    """
    markers = {variable: check_area_is_there(area, variable) for variable, area in named.items()}
    if len({marker.installation for marker in markers.values()}) > 1:
        raise StorageUnavailable(f"{_of_two_installations(named, markers)}: {_GO_ON}.")
    check_apart(named)


def check_apart(named: Mapping[str, Path]) -> None:
    """Let areas pass that are folders of their own, whatever links and mounts lead to them.

    The cache of measurement sets alone may be in the processing area, beside the runs.

    Args:
        named: the areas by the settings that name them; what is not there is passed over.

    Raises:
        SettingsError: two are one folder, or one is in another.
    """
    lines = {variable: line for variable, area in named.items() if (line := _line_of(area))}
    for outer, inner in itertools.permutations(lines, 2):
        if lines[outer][0] not in lines[inner]:
            continue
        if lines[outer][0] == lines[inner][0]:
            raise SettingsError(
                f"{outer} and {inner} name one folder, {named[inner]}: give each a folder of its own"
                f"{_alma_shares(outer, inner)}."
            )
        if not _is_cache_beside_runs(outer, inner, lines, named):
            raise SettingsError(
                f"{named[inner]} ({inner}) is in {named[outer]} ({outer}): give each a folder of its own, beside "
                "the other."
            )


def faults_of_paths(named: Mapping[str, Path], home: Path) -> Iterator[str]:
    """Yield what is wrong with areas by their paths alone, a sentence each; no file system is looked at.

    Args:
        named: the areas by the settings that name them.
        home: the project's own folder.
    """
    for variable, area in named.items():
        if _holds(area, home):
            yield f"{variable} is {area}, which holds the project's own folder, {home}: give it a folder of its own"
    for outer, inner in itertools.permutations(named, 2):
        one, other = Path(os.path.normpath(named[outer])), Path(os.path.normpath(named[inner]))
        if one == other and outer < inner:
            shares = _alma_shares(outer, inner)
            yield f"{outer} and {inner} name one folder, {one}: give each a folder of its own{shares}"
        elif one in other.parents and not (outer == PROCESSING and _may_be_cache(inner, other) and other.parent == one):
            yield f"{inner} ({other}) is in {outer} ({one}): give each a folder of its own, beside the other"


def fault_of_analysts_folder(folder: Path, own: Mapping[str, Path]) -> str | None:
    """Return why files must not be taken from a folder; None if they may be.

    Args:
        folder: a folder from which a data analyst may give files by path.
        own: what is the service's own, by what it is called: its areas, the project's folder.
    """
    path = Path(os.path.normpath(folder))
    if path.parent == path:
        return f"SRDP_ANALYST_FILES names {path}, which contains every file of the host: name the analysts' own folders"
    if len(path.parts) > 1 and path.parts[1] in _OF_THE_SYSTEM:
        return f"SRDP_ANALYST_FILES names {path}, which is the system's: name the analysts' own folders"
    held = next((name for name, place in own.items() if _holds(path, place)), None)
    if held is not None:
        return f"SRDP_ANALYST_FILES names {path}, which holds {own[held]} ({held}): name the analysts' own folders"
    around = next((name for name, place in own.items() if name in _NO_ANALYSTS_INSIDE and _holds(place, path)), None)
    if around is not None:
        return f"SRDP_ANALYST_FILES names {path}, which is in {own[around]} ({around}): name the analysts' own folders"
    return None


def prepare_areas(named: Mapping[str, Path], *, force: bool = False) -> Iterator[str]:
    """Write the marker into each area that has none, and yield a sentence for each.

    A folder is not made: making it is a person's task, who sees on which file system it is.

    Args:
        named: the areas by the settings that name them.
        force: whether a folder is taken that holds something else than runs.

    Raises:
        SettingsError: a folder is missing, holds something else, or is an area of another use or installation; nothing
            is written then.
        LocalFilesError: a marker cannot be written.
    """
    for variable, area in named.items():
        if not area.is_dir():
            raise SettingsError(
                f"{area} is no directory: mount its file system and make the folder, or set {variable} to another."
            )
    check_apart(named)
    markers = {variable: marker for variable, area in named.items() if (marker := _read_marker(area)) is not None}
    for variable, marker in markers.items():
        if marker.variable != variable:
            raise SettingsError(
                f"{named[variable]} was prepared as {marker.variable}, but {variable} names it: set {variable} to "
                f"another folder, or remove {named[variable] / MARKER} if the folder is to change its use."
            )
    if len({marker.installation for marker in markers.values()}) > 1:
        raise SettingsError(f"{_of_two_installations(named, markers)}.")
    for variable in named.keys() - markers.keys():
        others = what_is_no_run(named[variable])
        if others and not force:
            raise SettingsError(
                f"{named[variable]} holds something that is not a run ({_listed(others)}): set {variable} to a folder "
                f"for runs alone, or run `{PREPARE} --force` if it is the right one."
            )
    installation = next((marker.installation for marker in markers.values()), secrets.token_hex(8))
    for variable, area in named.items():
        content = json.dumps({"area": variable, "installation": installation}) + "\n"
        real = area.resolve()
        action = "is marked as" if write_whole_file(real, real / MARKER, content.encode()) else "was marked before as"
        yield f"{area} {action} {variable}; its file system is mounted at {_mount_point(area)}."


def what_is_no_run(area: Path) -> list[str]:
    """Return the names in a folder that are no runs', nor of what is made beside runs, sorted."""
    return sorted(path.name for path in area.iterdir() if not _may_lie_beside_runs(path.name))


def _may_lie_beside_runs(name: str) -> bool:
    # A hidden name is that of something on its way: .<pipeline run ID>.removed, for example.
    bare = name[1:].rpartition(".")[0] if name.startswith(".") else name
    return name in _OF_FILE_SYSTEMS or name in {MARKER, CACHE_IN_PROCESSING} or is_unfinished(name) or _is_run_id(bare)


def _is_run_id(name: str) -> bool:
    try:
        pipeline_run_id(name)
    except InvalidInput:
        return False
    return True


def _read_marker(area: Path) -> Marker | None:
    """Return the marker of a folder; None if there is none, or something else in its place.

    Raises:
        StorageUnavailable: the file system cannot say.
    """
    try:
        real = area.resolve() if area.is_symlink() else area
        return _parsed(read_shared(real, real / MARKER, _MARKER_FILE))
    except (FileNotFoundError, UnsafeFile):
        return None


def _parsed(content: bytes) -> Marker | None:
    try:
        content_read = json.loads(content)
        marker = Marker(content_read["area"], content_read["installation"])
    except (ValueError, KeyError, TypeError):
        return None
    is_ours = isinstance(marker.variable, str) and isinstance(marker.installation, str)
    return marker if is_ours and _INSTALLATION.fullmatch(marker.installation) else None


def _why_no_area(area: Path) -> str:
    """Return why a folder without a marker is taken for no area, and what to do."""
    try:
        with os.scandir(area) as entries:
            is_empty = next(entries, None) is None
    except (FileNotFoundError, NotADirectoryError):
        return "is not there: see whether its file system is mounted and the setting names the right place"
    except OSError as error:
        raise storage_error(error, f"{area} could not be looked into") from None
    if is_empty:
        return (
            "is empty, perhaps because its file system is not mounted: mount it; if the area is new, prepare it with "
            f"`{PREPARE}`"
        )
    return (
        f"does not hold {MARKER}, which marks an area: see whether its file system is mounted and the setting "
        f"names the right place; if it is an area that was made before there were markers, run `{PREPARE}`"
    )


def _of_two_installations(named: Mapping[str, Path], markers: Mapping[str, Marker]) -> str:
    first, *others = markers
    other = next(each for each in others if markers[each].installation != markers[first].installation)
    return (
        f"{named[first]} ({first}) and {named[other]} ({other}) were prepared for two installations: see whether one "
        f"of them is another installation's; if not, remove {named[other] / MARKER} and run `{PREPARE}`"
    )


def _line_of(area: Path) -> Sequence[tuple[int, int]]:
    """Return what identifies a folder and each folder around it; nothing if it is not there."""
    try:
        real = area.resolve(strict=True)
        return [(facts.st_dev, facts.st_ino) for facts in map(os.stat, (real, *real.parents))]
    except OSError:
        return []


def _is_cache_beside_runs(
    outer: str, inner: str, lines: Mapping[str, Sequence[tuple[int, int]]], named: Mapping[str, Path]
) -> bool:
    return outer == PROCESSING and _may_be_cache(inner, named[inner]) and lines[inner][1] == lines[outer][0]


def _may_be_cache(variable: str, folder: Path) -> bool:
    return variable == CACHE and not folder.name.startswith(".") and not _is_run_id(folder.name)


def _holds(outer: Path, inner: Path) -> bool:
    one, other = Path(os.path.normpath(outer)), Path(os.path.normpath(inner))
    return one == other or one in other.parents


def _alma_shares(*variables: str) -> str:
    alma = next((variable for variable in variables if "ALMA" in variable), None)
    return f", or leave {alma} unset, so that ALMA shares the VLA's" if alma else ""


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(quoted(name) for name in names[:_SHOWN])}{more}"


def _mount_point(folder: Path) -> Path:
    real = folder.resolve()
    return next((each for each in (real, *real.parents) if os.path.ismount(each)), real)
