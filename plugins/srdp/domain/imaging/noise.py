"""The noise of an image, as the CASA pipeline defines it in its weblog and in the manifest's ``rms``.

The pipeline measures the restored image **before** it is corrected for the primary beam: the root mean square, in each
channel, of the pixels in the annulus in which the primary beam is between 0.2 and 0.3 and outside of the clean mask of
all channels, after outliers were taken away by Chauvenet's criterion, five times; then the median of the channels. (See
``analyse_clean_result`` in the pipeline's ``hif/heuristics/cbheuristic``, and ``pblimits`` in its imaging heuristics.)

What is archived is the corrected image, in which noise grows as the primary beam falls: of one that is seen down to 0.2
the noise over all pixels is about twice that of the middle. It is therefore multiplied by its primary beam again, which
is beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final

# Where the primary beam at the image's edge is higher, the limits are those 5 % and 10 % of the height inside.
_PB_LIMITS: Final = (0.2, 0.3)
_INSIDE: Final = 0.05
_MASKED: Final = 0.1
_FEWEST_PIXELS: Final = 10
_MOST_ROUNDS: Final = 5
# So many pixels are looked at, of so many planes, evenly spread: an image may have 50 GB.
_MOST_PIXELS: Final = 1 << 21
_MOST_PLANES: Final = 64
# Each piece costs a read: an image of a thousand million rows of one pixel would take hours.
_MOST_PIECES: Final = 1 << 15
_MOST_ROWS: Final = 1 << 17


@dataclass(frozen=True)
class _Piece:
    """Some rows of a plane: the pixels, the primary beam, and where the clean mask is; None for what is not there."""

    pixels: Any
    beam: Any
    masked: Any


def measure_noise(image: Any, beam: Any = None, mask: Any = None) -> float | None:  # noqa: ANN401  astropy has no types
    """Return the noise of an image, in its unit; None if it has no usable pixel.

    At most two million pixels are read: rows that are evenly spread over at most 64 evenly spread planes. So it takes
    seconds and some tens of megabytes however large the image is. Of one that is not larger every pixel counts.

    Args:
        image: the HDU of the image; corrected for the primary beam if that is given.
        beam: the HDU of the primary beam. Without it, or if it has another shape, the pixels are taken as they are, and
            those of the whole image.
        mask: the HDU of the clean mask, likewise.
    """
    import numpy as np

    beam, mask = _of_the_same_size(image, beam), _of_the_same_size(image, mask)
    pieces = [list(_pieces(image, beam, mask, plane)) for plane in _spread(_planes(image), _MOST_PLANES)]
    limits = _limits(beam) if beam is not None else None
    # The clean mask of all channels: what is cleaned in one of them is left out of each.
    cleaned = (
        [_any([piece.masked for piece in rows]) for rows in zip(*pieces, strict=True)] if mask is not None else None
    )
    for chosen in (cleaned, None):
        values = [_values(rows, limits, chosen) for rows in pieces]
        # Channels without data hold nothing but zeros, or nothing.
        usable = [each for each in values if each.size and each.any()]
        if usable and (limits is None or np.median([each.size for each in usable]) >= _FEWEST_PIXELS):
            return float(np.median([_rms(each) for each in usable]))
    if limits is None:
        return None
    everything = [_values(rows, None, None) for rows in pieces]
    usable = [each for each in everything if each.size and each.any()]
    return float(np.median([_rms(each) for each in usable])) if usable else None


def _planes(image: Any) -> int:  # noqa: ANN401
    return math.prod(image.shape[:-2])


def _of_the_same_size(image: Any, other: Any) -> Any:  # noqa: ANN401
    if other is None or tuple(other.shape[-2:]) != tuple(image.shape[-2:]) or _planes(other) not in {1, _planes(image)}:
        return None
    return other


def _pieces(image: Any, beam: Any, mask: Any, plane: int) -> Iterator[_Piece]:  # noqa: ANN401
    rows, columns = image.shape[-2], min(image.shape[-1], _MOST_PIXELS)
    planes = min(_planes(image), _MOST_PLANES)
    per_plane = max(1, min(_MOST_PIXELS // columns, _MOST_PIECES) // planes)
    # Whole where that is no more: one read instead of many.
    lines = (
        [slice(0, rows)]
        if rows * columns <= _MOST_PIXELS // planes
        else [slice(row, row + 1) for row in _spread(rows, per_plane)]
    )
    for line in lines:
        pixels, gains, masked = (_section(hdu, plane, line, columns) for hdu in (image, beam, mask))
        yield _Piece(pixels, gains, None if masked is None else masked > _MASKED)


def _section(hdu: Any, plane: int, line: slice, columns: int) -> Any:  # noqa: ANN401
    import numpy as np

    if hdu is None:
        return None
    above = hdu.shape[:-2]
    place = tuple(int(index) for index in np.unravel_index(min(plane, _planes(hdu) - 1), above)) if above else ()
    return np.asarray(hdu.section[(*place, line, slice(0, columns))], dtype=np.float64)


def _limits(beam: Any) -> tuple[float, float]:  # noqa: ANN401
    """Return between which values of the primary beam the annulus is."""
    import numpy as np

    rows, columns = beam.shape[-2:]
    if rows > _MOST_ROWS:
        return _PB_LIMITS
    above = beam.shape[:-2]
    place = tuple(int(index) for index in np.unravel_index(_planes(beam) // 2, above)) if above else ()
    column = np.asarray(beam.section[(*place, slice(0, rows), slice(columns // 2, columns // 2 + 1))], dtype=np.float64)
    seen = [row for row in range(rows) if np.isfinite(column[row, 0]) and column[row, 0] > 0]
    edge = seen[0] if seen else 0
    if not seen or column[edge, 0] <= _PB_LIMITS[0]:
        return _PB_LIMITS
    step = int(_INSIDE * rows)
    outer = max(edge, step)
    return float(column[outer, 0]), float(column[min(outer + step, rows - 1), 0])


def _any(masks: Sequence[Any]) -> Any:  # noqa: ANN401
    import numpy as np

    return np.logical_or.reduce(masks)


def _values(rows: Sequence[_Piece], limits: tuple[float, float] | None, cleaned: Sequence[Any] | None) -> Any:  # noqa: ANN401
    """Return the pixels that count, before the correction for the primary beam."""
    import numpy as np

    found = []
    for number, piece in enumerate(rows):
        pixels = piece.pixels if piece.beam is None else piece.pixels * piece.beam
        counts = np.isfinite(pixels)
        if limits is not None:
            counts &= (piece.beam > limits[0]) & (piece.beam < limits[1])
        if cleaned is not None:
            counts &= ~cleaned[number]
        found.append(pixels[counts])
    return np.concatenate(found) if found else np.empty(0)


def _rms(values: Any) -> float:  # noqa: ANN401
    import numpy as np

    for _ in range(_MOST_ROUNDS):
        # So far from the mean that, of so many normal values, half a one is expected to be.
        most = NormalDist().inv_cdf(1 - 0.25 / values.size) * values.std()
        kept = values[np.abs(values - values.mean()) <= most]
        if kept.size in {0, values.size}:
            break
        values = kept
    return float(np.sqrt(np.mean(np.square(values))))


def _spread(count: int, most: int) -> list[int]:
    """Return at most so many of the numbers from 0 to a count, evenly spread."""
    taken = min(count, most)
    return [(2 * number + 1) * count // (2 * taken) for number in range(taken)]
