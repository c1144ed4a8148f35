"""How large images are: pixels, cells and gigabytes; arithmetic without CASA."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log2, log10, sqrt

_SPEED_OF_LIGHT = 299_792_458.0  # m/s
_ARCSECONDS = 206_265.0  # in a radian
# Width of a dish's primary beam at half power, in wavelengths by diameters: what ALMA's illumination makes of it.
_PRIMARY_BEAM = 1.13
_BYTES_A_PIXEL = 4
# Image and primary beam are kept of each; masks pack to next to nothing.
_FILES_AN_IMAGE = 2

#: What is given up for size, one step after the other: pixels by beam, and the primary beam's gain at the images' edge.
MITIGATIONS: tuple[tuple[float, float], ...] = ((5.0, 0.2), (5.0, 0.7), (3.25, 0.7))


class TooLargeError(Exception):
    """The products would be larger than the PPR allows."""


@dataclass(frozen=True)
class Geometry:
    """An image's pixels.

    Attributes:
        pixels: width and height.
        cell: size of a pixel in arcseconds.
        beam: about the angular resolution, in arcseconds.
        primary_beam: width of the primary beam at half power, in arcseconds.
    """

    pixels: int
    cell: float
    beam: float
    primary_beam: float

    @classmethod
    def of(
        cls,
        *,
        frequency: float,
        longest_baseline: float,
        dish: float,
        beam: float = 0.0,
        pixels_per_beam: float = 5.0,
        level: float = 0.2,
    ) -> Geometry:
        """Return the pixels that an observation's images need.

        Args:
            frequency: in Hz.
            longest_baseline: in metres.
            dish: diameter of an antenna, in metres.
            beam: angular resolution in arcseconds if it is known; else it follows from the baseline.
            pixels_per_beam: how finely the beam is sampled.
            level: gain of the primary beam at the image's edge, from 0 to 1.
        """
        wavelength = _SPEED_OF_LIGHT / frequency
        beam = beam or _ARCSECONDS * wavelength / longest_baseline
        primary_beam = _PRIMARY_BEAM * _ARCSECONDS * wavelength / dish
        cell = _two_digits(beam / pixels_per_beam)
        return cls(easy_size(primary_beam * sqrt(log2(1 / level)) / cell), cell, beam, primary_beam)


@dataclass(frozen=True)
class ProductSizes:
    """Sizes in GB.

    Attributes:
        largest_cube: of the largest cube.
        products: of all images together.
    """

    largest_cube: float
    products: float


@dataclass(frozen=True)
class Mitigation:
    """What was given up for size.

    Attributes:
        pixels_per_beam: how finely the images are sampled.
        level: gain of the primary beam at the images' edge.
        before: the sizes, had nothing been given up.
        after: the sizes.
        within_goal: the largest cube is as small as it was to be.
    """

    pixels_per_beam: float
    level: float
    before: ProductSizes
    after: ProductSizes
    within_goal: bool

    @property
    def needed(self) -> bool:
        """Something was given up."""
        return (self.pixels_per_beam, self.level) != MITIGATIONS[0]


def easy_size(pixels: float) -> int:
    """Return the smallest even number, not below 32, with no prime factors but 2, 3 and 5: CASA is fast with it."""
    size = max(32, 2 * ceil(pixels / 2))
    while not _is_easy(size):
        size += 2
    return size


def product_sizes(geometry: Geometry, channels: Sequence[int], fields: int) -> ProductSizes:
    """Return what cubes of all channels, and the continuum, of all fields take.

    Args:
        geometry: the images' pixels.
        channels: the number of channels of each spectral window.
        fields: the number of fields.
    """
    plane = _BYTES_A_PIXEL * geometry.pixels**2 / 1e9
    # Each window's continuum and that of all together are a plane each.
    planes = sum(channels) + len(channels) + 1
    return ProductSizes(plane * max(channels), _FILES_AN_IMAGE * plane * planes * fields)


def mitigate(
    predict: Callable[[float, float], ProductSizes],
    *,
    max_cube_size: float = -1,
    max_cube_limit: float = -1,
    max_product_size: float = -1,
) -> Mitigation:
    """Give up as little as makes the products small enough.

    Args:
        predict: returns the sizes for pixels by beam and the primary beam's gain at the images' edge.
        max_cube_size: what the largest cube ought to have at most, in GB; -1 for no limit.
        max_cube_limit: what the largest cube may have at most.
        max_product_size: what all together may have at most.

    Raises:
        TooLargeError: whatever is given up, they are too large.
    """
    before = predict(*MITIGATIONS[0])
    for pixels_per_beam, level in MITIGATIONS:
        after = predict(pixels_per_beam, level)
        if _fits(after.largest_cube, max_cube_size) and _fits(after.products, max_product_size):
            return Mitigation(pixels_per_beam, level, before, after, within_goal=True)
    if not _fits(after.largest_cube, max_cube_limit):
        raise TooLargeError(
            f"The largest cube would have {after.largest_cube:.4g} GB even with coarser pixels and smaller images, and "
            f"maxcubelimit is {max_cube_limit:.4g} GB: ask for less, or raise it."
        )
    if not _fits(after.products, max_product_size):
        raise TooLargeError(
            f"All images would have {after.products:.4g} GB even with coarser pixels and smaller images, and "
            f"maxproductsize is {max_product_size:.4g} GB: ask for less, or raise it."
        )
    return Mitigation(pixels_per_beam, level, before, after, within_goal=False)


def _fits(size: float, limit: float) -> bool:
    return limit < 0 or size <= limit


def _is_easy(number: int) -> bool:
    for factor in (2, 3, 5):
        while number % factor == 0:
            number //= factor
    return number == 1


def _two_digits(number: float) -> float:
    """Round down to two significant digits."""
    scale = 10.0 ** (floor(log10(number)) - 1)
    return round(floor(number / scale) * scale, 12)
