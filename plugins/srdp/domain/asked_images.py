"""Whether a run has made what was asked of it, by the names of its images.

The pipeline leaves out, or makes coarser, what would be larger than its limits, and says so in its weblog only.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase

from srdp.domain.errors import quoted
from srdp.domain.imaging_request import ImagingRequest

# What the pipeline writes in a file's name instead of a character that it does not like is not known.
_ANY_CHARACTER = re.compile(r"[^A-Za-z0-9]")


def images_not_made(request: ImagingRequest, names: Collection[str]) -> Iterator[str]:
    """Yields a sentence for each image that was asked for and is not there.

    Args:
        request: what was asked for.
        names: the names of the FITS files of the run.
    """
    wanted = [(f"continuum image of {quoted(field)}", f"{_target(field)}spw*cont*") for field in request.fields]
    wanted = wanted if request.continuum else []
    wanted += [
        (
            f"cube of {quoted(cube.field)} in spectral window {cube.spw}",
            f"{_target(cube.field)}spw{cube.spw}.*cube*",
        )
        for cube in request.cubes
    ]
    for what, pattern in wanted:
        if not any(fnmatchcase(f".{name}", f"{pattern}pbcor.fits") for name in names):
            yield f"There is no {what} among the images, although it was asked for: see why in the weblog."


def _target(field: str) -> str:
    # Behind a dot, or at the name's beginning: M83 is not found in the name of an image of CO_M83.
    return f"*.{_ANY_CHARACTER.sub('?', field)}_sci."
