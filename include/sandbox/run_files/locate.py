"""Which file an address means, and that it is inside the run's directory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from srdp.domain.common.errors import InvalidInput
from srdp.domain.runs.identifiers import PipelineRunId, pipeline_run_id

_INDEX = "index.html"


class NotServed(Exception):
    """An address means nothing that is served; the text says so to a person."""


def parts_of(target: str) -> list[str]:
    """Return the names in the path of an address, decoded; none for the root.

    Args:
        target: what the request line says, for example ``/vla-20261122-182453-4f7k/working/?x=1``.

    Raises:
        NotServed: the path is not decodable, or climbs.
    """
    path = unquote(urlsplit(target).path, errors="surrogateescape")
    parts = [part for part in path.split("/") if part]
    if any(part in (".", "..") or "\0" in part for part in parts):
        raise NotServed("An address here names a run and a file in it, without detours.")
    return parts


class Located(NamedTuple):
    """What an address means.

    Attributes:
        run: the run's directory, links resolved.
        path: the file or directory in it, likewise.
    """

    run: Path
    path: Path


def locate(areas: Sequence[Path], parts: Sequence[str]) -> Located:
    """Return the file or directory that the parts of an address mean, links resolved.

    The run's directory is looked for in each area in turn. What a link inside it leads to is only served if it
    is inside it too, wherever the run has moved.

    Args:
        areas: the roots that run directories are in.
        parts: a pipeline run ID and names below it.

    Raises:
        NotServed: there is no such run or file, or it is outside the run's directory.
    """
    try:
        run_id = pipeline_run_id(parts[0])
    except InvalidInput as error:
        raise NotServed(str(error)) from error
    for area in areas:
        found = _inside(area, run_id, parts[1:])
        if found is not None:
            return found
    raise NotServed(f"There is no such file of pipeline run {run_id} in {' or '.join(map(str, areas))}.")


def _inside(area: Path, run_id: PipelineRunId, names: Sequence[str]) -> Located | None:
    run = area / run_id
    try:
        if run.is_symlink():
            return None
        root = run.resolve(strict=True)
        found = run.joinpath(*names).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):  # missing, a loop of links, a name too long
        return None
    return Located(root, found) if found.is_relative_to(root) else None


def index_of(areas: Sequence[Path], parts: Sequence[str]) -> Located | None:
    """Return the front page of a directory, or None if it has none that may be served.

    Args:
        areas: the roots that run directories are in.
        parts: the address of the directory.
    """
    try:
        page = locate(areas, [*parts, _INDEX])
    except NotServed:
        return None
    return page if page.path.is_file() else None


def runs(areas: Sequence[Path]) -> Iterator[PipelineRunId]:
    """Yield the pipeline runs that have a directory, the latest of each family first."""
    found = set()
    for area in areas:
        for directory in area.iterdir() if area.is_dir() else []:
            try:
                run_id = pipeline_run_id(directory.name)
            except InvalidInput:
                continue
            if _inside(area, run_id, []) is not None:
                found.add(run_id)
    yield from sorted(found, reverse=True)
