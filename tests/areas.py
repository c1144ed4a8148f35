"""The areas of tests: folders that are prepared as an operator does it."""

from __future__ import annotations

from pathlib import Path

from srdp.domain.runs.areas import MARKER, prepare_areas
from srdp.domain.runs.pipeline_run import Areas
from srdp.settings import Settings


def prepare(settings: Settings) -> None:
    """Make those areas of the settings that are not there, and mark them all."""
    make_areas(settings.named_areas())


def make_areas(named: dict[str, Path]) -> None:
    """Likewise with areas by the variables that name them."""
    for area in named.values():
        area.mkdir(parents=True, exist_ok=True)
    list(prepare_areas(named, force=True))


def areas_in(folder: Path) -> Areas:
    """Three areas in a folder; ALMA shares the VLA's."""
    processing, qa, spool = (folder / name for name in ("processing", "qa", "spool"))
    make_areas({"SRDP_PROCESSING_AREA": processing, "SRDP_QA_AREA": qa, "SRDP_SPOOL_AREA": spool})
    return Areas(processing=processing, qa=qa, spool=spool)


def entries(area: Path) -> list[Path]:
    """What is in an area besides its marker, sorted."""
    return sorted(path for path in area.iterdir() if path.name != MARKER)
