"""Find out from the names of its images whether a run has made what was requested.

The pipeline leaves out, or makes coarser, what would be larger than its limits, and says so in its weblog only. It
distinguishes images that would have the same name by a version: ``….pbcor.fits``, ``….pbcor.v2.fits`` and so on. What
was made again from self-calibrated data is called ``….selfcal.I.…``, and is there beside the first only if the
self-calibration succeeded.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator

from srdp.domain.analyst_files.selections.fields import field_selection
from srdp.domain.common.errors import quoted
from srdp.domain.imaging.field_names import field_in_image_names
from srdp.domain.imaging.request import ImagingRequest

_CORRECTED = r".*pbcor(?:\.v[0-9]+)?\.fits"
_SELF_CALIBRATED = ".selfcal."


def images_not_made(request: ImagingRequest, names: Collection[str]) -> Iterator[str]:
    """Yield a sentence for each image that was asked for and is not there.

    Args:
        request: what was asked for.
        names: the names of the FITS files of the run.
    """
    first = [name for name in names if _SELF_CALIBRATED not in name]
    for field in request.fields if request.continuum else ():
        if not _made(rf"{_target(field)}spw.*cont{_CORRECTED}", first):
            yield _sentence(f"continuum image of {quoted(field)}")
    for (field, spw), count in Counter((cube.field, cube.spw) for cube in request.cubes).items():
        made = _made(rf"{_target(field)}spw{spw}\..*cube{_CORRECTED}", first)
        where = f"{quoted(field)} in spectral window {spw}"
        if not made:
            yield _sentence(f"cube of {where}")
        elif made < count:
            yield f"Only {made} of {count} cubes of {where} that were asked for were made: see why in the weblog."


def _sentence(what: str) -> str:
    return f"There is no {what} among the images, although it was asked for: see why in the weblog."


def _made(pattern: str, names: Collection[str]) -> int:
    return sum(re.fullmatch(pattern, f".{name}") is not None for name in names)


def _target(field: str) -> str:
    # Behind a dot, or at the name's beginning: M83 is not found in the name of an image of CO_M83. Older releases of
    # the pipeline may leave out what stands for the quotes.
    written = field_in_image_names(field)
    bare = written if field_selection(field) == field else written[1:-1]
    return rf".*\.(?:{re.escape(written)}|{re.escape(bare)})_sci\."
